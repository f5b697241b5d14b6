//! What a request for rows asks for: every parameter checked, the format negotiated, nothing guessed.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};

use crate::{
    catalog::TableSchema,
    http::{
        params::Params,
        problem::{Instead, Kind, Problem},
    },
    query::{Slice, SliceRequest, encode::Format, filters, names},
};

/// Rows of a JSON answer by default, and at most.
const JSON_ROWS: (u64, u64) = (100, 10_000);

/// Parameters that are built.
const KNOWN: [&str; 8] = ["select", "where", "offset", "limit", "snapshot", "format", "count", "truncate"];

/// Parameters that are reserved, and what works instead until they are built.
const RESERVED: [(&str, &str); 5] = [
    ("order_by", "rows come in the physical order of the snapshot, which is stable; sort them where you read them"),
    ("cursor", "follow `next`, which is pinned to the snapshot it began in"),
    ("sample", "`offset` reaches any row at the same cost, so draw row numbers below the table's `rows`"),
    ("seed", "`offset` reaches any row at the same cost, so draw row numbers below the table's `rows`"),
    ("dry_run", "the answer's `Openshelf-Scanned-Bytes` says what was read; `limit=1` is a cheap try"),
];

/// What was asked for, checked.
pub(super) struct Asked {
    pub(super) slice: Slice,
    pub(super) format: Format,
    pub(super) limit: Option<u64>,
    pub(super) count: &'static str,
    pub(super) truncate: bool,
    /// The parameters that make up the rows, in one normal form, without `offset` and `snapshot`.
    pub(super) canonical: Vec<(&'static str, String)>,
}

impl Asked {
    /// The parameters in one normal form, with others.
    pub(super) fn query<'a, const N: usize>(&'a self, others: [(&'a str, &'a str); N]) -> Vec<(&'a str, &'a str)> {
        self.canonical.iter().map(|(name, value)| (*name, value.as_str())).chain(others).collect()
    }
}

/// Checks every parameter; nothing is guessed.
pub(super) fn read(params: &Params, schema: &TableSchema, headers: &HeaderMap) -> Result<Asked, Problem> {
    let mut conditions = BTreeMap::new();
    let mut plain = Vec::new();
    for (name, value) in params.iter() {
        if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
            return Err(Problem::new(Kind::NotBuiltYet, format!("`{name}` is not built yet; instead: {instead}.")));
        }
        if filters::split(name).is_some() && !KNOWN.contains(&name) {
            let condition = filters::condition(name, value, schema)?;
            if conditions.insert(name, condition).is_some() {
                return Err(Problem::new(Kind::RepeatedParameter, format!("`{name}` is given more than once.")));
            }
        } else {
            plain.push(name);
        }
    }
    params.clone().without(|name| !plain.contains(&name)).only(&KNOWN)?;

    let format = format(params, headers)?;
    let offset = params.number("offset", 0)?.unwrap_or(0);
    let given = params.number("limit", 1)?;
    let limit = match (format, given) {
        (Format::Json, None) => Some(JSON_ROWS.0),
        (Format::Json, Some(limit)) if limit > JSON_ROWS.1 => {
            return Err(Problem::new(
                Kind::LimitTooLarge,
                format!(
                    "`limit` is {limit}; a JSON answer holds at most {} rows. Other formats have no such bound.",
                    JSON_ROWS.1
                ),
            )
            .instead(Some(Instead::Value("format", "ndjson".to_owned()))));
        }
        (_, given) => given,
    };
    let count = params.word("count", &["none", "estimate", "exact"])?.unwrap_or("none");
    let truncate = params.word("truncate", &["0", "1"])?.unwrap_or("1") == "1";

    // First by itself, so that places in its faults are those of what was written.
    let request = SliceRequest { select: params.get("select"), where_: params.get("where"), offset, limit };
    let mut slice = Slice::new(&request, schema)?;
    if !conditions.is_empty() {
        let mut parts: Vec<String> = params.get("where").map(|text| format!("({text}\n)")).into_iter().collect();
        parts.extend(conditions.into_values());
        slice = Slice::new(&SliceRequest { where_: Some(&parts.join(" and ")), ..request }, schema)?;
    }
    if count == "estimate" && slice.predicate.is_some() {
        return Err(Problem::new(
            Kind::NotBuiltYet,
            "`count=estimate` with a condition is not built yet; `count=exact` reads the condition's columns and counts.",
        ));
    }
    if format == Format::Json && slice.predicate.is_some() {
        // One more than is shown, to know whether there is a next page.
        slice.limit = limit.map(|limit| limit + 1);
    }
    let mut canonical = Vec::new();
    if params.get("select").is_some() {
        let names = slice.schema(schema).columns.iter().map(|c| names::quoted(&c.name)).collect::<Vec<_>>();
        canonical.push(("select", names.join(",")));
    }
    if let Some(predicate) = &slice.predicate {
        canonical.push(("where", predicate.text().to_owned()));
    }
    if let Some(limit) = limit {
        canonical.push(("limit", limit.to_string()));
    }
    canonical.push(("format", format.name().to_owned()));
    if count != "none" {
        canonical.push(("count", count.to_owned()));
    }
    if !truncate {
        canonical.push(("truncate", "0".to_owned()));
    }
    Ok(Asked { slice, format, limit, count, truncate, canonical })
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
