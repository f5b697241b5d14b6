//! `/v1/sql`: one SELECT over all published tables, in one of five formats.
//!
//! A query goes: text → syntax ([`Query::parse`]) → names to snapshots and licenses ([`names`]) → 304, if the client has
//! the answer → its turn in the queue → plan → run. Nothing is planned or read before the entity tag is checked.

mod coach;
mod explain;
pub(super) mod names;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::Response,
};
use serde_json::{Map, Value, json};

use self::names::{Named, Pins};
use super::{asked, data_links, name_snapshot};
use crate::{
    config::SqlCaps,
    http::{
        cache::CachePolicy,
        collected,
        deliver::{Delivery, Validity, deliver, deliver_with},
        etag::ETag,
        gate,
        incoming::Incoming,
        params::{Params, query_string},
        problem::{Kind, Problem},
        state::AppState,
    },
    query::{
        QueryError,
        batches::Batches,
        encode::{Format, OutputColumn, json as answer},
        engine::{Running, Turn, Work, output},
        sql::{Planned, Query},
    },
};

/// Rows looked at before an answer begins, to see how wide its integers are.
const PEEKED_ROWS: u64 = asked::MOST_JSON_ROWS + 1;
/// Bytes of them at most.
const PEEKED_BYTES: usize = 16 << 20;

const KNOWN: [&str; 6] = ["query", "snapshots", "format", "limit", "truncate", "dry_run"];

/// Rows of a query.
#[utoipa::path(
    get, path = "/v1/sql", tag = "rows",
    params(
        ("query" = String, Query, description = "One SELECT over `dataset.table` names (`-` may be written `_`)"),
        ("snapshots" = Option<String>, Query, description = "Snapshots to read, as `imdb=7,geonames=3`: numbers or UTC dates; the current ones by default"),
        ("format" = Option<String>, Query, description = "json, ndjson, csv, arrow or parquet; or by Accept"),
        ("limit" = Option<u64>, Query, description = "Most rows; JSON: 10 000 by default and at most; other formats: all"),
        ("truncate" = Option<u8>, Query, description = "0 shows JSON cells over 64 KiB whole"),
        ("dry_run" = Option<u8>, Query, description = "1 says what it would read and how, without doing it")
    ),
    responses(
        (status = 200, description = "Rows"),
        (status = 304, description = "The client has them"),
        (status = 400, description = "The query or a parameter is wrong; the problem says where"),
        (status = 404, description = "No such dataset or snapshot"),
        (status = 406, description = "No such format"),
        (status = 422, description = "It takes more than one query may, or cannot be computed"),
        (status = 451, description = "The license allows no public copy"),
        (status = 503, description = "Too many queries at once")
    )
)]
pub(in crate::http) async fn get(request: Incoming) -> Result<Response, Problem> {
    let asked = Asked::read(&request)?;
    let meant = |problem: Problem| hint(&request, problem);
    let query = Query::parse(&asked.query).map_err(|error| meant(error.into()))?;
    let named = names::find(&request.state, &query, &asked.pins).await.map_err(meant)?;
    let validity = validity(&request, &asked, &query, &named);
    if let Some(mut response) = validity.not_modified(&request) {
        named.describe(&mut response);
        return Ok(response);
    }
    let mut response = match run(&request, asked, &query, &named, &validity).await {
        Ok(response) => response,
        Err(problem) => return Err(or_gone(&request, &named, meant(problem)).await),
    };
    named.describe(&mut response);
    for (published, license, table) in &named.read {
        let described = request.state.url(&format!("/v1/datasets/{}/tables/{table}", published.manifest.dataset));
        data_links(&mut response, &request.state, &published.manifest, license, &described);
    }
    Ok(response)
}

/// The same, with the parameters as JSON; `snapshots` is an object of numbers by dataset.
#[utoipa::path(post, path = "/v1/sql", tag = "rows")]
pub(in crate::http) async fn post(request: Incoming) -> Result<Response, Problem> {
    get(request).await
}

/// A failure to read, or 410 with the same query over the current snapshots when one that it names is no longer kept.
async fn or_gone(request: &Incoming, named: &Named, mut problem: Problem) -> Problem {
    for (published, ..) in &named.read {
        problem = collected::or_gone(&request.state, &published.manifest, problem).await;
    }
    if problem.kind() != Kind::SnapshotCollected {
        return problem;
    }
    let current = request.params.clone().without(|name| name == "snapshots");
    problem.hint(format!("{}{}", request.state.url("/v1/sql"), query_string(current.iter())))
}

/// What was asked for, checked as far as it can be without the store.
struct Asked {
    query: String,
    pins: Pins,
    format: Format,
    limit: Option<u64>,
    truncate: bool,
    dry_run: bool,
}

