//! A plan at work: batches come out of it as they are asked for, and dropping it stops it.

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{error::DataFusionError, physical_plan::SendableRecordBatchStream};
use futures::StreamExt;
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::{queue::Turn, watch::Watch};
use crate::{
    config::SqlCaps,
    query::{
        QueryError,
        budget::{Budget, OverCap},
    },
};

/// Longest time a batch waits to be read.
const PATIENCE: Duration = Duration::from_secs(60);
/// Batches computed ahead of the reader.
const AHEAD: usize = 2;

/// What comes out of a plan. The end is said: work that breaks off must not look like a whole result.
#[derive(Debug)]
enum Step {
    Batch(RecordBatch),
    Failed(DataFusionError),
    End,
}

/// A running plan. It is computed on the engine's threads; this end may be read on any runtime.
#[derive(Debug)]
pub struct Running {
    schema: SchemaRef,
    batches: mpsc::Receiver<Step>,
    budget: Budget,
    caps: SqlCaps,
    rows: u64,
    ended: bool,
    watch: Arc<Watch>,
    _work: AbortOnDropHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watch.stop();
    }
}

impl Running {
    pub(super) fn new(
        mut stream: SendableRecordBatchStream,
        (watch, turn): (Arc<Watch>, Option<Turn>),
        threads: &Handle,
        budget: Budget,
        caps: SqlCaps,
    ) -> Self {
        let schema = stream.schema();
        let (send, batches) = mpsc::channel(AHEAD);
        let work = threads.spawn(async move {
            let _turn = turn;
            loop {
                let step = match stream.next().await {
                    Some(Ok(batch)) => Step::Batch(batch),
                    Some(Err(error)) => Step::Failed(error),
                    None => Step::End,
                };
                let last = !matches!(step, Step::Batch(_));
                // Whoever does not read holds memory and a turn that others wait for.
                let sent = tokio::time::timeout(PATIENCE, send.send(step)).await;
                if !matches!(sent, Ok(Ok(()))) || last {
                    return;
                }
            }
        });
        Self { schema, batches, budget, caps, rows: 0, ended: false, watch, _work: AbortOnDropHandle::new(work) }
    }

    /// The schema of its batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The account of what it takes.
    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// The next batch; none are empty. Time between calls is the reader's and not counted.
    ///
    /// # Errors
    /// When it takes more than it may, or cannot be computed.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        while !self.ended {
            let left = self.budget.begin();
            let next = tokio::time::timeout(left, self.batches.recv()).await;
            self.budget.end();
            let batch = match next {
                Err(_) => {
                    self.watch.stop();
                    return Err(self.budget.time_is_up().into());
                }
                Ok(None) => return Err(QueryError::Broken("a thread of the engine gave up".to_owned())),
                Ok(Some(Step::End)) => {
                    self.ended = true;
                    return Ok(None);
                }
                Ok(Some(Step::Failed(error))) => return Err(QueryError::of_engine(error, &self.budget, &self.caps)),
                Ok(Some(Step::Batch(batch))) => batch,
            };
            self.rows += batch.num_rows() as u64;
            if self.rows > self.caps.rows {
                return Err(OverCap::Rows(self.caps.rows).into());
            }
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}
