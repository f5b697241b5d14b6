//! `/v1/datasets/{dataset}/tables/{table}/rejects`: the rows that did not fit, as rows.

use axum::response::Response;

use super::{
    described::{RowsBody, RowsQuery, RowsRefused},
    rows,
};
use crate::{
    http::{incoming::Incoming, problem::Problem},
    query::table::Rows,
};

/// Rows that did not fit: source, position, column, value, reason. Takes the parameters of rows.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/tables/{table}/rejects", tag = "rows",
    params(("dataset" = String, Path, description = "Dataset"), ("table" = String, Path, description = "Table"), RowsQuery),
    responses((status = 200, description = "Rejects", body = RowsBody), RowsRefused)
)]
pub(in crate::http) async fn get(request: Incoming) -> Result<Response, Problem> {
    rows::answer(&request, &request.subject("rejects", Rows::Rejected).await?).await
}

/// The same, with the parameters as JSON.
#[utoipa::path(
    post, path = "/v1/datasets/{dataset}/tables/{table}/rejects", tag = "rows",
    params(("dataset" = String, Path, description = "Dataset"), ("table" = String, Path, description = "Table"))
)]
pub(in crate::http) async fn post(request: Incoming) -> Result<Response, Problem> {
    get(request).await
}
