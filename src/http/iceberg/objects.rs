//! `/data/{dataset}/{table}/metadata/{rendering}/{object}`: what the metadata of a table leads to, as objects of the bucket.
//! They are in no listing: nobody reads a table's Parquet files and finds these between them.

use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};

use super::{table, unmade};
use crate::{
    http::{
        cache::CachePolicy,
        file::{self, Content, ServedFile},
        gate,
        params::PathParams,
        problem::{Kind, Problem},
        state::AppState,
    },
    iceberg::{ObjectName, Place, RENDERING},
};

/// An object of a table's Iceberg metadata; ranges, conditions and HEAD work as for files.
#[utoipa::path(
    get, path = "/data/{dataset}/{table}/metadata/{rendering}/{object}", tag = "iceberg",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("table" = String, Path, description = "Table"),
        ("rendering" = String, Path, description = "The version of the software that named it"),
        ("object" = String, Path, description = "Its name, as the table's metadata gives it")
    ),
    responses(
        (status = 200, description = "The object", body = [u8], content_type = "application/octet-stream"),
        (status = 206, description = "The range", body = [u8], content_type = "application/octet-stream"),
        (status = 304, description = "The client has it"),
        (status = 403, description = "The license allows no public copy"),
        (status = 404, description = "No such object"),
        (status = 412, description = "It is another object"),
        (status = 416, description = "The range lies outside")
    )
)]
pub(in crate::http) async fn get(
    State(state): State<AppState>,
    path: PathParams,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = table(&state, path.get("dataset"), path.get("table")).await?;
    let rendering = path.get("rendering");
    let named = path.get("object").parse::<ObjectName>().ok().filter(|_| is_version(rendering));
    let name = named.ok_or_else(|| {
        let detail = format!("`{}.{}` has no object `{rendering}/{}`.", found.dataset, found.id, path.get("object"));
        let hint = format!("/iceberg/v1/namespaces/{}/tables/{}", found.dataset, found.id);
        Problem::new(Kind::FileNotFound, detail).hint(state.url(&hint))
    })?;
    // What an older snapshot's license keeps back is not shown because a newer one's does not.
    let of = state.store.manifest(&found.dataset, name.snapshot()).await?;
    let of = of.as_ref().unwrap_or(&found.head);
    let table = of.table(found.id.as_str()).or_else(|| found.table());
    let table = table.ok_or_else(|| Problem::internal("a table that is none"))?;
    gate::pass(&state, of, table)?;
    let license = of.license_of(table);

    let made = state.iceberg.of(&state.store, &Place::Served, &found.dataset, &found.id).object(&name).await;
    let made = made.map_err(|error| unmade(&state, &found, error))?;
    let served = ServedFile {
        content: Content::Made(made.bytes.clone()),
        media_type: "application/octet-stream",
        bytes: made.bytes.len() as u64,
        sha256: &made.sha256,
        modified: of.created,
        policy: match rendering == RENDERING {
            true => CachePolicy::of(true, gate::is_personal(license)),
            // Named by another version of this software, which may have rendered it otherwise: a job that is under way goes on.
            false => CachePolicy::Never,
        },
        snapshots: name.snapshot().to_string(),
        licenses: vec![&license.url],
    };
    file::serve(&state, &served, &method, &headers).await
}

/// Whether this may be a version of this software.
fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'))
}
