//! Conditions of which few rows are looked at, or few are wanted: those rows' columns are read from their pages, the
//! condition's first, and no further than the answer needs.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch},
    compute::filter,
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};
use futures::{StreamExt, stream, stream::BoxStream};
use parquet::{arrow::arrow_reader::RowSelection, errors::ParquetError};

use super::{
    fault::EvaluationFault,
    pages,
    predicate::Predicate,
    reader::{FileReader, Footer, Footers},
    scan::{decoded, mask},
};

/// Rows looked at first.
const FIRST_WINDOW: u64 = 8192;
/// Rows looked at together at most, and bytes of the condition's columns.
const LAST_WINDOW: u64 = 128 << 10;
const WINDOW_BYTES: u64 = 16 << 20;
/// Rows looked at together at least.
const LEAST_WINDOW: u64 = 16;

/// Rows of a file that may match.
pub(super) struct Narrow {
    pub(super) reader: FileReader,
    pub(super) footers: Arc<Footers>,
    pub(super) footer: Arc<Footer>,
    pub(super) predicate: Predicate,
    /// What is to come out.
    pub(super) output: SchemaRef,
    /// The name of a last column of the output for the numbers of rows in the file, if there is one.
    pub(super) numbered: Option<&'static str>,
    /// Rows of a batch at most.
    pub(super) batch_rows: u64,
    /// Where it is written down that the condition cannot be computed.
    pub(super) fault: EvaluationFault,
}

/// What matches of a window.
struct Matching {
    rows: RecordBatch,
    /// The number of the last of them.
    last: Option<u64>,
    /// Whether there may be more in the window.
    full: bool,
}

/// The rows of the file that `groups` and the selection over them leave, as ranges.
pub(super) fn ranges(footer: &Footer, groups: &[usize], selection: Option<&RowSelection>) -> Vec<Range<u64>> {
    let starts = footer.layout.starts();
    let mut spans = groups.iter().filter_map(|group| Some(*starts.get(*group)?..*starts.get(group + 1)?));
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut add = |range: Range<u64>| match ranges.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    };
    let Some(selection) = selection else {
        spans.for_each(add);
        return ranges;
    };
    // The selection counts through the kept groups only.
    let mut span = spans.next().unwrap_or(0..0);
    for selector in selection.iter() {
        let mut left = selector.row_count as u64;
        while left > 0 {
            if span.is_empty() {
                let Some(next) = spans.next() else { break };
                span = next;
                continue;
            }
            let upto = span.end.min(span.start + left);
            if !selector.skip {
                add(span.start..upto);
            }
            left -= upto - span.start;
            span.start = upto;
        }
    }
    ranges
}

