//! Stops a plan at its next batch, and counts what operators hold without saying so.
//!
//! Aborting a task works only where it waits, and an operator that makes many batches out of few, such as a join, need
//! not wait for minutes. So below and above such operators stands a watch: it looks at a flag for every batch, gives other tasks
//! their turn, and where an operator keeps its input without reserving memory for it (windows), reserves it.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Schema},
};
use datafusion::{
    common::{
        DataFusionError, Result,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    execution::{SendableRecordBatchStream, TaskContext, memory_pool::MemoryConsumer},
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
        joins::{CrossJoinExec, NestedLoopJoinExec, utils::JoinFilter},
        stream::RecordBatchStreamAdapter,
        unnest::UnnestExec,
        windows::WindowAggExec,
    },
};
use futures::{StreamExt, stream};

use super::flatten::FlattenExec;

/// Longest value that is written once for each row of another table: so many times of it fill a batch.
const REPEATED: usize = 32 << 10;

/// Bytes of text in a batch that goes on to functions, beyond which it goes on in pieces.
const BYTES: usize = 16 << 20;
/// Items of lists that become rows at a time.
const ITEMS: usize = 64 << 10;

/// Whether work shall go on.
#[derive(Debug, Default)]
pub(super) struct Watch(AtomicBool);

impl Watch {
    /// Ends the work at its next batch.
    pub(super) fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn goes_on(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(DataFusionError::Execution("nobody waits for it any more".to_owned()));
        }
        Ok(())
    }
}

/// What an operator does with its input that a watch must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// Look at the flag.
    Pass,
    /// Reserve memory for all of it until it is done, twice: it is put together in one piece.
    Hold,
    /// Refuse values that are too long to be repeated for many rows.
    Short,
    /// The same, and few enough items of lists at a time: each becomes a row.
    Few,
}

/// The plan with watches in it.
pub(super) fn over(plan: Arc<dyn ExecutionPlan>, watch: &Arc<Watch>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let with = |duty| move |child: &Arc<dyn ExecutionPlan>| WatchExec::around(Arc::clone(child), watch, duty);
        let children = node.children();
        let node = if node.is::<WindowAggExec>() {
            let children = children.into_iter().map(with(Duty::Hold)).collect();
            replaced(node, children)?
        } else if let Some(unnest) = node.downcast_ref::<UnnestExec>() {
            let children = children.into_iter().map(with(Duty::Few)).collect();
            match FlattenExec::instead_of(unnest) {
                Some(flatten) => replaced(Arc::new(flatten), children)?,
                None => replaced(node, children)?,
            }
        } else if node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>() {
            let children = children.into_iter().map(with(Duty::Short)).collect();
            watched_filter(replaced(node, children)?, watch)?
        } else if children.is_empty() || children.len() > 1 {
            node
        } else {
            return Ok(Transformed::no(node));
        };
        Ok(Transformed::yes(WatchExec::around(node, watch, Duty::Pass)))
    })
    .data()
}

fn replaced(node: Arc<dyn ExecutionPlan>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    node.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// A nested loop that finds nothing makes no batch for as long as it runs, but asks its filter all the time.
fn watched_filter(node: Arc<dyn ExecutionPlan>, watch: &Arc<Watch>) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else { return Ok(node) };
    let Some(filter) = join.filter() else { return Ok(node) };
    let expression = Arc::new(Watched { inner: Arc::clone(filter.expression()), watch: Arc::clone(watch) });
    let filter = JoinFilter::new(expression, filter.column_indices().to_vec(), Arc::clone(filter.schema()));
    let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
    let projection = join.projection().as_ref().map(|columns| columns.to_vec());
    Ok(Arc::new(NestedLoopJoinExec::try_new(left, right, Some(filter), join.join_type(), projection)?))
}

/// An operator that passes batches on, and looks at each.
#[derive(Debug)]
struct WatchExec {
    input: Arc<dyn ExecutionPlan>,
    watch: Arc<Watch>,
    duty: Duty,
}

impl WatchExec {
    fn around(input: Arc<dyn ExecutionPlan>, watch: &Arc<Watch>, duty: Duty) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, watch: Arc::clone(watch), duty })
    }
}

impl DisplayAs for WatchExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WatchExec: {:?}", self.duty)
    }
}

