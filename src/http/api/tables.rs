//! `/v1/datasets/{dataset}/tables/{table}`: a table's columns.

use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::License,
    http::{
        cache::CachePolicy,
        gate::{self, Access},
        incoming::Incoming,
        problem::Problem,
        statistics::{self, Completeness, Found},
    },
    query::{bounds, statistics::ColumnStatistics},
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
    /// What its values are like, over the whole table. Bounds and nulls at once; all of it when `statistics_state` is
    /// `complete`. Null where the data is not served.
    statistics: Option<ColumnStatistics>,
    /// Declared for full-text search.
    search: bool,
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
    /// Whether the columns' statistics are all there. While they are not, the answer has another entity tag, is not to be
    /// kept, and `Retry-After` says when to ask again.
    statistics_state: Completeness,
    primary_key: Vec<String>,
    /// What the rows of a part are sorted by; begins with `partition_by`.
    sort_key: Vec<String>,
    /// Columns of which no file holds two values; the list of files has the value of each.
    partition_by: Vec<String>,
    rows: u64,
    rejected: u64,
    bytes: u64,
    rows_url: String,
    files_url: String,
    rejects_url: String,
    /// Where columns are declared for full-text search.
    search_url: Option<String>,
}

/// A table's columns with their statistics, keys and counts.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/tables/{table}", tag = "datasets",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("table" = String, Path, description = "Table"),
        ("snapshot" = Option<String>, Query, description = "Number or UTC date; the current one by default")
    ),
    responses(
        (status = 200, body = TableDetail),
        (status = 304, description = "The client has it"),
        (status = 400, description = "A parameter is wrong"),
        (status = 404, description = "No such table or snapshot")
    )
)]
pub(in crate::http) async fn one(request: Incoming) -> Result<Response, Problem> {
    request.only(&["snapshot"])?;
    let published = request.published().await?;
    let state = &request.state;
    let manifest = &published.manifest;
    let table = published.table(state, request.path.get("table"))?;
    let license = manifest.license_of(table);
    let access = gate::access(state, license);
    let files = published.files(state, table).await?;
    let found = match access {
        Access::Open => statistics::of(state, &published, table, state.settings.derived.patience).await?,
        Access::MetadataOnly => Found::withheld(),
    };
    let columns = table
        .schema
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| ColumnDetail {
            name: column.name.clone(),
            kind: column.kind.to_string(),
            nullable: column.nullable,
            description: column.description.clone(),
            unit: column.unit.clone(),
            statistics: (access == Access::Open).then(|| {
                let bounds = bounds::of_table(&files, column);
                match found.statistics.as_ref().and_then(|all| all.columns.get(at)) {
                    Some(all) => all.clone().or_bounds(bounds),
                    None => bounds.into(),
                }
            }),
            search: column.search,
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
        statistics_state: found.state,
        primary_key: table.primary_key.clone(),
        sort_key: table.sort_key.clone(),
        partition_by: table.partition_by.clone(),
        rows: table.rows,
        rejected: table.rejected,
        bytes: table.bytes,
        rows_url: format!("{base}/rows"),
        files_url: format!("{base}/files"),
        rejects_url: format!("{base}/rejects"),
        search_url: table.schema.columns.iter().any(|column| column.search).then(|| format!("{base}/search")),
    };
    let mut response = request.json_of_table(&detail, &published, table, &state.url("/openapi.json"))?;
    if let Some(again) = found.again {
        // Not final, whatever snapshot was asked for.
        response.headers_mut().insert(header::CACHE_CONTROL, CachePolicy::Never.header());
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(again.as_secs().max(1)));
    }
    Ok(response)
}
