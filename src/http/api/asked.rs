//! What a request for rows asks for: every parameter checked, the format negotiated, nothing guessed.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};

use crate::{
    catalog::TableSchema,
    http::{
        params::Params,
        problem::{Instead, Kind, Problem},
    },
    query::{
        Slice, SliceRequest,
        cursor::{self, Cursor},
        encode::Format,
        filters, names,
        order::Order,
        sample,
    },
};

/// Rows of a page of JSON, unless it is said how many.
const JSON_PAGE: u64 = 100;
/// Rows of a JSON answer at most.
pub(super) const MOST_JSON_ROWS: u64 = 10_000;

/// What rows take.
pub(super) const PARAMETERS: [&str; 13] = [
    "select", "where", "order_by", "offset", "limit", "cursor", "sample", "seed", "snapshot", "format", "count",
    "truncate", "dry_run",
];

/// What was asked for, checked.
pub(super) struct Asked {
    pub(super) slice: Slice,
    pub(super) format: Format,
    /// Rows to show.
    pub(super) limit: Option<u64>,
    pub(super) order: Option<Order>,
    /// Rows to draw, and the seed if one was given.
    pub(super) sample: Option<(u64, Option<u64>)>,
    pub(super) cursor: Option<Cursor>,
    pub(super) count: &'static str,
    pub(super) truncate: bool,
    pub(super) dry_run: bool,
    /// The parameters that make up the rows, in one normal form, without those that say where a page begins.
    pub(super) canonical: Vec<(&'static str, String)>,
    /// What a cursor is bound to.
    pub(super) fingerprint: u64,
}

impl Asked {
    /// The parameters in one normal form, with others.
    pub(super) fn query<'a, const N: usize>(&'a self, others: [(&'a str, &'a str); N]) -> Vec<(&'a str, &'a str)> {
        self.canonical.iter().map(|(name, value)| (*name, value.as_str())).chain(others).collect()
    }
}

/// Checks every parameter; nothing is guessed. `address`: whose rows they are.
pub(super) fn read(
    params: &Params,
    address: &str,
    schema: &TableSchema,
    headers: &HeaderMap,
) -> Result<Asked, Problem> {
    let mut conditions = BTreeMap::new();
    let mut plain = Vec::new();
    for (name, value) in params.iter() {
        if filters::split(name).is_some() && !PARAMETERS.contains(&name) {
            let condition = filters::condition(name, value, schema).map_err(|error| {
                let right = error.instead.clone().map(|right| Instead::Name(name.to_owned(), right));
                Problem::from(error).instead(right)
            })?;
            if conditions.insert(name, condition).is_some() {
                return Err(Problem::new(Kind::RepeatedParameter, format!("`{name}` is given more than once.")));
            }
        } else {
            plain.push(name);
        }
    }
    params.clone().without(|name| !plain.contains(&name)).only(&PARAMETERS)?;

    let format = format(params, headers)?;
    let sample = sample(params)?;
    let cursor = params.get("cursor").map(Cursor::decode).transpose()?;
    if cursor.is_some() && params.get("offset").is_some() {
        let detail = "`cursor` says where to begin, and so does `offset`; give one of them.";
        return Err(Problem::new(Kind::InvalidCursor, detail).instead(Some(Instead::Without("offset"))));
    }
    let offset = params.number("offset", 0)?.unwrap_or(0);
    let limit = limit(params, format, sample.map(|(rows, _)| rows))?;
    let count = params.word("count", &["none", "estimate", "exact"])?.unwrap_or("none");
    let truncate = params.word("truncate", &["0", "1"])?.unwrap_or("1") == "1";
    let dry_run = params.word("dry_run", &["0", "1"])?.unwrap_or("0") == "1";

    // First by itself, so that places in its faults are those of what was written.
    let request = SliceRequest { select: params.get("select"), where_: params.get("where"), offset, limit };
    let mut slice = Slice::new(&request, schema)?;
    if !conditions.is_empty() {
        let mut parts: Vec<String> = params.get("where").map(|text| format!("({text}\n)")).into_iter().collect();
        parts.extend(conditions.into_values());
        slice = Slice::new(&SliceRequest { where_: Some(&parts.join(" and ")), ..request }, schema)?;
    }
    let order = params.get("order_by").map(|text| Order::parse(text, schema)).transpose()?;
    let order_text = order.as_ref().map(|order| order.text(schema));
    let where_text = slice.predicate.as_ref().map(|predicate| predicate.text().to_owned());
    let bound = [address, where_text.as_deref().unwrap_or_default(), order_text.as_deref().unwrap_or_default()];
    let fingerprint = cursor::fingerprint(&bound);
    if cursor.is_some_and(|cursor| cursor.query != fingerprint) {
        let detail = "`cursor` belongs to another request: the table, `where`, the other conditions and `order_by` have to be those of the answer whose `next` gave it.";
        return Err(Problem::new(Kind::InvalidCursor, detail).instead(Some(Instead::Without("cursor"))));
    }
    let mut canonical = Vec::new();
    if params.get("select").is_some() {
        let names = slice.schema(schema).columns.iter().map(|c| names::quoted(&c.name)).collect::<Vec<_>>();
        canonical.push(("select", names.join(",")));
    }
    canonical.extend(where_text.map(|text| ("where", text)));
    canonical.extend(order_text.map(|text| ("order_by", text)));
    canonical.extend(sample.map(|(rows, _)| ("sample", rows.to_string())));
    canonical
        .extend(limit.filter(|_| sample.is_none() || params.get("limit").is_some()).map(|n| ("limit", n.to_string())));
    canonical.push(("format", format.name().to_owned()));
    if count != "none" {
        canonical.push(("count", count.to_owned()));
    }
    if !truncate {
        canonical.push(("truncate", "0".to_owned()));
    }
    if dry_run {
        canonical.push(("dry_run", "1".to_owned()));
    }
    Ok(Asked { slice, format, limit, order, sample, cursor, count, truncate, dry_run, canonical, fingerprint })
}

