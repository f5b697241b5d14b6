//! Statistics in the store: read, or made and put there. Which comes first is the asker's business.

use super::{TableStatistics, compute};
use crate::{
    catalog::{Manifest, TableSnapshot},
    query::{QueryError, progress::Progress, table::TableSource},
    store::{DerivedFrom, Store, StoreError},
};

/// Their name in the store. The number rises when their form or their meaning changes, so that old ones are made anew.
const THING: &str = "statistics-1";

/// The statistics of a table of a snapshot, if they were made. What cannot be read is forgotten.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn kept(store: &Store, of: &DerivedFrom) -> Result<Option<TableStatistics>, StoreError> {
    let Some(body) = store.derived(of, THING).await? else { return Ok(None) };
    match serde_json::from_slice(&body) {
        Ok(statistics) => Ok(Some(statistics)),
        Err(error) => {
            tracing::warn!(dataset = %of.dataset, snapshot = of.snapshot, table = %of.table, %error, "statistics cannot be read and are made anew");
            store.drop_derived(of, THING).await?;
            Ok(None)
        }
    }
}

/// Takes over the statistics of the snapshot before, where the table's files are the same ones.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn take_over(
    store: &Store,
    manifest: &Manifest,
    table: &TableSnapshot,
    of: &DerivedFrom,
) -> Result<Option<TableStatistics>, StoreError> {
    let Some(parent) = manifest.rollback_to.or(manifest.parent) else { return Ok(None) };
    let Some(before) = store.manifest(&of.dataset, parent).await? else { return Ok(None) };
    let Some(same) = before.table(&table.name) else { return Ok(None) };
    if same.segments != table.segments || same.schema != table.schema {
        return Ok(None);
    }
    let statistics = kept(store, &DerivedFrom::new(&before, same)?).await?;
    if let Some(statistics) = &statistics {
        put(store, of, statistics).await?;
    }
    Ok(statistics)
}

/// Makes the statistics of a table of a snapshot, and keeps them.
///
/// # Errors
/// As [`compute`], and when they cannot be put into the store.
pub async fn make(source: &TableSource, of: &DerivedFrom, progress: &Progress) -> Result<TableStatistics, QueryError> {
    let statistics = compute(source, progress).await?;
    put(&source.store, of, &statistics).await?;
    Ok(statistics)
}

async fn put(store: &Store, of: &DerivedFrom, statistics: &TableStatistics) -> Result<(), StoreError> {
    let key = || crate::store::Key::Derived { of: of.clone(), thing: THING }.to_string();
    let body = serde_json::to_vec(statistics)
        .map_err(|error| StoreError::Corrupt { path: key(), why: format!("cannot be written: {error}") })?;
    // Of two that make them at a time both made the same.
    store.put_derived(of, THING, body.into()).await.map(drop)
}
