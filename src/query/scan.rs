//! The rows of a slice, file by file, in the physical order of the snapshot.
//!
//! Without a predicate, offset and limit say beforehand which rows of which files are read, so every depth costs the
//! same. With one, files, row groups and pages are left out by statistics, and the predicate's columns are decoded before
//! the others ([`narrow`](super::narrow)). One batch is in memory at a time, and what a few of them are stored in.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use parquet::errors::ParquetError;

use super::{
    QueryError, Slice,
    batches::Batches,
    budget::Budget,
    fault::EvaluationFault,
    footer::Footer,
    narrow::Narrow,
    pages::{OpenFile, Piece},
    predicate::Predicate,
    prune::Pruner,
    ranges,
    table::TableSource,
};

/// Uncompressed bytes of a batch, about.
const BATCH_BYTES: u64 = 4 << 20;
/// Rows of a batch at most, and at least.
const BATCH_ROWS: u64 = 8192;
const LEAST_ROWS: u64 = 16;

/// Name of the column with the physical numbers of rows: no column of a table has a name with a NUL.
const ROW_NUMBER: &str = "row\0number";

/// The physical number of some row, known once rows were given.
#[derive(Debug, Clone, Default)]
pub struct LastRow(Arc<AtomicU64>);

impl LastRow {
    pub(super) fn set(&self, row: u64) {
        self.0.store(row, Ordering::Release);
    }

    /// The row.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A file that is being read.
struct Current {
    file: String,
    /// The physical number of its first row.
    start: u64,
    pieces: BoxStream<'static, Result<Piece, ParquetError>>,
}

/// A running scan.
pub struct Scan {
    source: TableSource,
    slice: Slice,
    /// The columns of the slice.
    wanted: SchemaRef,
    /// The columns of its batches: the same, and numbers of rows if they are asked for.
    output: SchemaRef,
    pruner: Option<Pruner>,
    /// The physical rows looked at: ranges, ascending and apart from each other.
    rows: Vec<Range<u64>>,
    /// Files still to be read: positions in the list.
    files: VecDeque<usize>,
    current: Option<Current>,
    /// Whether each batch ends with the physical numbers of its rows.
    numbered: bool,
    /// Matching rows still to be skipped, and still to be given: without a predicate they are exactly those looked at.
    skip: u64,
    left: Option<u64>,
    budget: Budget,
    /// Whether it is known to be small enough.
    affordable: bool,
    /// What the predicate said when it could not be computed.
    fault: EvaluationFault,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("slice", &self.slice).field("files", &self.files).finish_non_exhaustive()
    }
}

impl Scan {
    /// Plans a slice. Nothing is read yet.
    pub fn new(source: TableSource, slice: Slice) -> Self {
        Self::from_row(source, slice, 0)
    }

    /// Plans a slice of the physical rows from `row` on.
    pub fn from_row(source: TableSource, slice: Slice, row: u64) -> Self {
        let (rest, budget) = (row..source.table.rows(), Budget::new(source.caps));
        Self::plan(source, slice, std::slice::from_ref(&rest), budget)
    }

    /// Plans a slice that is paid from `budget`.
    pub fn paid(source: TableSource, slice: Slice, budget: &Budget) -> Self {
        let all = 0..source.table.rows();
        Self::plan(source, slice, std::slice::from_ref(&all), budget.clone())
    }

    /// Plans a slice of some physical rows only: ranges, ascending and apart from each other. Paid from `budget`, as a
    /// part of what is not reckoned beforehand.
    pub fn within(source: TableSource, slice: Slice, rows: &[Range<u64>], budget: &Budget) -> Self {
        Self { affordable: true, ..Self::plan(source, slice, rows, budget.clone()) }
    }

    /// Each batch ends with a column more: the physical number of each row in the snapshot, uint64.
    #[must_use]
    pub fn numbered(mut self) -> Self {
        let number = Field::new(ROW_NUMBER, DataType::UInt64, false);
        let fields = self.output.fields().iter().cloned().chain([Arc::new(number)]);
        self.output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        self.numbered = true;
        self
    }

