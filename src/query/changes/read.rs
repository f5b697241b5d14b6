//! One side of a comparison: files of a snapshot as batches in the order of the key.
//!
//! Where the files are sorted by the key already they are merged as they are read; else they are sorted, with bounded
//! memory and spills to disk. Equal keys stay in the order of the files.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{ArrayRef, RecordBatch, UInt64Array, new_null_array},
    compute::{SortOptions, can_cast_types, cast},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    error::DataFusionError,
    execution::{
        SendableRecordBatchStream, TaskContext,
        context::SessionConfig,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::GreedyMemoryPool,
        runtime_env::RuntimeEnvBuilder,
    },
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan,
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet},
        sorts::{sort::SortExec, streaming_merge::StreamingMergeBuilder},
        stream::RecordBatchStreamAdapter,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{State, merge::SideRows};
use crate::{
    catalog::DataFile,
    query::{QueryError, budget::Budget, footer::Footers, pages::OpenFile},
    store::Store,
};

/// Sorted runs merged at once; more are sorted instead.
const RUNS: usize = 16;
/// Uncompressed bytes of a batch, about.
const BATCH_BYTES: u64 = 2 << 20;
/// Rows of a batch at most.
const BATCH_ROWS: u64 = 8192;
/// Memory one sort may hold before it spills.
const SORT_MEMORY: usize = 64 << 20;
/// Of that, what is kept for merging what was spilled.
const MERGE_MEMORY: usize = 12 << 20;
/// Bytes on disk that one sort may take.
const SPILL: u64 = 20 << 30;
/// What a compressed byte becomes, about.
const EXPANSION: u64 = 4;

/// Files of a snapshot and how to read them.
pub(super) struct Side {
    store: Store,
    footers: Arc<Footers>,
    budget: Budget,
    files: Vec<DataFile>,
    /// The feed's columns, then the key's, then the row's number.
    schema: SchemaRef,
    own: usize,
    keys: usize,
    /// Whether each part is in the order of the key already.
    sorted: bool,
}

/// Whether values of one type can be shown as another.
pub(super) fn fits(from: &DataType, to: &DataType) -> bool {
    from.equals_datatype(to) || can_cast_types(from, to)
}

impl Side {
    pub(super) fn new(
        store: Store,
        footers: Arc<Footers>,
        budget: Budget,
        own: &SchemaRef,
        key: &[Field],
        state: &Option<State>,
        files: Vec<DataFile>,
    ) -> Self {
        let number = Field::new("row", DataType::UInt64, false);
        let all = own.fields().iter().map(|field| field.as_ref().clone()).chain(key.iter().cloned()).chain([number]);
        let schema = Arc::new(Schema::new(all.collect::<Vec<_>>()));
        let sorted = state.as_ref().is_some_and(|state| {
            key.len() <= state.sort_key.len()
                && key.iter().zip(&state.sort_key).all(|(key, sorted)| {
                    // Read as another type, values may be in another order.
                    let column = state.schema.column(sorted).map(|(_, column)| column.kind.to_arrow());
                    key.name() == sorted && column.is_some_and(|kind| kind.equals_datatype(key.data_type()))
                })
        });
        Self { store, footers, budget, files, schema, own: own.fields().len(), keys: key.len(), sorted }
    }

