//! `/v1/datasets/{dataset}/tables/{table}/rejects`: the rows that did not fit, as rows.

use axum::response::Response;

use super::rows;
use crate::{
    http::{incoming::Incoming, problem::Problem},
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
pub(in crate::http) async fn get(request: Incoming) -> Result<Response, Problem> {
    rows::answer(&request, &request.subject("rejects", Rows::Rejected).await?).await
}

/// The same, with the parameters as JSON.
#[utoipa::path(
    post, path = "/v1/datasets/{dataset}/tables/{table}/rejects", tag = "rows",
    params(("dataset" = String, Path, description = "Dataset"), ("table" = String, Path, description = "Table")),
    request_body(content = Object, description = "The parameters of GET by name", content_type = "application/json"),
    responses((status = 200, description = "Rejects"), (status = 400, description = "A parameter is wrong"))
)]
pub(in crate::http) async fn post(request: Incoming) -> Result<Response, Problem> {
    get(request).await
}
