//! `/iceberg/v1/namespaces/{namespace}/tables`: tables, and how they are read.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::Response,
};
use serde_json::{Map, Value, json};

use super::{
    namespace,
    namespaces::{readable, there},
    table, unmade,
};
use crate::{
    http::{
        answer, api::name_snapshot, cache::CachePolicy, gate, params::PathParams, problem::Problem, s3::REGION,
        state::AppState,
    },
    iceberg::Place,
};

/// Not a secret: clients that can only sign have something to sign with, and nobody looks at it.
const KEY: &str = "anonymous";

/// The tables of a dataset that may be read here.
#[utoipa::path(
    get, path = "/iceberg/v1/namespaces/{namespace}/tables", tag = "iceberg",
    params(("namespace" = String, Path, description = "Dataset; `_` may stand for `-`")),
    responses(
        (status = 200, description = "ListTablesResponse of the Iceberg REST catalog", body = serde_json::Value),
        (status = 404, description = "No such namespace")
    )
)]
pub(in crate::http) async fn list(
    State(state): State<AppState>,
    path: PathParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, head) = namespace(&state, path.get("namespace")).await?;
    let tables: Vec<Value> = readable(&state, &head).map(|name| json!({"namespace": [id], "name": name})).collect();
    answer::json(&json!({"identifiers": tables, "next-page-token": null}), CachePolicy::Current, &headers)
}

/// A table: its metadata with every snapshot that is kept, and where its files are read.
#[utoipa::path(
    get, path = "/iceberg/v1/namespaces/{namespace}/tables/{table}", tag = "iceberg",
    params(
        ("namespace" = String, Path, description = "Dataset; `_` may stand for `-`"),
        ("table" = String, Path, description = "Table")
    ),
    responses(
        (status = 200, description = "LoadTableResult of the Iceberg REST catalog", body = serde_json::Value),
        (status = 403, description = "The license allows no public copy"),
        (status = 404, description = "No such table")
    )
)]
pub(in crate::http) async fn load(
    State(state): State<AppState>,
    path: PathParams,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = table(&state, path.get("namespace"), path.get("table")).await?;
    if method == Method::HEAD {
        return Ok(there());
    }
    let (dataset, id) = (&found.dataset, &found.id);
    let made = state.iceberg.of(&state.store, &Place::Served, dataset, id).current(found.head.snapshot).await;
    let (name, metadata) = made.map_err(|error| unmade(&state, &found, error))?;
    let area = found.table().map(|table| crate::store::Area::of_table(&found.head, table));
    let area = area.ok_or_else(|| Problem::internal("a table without a license"))?;
    let location = json!(Place::Served.object(dataset, id, area, &name));
    let config = Value::Object(config(&endpoint(&state, &uri, &headers)));
    // The metadata is JSON already, and may be long.
    let mut body = format!("{{\"metadata-location\":{location},\"metadata\":").into_bytes();
    body.extend_from_slice(&metadata.bytes);
    body.extend_from_slice(format!(",\"config\":{config}}}\n").as_bytes());
    let personal = found.table().is_some_and(|table| gate::is_personal(found.head.license_of(table)));
    let mut response = answer::bytes(body, "application/json", CachePolicy::of(false, personal), &headers);
    name_snapshot(&mut response, &found.head);
    response.headers_mut().append(header::VARY, header::HOST.into());
    Ok(response)
}

/// Where this server is reached: its public address, else the one the client used.
fn endpoint(state: &AppState, uri: &Uri, headers: &HeaderMap) -> String {
    if let Some(url) = &state.settings.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str));
    host.map_or_else(String::new, |host| format!("http://{host}"))
}

/// How a client's reader of files is set up. Keys, and no word of being anonymous: some take only one of the two.
fn config(endpoint: &str) -> Map<String, Value> {
    let mut config = Map::new();
    let values = [
        ("s3.endpoint", endpoint),
        ("s3.path-style-access", "true"),
        ("s3.region", REGION),
        ("client.region", REGION),
        ("s3.access-key-id", KEY),
        ("s3.secret-access-key", KEY),
    ];
    config.extend(values.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k.to_owned(), v.into())));
    config
}

/// Clients tell what a scan cost them; nobody keeps it.
#[utoipa::path(
    post, path = "/iceberg/v1/namespaces/{namespace}/tables/{table}/metrics", tag = "iceberg",
    params(
        ("namespace" = String, Path, description = "Dataset"),
        ("table" = String, Path, description = "Table")
    ),
    responses((status = 204, description = "Thank you"))
)]
pub(in crate::http) async fn metrics(_: Request<Body>) -> StatusCode {
    StatusCode::NO_CONTENT
}
