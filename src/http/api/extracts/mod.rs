//! `/v1/extracts`: queries too big for one answer, as jobs whose result is Parquet files under an id that can be cited.

pub(in crate::http) mod order;

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::{
        Redistribution,
        extract::{
            Extract, ExtractEvent, ExtractFile, ExtractId, ExtractLicense, ExtractOrder, ExtractProgress,
            ExtractRequest, ExtractState,
        },
    },
    http::{
        answer,
        api::{described::ExtractBody, link},
        cache::CachePolicy,
        extracts,
        file::{self, ServedFile},
        limits::Asker,
        params::{BodyObject, Params, PathParams},
        problem::{Kind, Problem},
        state::AppState,
    },
    store::{Agenda, Due, StoreError},
};

/// Seconds after which it is worth asking again.
const ASK_AGAIN: u64 = 2;

#[derive(Debug, Serialize, ToSchema)]
struct ExtractFileEntry {
    url: String,
    bytes: u64,
    rows: u64,
    sha256: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExtractColumn {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct QueuePosition {
    /// 1: the next one to be begun.
    position: u64,
}

/// An extract as it stands.
#[derive(Debug, Serialize, ToSchema)]
struct ExtractDetail {
    id: String,
    url: String,
    /// `queued`, `running`, `done`, `failed` or `expired`.
    state: &'static str,
    created: DateTime<Utc>,
    /// While it is queued.
    queue: Option<QueuePosition>,
    /// Once it runs.
    progress: Option<ExtractProgress>,
    /// Why it failed, and what to do.
    message: Option<String>,
    finished: Option<DateTime<Utc>>,
    /// Until when the files are kept. The record is kept for good.
    expires: Option<DateTime<Utc>>,
    request: ExtractRequest,
    /// The snapshots it reads, by dataset.
    snapshots: BTreeMap<String, u64>,
    /// The licenses of all it reads; share-alike ones hold for the result.
    licenses: Vec<ExtractLicense>,
    /// Name and type of each column of the result.
    columns: Vec<ExtractColumn>,
    rows: Option<u64>,
    bytes: Option<u64>,
    /// In row order; empty until it is done, and after it expired.
    files: Vec<ExtractFileEntry>,
    /// The version of Openshelf that made the files.
    software: Option<String>,
    /// How to cite it.
    cite_as: String,
    bibtex: String,
    /// How to have the files made (again), when there are none.
    redo: Option<String>,
}

/// Asks for a query to be run as a job. The same request for the same snapshots is the same extract.
#[utoipa::path(
    post, path = "/v1/extracts", tag = "extracts",
    request_body(
        content = ExtractBody,
        description = "Either `query` (one SELECT) and `snapshots` ({dataset: number}), or `dataset`, `table`, `snapshot` and \
                       the parameters of rows: `select`, `where`, …",
        content_type = "application/json"
    ),
    responses(
        (status = 200, description = "It is done already", body = ExtractDetail),
        (status = 202, description = "It will be done; `Location` says how it stands", body = ExtractDetail),
        (status = 400, description = "It cannot be planned; the problem says why and what would work"),
        (status = 404, description = "No such dataset, table or snapshot"),
        (status = 413, description = "The body is too long"),
        (status = 415, description = "The body is no JSON"),
        (status = 429, description = "Too many are waiting"),
        (status = 451, description = "A license allows no public copy")
    )
)]
pub(in crate::http) async fn post(
    State(state): State<AppState>,
    asker: Asker,
    headers: HeaderMap,
    BodyObject(body): BodyObject,
) -> Result<Response, Problem> {
    let example = || {
        let body = r#"{"dataset": "…", "table": "…", "where": "…"}"#;
        format!("curl -X POST {} -H 'Content-Type: application/json' -d '{body}'", state.url("/v1/extracts"))
    };
    let (id, order) = order::read(&state, body).await.map_err(|problem| problem.or_hint(example))?;
    order::pass(&state, &order)?;
    let extract = match extracts::find(&state, &id).await? {
        Some(extract) if extract.is_pending() || has_files(&state, &extract) => extract,
        known => request(&state, asker, &id, order, known.map_or(0, |known| known.number)).await?,
    };
    let mut response = detail(&state, &extract, &headers).await?;
    if extract.is_pending() {
        *response.status_mut() = StatusCode::ACCEPTED;
        response.headers_mut().insert(header::RETRY_AFTER, ASK_AGAIN.into());
    }
    // What was posted is never kept by caches.
    response.headers_mut().insert(header::CACHE_CONTROL, CachePolicy::Never.header());
    if let Ok(location) = state.url(&format!("/v1/extracts/{id}")).try_into() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// How an extract stands, and its files once it is done. The record stays when the files are gone.
#[utoipa::path(
    get, path = "/v1/extracts/{id}", tag = "extracts",
    params(("id" = String, Path, description = "The id of an extract")),
    responses(
        (status = 200, body = ExtractDetail),
        (status = 304, description = "The client has it"),
        (status = 404, description = "No such extract"),
        (status = 451, description = "A license allows no public copy")
    )
)]
pub(in crate::http) async fn get(
    State(state): State<AppState>,
    path: PathParams,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let extract = found(&state, path.get("id")).await?;
    order::pass(&state, &extract.order)?;
    let mut response = detail(&state, &extract, &headers).await?;
    if extract.is_pending() {
        response.headers_mut().insert(header::RETRY_AFTER, ASK_AGAIN.into());
    }
    Ok(response)
}

