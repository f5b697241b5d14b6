//! Errors as the client sees them: RFC 9457 problems, each with the way that works.
//!
//! A handler returns a [`Problem`]; [`super::observe`] writes its body, because only there the request id is known. What
//! went wrong inside goes to the log under that id, never into the body.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::state::AppState;
use crate::{
    query::{QueryError, SliceError},
    store::StoreError,
};

/// The media type of problems.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! kinds {
    ($($variant:ident $code:literal $status:ident $title:literal $explanation:literal;)*) => {
        /// The kinds of problem. Their codes are part of the contract: clients may branch on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Kind {
            $(#[doc = $title] $variant,)*
        }
        impl Kind {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)*];
            /// The last part of the problem's `type`.
            pub(super) fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
            /// The status it is sent with.
            pub(super) fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }
            /// One line for people, always the same for a kind.
            pub(super) fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
            /// What it means and what to do, for its page.
            pub(super) fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation,)* }
            }
        }
    };
}

kinds! {
    InvalidParameter "invalid-parameter" BAD_REQUEST "A parameter has a value it cannot have"
        "The detail names the parameter and what it takes. Numbers are whole and not negative; `limit` is at least 1. Nothing is replaced by a default behind your back.";
    UnknownParameter "unknown-parameter" BAD_REQUEST "There is no such parameter"
        "The detail names the nearest one. Parameters that are not known are refused rather than ignored, so that a misspelled filter never returns the whole table.";
    RepeatedParameter "repeated-parameter" BAD_REQUEST "A parameter is given more than once"
        "Give each parameter once; several columns go into one `select`, separated by commas, and several conditions into one `where`, joined by `and`.";
    InvalidSelect "invalid-select" BAD_REQUEST "`select` does not name columns of this table"
        "Column names are separated by commas; `-name` leaves a column out; double quotes admit any name. The table's own page lists its columns.";
    InvalidWhere "invalid-where" BAD_REQUEST "`where` is not an expression over this table's columns"
        "The detail says at which character (counted from 1) and names the nearest column or function. Text goes in single quotes, odd column names in double quotes, and `+` in a URL is a space (write %2B for a plus).";
    InvalidSql "invalid-sql" BAD_REQUEST "`query` is not a SELECT that can be answered here"
        "One SELECT over `dataset.table` names: joins, WITH, subqueries, windows and UNNEST included; no other statements, table functions or settings. The detail says at which character (counted from 1) and names the nearest table, column or function. Text goes in single quotes, odd names in double quotes, and `+` in a URL is a space (write %2B for a plus).";
    QueryFailed "query-failed" UNPROCESSABLE_ENTITY "The engine cannot compute this query"
        "It is a query that may be asked, but the engine gave up on it. A simpler one works: fewer nested parts, other functions, or the same in two steps. The request id in `instance` finds the cause in the server's log.";
    Busy "busy" SERVICE_UNAVAILABLE "Too many queries at once"
        "So many queries run at a time, and so many wait; yours was not begun. Try again after the seconds in `Retry-After`. Rows, files and everything else are answered meanwhile.";
    InvalidOrderBy "invalid-order-by" BAD_REQUEST "`order_by` does not name columns rows can be put in order by"
        "Column names are separated by commas, the first one counting most; `-name` puts the largest first; double quotes admit any name. Lists, structs and maps have no order.";
    InvalidCursor "invalid-cursor" BAD_REQUEST "The cursor does not belong to this request"
        "A cursor is made by an answer's `next`, for the table, snapshot, condition and order it was asked with. Follow `next` as it stands; `select`, `limit` and `format` may be changed on the way.";
    LimitTooLarge "limit-too-large" BAD_REQUEST "`limit` is more than this format allows"
        "JSON answers hold at most 10 000 rows. `ndjson`, `csv`, `arrow` and `parquet` have no such bound, and the table's `files` are the whole table as Parquet.";
    TooMuchToScan "too-much-to-scan" UNPROCESSABLE_ENTITY "This query takes more than one answer may"
        "One query may read only so many bytes and work only so long. Name fewer columns in `select`, add a condition on the columns the table is sorted by (those read only the pages they need), take a `limit`, or read the table's files, which have no such bound: DuckDB and polars push the same condition down into them.";
    InvalidBody "invalid-body" BAD_REQUEST "The request body cannot be read"
        "Send one JSON object with the parameters' names as keys.";
    UnreadableRequest "unreadable-request" BAD_REQUEST "The request is not HTTP as this server reads it"
        "Its first line is `GET /address HTTP/1.1`, each further line a header. Letters, spaces and signs in the address may be typed as they are or be percent-encoded; `curl -G --data-urlencode` encodes any value.";
    AddressTooLong "address-too-long" URI_TOO_LONG "The address is too long"
        "An address holds at most 65 534 bytes. POST takes the same parameters as a JSON body of up to 1 MiB.";
    HeadersTooLarge "headers-too-large" REQUEST_HEADER_FIELDS_TOO_LARGE "The request's headers are too many or too long"
        "A request's head holds at most 100 headers and 256 KiB. Long conditions go into the JSON body of a POST.";
    NotAcceptable "not-acceptable" NOT_ACCEPTABLE "None of the accepted formats is available"
        "Formats are json, ndjson, csv, arrow and parquet: as `format=`, or by `Accept` with application/json, application/x-ndjson, text/csv, application/vnd.apache.arrow.stream or application/vnd.apache.parquet.";
    DatasetNotFound "dataset-not-found" NOT_FOUND "There is no such dataset"
        "`/v1/datasets` lists those there are.";
    TableNotFound "table-not-found" NOT_FOUND "There is no such table in this dataset"
        "The dataset's own page lists its tables.";
    SnapshotNotFound "snapshot-not-found" NOT_FOUND "There is no such snapshot"
        "`/v1/datasets/{dataset}/snapshots` lists those there are. `snapshot` takes a number, or a UTC date (2026-11-21) for the newest of that day.";
    SnapshotCollected "snapshot-collected" GONE "This snapshot is no longer kept"
        "Files of older snapshots are kept as long as the dataset's `retention` says; their manifests stay, and say what they were. Leave `snapshot` out for the current one.";
    FileNotFound "file-not-found" NOT_FOUND "There is no such file"
        "`/v1/datasets/{dataset}/tables/{table}/files` lists the files of a snapshot with their addresses.";
    NotSearchable "not-searchable" NOT_FOUND "This table has no full-text search"
        "Its definition declares no text column for search. The table's own page says of each column whether it is declared; `where=column ilike '%word%'` looks for words in any text column.";
    ExtractNotFound "extract-not-found" NOT_FOUND "There is no such extract"
        "An extract's id is in the answer to the POST that asked for it: `x` and 20 letters and digits.";
    ExtractExpired "extract-expired" GONE "The files of this extract are no longer kept"
        "An extract's files are kept for some days, its record for good: it says what they were and how to cite them. The command in the hint makes them again from the same snapshots.";
    TooManyExtracts "too-many-extracts" TOO_MANY_REQUESTS "Too many extracts are waiting"
        "Extracts are run one after the other. Ask again when one of yours is done, as its address says; what fits into one answer needs no extract.";
    RouteNotFound "route-not-found" NOT_FOUND "There is nothing at this address"
        "`/openapi.json` describes every address, `/docs` explains them.";
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "This address does not take that method"
        "Everything is read with GET (or HEAD); the `Allow` header lists what this address takes.";
    NotImplemented "not-implemented" NOT_IMPLEMENTED "This is an operation that nothing here has"
        "S3 has operations that a public, read-only bucket without versions has no use for. ListObjectsV2, HeadObject and GetObject are answered, with any signature or none.";
    NoSuchPart "no-such-part" BAD_REQUEST "The file has one part only"
        "Files were not put together from parts: `partNumber=1` is the whole file. Ranges give any stretch of it.";
    PreconditionFailed "precondition-failed" PRECONDITION_FAILED "The file is not the one you asked for"
        "`If-Match` or `If-Unmodified-Since` did not hold. Published files never change, so the validator belongs to another file.";
    PayloadTooLarge "payload-too-large" PAYLOAD_TOO_LARGE "The request body is too large"
        "A query is at most 1 MiB of JSON.";
    RequestTimeout "request-timeout" REQUEST_TIMEOUT "The request body did not arrive in time"
        "Send the whole body within 30 seconds.";
    UnsupportedMediaType "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "The request body is not JSON"
        "Send `Content-Type: application/json` with one JSON object.";
    RangeNotSatisfiable "range-not-satisfiable" RANGE_NOT_SATISFIABLE "The range lies outside the file"
        "`Content-Range` in this answer gives the file's size.";
    PersonalUseOnly "personal-use-only" UNAVAILABLE_FOR_LEGAL_REASONS "This dataset's license does not let a public server hand out its data"
        "Its terms allow personal use: the command in the hint fetches it from its publisher onto your own machine and serves it there.";
    TooManyRequests "too-many-requests" TOO_MANY_REQUESTS "Too many requests from this address"
        "`Retry-After` says how many seconds to wait, `RateLimit` what is left. Files and file lists have a far wider allowance of their own: a program that needs a whole table reads its files.";
    Internal "internal" INTERNAL_SERVER_ERROR "Something went wrong on this server"
        "It is not your fault. The request id in `instance` finds it in the server's log.";
    IndexNotMade "index-not-made" SERVICE_UNAVAILABLE "The search index of this snapshot could not be made"
        "It is tried again when somebody asks after the seconds in `Retry-After`. Until then `where=column ilike '%word%'` on `rows` looks for words.";
    Unavailable "unavailable" SERVICE_UNAVAILABLE "The storage behind this server does not answer"
        "Try again after the seconds in `Retry-After`.";
}

