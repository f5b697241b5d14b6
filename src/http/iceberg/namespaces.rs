//! `/iceberg/v1/namespaces`: the datasets.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use serde_json::{Map, Value, json};

use super::namespace;
use crate::{
    catalog::{DatasetId, Manifest},
    http::{
        answer,
        cache::CachePolicy,
        gate::{self, Access},
        params::{Params, PathParams},
        problem::Problem,
        state::AppState,
    },
};

/// The datasets, as namespaces. Those of which nothing may be read here are left out.
#[utoipa::path(
    get, path = "/iceberg/v1/namespaces", tag = "iceberg",
    params(("parent" = Option<String>, Query, description = "A namespace: there are none below it")),
    responses(
        (status = 200, description = "ListNamespacesResponse of the Iceberg REST catalog", body = serde_json::Value),
        (status = 404, description = "No such parent")
    )
)]
pub(in crate::http) async fn list(
    State(state): State<AppState>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut namespaces = Vec::new();
    match params.get("parent").filter(|parent| !parent.is_empty()) {
        Some(parent) => {
            namespace(&state, parent).await?;
        }
        None => {
            let heads = state.listing.heads(&state.store).await?;
            let readable = heads.iter().filter(|head| readable(&state, head).next().is_some());
            namespaces.extend(readable.map(|head| json!([head.dataset])));
        }
    }
    answer::json(&json!({"namespaces": namespaces, "next-page-token": null}), CachePolicy::Current, &headers)
}

/// Names of the tables that may be read here.
pub(super) fn readable<'a>(state: &'a AppState, head: &'a Manifest) -> impl Iterator<Item = &'a str> {
    let open = |license| gate::access(state, license) == Access::Open;
    head.tables.iter().filter(move |table| open(head.license_of(table))).map(|table| table.name.as_str())
}

/// A dataset, as a namespace.
#[utoipa::path(
    get, path = "/iceberg/v1/namespaces/{namespace}", tag = "iceberg",
    params(("namespace" = String, Path, description = "Dataset; `_` may stand for `-`")),
    responses(
        (status = 200, description = "GetNamespaceResponse of the Iceberg REST catalog", body = serde_json::Value),
        (status = 404, description = "No such namespace")
    )
)]
pub(in crate::http) async fn one(
    State(state): State<AppState>,
    path: PathParams,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, head) = namespace(&state, path.get("namespace")).await?;
    if method == Method::HEAD {
        return Ok(there());
    }
    let properties = properties(&id, &head, state.url(&format!("/v1/datasets/{id}")));
    answer::json(&json!({"namespace": [id], "properties": properties}), CachePolicy::Current, &headers)
}

fn properties(id: &DatasetId, head: &Manifest, described: String) -> Map<String, Value> {
    let license = &head.license;
    let mut properties = Map::new();
    let values = [
        ("location", format!("s3://data/{id}")),
        ("comment", head.info.title.clone()),
        ("description", head.info.description.clone()),
        ("license", license.id.clone()),
        ("license-url", license.url.clone()),
        ("attribution", license.attribution.clone().unwrap_or_default()),
        ("described-by", described),
    ];
    properties.extend(values.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k.to_owned(), v.into())));
    properties
}

/// The answer to HEAD of what is there.
pub(super) fn there() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
