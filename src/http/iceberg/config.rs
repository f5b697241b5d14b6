//! `/iceberg/v1/config`: what a client asks first.

use axum::{http::HeaderMap, response::Response};
use serde_json::json;

use crate::http::{answer, cache::CachePolicy, problem::Problem};

/// What the catalog answers, in the specification's spelling.
const ENDPOINTS: [&str; 6] = [
    "GET /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
];

/// What the Iceberg catalog answers; any `warehouse` means the one there is.
#[utoipa::path(
    get, path = "/iceberg/v1/config", tag = "iceberg",
    params(("warehouse" = Option<String>, Query, description = "Any name")),
    responses((status = 200, description = "CatalogConfig of the Iceberg REST catalog", body = serde_json::Value))
)]
pub(in crate::http) async fn get(headers: HeaderMap) -> Result<Response, Problem> {
    answer::json(&json!({"defaults": {}, "overrides": {}, "endpoints": ENDPOINTS}), CachePolicy::Current, &headers)
}
