//! A real HTTP origin on a free loopback port, for tests of crawls: files with validators, conditional requests and
//! ranges as a good server has them, folder indexes made of what was put below them, and every way of going wrong.
//!
//! ```ignore
//! let origin = Origin::start();
//! origin.put("/data/a.csv", "id\n1\n");
//! origin.put_with("/data/b.csv", Behavior::file("id\n2\n").fail(500, 2).cut(3, 1));
//! let url = origin.url("/data/");            // an HTML index of both
//! assert_eq!(origin.count("/data/a.csv"), 0);
//! ```
#![allow(dead_code, reason = "what one test module has no use for, the next one has")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request as HttpRequest, State},
    response::Response,
};
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};

/// A running origin; stops when dropped.
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Behavior>>,
    requests: Mutex<Vec<Request>>,
}

/// One request as it came and what it got.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path with query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) status: u16,
    pub(crate) at: Instant,
}

impl Request {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What a path answers. Faults come first, one a request, then the file.
#[derive(Debug, Clone)]
pub(crate) struct Behavior {
    status: u16,
    body: Bytes,
    content_type: Option<String>,
    etag: Option<String>,
    last_modified: Option<String>,
    ranges: bool,
    if_range: bool,
    conditional: bool,
    declared: Option<u64>,
    chunked: bool,
    drip: Option<(usize, Duration)>,
    headers: Vec<(String, String)>,
    faults: VecDeque<Fault>,
    then: Option<Box<Behavior>>,
}

#[derive(Debug, Clone)]
enum Fault {
    Status(u16, Option<String>),
    Cut(usize),
}

impl Behavior {
    /// A file with a strong ETag (of its content), Last-Modified, ranges and conditional requests.
    pub(crate) fn file(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let hash = Sha256::digest(&body);
        // The content decides the time too, so that another content has another time.
        let days = u64::from(u16::from_be_bytes([hash[0], hash[1]])) % 8000;
        let changed = std::time::UNIX_EPOCH + Duration::from_secs(days * 24 * 3600 + 12 * 3600);
        Self {
            status: 200,
            body,
            content_type: None,
            etag: Some(format!("\"{}\"", hex::encode(&hash[..8]))),
            last_modified: Some(httpdate::fmt_http_date(changed)),
            ranges: true,
            if_range: true,
            conditional: true,
            declared: None,
            chunked: false,
            drip: None,
            headers: Vec::new(),
            faults: VecDeque::new(),
            then: None,
        }
    }

    /// An HTML page with status 200.
    pub(crate) fn html(text: &str) -> Self {
        Self::file(text.to_owned()).content_type("text/html; charset=utf-8")
    }

    /// Nothing but a status.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::file("").no_validators() }
    }

    /// A redirect (302) to another address.
    pub(crate) fn redirect(to: impl Into<String>) -> Self {
        Self::status(302).header("location", to)
    }

    /// The next `times` requests get this status.
    pub(crate) fn fail(mut self, status: u16, times: usize) -> Self {
        self.faults.extend(std::iter::repeat_n(Fault::Status(status, None), times));
        self
    }

    /// The next `times` requests get 429 with this Retry-After.
    pub(crate) fn too_many(mut self, retry_after: &str, times: usize) -> Self {
        self.faults.extend(std::iter::repeat_n(Fault::Status(429, Some(retry_after.to_owned())), times));
        self
    }

    /// The bodies of the next `times` answers are cut off after so many bytes.
    pub(crate) fn cut(mut self, after: usize, times: usize) -> Self {
        self.faults.extend(std::iter::repeat_n(Fault::Cut(after), times));
        self
    }

    /// When the faults are over and one more request (or the last fault) was answered, the path answers this instead.
    pub(crate) fn then(mut self, next: Behavior) -> Self {
        self.then = Some(Box::new(next));
        self
    }

    /// Content-Length says this, whatever the body has.
    pub(crate) fn declare(mut self, bytes: u64) -> Self {
        self.declared = Some(bytes);
        self
    }

