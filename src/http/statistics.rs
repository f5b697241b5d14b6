//! A table's statistics for whoever asks: those that are kept, or, while they are made behind the answer, how that stands.

use std::{sync::Arc, time::Duration};

use quick_cache::{Weighter, sync::Cache};
use serde::Serialize;
use utoipa::ToSchema;

use super::{background::Standing, problem::Problem, published::Published, state::AppState};
use crate::{
    catalog::TableSnapshot,
    query::{
        QueryError,
        statistics::{self, TableStatistics},
        table::Rows,
    },
    store::DerivedFrom,
};

/// Memory of statistics kept, about.
const CACHE: u64 = 16 << 20;
/// Memory the statistics of a column take, about.
const COLUMN: u64 = 8 << 10;
/// A table of more bytes is not read just because somebody looks at it; `openshelf index` does that.
const LARGEST: u64 = 256_000_000_000;
/// When to ask again, if it cannot be told.
const SOON: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct ColumnsWeight;

impl Weighter<DerivedFrom, Arc<TableStatistics>> for ColumnsWeight {
    fn weight(&self, _: &DerivedFrom, statistics: &Arc<TableStatistics>) -> u64 {
        COLUMN * (statistics.columns.len() as u64 + 1)
    }
}

/// Statistics read from the store before.
pub(super) struct Known(Cache<DerivedFrom, Arc<TableStatistics>, ColumnsWeight>);

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("tables", &self.0.len()).finish()
    }
}

impl Default for Known {
    fn default() -> Self {
        Self(Cache::with_weighter(1000, CACHE, ColumnsWeight))
    }
}

/// Whether statistics are all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Completeness {
    /// They are.
    Complete,
    /// Being computed, or waiting for their turn: ask again after `Retry-After`.
    Computing,
    /// They could not be computed; that is tried again after `Retry-After`.
    Failed,
    /// The table is so large that they are computed only by `openshelf index`.
    OnCommand,
    /// The data is not served here, and neither is what is known of it.
    Withheld,
}

/// Statistics as far as they are known.
#[derive(Debug)]
pub(super) struct Found {
    /// All of them, when they are complete.
    pub(super) statistics: Option<Arc<TableStatistics>>,
    pub(super) state: Completeness,
    /// When to ask again, if it makes sense to.
    pub(super) again: Option<Duration>,
}

impl Found {
    pub(super) fn withheld() -> Self {
        Self { statistics: None, state: Completeness::Withheld, again: None }
    }

    fn whole(statistics: Arc<TableStatistics>) -> Self {
        Self { statistics: Some(statistics), state: Completeness::Complete, again: None }
    }
}

/// The statistics of a table; making them is begun where nobody has, and waited for no longer than `patience`.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn of(
    state: &AppState,
    published: &Published,
    table: &TableSnapshot,
    patience: Duration,
) -> Result<Found, Problem> {
    let manifest = &published.manifest;
    let of = DerivedFrom::new(manifest, table)?;
    if let Some(found) = known(state, &of).await? {
        return Ok(Found::whole(found));
    }
    let name = format!("statistics of {}@{}/{}", of.dataset, of.snapshot, of.table);
    // Those of the snapshot before cost nothing where the table is still the same.
    if state.background.standing(&name) == Standing::Gone
        && let Some(same) = statistics::take_over(&state.store, manifest, table, &of).await?
    {
        return Ok(Found::whole(Arc::new(same)));
    }
    if table.bytes > LARGEST {
        return Ok(Found { statistics: None, state: Completeness::OnCommand, again: None });
    }
    let source = published.source(state, table, Rows::Published).await?;
    let begun = of.clone();
    state.background.ask(&name, |progress| async move {
        statistics::make(&source, &begun, &progress).await?;
        Ok::<_, QueryError>(())
    });
    let (state_of, again) = match state.background.settled(&name, patience).await {
        Standing::Gone => match known(state, &of).await? {
            Some(found) => return Ok(Found::whole(found)),
            None => (Completeness::Computing, SOON),
        },
        Standing::Working { left, .. } => (Completeness::Computing, left.unwrap_or(SOON).min(SOON)),
        Standing::Waiting { .. } | Standing::Full => (Completeness::Computing, SOON),
        Standing::Failed { retry, .. } => (Completeness::Failed, retry),
    };
    Ok(Found { statistics: None, state: state_of, again: Some(again) })
}

async fn known(state: &AppState, of: &DerivedFrom) -> Result<Option<Arc<TableStatistics>>, Problem> {
    if let Some(known) = state.statistics.0.get(of) {
        return Ok(Some(known));
    }
    let kept = statistics::kept(&state.store, of).await?.map(Arc::new);
    if let Some(kept) = &kept {
        state.statistics.0.insert(of.clone(), Arc::clone(kept));
    }
    Ok(kept)
}
