//! `/v1/datasets/{dataset}/tables/{table}/rows`: a slice of a table in one of five formats.

use axum::{
    http::{HeaderName, HeaderValue, Method, header},
    response::Response,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::{
        api::{
            asked::{self, Asked},
            coach::coach,
            described::{RowsBody, RowsQuery, RowsRefused},
            paging::Pages,
            sql,
        },
        cache::CachePolicy,
        deliver::{Delivery, Validity, deliver_with},
        incoming::Incoming,
        params::{Params, query_string},
        problem::{Kind, Problem},
        subject::Subject,
    },
    query::{
        Slice,
        batches::Batches,
        cost::{self, Cost},
        count,
        cursor::Cursor,
        encode::{Format, json},
        found::{self, Choice},
        scan::Scan,
        sorted::{self, SOUGHT},
        table::Rows,
    },
};

/// A slice of a table.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/tables/{table}/rows", tag = "rows",
    params(("dataset" = String, Path, description = "Dataset"), ("table" = String, Path, description = "Table"), RowsQuery),
    responses((status = 200, description = "Rows", body = RowsBody), RowsRefused)
)]
pub(in crate::http) async fn get(request: Incoming) -> Result<Response, Problem> {
    answer(&request, &request.subject("rows", Rows::Published).await?).await
}

/// The same, with the parameters as JSON.
#[utoipa::path(
    post, path = "/v1/datasets/{dataset}/tables/{table}/rows", tag = "rows",
    params(("dataset" = String, Path, description = "Dataset"), ("table" = String, Path, description = "Table"))
)]
pub(in crate::http) async fn post(request: Incoming) -> Result<Response, Problem> {
    get(request).await
}

/// Answers a slice of a table or of its rejects.
pub(super) async fn answer(request: &Incoming, subject: &Subject) -> Result<Response, Problem> {
    match slice(request, subject).await {
        Err(problem) => Err(subject.or_gone(request, problem).await),
        answered => answered,
    }
}

async fn slice(request: &Incoming, subject: &Subject) -> Result<Response, Problem> {
    let schema = &subject.source.table.schema;
    let address = subject.address();
    let read = |params: &Params| asked::read(params, &address, schema, &request.headers);
    let asked = read(&request.params).map_err(|problem| subject.hint(request, problem, |meant| read(meant).is_ok()))?;
    if let Some(cursor) = asked.cursor.filter(|cursor| cursor.row > subject.source.table.rows()) {
        let detail =
            format!("`cursor` goes on at row {}, and the table has {}.", cursor.row, subject.source.table.rows());
        return Err(subject.hint(request, Problem::new(Kind::InvalidCursor, detail), |_| false));
    }
    // A seed that was not given is chosen, and no other request will have it.
    let seed = asked.sample.map(|(_, given)| given.unwrap_or_else(|| u64::from(fastrand::u32(..))));
    let begin = asked.cursor.map_or(asked.slice.offset, |cursor| cursor.offset).to_string();
    let from = asked.cursor.map_or_else(String::new, |cursor| cursor.row.to_string());
    let drawn = seed.map_or_else(String::new, |seed| seed.to_string());
    let query = asked.query([("offset", begin.as_str()), ("cursor", from.as_str()), ("seed", drawn.as_str())]);
    let mut validity = subject.validity(request, &query);
    if let Some((_, None)) = asked.sample {
        validity.policy = CachePolicy::Never;
    }
    if let Some(response) = subject.not_modified(request, &validity) {
        return Ok(response);
    }
    if asked.dry_run {
        return dry_run(request, subject, &asked, &validity).await;
    }
    let counted = count(request, subject, &asked).await?;
    let coach = coach(request, subject, &asked, counted.map_or(0, |(_, scanned)| scanned));
    let (delivery, batches) = plan(request, subject, asked, counted, seed).await?;
    let mut response = deliver_with(request, &validity, delivery, batches, Some(coach))
        .await
        .map_err(|problem| subject.hint(request, problem, |_| false))?;
    let out = response.headers_mut();
    if let Some((count, _)) = counted {
        let text = format!("{};kind={}", count.value, count.kind);
        if let Ok(value) = HeaderValue::try_from(text) {
            out.insert(HeaderName::from_static("openshelf-row-count"), value);
        }
    }
    if let Some(seed) = seed {
        out.insert(HeaderName::from_static("openshelf-seed"), HeaderValue::from(seed));
    }
    subject.describe(&mut response, &request.state);
    Ok(response)
}

