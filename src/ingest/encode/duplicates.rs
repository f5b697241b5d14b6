//! Rows with one and the same primary key: which of them stays, and the others as rejects.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, BooleanArray, RecordBatch, StringArray, UInt32Array, UInt64Array},
    compute::filter_record_batch,
    json::writer::{LineDelimited, WriterBuilder},
    util::display::{ArrayFormatter, FormatOptions},
};

use super::{order::Order, spill::SpillReader};
use crate::ingest::{
    Failure,
    definition::grammar::OnDuplicate,
    rejects::{DUPLICATE_KEY, Reject, RejectBuilder},
};

/// Finds the rows that lose, in batches sorted by primary key. A row whose key has a null is nobody's duplicate.
///
/// Whether a batch's last row loses may depend on the next batch, so batches come out one behind.
pub(super) struct Duplicates {
    key: Arc<Order>,
    policy: OnDuplicate,
    held: Option<Held>,
}

struct Held {
    batch: RecordBatch,
    /// Whether each row has the key of the row before it.
    repeats: Vec<bool>,
    /// Key of the last row, unless it has a null.
    last: Option<Box<[u8]>>,
}

/// A batch, and which of its rows lose (`None`: none does).
pub(super) type Marked = (RecordBatch, Option<BooleanArray>);

impl Duplicates {
    /// Rows are told apart by `key`; batches must be sorted by it.
    pub(super) fn new(key: Arc<Order>, policy: OnDuplicate) -> Self {
        Self { key, policy, held: None }
    }

    /// Takes a batch, and gives the one before.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<Option<Marked>, Failure> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let rows = self.key.rows(&batch)?;
        let keys = self.key.columns(&batch);
        let has_key = |row: usize| keys.iter().all(|column| column.is_valid(row));
        let before = self.held.as_ref().and_then(|held| held.last.as_deref());
        let mut repeats = Vec::with_capacity(batch.num_rows());
        repeats.push(has_key(0) && before == Some(rows.row(0).data()));
        let pairs = rows.iter().zip(rows.iter().skip(1)).zip(1..);
        repeats.extend(pairs.map(|((row, next), at)| row == next && has_key(at)));
        let end = batch.num_rows() - 1;
        let last = has_key(end).then(|| rows.row(end).data().into());
        let goes_on = repeats.first().copied().unwrap_or_default();
        let held = self.held.replace(Held { batch, repeats, last });
        Ok(held.map(|held| self.mark(held, goes_on)))
    }

    /// The last batch.
    pub(super) fn finish(&mut self) -> Option<Marked> {
        self.held.take().map(|held| self.mark(held, false))
    }

    /// The last batch, unmarked: the order of what follows is not known.
    pub(super) fn take_held(&mut self) -> Option<RecordBatch> {
        self.held.take().map(|held| held.batch)
    }

    fn mark(&self, held: Held, goes_on: bool) -> Marked {
        let repeated = || held.repeats.iter().copied().skip(1).chain([goes_on]);
        let each = || held.repeats.iter().copied().zip(repeated());
        if !each().any(|(repeats, repeated)| repeats || repeated) {
            return (held.batch, None);
        }
        let lose: BooleanArray = match self.policy {
            OnDuplicate::First => each().map(|(repeats, _)| Some(repeats)).collect(),
            OnDuplicate::Last => each().map(|(_, repeated)| Some(repeated)).collect(),
            OnDuplicate::Reject => each().map(|(repeats, repeated)| Some(repeats || repeated)).collect(),
        };
        (held.batch, Some(lose))
    }
}

/// The rows of a batch that stay, and those that lose, where there are any.
pub(super) fn part((batch, lose): Marked) -> Result<(RecordBatch, Option<RecordBatch>), Failure> {
    let Some(lose) = lose.filter(|lose| lose.true_count() > 0) else { return Ok((batch, None)) };
    let filter = |mask: &BooleanArray| {
        filter_record_batch(&batch, mask)
            .map_err(|error| Failure::internal(format!("cannot part duplicates from the other rows: {error}")))
    };
    let stay =
        arrow::compute::not(&lose).map_err(|error| Failure::internal(format!("cannot part duplicates: {error}")))?;
    Ok((filter(&stay)?, Some(filter(&lose)?)))
}

