//! `/v1/datasets/{dataset}/tables/{table}`: a table's columns.

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::{License, snapshot::ColumnBounds},
    http::{
        gate::{self, Access},
        incoming::Incoming,
        problem::Problem,
    },
    query::bounds,
};

#[derive(Debug, Serialize, ToSchema)]
struct ColumnDetail {
    name: String,
    /// As spelled in the definition grammar.
    #[serde(rename = "type")]
    kind: String,
    nullable: bool,
    description: String,
    unit: Option<String>,
    /// Bounds and nulls over the whole table; text bounds may be cut. Null where the data is not served.
    statistics: Option<ColumnBounds>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TableDetail {
    dataset: String,
    name: String,
    description: String,
    snapshot: u64,
    license: License,
    access: &'static str,
    columns: Vec<ColumnDetail>,
    primary_key: Vec<String>,
    sort_key: Vec<String>,
    rows: u64,
    rejected: u64,
    bytes: u64,
    rows_url: String,
    files_url: String,
    rejects_url: String,
}

/// A table's columns, keys and counts.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/tables/{table}", tag = "datasets",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("table" = String, Path, description = "Table"),
        ("snapshot" = Option<String>, Query, description = "Number or UTC date; the current one by default")
    ),
    responses((status = 200, body = TableDetail), (status = 404, description = "No such table"))
)]
pub(in crate::http) async fn one(request: Incoming) -> Result<Response, Problem> {
    request.only(&["snapshot"])?;
    let published = request.published().await?;
    let state = &request.state;
    let manifest = &published.manifest;
    let table = published.table(state, request.path.get("table"))?;
    let license = manifest.license_of(table);
    let access = gate::access(state, license);
    let files = state.store.files(manifest, table).await?;
    let columns = table
        .schema
        .columns
        .iter()
        .map(|column| ColumnDetail {
            name: column.name.clone(),
            kind: column.kind.to_string(),
            nullable: column.nullable,
            description: column.description.clone(),
            unit: column.unit.clone(),
            statistics: (access == Access::Open).then(|| bounds::of_table(&files, column)),
        })
        .collect();
    let base = state.url(&format!("/v1/datasets/{}/tables/{}", manifest.dataset, table.name));
    let detail = TableDetail {
        dataset: manifest.dataset.clone(),
        name: table.name.clone(),
        description: table.description.clone(),
        snapshot: manifest.snapshot,
        license: license.clone(),
        access: access.name(),
        columns,
        primary_key: table.primary_key.clone(),
        sort_key: table.sort_key.clone(),
        rows: table.rows,
        rejected: table.rejected,
        bytes: table.bytes,
        rows_url: format!("{base}/rows"),
        files_url: format!("{base}/files"),
        rejects_url: format!("{base}/rejects"),
    };
    request.json_of_table(&detail, &published, table, &state.url("/openapi.json"))
}
