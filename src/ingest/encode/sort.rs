//! Sorting with bounded memory: batches are kept until they fill the memory given, sorted, and spilled as a run; at the
//! end the runs are merged. Stable: rows that compare equal stay in the order they came in.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow::{array::RecordBatch, compute::interleave_record_batch, datatypes::SchemaRef, row::Rows};

use super::{
    merge::{Merge, Source},
    order::{Order, compare, in_order, prefix},
    spill::{Size, SpillWriter, memory_of},
};
use crate::ingest::Failure;

/// Rows of a batch that comes out.
pub(super) const BATCH_ROWS: usize = 8192;
/// Runs merged at once.
const FAN_IN: usize = 64;
/// What a row costs while it is sorted, beside itself and its key.
const ROW_COST: usize = size_of::<(u64, u32, u32)>();
/// What a column of a batch costs, beside its values.
const COLUMN_COST: usize = 256;

/// The columns rows are sorted by, in a form that compares bytewise.
type Key = Box<[u8]>;

/// Batches in order.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Failure>> + Send>;

/// Bytes held by all sorts of this process: an archive with thirty tables has thirty sorts under way at once, of which one
/// is fed and the others keep what they have.
static HELD_BY_ALL: AtomicUsize = AtomicUsize::new(0);

/// A sort's part of [`HELD_BY_ALL`].
#[derive(Default)]
struct Share(usize);

