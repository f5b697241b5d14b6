//! Iceberg's form of errors: `{"error": {"message", "type", "code"}}`, with our way forward in the message.

use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::Response,
};
use serde_json::json;

use crate::http::{
    problem::{Kind, Problem},
    state::AppState,
};

/// Whether errors at this address have Iceberg's form.
pub(in crate::http) fn is_ours(uri: &Uri) -> bool {
    uri.path().strip_prefix("/iceberg").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Puts a problem into an answer, whose status and headers are the problem's own.
pub(in crate::http) fn write(state: &AppState, problem: &Problem, id: &str, method: &Method, response: &mut Response) {
    let (kind, status) = exception(problem.kind(), method);
    let message = match kind {
        "ForbiddenException" if problem.kind() != Kind::PersonalUseOnly => {
            "This catalog is read-only: tables are published by `openshelf ingest`.".to_owned()
        }
        _ => {
            let forward = problem.hint_given().map(str::to_owned);
            let forward = forward.unwrap_or_else(|| state.url(&format!("/problems/{}", problem.kind().code())));
            format!("{} What works: {forward}", problem.detail())
        }
    };
    let message = if status.is_server_error() { format!("{message} (request {id})") } else { message };
    let mut body = json!({"error": {"message": message, "type": kind, "code": status.as_u16()}}).to_string();
    body.push('\n');
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = if *method == Method::HEAD { Body::empty() } else { Body::from(body) };
}

/// The exception that the specification has for a problem, and its status.
fn exception(kind: Kind, method: &Method) -> (&'static str, StatusCode) {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match kind {
        Kind::RouteNotFound | Kind::MethodNotAllowed if !reads => ("ForbiddenException", StatusCode::FORBIDDEN),
        Kind::PersonalUseOnly => ("ForbiddenException", StatusCode::FORBIDDEN),
        Kind::DatasetNotFound => ("NoSuchNamespaceException", StatusCode::NOT_FOUND),
        Kind::TableNotFound => ("NoSuchTableException", StatusCode::NOT_FOUND),
        Kind::TooManyRequests => ("TooManyRequestsException", StatusCode::TOO_MANY_REQUESTS),
        Kind::Unavailable | Kind::Busy => ("ServiceUnavailableException", StatusCode::SERVICE_UNAVAILABLE),
        other => match other.status() {
            status @ StatusCode::NOT_FOUND => ("NotFoundException", status),
            status if status.is_server_error() => ("InternalServerError", status),
            status => ("BadRequestException", status),
        },
    }
}
