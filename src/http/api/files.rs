//! `/v1/datasets/{dataset}/tables/{table}/files`: the whole table as addresses of Parquet files, in one call.

use std::collections::BTreeMap;

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::{DataFile, snapshot::ColumnBounds},
    http::{
        gate,
        incoming::Incoming,
        problem::{Kind, Problem},
        published,
        state::AppState,
    },
    query::changes,
};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FileEntry {
    url: String,
    s3: String,
    bytes: u64,
    rows: u64,
    sha256: String,
    /// The snapshot that added it.
    added_in: u64,
    /// Where the table is partitioned: the value of each column of `partition_by` in all its rows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    partition: BTreeMap<String, serde_json::Value>,
    /// Bounds of its columns.
    columns: BTreeMap<String, ColumnBounds>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FileList {
    dataset: String,
    table: String,
    snapshot: u64,
    rows: u64,
    bytes: u64,
    /// In row order.
    files: Vec<FileEntry>,
    /// With `since`: files that snapshot did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<Vec<FileEntry>>,
    /// With `since`: files that only that snapshot had.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Vec<FileEntry>>,
}

/// Every file of a table, never cut; `since=n` adds what changed after snapshot n.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/tables/{table}/files", tag = "files",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("table" = String, Path, description = "Table"),
        ("snapshot" = Option<String>, Query, description = "Number or UTC date; the current one by default"),
        ("since" = Option<u64>, Query, description = "A snapshot number: also say what was added and removed after it")
    ),
    responses(
        (status = 200, body = FileList),
        (status = 404, description = "No such table"),
        (status = 451, description = "The license allows no public copy")
    )
)]
pub(in crate::http) async fn list(request: Incoming) -> Result<Response, Problem> {
    request.only(&["snapshot", "since"])?;
    let since = request.params.number("since", 1)?;
    let published = request.published().await?;
    let state = &request.state;
    let manifest = &published.manifest;
    let table = published.data_table(state, request.path.get("table"))?;
    let files = published.files(state, table).await?;
    let entry = |file: &DataFile| entry(state, &manifest.dataset, &table.name, file);
    let (mut added, mut removed) = (None, None);
    if let Some(since) = since {
        let old = published::snapshot(state, &manifest.dataset, Some(&since.to_string())).await?;
        if since > manifest.snapshot {
            let detail = format!("`since` is {since}, after snapshot {} that is listed.", manifest.snapshot);
            return Err(Problem::new(Kind::InvalidParameter, detail));
        }
        // A table that was not there yet had no files.
        let before = match old.manifest.table(&table.name) {
            Some(table) => {
                gate::pass(state, &old.manifest, table)?;
                old.files(state, table).await?
            }
            None => std::sync::Arc::default(),
        };
        let (came, went) = changes::difference(&before, &files);
        added = Some(came.into_iter().map(entry).collect());
        removed = Some(went.into_iter().map(entry).collect());
    }
    let list = FileList {
        dataset: manifest.dataset.clone(),
        table: table.name.clone(),
        snapshot: manifest.snapshot,
        rows: table.rows,
        bytes: table.bytes,
        files: files.iter().map(entry).collect(),
        added,
        removed,
    };
    let described = state.url(&format!("/v1/datasets/{}/tables/{}", manifest.dataset, table.name));
    request.json_of_table(&list, &published, table, &described)
}

/// A file as lists show it.
pub(super) fn entry(state: &AppState, dataset: &str, table: &str, file: &DataFile) -> FileEntry {
    FileEntry {
        url: state.url(&format!("/data/{dataset}/{table}/{}", file.name())),
        s3: format!("s3://data/{dataset}/{table}/{}", file.name()),
        bytes: file.bytes,
        rows: file.rows,
        sha256: file.sha256.clone(),
        added_in: file.added_in,
        partition: file.partition.clone(),
        columns: file.columns.clone(),
    }
}
