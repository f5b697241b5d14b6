//! `/v1/datasets/{dataset}/runs`: what came of each ingest run.

use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::run::RunRecord,
    http::{
        answer,
        cache::CachePolicy,
        params::{Params, PathParams},
        problem::{Kind, Problem},
        published,
        state::AppState,
    },
};

/// Runs in one answer by default, and at most.
const RUNS: (u64, u64) = (50, 1000);

#[derive(Debug, Serialize, ToSchema)]
struct RunList {
    runs: Vec<RunRecord>,
}

/// The newest runs first, failed ones with who must act.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/runs", tag = "datasets",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("limit" = Option<u64>, Query, description = "At most this many; 50 by default, at most 1000")
    ),
    responses((status = 200, body = RunList), (status = 404, description = "No such dataset"))
)]
pub(in crate::http) async fn list(
    State(state): State<AppState>,
    path: PathParams,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = params.only(&["limit"])?;
    let limit = params.number("limit", 1)?.unwrap_or(RUNS.0);
    if limit > RUNS.1 {
        let detail = format!("`limit` is {limit}; at most {} runs fit in one answer.", RUNS.1);
        return Err(Problem::new(Kind::InvalidParameter, detail));
    }
    let id = published::dataset(&state, path.get("dataset")).await?;
    let runs = state.store.runs(&id, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
    answer::json(&RunList { runs }, CachePolicy::Current, &headers)
}