/// The small change to the request that may be what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instead {
    /// Another value of a parameter.
    Value(&'static str, String),
    /// Another word inside a parameter's value: the parameter, the word, the right one.
    Word(&'static str, String, String),
    /// Another name of a parameter.
    Name(String, String),
    /// Without a parameter.
    Without(&'static str),
}

/// A request that ended badly.
#[derive(Debug, Clone)]
pub(super) struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    kind: Kind,
    detail: String,
    hint: Option<String>,
    instead: Option<Instead>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// For the log only.
    cause: Option<String>,
}

impl Problem {
    /// A problem; `detail` is shown to the client.
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            detail: detail.into(),
            hint: None,
            instead: None,
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// A failure of ours: the cause goes to the log, not to the client.
    #[allow(clippy::needless_pass_by_value, reason = "made to be named in `map_err`")]
    pub(super) fn internal(cause: impl ToString) -> Self {
        let mut problem = Self::new(Kind::Internal, Kind::Internal.explanation());
        problem.0.cause = Some(cause.to_string());
        problem
    }

    /// What to do instead: a working address or command.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// A hint unless there is one.
    #[must_use]
    pub(super) fn or_hint(mut self, hint: impl FnOnce() -> String) -> Self {
        self.0.hint.get_or_insert_with(hint);
        self
    }

    /// With a change to the request that may be what was meant.
    #[must_use]
    pub(super) fn instead(mut self, instead: Option<Instead>) -> Self {
        self.0.instead = instead;
        self
    }

    /// What may have been meant.
    pub(super) fn meant(&self) -> Option<&Instead> {
        self.0.instead.as_ref()
    }

    /// With a header.
    #[must_use]
    pub(super) fn header(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        if let Ok(value) = value.try_into() {
            self.0.headers.push((name, value));
        }
        self
    }

    /// What to do instead, if it says so itself.
    pub(super) fn hint_given(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Its kind.
    pub(super) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What the client is told.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What the log says about it.
    pub(super) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The body, for a request of that id.
    pub(super) fn body(&self, state: &AppState, instance: &str) -> Vec<u8> {
        let kind = self.0.kind;
        let hint = self.0.hint.clone().unwrap_or_else(|| state.url(&format!("/problems/{}", kind.code())));
        let body = json!({
            "type": state.url(&format!("/problems/{}", kind.code())),
            "title": kind.title(),
            "status": kind.status().as_u16(),
            "detail": self.0.detail,
            "instance": instance,
            "hint": hint,
        });
        let mut text = body.to_string().into_bytes();
        text.push(b'\n');
        text
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.kind.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in &self.0.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable { .. } => {
                let mut problem = Self::new(Kind::Unavailable, Kind::Unavailable.explanation());
                problem.0.cause = Some(error.to_string());
                problem.header(header::RETRY_AFTER, "5")
            }
            _ => Self::internal(error),
        }
    }
}

impl From<SliceError> for Problem {
    fn from(error: SliceError) -> Self {
        let kind = match error.parameter {
            "where" => Kind::InvalidWhere,
            "select" => Kind::InvalidSelect,
            "query" => Kind::InvalidSql,
            "order_by" => Kind::InvalidOrderBy,
            "cursor" => Kind::InvalidCursor,
            _ => Kind::InvalidParameter,
        };
        let instead = error.instead.clone().map(|value| match value.as_str() {
            "" => Instead::Without(error.parameter),
            _ => Instead::Value(error.parameter, value),
        });
        Self::new(kind, error.to_string()).instead(instead)
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Slice(error) => error.into(),
            QueryError::Store(error) => error.into(),
            QueryError::OverCap(over) => Self::new(
                Kind::TooMuchToScan,
                format!(
                    "This query was stopped: {over}. A narrower query works, and so do the table's files, which have no such bound; `POST /v1/extracts` with the same parameters runs it as a job, which may take far more."
                ),
            ),
            QueryError::Unshowable { .. } => Self::new(Kind::InvalidSql, error.to_string()),
            // Whatever it is, another query works: it is told so, and the log tells us.
            QueryError::Engine(_) | QueryError::Broken(_) => {
                let mut problem = Self::new(Kind::QueryFailed, Kind::QueryFailed.explanation());
                problem.0.cause = Some(error.to_string());
                problem
            }
            error => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_slugs_and_differ() {
        let mut codes: Vec<&str> = Kind::ALL.iter().map(|kind| kind.code()).collect();
        assert!(codes.iter().all(|code| code.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Kind::ALL.len());
    }
}