impl Share {
    fn grow(&mut self, bytes: usize) {
        self.0 += bytes;
        HELD_BY_ALL.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        HELD_BY_ALL.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Sorts batches.
pub(super) struct Sorter {
    order: Arc<Order>,
    schema: SchemaRef,
    folder: PathBuf,
    name: &'static str,
    memory: usize,
    held: Vec<(RecordBatch, Rows)>,
    held_bytes: Share,
    /// Finished runs, in the order their rows came in.
    runs: Vec<Source>,
    /// The run that may still grow, and the key of its last row.
    open: Option<(SpillWriter, Key)>,
    files: usize,
}

impl Sorter {
    /// Sorts batches of `schema` by `order`, with about `memory` bytes, spilling to `folder` under `name`.
    pub(super) fn new(
        order: Arc<Order>,
        schema: SchemaRef,
        memory: usize,
        folder: PathBuf,
        name: &'static str,
    ) -> Self {
        let (held, held_bytes, runs) = Default::default();
        Self { order, schema, folder, name, memory, held, held_bytes, runs, open: None, files: 0 }
    }

    /// A sorter that has these sorted runs already, whose rows all came before.
    pub(super) fn with_runs(mut self, runs: Vec<Source>) -> Self {
        self.runs = runs;
        self
    }

    /// Adds a batch.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<(), Failure> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = self.order.rows(&batch)?;
        let rows_bytes = rows.size() + batch.num_rows() * ROW_COST;
        self.held_bytes.grow(memory_of(&batch) + rows_bytes + batch.num_columns() * COLUMN_COST);
        self.held.push((batch, rows));
        // Together, sorts may hold twice what one may; beyond that the one that is fed gives way, in runs not too small.
        let crowded = HELD_BY_ALL.load(Ordering::Relaxed) >= 2 * self.memory && self.held_bytes.0 >= self.memory / 16;
        if crowded || self.held_bytes.0 >= self.memory { self.spill() } else { Ok(()) }
    }

    /// All rows, in order.
    pub(super) fn finish(mut self) -> Result<Batches, Failure> {
        if self.runs.is_empty() && self.open.is_none() {
            let rows = self.batch_rows(self.held_size());
            return Ok(Box::new(Held::new(self.held, rows, self.held_bytes)));
        }
        self.spill()?;
        self.close_run()?;
        while self.runs.len() > FAN_IN {
            self.merge_pass()?;
        }
        if self.runs.len() == 1
            && let Some(run) = self.runs.pop()
        {
            return run.batches();
        }
        let rows = self.batch_rows(self.runs.iter().fold(Size::default(), |sum, run| Size {
            rows: sum.rows + run.size().rows,
            bytes: sum.bytes + run.size().bytes,
        }));
        Ok(Box::new(Merge::new(self.order, self.runs, rows)?))
    }

    /// Merges runs that follow each other, so that fewer are left.
    fn merge_pass(&mut self) -> Result<(), Failure> {
        let mut runs = std::mem::take(&mut self.runs).into_iter();
        loop {
            let group: Vec<Source> = runs.by_ref().take(FAN_IN).collect();
            if group.is_empty() {
                return Ok(());
            }
            let size = group.iter().map(Source::size).fold((0, 0), |sum, size| (sum.0 + size.rows, sum.1 + size.bytes));
            let rows = self.batch_rows(Size { rows: size.0, bytes: size.1 });
            let mut merged = self.create()?;
            for batch in Merge::new(self.order.clone(), group, rows)? {
                merged.write(&batch?)?;
            }
            self.runs.push(Source::Spill(merged.finish()?));
        }
    }

    fn spill(&mut self) -> Result<(), Failure> {
        let rows = self.batch_rows(self.held_size());
        let held = Held::new(std::mem::take(&mut self.held), rows, std::mem::take(&mut self.held_bytes));
        let Some((first, last)) = held.ends() else { return Ok(()) };
        // Input that is sorted already grows one run, and nothing is left to merge.
        if self.open.as_ref().is_some_and(|(_, end)| *first < **end) {
            self.close_run()?;
        }
        let mut run = match self.open.take() {
            Some((run, _)) => run,
            None => self.create()?,
        };
        for batch in held {
            run.write(&batch?)?;
        }
        self.open = Some((run, last));
        Ok(())
    }

    fn close_run(&mut self) -> Result<(), Failure> {
        if let Some((run, _)) = self.open.take() {
            self.runs.push(Source::Spill(run.finish()?));
        }
        Ok(())
    }

    fn create(&mut self) -> Result<SpillWriter, Failure> {
        self.files += 1;
        SpillWriter::create(self.folder.join(format!("{}-{}.arrow", self.name, self.files)), &self.schema)
    }

    fn held_size(&self) -> Size {
        let rows = self.held.iter().map(|(batch, _)| batch.num_rows() as u64).sum();
        Size { rows, bytes: self.held_bytes.0 as u64 }
    }

    /// Rows of a batch such that all runs of a merge, each with a batch in memory, stay within it.
    fn batch_rows(&self, size: Size) -> usize {
        let row = (size.bytes / size.rows.max(1)).max(1) as usize;
        (self.memory / (2 * FAN_IN) / row).clamp(1, BATCH_ROWS)
    }
}

/// Sorted rows that are in memory.
struct Held {
    batches: Vec<RecordBatch>,
    rows: Vec<Rows>,
    /// Batch and row of each row, in order; empty when the batches are in order as they are.
    order: Vec<(u32, u32)>,
    at: usize,
    batch_rows: usize,
    _bytes: Share,
}

impl Held {
    fn new(held: Vec<(RecordBatch, Rows)>, batch_rows: usize, bytes: Share) -> Self {
        let (batches, rows): (Vec<_>, Vec<_>) = held.into_iter().unzip();
        let follow =
            |(a, b): (&Rows, &Rows)| a.num_rows() == 0 || b.num_rows() == 0 || a.row(a.num_rows() - 1) <= b.row(0);
        if rows.iter().zip(rows.iter().skip(1)).all(follow) && rows.iter().all(in_order) {
            return Self { batches, rows, order: Vec::new(), at: 0, batch_rows, _bytes: bytes };
        }
        let mut keys: Vec<(u64, u32, u32)> = rows
            .iter()
            .zip(0_u32..)
            .flat_map(|(rows, batch)| rows.iter().zip(0_u32..).map(move |(row, at)| (prefix(row), batch, at)))
            .collect();
        let row = |key: &(u64, u32, u32)| rows.get(key.1 as usize).map(|rows| rows.row(key.2 as usize));
        keys.sort_by(|a, b| match (row(a), row(b)) {
            (Some(left), Some(right)) => compare((a.0, left), (b.0, right)),
            _ => std::cmp::Ordering::Equal,
        });
        let order = keys.into_iter().map(|(_, batch, at)| (batch, at)).collect();
        Self { batches, rows, order, at: 0, batch_rows, _bytes: bytes }
    }

    /// Keys of the first and last row.
    fn ends(&self) -> Option<(Key, Key)> {
        let key = |batch: usize, row: usize| Some(self.rows.get(batch)?.row(row).data().into());
        match (self.order.first(), self.order.last()) {
            (Some(first), Some(last)) => {
                Some((key(first.0 as usize, first.1 as usize)?, key(last.0 as usize, last.1 as usize)?))
            }
            _ => {
                let last = self.rows.len().checked_sub(1)?;
                Some((key(0, 0)?, key(last, self.rows.get(last)?.num_rows().checked_sub(1)?)?))
            }
        }
    }
}

impl Iterator for Held {
    type Item = Result<RecordBatch, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.order.is_empty() {
            let batch = self.batches.get(self.at)?.clone();
            self.at += 1;
            return Some(Ok(batch));
        }
        let end = self.order.len().min(self.at + self.batch_rows);
        let picked: Vec<(usize, usize)> =
            self.order.get(self.at..end)?.iter().map(|(batch, row)| (*batch as usize, *row as usize)).collect();
        if picked.is_empty() {
            return None;
        }
        self.at = end;
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Some(
            interleave_record_batch(&batches, &picked)
                .map_err(|error| Failure::internal(format!("cannot sort: {error}"))),
        )
    }
}
