//! The bodies of POSTs: one JSON object, whose keys are parameters, each of the type the document gives it.
//!
//! A type that is not meant is refused with what to write: `"5"` is no number, although a query string has it that way.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderMap, Uri, header},
};
use serde_json::{Map, Number, Value};

use super::{
    params::{Params, query_string},
    problem::{Kind, Problem},
    state::AppState,
};
use crate::query::{filters, names};

/// Longest request body.
const LONGEST: usize = 1 << 20;
/// Time a request body may take to arrive.
const TIME: Duration = Duration::from_secs(30);

/// The JSON object in the body of a POST; the query string must then be empty.
///
/// # Errors
/// 400, 408, 413 and 415, with a command that works.
pub(super) async fn object(request: Request, state: &AppState) -> Result<Map<String, Value>, Problem> {
    let uri = request.uri().clone();
    let example = |problem: Problem| problem.or_hint(|| command(state, &uri));
    let body = body_of(request).await.map_err(example)?;
    match serde_json::from_slice(&body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(example(Problem::new(Kind::InvalidBody, "The body is JSON, but no object."))),
        Err(error) => Err(example(Problem::new(Kind::InvalidBody, format!("The body is no JSON: {error}.")))),
    }
}

/// Parameters in the JSON body of a POST.
///
/// # Errors
/// As [`object`], and 400 for a value of another type than its parameter has; the hint is the same in an address.
pub(super) async fn params(request: Request, state: &AppState) -> Result<Params, Problem> {
    let here = state.url(request.uri().path());
    let object = object(request, state).await?;
    let address = format!("{here}{}", query_string(as_text(&object).iter()));
    of_object(object).map_err(|problem| problem.or_hint(|| address))
}

/// The value of a parameter, as a body has it.
pub(super) fn value_of(name: &str, text: &str) -> Value {
    let whole = (Shape::of(name) == Shape::Whole).then(|| text.parse::<u64>().ok()).flatten();
    whole.map_or_else(|| text.into(), Value::from)
}

/// What a parameter's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A whole number.
    Whole,
    /// 0 or 1, or false or true.
    Flag,
    /// The number of a snapshot, or a day as text.
    Snapshot,
    /// Text.
    Text,
    /// Text, or a list of names.
    Names,
    /// Text, or an object of snapshots by dataset.
    Pins,
    /// Text, a number, or true or false: a value of some column.
    Value,
}

impl Shape {
    /// By the parameter's name; what no address takes is refused by its name later.
    fn of(name: &str) -> Self {
        match name {
            "offset" | "limit" | "sample" | "seed" => Self::Whole,
            "truncate" | "dry_run" => Self::Flag,
            "snapshot" | "from" | "to" => Self::Snapshot,
            "where" | "order_by" | "cursor" | "format" | "count" | "q" | "query" | "dataset" | "table" => Self::Text,
            "select" => Self::Names,
            "snapshots" => Self::Pins,
            _ => Self::Value,
        }
    }

    fn takes(self) -> &'static str {
        match self {
            Self::Whole => "a whole number",
            Self::Flag => "0 or 1",
            Self::Snapshot => "a snapshot's number, or a UTC date as text",
            Self::Text => "text",
            Self::Names => "text, or a list of column names",
            Self::Pins => "text, or an object of numbers or dates by dataset",
            Self::Value => "text, a number, or true or false",
        }
    }

    /// The value as an address has it, if it is one of these.
    fn read(self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::Whole | Self::Snapshot | Self::Value, Value::Number(number)) => Some(decimal(number)),
            (Self::Flag, Value::Number(number)) => Some(decimal(number)),
            (Self::Flag | Self::Value, Value::Bool(flag)) => Some(u8::from(*flag).to_string()),
            (Self::Snapshot, Value::String(text)) if text.parse::<i64>().is_err() => Some(text.clone()),
            (Self::Text | Self::Names | Self::Pins | Self::Value, Value::String(text)) => Some(text.clone()),
            (Self::Names, Value::Array(items)) => {
                let item = |item: &Value| {
                    item.as_str().map(|text| match text.strip_prefix('-') {
                        Some(rest) => format!("-{}", names::quoted(rest)),
                        None => names::quoted(text),
                    })
                };
                items.iter().map(item).collect::<Option<Vec<String>>>().map(|items| items.join(","))
            }
            (Self::Pins, Value::Object(pins)) => {
                let pin =
                    |(dataset, wanted): (&String, &Value)| Some(format!("{dataset}={}", Self::Snapshot.read(wanted)?));
                pins.iter().map(pin).collect::<Option<Vec<String>>>().map(|pins| pins.join(","))
            }
            _ => None,
        }
    }

    /// The same in the right type, where it is easily said.
    fn instead(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Whole | Self::Flag | Self::Snapshot, Value::String(text)) => {
                Some(text.trim().parse::<i64>().ok()?.into())
            }
            (Self::Text, Value::Number(_) | Value::Bool(_)) => Some(value.to_string().into()),
            _ => None,
        }
    }
}

/// Parameters of a JSON object.
///
/// # Errors
/// When one has a type that it does not take: which, and what to write.
pub(super) fn of_object(object: Map<String, Value>) -> Result<Params, Problem> {
    let (mut given, mut nulls) = (Vec::new(), Vec::new());
    for (name, value) in object {
        // Null is as good as nothing, but must be a name all the same.
        if value.is_null() {
            nulls.push(name);
            continue;
        }
        let shape = if filters::split(&name).is_some() { Shape::Value } else { Shape::of(&name) };
        match shape.read(&value) {
            Some(text) => given.push((name, text)),
            None => {
                let mut detail = format!("`{name}` is {} in the body; it takes {}", shown(&value), shape.takes());
                match shape.instead(&value) {
                    Some(right) => detail.push_str(&format!(": write `\"{name}\": {right}`.")),
                    None => detail.push('.'),
                }
                return Err(Problem::new(Kind::InvalidBody, detail));
            }
        }
    }
    Ok(Params::with_nulls(given, nulls))
}