/// A file of an extract; ranges, conditions and HEAD work as readers expect.
#[utoipa::path(
    get, path = "/v1/extracts/{id}/{file}", tag = "extracts",
    params(
        ("id" = String, Path, description = "The id of an extract"),
        ("file" = String, Path, description = "A file's name, as the extract gives it")
    ),
    responses(
        (status = 200, description = "The file", body = [u8], content_type = "application/vnd.apache.parquet"),
        (status = 206, description = "The range", body = [u8], content_type = "application/vnd.apache.parquet"),
        (status = 304, description = "The client has it"),
        (status = 404, description = "No such file"),
        (status = 410, description = "It is no longer kept; the problem says how to have it made again"),
        (status = 412, description = "It is another file"),
        (status = 416, description = "The range lies outside"),
        (status = 451, description = "A license allows no public copy")
    )
)]
pub(in crate::http) async fn file(
    State(state): State<AppState>,
    path: PathParams,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let extract = found(&state, path.get("id")).await?;
    order::pass(&state, &extract.order)?;
    let (name, url) = (path.get("file"), state.url(&format!("/v1/extracts/{}", extract.id)));
    let result = extract.result();
    let entry = result.and_then(|result| result.files.iter().find(|file| file.name == name));
    let (Some(result), Some(entry)) = (result, entry) else {
        let detail = format!("Extract {} has no file `{name}`; its record lists those it has.", extract.id);
        return Err(Problem::new(Kind::FileNotFound, detail).hint(url));
    };
    if !has_files(&state, &extract) {
        return Err(gone(&state, &extract, &url));
    }
    let key = state.store.extract_file(&extract.id, &entry.name);
    let personal = extract.id.is_personal();
    let served = ServedFile {
        key: &key,
        bytes: entry.bytes,
        sha256: &entry.sha256,
        modified: result.finished,
        policy: CachePolicy::of(true, personal),
        snapshots: named(&extract.order.snapshots),
        licenses: extract.order.licenses.iter().map(|license| license.license.url.as_str()).collect(),
    };
    match file::serve(&state, &served, &method, &headers).await {
        // Deleted between the two looks.
        Err(problem) if problem.kind() == Kind::Internal && state.store.object(&key).await?.is_none() => {
            Err(gone(&state, &extract, &url))
        }
        answered => answered,
    }
}

