//! A proxy before the S3 server that counts what is asked, and lets requests go wrong: refused, cut off, slow.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures::StreamExt;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered with this status, and not passed on.
    Status(u16),
    /// The connection ends without an answer, before it is passed on.
    Reset,
    /// It is passed on, and the connection ends without an answer.
    Lost,
    /// Half of the answer's body comes, then the connection ends.
    Cut,
    /// The answer takes this many milliseconds longer.
    Slow(u64),
    /// What of the answer was not taken within so many milliseconds never comes: the connection ends.
    Impatient(u64),
    /// No answer ever.
    Hang,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// Bytes of the answer, as its header says.
    pub(crate) bytes: u64,
    pub(crate) fault: Option<Fault>,
}

impl Asked {
    /// What S3 calls it.
    pub(crate) fn operation(&self) -> &'static str {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let has = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
        match self.method.as_str() {
            "PUT" if has("partNumber") => "UploadPart",
            "PUT" => "PutObject",
            "POST" if has("uploads") => "CreateMultipartUpload",
            "POST" if has("uploadId") => "CompleteMultipartUpload",
            "POST" if has("delete") => "DeleteObjects",
            "GET" if has("list-type") => "ListObjectsV2",
            "GET" if has("uploads") => "ListMultipartUploads",
            "GET" => "GetObject",
            "HEAD" => "HeadObject",
            "DELETE" if has("uploadId") => "AbortMultipartUpload",
            "DELETE" => "DeleteObject",
            _ => "another",
        }
    }
}

type Plan = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

struct Shared {
    behind: String,
    client: reqwest::Client,
    asked: Mutex<Vec<Asked>>,
    plan: Mutex<Plan>,
    /// Answers that were not waited for ([`Fault::Impatient`]).
    given_up: AtomicUsize,
}

/// Running; stops when dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Before a server at `host:port`.
    pub(crate) fn before(behind: &str) -> Self {
        let shared = Arc::new(Shared {
            behind: behind.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            asked: Mutex::default(),
            plan: Mutex::new(Box::new(|_| None)),
            given_up: AtomicUsize::new(0),
        });
        let (say, address) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let held = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                // What the kernel holds of an answer has left the storage: little, so that a storage that ends it is noticed.
                socket.set_send_buffer_size(64 << 10).unwrap();
                socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
                let listener = socket.listen(1024).unwrap();
                say.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = accept(listener, held) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        let address = address.recv().unwrap();
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// From now on, this decides what becomes of a request.
    pub(crate) fn plan(&self, plan: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        *self.shared.plan.lock().unwrap() = Box::new(plan);
    }

    /// What was asked since the last time this was asked.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }

    /// How many answers it did not wait for.
    pub(crate) fn given_up(&self) -> usize {
        self.shared.given_up.load(Ordering::SeqCst)
    }

    /// How often each operation was asked for, since the last [`Self::take`].
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.shared.asked.lock().unwrap().iter().filter(|asked| asked.operation() == operation).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| answer(Arc::clone(&shared), request));
            let connection = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // An error is how a fault ends the connection.
            connection.serve_connection(TokioIo::new(stream), service).await.unwrap_or_default();
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
    let gone = || std::io::Error::other("the proxy ends it");
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let body = axum::body::to_bytes(Body::new(body), 64 << 20).await.map_err(|_| gone())?;
    let mut asked =
        Asked { method: head.method.to_string(), path, headers: head.headers.clone(), bytes: 0, fault: None };
    asked.fault = (shared.plan.lock().unwrap())(&asked);
    let fault = asked.fault;
    match fault {
        Some(Fault::Status(status)) => {
            shared.asked.lock().unwrap().push(asked);
            let text = "<Error><Code>InternalError</Code><Message>made by a test</Message></Error>";
            return Ok(Response::builder().status(status).body(Body::from(text)).unwrap());
        }
        Some(Fault::Reset) => {
            shared.asked.lock().unwrap().push(asked);
            return Err(gone());
        }
        Some(Fault::Hang) => {
            shared.asked.lock().unwrap().push(asked);
            return std::future::pending().await;
        }
        Some(Fault::Slow(milliseconds)) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
        _ => {}
    }
    let url = format!("http://{}{}", shared.behind, asked.path);
    // The host is signed: it stays the one that was asked.
    let passed = shared.client.request(head.method, url).headers(head.headers).body(body).send().await;
    let passed = passed.map_err(|_| gone())?;
    asked.bytes = passed.content_length().unwrap_or_default();
    let total = asked.bytes;
    shared.asked.lock().unwrap().push(asked);
    if fault == Some(Fault::Lost) {
        return Err(gone());
    }
    let mut response = Response::builder().status(passed.status());
    for (name, value) in passed.headers() {
        if name != http::header::TRANSFER_ENCODING && name != http::header::CONNECTION {
            response = response.header(name, value);
        }
    }
    let chunks = passed.bytes_stream();
    let body = match fault {
        Some(Fault::Cut) if total > 1 => {
            let mut left = (total / 2) as usize;
            let half = chunks.map(move |chunk| {
                let chunk: Bytes = chunk.map_err(|_| gone())?;
                if left == 0 {
                    return Err(gone());
                }
                let some = chunk.slice(..chunk.len().min(left));
                left -= some.len();
                Ok::<_, std::io::Error>(some)
            });
            Body::from_stream(half.chain(futures::stream::once(async move { Err(gone()) })))
        }
        Some(Fault::Impatient(milliseconds)) => {
            let begun = std::time::Instant::now();
            let patience = Duration::from_millis(milliseconds);
            let shared = Arc::clone(&shared);
            Body::from_stream(chunks.map(move |chunk| {
                if begun.elapsed() < patience {
                    return chunk.map_err(|_| gone());
                }
                shared.given_up.fetch_add(1, Ordering::SeqCst);
                Err(gone())
            }))
        }
        _ => Body::from_stream(chunks),
    };
    Ok(response.body(body).unwrap())
}
