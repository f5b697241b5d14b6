//! `/v1/datasets/{dataset}/tables/{table}/rejects`: the rows that did not fit, as rows.

use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};

use super::rows::{self, Subject};
use crate::{
    http::{
        params::{BodyParams, Params, PathParams},
        problem::Problem,
        published,
        state::AppState,
    },
    query::table::Rows,
};

/// Rows that did not fit: source, position, column, value, reason. Takes the parameters of rows.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/tables/{table}/rejects", tag = "rows",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("table" = String, Path, description = "Table"),
        ("select" = Option<String>, Query, description = "As for rows"),
        ("where" = Option<String>, Query, description = "As for rows"),
        ("offset" = Option<u64>, Query, description = "As for rows"),
        ("limit" = Option<u64>, Query, description = "As for rows"),
        ("snapshot" = Option<String>, Query, description = "As for rows"),
        ("format" = Option<String>, Query, description = "As for rows"),
        ("count" = Option<String>, Query, description = "As for rows"),
        ("truncate" = Option<u8>, Query, description = "As for rows")
    ),
    responses((status = 200, description = "Rejects"), (status = 404, description = "No such table"))
)]
pub(in crate::http) async fn get(
    State(state): State<AppState>,
    path: PathParams,
    params: Params,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let subject = rejects_of(&state, &path, &params).await?;
    rows::answer(&state, subject, &params, &method, &headers).await
}

/// The same, with the parameters as JSON.
#[utoipa::path(
    post, path = "/v1/datasets/{dataset}/tables/{table}/rejects", tag = "rows",
    params(("dataset" = String, Path, description = "Dataset"), ("table" = String, Path, description = "Table")),
    request_body(content = Object, description = "The parameters of GET by name", content_type = "application/json"),
    responses((status = 200, description = "Rejects"), (status = 400, description = "A parameter is wrong"))
)]
pub(in crate::http) async fn post(
    State(state): State<AppState>,
    path: PathParams,
    headers: HeaderMap,
    BodyParams(params): BodyParams,
) -> Result<Response, Problem> {
    let subject = rejects_of(&state, &path, &params).await?;
    rows::answer(&state, subject, &params, &Method::POST, &headers).await
}

async fn rejects_of(state: &AppState, path: &PathParams, params: &Params) -> Result<Subject, Problem> {
    let published = published::snapshot(state, path.get("dataset"), params.get("snapshot")).await?;
    let table = published.data_table(state, path.get("table"))?;
    Ok(Subject {
        source: published.source(state, table, Rows::Rejected).await?,
        license: published.manifest.license_of(table).clone(),
        table: table.name.clone(),
        what: "rejects",
        published,
    })
}
