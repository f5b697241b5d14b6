//! The gate before one host: so many connections at a time, so much time between two requests.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// One host's gate.
#[derive(Debug)]
pub(super) struct Gate {
    connections: Arc<Semaphore>,
    turn: Mutex<Turn>,
}

#[derive(Debug)]
struct Turn {
    /// When the next request may go out.
    next: Instant,
    pause: Duration,
}

/// A connection to the host; held until the body has been read.
#[derive(Debug)]
pub(super) struct Passage {
    // The semaphore is never closed, so there always is one; were there none, a request too many would go out.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(super) fn new(connections: usize, pause: Duration) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS))),
            turn: Mutex::new(Turn { next: Instant::now(), pause }),
        }
    }

    /// Waits for a free connection, then for this request's turn.
    pub(super) async fn pass(&self) -> Passage {
        let permit = Arc::clone(&self.connections).acquire_owned().await.ok();
        tokio::time::sleep_until(self.take_turn()).await;
        Passage { _permit: permit }
    }

    fn take_turn(&self) -> Instant {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let at = turn.next.max(Instant::now());
        turn.next = at + turn.pause;
        at
    }

    /// Nobody passes for this long: the host asked for it.
    pub(super) fn close_for(&self, wait: Duration) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.next = turn.next.max(Instant::now() + wait);
    }

    /// From now on at least this much time between two requests.
    pub(super) fn slow_down(&self, pause: Duration) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let longer = pause.saturating_sub(turn.pause);
        turn.pause += longer;
        turn.next += longer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn requests_are_spaced_and_counted() {
        let gate = Arc::new(Gate::new(1, STEP));
        let began = Instant::now();
        drop(gate.pass().await);
        let held = gate.pass().await;
        assert!(began.elapsed() >= STEP, "no pause between two requests");
        let other = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.pass().await }
        });
        tokio::time::sleep(STEP * 3).await;
        assert!(!other.is_finished(), "two connections to one host");
        drop(held);
        drop(other.await.expect("passes"));

        let before = Instant::now();
        gate.close_for(STEP * 3);
        drop(gate.pass().await);
        assert!(before.elapsed() >= STEP * 3, "the host asked to be left alone");
        gate.slow_down(STEP * 4);
        let before = Instant::now();
        drop(gate.pass().await);
        assert!(before.elapsed() >= STEP * 3, "the longer pause holds at once");
    }
}
