//! Whose turn it is: so many queries run at once, so many wait, the others are told to come back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A query's turn; the next one's comes when it is dropped.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "held, not looked at")] OwnedSemaphorePermit);

#[derive(Debug)]
pub(super) struct Queue {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    most: usize,
}

/// Somebody who waits, until they do no longer.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    pub(super) fn new(running: usize, waiting: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(running.max(1))), waiting: AtomicUsize::new(0), most: waiting }
    }

    /// Waits for a turn, if there is room to wait; `None` when there is none, or it takes too long.
    pub(super) async fn turn(&self, patience: Duration) -> Option<Turn> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(Turn(place));
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.most {
            return None;
        }
        let place = tokio::time::timeout(patience, Arc::clone(&self.places).acquire_owned()).await;
        Some(Turn(place.ok()?.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_the_next_is_refused() {
        let queue = Arc::new(Queue::new(1, 1));
        let first = queue.turn(Duration::from_secs(1)).await.expect("a turn");
        assert!(queue.turn(Duration::from_millis(20)).await.is_none(), "it waited in vain");
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.turn(Duration::from_secs(10)).await.is_some() }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(queue.turn(Duration::from_secs(10)).await.is_none(), "there is no room to wait");
        drop(first);
        assert!(waiting.await.expect("a task"));
    }
}