    /// Its rows in the order of the key.
    pub(super) fn rows(self) -> Result<SideRows, QueryError> {
        let mut runs: Vec<Vec<DataFile>> = Vec::new();
        for file in &self.files {
            match runs.last_mut() {
                Some(run) if run.last().is_some_and(|last| last.part == file.part) => run.push(file.clone()),
                _ => runs.push(vec![file.clone()]),
            }
        }
        if runs.is_empty() {
            return Ok(stream::empty().boxed());
        }
        if self.sorted && runs.len() == 1 {
            return Ok(self.read(self.files.clone(), 0));
        }
        let ordering = LexOrdering::new((self.own..self.schema.fields().len()).map(|at| {
            let column = Column::new(self.schema.field(at).name(), at);
            let options = SortOptions { descending: false, nulls_first: false };
            PhysicalSortExpr::new(Arc::new(column), options)
        }));
        let Some(ordering) = ordering else { return Ok(self.read(self.files.clone(), 0)) };
        let rows = self.batch_rows();
        let context = Arc::new(context(rows)?);
        let merged = if self.sorted && runs.len() <= RUNS {
            let mut first = 0;
            let runs = runs.into_iter().map(|run| {
                let from = first;
                first += run.iter().map(|file| file.rows).sum::<u64>();
                self.source(run, from)
            });
            let runs = runs.collect();
            // The streams hold one batch each, which the cap on their number and size bounds.
            let reservation =
                datafusion::execution::memory_pool::MemoryConsumer::new("runs").register(context.memory_pool());
            StreamingMergeBuilder::new()
                .with_streams(runs)
                .with_schema(Arc::clone(&self.schema))
                .with_expressions(&ordering)
                .with_metrics(BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0))
                .with_batch_size(rows)
                .with_reservation(reservation)
                .with_round_robin_tie_breaker(false)
                .build()
        } else {
            let input = OneStream::new(Arc::clone(&self.schema), self.source(self.files.clone(), 0));
            let schema = Arc::clone(&self.schema);
            StreamingTableExec::try_new(schema, vec![Arc::new(input)], None, [], false, None)
                .map(|input| SortExec::new(ordering, Arc::new(input)))
                .and_then(|sort| sort.execute(0, context))
        };
        let budget = self.budget.clone();
        let merged = merged.map_err(|error| failed(error, &budget))?;
        Ok(merged.map_err(move |error| failed(error, &budget)).boxed())
    }

    /// Rows that hold [`BATCH_BYTES`], by what the files take.
    fn batch_rows(&self) -> usize {
        let (bytes, rows) =
            self.files.iter().fold((0, 0), |(bytes, rows), file| (bytes + file.bytes, rows + file.rows));
        let each = (bytes.saturating_mul(EXPANSION) / rows.max(1)).max(1);
        (BATCH_BYTES / each).clamp(16, BATCH_ROWS) as usize
    }

    fn source(&self, files: Vec<DataFile>, first: u64) -> SendableRecordBatchStream {
        let rows = self.read(files, first).map_err(|error| DataFusionError::External(Box::new(error)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }

    /// Files as they are, one after the other; their rows are numbered from `first`.
    fn read(&self, files: Vec<DataFile>, first: u64) -> SideRows {
        let rows = self.batch_rows();
        let (store, footers, budget) = (self.store.clone(), Arc::clone(&self.footers), self.budget.clone());
        let (schema, own, keys) = (Arc::clone(&self.schema), self.own, self.keys);
        let names: BTreeSet<String> =
            schema.fields().iter().take(own + keys).map(|field| field.name().clone()).collect();
        let wanted = Arc::new(names);
        let opened = stream::iter(files).then(move |file| {
            let (store, footers, budget, wanted) = (store.clone(), footers.clone(), budget.clone(), wanted.clone());
            async move {
                let open = OpenFile::open(&store, &footers, &file, &budget).await?;
                let present = open.footer().metadata.schema();
                let wanted: Vec<_> =
                    wanted.iter().filter_map(|name| present.field_with_name(name).ok().cloned()).collect();
                let all = 0..open.footer().rows();
                let pieces = open.stream(Arc::new(Schema::new(wanted)), vec![all], rows as u64);
                let batches = pieces.map_ok(|piece| piece.batch);
                Ok::<_, QueryError>(batches.map_err(move |source| QueryError::File { file: file.key.clone(), source }))
            }
        });
        let mut number = first;
        let numbered = opened.try_flatten().map(move |batch| {
            let batch = batch?;
            let end = number + batch.num_rows() as u64;
            let numbers = UInt64Array::from_iter_values(number..end);
            number = end;
            let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
            for field in schema.fields().iter().take(own + keys) {
                columns.push(shown(&batch, field)?);
            }
            columns.push(Arc::new(numbers));
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        });
        numbered.boxed()
    }
}

/// A file's column as a field; null where the file has none that fits.
fn shown(batch: &RecordBatch, field: &Field) -> Result<ArrayRef, QueryError> {
    Ok(match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Arc::clone(column),
        Some(column) if can_cast_types(column.data_type(), field.data_type()) => cast(column, field.data_type())?,
        _ => new_null_array(field.data_type(), batch.num_rows()),
    })
}

fn context(rows: usize) -> Result<TaskContext, QueryError> {
    let config = SessionConfig::new()
        .with_batch_size(rows)
        .with_target_partitions(1)
        .with_sort_spill_reservation_bytes(MERGE_MEMORY);
    let disk =
        DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory).with_max_temp_directory_size(SPILL);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(SORT_MEMORY)))
        .with_disk_manager_builder(disk)
        .build_arc()
        .map_err(|error| QueryError::Arrow(arrow::error::ArrowError::ExternalError(Box::new(error))))?;
    Ok(TaskContext::default().with_session_config(config).with_runtime(runtime))
}

fn failed(error: DataFusionError, budget: &Budget) -> QueryError {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<QueryError>() {
            Ok(ours) => *ours,
            Err(inner) => QueryError::Arrow(arrow::error::ArrowError::ExternalError(inner)),
        },
        // No room left to sort in: more than one answer may take.
        error if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => budget.is_too_much().into(),
        error => QueryError::Arrow(arrow::error::ArrowError::ExternalError(Box::new(error))),
    }
}

/// A stream that is read once, as a plan's leaf.
struct OneStream {
    schema: SchemaRef,
    stream: Mutex<Option<SendableRecordBatchStream>>,
}

impl OneStream {
    fn new(schema: SchemaRef, stream: SendableRecordBatchStream) -> Self {
        Self { schema, stream: Mutex::new(Some(stream)) }
    }
}

impl fmt::Debug for OneStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneStream").finish_non_exhaustive()
    }
}

impl PartitionStream for OneStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let taken = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| {
            let again = DataFusionError::Internal("a side of a comparison is read once".into());
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter([Err(again)])))
        })
    }
}
