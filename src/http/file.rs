//! An immutable file of Parquet as a plain URL, with everything range readers need: ranges, conditions, HEAD, digests.

use std::ops::Range;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};

use super::{
    answer::not_modified,
    cache::CachePolicy,
    etag::ETag,
    problem::{Kind, Problem},
    state::AppState,
};

/// Where the bytes of a file are.
#[derive(Debug)]
pub(super) enum Content<'a> {
    /// An object of the store, by its key.
    Stored(&'a str),
    /// Here.
    Made(Bytes),
}

/// What is known of a file before it is read. Its sha256 makes its entity tag ([`tag`]).
#[derive(Debug)]
pub(super) struct ServedFile<'a> {
    pub(super) content: Content<'a>,
    pub(super) media_type: &'static str,
    pub(super) bytes: u64,
    /// Hex.
    pub(super) sha256: &'a str,
    pub(super) modified: DateTime<Utc>,
    pub(super) policy: CachePolicy,
    /// The snapshots it is made from, as the header names them.
    pub(super) snapshots: String,
    /// Addresses of the licenses that hold for it.
    pub(super) licenses: Vec<&'a str>,
}

/// The media type of Parquet.
pub(super) const PARQUET: &str = "application/vnd.apache.parquet";

/// The entity tag of a file, without quotes. Clients of S3 take one without a dash for an MD5, warn that it is a wrong one and
/// fetch the file again with each synchronization.
pub(super) fn tag(sha256: &str) -> String {
    format!("{sha256}-1")
}

/// The file, a range of it, or what a condition says.
///
/// # Errors
/// 412 and 416.
pub(super) async fn serve(
    state: &AppState,
    found: &ServedFile<'_>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let tag = ETag::exactly(&tag(found.sha256));
    let size = found.bytes;
    // HTTP dates have whole seconds.
    let modified = found.modified.timestamp();
    let date = |name: HeaderName| http_date(headers.get(name)?);

    let unmodified = date(header::IF_UNMODIFIED_SINCE).is_none_or(|since| modified <= since);
    if !tag.if_match(headers) || (!headers.contains_key(header::IF_MATCH) && !unmodified) {
        return Err(Problem::new(Kind::PreconditionFailed, "This file has another entity tag.")
            .header(header::ETAG, tag.header()));
    }
    let policy = found.policy;
    let known = if headers.contains_key(header::IF_NONE_MATCH) {
        tag.if_none_match(headers)
    } else {
        date(header::IF_MODIFIED_SINCE).filter(|since| modified <= *since).map(|_| tag.header())
    };
    if known.is_some() {
        let mut response = not_modified(tag.header(), policy);
        describe(response.headers_mut(), found);
        return Ok(response);
    }

    // A range of another version than the one held would glue two files together.
    let same = headers.get(header::IF_RANGE).is_none_or(|value| {
        value.to_str().is_ok_and(|text| tag.is(text)) || http_date(value).is_some_and(|since| since == modified)
    });
    let wanted = match headers.get(header::RANGE).and_then(|value| value.to_str().ok()).filter(|_| same) {
        Some(text) => wanted(text, size),
        None => Wanted::Whole,
    };
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Outside => {
            return Err(Problem::new(Kind::RangeNotSatisfiable, format!("The file has {size} bytes."))
                .header(header::CONTENT_RANGE, format!("bytes */{size}")));
        }
    };
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => match &found.content {
            Content::Stored(key) => Body::from_stream(state.store.stream(key, range.clone()).await?),
            Content::Made(bytes) => Body::from(part(bytes, &range)),
        },
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(found.media_type));
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    out.insert(header::ETAG, tag.header());
    out.insert(header::CACHE_CONTROL, policy.header());
    describe(out, found);
    // Of the whole object, and only for who asks: these clients compare it with what they received.
    let checked =
        headers.get("x-amz-checksum-mode").is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"enabled"));
    if status == StatusCode::OK
        && checked
        && let Some(digest) = base64(found.sha256)
        && let Ok(value) = HeaderValue::try_from(digest)
    {
        out.insert(HeaderName::from_static("x-amz-checksum-sha256"), value);
        out.insert(HeaderName::from_static("x-amz-checksum-type"), HeaderValue::from_static("FULL_OBJECT"));
    }
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = HeaderValue::try_from(format!("bytes {}-{}/{size}", range.start, range.end - 1))
    {
        out.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

fn part(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(within(range.start)..within(range.end))
}

fn describe(out: &mut HeaderMap, found: &ServedFile<'_>) {
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(value) = HeaderValue::try_from(&found.snapshots) {
        out.insert(HeaderName::from_static("openshelf-snapshot"), value);
    }
    date(out, found.modified);
    if let Some(digest) = base64(found.sha256)
        && let Ok(value) = HeaderValue::try_from(format!("sha-256=:{digest}:"))
    {
        out.insert(HeaderName::from_static("repr-digest"), value);
    }
    for license in &found.licenses {
        if let Ok(value) = HeaderValue::try_from(format!("<{license}>; rel=\"license\"")) {
            out.append(header::LINK, value);
        }
    }
}

/// Says in an answer when its file was written.
pub(super) fn date(out: &mut HeaderMap, modified: DateTime<Utc>) {
    if let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(modified.into())) {
        out.insert(header::LAST_MODIFIED, value);
    }
}

/// Of hex.
pub(super) fn base64(digest: &str) -> Option<String> {
    Some(STANDARD.encode(hex::decode(digest).ok()?))
}

fn http_date(value: &HeaderValue) -> Option<i64> {
    let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    Some(DateTime::<Utc>::from(time).timestamp())
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Outside,
}

/// One range of bytes. What is no such range is ignored, as HTTP says; several ranges are answered with the whole file.
fn wanted(text: &str, size: u64) -> Wanted {
    let number = |text: &str| {
        // Larger numbers than fit are larger than any file.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let Some((unit, spec)) = text.split_once('=') else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            None => Wanted::Whole,
            Some(0) => Wanted::Outside,
            Some(_) if size == 0 => Wanted::Outside,
            Some(length) => Wanted::Part(size.saturating_sub(length)..size),
        },
        (first, last) => {
            let (Some(first), last) = (number(first), if last.is_empty() { Some(u64::MAX) } else { number(last) })
            else {
                return Wanted::Whole;
            };
            match last {
                None => Wanted::Whole,
                Some(last) if last < first => Wanted::Whole,
                Some(_) if first >= size => Wanted::Outside,
                Some(last) => Wanted::Part(first..last.saturating_add(1).min(size)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_http() {
        for (text, expected) in [
            ("bytes=0-3", Wanted::Part(0..4)),
            ("bytes=5-", Wanted::Part(5..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=9-99999999999999999999999", Wanted::Part(9..10)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=10-12", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("lines=0-3", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(text, 10), expected, "{text}");
        }
        assert_eq!(wanted("bytes=-5", 0), Wanted::Outside);
        assert_eq!(wanted("bytes=0-", 0), Wanted::Outside);
    }
}
