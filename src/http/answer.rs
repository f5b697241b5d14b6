//! Small answers as one piece: JSON and pages, with an entity tag over their bytes.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;

use super::{cache::CachePolicy, etag::ETag, problem::Problem};

/// A JSON answer, or 304 when the client has it.
///
/// # Errors
/// When the value cannot be written, which is ours.
pub(super) fn json<T: Serialize>(value: &T, policy: CachePolicy, request: &HeaderMap) -> Result<Response, Problem> {
    let mut body = serde_json::to_vec(value).map_err(Problem::internal)?;
    body.push(b'\n');
    Ok(bytes(body, "application/json", policy, request))
}

/// An HTML page, or 304.
pub(super) fn html(page: String, policy: CachePolicy, request: &HeaderMap) -> Response {
    let mut response = bytes(page.into_bytes(), "text/html; charset=utf-8", policy, request);
    // Pages are text of ours around text of others: nothing in them may run or load.
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// Bytes of any type, or 304.
pub(super) fn bytes(body: Vec<u8>, media_type: &'static str, policy: CachePolicy, request: &HeaderMap) -> Response {
    let tag = ETag::of(&[&body]);
    if let Some(known) = tag.if_none_match(request) {
        return not_modified(known, policy);
    }
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::ETAG, tag.header());
    headers.insert(header::CACHE_CONTROL, policy.header());
    response
}

/// The client has it already.
pub(super) fn not_modified(tag: HeaderValue, policy: CachePolicy) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().insert(header::ETAG, tag);
    response.headers_mut().insert(header::CACHE_CONTROL, policy.header());
    response
}
