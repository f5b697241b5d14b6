//! Threads that decode and encode answers: few, and the one that was used last is used next.
//!
//! The allocator keeps memory at hand for every thread that has freed some, and decoding frees much: over threads that take
//! turns, as those of tokio's pool do, the same work holds several times the memory.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
};

use tokio::sync::{Semaphore, oneshot};

use crate::query::QueryError;

type Job = Box<dyn FnOnce() + Send>;

/// So many threads at most, begun as they are needed.
#[derive(Debug)]
pub(super) struct Decoders {
    places: Arc<Semaphore>,
    /// Threads without work; the last is used next.
    idle: Arc<Mutex<Vec<Sender<Job>>>>,
}

impl Decoders {
    /// At most `threads` of them.
    pub(super) fn new(threads: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(threads)), idle: Arc::default() }
    }

    /// Does blocking work on one of the threads when one is free. The future dropped, work that has not begun is not done;
    /// work that has goes on.
    ///
    /// # Errors
    /// [`QueryError::Cut`] when the work panics or no thread can be had.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, QueryError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(cut)?;
        let (send, receive) = oneshot::channel();
        let thread = taken(&self.idle).pop();
        let thread = match thread {
            Some(thread) => thread,
            None => self.begin().map_err(cut)?,
        };
        let idle = Arc::clone(&self.idle);
        let again = thread.clone();
        let job = move || {
            // A thread that panics is not put back, and ends.
            let done = work();
            taken(&idle).push(again);
            drop(place);
            // Whoever waited may be gone.
            let _ = send.send(done);
        };
        thread.send(Box::new(job)).map_err(|_| QueryError::Cut("a decoding thread has ended".to_owned()))?;
        receive.await.map_err(|_| QueryError::Cut("decoding broke off".to_owned()))
    }

    fn begin(&self) -> std::io::Result<Sender<Job>> {
        let (send, receive) = channel::<Job>();
        thread::Builder::new().name("decoder".to_owned()).spawn(move || receive.into_iter().for_each(|job| job()))?;
        Ok(send)
    }
}

fn taken<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cut(error: impl std::error::Error) -> QueryError {
    QueryError::Cut(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use super::*;

    #[tokio::test]
    async fn one_thread_does_what_comes_one_after_the_other() {
        let decoders = Decoders::new(4);
        let mut used = HashSet::new();
        for _ in 0..20 {
            used.insert(decoders.run(|| thread::current().id()).await.expect("an id"));
        }
        assert_eq!(used.len(), 1);
    }

    #[tokio::test]
    async fn no_more_than_its_threads_work_at_once() {
        let decoders = Decoders::new(3);
        let work = || decoders.run(|| (thread::sleep(Duration::from_millis(5)), thread::current().id()).1);
        let used = futures::future::join_all((0..30).map(|_| work())).await;
        assert_eq!(used.into_iter().map(|id| id.expect("an id")).collect::<HashSet<_>>().len(), 3);
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer() {
        let decoders = Decoders::new(1);
        let broken = decoders.run(|| assert!(std::hint::black_box(false), "damaged")).await;
        assert!(matches!(broken, Err(QueryError::Cut(_))), "{broken:?}");
        assert_eq!(decoders.run(|| 7).await.expect("a number"), 7);
    }
}
