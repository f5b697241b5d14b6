//! Conditions that statistics leave few rows for: those rows' columns are read from their pages, the condition's first.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch},
    compute::filter,
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};
use parquet::{arrow::arrow_reader::RowSelection, errors::ParquetError};

use super::{
    pages,
    predicate::Predicate,
    reader::{FileReader, Footer, Footers},
};

/// Rows of a file that may match.
pub(super) struct Narrow<'a> {
    pub(super) reader: &'a FileReader,
    pub(super) footers: &'a Footers,
    pub(super) footer: &'a Footer,
    pub(super) predicate: &'a Predicate,
    /// What is to come out.
    pub(super) output: &'a SchemaRef,
    /// The name of a last column of the output for the numbers of rows in the file, if there is one.
    pub(super) numbered: Option<&'static str>,
}

/// What a condition said when it could not be computed, or that its rows could not be read.
pub(super) enum Fault {
    Condition(String),
    File(ParquetError),
}

impl From<ParquetError> for Fault {
    fn from(error: ParquetError) -> Self {
        Self::File(error)
    }
}

/// The rows of the file that `groups` and the selection over them leave, if they are no more than `most`: more are better
/// streamed.
pub(super) fn few(
    footer: &Footer,
    groups: &[usize],
    selection: Option<&RowSelection>,
    most: u64,
) -> Option<Vec<Range<u64>>> {
    let starts = footer.layout.starts();
    let mut spans = groups.iter().filter_map(|group| Some(*starts.get(*group)?..*starts.get(group + 1)?));
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut rows = 0;
    let mut add = |range: Range<u64>| {
        rows += range.end - range.start;
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => ranges.push(range),
        }
        (rows <= most).then_some(())
    };
    let Some(selection) = selection else {
        spans.try_for_each(add)?;
        return Some(ranges);
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
                add(span.start..upto)?;
            }
            left -= upto - span.start;
            span.start = upto;
        }
    }
    Some(ranges)
}

impl Narrow<'_> {
    /// Of these rows those that match, at most `most`.
    pub(super) async fn matching(&self, rows: &[Range<u64>], most: u64) -> Result<RecordBatch, Fault> {
        let (narrow, _) = self.predicate.compiled();
        let read = pages::read(self.reader, self.footers, self.footer, narrow, rows).await?;
        let matches = self.predicate.evaluate(&read).map_err(|error| match error {
            arrow::error::ArrowError::ComputeError(message) => Fault::Condition(message),
            other => Fault::Condition(other.to_string()),
        })?;
        let matches = first(&matches, usize::try_from(most).unwrap_or(usize::MAX));
        let wanted = numbers(rows, &matches);
        // Columns that the condition has read are not read again.
        let own = self.output.fields().len() - usize::from(self.numbered.is_some());
        let rest: Vec<usize> = (0..own).filter(|at| narrow.index_of(self.output.field(*at).name()).is_err()).collect();
        let others = Arc::new(self.output.project(&rest).map_err(ParquetError::from)?);
        let others = pages::read(self.reader, self.footers, self.footer, &others, &wanted).await?;
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
        Ok(pages::batch(&Arc::new(Schema::new(fields)), columns, matches.true_count())?)
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
