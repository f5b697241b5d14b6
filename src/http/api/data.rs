//! `/data/{dataset}/{table}/{file}`: published files as plain URLs, with everything range readers need.
//!
//! Unknown arguments and headers are ignored, as these clients expect. Files never change, so their sha256 is their
//! entity tag; those of older snapshots stay readable.

use std::{collections::HashSet, ops::Range, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};

use crate::{
    catalog::{DataFile, DatasetId, License, Manifest, TableId, TableSnapshot},
    http::{
        answer::not_modified,
        cache::CachePolicy,
        etag::ETag,
        gate,
        params::PathParams,
        problem::{Kind, Problem},
        published,
        state::AppState,
    },
    store::{Area, Key},
};

/// Older snapshots that are searched for a file the current one does not have.
const SNAPSHOTS_SEARCHED: usize = 1000;

/// A published file.
#[derive(Debug, Clone)]
pub(in crate::http) struct Located {
    file: DataFile,
    license: License,
    modified: DateTime<Utc>,
}

/// A published Parquet file; ranges, conditions and HEAD work as readers expect.
#[utoipa::path(
    get, path = "/data/{dataset}/{table}/{file}", tag = "files",
    params(
        ("dataset" = String, Path, description = "Dataset, or `dataset@n` for the files of snapshot n only"),
        ("table" = String, Path, description = "Table"),
        ("file" = String, Path, description = "A file's name, as the list of files gives it")
    ),
    responses(
        (status = 200, description = "The file", body = [u8], content_type = "application/vnd.apache.parquet"),
        (status = 206, description = "The range", body = [u8], content_type = "application/vnd.apache.parquet"),
        (status = 304, description = "The client has it"),
        (status = 404, description = "No such file"),
        (status = 412, description = "It is another file"),
        (status = 416, description = "The range lies outside"),
        (status = 451, description = "The license allows no public copy")
    )
)]
pub(in crate::http) async fn get(
    State(state): State<AppState>,
    path: PathParams,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = locate(&state, path.get("dataset"), path.get("table"), path.get("file")).await?;
    let tag = ETag::exactly(&found.file.sha256);
    let size = found.file.bytes;
    // HTTP dates have whole seconds.
    let modified = found.modified.timestamp();
    let date = |name: HeaderName| http_date(headers.get(name)?);

    let unmodified = date(header::IF_UNMODIFIED_SINCE).is_none_or(|since| modified <= since);
    if !tag.if_match(&headers) || (!headers.contains_key(header::IF_MATCH) && !unmodified) {
        return Err(Problem::new(Kind::PreconditionFailed, "This file has another entity tag.")
            .header(header::ETAG, tag.header()));
    }
    let policy = CachePolicy::of(true, gate::is_personal(&found.license));
    let known = if headers.contains_key(header::IF_NONE_MATCH) {
        tag.if_none_match(&headers)
    } else {
        date(header::IF_MODIFIED_SINCE).filter(|since| modified <= *since).map(|_| tag.header())
    };
    if known.is_some() {
        let mut response = not_modified(tag.header(), policy);
        describe(response.headers_mut(), &found);
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
    let body = match method {
        Method::HEAD => Body::empty(),
        _ => Body::from_stream(state.store.stream(&found.file.key, range.clone()).await?),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.apache.parquet"));
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    out.insert(header::ETAG, tag.header());
    out.insert(header::CACHE_CONTROL, policy.header());
    describe(out, &found);
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = HeaderValue::try_from(format!("bytes {}-{}/{size}", range.start, range.end - 1))
    {
        out.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

fn describe(out: &mut HeaderMap, found: &Located) {
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(HeaderName::from_static("openshelf-snapshot"), HeaderValue::from(found.file.added_in));
    if let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(found.modified.into())) {
        out.insert(header::LAST_MODIFIED, value);
    }
    if let Ok(digest) = hex::decode(&found.file.sha256)
        && let Ok(value) = HeaderValue::try_from(format!("sha-256=:{}:", STANDARD.encode(digest)))
    {
        out.insert(HeaderName::from_static("repr-digest"), value);
    }
    if let Ok(value) = HeaderValue::try_from(format!("<{}>; rel=\"license\"", found.license.url)) {
        out.insert(header::LINK, value);
    }
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

/// Finds a published file by its name: in the snapshot named, else in the current one, else in older ones.
async fn locate(state: &AppState, dataset: &str, table: &str, file: &str) -> Result<Arc<Located>, Problem> {
    let (dataset, pinned) = match dataset.split_once('@') {
        Some((dataset, number)) => (dataset, Some(number)),
        None => (dataset, None),
    };
    let published = published::snapshot(state, dataset, pinned).await?;
    let manifest = &published.manifest;
    let list = state.url(&format!("/v1/datasets/{}/tables/{table}/files", manifest.dataset));
    let missing = || {
        let detail = format!("`{}` has no file `{file}` in a table `{table}`.", manifest.dataset);
        Problem::new(Kind::FileNotFound, detail).hint(list.clone())
    };
    if let Some(table) = manifest.table(table) {
        // What may not be served says so before it says whether it is there.
        gate::pass(state, manifest, table)?;
        if let Some(found) = find(state, manifest, table, file, &mut HashSet::new()).await? {
            return Ok(found);
        }
    }
    if pinned.is_some() {
        return Err(missing());
    }
    older(state, manifest, table, file).await?.ok_or_else(missing)
}

/// A file that only older snapshots have.
async fn older(state: &AppState, head: &Manifest, table: &str, file: &str) -> Result<Option<Arc<Located>>, Problem> {
    let (Ok(dataset), Ok(table_id)) = (head.dataset.parse::<DatasetId>(), table.parse::<TableId>()) else {
        return Ok(None);
    };
    // One look at the object spares the search for names that never were.
    let mut there = false;
    for area in [Area::Open, Area::Personal] {
        let key = Key::Data { area, dataset: dataset.clone(), table: table_id.clone(), file: file.to_owned() };
        there |= state.store.object(&key.to_string()).await?.is_some();
    }
    if !there {
        return Ok(None);
    }
    let mut numbers = state.store.snapshots(&dataset).await?;
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut seen = HashSet::new();
    for number in numbers.into_iter().filter(|number| *number < head.snapshot).take(SNAPSHOTS_SEARCHED) {
        let Some(manifest) = state.store.manifest(&dataset, number).await? else { continue };
        let Some(table) = manifest.table(table) else { continue };
        if let Some(found) = find(state, &manifest, table, file, &mut seen).await? {
            gate::pass(state, &manifest, table)?;
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A file among those of one table, unless all its segments were looked through before.
async fn find(
    state: &AppState,
    manifest: &Manifest,
    table: &TableSnapshot,
    file: &str,
    seen: &mut HashSet<String>,
) -> Result<Option<Arc<Located>>, Problem> {
    let fresh = table.segments.iter().filter(|segment| seen.insert(segment.hash.clone())).count();
    if fresh == 0 {
        return Ok(None);
    }
    let files = state.store.files(manifest, table).await?;
    let Some(found) = files.iter().find(|known| known.name() == file) else { return Ok(None) };
    let Some(object) = state.store.object(&found.key).await? else {
        return Err(Problem::internal(format!("{} is in a manifest and not in the store", found.key)));
    };
    Ok(Some(Arc::new(Located {
        file: found.clone(),
        license: manifest.license_of(table).clone(),
        modified: object.modified,
    })))
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
