//! `/data` and `/data/`: the bucket itself, and the list of all buckets, which is asked for at `/`.

use axum::{
    extract::State,
    http::{Method, header},
    response::Response,
};

use chrono::SecondsFormat;

use super::{BUCKET, REGION, asked::Asked, listing, xml::Xml};
use crate::http::{
    params::Params,
    problem::{Kind, Problem},
    state::AppState,
};

/// Who owns everything here.
const OWNER: &str = "openshelf";

/// What the bucket `data` holds: ListObjectsV2 and ListObjects, GetBucketLocation, HeadBucket.
#[utoipa::path(
    get, path = "/data", tag = "files",
    params(
        ("list-type" = Option<String>, Query, description = "2 for ListObjectsV2"),
        ("prefix" = Option<String>, Query, description = "What keys begin with: `dataset/table/`, or `dataset@n/table/` for snapshot n"),
        ("delimiter" = Option<String>, Query, description = "Keys are rolled up at the first one after the prefix, mostly `/`"),
        ("max-keys" = Option<u32>, Query, description = "At most so many keys and common prefixes, 1000 at most"),
        ("start-after" = Option<String>, Query, description = "Only keys after this one")
    ),
    responses(
        (status = 200, description = "A ListBucketResult of S3", body = String, content_type = "application/xml"),
        (status = 403, description = "The license allows no public copy"),
        (status = 410, description = "The snapshot is no longer kept"),
        (status = 501, description = "An operation of S3 that a public, read-only bucket does not have")
    )
)]
pub(in crate::http) async fn list(
    State(state): State<AppState>,
    method: Method,
    params: Params,
) -> Result<Response, Problem> {
    if method == Method::HEAD {
        // HeadBucket: it is there.
        return Ok(Xml::new().answer());
    }
    match Asked::of(&state, &params)? {
        Asked::List(asked) => listing::list(&state, &asked).await,
        Asked::Location => {
            // Nothing in it is us-east-1.
            let mut xml = Xml::new().root("LocationConstraint");
            xml.close("LocationConstraint");
            Ok(xml.answer())
        }
        Asked::Versioning => {
            let mut xml = Xml::new().root("VersioningConfiguration");
            xml.close("VersioningConfiguration");
            Ok(xml.answer())
        }
    }
}

/// The same, as some clients spell it.
#[utoipa::path(
    get, path = "/data/", tag = "files",
    params(
        ("list-type" = Option<String>, Query, description = "2 for ListObjectsV2"),
        ("prefix" = Option<String>, Query, description = "What keys begin with"),
        ("delimiter" = Option<String>, Query, description = "Keys are rolled up at the first one after the prefix, mostly `/`"),
        ("max-keys" = Option<u32>, Query, description = "At most so many keys and common prefixes, 1000 at most"),
        ("start-after" = Option<String>, Query, description = "Only keys after this one")
    ),
    responses(
        (status = 200, description = "A ListBucketResult of S3", body = String, content_type = "application/xml"),
        (status = 403, description = "The license allows no public copy"),
        (status = 410, description = "The snapshot is no longer kept"),
        (status = 501, description = "An operation of S3 that a public, read-only bucket does not have")
    )
)]
pub(in crate::http) async fn list_slash(
    state: State<AppState>,
    method: Method,
    params: Params,
) -> Result<Response, Problem> {
    list(state, method, params).await
}

/// The list of all buckets: this one.
///
/// # Errors
/// What the store says.
pub(in crate::http) async fn all(state: &AppState, params: &Params) -> Result<Response, Problem> {
    let heads = state.listing.heads(&state.store).await?;
    let begun = heads.iter().map(|head| head.created).min().unwrap_or_default();
    let mut xml = Xml::new().root("ListAllMyBucketsResult");
    owner(&mut xml);
    xml.open("Buckets");
    if BUCKET.starts_with(params.get("prefix").unwrap_or_default()) {
        xml.open("Bucket");
        xml.text("Name", BUCKET);
        xml.text("CreationDate", &begun.to_rfc3339_opts(SecondsFormat::Millis, true));
        xml.text("BucketRegion", REGION);
        xml.close("Bucket");
    }
    xml.close("Buckets");
    xml.close("ListAllMyBucketsResult");
    Ok(xml.answer())
}

/// Says who owns everything here.
pub(super) fn owner(xml: &mut Xml) {
    xml.open("Owner");
    xml.text("ID", OWNER);
    xml.text("DisplayName", OWNER);
    xml.close("Owner");
}

/// What is said of a key that is none, and of writing to one.
pub(in crate::http) fn nothing(state: &AppState, method: &Method, key: &str) -> Problem {
    if matches!(*method, Method::GET | Method::HEAD) {
        let detail =
            format!("There is no object `{key}`: objects are `<dataset>/<table>/<file>.parquet`, folders are listed.");
        let folder = match key.trim_end_matches('/') {
            "" => String::new(),
            name if name.split('/').count() < 3 => format!("&prefix={name}/"),
            _ => String::new(),
        };
        let listing = state.url(&format!("/data?list-type=2&delimiter=/{folder}"));
        return Problem::new(Kind::FileNotFound, detail).hint(listing);
    }
    read_only(state).header(header::ALLOW, "GET,HEAD")
}

/// What is said of writing.
pub(in crate::http) fn read_only(state: &AppState) -> Problem {
    Problem::new(Kind::MethodNotAllowed, "This bucket is read-only: tables are published by `openshelf ingest`.")
        .hint(format!("GET {}", state.url("/data?list-type=2&delimiter=/")))
}
