//! Work that goes on behind the answers: each piece has a name and is under way once, a few at a time, the others wait in
//! the order they were asked for; all of it is dropped when the server ends.
//!
//! What the work is, and where its result lies, is the asker's business: it looks there first, and asks here when there is
//! nothing yet.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::query::progress::Progress;

/// Pieces under way at once: they read whole tables, and answers come first.
const AT_ONCE: usize = 1;
/// Pieces known at once, waiting ones included.
const MOST: usize = 256;
/// A piece that failed is begun again when it is asked for after so long.
const RETRY: Duration = Duration::from_secs(30);

/// Background work of one kind; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Background(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Arc<Semaphore>,
    pieces: Mutex<Pieces>,
    end: CancellationToken,
}

#[derive(Debug, Default)]
struct Pieces {
    begun: u64,
    known: HashMap<String, Piece>,
}

#[derive(Debug)]
struct Piece {
    /// Its place in the order of asking.
    number: u64,
    progress: Arc<Progress>,
    state: State,
    ended: CancellationToken,
}

#[derive(Debug)]
enum State {
    Waiting,
    Working(Instant),
    Failed(Instant, String),
}

/// How a piece of work stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is known of it: it ended well, or was never asked for.
    Gone,
    /// So many are before it.
    Waiting {
        /// Pieces before it, those under way included.
        before: usize,
    },
    /// It is under way.
    Working {
        /// Steps done.
        done: u64,
        /// Steps in all; 0 when it is not known yet.
        total: u64,
        /// Time it may still take, once that can be told.
        left: Option<Duration>,
    },
    /// It failed, and is begun again when asked for later.
    Failed {
        /// Why, for the log: it may name what is inside.
        cause: String,
        /// When to ask again.
        retry: Duration,
    },
    /// Too many pieces wait: it was not taken.
    Full,
}

impl Default for Background {
    fn default() -> Self {
        Self::new(AT_ONCE)
    }
}

impl Background {
    /// So many pieces under way at once.
    pub(super) fn new(at_once: usize) -> Self {
        let places = Arc::new(Semaphore::new(at_once));
        Self(Arc::new(Inner { places, pieces: Mutex::default(), end: CancellationToken::new() }))
    }

    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.0.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a piece of work unless it is under way, waits, or failed a moment ago; says how it stands.
    ///
    /// The future is dropped when the server ends: what blocks must run in steps of [`tokio::task::spawn_blocking`].
    pub(super) fn ask<W, F, E>(&self, name: &str, work: W) -> Standing
    where
        W: FnOnce(Arc<Progress>) -> F,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        let mut pieces = self.pieces();
        let again = match pieces.known.get(name).map(|piece| &piece.state) {
            None => true,
            Some(State::Failed(at, _)) => at.elapsed() >= RETRY,
            Some(_) => false,
        };
        if again {
            if pieces.known.len() >= MOST {
                pieces.known.retain(|_, piece| !matches!(piece.state, State::Failed(..)));
            }
            if pieces.known.len() >= MOST || self.0.end.is_cancelled() {
                return Standing::Full;
            }
            let progress = Arc::new(Progress::default());
            let (number, ended) = (pieces.begun, CancellationToken::new());
            pieces.begun += 1;
            let piece = Piece { number, progress: Arc::clone(&progress), state: State::Waiting, ended };
            pieces.known.insert(name.to_owned(), piece);
            self.start(name.to_owned(), work(progress));
        }
        standing(&pieces, name)
    }

    fn start<F, E>(&self, name: String, work: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        let background = self.clone();
        tokio::spawn(async move {
            let inner = &background.0;
            let work = async {
                let _place = Arc::clone(&inner.places).acquire_owned().await.map_err(|error| error.to_string())?;
                if let Some(piece) = background.pieces().known.get_mut(&name) {
                    piece.state = State::Working(Instant::now());
                }
                // In a task of its own, so that a panic in it is a failure and not a piece that never ends.
                let task = tokio::spawn(async move { work.await.map_err(|error| error.to_string()) });
                let dropped = Abort(task.abort_handle());
                let result = task.await.unwrap_or_else(|error| Err(error.to_string()));
                drop(dropped);
                result
            };
            let result = tokio::select! {
                () = inner.end.cancelled() => return,
                result = work => result,
            };
            let mut pieces = background.pieces();
            let Some(mut piece) = pieces.known.remove(&name) else { return };
            piece.ended.cancel();
            if let Err(cause) = result {
                tracing::error!(work = %name, %cause, "background work failed");
                piece.state = State::Failed(Instant::now(), cause);
                pieces.known.insert(name, piece);
            }
        });
    }

    /// How a piece of work stands.
    pub(super) fn standing(&self, name: &str) -> Standing {
        standing(&self.pieces(), name)
    }

    /// Waits for a piece to end, but no longer than so; says how it stands then.
    pub(super) async fn settled(&self, name: &str, patience: Duration) -> Standing {
        let ended = self.pieces().known.get(name).map(|piece| piece.ended.clone());
        if let Some(ended) = ended {
            // Either way its standing is what counts.
            tokio::time::timeout(patience, ended.cancelled()).await.unwrap_or_default();
        }
        self.standing(name)
    }

    /// Pieces under way, and waiting.
    pub(super) fn load(&self) -> (usize, usize) {
        let pieces = self.pieces();
        let count = |state: fn(&State) -> bool| pieces.known.values().filter(|piece| state(&piece.state)).count();
        (count(|state| matches!(state, State::Working(_))), count(|state| matches!(state, State::Waiting)))
    }

    /// Drops all work; none is taken from now on.
    pub(super) fn end(&self) {
        self.0.end.cancel();
    }
}