/// What a dry run says.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct DryRun {
    dataset: String,
    table: String,
    snapshot: u64,
    /// Always true.
    dry_run: bool,
    /// What the answer would read.
    cost: Cost,
    /// What one answer may take.
    caps: DryRunCaps,
    /// Whether it would be begun; false when it is known beforehand that it would take too much.
    allowed: bool,
    /// Where the whole table is, without such caps.
    files: String,
}

/// What one answer may take.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct DryRunCaps {
    /// Bytes read from the store.
    bytes: u64,
    /// Seconds at work until the answer begins.
    seconds: u64,
    /// Seconds at work on an answer that streams.
    stream_seconds: u64,
}

/// Says what the answer would take, and reads nothing but footers.
async fn dry_run(
    request: &Incoming,
    subject: &Subject,
    asked: &Asked,
    validity: &Validity,
) -> Result<Response, Problem> {
    let Asked { slice, limit, order, sample, cursor, .. } = asked;
    let source = &subject.source;
    let choice = match (sample, order.clone()) {
        (Some((rows, _)), order) => Some(Choice::Sampled { seed: 0, rows: *rows, key: subject.primary_key(), order }),
        (None, Some(order)) => Some(Choice::Ordered { order, after: None }),
        (None, None) => None,
    };
    let from = cursor.filter(|_| choice.is_none()).map_or(0, |cursor| cursor.row);
    let slice = Slice { limit: *limit, ..slice.clone() };
    let (cost, scanned) = cost::reckon(source, &slice, choice.as_ref(), from)
        .await
        .map_err(|error| subject.hint(request, error.into(), |_| false))?;
    let caps = source.caps;
    let allowed = cost.bytes <= caps.bytes || slice.predicate.is_some();
    let said = DryRun {
        dataset: subject.published.manifest.dataset.clone(),
        table: subject.table.clone(),
        snapshot: subject.published.manifest.snapshot,
        dry_run: true,
        cost,
        caps: DryRunCaps {
            bytes: caps.bytes,
            seconds: caps.time.as_secs(),
            stream_seconds: caps.stream_time.as_secs(),
        },
        allowed,
        files: subject.files(&request.state),
    };
    let mut response = request.json(&said, validity.policy)?;
    let out = response.headers_mut();
    out.insert(header::ETAG, validity.tag.header());
    out.insert(HeaderName::from_static("openshelf-scanned-bytes"), HeaderValue::from(scanned));
    subject.describe(&mut response, &request.state);
    Ok(response)
}

/// How many rows match, if that was asked, and the bytes it took to know.
async fn count(request: &Incoming, subject: &Subject, asked: &Asked) -> Result<Option<(json::RowCount, u64)>, Problem> {
    if asked.count == "none" || request.method == Method::HEAD {
        return Ok(None);
    }
    let source = subject.source.clone();
    let predicate = asked.slice.predicate.as_ref();
    let counted = match asked.count {
        "estimate" => count::estimate(source, predicate).await,
        _ => count::exact(source, predicate).await,
    };
    let counted = counted.map_err(|error| subject.hint(request, error.into(), |_| false))?;
    request.state.metrics.scanned.inc_by(counted.scanned);
    let kind = if counted.is_exact { "exact" } else { "estimate" };
    Ok(Some((json::RowCount { value: counted.rows, kind }, counted.scanned)))
}