    fn plan(source: TableSource, mut slice: Slice, rows: &[Range<u64>], budget: Budget) -> Self {
        let table = &source.table;
        let wanted = table.arrow.project(&slice.columns).map_or_else(|_| Arc::clone(&table.arrow), Arc::new);
        let mut limit = slice.limit;
        match slice.predicate.as_ref().and_then(Predicate::constant) {
            Some(true) => slice.predicate = None,
            Some(false) => limit = Some(0),
            None => {}
        }
        let pruner = slice.predicate.as_ref().map(Pruner::new);
        let (rows, skip, left) = match &pruner {
            Some(_) if limit != Some(0) => (rows.to_vec(), slice.offset, limit),
            _ => (ranges::slice(rows, slice.offset, limit), 0, None),
        };
        let mut files = table.files_of(&rows);
        // Row groups have statistics too: those of one file's manifest entry add nothing.
        if let Some(pruner) = pruner.as_ref().filter(|_| files.len() > 1) {
            let keep = pruner.files(table);
            files.retain(|at| keep.get(*at).copied().unwrap_or(true));
        }
        Self {
            affordable: pruner.is_some(),
            fault: EvaluationFault::default(),
            current: None,
            numbered: false,
            source,
            slice,
            output: Arc::clone(&wanted),
            wanted,
            pruner,
            rows,
            files: files.into(),
            skip,
            left,
            budget,
        }
    }

