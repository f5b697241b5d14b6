//! Batches of an answer, wherever they come from: a scan, rows taken by number, a plan of SQL, a ranking.
//!
//! Owns the time an answer may take: only time at work counts, not time in which a client does not read. Nothing is done
//! before the first batch is asked for.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use futures::{
    Stream, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};

use super::{QueryError, budget::Budget};

/// Batches of one schema, made as they are asked for, paid from one budget.
pub struct Batches {
    schema: SchemaRef,
    budget: Budget,
    stream: BoxStream<'static, Result<RecordBatch, QueryError>>,
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("schema", &self.schema).field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl Batches {
    /// What a stream gives. It may decode on the thread that polls it: see [`Self::next_blocking`].
    pub fn new(
        schema: SchemaRef,
        budget: Budget,
        stream: impl Stream<Item = Result<RecordBatch, QueryError>> + Send + 'static,
    ) -> Self {
        Self { schema, budget, stream: stream.boxed() }
    }

    /// What one piece of work gives, done when the first batch is asked for.
    pub fn later(
        schema: SchemaRef,
        budget: Budget,
        work: impl Future<Output = Result<Vec<RecordBatch>, QueryError>> + Send + 'static,
    ) -> Self {
        let work: BoxFuture<'static, _> = Box::pin(work);
        let stream = stream::once(work).flat_map(|done| match done {
            Ok(batches) => stream::iter(batches.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        });
        Self::new(schema, budget, stream)
    }

    /// Their schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The account of what they take.
    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// Their answer has begun and is a stream: what they may take from now on is the wider time for those.
    pub fn streams(&self) {
        self.budget.widen();
    }

    /// The next batch. May decode on the calling thread: call it where blocking is allowed ([`Self::next_blocking`]).
    ///
    /// # Errors
    /// When it cannot be read or computed, or takes more than one answer may.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let left = self.budget.begin();
        let step = tokio::time::timeout(left, self.stream.next()).await;
        self.budget.end();
        match step {
            Err(_) => Err(self.budget.time_is_up().into()),
            // Whatever the reader made of it: a cap is what ended it.
            Ok(Some(Err(error))) => Err(self.budget.over().map_or(error, QueryError::from)),
            Ok(Some(Ok(batch))) => Ok(Some(batch)),
            Ok(None) => Ok(None),
        }
    }

    /// [`Self::next`] on a thread made for blocking, with the rest handed back.
    ///
    /// # Errors
    /// As [`Self::next`]; [`QueryError::Cut`] when the runtime is shutting down.
    pub async fn next_blocking(mut self) -> (Option<Self>, Result<Option<RecordBatch>, QueryError>) {
        let runtime = tokio::runtime::Handle::current();
        let step = tokio::task::spawn_blocking(move || {
            let batch = runtime.block_on(self.next());
            (self, batch)
        });
        match step.await {
            Ok((rest, batch)) => (Some(rest), batch),
            Err(error) => (None, Err(QueryError::Cut(error.to_string()))),
        }
    }
}