    /// No Content-Length.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// So many bytes, a pause, so many bytes.
    pub(crate) fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes, pause));
        self
    }

    /// Another media type.
    pub(crate) fn content_type(mut self, text: &str) -> Self {
        self.content_type = Some(text.to_owned());
        self
    }

    /// Another ETag; weak ones begin with `W/`.
    pub(crate) fn etag(mut self, text: &str) -> Self {
        self.etag = Some(text.to_owned());
        self
    }

    /// Last-Modified only.
    pub(crate) fn no_etag(mut self) -> Self {
        self.etag = None;
        self
    }

    /// Neither ETag nor Last-Modified.
    pub(crate) fn no_validators(mut self) -> Self {
        self.etag = None;
        self.last_modified = None;
        self
    }

    /// Ranges are ignored.
    pub(crate) fn no_ranges(mut self) -> Self {
        self.ranges = false;
        self
    }

    /// Ranges are served whatever If-Range says.
    pub(crate) fn ignore_if_range(mut self) -> Self {
        self.if_range = false;
        self
    }

    /// Conditional requests are ignored.
    pub(crate) fn unconditional(mut self) -> Self {
        self.conditional = false;
        self
    }

    /// One more header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl Origin {
    /// An empty origin on a free port of 127.0.0.1.
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        // A thread and runtime of its own: it answers also while a test blocks, and plain tests can use it.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The address of a path (which begins with `/`).
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Puts a well-behaved file, or changes what it holds.
    pub(crate) fn put(&self, path: &str, body: impl Into<Bytes>) {
        self.put_with(path, Behavior::file(body));
    }

    /// Puts a path (a query is part of it where requests have one) that answers in its own way.
    pub(crate) fn put_with(&self, path: &str, behavior: Behavior) {
        assert!(path.starts_with('/'), "{path} does not begin with /");
        lock(&self.shared.files).insert(path.to_owned(), behavior);
    }

    /// Puts a folder's files under a path that ends in `/`.
    pub(crate) fn put_folder(&self, path: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_dir() {
                self.put_folder(&format!("{path}{name}/"), &entry.path());
            } else {
                self.put(&format!("{path}{name}"), std::fs::read(entry.path()).unwrap());
            }
        }
    }

    /// From now on a path is not there.
    pub(crate) fn remove(&self, path: &str) {
        lock(&self.shared.files).remove(path);
    }

    /// All requests so far, robots.txt among them.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// The requests for one path (with query).
    pub(crate) fn requests_to(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.path == path).collect()
    }

    /// The statuses that one path answered, in order.
    pub(crate) fn statuses(&self, path: &str) -> Vec<u16> {
        self.requests_to(path).iter().map(|request| request.status).collect()
    }

    /// How often one path was asked for.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.requests_to(path).len()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget_requests(&self) {
        lock(&self.shared.requests).clear();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).unwrap_or_default();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(shared): State<Arc<Shared>>, request: HttpRequest) -> Result<Response, Infallible> {
    let path = request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let (behavior, fault) = shared.next(&path);
    let mut logged = Request {
        method: request.method().to_string(),
        path,
        headers: request.headers().clone(),
        status: 404,
        at: Instant::now(),
    };
    let response = match (behavior, fault) {
        (_, Some(Fault::Status(status, retry_after))) => {
            let mut response = Response::builder().status(status);
            if let Some(text) = retry_after {
                response = response.header(header::RETRY_AFTER, text);
            }
            response.body(Body::from("in trouble\n")).unwrap()
        }
        (Some(behavior), Some(Fault::Cut(after))) => respond(&behavior, request.headers(), Some(after)),
        (Some(behavior), None) => respond(&behavior, request.headers(), None),
        (None, _) => Response::builder().status(404).body(Body::from("not here\n")).unwrap(),
    };
    logged.status = response.status().as_u16();
    lock(&shared.requests).push(logged);
    Ok(response)
}