    /// The schema of its batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.output
    }

    /// The account of what it takes, shared with the running scan.
    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// Its batches, and the physical number of the last row they gave.
    pub fn marked(self) -> (Batches, LastRow) {
        let (schema, budget) = (Arc::clone(&self.output), self.budget());
        let last = LastRow::default();
        let mark = last.clone();
        let stream = stream::try_unfold(self.numbered(), move |mut scan| {
            let mark = mark.clone();
            async move {
                let Some(batch) = scan.step().await? else { return Ok::<_, QueryError>(None) };
                let numbers = batch.columns().last().and_then(|column| column.as_primitive_opt::<UInt64Type>());
                if let Some(number) = numbers.and_then(|numbers| numbers.values().last()) {
                    mark.set(*number);
                }
                let plain: Vec<usize> = (0..batch.num_columns().saturating_sub(1)).collect();
                Ok(Some((batch.project(&plain)?, scan)))
            }
        });
        (Batches::new(schema, budget, stream), last)
    }

    /// Its batches, as they are asked for.
    pub fn batches(self) -> Batches {
        let (schema, budget) = (Arc::clone(&self.output), self.budget());
        let stream = stream::try_unfold(self, |mut scan| async move {
            let batch = scan.step().await?;
            Ok::<_, QueryError>(batch.map(|batch| (batch, scan)))
        });
        Batches::new(schema, budget, stream)
    }

    /// The next batch, without the time it may take: whoever calls this answers for that. Decodes on the calling thread.
    ///
    /// # Errors
    /// When a file cannot be read, the predicate cannot be computed for a row, or it takes more than a scan may.
    pub(super) async fn step(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        self.budget.check(0)?;
        if !self.affordable {
            self.afford().await?;
        }
        while self.left != Some(0) {
            let Some(Current { start, pieces, .. }) = self.current.as_mut() else {
                let Some(at) = self.files.pop_front() else { return Ok(None) };
                self.current = self.open(at).await?;
                continue;
            };
            match pieces.next().await {
                None => self.current = None,
                Some(Err(source)) => return Err(self.failed(source)),
                Some(Ok(piece)) => {
                    let batch = if self.numbered { numbered(piece, *start, &self.output)? } else { piece.batch };
                    if let Some(batch) = self.take(&batch) {
                        return Ok(Some(batch));
                    }
                    self.budget.check(0)?;
                }
            }
        }
        Ok(None)
    }

    fn failed(&self, source: ParquetError) -> QueryError {
        match (self.fault.take(), &self.current) {
            (Some(fault), _) => fault.into(),
            (None, Some(current)) => QueryError::File { file: current.file.clone(), source },
            (None, None) => QueryError::Parquet(source),
        }
    }

    /// What of a batch belongs to the slice.
    fn take(&mut self, batch: &RecordBatch) -> Option<RecordBatch> {
        let rows = batch.num_rows() as u64;
        let skipped = self.skip.min(rows);
        self.skip -= skipped;
        let wanted = (rows - skipped).min(self.left.unwrap_or(u64::MAX));
        if let Some(left) = &mut self.left {
            *left -= wanted;
        }
        (wanted > 0).then(|| batch.slice(skipped as usize, wanted as usize))
    }

    /// Without a predicate it is known beforehand about how much there is to read, and an answer that will not be whole
    /// is better refused than begun.
    async fn afford(&mut self) -> Result<(), QueryError> {
        self.affordable = true;
        let table = &self.source.table;
        let mut bytes = 0_u128;
        for at in &self.files {
            let Some(file) = table.files.get(*at) else { continue };
            let rows = ranges::count(&ranges::inside(&self.rows, &table.span_of(*at)));
            bytes += u128::from(file.bytes) * u128::from(rows) / u128::from(file.rows.max(1));
        }
        let most = u128::from(self.budget.most_bytes());
        let first = self.files.front().and_then(|at| table.files.get(*at));
        if let Some(first) = first.filter(|_| bytes > most) {
            // Files of a table are alike: the columns' share of one is their share of all.
            let file = OpenFile::open(&self.source.store, &self.source.footers, first, &self.budget).await?;
            let (wanted, all) = (file.footer().bytes(&self.output), file.footer().all_bytes());
            if bytes * u128::from(wanted.stored) / u128::from(all.stored.max(1)) > most {
                return Err(self.budget.is_too_much().into());
            }
        }
        self.budget.was_reckoned();
        Ok(())
    }

    async fn open(&mut self, at: usize) -> Result<Option<Current>, QueryError> {
        let TableSource { store, table, footers, .. } = &self.source;
        let Some(described) = table.files.get(at) else { return Ok(None) };
        let file = OpenFile::open(store, footers, described, &self.budget).await?;
        let output = Arc::clone(&self.wanted);
        let batch_rows = batch_rows(file.footer(), &output);
        let rows = ranges::inside(&self.rows, &table.span_of(at));
        let pieces = match (&self.slice.predicate, &self.pruner) {
            (Some(predicate), Some(pruner)) => {
                let failed = |source| QueryError::File { file: described.key.clone(), source };
                let rows = ranges::intersect(&pruner.rows(&file).await.map_err(failed)?, &rows);
                let most = self.left.map_or(u64::MAX, |left| left.saturating_add(self.skip));
                Narrow::new(file, predicate.clone(), output, batch_rows, self.fault.clone()).stream(rows, most)
            }
            _ => file.stream(output, rows, batch_rows),
        };
        Ok(Some(Current { file: described.key.clone(), start: table.start_of(at), pieces }))
    }
}

/// Rows of a batch so that it holds [`BATCH_BYTES`], by the averages of the file.
fn batch_rows(footer: &Footer, output: &SchemaRef) -> u64 {
    let each = footer.bytes(output).plain / footer.rows().max(1);
    (BATCH_BYTES / each.max(1)).clamp(LEAST_ROWS, BATCH_ROWS)
}

/// Rows of a file that begins at row `start` of the snapshot, with their numbers there.
fn numbered(piece: Piece, start: u64, output: &SchemaRef) -> Result<RecordBatch, QueryError> {
    let (rows, mut columns): (_, Vec<ArrayRef>) = (piece.batch.num_rows(), piece.batch.columns().to_vec());
    let numbers = piece.rows.into_iter().flatten().map(|row| start + row);
    columns.push(Arc::new(UInt64Array::from_iter_values(numbers)));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(output), columns, &options)?)
}
