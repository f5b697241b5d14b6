//! The body of an answer of rows: batches made and encoded on blocking threads, a piece at a time, as fast as the
//! client reads and one piece ahead of it.
//!
//! The first piece is made before any header is sent, so that what fails early is a problem and not a broken answer, and
//! small answers have a length. What fails later aborts the body: it never ends as if it were whole.

use std::pin::pin;

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt, stream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::{problem::Problem, state::AppState};
use crate::query::{
    QueryError,
    batches::Batches,
    encode::{Encoder, json},
};

/// Bytes made before the headers are sent; an answer that fits has a length.
const FIRST: usize = 1 << 20;
/// Bytes of a piece, at least.
const PIECE: usize = 64 << 10;

/// What stands after the rows, by how many there were and whether more follow.
pub(super) type MakeTail = Box<dyn FnOnce(u64, bool) -> json::Tail + Send>;

/// What to say of an answer that took so many bytes from the store to make so many.
pub(super) type Coach = Box<dyn FnOnce(u64, u64) -> Option<json::Hint> + Send>;

/// How rows become bytes.
pub(super) enum Writer {
    /// One JSON object.
    Json {
        /// The object as far as it is written.
        answer: json::Answer,
        /// Rows to show; the batches may hold one more, to say that there is one.
        limit: u64,
        /// What follows.
        tail: MakeTail,
    },
    /// Any other format.
    Stream(Box<Encoder>),
}

/// Batches and their writer.
pub(super) struct Producer {
    batches: Batches,
    writer: Writer,
    rows: u64,
    more: bool,
    coach: Option<Coach>,
}

/// What came of it, or its beginning.
pub(super) struct Produced {
    pub(super) body: Body,
    /// Bytes read from the store, when all is read.
    pub(super) scanned: Option<u64>,
    /// Address of the next page, when it is known.
    pub(super) next: Option<String>,
    /// How the same is had for less.
    pub(super) hint: Option<json::Hint>,
}

impl Produced {
    /// No body at all.
    pub(super) fn nothing() -> Self {
        // A stream, so that no Content-Length is sent: nobody knows how long the answer to GET would be.
        let body = Body::from_stream(futures::stream::empty::<Result<bytes::Bytes, std::convert::Infallible>>());
        Self { body, scanned: None, next: None, hint: None }
    }
}

/// One piece, and what is left to do.
struct Piece {
    bytes: Vec<u8>,
    rest: Rest,
}

enum Rest {
    More(Box<Producer>),
    Done { next: Option<String>, hint: Option<json::Hint>, scanned: u64, rows: u64 },
}

impl Producer {
    pub(super) fn new(batches: Batches, writer: Writer, coach: Option<Coach>) -> Self {
        Self { batches, writer, rows: 0, more: false, coach }
    }

    /// Its first bytes are on their way: a stream may now take as long as streams may, one JSON object not.
    fn has_begun(&self) {
        if matches!(self.writer, Writer::Stream(_)) {
            self.batches.streams();
        }
    }

    async fn piece(mut self: Box<Self>, mut bytes: Vec<u8>) -> Result<Piece, QueryError> {
        let enough = bytes.len() + PIECE;
        while bytes.len() < enough {
            let Some(batch) = self.batches.next().await? else { return self.finish(bytes) };
            let mut shown = batch.num_rows() as u64;
            match &mut self.writer {
                Writer::Json { answer, limit, .. } => {
                    shown = shown.min(*limit - answer.rows());
                    self.more |= shown < batch.num_rows() as u64;
                    answer.push(&batch.slice(0, shown as usize), &mut bytes);
                }
                Writer::Stream(encoder) => encoder.push(&batch, &mut bytes)?,
            }
            self.rows += shown;
        }
        Ok(Piece { bytes, rest: Rest::More(self) })
    }