/// Which rows come, and how they are shown.
async fn plan(
    request: &Incoming,
    subject: &Subject,
    asked: Asked,
    counted: Option<(json::RowCount, u64)>,
    seed: Option<u64>,
) -> Result<(Delivery, Batches), Problem> {
    let row_count = counted.map(|(count, _)| count);
    let Asked { mut slice, format, limit, order, sample, cursor, truncate, canonical, fingerprint, .. } = asked;
    let source = subject.source.clone();
    let manifest = &subject.published.manifest;
    let (snapshot, total) = (manifest.snapshot, source.table.rows());
    let columns = subject.columns(&slice.columns);
    let offset = cursor.map_or(slice.offset, |cursor| cursor.offset);
    let is_plain = slice.predicate.is_none() && order.is_none() && sample.is_none() && cursor.is_none();
    let known_next =
        limit.filter(|_| is_plain).and_then(|limit| offset.checked_add(limit)).filter(|next| *next < total);
    // One more than is shown, to know whether there is a next page.
    let further = format == Format::Json;

    let (batches, last) = match (sample, order) {
        (Some((rows, _)), order) => {
            let key = subject.primary_key();
            let choice = Choice::Sampled { seed: seed.unwrap_or_default(), rows, key, order };
            let (batches, _) = found::chosen(source, slice, choice, limit.unwrap_or(rows), false);
            (batches, None)
        }
        // Nothing is begun for HEAD.
        (None, Some(order))
            if !further
                && cursor.is_none()
                && request.method != Method::HEAD
                && limit.is_none_or(|limit| offset.saturating_add(limit) > SOUGHT) =>
        {
            slice.limit = limit;
            let spill = request.state.settings.sql.anonymous.spill;
            let turn = sql::turn_behind(&request.state, || {
                format!("{}{}", subject.here(&request.state), query_string(request.params.iter()))
            })
            .await?;
            (sorted::sorted(&request.state.engine, turn, spill, source, slice, &order)?, None)
        }
        (None, Some(order)) => {
            let choice = Choice::Ordered { order, after: cursor.map(|cursor| cursor.row) };
            let (batches, last) = found::chosen(source, slice, choice, limit.unwrap_or(total), further);
            (batches, Some(last))
        }
        (None, None) if is_plain => (Scan::new(source, slice).batches(), None),
        (None, None) => {
            slice.limit = limit.map(|limit| limit.saturating_add(u64::from(further)));
            let scan = match cursor {
                Some(cursor) => Scan::from_row(source, slice, cursor.row),
                None => Scan::new(source, slice),
            };
            if further {
                let (batches, last) = scan.marked();
                (batches, Some(last))
            } else {
                (scan.batches(), None)
            }
        }
    };

    // Further pages stay in the snapshot, so that pages never mix two.
    let own = canonical.iter().map(|(name, value)| (*name, value.as_str()));
    let pages = Pages::new(subject.here(&request.state), own);
    let next = known_next
        .map(|next| pages.at([("offset", next.to_string().as_str()), ("snapshot", snapshot.to_string().as_str())]));
    let tail = {
        let next = next.clone();
        move |rows: u64, more: bool| {
            let next = match last {
                Some(last) if more => {
                    let offset = offset.saturating_add(rows);
                    let cursor = Cursor { snapshot, query: fingerprint, offset, row: last.get() };
                    Some(pages.at([("cursor", cursor.encode().as_str())]))
                }
                _ => next,
            };
            json::Tail { offset, row_count, next, seed, ..json::Tail::default() }
        }
    };
    let delivery = Delivery {
        format,
        columns,
        head: subject.head(),
        tail: Box::new(tail),
        limit,
        truncate,
        file: format!("{}-{}", manifest.dataset, subject.table),
        metadata: subject.metadata(format),
        next,
        counted: counted.map_or(0, |(_, scanned)| scanned),
    };
    Ok((delivery, batches))
}
