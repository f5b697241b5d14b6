//! The search index of a table for whoever asks: open, or, while it is made or fetched behind the answer, how that stands.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    background::Standing,
    cache::CachePolicy,
    problem::{Kind, Problem},
    state::AppState,
    subject::Subject,
};
use crate::{
    query::search::{Kept, Opened},
    store::DerivedFrom,
};

/// When to ask again, if it cannot be told.
const SOON: Duration = Duration::from_secs(5);
/// Tries to get hold of an index that others lose: a damaged one is made again once.
const ROUNDS: usize = 4;

/// An index, or why there is none yet.
pub(super) enum Index {
    Ready(Arc<Opened>),
    NotYet(NotYet),
}

/// What 202 says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotYet {
    /// `waiting` for its turn, `building` from the table's rows, or `fetching` from the store.
    state: &'static str,
    /// In words.
    detail: String,
    /// Pieces of work before this one, those under way included.
    before: usize,
    /// How far it is, once it has begun.
    progress: Option<Done>,
    /// Seconds it may still take, once that can be told.
    seconds_left: Option<u64>,
    /// Seconds to wait before asking again, as in `Retry-After`.
    retry_after: u64,
    /// The address to ask again.
    url: String,
}

/// Steps of a piece of work.
#[derive(Debug, Serialize, ToSchema)]
struct Done {
    done: u64,
    total: u64,
    /// What is counted: `rows` or `bytes`.
    unit: &'static str,
}

impl NotYet {
    fn new(standing: &Standing, fetching: bool, url: String) -> Self {
        let work = if fetching { "fetching" } else { "building" };
        let (before, progress, left) = match standing {
            Standing::Waiting { before } => (*before, None, None),
            Standing::Working { done, total, left } => {
                let unit = if fetching { "bytes" } else { "rows" };
                (0, (*total > 0).then_some(Done { done: *done, total: *total, unit }), *left)
            }
            _ => (0, None, None),
        };
        let waits = matches!(standing, Standing::Waiting { .. } | Standing::Full);
        Self {
            state: if waits { "waiting" } else { work },
            detail: match (waits, fetching) {
                (true, _) => format!("The search index of this snapshot waits for its turn; {before} are before it."),
                (_, true) => "The search index of this snapshot is fetched from the store.".to_owned(),
                (_, false) => "The search index of this snapshot is being built.".to_owned(),
            },
            before,
            progress,
            seconds_left: left.map(|left| left.as_secs() + 1),
            retry_after: left.unwrap_or(SOON).min(SOON).as_secs().max(1),
            url,
        }
    }
}

impl IntoResponse for NotYet {
    fn into_response(self) -> Response {
        let mut body = serde_json::to_vec(&self).unwrap_or_default();
        body.push(b'\n');
        let mut response = Response::new(body.into());
        *response.status_mut() = StatusCode::ACCEPTED;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, CachePolicy::Never.header());
        headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after));
        if let Ok(url) = HeaderValue::try_from(self.url) {
            headers.insert(header::LOCATION, url);
        }
        response
    }
}

/// The index of a table; making or fetching it is begun where nobody has. `here`: the address to ask again.
///
/// # Errors
/// 503 when it could not be made a moment ago, or the store does not answer.
pub(super) async fn of(state: &AppState, subject: &Subject, here: &str) -> Result<Index, Problem> {
    let manifest = &subject.published.manifest;
    let table = manifest.table(&subject.table).ok_or_else(|| Problem::internal("a table that was there is gone"))?;
    let of = DerivedFrom::new(manifest, table)?;
    let name = format!("search index of {}@{}/{}", of.dataset, of.snapshot, of.table);
    let patience = state.settings.derived.patience;
    for _ in 0..ROUNDS {
        let kept = state.indexes.kept(&state.store, &of).await?;
        let (again, source, of) = (state.clone(), subject.source.clone(), of.clone());
        let (standing, fetching) = match kept {
            Kept::Open(index) => return Ok(Index::Ready(index)),
            Kept::Stored(folder) => {
                state.fetches.ask(&name, |progress| async move {
                    again.indexes.fetch(&source, &of, &folder, &progress).await.map(drop)
                });
                (state.fetches.settled(&name, patience).await, true)
            }
            Kept::Nowhere => {
                state
                    .background
                    .ask(&name, |progress| async move { again.indexes.make(&source, &of, &progress).await });
                (state.background.settled(&name, patience).await, false)
            }
        };
        match standing {
            // It ended: what it came to is looked up.
            Standing::Gone => {}
            Standing::Failed { retry, .. } => {
                return Err(Problem::new(Kind::IndexNotMade, Kind::IndexNotMade.explanation())
                    .header(header::RETRY_AFTER, retry.as_secs().max(1))
                    .hint(here));
            }
            standing => return Ok(Index::NotYet(NotYet::new(&standing, fetching, here.to_owned()))),
        }
    }
    Ok(Index::NotYet(NotYet::new(&Standing::Full, false, here.to_owned())))
}
