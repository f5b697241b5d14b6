//! `/v1/extracts`: queries too big for one answer, as jobs whose result is Parquet files under an id that can be cited.
//!
//! - `order`: what a request means
//! - `record`: an extract as it stands, for its answer

pub(in crate::http) mod order;
mod record;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};

use self::record::{ExtractDetail, detail, has_files, named, redo};
use crate::{
    catalog::extract::{Extract, ExtractEvent, ExtractId, ExtractOrder, ExtractState},
    http::{
        api::described::ExtractBody,
        body,
        cache::CachePolicy,
        extracts,
        file::{self, Content, ServedFile},
        limits::Asker,
        params::{Params, PathParams},
        problem::{Kind, Problem},
        state::AppState,
    },
    store::{Agenda, Due, StoreError},
};

/// Seconds after which it is worth asking again.
const ASK_AGAIN: u64 = 2;

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
    request: Request,
) -> Result<Response, Problem> {
    let body = body::object(request, &state).await?;
    let plain = order::plainer(&body).to_string().replace('\'', r"'\''");
    let example =
        || format!("curl -X POST {} -H 'Content-Type: application/json' -d '{plain}'", state.url("/v1/extracts"));
    let (id, order) = order::read(&state, body).await.map_err(|problem| problem.or_hint(example))?;
    order::pass(&state, &order)?;
    let extract = match extracts::find(&state, &id).await? {
        Some(extract) if extract.is_pending() || has_files(&state, &extract) => extract,
        known => ask(&state, asker, &id, order, known.map_or(0, |known| known.number)).await?,
    };
    // What is asked for is never held against what the client has.
    let mut response = detail(&state, &extract, &HeaderMap::new()).await?;
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
        content: Content::Stored(&key),
        media_type: file::PARQUET,
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

/// Writes down what is asked for, unless too much is waiting.
async fn ask(
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