/// Rows in ranges.
pub(super) fn count(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// Takes the first `most` rows off ranges that are in order.
fn split(ranges: &mut VecDeque<Range<u64>>, most: u64) -> Vec<Range<u64>> {
    let (mut taken, mut left) = (Vec::new(), most);
    while left > 0
        && let Some(range) = ranges.pop_front()
    {
        let upto = range.end.min(range.start.saturating_add(left));
        left -= upto - range.start;
        taken.push(range.start..upto);
        if upto < range.end {
            ranges.push_front(upto..range.end);
        }
    }
    taken
}

impl Narrow {
    /// Of these rows those that match, at most `most`: looked at a window after the other, each twice as long as the one
    /// before, so that an answer of few rows is found without reading on, and one that is hard to find in few reads.
    pub(super) fn stream(
        self,
        rows: Vec<Range<u64>>,
        most: u64,
    ) -> BoxStream<'static, Result<RecordBatch, ParquetError>> {
        let widest = self.widest();
        let begin = (self, VecDeque::from(rows), most, FIRST_WINDOW.min(widest));
        stream::try_unfold(begin, move |(narrow, mut rows, left, window)| async move {
            if left == 0 || rows.is_empty() {
                return Ok(None);
            }
            let looked_at = split(&mut rows, window);
            let batch = narrow.matching(&looked_at, left.min(narrow.batch_rows)).await?;
            let mut next = widest.min(window * 2);
            if let Some(last) = batch.last.filter(|_| batch.full) {
                // More than a batch holds: what was not handed over is looked at again, in windows that fit.
                let rest = looked_at.into_iter().filter_map(|range| {
                    let begin = range.start.max(last + 1);
                    (begin < range.end).then_some(begin..range.end)
                });
                let rest: Vec<_> = rest.collect();
                next = (window - count(&rest)).saturating_mul(2).clamp(LEAST_WINDOW, widest);
                rest.into_iter().rev().for_each(|range| rows.push_front(range));
            }
            let left = left.saturating_sub(batch.rows.num_rows() as u64);
            Ok(Some((batch.rows, (narrow, rows, left, next))))
        })
        .boxed()
    }

    /// Rows of the condition's columns that make up [`WINDOW_BYTES`], by the averages of the file.
    fn widest(&self) -> u64 {
        let metadata = &self.footer.metadata;
        let (bytes, rows) = decoded(metadata, &mask(metadata, self.predicate.compiled().0));
        WINDOW_BYTES.checked_div(bytes / rows.max(1)).unwrap_or(LAST_WINDOW).clamp(LEAST_WINDOW, LAST_WINDOW)
    }

    /// Of these rows those that match, at most `most`.
    async fn matching(&self, rows: &[Range<u64>], most: u64) -> Result<Matching, ParquetError> {
        let (narrow, _) = self.predicate.compiled();
        let read = pages::read(&self.reader, &self.footers, &self.footer, narrow, rows).await?;
        let matches = self.predicate.evaluate(&read).inspect_err(|error| self.fault.note(error))?;
        let matches = first(&matches, usize::try_from(most).unwrap_or(usize::MAX));
        let wanted = numbers(rows, &matches);
        // Columns that the condition has read are not read again.
        let own = self.output.fields().len() - usize::from(self.numbered.is_some());
        let rest: Vec<usize> = (0..own).filter(|at| narrow.index_of(self.output.field(*at).name()).is_err()).collect();
        let others = Arc::new(self.output.project(&rest).map_err(ParquetError::from)?);
        let others = pages::read(&self.reader, &self.footers, &self.footer, &others, &wanted).await?;
        let mut fields: Vec<FieldRef> = self.output.fields().iter().take(own).cloned().collect();
        let mut columns = fields
            .iter()
            .map(|field| match read.column_by_name(field.name()) {
                Some(known) => Ok(filter(known, &matches)?),
                None => others
                    .column_by_name(field.name())
                    .cloned()
                    .ok_or_else(|| ParquetError::General("a column was not read".into())),
            })
            .collect::<Result<Vec<ArrayRef>, ParquetError>>()?;
        if let Some(name) = self.numbered {
            fields.push(Arc::new(Field::new(name, DataType::Int64, false)));
            let numbers: Int64Array = wanted.iter().cloned().flatten().map(u64::cast_signed).collect();
            columns.push(Arc::new(numbers));
        }
        let found = matches.true_count();
        let batch = pages::batch(&Arc::new(Schema::new(fields)), columns, found)?;
        let last = wanted.last().map(|range| range.end - 1);
        Ok(Matching { rows: batch, last, full: found as u64 == most })
    }
}

/// True for the first `most` matches, false for all else; nothing is null.
fn first(matches: &BooleanArray, most: usize) -> BooleanArray {
    let mut left = most;
    (0..matches.len())
        .map(|at| {
            let is = left > 0 && !arrow::array::Array::is_null(matches, at) && matches.value(at);
            left -= usize::from(is);
            Some(is)
        })
        .collect()
}

/// The numbers of the matching rows, as ranges.
fn numbers(rows: &[Range<u64>], matches: &BooleanArray) -> Vec<Range<u64>> {
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    for range in rows {
        let here = matches.slice(at, (range.end - range.start) as usize);
        at += here.len();
        for (begin, end) in here.values().set_slices() {
            let next = range.start + begin as u64..range.start + end as u64;
            match found.last_mut() {
                Some(last) if last.end == next.start => last.end = next.end,
                _ => found.push(next),
            }
        }
    }
    found
}