    fn finish(self, mut bytes: Vec<u8>) -> Result<Piece, QueryError> {
        let scanned = self.batches.budget().read();
        let mut next = None;
        let hint = self.coach.and_then(|coach| coach(scanned, bytes.len() as u64));
        match self.writer {
            Writer::Json { answer, tail, .. } => {
                let mut tail = tail(self.rows, self.more);
                tail.hint.clone_from(&hint);
                next.clone_from(&tail.next);
                answer.finish(tail, &mut bytes);
            }
            Writer::Stream(encoder) => encoder.finish(&mut bytes)?,
        }
        Ok(Piece { bytes, rest: Rest::Done { next, hint, scanned, rows: self.rows } })
    }

    /// [`Self::piece`], [`apart`].
    async fn advance(self: Box<Self>, state: &AppState, begun: Vec<u8>) -> Result<Piece, QueryError> {
        let budget = self.batches.budget().clone();
        let (before, rows) = (budget.read(), self.rows);
        let piece = apart(state, move || self.piece(begun)).await;
        state.metrics.scanned.inc_by(budget.read() - before);
        let now = match &piece {
            Ok(Piece { rest: Rest::More(producer), .. }) => producer.rows,
            Ok(Piece { rest: Rest::Done { rows, .. }, .. }) => *rows,
            Err(_) => rows,
        };
        state.metrics.rows.inc_by(now - rows);
        piece
    }
}

/// Does work that decodes on a thread for that ([`Decoders`](super::decoders::Decoders)). When the client goes away, the
/// returned future is dropped, and the work stops at its next read.
///
/// # Errors
/// As the work, or [`QueryError::Cut`] when it ends before its time.
pub(super) async fn apart<T, W>(state: &AppState, work: impl FnOnce() -> W + Send + 'static) -> Result<T, QueryError>
where
    T: Send + 'static,
    W: Future<Output = Result<T, QueryError>>,
{
    let runtime = tokio::runtime::Handle::current();
    let (_alive, gone) = oneshot::channel::<()>();
    let working = state.decoders.run(move || {
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = gone => Err(QueryError::Cut("the client went away".to_owned())),
                done = work() => done,
            }
        })
    });
    working.await?
}

/// A stream whose next item is made while the one before is sent. Dropped, it makes no more.
fn one_ahead<T: Send + 'static>(items: impl Stream<Item = T> + Send + 'static) -> impl Stream<Item = T> {
    let (send, receive) = mpsc::channel(1);
    let making = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut items = pin!(items);
        // A place first: what is made waits for nobody.
        while let Ok(place) = send.reserve().await {
            let Some(item) = items.next().await else { return };
            place.send(item);
        }
    }));
    stream::unfold((receive, making), |(mut receive, making)| async move {
        let item = receive.recv().await?;
        Some((item, (receive, making)))
    })
}

/// The body of an answer that begins with `begun`.
///
/// # Errors
/// For what fails before the first byte.
pub(super) async fn answer(state: &AppState, producer: Producer, begun: Vec<u8>) -> Result<Produced, Problem> {
    let mut piece = Piece { bytes: begun, rest: Rest::More(Box::new(producer)) };
    while piece.bytes.len() < FIRST {
        match piece.rest {
            Rest::More(producer) => piece = producer.advance(state, piece.bytes).await?,
            Rest::Done { next, hint, scanned, .. } => {
                return Ok(Produced { body: Body::from(piece.bytes), scanned: Some(scanned), next, hint });
            }
        }
    }
    let mut hint = None;
    if let Rest::More(producer) = &mut piece.rest {
        producer.has_begun();
        // What is said of a stream is said before it, by how it began.
        let scanned = producer.batches.budget().read();
        hint = producer.coach.take().and_then(|coach| coach(scanned, piece.bytes.len() as u64));
    }
    let first = Bytes::from(piece.bytes);
    let state = state.clone();
    let rest = stream::try_unfold(piece.rest, move |rest| {
        let state = state.clone();
        async move {
            let Rest::More(producer) = rest else { return Ok::<_, QueryError>(None) };
            let piece = producer.advance(&state, Vec::new()).await?;
            Ok(Some((Bytes::from(piece.bytes), piece.rest)))
        }
    });
    let body = Body::from_stream(stream::once(async move { Ok(first) }).chain(one_ahead(rest)));
    Ok(Produced { body, scanned: None, next: None, hint })
}
