//! `/data/{dataset}/{table}/{file}`: published files as plain URLs, with everything range readers need.
//!
//! Unknown arguments and headers are ignored, as these clients expect. Files never change, so their sha256 makes
//! their entity tag ([`mod@file`]); those of older snapshots stay readable.

use std::{collections::HashSet, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::{
    catalog::{DatasetId, License, ListedFile, Manifest, TableId, TableSnapshot},
    http::{
        cache::CachePolicy,
        collected,
        file::{self, Content, ServedFile},
        gate,
        params::{Params, PathParams},
        problem::{Kind, Problem},
        published, s3,
        state::AppState,
    },
    store::{Area, Key},
};

/// Older snapshots that are searched for a file the current one does not have.
const SNAPSHOTS_SEARCHED: usize = 1000;

/// A published file.
#[derive(Debug, Clone)]
pub(in crate::http) struct Located {
    file: ListedFile,
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
        (status = 403, description = "The license allows no public copy")
    )
)]
pub(in crate::http) async fn get(
    State(state): State<AppState>,
    path: PathParams,
    params: Params,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    s3::refuse_operation(&state, &params)?;
    let (dataset, table, file) = (path.get("dataset"), path.get("table"), path.get("file"));
    let address = format!("{dataset}/{table}/{file}");
    let attributes = params.get("attributes").is_some();
    if let Some(found) = state.locations.get(&address).filter(|_| !attributes) {
        match answer(&state, &found, &method, &headers).await {
            // It may have been collected since.
            Err(problem) if problem.kind() == Kind::Internal => state.locations.forget(&address),
            answered => return answered,
        }
    }
    let asked = Instant::now();
    let found = locate(&state, dataset, table, file).await?;
    if attributes {
        let mut told = s3::attributes::of(&state, &headers, found.file.bytes, &found.file.sha256)?;
        file::date(told.headers_mut(), found.modified);
        return Ok(told);
    }
    let answered = answer(&state, &found, &method, &headers).await?;
    state.locations.insert(address, asked, &found);
    Ok(answered)
}

async fn answer(state: &AppState, found: &Located, method: &Method, headers: &HeaderMap) -> Result<Response, Problem> {
    let served = ServedFile {
        content: Content::Stored(&found.file.key),
        media_type: file::PARQUET,
        bytes: found.file.bytes,
        sha256: &found.file.sha256,
        modified: found.modified,
        policy: CachePolicy::of(true, gate::is_personal(&found.license)),
        snapshots: found.file.added_in.to_string(),
        licenses: vec![&found.license.url],
    };
    file::serve(state, &served, method, headers).await
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
            // What the current snapshot names is there.
            if pinned.is_some() {
                still_kept(state, manifest, &found.file.key).await?;
            }
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
    let found = match state.store.listed_file(manifest, table, file).await {
        Ok(found) => found,
        Err(error) => return Err(collected::or_gone(state, manifest, error.into()).await),
    };
    let Some(found) = found else { return Ok(None) };
    let modified = modified(state, manifest, &found).await?;
    Ok(Some(Arc::new(Located { modified, license: manifest.license_of(table).clone(), file: found })))
}

/// When a file of a snapshot was written: its name says so, else the snapshot that added it does. The same wherever it is
/// asked, and whatever the storage thinks of it.
///
/// # Errors
/// When the store does not give that snapshot's manifest.
pub(in crate::http) async fn modified(
    state: &AppState,
    manifest: &Manifest,
    file: &ListedFile,
) -> Result<DateTime<Utc>, Problem> {
    let named = file.name().split('.').next().and_then(|name| ulid::Ulid::from_string(name).ok());
    let named = named.and_then(|id| i64::try_from(id.timestamp_ms()).ok()).map(|millis| millis / 1000);
    let written = match named {
        Some(seconds) => seconds,
        None if file.added_in == manifest.snapshot => manifest.created.timestamp(),
        None => {
            let added = match manifest.dataset.parse::<DatasetId>() {
                Ok(dataset) => state.store.manifest(&dataset, file.added_in).await?,
                Err(_) => None,
            };
            added.map_or(manifest.created, |added| added.created).timestamp()
        }
    };
    // HTTP dates have whole seconds.
    Ok(DateTime::from_timestamp(written, 0).unwrap_or(manifest.created))
}

/// Lets pass what is still in the store.
///
/// # Errors
/// 410 when that snapshot is no longer kept.
pub(in crate::http) async fn still_kept(state: &AppState, manifest: &Manifest, key: &str) -> Result<(), Problem> {
    if state.store.object(key).await?.is_some() {
        return Ok(());
    }
    let lost = Problem::internal(format!("{key} is in a manifest and not in the store"));
    Err(collected::or_gone(state, manifest, lost).await)
}
