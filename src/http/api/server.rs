//! The server about itself: alive, ready, counted, described.

use std::{sync::LazyLock, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{
    answer,
    cache::CachePolicy,
    openapi,
    params::Params,
    problem::{Kind, Problem},
    router,
    state::AppState,
};

/// Time the store has to answer before the server counts as not ready.
const STORE_TIME: Duration = Duration::from_secs(5);

static DOCUMENT: LazyLock<Result<Vec<u8>, serde_json::Error>> =
    LazyLock::new(|| serde_json::to_vec(&openapi::complete(&router::document())?));

#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    /// Always `alive`.
    status: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
struct Ready {
    /// Always `ready`.
    status: &'static str,
    /// How many are published.
    datasets: usize,
}

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, description = "Alive", body = Alive)))]
pub(in crate::http) async fn healthz(params: Params, headers: HeaderMap) -> Result<Response, Problem> {
    params.only(&[])?;
    answer::json(&Alive { status: "alive" }, CachePolicy::Never, &headers)
}

/// The store answers.
#[utoipa::path(
    get, path = "/readyz", tag = "server",
    responses((status = 200, description = "Ready", body = Ready), (status = 503, description = "The store does not answer"))
)]
pub(in crate::http) async fn readyz(
    State(state): State<AppState>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let not_ready =
        || Problem::new(Kind::Unavailable, "The store did not answer in time.").header(header::RETRY_AFTER, "5");
    let datasets =
        tokio::time::timeout(STORE_TIME, state.listing.names(&state.store)).await.map_err(|_| not_ready())??;
    answer::json(&Ready { status: "ready", datasets: datasets.len() }, CachePolicy::Never, &headers)
}

/// Counters in the OpenMetrics text form.
#[utoipa::path(get, path = "/metrics", tag = "server", responses((status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text")))]
pub(in crate::http) async fn metrics(State(state): State<AppState>, params: Params) -> Result<Response, Problem> {
    params.only(&[])?;
    state.metrics.background(state.background.load());
    state.metrics.pages(state.footers.page_counts());
    let mut response = Response::new(state.metrics.text().map_err(Problem::internal)?.into());
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, CachePolicy::Never.header());
    Ok(response)
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "server", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(in crate::http) async fn openapi(params: Params, headers: HeaderMap) -> Result<Response, Problem> {
    params.only(&[])?;
    let document = DOCUMENT.as_ref().map_err(Problem::internal)?;
    Ok(answer::bytes(document.clone(), "application/json", CachePolicy::Current, &headers))
}
