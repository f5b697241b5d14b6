//! From the names in a request to one manifest. A request reads one manifest and everything from it: never a torn answer.

use std::sync::Arc;

use chrono::NaiveDate;

use super::{
    collected, gate,
    problem::{Kind, Problem},
    state::AppState,
};
use crate::{
    catalog::{DataFile, DatasetId, Manifest, TableSnapshot, rejects},
    query::{
        names,
        table::{Rows, Table, TableSource},
    },
};

/// A snapshot that a request is about.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) manifest: Arc<Manifest>,
    /// Whether the request named its number, so that the answer never changes.
    pub(super) pinned: bool,
}

/// The dataset that a name means.
///
/// # Errors
/// 404 with the nearest name.
pub(super) async fn dataset(state: &AppState, name: &str) -> Result<DatasetId, Problem> {
    if let Ok(id) = name.parse::<DatasetId>()
        && state.store.head(&id).await?.is_some()
    {
        return Ok(id);
    }
    let all = state.listing.names(&state.store).await?;
    let known: Vec<&str> = all.iter().map(DatasetId::as_str).collect();
    match names::resolve_among(&known, name) {
        Ok(at) => all.get(at).cloned().ok_or_else(|| Problem::internal("a dataset without a name")),
        Err(names::NameFault::Unknown(Some(near))) => {
            Err(Problem::new(Kind::DatasetNotFound, format!("There is no dataset `{name}`; did you mean `{near}`?"))
                .hint(state.url(&format!("/v1/datasets/{near}"))))
        }
        Err(_) => Err(Problem::new(Kind::DatasetNotFound, format!("There is no dataset `{name}`."))
            .hint(state.url("/v1/datasets"))),
    }
}

/// The snapshot that a dataset's name and `snapshot=` mean: a number, a UTC date (the newest on that day), or the
/// current one.
///
/// # Errors
/// 404 and 400 with what there is.
pub(super) async fn snapshot(state: &AppState, name: &str, wanted: Option<&str>) -> Result<Published, Problem> {
    snapshot_by("snapshot", state, name, wanted).await
}

/// [`snapshot`], by a parameter of another name.
///
/// # Errors
/// As [`snapshot`].
pub(super) async fn snapshot_by(
    parameter: &str,
    state: &AppState,
    name: &str,
    wanted: Option<&str>,
) -> Result<Published, Problem> {
    let id = dataset(state, name).await?;
    let list = || state.url(&format!("/v1/datasets/{id}/snapshots"));
    let Some(wanted) = wanted else {
        let manifest = state.store.head(&id).await?;
        let manifest = manifest.ok_or_else(|| Problem::new(Kind::DatasetNotFound, format!("`{id}` is empty.")))?;
        return Ok(Published { manifest, pinned: false });
    };
    if let Ok(number) = wanted.parse::<u64>() {
        return match state.store.manifest(&id, number).await? {
            Some(manifest) => Ok(Published { manifest, pinned: true }),
            None => {
                let newest = state.store.head(&id).await?.map_or(0, |head| head.snapshot);
                // Numbers have no gaps: what is below the newest one was there.
                if (1..newest).contains(&number) {
                    return Err(collected::gone(state, &id, number, None, newest));
                }
                let detail = format!("`{id}` has no snapshot {number}; the newest is {newest}.");
                Err(Problem::new(Kind::SnapshotNotFound, detail).hint(list()))
            }
        };
    }
    let Ok(day) = NaiveDate::parse_from_str(wanted, "%Y-%m-%d") else {
        let detail = format!("`{parameter}` is `{wanted}`; it takes a number or a UTC date such as 2026-11-21.");
        return Err(Problem::new(Kind::InvalidParameter, detail).hint(list()));
    };
    match of_day(state, &id, day).await? {
        Some(manifest) => Ok(Published { manifest, pinned: false }),
        None => {
            let detail = format!("No snapshot of `{id}` was published on {day} (UTC).");
            Err(Problem::new(Kind::SnapshotNotFound, detail).hint(list()))
        }
    }
}