impl Asked {
    fn read(request: &Incoming) -> Result<Self, Problem> {
        let here = request.state.url("/v1/sql");
        let read = || {
            request.only(&KNOWN)?;
            let params = &request.params;
            let Some(query) = params.get("query") else {
                let detail = "`query` is missing: one SELECT over `dataset.table` names.";
                return Err(Problem::new(Kind::InvalidSql, detail).hint(format!("{here}?query=SELECT+1")));
            };
            let format = asked::format(params, &request.headers)?;
            let limit = params.number("limit", 1)?;
            if let (Format::Json, Some(limit)) = (format, limit) {
                asked::fits_json("limit", limit)?;
            }
            Ok(Self {
                query: query.to_owned(),
                pins: Pins::read(params)?,
                format,
                limit,
                truncate: params.word("truncate", &["0", "1"])?.unwrap_or("1") == "1",
                dry_run: params.word("dry_run", &["0", "1"])? == Some("1"),
            })
        };
        read().map_err(|problem| hint(request, problem))
    }

    /// Rows an answer shows.
    fn shown(&self) -> Option<u64> {
        match self.format {
            Format::Json => Some(self.limit.unwrap_or(asked::MOST_JSON_ROWS)),
            _ => self.limit,
        }
    }
}

/// Who asks decides what a query may take. There are no keys yet, so everybody is anonymous.
fn caps(state: &AppState, _: &HeaderMap) -> SqlCaps {
    state.settings.sql.anonymous
}

/// A faulty request is told what would work: the request as it was meant, or a way around what it takes too much of.
fn hint(request: &Incoming, problem: Problem) -> Problem {
    let here = request.state.url("/v1/sql");
    if let Some(change) = problem.meant() {
        let meant = request.params.clone().changed(change);
        let fine = meant.get("query").is_some_and(|query| Query::parse(query).is_ok());
        if fine {
            return problem.hint(format!("{here}{}", query_string(meant.iter())));
        }
    }
    let hint = match problem.kind() {
        Kind::TooMuchToScan => format!("POST {} {{\"query\": …}}", request.state.url("/v1/extracts")),
        Kind::InvalidSql | Kind::QueryFailed => request.state.url("/docs#sql"),
        _ => format!("{here}?query=SELECT+1"),
    };
    problem.or_hint(|| hint)
}

fn validity(request: &Incoming, asked: &Asked, query: &Query, named: &Named) -> Validity {
    let policy = match request.method {
        Method::POST => CachePolicy::Never,
        _ => {
            let personal = named.read.iter().any(|(_, license, _)| gate::is_personal(license));
            CachePolicy::of(named.snapshots.values().all(|(_, pinned)| *pinned), personal)
        }
    };
    let mut tagged = Params::default();
    for (dataset, (number, _)) in &named.snapshots {
        tagged.push(dataset, &number.to_string());
    }
    let limit = asked.shown().map_or_else(String::new, |limit| limit.to_string());
    let flags = format!("{}{}{limit}", u8::from(asked.truncate), u8::from(asked.dry_run));
    let snapshots = query_string(tagged.iter());
    let parts = ["/v1/sql", query.canonical(), snapshots.as_str(), asked.format.name(), flags.as_str()];
    Validity { tag: ETag::of(&parts.map(str::as_bytes)), policy }
}

/// A turn in the engine's queue, before anything is planned or read; `again` is the request, to be made later.
///
/// # Errors
/// 503 when there are too many.
pub(super) async fn turn(state: &AppState, again: impl FnOnce() -> String) -> Result<Turn, Problem> {
    state.engine.turn(state.settings.sql.anonymous.time).await.ok_or_else(|| busy(again))
}

/// A turn that leaves a place for others, for answers that may stream for long.
///
/// # Errors
/// As [`turn`].
pub(super) async fn turn_behind(state: &AppState, again: impl FnOnce() -> String) -> Result<Turn, Problem> {
    match tokio::time::timeout(state.settings.sql.anonymous.time, state.engine.turn_behind()).await {
        Ok(turn) => Ok(turn?),
        Err(_) => Err(busy(again)),
    }
}

fn busy(again: impl FnOnce() -> String) -> Problem {
    let detail = "As many queries are running and waiting as there can be. Yours was not begun.";
    Problem::new(Kind::Busy, detail).hint(again()).header(header::RETRY_AFTER, "5")
}

async fn run(
    request: &Incoming,
    asked: Asked,
    query: &Query,
    named: &Named,
    validity: &Validity,
) -> Result<Response, Problem> {
    let state = &request.state;
    let caps = caps(state, &request.headers);
    let again = || format!("{}{}", state.url("/v1/sql"), query_string(request.params.iter()));
    let turn = turn(state, again).await?;
    let work = state.engine.begin(&caps).with_turn(turn);
    let shown = asked.shown();
    // One more than is shown, to know whether there are more.
    let limit = shown.map(|shown| if asked.format == Format::Json { shown.saturating_add(1) } else { shown });
    let planned = query.plan(&work, named.sources(), limit).await?;
    if asked.dry_run {
        return explain::answer(request, validity, &work, &planned, named, &caps).await;
    }
    if request.method == Method::HEAD {
        let budget = work.budget().clone();
        let nothing = Batches::new(planned.output.schema().clone(), budget, futures::stream::empty());
        let columns = planned.output.columns.columns.iter().map(OutputColumn::plain).collect();
        return deliver(request, validity, delivery(&asked, named, columns), nothing).await;
    }
    let (columns, batches) = begin(work, planned, asked.format).await?;
    let coach = coach::coach(request, query, named);
    deliver_with(request, validity, delivery(&asked, named, columns), batches, Some(coach)).await
}

