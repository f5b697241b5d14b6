//! Sorts outside of a plan of the engine's own: on the caller's threads, in the engine's memory and scratch space.

use std::sync::Arc;

use datafusion::{
    error::DataFusionError,
    execution::{TaskContext, context::SessionConfig, runtime_env::RuntimeEnv},
};

use super::{Engine, Turn, session};
use crate::{
    config::{ScanCaps, SqlCaps},
    query::{QueryError, budget::Budget},
};

/// Of a sort's memory, what is kept for merging what was spilled.
const MERGE_MEMORY: usize = 12 << 20;

/// What the sorts of one answer have together. The turn is held until the last of them is gone.
#[derive(Debug, Clone)]
pub struct Sorting(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    environment: Arc<RuntimeEnv>,
    caps: SqlCaps,
    _turn: Option<Turn>,
}

impl Engine {
    /// Room for the sorts of one answer: memory and bytes on disk. Whoever knows that nothing will be sorted needs no turn.
    ///
    /// # Errors
    /// When there is no place to spill.
    pub fn sorting(&self, turn: Option<Turn>, memory: u64, spill: u64, scan: &ScanCaps) -> Result<Sorting, QueryError> {
        let caps = SqlCaps { time: scan.stream_time, memory, spill, bytes: scan.bytes, rows: u64::MAX };
        let environment = session::environment(&self.memory, &self.scratch, &caps).map_err(QueryError::Engine)?;
        Ok(Sorting(Arc::new(Inner { environment, caps, _turn: turn })))
    }
}

impl Sorting {
    /// What one sort runs in; its batches have so many rows.
    pub(in crate::query) fn context(&self, rows: usize) -> TaskContext {
        let config = SessionConfig::new()
            .with_batch_size(rows)
            .with_target_partitions(1)
            .with_sort_spill_reservation_bytes(MERGE_MEMORY);
        TaskContext::default().with_session_config(config).with_runtime(Arc::clone(&self.0.environment))
    }

    /// A failure of one, by whose fault it is.
    pub(in crate::query) fn failed(&self, error: DataFusionError, budget: &Budget) -> QueryError {
        QueryError::of_engine(error, budget, &self.0.caps)
    }
}
