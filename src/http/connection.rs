//! One connection's patience: a peer that says nothing, or reads nothing, is not waited for.
//!
//! Hyper bounds the time for a request's head once it has begun; before its first byte, between requests and while an
//! answer is written it would wait for ever.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// How long a connection may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Before its first byte.
    pub(super) first_byte: Duration,
    /// Between requests.
    pub(super) idle: Duration,
    /// While it does not take what is written.
    pub(super) write: Duration,
}

/// Requests of a connection that are being answered.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    /// Counts one until the guard is dropped.
    pub(super) fn begin(&self) -> InFlightGuard {
        self.0.fetch_add(1, Ordering::AcqRel);
        InFlightGuard(self.clone())
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

/// See [`InFlight::begin`].
#[derive(Debug)]
pub(super) struct InFlightGuard(InFlight);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A stream that fails when its patience ends.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    patience: Patience,
    in_flight: InFlight,
    heard: bool,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, patience: Patience, in_flight: InFlight) -> Self {
        Self { stream, patience, in_flight, heard: false, reading: None, writing: None }
    }
}

fn too_long(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// Waits on a timer that begins when it is first asked.
fn expired(timer: &mut Option<Pin<Box<Sleep>>>, after: Duration, cx: &mut Context<'_>) -> bool {
    timer.get_or_insert_with(|| Box::pin(sleep(after))).as_mut().poll(cx).is_ready()
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(result) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            this.heard = true;
            this.reading = None;
            return Poll::Ready(result);
        }
        let after = if this.heard { this.patience.idle } else { this.patience.first_byte };
        if expired(&mut this.reading, after, cx) {
            if !this.in_flight.any() {
                return Poll::Ready(Err(too_long("the peer is silent")));
            }
            // The silence is ours: an answer is being made. Wait once more.
            if let Some(timer) = &mut this.reading {
                timer.as_mut().reset(Instant::now() + after);
                if timer.as_mut().poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> Patient<S> {
    fn written<T>(&mut self, result: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(result) => {
                self.writing = None;
                Poll::Ready(result)
            }
            Poll::Pending if expired(&mut self.writing, self.patience.write, cx) => {
                Poll::Ready(Err(too_long("the peer does not read")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(result, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.written(result, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const PATIENCE: Patience = Patience {
        first_byte: Duration::from_millis(20),
        idle: Duration::from_millis(40),
        write: Duration::from_millis(20),
    };

    #[tokio::test]
    async fn silence_ends_a_connection_unless_it_is_ours() {
        let (mut client, server) = duplex(16);
        let in_flight = InFlight::default();
        let mut server = Patient::new(server, PATIENCE, in_flight.clone());
        let mut byte = [0];
        assert_eq!(server.read(&mut byte).await.expect_err("no byte").kind(), io::ErrorKind::TimedOut);

        client.write_all(b"x").await.expect("room");
        server.read_exact(&mut byte).await.expect("a byte");
        let guard = in_flight.begin();
        let waiting = tokio::time::timeout(Duration::from_millis(150), server.read(&mut byte)).await;
        assert!(waiting.is_err(), "the connection ended while its answer was being made");
        drop(guard);
        let ended = tokio::time::timeout(Duration::from_millis(500), server.read(&mut byte)).await;
        assert_eq!(ended.expect("an end").expect_err("silence").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_left() {
        let (_client, server) = duplex(4);
        let mut server = Patient::new(server, PATIENCE, InFlight::default());
        assert_eq!(server.write_all(b"more than four").await.expect_err("no room").kind(), io::ErrorKind::TimedOut);
    }
}
