//! The routes for programs, one file per noun.

mod asked;
pub(super) mod changes;
mod coach;
pub(super) mod data;
pub(super) mod datasets;
mod described;
pub(super) mod extracts;
pub(super) mod files;
pub(super) mod limits;
mod paging;
pub(super) mod rejects;
pub(super) mod rows;
pub(super) mod runs;
pub(super) mod search;
pub(super) mod server;
pub(super) mod snapshots;
pub(super) mod sql;
pub(super) mod tables;

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::Response,
};

use super::state::AppState;
use crate::catalog::{License, Manifest};

/// Names the snapshot an answer is from.
pub(super) fn name_snapshot(response: &mut Response, manifest: &Manifest) {
    response.headers_mut().insert(HeaderName::from_static("openshelf-snapshot"), HeaderValue::from(manifest.snapshot));
}

/// Bytes of an address that a header holds; clients refuse longer lines, and one that is refused costs them the answer.
const LONGEST_LINK: usize = 16 << 10;

/// Adds a `Link`; what cannot stand in a header is left out.
pub(super) fn link(response: &mut Response, url: &str, relation: &str) {
    link_with(response, url, &format!("rel=\"{relation}\""));
}

/// [`link`], with further parameters.
pub(super) fn link_with(response: &mut Response, url: &str, parameters: &str) {
    if url.len() <= LONGEST_LINK
        && let Ok(value) = HeaderValue::try_from(format!("<{url}>; {parameters}"))
    {
        response.headers_mut().append(header::LINK, value);
    }
}

/// The links every answer with data has.
pub(super) fn data_links(
    response: &mut Response,
    state: &AppState,
    manifest: &Manifest,
    license: &License,
    described: &str,
) {
    link(response, &license.url, "license");
    link(response, described, "describedby");
    let cited = state.url(&format!("/v1/datasets/{}/snapshots/{}", manifest.dataset, manifest.snapshot));
    link(response, &cited, "cite-as");
}
