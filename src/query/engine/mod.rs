//! DataFusion over published tables: what SQL, statistics, extracts and changes are computed with.
//!
//! Owns how a plan is run here: on threads of its own ([`Engine`]), under caps given as plain data
//! ([`SqlCaps`]), over files that are listed from manifests and read through the same readers and
//! footers as every other scan ([`table`]). There is no listing, no registry of stores and no table function, so a plan
//! can name nothing but the tables it was given. Knows no HTTP and no SQL text ([`super::sql`] does).
//!
//! ```text
//! let work = engine.begin(&caps);                        // one query: its account, its share of memory, its spills
//! let table = work.table(source);                        // a TableProvider over a TableSource
//! let frame = work.context()?.read_table(table)?;        // DataFusion's own API, or a plan from SQL
//! let mut running = work.run(frame.into_unoptimized_plan()).await?;
//! while let Some(batch) = running.next().await? { … }    // on any runtime; dropping it stops all work
//! ```
//!
//! Conventions of every plan: names are taken as written, nulls sort last both ways, text is read as views
//! ([`output`] turns batches into the types columns are published in).

pub mod cost;
mod flatten;
mod memory;
mod once;
pub mod output;
mod queue;
mod reader;
mod running;
mod session;
mod sorting;
mod statistics;
pub mod table;
#[cfg(test)]
mod tests;
mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use datafusion::{
    error::DataFusionError,
    execution::{SessionStateBuilder, context::SessionContext, runtime_env::RuntimeEnv, session_state::SessionState},
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, execute_stream},
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::once::Once;
use self::{memory::Pool, queue::Queue, watch::Watch};
pub use self::{queue::Turn, running::Running, sorting::Sorting, table::EngineTable};
use super::{QueryError, budget::Budget, table::TableSource};
use crate::config::{ScanCaps, SqlCaps, SqlSettings};

/// Stack of a thread: planning recurses with large frames, and what is planned is foreign. Only what is used is ever
/// taken from memory.
const STACK: usize = 16 << 20;

/// Runs plans on threads of its own, so that no query, however heavy, holds up the threads that answer requests.
pub struct Engine {
    threads: Option<Runtime>,
    /// Where files are read: the runtime of whoever made the engine.
    reads: Handle,
    state: SessionState,
    memory: Arc<Pool>,
    scratch: PathBuf,
    queue: Queue,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("memory", &self.memory).field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Waiting for its threads is not allowed where an engine is dropped, on a thread of another runtime.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

impl Engine {
    /// An engine that reads files on the runtime this is called on.
    ///
    /// # Errors
    /// When there are no threads to be had, or this is called outside of a runtime.
    pub fn new(settings: &SqlSettings) -> std::io::Result<Self> {
        let cores = settings.threads.max(1);
        let threads = Builder::new_multi_thread()
            .worker_threads(cores)
            .thread_name("engine")
            .thread_stack_size(STACK)
            .enable_all()
            .build()?;
        let reads = Handle::try_current().map_err(std::io::Error::other)?;
        Ok(Self {
            threads: Some(threads),
            reads,
            state: session::state(cores),
            memory: Arc::new(Pool::new(settings.memory)),
            scratch: settings.scratch.clone(),
            queue: Queue::new(settings.running, settings.waiting),
        })
    }

    /// Waits for a turn among the queries of clients, for as long as `patience`; `None` when there are too many.
    pub async fn turn(&self, patience: Duration) -> Option<Turn> {
        self.queue.turn(patience).await
    }

    /// Waits for a turn of work behind the answers, such as an extract, for as long as it takes. Whoever has one waits for no
    /// other.
    ///
    /// # Errors
    /// Only while the engine is being dropped.
    pub async fn turn_behind(&self) -> Result<Turn, QueryError> {
        let turn = self.queue.turn_behind().await;
        turn.ok_or_else(|| QueryError::Cut("the engine is shutting down".to_owned()))
    }

    /// Begins one query under these caps.
    pub fn begin(&self, caps: &SqlCaps) -> Work<'_> {
        let scan = ScanCaps { time: caps.time, stream_time: caps.time, bytes: caps.bytes };
        Work { engine: self, caps: *caps, budget: Budget::new(scan), turn: None }
    }

