//! S3's form of errors: a code that clients branch on, a message with our way forward in it. And by what a client of S3 is
//! known where the address does not say it.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::Response,
};

use super::{
    BUCKET,
    xml::{MEDIA_TYPE, Xml},
};
use crate::http::{
    problem::{Kind, Problem},
    state::AppState,
};

/// That a request's errors are in S3's form.
#[derive(Debug, Clone)]
pub(in crate::http) struct Form {
    path: String,
    /// Whether it is about the bucket there is.
    ours: bool,
}

impl Form {
    /// The form of a request under `/data`, or of one that a client of S3 sent and that means another bucket.
    pub(in crate::http) fn of(request: &Request) -> Option<Self> {
        let path = request.uri().path();
        let ours = path.strip_prefix('/').and_then(|path| path.strip_prefix(BUCKET));
        let ours = ours.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // Other interfaces have forms of their own, whoever asks.
        let others = path.starts_with("/v1/") || path.starts_with("/iceberg");
        (ours || !others && is_client(request.uri(), request.headers())).then(|| Self { path: path.to_owned(), ours })
    }

    /// Whether this problem is told in it: of another bucket there is only to say that it is none.
    pub(in crate::http) fn tells(&self, problem: &Problem) -> bool {
        self.ours || matches!(problem.kind(), Kind::RouteNotFound | Kind::MethodNotAllowed)
    }

    /// Puts a problem into an answer, whose status and headers are the problem's own. `keep_body`: not for HEAD.
    pub(in crate::http) fn write(
        &self,
        state: &AppState,
        problem: &Problem,
        id: &str,
        keep_body: bool,
        response: &mut Response,
    ) {
        let (code, status) = code(problem.kind());
        let code = if self.ours || problem.kind() != Kind::RouteNotFound { code } else { "NoSuchBucket" };
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        let body = self.body(state, code, problem, id);
        // A HEAD has the length of what a GET would bring; S3 itself sends none, and clients want nothing.
        *response.body_mut() = if keep_body {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            Body::from(body)
        } else {
            response.headers_mut().remove(header::CONTENT_TYPE);
            Body::empty()
        };
    }

    /// Marks an answer as S3's clients look for it.
    pub(in crate::http) fn mark(&self, id: &str, response: &mut Response) {
        if self.ours
            && let Ok(value) = HeaderValue::try_from(id)
        {
            response.headers_mut().insert(HeaderName::from_static("x-amz-request-id"), value);
        }
    }

    fn body(&self, state: &AppState, code: &str, problem: &Problem, id: &str) -> Vec<u8> {
        let mut xml = Xml::new();
        xml.open("Error");
        xml.text("Code", code);
        let forward = problem.hint_given().map(str::to_owned);
        let forward = forward.unwrap_or_else(|| state.url(&format!("/problems/{}", problem.kind().code())));
        let message = match code {
            "NoSuchBucket" => {
                let asked = self.path.split('/').nth(1).unwrap_or_default();
                let listing = state.url("/data?list-type=2&delimiter=/");
                format!(
                    "There is no bucket `{asked}`: there is one, `{BUCKET}`, with a folder for each dataset. \
                     What works: s3://{BUCKET}/, or GET {listing}"
                )
            }
            _ => format!("{} What works: {forward}", problem.detail().replace("`instance`", "`RequestId`")),
        };
        xml.text("Message", &message);
        if self.ours {
            xml.text("BucketName", BUCKET);
            let key = self.path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
            if !key.is_empty() {
                xml.text("Key", &percent_encoding::percent_decode_str(key).decode_utf8_lossy());
            }
        }
        xml.text("Resource", &self.path);
        xml.text("RequestId", id);
        xml.close("Error");
        xml.bytes()
    }
}

/// What clients that sign nothing when they are anonymous are known by only.
const PROGRAMS: [&str; 2] = ["aws-sdk-", "rclone/"];

/// Whether a request is that of a client of S3, by its headers or its arguments.
pub(in crate::http) fn is_client(uri: &Uri, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // CloudFront adds `x-amz-cf-id` to whatever it passes on.
    let marked = |name: &HeaderName| match name.as_str().strip_prefix("x-amz-") {
        Some(rest) => !rest.starts_with("cf-"),
        None => name.as_str().starts_with("amz-sdk-"),
    };
    let asks = |query: &str| {
        ["X-Amz-Signature=", "AWSAccessKeyId=", "list-type=2", "x-id="].iter().any(|mark| query.contains(mark))
    };
    text(header::AUTHORIZATION).starts_with("AWS")
        || headers.keys().any(marked)
        || uri.query().is_some_and(asks)
        || PROGRAMS.iter().any(|program| text(header::USER_AGENT).contains(program))
}

/// The code and status of a kind of problem.
fn code(kind: Kind) -> (&'static str, StatusCode) {
    let code = match kind {
        Kind::FileNotFound
        | Kind::DatasetNotFound
        | Kind::TableNotFound
        | Kind::SnapshotNotFound
        | Kind::SnapshotCollected
        | Kind::RouteNotFound => "NoSuchKey",
        // 451 is unknown to these clients.
        Kind::PersonalUseOnly => return ("AccessDenied", StatusCode::FORBIDDEN),
        // What they wait and try again for.
        Kind::TooManyRequests => return ("SlowDown", StatusCode::SERVICE_UNAVAILABLE),
        Kind::MethodNotAllowed => "MethodNotAllowed",
        Kind::NoSuchPart => "InvalidPart",
        Kind::NotImplemented => "NotImplemented",
        Kind::PreconditionFailed => "PreconditionFailed",
        Kind::RangeNotSatisfiable => "InvalidRange",
        Kind::Unavailable | Kind::Busy => "ServiceUnavailable",
        _ if kind.status().is_client_error() => "InvalidArgument",
        _ => "InternalError",
    };
    (code, kind.status())
}