fn gone(state: &AppState, extract: &Extract, url: &str) -> Problem {
    let result = extract.result();
    let when = result.map_or_else(String::new, |result| format!(" on {}", result.expires.format("%Y-%m-%d")));
    let detail = format!(
        "The files of extract {} were kept until they expired{when}; what they were, their sha256 and how to cite them stands in \
         the record at {url}. The command makes them again, from the same snapshots.",
        extract.id
    );
    Problem::new(Kind::ExtractExpired, detail)
        .hint(redo(state, &extract.order))
        .header(header::LINK, format!("<{url}>; rel=\"describedby\""))
}

async fn found(state: &AppState, id: &str) -> Result<Extract, Problem> {
    let missing = || {
        Problem::new(Kind::ExtractNotFound, format!("There is no extract `{id}`.")).hint(state.url("/docs#extracts"))
    };
    let id: ExtractId = id.parse().map_err(|_| missing())?;
    extracts::find(state, &id).await?.ok_or_else(missing)
}

/// Whether its files are there.
fn has_files(state: &AppState, extract: &Extract) -> bool {
    matches!(&extract.last.state, ExtractState::Done(result) if result.expires > (state.clock)())
}

/// Writes down what is asked for, unless too much is waiting.
async fn request(
    state: &AppState,
    asker: Asker,
    id: &ExtractId,
    order: ExtractOrder,
    number: u64,
) -> Result<Extract, Problem> {
    let settings = &state.settings.extracts;
    let limits = state.settings.limits;
    let waiting = state.store.agenda(Agenda::Queue).await?.len();
    let own = state.extracts.asked_by(asker.0);
    let refuse = |detail: String| {
        Err(Problem::new(Kind::TooManyExtracts, detail)
            .hint(state.url("/docs#extracts"))
            .header(header::RETRY_AFTER, settings.look_every.as_secs().max(30)))
    };
    if waiting >= settings.waiting {
        return refuse(format!("{waiting} extracts are waiting or under way, the most there may be."));
    }
    if limits && own >= settings.anonymous.waiting {
        return refuse(format!("{own} extracts of this address are waiting or under way, the most one may have."));
    }
    let now = (state.clock)();
    state.store.add_due(Agenda::Queue, &Due::new(now, id.clone())).await?;
    let run = ulid::Ulid::generate().to_string();
    let event = ExtractEvent { run, at: now, state: ExtractState::Requested(Box::new(order)) };
    match state.store.put_extract_event(id, number + 1, &event).await {
        // Somebody asked for the same in the same moment.
        Ok(()) | Err(StoreError::Taken { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    state.extracts.added(id, asker.0);
    let found = extracts::find(state, id).await?;
    found.ok_or_else(|| Problem::internal("an extract that was just asked for is not there"))
}

async fn detail(state: &AppState, extract: &Extract, headers: &HeaderMap) -> Result<Response, Problem> {
    let url = state.url(&format!("/v1/extracts/{}", extract.id));
    let order = &extract.order;
    let there = has_files(state, extract);
    let (name, message) = match &extract.last.state {
        ExtractState::Requested(_) | ExtractState::Released { .. } => ("queued", None),
        ExtractState::Running { .. } => ("running", None),
        ExtractState::Done(_) if there => ("done", None),
        ExtractState::Done(_) | ExtractState::Expired(_) => ("expired", None),
        ExtractState::Failed { message } => ("failed", Some(message.clone())),
    };
    let queue = match name {
        "queued" => {
            let waiting = state.store.agenda(Agenda::Queue).await?;
            let at = waiting.iter().position(|due| due.id == extract.id);
            at.map(|at| QueuePosition { position: at as u64 + 1 })
        }
        _ => None,
    };
    let progress = match &extract.last.state {
        ExtractState::Running { progress, .. } => Some(state.extracts.live(&extract.id).unwrap_or(*progress)),
        _ => None,
    };
    let result = extract.result();
    let entry = |file: &ExtractFile| ExtractFileEntry {
        url: format!("{url}/{}", file.name),
        bytes: file.bytes,
        rows: file.rows,
        sha256: file.sha256.clone(),
    };
    let made = result.map_or(extract.created, |result| result.finished);
    let view = ExtractDetail {
        id: extract.id.to_string(),
        state: name,
        created: extract.created,
        queue,
        progress,
        message,
        finished: result.map(|result| result.finished),
        expires: result.map(|result| result.expires),
        request: order.request.clone(),
        snapshots: order.snapshots.clone(),
        licenses: order.licenses.clone(),
        columns: result.map_or_else(Vec::new, |result| {
            let column = |(name, kind): &(String, String)| ExtractColumn { name: name.clone(), kind: kind.clone() };
            result.columns.iter().map(column).collect()
        }),
        rows: result.map(|result| result.rows),
        bytes: result.map(|result| result.files.iter().map(|file| file.bytes).sum()),
        files: result.map_or_else(Vec::new, |result| result.files.iter().map(entry).collect()),
        software: result.map(|result| result.software.clone()),
        cite_as: citation(extract, made, &url),
        bibtex: bibtex(extract, made, &url),
        redo: matches!(name, "failed" | "expired").then(|| redo(state, order)),
        url: url.clone(),
    };
    let personal = order.licenses.iter().any(|license| license.license.redistribution == Redistribution::Personal);
    let policy = if extract.is_pending() { CachePolicy::Never } else { CachePolicy::of(false, personal) };
    let mut response = answer::json(&view, policy, headers)?;
    if let Ok(value) = named(&order.snapshots).try_into() {
        response.headers_mut().insert("openshelf-snapshot", value);
    }
    for license in &order.licenses {
        link(&mut response, &license.license.url, "license");
    }
    link(&mut response, &state.url("/openapi.json"), "describedby");
    link(&mut response, &url, "cite-as");
    Ok(response)
}

/// Snapshots as a header names them: `imdb=7, geonames=3`.
fn named(snapshots: &BTreeMap<String, u64>) -> String {
    snapshots.iter().map(|(dataset, number)| format!("{dataset}={number}")).collect::<Vec<_>>().join(", ")
}

/// The command that asks for it, with the snapshots it had.
fn redo(state: &AppState, order: &ExtractOrder) -> String {
    let body = match &order.request {
        ExtractRequest::Sql { query } => serde_json::json!({"query": query, "snapshots": order.snapshots}),
        ExtractRequest::Rows { dataset, table, parameters } => {
            let mut body = serde_json::json!({"dataset": dataset, "table": table});
            if let Some(body) = body.as_object_mut() {
                body.extend(order.snapshots.get(dataset).map(|number| ("snapshot".to_owned(), (*number).into())));
                body.extend(parameters.iter().map(|(name, value)| (name.clone(), value.clone().into())));
            }
            body
        }
    };
    let body = body.to_string().replace('\'', r"'\''");
    format!("curl -X POST {} -H 'Content-Type: application/json' -d '{body}'", state.url("/v1/extracts"))
}

fn citation(extract: &Extract, made: DateTime<Utc>, url: &str) -> String {
    format!(
        "{}. Openshelf extract {}, {}. {url}",
        extract.order.citations.join("; "),
        extract.id,
        made.format("%Y-%m-%d")
    )
}

fn bibtex(extract: &Extract, made: DateTime<Utc>, url: &str) -> String {
    // Braces and backslashes would end the field or begin a command.
    let plain = |text: &str| text.chars().filter(|c| !matches!(c, '{' | '}' | '\\')).collect::<String>();
    format!(
        "@misc{{openshelf-{},\n  title = {{{{Openshelf extract {}}}}},\n  year = {{{}}},\n  note = {{{}}},\n  howpublished = {{\\url{{{}}}}}\n}}\n",
        extract.id,
        extract.id,
        made.format("%Y"),
        plain(&extract.order.citations.join("; ")),
        plain(url),
    )
}
