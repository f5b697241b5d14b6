//! One side of a comparison: files of a snapshot as batches in the order of the key.
//!
//! Where the files are sorted by the key already they are merged as they are read; else they are sorted, with bounded
//! memory and spills to disk. Equal keys stay in the order of the files.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, UInt64Array, new_null_array},
    compute::{SortOptions, can_cast_types, cast},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    error::DataFusionError,
    execution::SendableRecordBatchStream,
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan,
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet},
        sorts::{sort::SortExec, streaming_merge::StreamingMergeBuilder},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{State, merge::SideRows};
use crate::{
    catalog::DataFile,
    query::{
        QueryError,
        budget::Budget,
        engine::{Once, Sorting},
        footer::Footers,
        pages::OpenFile,
    },
    store::Store,
};

/// Sorted runs merged at once; more are sorted instead.
const RUNS: usize = 16;
/// Uncompressed bytes of a batch, about.
const BATCH_BYTES: u64 = 2 << 20;
/// Rows of a batch at most.
const BATCH_ROWS: u64 = 8192;
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
    sorting: Option<Sorting>,
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
        Self { store, footers, budget, files, schema, own: own.fields().len(), keys: key.len(), sorted, sorting: None }
    }

    /// With room to sort in.
    pub(super) fn sorting(self, sorting: &Sorting) -> Self {
        Self { sorting: Some(sorting.clone()), ..self }
    }

    /// Its files by their part: those of one are in one order.
    fn runs(&self) -> Vec<Vec<DataFile>> {
        let parts = self.files.chunk_by(|one, next| one.part == next.part);
        parts.map(<[DataFile]>::to_vec).collect()
    }

    /// Whether its rows have to be sorted, and not only merged.
    pub(super) fn sorts(&self) -> bool {
        let merged = self.sorted && self.runs().len() <= RUNS;
        !(merged || self.files.is_empty())
    }

    /// Its rows in the order of the key.
    pub(super) fn rows(self) -> Result<SideRows, QueryError> {
        let runs = self.runs();
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
        let Some(sorting) = self.sorting.clone() else {
            return Err(QueryError::Broken("a side of a comparison has no room to sort in".to_owned()));
        };
        let context = Arc::new(sorting.context(rows));
        let merged = if !self.sorts() {
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
            Once::plan(self.source(self.files.clone(), 0))
                .and_then(|input| SortExec::new(ordering, input).execute(0, context))
        };
        let budget = self.budget.clone();
        let merged = merged.map_err(|error| sorting.failed(error, &budget))?;
        Ok(merged.map_err(move |error| sorting.failed(error, &budget)).boxed())
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
