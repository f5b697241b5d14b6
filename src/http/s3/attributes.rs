//! GetObjectAttributes: what is known of an object, without its bytes.

use axum::{http::HeaderMap, response::Response};

use super::xml::Xml;
use crate::http::{
    file,
    problem::{Kind, Problem},
    state::AppState,
};

/// What can be asked for. Objects here were not put together from parts.
const KNOWN: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

/// The attributes that a request's headers name, of an object of this size and sha256 (hex).
///
/// # Errors
/// 400 for attributes that there are none of.
pub(in crate::http) fn of(
    state: &AppState,
    headers: &HeaderMap,
    bytes: u64,
    sha256: &str,
) -> Result<Response, Problem> {
    let named = headers.get_all("x-amz-object-attributes");
    let wanted: Vec<&str> = named
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if wanted.is_empty() || wanted.iter().any(|name| !KNOWN.contains(name)) {
        let detail = format!("`x-amz-object-attributes` takes one or more of {}.", KNOWN.join(", "));
        return Err(Problem::new(Kind::InvalidParameter, detail).hint(state.url("/docs#files")));
    }
    let mut xml = Xml::new().root("GetObjectAttributesResponse");
    for name in KNOWN.into_iter().filter(|name| wanted.contains(name)) {
        match name {
            "ETag" => xml.text(name, &file::tag(sha256)),
            "StorageClass" => xml.text(name, "STANDARD"),
            "ObjectSize" => xml.text(name, &bytes.to_string()),
            "Checksum" => {
                xml.open(name);
                xml.text("ChecksumSHA256", &file::base64(sha256).unwrap_or_default());
                xml.text("ChecksumType", "FULL_OBJECT");
                xml.close(name);
            }
            _ => {}
        }
    }
    xml.close("GetObjectAttributesResponse");
    Ok(xml.answer())
}
