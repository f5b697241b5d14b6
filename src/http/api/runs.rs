//! `/v1/datasets/{dataset}/runs`: what came of each ingest run.

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::run::RunRecord,
    http::{
        cache::CachePolicy,
        incoming::Incoming,
        problem::{Kind, Problem},
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
        ("limit" = Option<u64>, Query, description = "At most this many; 50 by default, at most 1000", maximum = 1000)
    ),
    responses((status = 200, body = RunList), (status = 404, description = "No such dataset"))
)]
pub(in crate::http) async fn list(request: Incoming) -> Result<Response, Problem> {
    request.only(&["limit"])?;
    let limit = request.params.number("limit", 1)?.unwrap_or(RUNS.0);
    if limit > RUNS.1 {
        let detail = format!("`limit` is {limit}; at most {} runs fit in one answer.", RUNS.1);
        return Err(Problem::new(Kind::InvalidParameter, detail));
    }
    let id = request.dataset().await?;
    let runs = request.state.store.runs(&id, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
    request.json(&RunList { runs }, CachePolicy::Current)
}
