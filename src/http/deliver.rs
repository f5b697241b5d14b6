//! An answer of rows, whatever they are rows of: held against what the client has, headed, encoded, streamed.
//!
//! Owns the headers that follow from the rows themselves; what they are rows of adds its own (`Subject::describe`).

use axum::{
    http::{HeaderName, HeaderValue, Method, header},
    response::Response,
};
use serde_json::{Map, Value};

use super::{
    answer,
    api::{link, link_with},
    cache::CachePolicy,
    etag::ETag,
    incoming::Incoming,
    problem::Problem,
    produce::{self, Coach, MakeTail, Produced, Producer, Writer},
};
use crate::query::{
    batches::Batches,
    encode::{Encoder, Format, OutputColumn, json},
};

/// What decides whether a client has an answer already, and how long it may keep it.
#[derive(Debug, Clone)]
pub(super) struct Validity {
    pub(super) tag: ETag,
    pub(super) policy: CachePolicy,
}

impl Validity {
    /// 304, when the client has it. Answers to POST are not kept.
    pub(super) fn not_modified(&self, request: &Incoming) -> Option<Response> {
        if request.method == Method::POST {
            return None;
        }
        let mut response = answer::not_modified(self.tag.if_none_match(&request.headers)?, self.policy);
        // As the answer itself: by the format accepted, and by the encoding, which compression says of what it compresses.
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
        Some(response)
    }
}

/// How an answer shows its rows.
pub(super) struct Delivery {
    pub(super) format: Format,
    pub(super) columns: Vec<OutputColumn>,
    /// JSON: what stands before `columns`.
    pub(super) head: Map<String, Value>,
    /// JSON: what stands after the rows.
    pub(super) tail: MakeTail,
    /// JSON: rows to show; the batches may hold one more, to say that there is one.
    pub(super) limit: Option<u64>,
    /// JSON: whether long cells are cut.
    pub(super) truncate: bool,
    /// Name of the file a browser saves, without its ending.
    pub(super) file: String,
    /// Parquet: what the file says about itself.
    pub(super) metadata: Vec<(String, String)>,
    /// Address of the next page, when it is known beforehand.
    pub(super) next: Option<String>,
    /// Bytes read from the store for the answer before its rows: to count them.
    pub(super) counted: u64,
}

/// The answer. Nothing is read for HEAD.
///
/// # Errors
/// For what fails before the first byte; what fails later aborts the body.
pub(super) async fn deliver(
    request: &Incoming,
    validity: &Validity,
    delivery: Delivery,
    batches: Batches,
) -> Result<Response, Problem> {
    deliver_with(request, validity, delivery, batches, None).await
}

/// [`deliver`], with a word on how the same is had for less where that is worth one.
///
/// # Errors
/// As [`deliver`].
pub(super) async fn deliver_with(
    request: &Incoming,
    validity: &Validity,
    delivery: Delivery,
    batches: Batches,
    coach: Option<Coach>,
) -> Result<Response, Problem> {
    let Delivery { format, columns, head, tail, limit, truncate, file, metadata, next, counted } = delivery;
    let produced = if request.method == Method::HEAD {
        Produced::nothing()
    } else {
        let mut begun = Vec::new();
        let writer = if format == Format::Json {
            let answer = json::Answer::begin(&head, &columns, truncate, &mut begun);
            Writer::Json { answer, limit: limit.unwrap_or(u64::MAX), tail }
        } else {
            Writer::Stream(Box::new(Encoder::new(format, &columns, batches.schema(), metadata)?))
        };
        produce::answer(&request.state, Producer::new(batches, writer, coach), begun).await?
    };
    let next = next.or(produced.next);
    let mut response = Response::new(produced.body);
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    out.insert(header::ETAG, validity.tag.header());
    out.insert(header::CACHE_CONTROL, validity.policy.header());
    out.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Some(scanned) = produced.scanned {
        out.insert(
            HeaderName::from_static("openshelf-scanned-bytes"),
            HeaderValue::from(scanned.saturating_add(counted)),
        );
    }
    if matches!(format, Format::Csv | Format::Arrow | Format::Parquet)
        && let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{file}.{}\"", format.name()))
    {
        out.insert(header::CONTENT_DISPOSITION, value);
    }
    if let Some(next) = next {
        link(&mut response, &next, "next");
    }
    if let Some(hint) = produced.hint {
        let title = hint.message.replace(['"', '\\'], "'");
        link_with(&mut response, &hint.url, &format!("rel=\"alternate\"; title=\"{title}\""));
        if let Ok(value) = HeaderValue::try_from(hint.message) {
            response.headers_mut().insert(HeaderName::from_static("openshelf-hint"), value);
        }
    }
    Ok(response)
}
