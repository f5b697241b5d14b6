//! A connection on which a request may be typed by hand: its target is encoded before hyper reads it, and where hyper
//! still cannot read a request, its empty answer is replaced by a problem that says what works.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{connection::InFlight, target::TargetEncoder};

/// Bytes read at a time while targets are encoded: what comes of them is at most three times as much.
const CHUNK: usize = 4096;
/// The longest answer hyper gives by itself.
const LONGEST_REFUSAL: usize = 256;

/// Makes the whole answer to a request that could not be read, from the status hyper chose.
pub(super) type Refuse = Arc<dyn Fn(u16) -> Vec<u8> + Send + Sync>;

/// See the module.
pub(super) struct Lenient<S> {
    stream: S,
    encoder: TargetEncoder,
    /// Encoded bytes, and how many of them hyper has.
    read: (Vec<u8>, usize),
    in_flight: InFlight,
    refuse: Refuse,
    /// A problem in place of hyper's answer, and how much of it is sent.
    refusal: (Vec<u8>, usize),
}

impl<S> fmt::Debug for Lenient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lenient").field("encoder", &self.encoder).finish_non_exhaustive()
    }
}

impl<S> Lenient<S> {
    pub(super) fn new(stream: S, in_flight: InFlight, refuse: Refuse) -> Self {
        Self {
            stream,
            encoder: TargetEncoder::new(),
            read: Default::default(),
            in_flight,
            refuse,
            refusal: Default::default(),
        }
    }

    /// Hands over what is encoded already; false when there is nothing.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let (bytes, given) = &mut self.read;
        let rest = bytes.get(*given..).unwrap_or_default();
        let part = rest.get(..rest.len().min(buf.remaining())).unwrap_or_default();
        buf.put_slice(part);
        *given += part.len();
        !part.is_empty()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 || this.give(buf) {
            return Poll::Ready(Ok(()));
        }
        while !this.encoder.is_through() {
            let mut bytes = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut chunk))?;
            this.read.0.clear();
            this.read.1 = 0;
            let ended = chunk.filled().is_empty();
            if ended {
                this.encoder.finish(&mut this.read.0);
            } else {
                this.encoder.push(chunk.filled(), &mut this.read.0);
            }
            // All of it may be held back: then there is more to read, or nothing more at all.
            if this.give(buf) || ended {
                return Poll::Ready(Ok(()));
            }
        }
        this.read = Default::default();
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

/// The status of an answer that hyper made by itself. Those of ours carry an id.
fn refused(answer: &[u8]) -> Option<u16> {
    if answer.len() > LONGEST_REFUSAL || !answer.ends_with(b"\r\n\r\n") {
        return None;
    }
    let mut lines = std::str::from_utf8(answer).ok()?.trim_end().split("\r\n");
    let mut status = lines.next()?.split(' ');
    status.next().filter(|version| matches!(*version, "HTTP/1.1" | "HTTP/1.0"))?;
    let status = status.next()?.parse().ok().filter(|status| matches!(status, 400 | 414 | 431))?;
    let own = |line: &str| ["content-length: 0", "connection: close"].contains(&line) || line.starts_with("date: ");
    lines.all(own).then_some(status)
}

impl<S: AsyncWrite + Unpin> Lenient<S> {
    fn send_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.refusal.0.get(self.refusal.1..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.refusal.1 += written,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether this is hyper's own answer to a request that no handler saw; the better one then waits to be sent.
    fn replaces(&mut self, answer: &[u8]) -> bool {
        let Some(status) = refused(answer).filter(|_| !self.in_flight.any()) else { return false };
        self.refusal = ((self.refuse)(status), 0);
        true
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.send_refusal(cx))?;
        if self.replaces(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.send_refusal(cx))?;
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        if let (Some(only), None) = (filled.next(), filled.next())
            && self.replaces(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_refusal(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_refusal(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const OWN: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\ndate: Sat, 21 Nov 2026 12:00:00 GMT\r\n\r\n";

    #[tokio::test]
    async fn single_bytes_come_through_whole() {
        let (mut client, server) = duplex(1);
        let mut server = Lenient::new(server, InFlight::default(), Arc::new(|_| Vec::new()));
        let sending = tokio::spawn(async move {
            client.write_all(b"GET /a>b c HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n<>\"").await
        });
        let mut all = String::new();
        server.read_to_string(&mut all).await.expect("text");
        sending.await.expect("a task").expect("room");
        assert_eq!(all, "GET /a%3Eb%20c HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n<>\"");
    }

    #[tokio::test]
    async fn only_hypers_own_answers_are_replaced() {
        let (mut client, server) = duplex(1024);
        let in_flight = InFlight::default();
        let mut server = Lenient::new(server, in_flight.clone(), Arc::new(|status| format!("<{status}>").into_bytes()));
        let guard = in_flight.begin();
        server.write_all(OWN).await.expect("room");
        drop(guard);
        let ours = [&OWN[..OWN.len() - 2], b"x-request-id: 1\r\n\r\n"].concat();
        server.write_all(&ours).await.expect("room");
        server.write_all(OWN).await.expect("room");
        server.shutdown().await.expect("an end");
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.expect("bytes");
        assert_eq!(all, [OWN, &ours, b"<400>"].concat());
    }
}