impl ExecutionPlan for WatchExec {
    fn name(&self) -> &'static str {
        "WatchExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => Ok(Self::around(input, &self.watch, self.duty)),
            None => Err(DataFusionError::Internal("a watch over nothing".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        // What the operator above holds it holds until it drops this stream, and the function in it with the reservation.
        let held = Arc::new(MemoryConsumer::new("held rows").register(context.memory_pool()));
        let input = self.input.execute(partition, context)?;
        let (schema, duty) = (input.schema(), self.duty);
        let state = (input, Arc::clone(&self.watch), None);
        let batches = stream::try_unfold(state, move |(mut input, watch, rest)| {
            let held = Arc::clone(&held);
            async move {
                tokio::task::coop::consume_budget().await;
                watch.goes_on()?;
                let batch = match rest {
                    Some(rest) => rest,
                    None => {
                        let Some(batch) = input.next().await.transpose()? else {
                            return Ok(None);
                        };
                        match duty {
                            Duty::Pass => {}
                            Duty::Hold => held.try_grow(batch.get_array_memory_size().saturating_mul(2))?,
                            Duty::Short | Duty::Few => short(&batch)?,
                        }
                        batch
                    }
                };
                let (batch, rest) = match duty {
                    Duty::Hold | Duty::Short => (batch, None),
                    Duty::Pass => thin(batch, BYTES, &text_bytes, &all_text_bytes),
                    Duty::Few => thin(batch, ITEMS, &items_of, &all_items_of),
                };
                Ok(Some((batch, (input, watch, rest))))
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

/// As many of a batch's first rows as weigh no more than `most` together, but at least one; and the others. `weigh_all`
/// is what all rows of a column weigh, or more: nearly all batches go on whole, and rows are not looked at one by one.
fn thin(
    batch: RecordBatch,
    most: usize,
    weigh: &dyn Fn(&dyn Array, &mut [usize]),
    weigh_all: &dyn Fn(&dyn Array) -> usize,
) -> (RecordBatch, Option<RecordBatch>) {
    let all = batch.columns().iter().fold(0_usize, |all, column| all.saturating_add(weigh_all(column.as_ref())));
    if all <= most || batch.num_rows() < 2 {
        return (batch, None);
    }
    let mut weights = vec![0; batch.num_rows()];
    for column in batch.columns() {
        weigh(column.as_ref(), &mut weights);
    }
    let mut sum = 0_usize;
    let fit = weights.iter().take_while(|weight| {
        sum = sum.saturating_add(**weight);
        sum <= most
    });
    let fit = fit.count().max(1);
    if fit == batch.num_rows() {
        return (batch, None);
    }
    (batch.slice(0, fit), Some(batch.slice(fit, batch.num_rows() - fit)))
}

/// Bytes of the texts of each row. Views of them may be many times as much as what they point into.
fn text_bytes(column: &dyn Array, weights: &mut [usize]) {
    for (weight, view) in weights.iter_mut().zip(views(column)) {
        *weight += length(*view) as usize;
    }
}

/// Bytes of the texts of all rows.
fn all_text_bytes(column: &dyn Array) -> usize {
    views(column).iter().map(|view| u64::from(length(*view))).sum::<u64>() as usize
}

fn views(column: &dyn Array) -> &[u128] {
    match column.data_type() {
        DataType::Utf8View => column.as_string_view().views(),
        DataType::BinaryView => column.as_binary_view().views(),
        _ => &[],
    }
}

/// Bytes of a view's text: its lowest four bytes.
fn length(view: u128) -> u32 {
    view as u32
}

/// Items of the lists of each row.
fn items_of(column: &dyn Array, weights: &mut [usize]) {
    let Some(list) = column.as_list_opt::<i32>() else { return };
    let offsets = list.value_offsets();
    for (weight, (from, to)) in weights.iter_mut().zip(offsets.iter().zip(offsets.iter().skip(1))) {
        *weight = (*weight).max((to - from).max(0) as usize);
    }
}

/// Items of all rows' lists.
fn all_items_of(column: &dyn Array) -> usize {
    let Some(list) = column.as_list_opt::<i32>() else { return 0 };
    let offsets = list.value_offsets();
    offsets.last().zip(offsets.first()).map_or(0, |(end, begin)| (end - begin).max(0) as usize)
}

/// Refuses a batch with a value too long to be repeated.
fn short(batch: &RecordBatch) -> Result<()> {
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let longest = longest(column);
        if longest > REPEATED {
            return Err(DataFusionError::Execution(format!(
                "a value of `{}` has {longest} bytes, too many to be repeated for the rows it is joined with (at most {REPEATED})",
                field.name()
            )));
        }
    }
    Ok(())
}

/// Bytes of the longest value, about.
fn longest(column: &dyn Array) -> usize {
    if column.get_array_memory_size() <= REPEATED
        && !matches!(column.data_type(), DataType::Utf8View | DataType::BinaryView)
    {
        return 0;
    }
    fn widest<O: arrow::array::OffsetSizeTrait>(offsets: &[O]) -> usize {
        let pairs = offsets.iter().zip(offsets.iter().skip(1));
        pairs.map(|(from, to)| (*to - *from).as_usize()).max().unwrap_or(0)
    }
    fn items(widest: usize, values: &dyn Array) -> usize {
        let each = values.get_array_memory_size() / values.len().max(1);
        widest.saturating_mul(each.max(1))
    }
    let of_views = |views: &[u128]| views.iter().map(|view| length(*view)).max().unwrap_or(0) as usize;
    match column.data_type() {
        DataType::Utf8 => widest(column.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => widest(column.as_string::<i64>().offsets()),
        DataType::Binary => widest(column.as_binary::<i32>().offsets()),
        DataType::LargeBinary => widest(column.as_binary::<i64>().offsets()),
        DataType::Utf8View | DataType::BinaryView => of_views(views(column)),
        DataType::List(_) => items(widest(column.as_list::<i32>().offsets()), column.as_list::<i32>().values()),
        DataType::LargeList(_) => items(widest(column.as_list::<i64>().offsets()), column.as_list::<i64>().values()),
        DataType::Map(..) => items(widest(column.as_map().offsets()), column.as_map().entries()),
        DataType::Struct(_) => column.as_struct().columns().iter().map(|inner| longest(inner)).max().unwrap_or(0),
        _ => 0,
    }
}

/// An expression that ends when its work shall not go on.
#[derive(Debug, Clone)]
struct Watched {
    inner: Arc<dyn PhysicalExpr>,
    watch: Arc<Watch>,
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Watched {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.watch.goes_on()?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match children.pop() {
            Some(inner) => Ok(Arc::new(Self { inner, watch: Arc::clone(&self.watch) })),
            None => Err(DataFusionError::Internal("a watch over nothing".to_owned())),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