/// A set of row numbers; takes memory only where there are some.
#[derive(Default)]
pub(super) struct RowSet(HashMap<u64, Box<[u64; RowSet::WORDS]>>);

impl RowSet {
    const WORDS: usize = 128;
    const BITS: u64 = 64 * Self::WORDS as u64;

    pub(super) fn insert(&mut self, row: u64) {
        let block = self.0.entry(row / Self::BITS).or_insert_with(|| Box::new([0; Self::WORDS]));
        let bit = row % Self::BITS;
        if let Some(word) = block.get_mut((bit / 64) as usize) {
            *word |= 1 << (bit % 64);
        }
    }

    pub(super) fn contains(&self, row: u64) -> bool {
        let bit = row % Self::BITS;
        let word = self.0.get(&(row / Self::BITS)).and_then(|block| block.get((bit / 64) as usize));
        word.is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    /// Which of these rows are in it.
    pub(super) fn mask(&self, rows: &UInt64Array) -> Option<BooleanArray> {
        let mask: BooleanArray = rows.values().iter().map(|row| Some(self.contains(*row))).collect();
        (mask.true_count() > 0).then_some(mask)
    }
}

/// The rows that lost, as batches of [`crate::ingest::rejects::schema`].
pub struct DuplicateRejects {
    pub(super) rows: Option<SpillReader>,
    pub(super) key: Vec<usize>,
    /// Columns of the table; after them come position and origin.
    pub(super) columns: usize,
    /// Source and unit of each origin.
    pub(super) origins: Vec<(String, &'static str)>,
}

impl std::fmt::Debug for DuplicateRejects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DuplicateRejects").finish_non_exhaustive()
    }
}

impl Iterator for DuplicateRejects {
    type Item = Result<RecordBatch, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.rows.as_mut()?.next()?;
        Some(batch.and_then(|batch| self.rejects(&batch)))
    }
}

impl DuplicateRejects {
    fn rejects(&self, batch: &RecordBatch) -> Result<RecordBatch, Failure> {
        let internal = |error: arrow::error::ArrowError| Failure::internal(format!("cannot write rejects: {error}"));
        let carried = |at: usize| batch.columns().get(self.columns + at);
        let positions = carried(0).and_then(|column| column.as_any().downcast_ref::<UInt64Array>());
        let origins = carried(1).and_then(|column| column.as_any().downcast_ref::<UInt32Array>());
        let (Some(positions), Some(origins)) = (positions, origins) else {
            return Err(Failure::internal("duplicates lost their positions"));
        };
        let own: Vec<usize> = (0..self.columns).collect();
        let texts = json_lines(&batch.project(&own).map_err(internal)?).map_err(internal)?;
        let options = FormatOptions::default();
        let keys = self.key.iter().map(|column| ArrayFormatter::try_new(batch.column(*column), &options));
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(internal)?;
        let schema = batch.schema();
        let names: Vec<&str> = self.key.iter().map(|column| schema.field(*column).name().as_str()).collect();
        let names = names.join(", ");
        let mut builder = RejectBuilder::default();
        for row in 0..batch.num_rows() {
            let value: Vec<String> = keys.iter().map(|key| key.value(row).to_string()).collect();
            let origin = self.origins.get(origins.value(row) as usize);
            let (source, unit) = origin.map_or(("", "row"), |(source, unit)| (source.as_str(), *unit));
            builder.push(&Reject {
                source,
                position: (unit, positions.value(row)),
                column: Some(&names),
                value: Some(&value.join(", ")),
                reason: DUPLICATE_KEY,
                row: texts.is_valid(row).then(|| texts.value(row)),
            });
        }
        builder.finish().map_err(internal)
    }
}

/// Each row as a JSON object.
fn json_lines(batch: &RecordBatch) -> Result<StringArray, arrow::error::ArrowError> {
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    Ok((0..batch.num_rows()).map(|_| lines.next()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_set_holds_what_was_put_in() {
        let rows = [0, 1, 63, 64, 8191, 8192, 1 << 40];
        let mut set = RowSet::default();
        for row in rows {
            set.insert(row);
        }
        for row in rows {
            assert!(set.contains(row) && !set.contains(row + 2), "{row}");
        }
        assert!(set.mask(&UInt64Array::from(vec![2, 3])).is_none());
        assert_eq!(set.mask(&UInt64Array::from(vec![2, 64])), Some(BooleanArray::from(vec![false, true])));
    }
}