impl Shared {
    /// What the next request for a path gets.
    fn next(&self, path: &str) -> (Option<Behavior>, Option<Fault>) {
        let mut files = lock(&self.files);
        let Some(behavior) = files.get_mut(path) else {
            return (index(&files, path), None);
        };
        let fault = behavior.faults.pop_front();
        let now = behavior.clone();
        if behavior.faults.is_empty()
            && let Some(then) = behavior.then.take()
        {
            *behavior = *then;
        }
        (Some(now), fault)
    }
}

/// A folder's HTML index, as web servers make it.
fn index(files: &BTreeMap<String, Behavior>, path: &str) -> Option<Behavior> {
    if !path.ends_with('/') {
        return None;
    }
    let below = files.keys().filter_map(|file| file.strip_prefix(path)).filter(|rest| !rest.is_empty());
    let children: BTreeSet<&str> = below.map(|rest| rest.split_inclusive('/').next().unwrap()).collect();
    if children.is_empty() {
        return None;
    }
    let links: String = children.iter().map(|name| format!("<a href=\"{name}\">{name}</a>\n")).collect();
    Some(Behavior::html(&format!("<!DOCTYPE html>\n<title>Index of {path}</title>\n<a href=\"../\">../</a>\n{links}")))
}

fn respond(behavior: &Behavior, headers: &HeaderMap, cut: Option<usize>) -> Response {
    let mut response = Response::builder().status(behavior.status);
    for (name, value) in
        [("etag", &behavior.etag), ("last-modified", &behavior.last_modified), ("content-type", &behavior.content_type)]
    {
        if let Some(value) = value {
            response = response.header(name, value);
        }
    }
    for (name, value) in &behavior.headers {
        response = response.header(name, value);
    }
    if behavior.ranges && behavior.status == 200 {
        response = response.header(header::ACCEPT_RANGES, "bytes");
    }
    if behavior.conditional && unchanged(behavior, headers) {
        return response.status(StatusCode::NOT_MODIFIED).body(Body::empty()).unwrap();
    }
    let mut body = behavior.body.clone();
    if let Some(from) = wanted_from(behavior, headers) {
        let total = body.len();
        if from >= total {
            let range = format!("bytes */{total}");
            return response.status(416).header(header::CONTENT_RANGE, range).body(Body::empty()).unwrap();
        }
        body = body.slice(from..);
        let range = format!("bytes {from}-{}/{total}", total - 1);
        response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
    }
    if !behavior.chunked {
        response = response.header(header::CONTENT_LENGTH, behavior.declared.unwrap_or(body.len() as u64));
    }
    let piece = behavior.drip.map_or(usize::MAX, |(bytes, _)| bytes.max(1));
    let pause = behavior.drip.map_or(Duration::ZERO, |(_, pause)| pause);
    let sent = body.slice(..cut.unwrap_or(usize::MAX).min(body.len()));
    let pieces: Vec<Bytes> = sent.chunks(piece.min(sent.len().max(1))).map(Bytes::copy_from_slice).collect();
    let pieces = futures::stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok(piece)
    });
    let end = futures::stream::iter(cut).then(|_| async {
        // Time for what was written to leave the house before the connection is torn down.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::other("cut"))
    });
    response.body(Body::from_stream(pieces.chain(end))).unwrap()
}

/// Whether a conditional request's version is the one there is (If-None-Match before If-Modified-Since).
fn unchanged(behavior: &Behavior, headers: &HeaderMap) -> bool {
    let sent = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match (sent(header::IF_NONE_MATCH), sent(header::IF_MODIFIED_SINCE)) {
        (Some(known), _) => behavior.etag.as_deref().is_some_and(|etag| known.split(", ").any(|known| known == etag)),
        (None, Some(since)) => behavior.last_modified.as_deref() == Some(since),
        (None, None) => false,
    }
}

/// Where a range request wants to begin, if it is to be honored.
fn wanted_from(behavior: &Behavior, headers: &HeaderMap) -> Option<usize> {
    let sent = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let from = sent(header::RANGE)?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?;
    let holds = sent(header::IF_RANGE).is_none_or(|validator| {
        Some(validator) == behavior.etag.as_deref() || Some(validator) == behavior.last_modified.as_deref()
    });
    (behavior.ranges && (holds || !behavior.if_range)).then_some(from)
}
