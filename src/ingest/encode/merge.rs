//! Merging sorted runs. One batch of each run is in memory; of rows that compare equal the earlier run's come first.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use arrow::{array::RecordBatch, compute::interleave_record_batch, row::Rows};

use super::{
    order::{Order, compare, prefix},
    reread::Reread,
    sort::Batches,
    spill::{Size, Spill},
};
use crate::ingest::Failure;

/// A sorted run.
pub(super) enum Source {
    /// A file of batches.
    Spill(Spill),
    /// Parquet files written while the input still looked sorted.
    Written(Box<Reread>),
}

impl Source {
    pub(super) fn size(&self) -> Size {
        match self {
            Self::Spill(spill) => spill.size,
            Self::Written(reread) => reread.size(),
        }
    }

    pub(super) fn batches(self) -> Result<Batches, Failure> {
        Ok(match self {
            Self::Spill(spill) => Box::new(spill.read()?),
            Self::Written(reread) => Box::new(reread.read()?),
        })
    }
}

/// Merges runs.
pub(super) struct Merge {
    order: Arc<Order>,
    cursors: Vec<Cursor>,
    /// A heap of positions in `cursors`, the one with the least row on top.
    heap: Vec<usize>,
    /// Batches that picked rows lie in.
    pool: Vec<RecordBatch>,
    picked: Vec<(usize, usize)>,
    batch_rows: usize,
    ready: VecDeque<RecordBatch>,
}

/// Where a run stands.
struct Cursor {
    batches: Batches,
    batch: RecordBatch,
    rows: Rows,
    at: usize,
    prefix: u64,
    /// Where in the pool its batch is.
    pooled: Option<usize>,
}

impl Cursor {
    /// The cursor at its next batch that has rows; `None` at the end of its run.
    fn open(order: &Order, mut batches: Batches) -> Result<Option<Self>, Failure> {
        for batch in batches.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                let rows = order.rows(&batch)?;
                let prefix = prefix(rows.row(0));
                return Ok(Some(Self { batches, batch, rows, at: 0, prefix, pooled: None }));
            }
        }
        Ok(None)
    }

    fn compare(&self, other: &Self) -> Ordering {
        compare((self.prefix, self.rows.row(self.at)), (other.prefix, other.rows.row(other.at)))
    }
}

impl Merge {
    /// Merges runs, given in the order their rows came in, into batches of `batch_rows`.
    pub(super) fn new(order: Arc<Order>, runs: Vec<Source>, batch_rows: usize) -> Result<Self, Failure> {
        let mut cursors = Vec::new();
        for run in runs {
            cursors.extend(Cursor::open(&order, run.batches()?)?);
        }
        let heap = (0..cursors.len()).collect();
        let (pool, picked, ready) = Default::default();
        let mut merge = Self { order, cursors, heap, pool, picked, batch_rows, ready };
        for at in (0..merge.heap.len()).rev() {
            merge.sift_down(at);
        }
        Ok(merge)
    }

    /// Whether the run at heap position `a` goes before that at `b`.
    fn before(&self, a: usize, b: usize) -> bool {
        let at = |position: usize| self.heap.get(position).and_then(|run| Some((*run, self.cursors.get(*run)?)));
        match (at(a), at(b)) {
            (Some((left, a)), Some((right, b))) => a.compare(b).then(left.cmp(&right)).is_lt(),
            (Some(_), None) => true,
            _ => false,
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let least = if self.before(right, left) { right } else { left };
            if least >= self.heap.len() || !self.before(least, at) {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    /// Moves the rows picked so far to `ready`.
    fn flush(&mut self) -> Result<(), Failure> {
        if !self.picked.is_empty() {
            let batches: Vec<&RecordBatch> = self.pool.iter().collect();
            let merged = interleave_record_batch(&batches, &self.picked)
                .map_err(|error| Failure::internal(format!("cannot merge sorted runs: {error}")))?;
            self.ready.push_back(merged);
            self.picked.clear();
        }
        self.pool.clear();
        for cursor in &mut self.cursors {
            cursor.pooled = None;
        }
        Ok(())
    }

    /// Whether all of the top run's batch goes before every other run.
    fn whole_batch_is_next(&self, top: usize) -> bool {
        let Some(cursor) = self.cursors.get(top) else { return false };
        let last = cursor.rows.row(cursor.rows.num_rows() - 1);
        let last = (prefix(last), last);
        [1, 2].iter().filter_map(|position| self.heap.get(*position)).all(|other| {
            self.cursors
                .get(*other)
                .is_none_or(|next| compare(last, (next.prefix, next.rows.row(next.at))).then(top.cmp(other)).is_lt())
        })
    }

    /// Replaces the batch of the top run by its next one.
    fn advance_top(&mut self, top: usize) -> Result<(), Failure> {
        let Some(cursor) = self.cursors.get_mut(top) else { return Ok(()) };
        let batches = std::mem::replace(&mut cursor.batches, Box::new(std::iter::empty()));
        match Cursor::open(&self.order, batches)? {
            Some(next) => *cursor = next,
            None => {
                cursor.batch = cursor.batch.slice(0, 0);
                self.heap.swap_remove(0);
            }
        }
        self.sift_down(0);
        Ok(())
    }

    /// Picks rows until a batch is ready; false at the end.
    fn fill(&mut self) -> Result<bool, Failure> {
        while self.ready.is_empty() {
            let Some(top) = self.heap.first().copied() else {
                self.flush()?;
                return Ok(!self.ready.is_empty());
            };
            let whole = self.cursors.get(top).is_some_and(|cursor| cursor.at == 0) && self.whole_batch_is_next(top);
            if whole {
                self.flush()?;
                self.ready.extend(self.cursors.get(top).map(|cursor| cursor.batch.clone()));
                self.advance_top(top)?;
                continue;
            }
            let Some(cursor) = self.cursors.get_mut(top) else { return Ok(false) };
            let slot = *cursor.pooled.get_or_insert_with(|| {
                self.pool.push(cursor.batch.clone());
                self.pool.len() - 1
            });
            self.picked.push((slot, cursor.at));
            cursor.at += 1;
            if cursor.at < cursor.rows.num_rows() {
                cursor.prefix = prefix(cursor.rows.row(cursor.at));
                self.sift_down(0);
            } else {
                self.advance_top(top)?;
            }
            // Batches already used up stay in memory as long as picked rows point at them: that many and no more.
            if self.picked.len() >= self.batch_rows || self.pool.len() > 2 * self.cursors.len() + 2 {
                self.flush()?;
            }
        }
        Ok(true)
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(true) => self.ready.pop_front().map(Ok),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
