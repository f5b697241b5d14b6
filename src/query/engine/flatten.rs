//! Lists as rows: what `unnest` of one list column is computed with.
//!
//! The items of a batch's lists lie one after the other already, so they are handed on as they are; only the columns beside
//! them are repeated. DataFusion's operator, which also does lists of different lengths side by side, lists of lists and
//! structs, copies every item to a place it computes first: a fifth of the time of counting the items of a table.

use std::{fmt, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::take,
    datatypes::{DataType, SchemaRef},
};
use datafusion::{
    common::{DataFusionError, NullHandling, Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, stream::RecordBatchStreamAdapter,
        unnest::UnnestExec,
    },
};
use futures::{StreamExt, stream};

/// An operator that makes a row of each item of a list column. Rows with no items, and with no list, are left out.
#[derive(Debug)]
pub(super) struct FlattenExec {
    input: Arc<dyn ExecutionPlan>,
    /// Position of the list column, before and after.
    at: usize,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl FlattenExec {
    /// What does the same as `unnest`, if that is a matter of one list column.
    pub(super) fn instead_of(unnest: &UnnestExec) -> Option<Self> {
        let [list] = unnest.list_column_indices() else { return None };
        let at = list.index_in_input_schema;
        let input = Arc::clone(unnest.input());
        let one = list.depth == 1
            && unnest.struct_column_indices().is_empty()
            && matches!(unnest.options().null_handling, NullHandling::Drop)
            && matches!(input.schema().fields().get(at)?.data_type(), DataType::List(_));
        one.then(|| Self { input, at, schema: unnest.schema(), properties: Arc::clone(unnest.properties()) })
    }
}

impl DisplayAs for FlattenExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlattenExec: {}", self.schema.fields().get(self.at).map_or("", |field| field.name()))
    }
}

impl ExecutionPlan for FlattenExec {
    fn name(&self) -> &'static str {
        "FlattenExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
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
        let input = children.pop().ok_or_else(|| DataFusionError::Internal("items of nothing".to_owned()))?;
        let (schema, properties) = (Arc::clone(&self.schema), Arc::clone(&self.properties));
        Ok(Arc::new(Self { input, at: self.at, schema, properties }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let most = context.session_config().batch_size();
        let input = self.input.execute(partition, context)?;
        let (schema, at) = (Arc::clone(&self.schema), self.at);
        let batches = stream::try_unfold((input, None::<Rest>), move |(mut input, mut rest)| {
            let schema = Arc::clone(&schema);
            async move {
                loop {
                    if let Some(batch) = rest.as_mut().map(|rest| rest.next(at, &schema, most)).transpose()?.flatten() {
                        return Ok(Some((batch, (input, rest))));
                    }
                    let Some(batch) = input.next().await.transpose()? else { return Ok(None) };
                    rest = Some(Rest { batch, row: 0, item: 0 });
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches)))
    }
}

/// A batch whose first lists have become rows.
struct Rest {
    batch: RecordBatch,
    /// The first row that is not done, and its items that are.
    row: usize,
    item: usize,
}

impl Rest {
    /// The next items as rows, at most so many; `None` when there are no more.
    fn next(&mut self, at: usize, schema: &SchemaRef, most: usize) -> Result<Option<RecordBatch>> {
        let lists = self.batch.columns().get(at).and_then(|column| column.as_list_opt::<i32>());
        let lists = lists.ok_or_else(|| DataFusionError::Internal("what is no list has no items".to_owned()))?;
        let alone = self.batch.num_columns() == 1;
        let mut items = Items { stretches: Vec::new(), count: 0 };
        let mut repeats: Vec<u32> = Vec::new();
        let ends = lists.value_offsets().windows(2).enumerate().skip(self.row);
        for (row, ends) in ends {
            let &[begin, end] = ends else { break };
            (self.row, self.item) = if row == self.row { (row, self.item) } else { (row, 0) };
            let begin = begin as usize + self.item;
            let left = if lists.is_null(row) { 0 } else { (end as usize).saturating_sub(begin) };
            let taken = left.min(most - items.count);
            items.push(begin, taken);
            if !alone {
                repeats.extend(std::iter::repeat_n(row as u32, taken));
            }
            if taken < left {
                self.item += taken;
                break;
            }
            (self.row, self.item) = (row + 1, 0);
        }
        if items.count == 0 {
            return Ok(None);
        }
        let repeats = UInt32Array::from(repeats);
        let column = |(position, column): (usize, &ArrayRef)| match position == at {
            true => items.of(lists.values()),
            false => Ok(take(column, &repeats, None)?),
        };
        let columns = self.batch.columns().iter().enumerate().map(column).collect::<Result<_>>()?;
        Ok(Some(RecordBatch::try_new(Arc::clone(schema), columns)?))
    }
}

/// Items that are taken: stretches of the values of all lists.
struct Items {
    stretches: Vec<(usize, usize)>,
    count: usize,
}

impl Items {
    fn push(&mut self, begin: usize, count: usize) {
        self.count += count;
        match self.stretches.last_mut() {
            _ if count == 0 => {}
            Some((first, already)) if *first + *already == begin => *already += count,
            _ => self.stretches.push((begin, count)),
        }
    }

    /// The items; copied only where a list that is null has some that are left out.
    fn of(&self, values: &ArrayRef) -> Result<ArrayRef> {
        if let [(begin, count)] = self.stretches.as_slice() {
            return Ok(values.slice(*begin, *count));
        }
        let places = self.stretches.iter().flat_map(|(begin, count)| *begin..begin + count);
        Ok(take(values, &UInt32Array::from_iter_values(places.map(|place| place as u32)), None)?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Int64Array, ListArray},
        buffer::{NullBuffer, OffsetBuffer},
        compute::concat_batches,
        datatypes::{Field, Schema},
        util::pretty::pretty_format_batches,
    };
    use datafusion::{
        common::UnnestOptions,
        datasource::memory::MemorySourceConfig,
        physical_plan::{collect, unnest::ListUnnest},
        prelude::SessionContext,
    };
    use proptest::prelude::*;

    use super::*;

    /// Lists of these lengths, of which some are null whatever their items; and beside them the numbers of rows.
    fn batch(lengths: &[(usize, bool)], beside: bool) -> RecordBatch {
        let offsets = OffsetBuffer::from_lengths(lengths.iter().map(|(length, _)| *length));
        let items: usize = lengths.iter().map(|(length, _)| length).sum();
        let values = Int64Array::from_iter((0..items as i64).map(|item| (item % 5 != 3).then_some(item)));
        let nulls = NullBuffer::from_iter(lengths.iter().map(|(_, valid)| *valid));
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let lists: ArrayRef = Arc::new(ListArray::new(item, offsets, Arc::new(values), Some(nulls)));
        let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..lengths.len() as i64));
        let columns = if beside { vec![("row", rows), ("list", lists)] } else { vec![("list", lists)] };
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .expect("a batch")
    }

