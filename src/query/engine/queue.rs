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
#[allow(dead_code, reason = "held, not looked at")]
pub struct Turn {
    place: OwnedSemaphorePermit,
    behind: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(super) struct Queue {
    places: Arc<Semaphore>,
    /// Of the places those that work behind the answers may have: there is one more, if there are two.
    behind: Arc<Semaphore>,
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
        let places = |most: usize| Arc::new(Semaphore::new(most.max(1)));
        let behind = places(running.saturating_sub(1));
        Self { places: places(running), behind, waiting: AtomicUsize::new(0), most: waiting }
    }

    /// Waits for a turn, if there is room to wait; `None` when there is none, or it takes too long.
    pub(super) async fn turn(&self, patience: Duration) -> Option<Turn> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(Turn { place, behind: None });
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.most {
            return None;
        }
        let place = tokio::time::timeout(patience, Arc::clone(&self.places).acquire_owned()).await;
        Some(Turn { place: place.ok()?.ok()?, behind: None })
    }

    /// Waits for a turn of work behind the answers, for as long as it takes; it is not counted among those who wait. `None`
    /// only while the engine is being dropped.
    pub(super) async fn turn_behind(&self) -> Option<Turn> {
        let behind = Arc::clone(&self.behind).acquire_owned().await.ok()?;
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Turn { place, behind: Some(behind) })
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

    #[tokio::test]
    async fn work_behind_the_answers_leaves_a_place_for_them() {
        let queue = Queue::new(2, 1);
        let soon = Duration::from_millis(20);
        let behind = queue.turn_behind().await.expect("a turn");
        assert!(tokio::time::timeout(soon, queue.turn_behind()).await.is_err(), "it waits");
        let first = queue.turn(soon).await.expect("the place that is left");
        assert!(queue.turn(soon).await.is_none());
        drop(behind);
        let again = tokio::time::timeout(soon, queue.turn_behind()).await.expect("in time").expect("a turn");
        drop((first, again));
        let alone = Queue::new(1, 1);
        assert!(tokio::time::timeout(soon, alone.turn_behind()).await.is_ok_and(|turn| turn.is_some()));
    }
}
