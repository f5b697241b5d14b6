//! The first rows of an order, found by reading as little as can be known beforehand.
//!
//! Only the columns of the keys and of the predicate are read, and of those the pages that may hold first rows come
//! first: once there are enough candidates, files and pages whose statistics say that they hold nothing better are not
//! read at all. In memory are the candidates and one batch. This needs no promise that a table is sorted, and gains the
//! most where it is.

use std::{collections::BinaryHeap, ops::Range};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array},
    datatypes::UInt64Type,
};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, statistics::StatisticsConverter};

use super::{
    QueryError, Slice,
    bounds::{self, Side},
    budget::{Budget, OverCap},
    order::{Keys, Order},
    pages::OpenFile,
    predicate::Predicate,
    prune::Pruner,
    ranges,
    scan::Scan,
    table::TableSource,
    take::take,
};

/// Memory the candidates may take.
const CANDIDATES: usize = 64 << 20;
/// Memory one of them takes besides its bytes, about.
const EACH: usize = 40;
/// Rows that are looked at first.
const FIRST_WAVE: u64 = 8192;
/// How much larger each wave is than the one before.
const GROWTH: u64 = 4;

/// What is looked for.
#[derive(Debug)]
pub(super) struct Top<'a> {
    pub(super) source: &'a TableSource,
    pub(super) predicate: Option<&'a Predicate>,
    pub(super) order: &'a Order,
    /// Only rows that come after this one.
    pub(super) after: Option<u64>,
    /// How many.
    pub(super) rows: usize,
    pub(super) budget: &'a Budget,
}

/// Rows that may be among the first: their keys' bytes and number, the worst on top.
struct Candidates {
    most: usize,
    heap: BinaryHeap<Box<[u8]>>,
    bytes: usize,
    after: Option<Vec<u8>>,
}

impl Candidates {
    /// The bytes that a row must stay below, once there are enough.
    fn worst(&self) -> Option<&[u8]> {
        if self.heap.len() < self.most { None } else { self.heap.peek().map(AsRef::as_ref) }
    }

    fn offer(&mut self, key: &[u8], number: u64) -> Result<(), OverCap> {
        // Most rows lose by their keys alone.
        if self.worst().is_some_and(|worst| key > worst) {
            return Ok(());
        }
        let candidate: Box<[u8]> = [key, &number.to_be_bytes()].concat().into();
        if self.after.as_ref().is_some_and(|after| *candidate <= **after)
            || self.worst().is_some_and(|worst| *candidate > *worst)
        {
            return Ok(());
        }
        self.bytes += candidate.len() + EACH;
        self.heap.push(candidate);
        if self.heap.len() > self.most
            && let Some(worst) = self.heap.pop()
        {
            self.bytes -= worst.len() + EACH;
        }
        if self.bytes > CANDIDATES { Err(OverCap::Memory(CANDIDATES as u64)) } else { Ok(()) }
    }
}

/// A stretch of rows and the best key it may hold (empty: unknown).
struct Stretch {
    rows: Range<u64>,
    best: Vec<u8>,
}