    /// What DataFusion's operator makes of batches, and what this one does.
    async fn both(batches: Vec<RecordBatch>, size: usize) -> (String, String) {
        let schema = batches[0].schema();
        let at = schema.index_of("list").expect("the list");
        let fields = schema.fields().iter().map(|field| match field.name().as_str() {
            "list" => Arc::new(Field::new("list", DataType::Int64, true)),
            _ => Arc::clone(field),
        });
        let output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let input = MemorySourceConfig::try_new_exec(&[batches], schema, None).expect("a source");
        let options = UnnestOptions { null_handling: NullHandling::Drop, ..UnnestOptions::default() };
        let lists = vec![ListUnnest { index_in_input_schema: at, depth: 1 }];
        let theirs = UnnestExec::new(input, lists, Vec::new(), Arc::clone(&output), options).expect("a plan");
        let ours = FlattenExec::instead_of(&theirs).expect("one list");
        let config = datafusion::prelude::SessionConfig::new().with_batch_size(size);
        let context = SessionContext::new_with_config(config).task_ctx();
        let ours = collect(Arc::new(ours), Arc::clone(&context)).await.expect("rows");
        assert!(ours.iter().all(|batch| (1..=size).contains(&batch.num_rows())));
        let theirs = collect(Arc::new(theirs), context).await.expect("rows");
        let shown = |batches: &[RecordBatch]| {
            let one = concat_batches(&output, batches).expect("one batch");
            pretty_format_batches(&[one]).expect("text").to_string()
        };
        (shown(&theirs), shown(&ours))
    }

    proptest! {
        #[test]
        fn it_gives_what_datafusion_gives(
            lengths in proptest::collection::vec((0..5_usize, proptest::bool::weighted(0.8)), 0..40),
            beside: bool,
            cut in 0..40_usize,
            size in 1..20_usize,
        ) {
            let whole = batch(&lengths, beside);
            let cut = cut.min(lengths.len());
            let parts = vec![whole.slice(0, cut), whole.slice(cut, lengths.len() - cut)];
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let (theirs, ours) = runtime.block_on(both(parts, size));
            prop_assert_eq!(theirs, ours);
        }
    }

    #[test]
    fn what_is_more_than_one_list_is_left_to_datafusion() {
        let input = MemorySourceConfig::try_new_exec(&[], batch(&[], true).schema(), None).expect("a source");
        let schema = input.schema();
        let lists = vec![ListUnnest { index_in_input_schema: 1, depth: 2 }];
        let twice = UnnestExec::new(input, lists, Vec::new(), schema, UnnestOptions::default()).expect("a plan");
        assert!(FlattenExec::instead_of(&twice).is_none());
    }
}