    /// The threads plans run on; `None` only while the engine is being dropped.
    fn threads(&self) -> Result<&Handle, QueryError> {
        let threads = self.threads.as_ref().map(Runtime::handle);
        threads.ok_or_else(|| QueryError::Cut("the engine is shutting down".to_owned()))
    }
}

/// All functions there are, for their documentation.
pub(super) fn functions() -> SessionState {
    session::state(1)
}

/// One query: what it may take, and what it took.
#[derive(Debug)]
pub struct Work<'a> {
    engine: &'a Engine,
    caps: SqlCaps,
    budget: Budget,
    turn: Option<Turn>,
}

impl Work<'_> {
    /// The same, which keeps its turn for as long as it runs.
    #[must_use]
    pub fn with_turn(mut self, turn: Turn) -> Self {
        self.turn = Some(turn);
        self
    }

    /// Functions, rules and conventions; no tables.
    pub(super) fn state(&self) -> SessionState {
        self.engine.state.clone()
    }

    /// The account of bytes read, shared by all its tables.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// A table to plan with. All its reads are paid by this query.
    pub fn table(&self, source: TableSource) -> Arc<EngineTable> {
        Arc::new(EngineTable::new(source, self.budget.clone(), self.engine.reads.clone()))
    }

    /// A context for DataFusion's own API, with this query's share of memory.
    ///
    /// # Errors
    /// When there is no place to spill.
    pub fn context(&self) -> Result<SessionContext, QueryError> {
        let state = SessionStateBuilder::new_from_existing(self.engine.state.clone())
            .with_runtime_env(self.environment()?)
            .with_catalog_list(Arc::new(datafusion::catalog::MemoryCatalogProviderList::new()))
            .build();
        Ok(SessionContext::new_with_state(state))
    }

    fn environment(&self) -> Result<Arc<RuntimeEnv>, QueryError> {
        session::environment(&self.engine.memory, &self.engine.scratch, &self.caps).map_err(QueryError::Engine)
    }

    /// Optimizes a plan and says how it would be run. On the engine's threads, within the cap on time.
    ///
    /// # Errors
    /// When it cannot be planned, or planning takes too long.
    pub async fn plan(&self, plan: LogicalPlan) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        let state = self.engine.state.clone();
        self.apart(async move { state.create_physical_plan(&plan).await }).await
    }

    /// Runs a future on the engine's threads, within the cap on time.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, DataFusionError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let left = self.budget.begin();
        let task = AbortOnDropHandle::new(self.engine.threads()?.spawn(work));
        let done = tokio::time::timeout(left, task).await;
        self.budget.end();
        match done {
            Err(_) => Err(self.budget.time_is_up().into()),
            Ok(Err(error)) => Err(QueryError::Cut(error.to_string())),
            Ok(Ok(result)) => result.map_err(|error| QueryError::of_engine(error, &self.budget, &self.caps)),
        }
    }

    /// Plans and runs. Nothing is computed before the first [`Running::next`] asks, apart from a few batches ahead.
    ///
    /// # Errors
    /// As [`Work::plan`].
    pub async fn run(self, plan: LogicalPlan) -> Result<Running, QueryError> {
        let plan = self.plan(plan).await?;
        self.run_planned(plan)
    }

    /// Runs what was planned.
    ///
    /// # Errors
    /// When it cannot begin.
    pub fn run_planned(self, plan: Arc<dyn ExecutionPlan>) -> Result<Running, QueryError> {
        let context = Arc::new(session::task(&self.engine.state, self.environment()?));
        let failed = |error| QueryError::of_engine(error, &self.budget, &self.caps);
        let threads = self.engine.threads()?.clone();
        let watch = Arc::new(Watch::default());
        let stream = {
            // Operators spawn on the runtime they are begun on.
            let _inside = threads.enter();
            watch::over(plan, &watch).and_then(|plan| execute_stream(plan, context)).map_err(failed)?
        };
        Ok(Running::new(stream, (watch, self.turn), &threads, self.budget, self.caps))
    }
}