impl Top<'_> {
    /// The physical numbers of the first rows, in order.
    ///
    /// # Errors
    /// When a file cannot be read, the predicate cannot be computed, or it takes more than one answer may.
    pub(super) async fn find(&self) -> Result<Vec<u64>, QueryError> {
        if self.rows == 0 {
            return Ok(Vec::new());
        }
        let table = &self.source.table;
        let keys = Keys::new(self.order.keys(), &table.arrow)?;
        let after = match self.after {
            Some(row) => Some(self.key_of(row, &keys).await?),
            None => None,
        };
        let mut found = Candidates { most: self.rows, heap: BinaryHeap::new(), bytes: 0, after };
        for file in self.files()? {
            if found.worst().is_some_and(|worst| file.best.as_slice() > worst) {
                // The files after it are no better.
                break;
            }
            self.search(file.rows, &keys, &mut found).await?;
        }
        let rows = found.heap.into_sorted_vec();
        Ok(rows.iter().map(|candidate| number(candidate)).collect())
    }

    /// The whole key of one row.
    async fn key_of(&self, row: u64, keys: &Keys) -> Result<Vec<u8>, QueryError> {
        let batch = take(self.source, &self.order.columns(), &[row], self.budget).await?;
        let rows = keys.convert(batch.columns())?;
        let mut key = rows.iter().next().map(|row| row.data().to_vec()).unwrap_or_default();
        key.extend_from_slice(&row.to_be_bytes());
        Ok(key)
    }

    /// The files that may hold matching rows, best first.
    fn files(&self) -> Result<Vec<Stretch>, QueryError> {
        let table = &self.source.table;
        let pruner = self.predicate.map(Pruner::new);
        let keep = pruner.map(|pruner| pruner.files(table));
        let best = self.first_key().and_then(|(column, side)| {
            let column = table.schema.columns.get(column)?;
            // Of binary and JSON columns, and where a file has NaN, bounds are not known.
            let empty: Vec<bool> =
                table.files.iter().map(|file| bounds::nulls(file, &column.name) == Some(file.rows)).collect();
            self.encoded(&bounds::of_files(&table.files, column, side), &empty).ok()
        });
        let mut files: Vec<Stretch> = (0..table.files.len())
            .filter(|at| keep.as_ref().is_none_or(|keep| keep.get(*at).copied().unwrap_or(true)))
            .map(|at| Stretch {
                rows: table.span_of(at),
                best: best.as_ref().and_then(|best| best.get(at).cloned()).unwrap_or_default(),
            })
            .filter(|file| !file.rows.is_empty())
            .collect();
        files.sort_by(|a, b| a.best.cmp(&b.best));
        Ok(files)
    }

    /// The column that counts most, and which of its bounds comes first.
    fn first_key(&self) -> Option<(usize, Side)> {
        let key = self.order.keys().first()?;
        Some((key.column, if key.descending { Side::Max } else { Side::Min }))
    }

    /// Bounds of the first key as bytes of an order; empty where they are unknown. `nulls`: where there are no values.
    fn encoded(&self, bounds: &ArrayRef, nulls: &[bool]) -> Result<Vec<Vec<u8>>, QueryError> {
        let first = self.order.keys().get(..1).unwrap_or_default();
        let rows = Keys::new(first, &self.source.table.arrow)?.convert(std::slice::from_ref(bounds))?;
        let one = |(at, row): (usize, arrow::row::Row<'_>)| {
            let unknown = bounds.is_null(at) && nulls.get(at) != Some(&true);
            if unknown { Vec::new() } else { row.data().to_vec() }
        };
        Ok(rows.iter().enumerate().map(one).collect())
    }

    /// Looks through one file, its best pages first, in waves that grow.
    async fn search(&self, rows: Range<u64>, keys: &Keys, found: &mut Candidates) -> Result<(), QueryError> {
        let Some((file, _)) = self.source.table.locate(rows.start) else { return Ok(()) };
        let Some(data) = self.source.table.files.get(file) else { return Ok(()) };
        let file = OpenFile::open(&self.source.store, &self.source.footers, data, self.budget).await?;
        let mut pages = self.pages(&file.footer().metadata, rows);
        pages.sort_by(|a, b| b.best.cmp(&a.best).then(b.rows.start.cmp(&a.rows.start)));
        let mut size = FIRST_WAVE.max(self.rows as u64 * 2);
        while !pages.is_empty() {
            let mut wave = Vec::new();
            let mut taken = 0;
            while taken < size {
                let Some(page) = pages.pop() else { break };
                if found.worst().is_some_and(|worst| page.best.as_slice() > worst) {
                    pages.clear();
                    break;
                }
                taken += page.rows.end - page.rows.start;
                wave.push(page.rows);
            }
            wave.sort_by_key(|range| range.start);
            let mut looked_at = Vec::with_capacity(wave.len());
            wave.into_iter().for_each(|page| ranges::push(&mut looked_at, page));
            self.look(&looked_at, keys, found).await?;
            size = size.saturating_mul(GROWTH);
        }
        Ok(())
    }

    /// The pages of the first key in a file, or all its rows where nothing is known of them.
    fn pages(&self, metadata: &ArrowReaderMetadata, rows: Range<u64>) -> Vec<Stretch> {
        self.known_pages(metadata, rows.start)
            .filter(|pages| pages.iter().map(|page| page.rows.end).max() == Some(rows.end))
            .unwrap_or_else(|| vec![Stretch { rows, best: Vec::new() }])
    }

    fn known_pages(&self, metadata: &ArrowReaderMetadata, start: u64) -> Option<Vec<Stretch>> {
        let (column, side) = self.first_key()?;
        let name = &self.source.table.schema.columns.get(column)?.name;
        let parquet = metadata.metadata();
        let converter = StatisticsConverter::try_new(name, metadata.schema(), metadata.parquet_schema()).ok()?;
        let (columns, offsets) = (parquet.column_index()?, parquet.offset_index()?);
        let groups: Vec<usize> = (0..parquet.num_row_groups()).collect();
        let bounds = match side {
            Side::Min => converter.data_page_mins(columns, offsets, &groups).ok()?,
            Side::Max => converter.data_page_maxes(columns, offsets, &groups).ok()?,
        };
        let rows = converter.data_page_row_counts(offsets, parquet.row_groups(), &groups).ok()??;
        let wanted = self.source.table.arrow.field(column).data_type();
        if bounds.len() != rows.len() || bounds.data_type() != wanted {
            return None;
        }
        let converter = converter.with_missing_null_counts_as_zero(false);
        let nulls = converter.data_page_null_counts(columns, offsets, &groups).ok()?;
        let nulls: Vec<bool> =
            nulls.iter().zip(rows.iter()).map(|(nulls, rows)| nulls.is_some() && nulls == rows).collect();
        let best = self.encoded(&bounds, &nulls).ok()?;
        let mut next = start;
        let page = |(rows, best): (&u64, Vec<u8>)| {
            let begin = next;
            next += rows;
            Stretch { rows: begin..next, best }
        };
        Some(rows.values().iter().zip(best).map(page).collect())
    }

    /// Reads these rows' keys.
    async fn look(&self, ranges: &[Range<u64>], keys: &Keys, found: &mut Candidates) -> Result<(), QueryError> {
        let columns = self.order.columns();
        let slice = Slice { columns, predicate: self.predicate.cloned(), offset: 0, limit: None };
        let mut scan = Scan::within(self.source.clone(), slice, ranges, self.budget).numbered();
        while let Some(batch) = scan.step().await? {
            let Some((numbers, columns)) = numbered(&batch) else { continue };
            for (row, number) in keys.convert(columns)?.iter().zip(numbers.values()) {
                found.offer(row.data(), *number)?;
            }
        }
        Ok(())
    }
}

/// The row numbers of a batch that ends with them, and its other columns.
pub(super) fn numbered(batch: &RecordBatch) -> Option<(&UInt64Array, &[ArrayRef])> {
    let (last, columns) = batch.columns().split_last()?;
    Some((last.as_primitive_opt::<UInt64Type>()?, columns))
}

fn number(candidate: &[u8]) -> u64 {
    candidate.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
