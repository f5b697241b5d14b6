//! The outermost layer: gives each request its id, writes the bodies of problems, counts, and logs one line at the end.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use sha2::{Digest, Sha256};

use super::{
    etag::ENCODINGS,
    iceberg::error as iceberg,
    limits::Peer,
    metrics::RequestLabels,
    problem::{Kind, MEDIA_TYPE, Problem},
    s3,
    state::AppState,
};

/// See the module.
pub(super) async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(&state, request.extensions().get::<Peer>());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_string()).unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();

    let s3 = s3::Form::of(&request);
    let is_iceberg = iceberg::is_ours(request.uri());

    let mut response = next.run(request).await;

    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        if let Some(s3) = s3.as_ref().filter(|s3| s3.tells(&problem)) {
            s3.write(&state, &problem, &id, method != Method::HEAD, &mut response);
        } else if is_iceberg {
            iceberg::write(&state, &problem, &id, &method, &mut response);
        } else {
            let body = problem.body(&state, &id);
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            *response.body_mut() = if method == Method::HEAD { Body::empty() } else { Body::from(body) };
        }
        if let Some(cause) = problem.cause() {
            tracing::error!(request.id = %id, problem = problem.kind().code(), cause, "{method} {path} failed");
        }
    }
    tag_encoded_variant(&mut response);
    if let Some(s3) = &s3 {
        s3.mark(&id, &mut response);
    }
    if let Ok(value) = HeaderValue::try_from(id.as_ref()) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let record = Record { state, id, method, path, query, peer, route, status: response.status().as_u16(), begun };
    response.map(|body| Body::new(Observed { body, bytes: 0, failed: false, record: Some(record) }))
}

/// The whole HTTP/1 answer to a request that could not be read, counted and logged as any other. `local` is where the
/// client reached us.
pub(super) fn refused(state: &AppState, peer: Peer, local: Option<SocketAddr>, status: u16) -> Vec<u8> {
    let begun = Instant::now();
    let base = match (&state.settings.public_url, local) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(local)) => format!("http://{local}"),
        (None, None) => String::new(),
    };
    let kind = match status {
        414 => Kind::AddressTooLong,
        431 => Kind::HeadersTooLarge,
        _ => Kind::UnreadableRequest,
    };
    let hint = match kind {
        Kind::UnreadableRequest => format!("curl -G '{base}/v1/datasets' --data-urlencode 'q=two words'"),
        _ => format!("{base}/docs"),
    };
    let problem = Problem::new(kind, kind.explanation()).hint(hint);
    let id = request_id(state, Some(&peer));
    let body = problem.body(state, &id);
    let status = kind.status();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         x-request-id: {id}\r\nx-content-type-options: nosniff\r\naccess-control-allow-origin: *\r\n\
         connection: close\r\ndate: {}\r\n\r\n",
        body.len(),
        httpdate::fmt_http_date((state.clock)().into()),
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    let record = Record {
        state: state.clone(),
        id,
        method: Method::from_bytes(b"unreadable").unwrap_or_default(),
        path: String::new(),
        query: String::new(),
        peer: peer.0.ip().to_string(),
        route: "unreadable".to_owned(),
        status: status.as_u16(),
        begun,
    };
    record.write(body.len() as u64, false);
    answer
}

/// Ids sort by time and cannot be guessed from one another's existence; a counter keeps those of one millisecond apart.
fn request_id(state: &AppState, peer: Option<&Peer>) -> Arc<str> {
    let now = (state.clock)();
    let count = state.requests.fetch_add(1, Ordering::Relaxed);
    let mut hash = Sha256::new();
    hash.update(count.to_be_bytes());
    hash.update(now.timestamp_nanos_opt().unwrap_or_default().to_be_bytes());
    hash.update(std::process::id().to_be_bytes());
    if let Some(peer) = peer {
        hash.update(peer.0.to_string());
    }
    let random = hash.finalize().iter().take(10).fold(0_u128, |all, byte| (all << 8) | u128::from(*byte));
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    ulid::Ulid::from_parts(millis, random).to_string().into()
}

/// A compressed body is another representation, so it has another tag.
fn tag_encoded_variant(response: &mut Response) {
    let headers = response.headers_mut();
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let Some(encoding) = encoding.filter(|encoding| ENCODINGS.contains(encoding)) else { return };
    let Some(tag) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()) else { return };
    let Some(bare) = tag.strip_suffix('"') else { return };
    if let Ok(tag) = HeaderValue::try_from(format!("{bare}-{encoding}\"")) {
        headers.insert(header::ETAG, tag);
    }
}

struct Record {
    state: AppState,
    id: Arc<str>,
    method: Method,
    path: String,
    query: String,
    peer: String,
    route: String,
    status: u16,
    begun: Instant,
}

impl Record {
    fn write(self, bytes: u64, failed: bool) {
        let took = self.begun.elapsed();
        tracing::info!(
            request.id = %self.id,
            http.method = %self.method,
            http.path = %self.path,
            http.query = %self.query,
            http.route = %self.route,
            http.status = self.status,
            client.address = %self.peer,
            size_bytes = bytes,
            duration_ms = took.as_millis() as u64,
            broken = failed,
            "{} {} {}",
            self.method,
            self.path,
            self.status
        );
        let method = match self.method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::OPTIONS => "OPTIONS",
            _ => "other",
        };
        let labels = RequestLabels { method, route: self.route, status: self.status };
        self.state.metrics.request(&labels, took.as_secs_f64(), bytes);
        if failed {
            self.state.metrics.broken.inc();
        }
    }
}

/// A body that is counted; the log line is written when it ends or is dropped.
struct Observed {
    body: Body,
    bytes: u64,
    failed: bool,
    record: Option<Record>,
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Poll::Ready(Some(Err(error))) => {
                self.failed = true;
                if let Some(record) = &self.record {
                    tracing::error!(request.id = %record.id, cause = %error, "{} broke off", record.path);
                }
            }
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.write(self.bytes, self.failed);
        }
    }
}
