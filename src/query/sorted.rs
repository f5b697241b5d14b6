//! Every row of a slice in an order, for answers that have no limit: sorted in bounded memory, spilled to disk beyond it.
//!
//! The sort is DataFusion's; what it compares are our keys as bytes, so that the order is the same as that of
//! [`top`](super::top).

use std::sync::Arc;

use arrow::{
    array::{AsArray, BinaryBuilder, RecordBatch},
    compute::SortOptions,
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
};
use datafusion::{
    error::DataFusionError,
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::Column},
    physical_plan::{SendableRecordBatchStream, sorts::sort::SortExec, stream::RecordBatchStreamAdapter},
};
use futures::stream;
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    QueryError, Slice,
    batches::Batches,
    engine::{Engine, Once, Turn},
    order::{Keys, Order},
    scan::Scan,
    table::TableSource,
};
use crate::config::SqlCaps;

/// Rows up to which an order is better sought, by key columns and statistics, than sorted.
pub const SOUGHT: u64 = 20_000;
/// Memory of one sort.
const MEMORY: u64 = 96 << 20;
/// Batches read ahead of the sort.
const AHEAD: usize = 2;

/// The rows of a slice in an order, as they are asked for; the slice's offset and limit count rows of the order. The scan
/// begins at once, the sort with it, and keeps the turn until it ends.
///
/// # Errors
/// When a column has no order, or there is no place to spill.
pub fn sorted(
    engine: &Engine,
    turn: Turn,
    spill: u64,
    source: TableSource,
    slice: Slice,
    order: &Order,
) -> Result<Batches, QueryError> {
    let caps =
        SqlCaps { time: source.caps.stream_time, memory: MEMORY, spill, bytes: source.caps.bytes, rows: u64::MAX };
    let work = engine.begin(&caps).with_turn(turn);
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
    let input = Once::plan(read(scan, keys, shown, &schema)).map_err(QueryError::Engine)?;
    let options = SortOptions { descending: false, nulls_first: false };
    let by = PhysicalSortExpr::new(Arc::new(Column::new("key", shown)), options);
    let by = LexOrdering::new([by]).ok_or_else(|| QueryError::Broken("an order without columns".to_owned()))?;
    let running = work.run_planned(Arc::new(SortExec::new(by, input)))?;

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

/// Reads rows on threads made for blocking, until nobody wants them; each with its key.
fn read(mut scan: Scan, keys: Keys, shown: usize, schema: &SchemaRef) -> SendableRecordBatchStream {
    let (send, mut rows) = mpsc::channel(AHEAD);
    let (given, schema, runtime) = (Arc::clone(schema), Arc::clone(schema), Handle::current());
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
    Box::pin(RecordBatchStreamAdapter::new(given, stream::poll_fn(move |context| rows.poll_recv(context))))
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