/// A value, cut where it is long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    let kind = match value {
        Value::Array(_) => "the list ",
        Value::Object(_) => "the object ",
        Value::String(_) => "the text ",
        _ => "",
    };
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{kind}`{}…`", text.get(..end).unwrap_or_default()),
        None => format!("{kind}`{text}`"),
    }
}

/// What can be said in an address, said in one.
fn as_text(object: &Map<String, Value>) -> Params {
    let text = |(name, value): (&String, &Value)| {
        let known = Shape::of(name).read(value);
        let plain = || match value {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => None,
        };
        Some((name.clone(), known.or_else(plain)?))
    };
    Params::of_pairs(object.iter().filter_map(text))
}

/// A number as addresses have it: whole ones as such, however JSON writes them (`12.0`, `1e3`).
fn decimal(number: &Number) -> String {
    let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < 2_f64.powi(53));
    whole.map_or_else(|| number.to_string(), |float| (float as i64).to_string())
}

/// A POST to this address as it may be sent.
fn command(state: &AppState, uri: &Uri) -> String {
    let body = match uri.path().rsplit('/').next() {
        Some("sql" | "extracts") => r#"{"query": "SELECT 1"}"#,
        Some("search") => r#"{"q": "one OR two"}"#,
        Some("changes") => r#"{"from": 0}"#,
        _ => r#"{"limit": 10}"#,
    };
    format!("curl -X POST {} -H 'Content-Type: application/json' -d '{body}'", state.url(uri.path()))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

async fn body_of(request: Request) -> Result<Bytes, Problem> {
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        return Err(Problem::new(Kind::InvalidBody, "A POST takes its parameters from the body alone."));
    }
    if !is_json(request.headers()) {
        return Err(Problem::new(Kind::UnsupportedMediaType, "Send `Content-Type: application/json`."));
    }
    read(request.into_body()).await
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Kind::PayloadTooLarge, format!("The body is longer than {LONGEST} bytes."));
    if body.size_hint().lower() > LONGEST as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(TIME, axum::body::to_bytes(body, LONGEST)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Problem::new(Kind::RequestTimeout, Kind::RequestTimeout.explanation())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn params(body: &Value) -> Result<Params, Problem> {
        of_object(body.as_object().expect("an object").clone())
    }

    #[test]
    fn a_body_has_the_names_of_the_query() {
        let given = params(&json!({"select": ["a", "b c", "-d"], "limit": 5, "where": null})).expect("parameters");
        assert_eq!(given.get("select"), Some("a,\"b c\",-d"));
        assert_eq!(given.get("limit"), Some("5"));
        assert_eq!(given.get("where"), None);
        assert!(given.only(&["select", "limit", "where"]).is_ok());
        assert!(given.only(&["select", "limit"]).is_err());
        let body = r#"{"limit": 12.0, "offset": 1e3, "a__gt": 1.5, "b__lt": 1e300, "dry_run": true, "snapshot": "2026-11-21"}"#;
        let given = params(&serde_json::from_str(body).expect("JSON")).expect("parameters");
        let all: Vec<_> = given.iter().map(|(_, value)| value).collect();
        assert_eq!(all, ["12", "1000", "1.5", "1e+300", "1", "2026-11-21"]);
        let pins = params(&json!({"snapshots": {"imdb": 7, "geonames": "2026-11-21"}})).expect("parameters");
        assert_eq!(pins.get("snapshots"), Some("imdb=7,geonames=2026-11-21"));
    }

    #[test]
    fn a_value_of_another_type_is_told_what_to_write() {
        for (body, said) in [
            (
                json!({"limit": "5"}),
                "`limit` is the text `\"5\"` in the body; it takes a whole number: write `\"limit\": 5`.",
            ),
            (json!({"offset": true}), "`offset` is `true` in the body; it takes a whole number."),
            (json!({"seed": [1]}), "`seed` is the list `[1]` in the body; it takes a whole number."),
            (
                json!({"dry_run": "1"}),
                "`dry_run` is the text `\"1\"` in the body; it takes 0 or 1: write `\"dry_run\": 1`.",
            ),
            (
                json!({"snapshot": "2"}),
                "`snapshot` is the text `\"2\"` in the body; it takes a snapshot's number, or a UTC date as text: write `\"snapshot\": 2`.",
            ),
            (json!({"where": 1}), "`where` is `1` in the body; it takes text: write `\"where\": \"1\"`."),
            (
                json!({"select": [1]}),
                "`select` is the list `[1]` in the body; it takes text, or a list of column names.",
            ),
            (
                json!({"snapshots": {"imdb": [7]}}),
                "`snapshots` is the object `{\"imdb\":[7]}` in the body; it takes text, or an object of numbers or dates by dataset.",
            ),
            (
                json!({"year__gt": {}}),
                "`year__gt` is the object `{}` in the body; it takes text, a number, or true or false.",
            ),
        ] {
            let problem = params(&body).expect_err("another type");
            assert_eq!(problem.detail(), said, "{body}");
            assert_eq!(problem.kind(), Kind::InvalidBody);
        }
    }
}