/// Rows to draw and the seed, with what goes with them.
fn sample(params: &Params) -> Result<Option<(u64, Option<u64>)>, Problem> {
    let rows = params.number("sample", 1)?;
    let seed = params.number("seed", 0)?;
    let Some(rows) = rows else {
        return match seed {
            Some(_) => Err(Problem::new(
                Kind::InvalidParameter,
                "`seed` belongs to `sample`, which says how many rows to draw.",
            )
            .instead(Some(Instead::Value("sample", "10".to_owned())))),
            None => Ok(None),
        };
    };
    for name in ["offset", "cursor"] {
        if params.get(name).is_some() {
            let detail = format!("`sample` draws from all rows that match, so that `{name}` has no meaning beside it.");
            return Err(Problem::new(Kind::InvalidParameter, detail).instead(Some(Instead::Without(name))));
        }
    }
    if rows > sample::MOST {
        let detail = format!(
            "`sample` is {rows}; at most {} rows are drawn for one answer. A share of a table comes from its files.",
            sample::MOST
        );
        return Err(Problem::new(Kind::InvalidParameter, detail)
            .instead(Some(Instead::Value("sample", sample::MOST.to_string()))));
    }
    Ok(Some((rows, seed)))
}

/// Rows to show.
fn limit(params: &Params, format: Format, sample: Option<u64>) -> Result<Option<u64>, Problem> {
    let given = params.number("limit", 1)?;
    if format != Format::Json {
        return Ok(given);
    }
    let (name, wanted) = match (given, sample) {
        (Some(limit), _) => ("limit", limit),
        (None, Some(rows)) => ("sample", rows),
        (None, None) => ("limit", JSON_PAGE),
    };
    fits_json(name, wanted)?;
    Ok(Some(wanted))
}

/// Refuses more rows than a JSON answer holds. `name`: the parameter that asks for so many.
pub(super) fn fits_json(name: &str, wanted: u64) -> Result<(), Problem> {
    if wanted <= MOST_JSON_ROWS {
        return Ok(());
    }
    let detail = format!(
        "`{name}` is {wanted}; a JSON answer holds at most {MOST_JSON_ROWS} rows. Other formats have no such bound."
    );
    Err(Problem::new(Kind::LimitTooLarge, detail).instead(Some(Instead::Value("format", "ndjson".to_owned()))))
}

/// By `format`, else by the best of `Accept`.
pub(super) fn format(params: &Params, headers: &HeaderMap) -> Result<Format, Problem> {
    let names = Format::ALL.map(Format::name);
    if let Some(given) = params.get("format") {
        return Format::ALL.into_iter().find(|format| format.name() == given).ok_or_else(|| {
            let near = names::nearest(given, names.into_iter());
            let question = near.as_ref().map_or_else(String::new, |near| format!(" Did you mean `{near}`?"));
            let detail = format!("`format` is `{given}`; it takes {}.{question}", names.join(", "));
            let instead = near.unwrap_or_else(|| Format::Json.name().to_owned());
            Problem::new(Kind::NotAcceptable, detail).instead(Some(Instead::Value("format", instead)))
        });
    }
    let accepted: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','))
        .collect();
    if accepted.iter().all(|range| range.trim().is_empty()) {
        return Ok(Format::Json);
    }
    let mut best: Option<(f32, Format)> = None;
    for range in &accepted {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
        let format = match media.as_str() {
            "application/json" | "application/*" | "*/*" => Format::Json,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
                Format::Ndjson
            }
            "text/csv" | "text/*" => Format::Csv,
            "application/vnd.apache.arrow.stream" => Format::Arrow,
            "application/vnd.apache.parquet" => Format::Parquet,
            _ => continue,
        };
        // A browser accepts pages first and anything else after; anything is JSON.
        if quality > 0.0 && best.is_none_or(|(known, _)| quality > known) {
            best = Some((quality, format));
        }
    }
    best.map(|(_, format)| format).ok_or_else(|| {
        Problem::new(
            Kind::NotAcceptable,
            format!("`Accept: {}` names no format there is; they are {}.", accepted.join(","), names.join(", ")),
        )
        .instead(Some(Instead::Value("format", Format::Json.name().to_owned())))
    })
}