/// Begins a query: its columns as the answer shows them, and its batches.
pub(super) async fn begin(
    work: Work<'_>,
    planned: Planned,
    format: Format,
) -> Result<(Vec<OutputColumn>, Batches), Problem> {
    let output = planned.output;
    let bounds = output::bounds(planned.physical.as_ref());
    let mut running = work.run_planned(planned.physical)?;
    let mut peeked = Vec::new();
    let mut wide: Vec<bool> = vec![false; output.columns.columns.len()];
    let mut ended = false;
    if matches!(format, Format::Json | Format::Ndjson) {
        let (mut rows, mut bytes) = (0_u64, 0_usize);
        while rows < PEEKED_ROWS && bytes < PEEKED_BYTES && !ended {
            match running.next().await? {
                Some(batch) => {
                    let batch = output.convert(&batch)?;
                    rows += batch.num_rows() as u64;
                    bytes += batch.get_array_memory_size();
                    output::note_wide(&batch, &mut wide);
                    peeked.push(batch);
                }
                None => ended = true,
            }
        }
    }
    let columns = output.columns.columns.iter().enumerate().map(|(at, column)| OutputColumn {
        // What was not seen to its end may still become wide, unless bounds say that it does not.
        wide: wide.get(at).copied().unwrap_or_default() || (!ended && !bounds.get(at).copied().unwrap_or_default()),
        ..OutputColumn::plain(column)
    });
    let columns = columns
        .map(|column| OutputColumn { wide: column.wide && column.kind == crate::catalog::ColumnType::Int64, ..column })
        .collect();
    Ok((columns, batches(running, output, peeked)))
}

/// What was seen already, then the rest.
fn batches(running: Running, output: output::Output, peeked: Vec<arrow::array::RecordBatch>) -> Batches {
    let (schema, budget) = (output.schema().clone(), running.budget());
    let rest = futures::stream::try_unfold((running, output), |(mut running, output)| async move {
        let Some(batch) = running.next().await? else { return Ok::<_, QueryError>(None) };
        let batch = output.convert(&batch)?;
        Ok(Some((batch, (running, output))))
    });
    let first = futures::stream::iter(peeked.into_iter().map(Ok));
    Batches::new(schema, budget, futures::StreamExt::chain(first, rest))
}

fn delivery(asked: &Asked, named: &Named, columns: Vec<OutputColumn>) -> Delivery {
    let mut head: Map<String, Value> = Map::new();
    head.insert("snapshots".to_owned(), named.snapshots_json());
    let shown = asked.shown();
    if let (Format::Json, Some(limit)) = (asked.format, shown) {
        head.insert("limit".to_owned(), json!(limit));
    }
    let tail = move |rows: u64, more: bool| answer::Tail {
        row_count: (!more).then_some(answer::RowCount { value: rows, kind: "exact" }),
        complete: Some(!more),
        ..answer::Tail::default()
    };
    let mut metadata = vec![("openshelf.query".to_owned(), asked.query.clone())];
    metadata.extend(
        named
            .snapshots
            .iter()
            .map(|(dataset, (number, _))| (format!("openshelf.snapshot.{dataset}"), number.to_string())),
    );
    Delivery {
        format: asked.format,
        columns,
        head,
        tail: Box::new(tail),
        limit: shown,
        truncate: asked.truncate,
        file: "query".to_owned(),
        metadata,
        next: None,
        counted: 0,
    }
}

impl Named {
    /// Adds the snapshots an answer is from: the number of one, a dictionary of several.
    fn describe(&self, response: &mut Response) {
        match self.read.first() {
            Some((published, ..)) if self.snapshots.len() == 1 => name_snapshot(response, &published.manifest),
            _ => {
                let several: Vec<String> =
                    self.snapshots.iter().map(|(dataset, (number, _))| format!("{dataset}={number}")).collect();
                if let Ok(value) = HeaderValue::try_from(several.join(", "))
                    && !several.is_empty()
                {
                    response.headers_mut().insert(HeaderName::from_static("openshelf-snapshot"), value);
                }
            }
        }
    }

    fn snapshots_json(&self) -> Value {
        Value::Object(self.snapshots.iter().map(|(dataset, (number, _))| (dataset.clone(), json!(number))).collect())
    }
}