/// The newest snapshot of a day. Numbers rise with time, so the days are halved, not walked.
async fn of_day(state: &AppState, id: &DatasetId, day: NaiveDate) -> Result<Option<Arc<Manifest>>, Problem> {
    let mut numbers = state.store.snapshots(id).await?;
    numbers.sort_unstable();
    let (mut low, mut high) = (0, numbers.len());
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let Some(number) = numbers.get(middle) else { break };
        match state.store.manifest(id, *number).await? {
            Some(manifest) if manifest.created.date_naive() <= day => {
                found = Some(manifest);
                low = middle + 1;
            }
            _ => high = middle,
        }
    }
    Ok(found.filter(|manifest| manifest.created.date_naive() == day))
}

impl Published {
    /// The table of that name.
    ///
    /// # Errors
    /// 404 with the nearest name.
    pub(super) fn table(&self, state: &AppState, name: &str) -> Result<&TableSnapshot, Problem> {
        let known: Vec<&str> = self.manifest.tables.iter().map(|table| table.name.as_str()).collect();
        let dataset = &self.manifest.dataset;
        match names::resolve_among(&known, name) {
            Ok(at) => self.manifest.tables.get(at).ok_or_else(|| Problem::internal("a table without a name")),
            Err(names::NameFault::Unknown(Some(near))) => Err(Problem::new(
                Kind::TableNotFound,
                format!("`{dataset}` has no table `{name}`; did you mean `{near}`?"),
            )
            .hint(state.url(&format!("/v1/datasets/{dataset}/tables/{near}")))),
            Err(_) => Err(Problem::new(
                Kind::TableNotFound,
                format!("`{dataset}` has no table `{name}`; it has {}.", known.join(", ")),
            )
            .hint(state.url(&format!("/v1/datasets/{dataset}")))),
        }
    }

    /// The files of a table.
    ///
    /// # Errors
    /// When the store does not give the list of them; 410 when the snapshot is no longer kept.
    pub(super) async fn files(&self, state: &AppState, table: &TableSnapshot) -> Result<Arc<Vec<DataFile>>, Problem> {
        match state.store.files(&self.manifest, table).await {
            Ok(files) => Ok(files),
            Err(error) => Err(collected::or_gone(state, &self.manifest, error.into()).await),
        }
    }

    /// A table's rows, or its rejects, ready to be read; worked out once per snapshot.
    ///
    /// # Errors
    /// When the store does not give the list of its files.
    pub(super) async fn source(
        &self,
        state: &AppState,
        table: &TableSnapshot,
        rows: Rows,
    ) -> Result<TableSource, Problem> {
        let manifest = &self.manifest;
        let known = state.tables.get(&manifest.dataset, manifest.snapshot, &table.name, rows);
        let table = match (known, rows) {
            (Some(known), _) => known,
            (None, Rows::Published) => {
                let files = self.files(state, table).await?;
                let prepared = Arc::new(Table::new(files, Arc::new(table.schema.clone())));
                state.tables.insert(&manifest.dataset, manifest.snapshot, &table.name, rows, &prepared);
                prepared
            }
            (None, Rows::Rejected) => {
                let files = match state.store.reject_files(manifest, table).await {
                    Ok(files) => files,
                    Err(error) => return Err(collected::or_gone(state, manifest, error.into()).await),
                };
                let prepared = Arc::new(Table::new(files, Arc::new(rejects::schema())));
                state.tables.insert(&manifest.dataset, manifest.snapshot, &table.name, rows, &prepared);
                prepared
            }
        };
        Ok(TableSource {
            store: state.store.clone(),
            table,
            footers: Arc::clone(&state.footers),
            caps: state.settings.scan,
        })
    }

    /// The table of that name, if its license lets its data be served here.
    ///
    /// # Errors
    /// As [`Self::table`], and 451.
    pub(super) fn data_table(&self, state: &AppState, name: &str) -> Result<&TableSnapshot, Problem> {
        let table = self.table(state, name)?;
        gate::pass(state, &self.manifest, table)?;
        Ok(table)
    }
}
