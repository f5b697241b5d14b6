//! Every row of a slice in an order, for answers that have no limit: sorted in bounded memory, spilled to disk beyond it.
//!
//! The sort is DataFusion's; what it compares are our keys as bytes, so that the order is the same as that of
//! [`top`](super::top).

use std::{fmt, sync::Arc};

use arrow::{
    array::{AsArray, BinaryBuilder, RecordBatch},
    compute::SortOptions,
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
};
use datafusion::{
    error::DataFusionError,
    execution::TaskContext,
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        SendableRecordBatchStream,
        sorts::sort::SortExec,
        stream::RecordBatchStreamAdapter,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use futures::stream;
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    QueryError, Slice,
    batches::Batches,
    engine::Engine,
    order::{Keys, Order},
    scan::Scan,
    table::TableSource,
};
use crate::config::SqlCaps;

/// Memory of one sort.
const MEMORY: u64 = 96 << 20;
/// Batches read ahead of the sort.
const AHEAD: usize = 2;

/// The rows of a slice in an order, as they are asked for; the slice's offset and limit count rows of the order. The scan
/// begins at once, the sort with it.
///
/// # Errors
/// When a column has no order, or there is no place to spill.
pub fn sorted(
    engine: &Engine,
    spill: u64,
    source: TableSource,
    slice: Slice,
    order: &Order,
) -> Result<Batches, QueryError> {
    let caps =
        SqlCaps { time: source.caps.stream_time, memory: MEMORY, spill, bytes: source.caps.bytes, rows: u64::MAX };
    let work = engine.begin(&caps);
    let budget = work.budget().clone();
    let shown = slice.columns.len();
    let output = Arc::new(source.table.arrow.project(&slice.columns)?);
    let (offset, limit) = (slice.offset, slice.limit.unwrap_or(u64::MAX));
    let keys = Keys::new(order.keys(), &source.table.arrow)?;
    // The keys come after the columns shown; a column may be both.
    let columns = slice.columns.iter().copied().chain(order.columns()).collect();
    let scan = Scan::paid(source, Slice { columns, offset: 0, limit: None, ..slice }, &budget).numbered();

    let key = Arc::new(Field::new("key", DataType::Binary, false));
    let fields: Vec<_> = (0..shown).map(|at| renamed(&output, at)).chain([key]).collect();
    let schema = Arc::new(Schema::new(fields));
    let input =
        Input { schema: Arc::clone(&schema), rows: std::sync::Mutex::new(Some(read(scan, keys, shown, &schema))) };
    let failed = QueryError::Engine;
    let input: Arc<dyn PartitionStream> = Arc::new(input);
    let input = StreamingTableExec::try_new(Arc::clone(&schema), vec![input], None, [], false, None).map_err(failed)?;
    let options = SortOptions { descending: false, nulls_first: false };
    let by = PhysicalSortExpr::new(Arc::new(Column::new("key", shown)), options);
    let by = LexOrdering::new([by]).ok_or_else(|| QueryError::Broken("an order without columns".to_owned()))?;
    let running = work.run_planned(Arc::new(SortExec::new(by, Arc::new(input))))?;

    let schema = Arc::clone(&output);
    let stream = stream::try_unfold((running, offset, limit), move |(mut running, mut skip, mut left)| {
        let output = Arc::clone(&output);
        async move {
            while left > 0 {
                let Some(batch) = running.next().await? else { return Ok::<_, QueryError>(None) };
                let rows = batch.num_rows() as u64;
                let passed = skip.min(rows);
                skip -= passed;
                let wanted = (rows - passed).min(left);
                if wanted > 0 {
                    left -= wanted;
                    let columns = batch.columns().iter().take(output.fields().len()).cloned().collect();
                    let batch = RecordBatch::try_new(Arc::clone(&output), columns)?;
                    return Ok(Some((batch.slice(passed as usize, wanted as usize), (running, skip, left))));
                }
            }
            Ok(None)
        }
    });
    Ok(Batches::new(schema, budget, stream))
}

/// A column under a name of its own: two columns may differ in nothing else while they are sorted.
fn renamed(schema: &SchemaRef, at: usize) -> Arc<Field> {
    let field = schema.field(at);
    Arc::new(field.clone().with_name(format!("c{at}")))
}

type Rows = mpsc::Receiver<Result<RecordBatch, DataFusionError>>;

/// Reads rows on threads made for blocking, until nobody wants them; each with its key.
fn read(mut scan: Scan, keys: Keys, shown: usize, schema: &SchemaRef) -> Rows {
    let (send, rows) = mpsc::channel(AHEAD);
    let (schema, runtime) = (Arc::clone(schema), Handle::current());
    let inside = runtime.clone();
    runtime.spawn_blocking(move || {
        inside.block_on(async move {
            loop {
                let batch = match scan.step().await {
                    Ok(None) => return,
                    Ok(Some(batch)) => keyed(&batch, &keys, shown, &schema),
                    Err(error) => Err(error),
                };
                let failed = batch.is_err();
                let batch = batch.map_err(|error| DataFusionError::External(Box::new(error)));
                if send.send(batch).await.is_err() || failed {
                    return;
                }
            }
        });
    });
    rows
}

/// A batch's first columns, and one of bytes that compare as the order says, row numbers included.
fn keyed(batch: &RecordBatch, keys: &Keys, shown: usize, schema: &SchemaRef) -> Result<RecordBatch, QueryError> {
    let (last, columns) =
        batch.columns().split_last().ok_or_else(|| QueryError::Broken("a batch without columns".to_owned()))?;
    let rows = keys.convert(columns.get(shown..).unwrap_or_default())?;
    let mut bytes = BinaryBuilder::new();
    let mut key = Vec::new();
    for (row, number) in rows.iter().zip(last.as_primitive::<UInt64Type>().values()) {
        key.clear();
        key.extend_from_slice(row.data());
        key.extend_from_slice(&number.to_be_bytes());
        bytes.append_value(&key);
    }
    let columns = columns.iter().take(shown).cloned();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.chain([Arc::new(bytes.finish()) as _]).collect())?)
}

/// What is sorted, given out once.
struct Input {
    schema: SchemaRef,
    rows: std::sync::Mutex<Option<Rows>>,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PartitionStream for Input {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let stream = stream::unfold(rows, |rows| async move {
            let mut rows = rows?;
            let next = rows.recv().await?;
            Some((next, Some(rows)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}
