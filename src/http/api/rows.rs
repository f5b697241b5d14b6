//! `/v1/datasets/{dataset}/tables/{table}/rows`: a slice of a table in one of five formats.

use axum::{http::Method, response::Response};
use serde_json::json;

use crate::{
    http::{
        api::asked::{self, Asked},
        deliver::{Delivery, deliver},
        incoming::Incoming,
        params::{Params, query_string},
        problem::Problem,
        subject::Subject,
    },
    query::{
        encode::{Format, json},
        scan::{self, Scan},
        table::Rows,
    },
};

/// A slice of a table.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/tables/{table}/rows", tag = "rows",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("table" = String, Path, description = "Table"),
        ("select" = Option<String>, Query, description = "Columns, comma-separated, in the order wanted; `-name` leaves one out"),
        ("where" = Option<String>, Query, description = "A SQL boolean expression over the columns"),
        ("offset" = Option<u64>, Query, description = "Rows to skip; any depth costs the same without `where`"),
        ("limit" = Option<u64>, Query, description = "Most rows; JSON: 100 by default, at most 10 000; other formats: all"),
        ("snapshot" = Option<String>, Query, description = "Number or UTC date; the current one by default"),
        ("format" = Option<String>, Query, description = "json, ndjson, csv, arrow or parquet; or by Accept"),
        ("count" = Option<String>, Query, description = "none, estimate or exact"),
        ("truncate" = Option<u8>, Query, description = "0 shows JSON cells over 64 KiB whole"),
        ("{column}__{op}" = Option<String>, Query, description = "A condition by hand: exact, not, gt, gte, lt, lte, in, contains, startswith, isnull")
    ),
    responses(
        (status = 200, description = "Rows"),
        (status = 304, description = "The client has them"),
        (status = 400, description = "A parameter is wrong; the problem says which and what would work"),
        (status = 404, description = "No such table"),
        (status = 406, description = "No such format"),
        (status = 422, description = "It takes more than one query may; the problem names the files"),
        (status = 451, description = "The license allows no public copy")
    )
)]
pub(in crate::http) async fn get(request: Incoming) -> Result<Response, Problem> {
    answer(&request, &request.subject("rows", Rows::Published).await?).await
}

/// The same, with the parameters as JSON.
#[utoipa::path(
    post, path = "/v1/datasets/{dataset}/tables/{table}/rows", tag = "rows",
    params(("dataset" = String, Path, description = "Dataset"), ("table" = String, Path, description = "Table")),
    request_body(content = Object, description = "The parameters of GET by name", content_type = "application/json"),
    responses((status = 200, description = "Rows"), (status = 400, description = "A parameter is wrong"))
)]
pub(in crate::http) async fn post(request: Incoming) -> Result<Response, Problem> {
    get(request).await
}

/// Answers a slice of a table or of its rejects.
pub(super) async fn answer(request: &Incoming, subject: &Subject) -> Result<Response, Problem> {
    let schema = &subject.source.table.schema;
    let read = |params: &Params| asked::read(params, schema, &request.headers);
    let asked = read(&request.params).map_err(|problem| subject.hint(request, problem, |meant| read(meant).is_ok()))?;
    let offset = asked.slice.offset.to_string();
    let validity = subject.validity(request, &asked.query([("offset", offset.as_str())]));
    if let Some(response) = subject.not_modified(request, &validity) {
        return Ok(response);
    }
    let row_count = row_count(request, subject, &asked).await?;
    let (delivery, scan) = plan(request, subject, asked, row_count);
    let mut response = deliver(request, &validity, delivery, scan.batches())
        .await
        .map_err(|problem| subject.hint(request, problem, |_| false))?;
    subject.describe(&mut response, &request.state);
    Ok(response)
}

async fn row_count(request: &Incoming, subject: &Subject, asked: &Asked) -> Result<Option<json::RowCount>, Problem> {
    if asked.count == "none" || request.method == Method::HEAD {
        return Ok(None);
    }
    let (value, scanned) = scan::count(subject.source.clone(), asked.slice.predicate.as_ref())
        .await
        .map_err(|error| subject.hint(request, error.into(), |_| false))?;
    request.state.metrics.scanned.inc_by(scanned);
    Ok(Some(json::RowCount { value, kind: "exact" }))
}

fn plan(request: &Incoming, subject: &Subject, asked: Asked, row_count: Option<json::RowCount>) -> (Delivery, Scan) {
    let manifest = &subject.published.manifest;
    let total = subject.source.table.rows();
    let offset = asked.slice.offset;
    let has_condition = asked.slice.predicate.is_some();
    let known_next = match asked.limit {
        Some(limit) if !has_condition => offset.checked_add(limit).filter(|next| *next < total),
        _ => None,
    };
    // Further pages are pinned to the snapshot, so that pages never mix two.
    let here = subject.here(&request.state);
    let (canonical, snapshot) = (asked.canonical.clone(), manifest.snapshot.to_string());
    let page = move |offset: u64| {
        let own = canonical.iter().map(|(name, value)| (*name, value.as_str()));
        let offset = offset.to_string();
        let query = query_string(own.chain([("offset", offset.as_str()), ("snapshot", snapshot.as_str())]));
        format!("{here}{query}")
    };
    let next = known_next.map(&page);
    let tail = {
        let next = next.clone();
        move |rows: u64, more: bool| {
            let next = if has_condition { more.then(|| page(offset.saturating_add(rows))) } else { next };
            json::Tail { offset, row_count, next, ..json::Tail::default() }
        }
    };
    let head = [
        ("dataset".to_owned(), json!(manifest.dataset)),
        ("table".to_owned(), json!(subject.table)),
        ("snapshot".to_owned(), json!(manifest.snapshot)),
    ];
    let delivery = Delivery {
        format: asked.format,
        columns: subject.columns(&asked.slice.columns),
        head: head.into_iter().collect(),
        tail: Box::new(tail),
        limit: asked.limit,
        truncate: asked.truncate,
        file: format!("{}-{}", manifest.dataset, subject.table),
        metadata: match asked.format {
            Format::Parquet => subject.metadata(),
            _ => Vec::new(),
        },
        next,
    };
    (delivery, Scan::new(subject.source.clone(), asked.slice))
}
