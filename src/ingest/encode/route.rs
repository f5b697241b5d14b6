//! How rows reach the files, by the keys of the table.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::UInt64Type,
};

use super::{
    Folder,
    duplicates::{Duplicates, Marked, RowSet, part},
    order::{Order, in_order},
    output::Output,
    project,
    sort::Sorter,
    spill::SpillWriter,
};
use crate::ingest::Failure;

/// How rows reach the files.
pub(super) enum Route {
    /// As they come.
    Straight,
    /// As they come, as long as they come sorted.
    Sorted(Box<SortedRoute>),
    /// Through a sort.
    Sorting(Box<Sorter>, Option<Duplicates>),
    /// Rows by the sort key, keys by the primary key.
    Apart(Box<ApartRoute>),
}

/// Rows and keys sorted apart.
pub(super) struct ApartRoute {
    pub(super) rows: Sorter,
    pub(super) keys: Sorter,
    pub(super) key: Arc<Order>,
}

/// Input that has come sorted so far.
pub(super) struct SortedRoute {
    pub(super) order: Arc<Order>,
    pub(super) duplicates: Option<Duplicates>,
    pub(super) last: Option<Box<[u8]>>,
    /// Positions and origins of the rows written, in case the order breaks.
    pub(super) carried: Option<SpillWriter>,
}

impl SortedRoute {
    /// Writes a batch if it goes on where the last one ended; else gives it back.
    pub(super) fn push(
        &mut self,
        batch: RecordBatch,
        folder: &Folder,
        output: &mut Output,
    ) -> Result<Option<RecordBatch>, Failure> {
        let rows = self.order.rows(&batch)?;
        let follows = self.last.as_deref().is_none_or(|last| last <= rows.row(0).data());
        if !follows || !in_order(&rows) {
            return Ok(Some(batch));
        }
        self.last = Some(rows.row(rows.num_rows() - 1).data().into());
        let Some(duplicates) = &mut self.duplicates else {
            output.files.write(&batch)?;
            return Ok(None);
        };
        let Some(marked) = duplicates.push(batch)? else { return Ok(None) };
        let (stay, lose) = part(marked)?;
        let carried: Vec<usize> = (output.columns.len()..stay.num_columns()).collect();
        let carried = project(&stay, &carried)?;
        let spill = match &mut self.carried {
            Some(spill) => spill,
            none => none.insert(SpillWriter::create(folder.path().join("carried.arrow"), &carried.schema())?),
        };
        spill.write(&carried)?;
        output.write_parted(&stay, lose)?;
        Ok(None)
    }
}

/// The numbers of the rows that lose, from keys with row numbers.
pub(super) fn find_losers(keys: Sorter, mut duplicates: Duplicates) -> Result<RowSet, Failure> {
    let mut losers = RowSet::default();
    let mut note = |marked: Marked| -> Result<(), Failure> {
        if let (_, Some(lose)) = part(marked)? {
            let numbers = lose.columns().last().and_then(|column| column.as_primitive_opt::<UInt64Type>());
            let numbers = numbers.ok_or_else(|| Failure::internal("keys lost their row numbers"))?;
            numbers.values().iter().for_each(|row| losers.insert(*row));
        }
        Ok(())
    };
    for batch in keys.finish()? {
        duplicates.push(batch?)?.into_iter().try_for_each(&mut note)?;
    }
    duplicates.finish().into_iter().try_for_each(&mut note)?;
    Ok(losers)
}
