//! The accept loop: connections with timeouts and a cap, and an end that lets answers finish.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{net::TcpListener, net::TcpStream, sync::Semaphore};
use tower::ServiceExt;

use super::{
    connection::{InFlight, InFlightGuard, Patience, Patient},
    extracts,
    lenient::Lenient,
    limits::Peer,
    observe, router,
    state::{AppState, Clock},
};
use crate::{config::ServeSettings, query::engine::Engine, store::Store};

/// Connections at one time; more wait in the kernel's queue.
const CONNECTIONS: usize = 4096;
/// Silence that is borne.
const PATIENCE: Patience =
    Patience { first_byte: Duration::from_secs(10), idle: Duration::from_secs(60), write: Duration::from_secs(60) };
/// Time a request's head may take, from its first byte.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// Time answers have to finish when the server ends.
const LAST_WORDS: Duration = Duration::from_secs(20);
/// Requests of one HTTP/2 connection at a time.
const STREAMS: u32 = 100;
/// Bytes of a request's head: a `where` may be long.
const HEAD_BYTES: usize = 256 << 10;

/// Serves the store on `listener` until `shutdown` is ready; answers that have begun are then finished.
///
/// Personal datasets are served only when the listener is bound to loopback or the settings allow it.
///
/// # Errors
/// When the listener has no address, or there are no threads to be had. Failures of single connections are logged, and the loop goes on.
pub async fn serve(
    listener: TcpListener,
    store: Store,
    settings: ServeSettings,
    clock: Clock,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let loopback = listener.local_addr()?.ip().to_canonical().is_loopback();
    let engine = Engine::new(&settings.sql)?;
    let state = AppState::new(store, settings, engine, clock, loopback);
    let app = router::build(&state);
    let looking = tokio::spawn(extracts::look_after(state.clone()));
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut shutdown => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let watched = graceful.watcher();
                let (app, state) = (app.clone(), state.clone());
                tokio::spawn(async move {
                    let _place = place;
                    state.metrics.connections.inc();
                    if let Err(error) = watched.watch(connection(stream, Peer(peer), app, state.clone())).await {
                        tracing::debug!(client.address = %peer.ip(), cause = %error, "connection ended");
                    }
                    state.metrics.connections.dec();
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: accepting again at once would only spin.
                tracing::warn!(cause = %error, "no connection accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    state.background.end();
    state.fetches.end();
    looking.abort();
    extracts::end(&state).await;
    if tokio::time::timeout(LAST_WORDS, graceful.shutdown()).await.is_err() {
        tracing::warn!("some answers did not finish within {} s and are cut off", LAST_WORDS.as_secs());
    }
    Ok(())
}

fn connection(
    stream: TcpStream,
    peer: Peer,
    app: Router,
    state: AppState,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> {
    // Small answers go out at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(cause = %error, "no TCP_NODELAY");
    }
    let in_flight = InFlight::default();
    let local = stream.local_addr().ok();
    let refuse = move |status| observe::refused(&state, peer, local, status);
    let patient = Patient::new(stream, PATIENCE, in_flight.clone());
    let io = TokioIo::new(Lenient::new(patient, in_flight.clone(), Arc::new(refuse)));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let guard = in_flight.begin();
        let app = app.clone();
        async move {
            request.extensions_mut().insert(peer);
            let response = app.oneshot(request).await?;
            Ok::<_, std::convert::Infallible>(response.map(|body| Counted { body, _guard: guard }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES).keep_alive(true);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).max_header_list_size(HEAD_BYTES as u32);
    builder.serve_connection(io, service).into_owned()
}

/// An answer that counts as in flight until its body is gone.
struct Counted {
    body: Body,
    _guard: InFlightGuard,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
