//! What every operation may answer: problems by status, headers, and rows in five formats.

use serde_json::{Map, Value, json};

use super::{in_place, name_of};
use crate::{
    http::problem::{Kind, MEDIA_TYPE},
    query::encode::Format,
};

/// Names of shapes that no type of the program has.
pub(super) const PROBLEM: &str = "Problem";
pub(super) const ROWS: &str = "Rows";
pub(super) const PLAN: &str = "QueryPlan";

/// Puts the shapes that others refer to into the document.
pub(super) fn components(document: &mut Value) {
    let Some(document) = document.as_object_mut() else { return };
    let Some(all) = document.entry("components").or_insert_with(|| json!({})).as_object_mut() else { return };
    let Some(schemas) = all.entry("schemas").or_insert_with(|| json!({})).as_object_mut() else { return };
    for (name, shape) in [(PROBLEM, problem()), (ROWS, rows()), (PLAN, plan())] {
        schemas.insert(name.to_owned(), shape);
    }
    all.insert("headers".to_owned(), headers());
}

/// RFC 9457, with our hint.
fn problem() -> Value {
    let kinds: Vec<String> = Kind::ALL.iter().map(|kind| format!("`{}`", kind.code())).collect();
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457) and what works instead.",
        "required": ["type", "title", "status", "detail", "instance", "hint"],
        "properties": {
            "type": {
                "type": "string", "format": "uri-reference",
                "description": format!("Address of the page that explains it; its last part is one of {}.", kinds.join(", ")),
            },
            "title": {"type": "string", "description": "One line, always the same for a type."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What is wrong with this very request."},
            "instance": {"type": "string", "description": "The request's id, as in `X-Request-Id`."},
            "hint": {"type": "string", "description": "What to do instead: an address or a command that works."},
        },
    })
}

/// An error of the Iceberg REST catalog.
fn iceberg_error() -> Value {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {"message": text, "type": text, "code": {"type": "integer"}},
        }},
    })
}

/// Rows as one JSON object.
fn rows() -> Value {
    let text = json!({"type": "string"});
    let count = json!({"type": "integer", "minimum": 0});
    json!({
        "type": "object",
        "required": ["columns", "rows"],
        "properties": {
            "dataset": text,
            "table": text,
            "snapshot": count,
            "columns": {"type": "array", "items": {
                "type": "object",
                "required": ["name", "type"],
                "properties": {
                    "name": text,
                    "type": {"type": "string", "description": "As in a definition: `int32`, `list<utf8>`, …"},
                    "encoding": {"type": "string", "description": "`string` where numbers are written as text."},
                    "non_finite": {"type": "string", "description": "`null` where NaN and the infinities are shown as null."},
                },
            }},
            "rows": {"type": "array", "items": {"type": "object"}, "description": "Every selected column is present, null as null."},
            "offset": count,
            "row_count": {
                "type": ["object", "null"],
                "required": ["value", "kind"],
                "properties": {"value": count, "kind": {"type": "string", "enum": ["exact", "estimate"]}},
            },
            "next": {"type": ["string", "null"], "description": "Address of the rows that follow; null after the last."},
            "truncated": {"type": "array", "description": "Cells that were cut.", "items": {
                "type": "object",
                "required": ["row", "column", "bytes", "kept"],
                "properties": {"row": count, "column": text, "bytes": count, "kept": count},
            }},
            "seed": {"type": ["integer", "null"], "minimum": 0},
            "complete": {"type": "boolean", "description": "Whether these are all rows, where no address leads to others."},
            "hint": {
                "type": "object",
                "required": ["message", "url"],
                "description": "How the same is had for less; only where very much was read to say very little.",
                "properties": {"message": text, "url": {"type": "string", "format": "uri-reference"}},
            },
        },
    })
}

/// What `dry_run=1` of a query says, at least.
fn plan() -> Value {
    json!({
        "type": "object",
        "description": "What the answer would take, without doing it.",
        "required": ["dry_run"],
        "properties": {"dry_run": {"type": "boolean", "enum": [true]}},
    })
}

fn headers() -> Value {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "X-Request-Id": {"description": "Finds the request in the server's log.", "required": true, "schema": {"type": "string"}},
        "ETag": text("Strong; for `If-None-Match`."),
        "Cache-Control": text("Immutable where the address names a snapshot; short where it means the current one."),
        "Link": text("`next`, `license`, `describedby`, `cite-as`, and hints."),
        "Openshelf-Snapshot": text("The snapshot the answer is from: a number, or `dataset=number` for several."),
        "Openshelf-Scanned-Bytes": {
            "description": "Bytes read from the store for it, where they are known before the first byte.",
            "schema": {"type": "integer", "minimum": 0},
        },
        "RateLimit": text("What is left of the address's allowance."),
        "RateLimit-Policy": text("The allowance."),
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
        "Allow": text("The methods this address takes."),
    })
}

fn refer(names: &[&str]) -> Map<String, Value> {
    let entry = |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    names.iter().map(entry).collect()
}

