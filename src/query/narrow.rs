//! Rows that meet a condition: its columns are read first, a window of rows at a time, then the others of the rows that
//! match, and no further than the answer needs.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch},
    compute::{filter_record_batch, prep_null_mask_filter},
    datatypes::{Schema, SchemaRef},
};
use futures::{stream, stream::BoxStream};
use parquet::errors::ParquetError;

use super::{
    fault::EvaluationFault,
    pages::{self, OpenFile, Piece},
    predicate::Predicate,
    ranges,
};

/// Rows looked at first.
const FIRST_WINDOW: u64 = 8192;
/// Rows looked at together at most, and bytes of the condition's columns.
const LAST_WINDOW: u64 = 128 << 10;
const WINDOW_BYTES: u64 = 16 << 20;
/// Rows looked at together at least.
const LEAST_WINDOW: u64 = 16;

/// A condition over the rows of a file.
pub(super) struct Narrow {
    file: OpenFile,
    predicate: Predicate,
    /// What is to come out.
    output: SchemaRef,
    /// Of the output, the columns that the condition reads: positions among those; none for the others.
    known: Vec<Option<usize>>,
    /// The others.
    others: SchemaRef,
    /// Rows of a batch at most.
    batch_rows: u64,
    /// Where it is written down that the condition cannot be computed.
    fault: EvaluationFault,
}

/// What matches of a window and was not given yet.
struct Matching {
    /// Of all that matches, the condition's columns.
    known: RecordBatch,
    /// Rows of `known` that were given.
    given: usize,
    /// The numbers of the rest.
    rows: VecDeque<Range<u64>>,
}

impl Narrow {
    /// Looks for rows of the file for which `predicate` is true; batches have the columns of `output`.
    pub(super) fn new(
        file: OpenFile,
        predicate: Predicate,
        output: SchemaRef,
        batch_rows: u64,
        fault: EvaluationFault,
    ) -> Self {
        let (reads, _) = predicate.compiled();
        let known: Vec<_> = output.fields().iter().map(|field| reads.index_of(field.name()).ok()).collect();
        let others = output.fields().iter().zip(&known).filter(|(_, known)| known.is_none());
        let others = Arc::new(Schema::new(others.map(|(field, _)| Arc::clone(field)).collect::<Vec<_>>()));
        Self { file, predicate, output, known, others, batch_rows, fault }
    }

    /// Of these rows those that match, at most `most`: looked at a window after the other, each twice as long as the one
    /// before, so that an answer of few rows is found without reading on, and one that is hard to find in few reads.
    pub(super) fn stream(self, rows: Vec<Range<u64>>, most: u64) -> BoxStream<'static, Result<Piece, ParquetError>> {
        let widest = self.widest();
        let nothing = Matching {
            known: RecordBatch::new_empty(Arc::clone(self.predicate.compiled().0)),
            given: 0,
            rows: VecDeque::new(),
        };
        let begin = (self, VecDeque::from(rows), most, FIRST_WINDOW.min(widest), nothing);
        let pieces = stream::try_unfold(begin, move |(narrow, mut rows, left, mut window, mut found)| async move {
            if left == 0 {
                return Ok(None);
            }
            if found.rows.is_empty() {
                if rows.is_empty() {
                    return Ok(None);
                }
                found = narrow.look(&ranges::split(&mut rows, window)).await?;
                window = widest.min(window * 2);
            }
            // Nothing found is a batch too: whoever waits may have enough of it.
            let piece = narrow.give(&mut found, left.min(narrow.batch_rows)).await?;
            let left = left - piece.batch.num_rows() as u64;
            Ok(Some((piece, (narrow, rows, left, window, found))))
        });
        Box::pin(pieces)
    }

    /// Rows of the condition's columns that make up [`WINDOW_BYTES`], by the averages of the file.
    fn widest(&self) -> u64 {
        let footer = self.file.footer();
        let each = footer.bytes(self.predicate.compiled().0).plain / footer.rows().max(1);
        WINDOW_BYTES.checked_div(each).unwrap_or(LAST_WINDOW).clamp(LEAST_WINDOW, LAST_WINDOW)
    }

    /// Which of these rows match.
    async fn look(&self, rows: &[Range<u64>]) -> Result<Matching, ParquetError> {
        let read = self.file.read(self.predicate.compiled().0, rows).await?;
        let matches = self.predicate.evaluate(&read).inspect_err(|error| self.fault.note(error))?;
        let matches = if matches.null_count() > 0 { prep_null_mask_filter(&matches) } else { matches };
        let known = filter_record_batch(&read, &matches)?;
        Ok(Matching { known, given: 0, rows: matching(rows, &matches).into() })
    }

    /// The next of what was found, `most` at most, with all columns.
    async fn give(&self, found: &mut Matching, most: u64) -> Result<Piece, ParquetError> {
        let rows = ranges::split(&mut found.rows, most);
        let count = ranges::count(&rows) as usize;
        let known = found.known.slice(found.given, count);
        found.given += count;
        let others = self.file.read(&self.others, &rows).await?;
        let mut others = others.columns().iter();
        let columns: Option<Vec<ArrayRef>> = self
            .known
            .iter()
            .map(|known_at| match known_at {
                Some(at) => known.columns().get(*at).cloned(),
                None => others.next().cloned(),
            })
            .collect();
        let columns = columns.ok_or_else(|| ParquetError::General("a column was not read".into()))?;
        Ok(Piece { batch: pages::batch(&self.output, columns, count)?, rows })
    }
}

/// The numbers of the rows that match; nothing is null.
fn matching(rows: &[Range<u64>], matches: &BooleanArray) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    let mut at = 0;
    for range in rows {
        let here = matches.values().slice(at, (range.end - range.start) as usize);
        at += here.len();
        for (begin, end) in here.set_slices() {
            ranges::push(&mut found, range.start + begin as u64..range.start + end as u64);
        }
    }
    found
}
