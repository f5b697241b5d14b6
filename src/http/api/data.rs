//! `/data/{dataset}/{table}/{file}`: published files as plain URLs, with everything range readers need.
//!
//! Unknown arguments and headers are ignored, as these clients expect. Files never change, so their sha256 is their
//! entity tag ([`mod@file`]); those of older snapshots stay readable.

use std::{collections::HashSet, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};
use chrono::{DateTime, Utc};

use crate::{
    catalog::{DataFile, DatasetId, License, Manifest, TableId, TableSnapshot},
    http::{
        cache::CachePolicy,
        collected,
        file::{self, ServedFile},
        gate,
        params::PathParams,
        problem::{Kind, Problem},
        published,
        state::AppState,
    },
    store::{Area, Key},
};

/// Older snapshots that are searched for a file the current one does not have.
const SNAPSHOTS_SEARCHED: usize = 1000;

/// A published file.
#[derive(Debug, Clone)]
pub(in crate::http) struct Located {
    file: DataFile,
    license: License,
    modified: DateTime<Utc>,
}

/// A published Parquet file; ranges, conditions and HEAD work as readers expect.
#[utoipa::path(
    get, path = "/data/{dataset}/{table}/{file}", tag = "files",
    params(
        ("dataset" = String, Path, description = "Dataset, or `dataset@n` for the files of snapshot n only"),
        ("table" = String, Path, description = "Table"),
        ("file" = String, Path, description = "A file's name, as the list of files gives it")
    ),
    responses(
        (status = 200, description = "The file", body = [u8], content_type = "application/vnd.apache.parquet"),
        (status = 206, description = "The range", body = [u8], content_type = "application/vnd.apache.parquet"),
        (status = 304, description = "The client has it"),
        (status = 404, description = "No such file"),
        (status = 410, description = "Its snapshot is no longer kept"),
        (status = 412, description = "It is another file"),
        (status = 416, description = "The range lies outside"),
        (status = 451, description = "The license allows no public copy")
    )
)]
pub(in crate::http) async fn get(
    State(state): State<AppState>,
    path: PathParams,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = locate(&state, path.get("dataset"), path.get("table"), path.get("file")).await?;
    let served = ServedFile {
        key: &found.file.key,
        bytes: found.file.bytes,
        sha256: &found.file.sha256,
        modified: found.modified,
        policy: CachePolicy::of(true, gate::is_personal(&found.license)),
        snapshots: found.file.added_in.to_string(),
        licenses: vec![&found.license.url],
    };
    file::serve(&state, &served, &method, &headers).await
}

/// Finds a published file by its name: in the snapshot named, else in the current one, else in older ones.
async fn locate(state: &AppState, dataset: &str, table: &str, file: &str) -> Result<Arc<Located>, Problem> {
    let (dataset, pinned) = match dataset.split_once('@') {
        Some((dataset, number)) => (dataset, Some(number)),
        None => (dataset, None),
    };
    let published = published::snapshot(state, dataset, pinned).await?;
    let manifest = &published.manifest;
    let list = state.url(&format!("/v1/datasets/{}/tables/{table}/files", manifest.dataset));
    let missing = || {
        let detail = format!("`{}` has no file `{file}` in a table `{table}`.", manifest.dataset);
        Problem::new(Kind::FileNotFound, detail).hint(list.clone())
    };
    if let Some(table) = manifest.table(table) {
        // What may not be served says so before it says whether it is there.
        gate::pass(state, manifest, table)?;
        if let Some(found) = find(state, manifest, table, file, &mut HashSet::new()).await? {
            return Ok(found);
        }
    }
    if pinned.is_some() {
        return Err(missing());
    }
    older(state, manifest, table, file).await?.ok_or_else(missing)
}

/// A file that only older snapshots have.
async fn older(state: &AppState, head: &Manifest, table: &str, file: &str) -> Result<Option<Arc<Located>>, Problem> {
    let (Ok(dataset), Ok(table_id)) = (head.dataset.parse::<DatasetId>(), table.parse::<TableId>()) else {
        return Ok(None);
    };
    // One look at the object spares the search for names that never were.
    let mut there = false;
    for area in [Area::Open, Area::Personal] {
        let key = Key::Data { area, dataset: dataset.clone(), table: table_id.clone(), file: file.to_owned() };
        there |= state.store.object(&key.to_string()).await?.is_some();
    }
    if !there {
        return Ok(None);
    }
    let mut numbers = state.store.snapshots(&dataset).await?;
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut seen = HashSet::new();
    for number in numbers.into_iter().filter(|number| *number < head.snapshot).take(SNAPSHOTS_SEARCHED) {
        let Some(manifest) = state.store.manifest(&dataset, number).await? else { continue };
        let Some(table) = manifest.table(table) else { continue };
        if let Some(found) = find(state, &manifest, table, file, &mut seen).await? {
            gate::pass(state, &manifest, table)?;
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A file among those of one table, unless all its segments were looked through before.
async fn find(
    state: &AppState,
    manifest: &Manifest,
    table: &TableSnapshot,
    file: &str,
    seen: &mut HashSet<String>,
) -> Result<Option<Arc<Located>>, Problem> {
    let fresh = table.segments.iter().filter(|segment| seen.insert(segment.hash.clone())).count();
    if fresh == 0 {
        return Ok(None);
    }
    let files = match state.store.files(manifest, table).await {
        Ok(files) => files,
        Err(error) => return Err(collected::or_gone(state, manifest, error.into()).await),
    };
    let Some(found) = files.iter().find(|known| known.name() == file) else { return Ok(None) };
    let Some(object) = state.store.object(&found.key).await? else {
        let lost = Problem::internal(format!("{} is in a manifest and not in the store", found.key));
        return Err(collected::or_gone(state, manifest, lost).await);
    };
    Ok(Some(Arc::new(Located {
        file: found.clone(),
        license: manifest.license_of(table).clone(),
        modified: object.modified,
    })))
}