/// Whether an operation answers with rows: it lets the format be chosen.
fn gives_rows(operation: &Map<String, Value>) -> bool {
    in_place(operation, "query").any(|parameter| name_of(parameter) == "format")
}

/// Where a GET answers with rows, 200 has the five formats, and a POST beside it answers the same.
pub(super) fn rows_of_get(operations: &mut Map<String, Value>) {
    let Some(get) = operations.get_mut("get").and_then(Value::as_object_mut) else { return };
    if !gives_rows(get) {
        return;
    }
    let takes_dry_run = in_place(get, "query").any(|parameter| name_of(parameter) == "dry_run");
    let Some(responses) = get.get_mut("responses").and_then(Value::as_object_mut) else { return };
    if let Some(good) = responses.get_mut("200").and_then(Value::as_object_mut) {
        let own = good.get("content").and_then(|content| content.pointer("/application~1json/schema")).cloned();
        let rows = json!({"$ref": format!("#/components/schemas/{ROWS}")});
        let plan = json!({"$ref": format!("#/components/schemas/{PLAN}")});
        let usual = if takes_dry_run { json!({"anyOf": [rows, plan]}) } else { rows };
        let rows = json!({"schema": own.unwrap_or(usual)});
        let format = |format: Format| match format {
            Format::Json => (format.media_type().to_owned(), rows.clone()),
            _ => (format.media_type().to_owned(), json!({})),
        };
        good.insert("content".to_owned(), Format::ALL.into_iter().map(format).collect::<Map<_, _>>().into());
    }
    let mut same = responses.clone();
    same.remove("304");
    if let Some(post) = operations.get_mut("post").and_then(Value::as_object_mut) {
        post.insert("responses".to_owned(), same.into());
    }
}

/// Whether an address has S3's errors.
fn is_s3(path: &str) -> bool {
    path == "/data" || path.starts_with("/data/")
}

/// Whether an address has Iceberg's errors.
fn is_iceberg(path: &str) -> bool {
    path.starts_with("/iceberg/")
}

/// The statuses any operation may answer with, by what it takes.
fn statuses(path: &str, method: &str, operation: &Map<String, Value>) -> Vec<u16> {
    let mut all = vec![400, 414, 431, 500, 503];
    // S3's clients wait when they are told 503.
    if !is_s3(path) {
        all.push(429);
    }
    if path.contains('{') {
        all.push(404);
    }
    if operation.contains_key("requestBody") {
        all.extend([408, 413, 415]);
    }
    if is_iceberg(path) {
        return all;
    }
    if gives_rows(operation) || method == "post" {
        all.extend([406, 422]);
    }
    all
}

/// Adds the problems an operation may answer with, and the headers of all its answers.
pub(super) fn common(path: &str, method: &str, operation: &mut Map<String, Value>) {
    let statuses = statuses(path, method, operation);
    let Some(responses) = operation.entry("responses").or_insert_with(|| json!({})).as_object_mut() else { return };
    for status in statuses {
        responses.entry(status.to_string()).or_insert_with(|| json!({}));
    }
    if method == "get" && path != "/metrics" {
        responses.entry("304").or_insert_with(|| json!({"description": "The client has it already."}));
    }
    for (status, response) in responses.iter_mut() {
        let Some(response) = response.as_object_mut() else { continue };
        let mut names = vec!["X-Request-Id", "Cache-Control", "RateLimit", "RateLimit-Policy"];
        match status.parse::<u16>() {
            Ok(status @ 400..) => {
                let said = response.entry("description").or_insert_with(|| described(status).into());
                if said.as_str().is_some_and(str::is_empty) {
                    *said = described(status).into();
                }
                let problem = json!({"schema": {"$ref": format!("#/components/schemas/{PROBLEM}")}});
                let content = if is_s3(path) {
                    json!({"application/xml": {"schema": {"type": "string"}}})
                } else if is_iceberg(path) {
                    // What cannot be read as a request at all is nobody's but the server's.
                    json!({"application/json": {"schema": iceberg_error()}, MEDIA_TYPE: problem})
                } else {
                    json!({MEDIA_TYPE: problem})
                };
                response.insert("content".to_owned(), content);
                names.extend(match status {
                    405 => &["Allow"][..],
                    429 | 503 => &["Retry-After"],
                    _ => &[],
                });
            }
            _ => {
                let said = response.entry("description").or_insert_with(|| "".into());
                if said.as_str().is_some_and(str::is_empty) {
                    *said = "What was asked for.".into();
                }
                names.extend(["ETag", "Link", "Openshelf-Snapshot", "Openshelf-Scanned-Bytes"]);
            }
        }
        let mut headers = refer(&names);
        if let Some(Value::Object(own)) = response.remove("headers") {
            headers.extend(own);
        }
        response.insert("headers".to_owned(), headers.into());
    }
}

/// What the kinds of problem with a status say, one after the other.
fn described(status: u16) -> String {
    let of_status = Kind::ALL.iter().filter(|kind| kind.status().as_u16() == status);
    of_status.map(|kind| format!("{} (`{}`).", kind.title(), kind.code())).collect::<Vec<_>>().join(" ")
}
