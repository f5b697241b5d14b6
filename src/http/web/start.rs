//! `/`: what is on the shelf, and how to take it.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, Uri, header},
    response::Response,
};
use maud::{Markup, html};

use super::{count, docs::marked, layout, outside, size, snippets};
use crate::{
    catalog::{DataFile, Manifest, Redistribution},
    http::{
        answer,
        cache::CachePolicy,
        gate::{self, Access},
        params::Params,
        problem::Problem,
        s3,
        state::AppState,
    },
};

/// The datasets, for people.
#[utoipa::path(get, path = "/", tag = "pages", responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(in crate::http) async fn page(
    State(state): State<AppState>,
    uri: Uri,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Clients of S3 ask here for the list of buckets.
    if s3::is_client(&uri, &headers) {
        return s3::bucket::all(&state, &params).await;
    }
    params.only(&[])?;
    let heads = state.listing.heads(&state.store).await?;
    let base = base(&state, &headers);
    let mut first_files = Vec::new();
    for head in heads.iter() {
        first_files.push(first_files_of(&state, head).await?);
    }
    let rows: u64 = heads.iter().map(|head| head.rows()).sum();
    let bytes: u64 = heads.iter().map(|head| head.bytes()).sum();
    let body = html! {
        h1 { "Public datasets, ready to read" }
        p .lead {
            "Dumps are fetched, checked and turned into Parquet; every version stays a snapshot you can name. "
            "Take a slice over HTTP, or read whole tables with the tool you have: as "
            a href=(state.url("/docs#files")) { "files, objects of S3 or an Iceberg catalog" } " at this address."
        }
        @if heads.is_empty() {
            p { "Nothing is published yet. This publishes every dataset from its sample:" }
            pre tabindex="0" { code { "openshelf ingest --all --sample" } }
        } @else {
            p .soft {
                (heads.len()) @if heads.len() == 1 { " dataset, " } @else { " datasets, " } (count(rows)) " rows, " (size(bytes)) " of Parquet. As JSON: "
                a href=(state.url("/v1/datasets")) { code { "/v1/datasets" } }
            }
            ul .shelf {
                @for (head, files) in heads.iter().zip(&first_files) {
                    li { (entry(&state, head, files, &base)) }
                }
            }
        }
    };
    Ok(answer::html(layout(&state, "Openshelf", &body), CachePolicy::Current, &headers))
}

fn entry(state: &AppState, head: &Manifest, files: &[DataFile], base: &str) -> Markup {
    let page = state.url(&format!("/datasets/{}", head.dataset));
    let id = &head.dataset;
    html! {
        h2 { a href=(page) { (head.info.title) } }
        @if !head.info.description.is_empty() { p { (marked(&head.info.description)) } }
        (facts(state, head))
        @if let Some(table) = head.tables.first() {
            details {
                @match gate::access(state, head.license_of(table)) {
                    Access::MetadataOnly => {
                        summary { "Get " code { (id) } " onto your own machine" }
                        (snippets::own_machine(id))
                    }
                    Access::Open => {
                        summary { "Read " code { (id) } " with curl, pandas, polars, DuckDB, S3 or Iceberg" }
                        (snippets::shown(&snippets::lines(base, id, &table.name, files)))
                    }
                }
            }
        }
    }
}

/// License, size, rows and date of a snapshot.
pub(super) fn facts(state: &AppState, head: &Manifest) -> Markup {
    let access = gate::access(state, &head.license);
    let (class, label) = match (access, head.license.redistribution) {
        (Access::MetadataOnly, _) => ("badge personal", access.name()),
        // Served here, because only this machine can ask; that does not make it open.
        (Access::Open, Redistribution::Personal) => ("badge personal", "personal use"),
        (Access::Open, _) => ("badge open", access.name()),
    };
    html! {
        dl .facts {
            div {
                dt { "License" }
                dd { (outside(&head.license.url, &head.license.id)) " " span class=(class) { (label) } }
            }
            div { dt { "Rows" } dd { (count(head.rows())) } }
            div { dt { "Size" } dd { (size(head.bytes())) } }
            div { dt { "Tables" } dd { (head.tables.len()) } }
            div {
                dt { "Snapshot" }
                dd {
                    (head.snapshot) ", "
                    time datetime=(head.created.to_rfc3339()) { (head.created.format("%Y-%m-%d").to_string()) }
                    @if head.sample { " (made from a sample)" }
                }
            }
        }
    }
}

/// The files of the first table, for lines that read them.
async fn first_files_of(state: &AppState, head: &Manifest) -> Result<Arc<Vec<DataFile>>, Problem> {
    let Some(table) = head.tables.first() else { return Ok(Arc::default()) };
    Ok(state.store.files(head, table).await?)
}

/// Where this server is, as the reader reached it: lines to copy need a whole address.
pub(super) fn base(state: &AppState, headers: &HeaderMap) -> String {
    if let Some(public) = &state.settings.public_url {
        return public.trim_end_matches('/').to_owned();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let plain =
        |host: &&str| host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']'));
    format!("http://{}", host.filter(plain).unwrap_or("127.0.0.1:8080"))
}
