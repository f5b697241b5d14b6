//! Parameters that mean the same everywhere, by name, and the bodies that hold them.

use serde_json::{Map, Value, json};

use super::{in_place, name_of};
use crate::query::{encode::Format, filters};

/// The greatest number any parameter takes.
const MOST: i64 = i64::MAX;

/// What the values of a parameter are, wherever it occurs.
fn bounds(name: &str) -> Option<Value> {
    Some(match name {
        "offset" | "seed" => json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": MOST}),
        "limit" | "sample" | "since" | "before" => {
            json!({"type": "integer", "format": "int64", "minimum": 1, "maximum": MOST})
        }
        "snapshot" | "to" => number_or_date(1),
        // Before the first snapshot there was nothing: 0.
        "from" => number_or_date(0),
        "format" => json!({"type": "string", "enum": Format::ALL.map(Format::name)}),
        "count" => json!({"type": "string", "enum": ["none", "estimate", "exact"]}),
        "truncate" | "dry_run" => json!({"type": "integer", "enum": [0, 1]}),
        "dataset" | "table" | "select" | "where" | "order_by" | "cursor" => json!({"type": "string", "minLength": 1}),
        _ => return None,
    })
}

/// A snapshot: its number, or a UTC date.
fn number_or_date(least: u64) -> Value {
    json!({"anyOf": [
        {"type": "integer", "format": "int64", "minimum": least, "maximum": MOST},
        {"type": "string", "format": "date"},
    ]})
}

/// Bounds the parameters of an operation; a bound in the handler's own annotation stays.
pub(super) fn bound(operation: &mut Map<String, Value>) {
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { return };
    // Whatever takes a condition takes them by hand as well.
    let named = |name: &str| parameters.iter().any(|parameter| name_of(parameter).contains(name));
    if named("where") && !named("__") {
        parameters.push(conditions());
    }
    for parameter in parameters.iter_mut() {
        if name_of(parameter).contains("__") {
            *parameter = conditions();
            continue;
        }
        let own = parameter.get("schema").cloned().unwrap_or_else(|| json!({"type": "string"}));
        let schema = match bounds(name_of(parameter)) {
            Some(mut known) => {
                for bound in ["maximum", "default"] {
                    if let (Some(value), Some(known)) = (own.get(bound), known.as_object_mut()) {
                        known.insert(bound.to_owned(), value.clone());
                    }
                }
                known
            }
            None => without_null(own),
        };
        if let Some(parameter) = parameter.as_object_mut() {
            parameter.insert("schema".to_owned(), schema);
        }
    }
}

/// An address has no null: what is not there is left out.
fn without_null(mut schema: Value) -> Value {
    if let Some(types) = schema.get_mut("type")
        && let Some(list) = types.as_array_mut()
    {
        list.retain(|name| name != "null");
        if let [only] = list.as_slice() {
            *types = only.clone();
        }
    }
    schema
}

/// `{column}__{op}`: any number of parameters whose names are made of a column's and an operation.
fn conditions() -> Value {
    json!({
        "name": "conditions",
        "in": "query",
        "description": "Conditions by hand, each a parameter of its own named `{column}__{op}`: joined to `where` by and",
        "required": false,
        "style": "form",
        "explode": true,
        "schema": conditions_schema(),
    })
}

fn conditions_schema() -> Value {
    json!({
        "type": "object",
        "propertyNames": {"pattern": format!("^.+__({})$", filters::OPERATIONS.join("|"))},
        "additionalProperties": {"type": "string"},
    })
}

/// A POST beside a GET takes the GET's parameters as its keys, unless it says what else it takes.
pub(super) fn body_of_get(operations: &mut Map<String, Value>) {
    let Some(get) = operations.get("get").and_then(Value::as_object) else { return };
    let (mut keys, mut conditions, mut required) = (Map::new(), json!(false), Vec::new());
    for parameter in in_place(get, "query") {
        let schema = parameter.get("schema").cloned().unwrap_or_default();
        match name_of(parameter) {
            "conditions" => conditions = json!({"type": ["string", "number", "boolean", "null"]}),
            name => {
                let needed = parameter.get("required").is_some_and(|required| required == true);
                let mut schema = in_body(name, schema, parameter.get("description"));
                if needed {
                    required.push(name.to_owned());
                } else if let Some(every) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
                    // Null is as good as nothing.
                    every.push(json!({"type": "null"}));
                }
                keys.insert(name.to_owned(), schema);
            }
        }
    }
    let names = (conditions != json!(false)).then(|| {
        let known = keys.keys().map(|name| format!("|^{name}$")).collect::<String>();
        json!({"pattern": format!("__({})${known}", filters::OPERATIONS.join("|"))})
    });
    let mut schema =
        json!({"type": "object", "required": required, "properties": keys, "additionalProperties": conditions});
    if let (Some(names), Some(schema)) = (names, schema.as_object_mut()) {
        schema.insert("propertyNames".to_owned(), names);
    }
    if let Some(post) = operations.get_mut("post").and_then(Value::as_object_mut) {
        let body = json!({
            "description": "The parameters of GET by name",
            "content": {"application/json": {"schema": schema}},
            "required": true,
        });
        post.entry("requestBody").or_insert(body);
    }
}

/// A parameter as a key of a JSON body: numbers are numbers, flags may be true or false, and lists need no commas.
fn in_body(name: &str, schema: Value, description: Option<&Value>) -> Value {
    let mut every = match schema.get("type").and_then(Value::as_str) {
        Some("integer") if schema.get("enum").is_some() => vec![json!({"enum": [0, 1, false, true]})],
        _ => vec![schema],
    };
    match name {
        "select" => every.push(json!({"type": "array", "items": {"type": "string"}, "minItems": 1})),
        "snapshots" => every.push(json!({"type": "object", "additionalProperties": number_or_date(1)})),
        _ => {}
    }
    json!({"description": description, "anyOf": every})
}