/// Ends a task when it is dropped.
struct Abort(tokio::task::AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn standing(pieces: &Pieces, name: &str) -> Standing {
    let Some(piece) = pieces.known.get(name) else { return Standing::Gone };
    match &piece.state {
        State::Waiting => {
            let earlier = |other: &&Piece| other.number < piece.number && !matches!(other.state, State::Failed(..));
            Standing::Waiting { before: pieces.known.values().filter(earlier).count() }
        }
        State::Working(begun) => {
            let (done, total) = (piece.progress.done(), piece.progress.total());
            let left = (done > 0 && total > 0).then(|| begun.elapsed().mul_f64((total - done) as f64 / done as f64));
            Standing::Working { done, total, left }
        }
        State::Failed(at, cause) => {
            Standing::Failed { cause: cause.clone(), retry: RETRY.saturating_sub(at.elapsed()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Nothing = Result<(), String>;

    #[tokio::test]
    async fn a_piece_is_under_way_once_and_others_wait_their_turn() {
        let background = Background::default();
        let gates: Vec<CancellationToken> = (0..3).map(|_| CancellationToken::new()).collect();
        let ask = |at: usize| {
            let gate = gates[at].clone();
            background.ask(&at.to_string(), |progress| async move {
                progress.set_total(10);
                progress.advance(4);
                gate.cancelled().await;
                Nothing::Ok(())
            })
        };
        assert_eq!(ask(0), Standing::Waiting { before: 0 });
        assert_eq!(ask(1), Standing::Waiting { before: 1 });
        assert_eq!(ask(2), Standing::Waiting { before: 2 });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(matches!(ask(0), Standing::Working { done: 4, total: 10, left: Some(_) }));
        assert_eq!(ask(2), Standing::Waiting { before: 2 }, "asked for twice, under way once");
        assert_eq!(background.load(), (1, 2));
        gates[0].cancel();
        assert_eq!(background.settled("0", Duration::from_secs(5)).await, Standing::Gone);
        gates[1].cancel();
        gates[2].cancel();
        assert_eq!(background.settled("2", Duration::from_secs(5)).await, Standing::Gone);
        assert_eq!(background.load(), (0, 0));
    }

    #[tokio::test]
    async fn failures_and_panics_are_said_and_nothing_outlives_the_server() {
        let background = Background::default();
        background.ask("fails", |_| async { Err::<(), _>("no disk") });
        background.ask("panics", |_| async {
            assert!(background_is_fine(), "on purpose");
            Nothing::Ok(())
        });
        for (name, cause) in [("fails", "no disk"), ("panics", "on purpose")] {
            let standing = background.settled(name, Duration::from_secs(5)).await;
            assert!(matches!(&standing, Standing::Failed { cause: c, .. } if c.contains(cause)), "{standing:?}");
        }
        let (dropped, held) = tokio::sync::oneshot::channel::<()>();
        background.ask("long", |_| async move {
            let _held = dropped;
            std::future::pending::<Nothing>().await
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        background.end();
        assert!(tokio::time::timeout(Duration::from_secs(5), held).await.expect("dropped").is_err());
        assert_eq!(background.ask("late", |_| async { Nothing::Ok(()) }), Standing::Full);
    }

    fn background_is_fine() -> bool {
        std::env::args().count() == 0
    }
}
