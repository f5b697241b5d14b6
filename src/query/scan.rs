//! The rows of a slice, file by file, in the physical order of the snapshot.
//!
//! Without a predicate, offset and limit leave out whole files by their row counts and read only the pages they need, so
//! every depth costs the same. With one, files, row groups and pages are left out by statistics, and the predicate's
//! columns are decoded before the others. One batch is in memory at a time, and decoding runs off the async threads.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    compute::cast,
    datatypes::SchemaRef,
    error::ArrowError,
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowPredicateFn, ArrowReaderMetadata, RowFilter},
    },
    errors::ParquetError,
};

use super::{
    QueryError, Slice, SliceError, batches::Batches, budget::Budget, pages, predicate::Predicate, prune::Pruner,
    reader::FileReader, table::TableSource,
};
use crate::catalog::DataFile;

/// Uncompressed bytes of a batch, about.
const BATCH_BYTES: u64 = 4 << 20;
/// Rows of a batch at most.
const BATCH_ROWS: usize = 8192;
/// Rows of a plain slice at most that are read from their pages, by our own reader.
const PAGED: u64 = 10_000;
/// Decoded predicate columns kept for the output, per scan.
const PREDICATE_CACHE: usize = 16 << 20;

/// A running scan.
pub struct Scan {
    source: TableSource,
    slice: Slice,
    output: SchemaRef,
    /// Files still to be read: position in the list, rows to skip in it.
    files: VecDeque<(usize, u64)>,
    pruner: Option<Arc<Pruner>>,
    current: Option<(String, BoxStream<'static, Result<RecordBatch, ParquetError>>)>,
    /// Matching rows still to be skipped, only with a predicate.
    skip: u64,
    left: Option<u64>,
    budget: Budget,
    /// Whether it is known to be small enough.
    affordable: bool,
    /// What the predicate said when it could not be computed.
    fault: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("slice", &self.slice).field("files", &self.files).finish_non_exhaustive()
    }
}

impl Scan {
    /// Plans a slice. Nothing is read yet.
    pub fn new(source: TableSource, mut slice: Slice) -> Self {
        let table = &source.table.arrow;
        let output = table.project(&slice.columns).map_or_else(|_| Arc::clone(table), Arc::new);
        let mut nothing = slice.limit == Some(0);
        match slice.predicate.as_ref().and_then(Predicate::constant) {
            Some(true) => slice.predicate = None,
            Some(false) => nothing = true,
            None => {}
        }
        let pruner = slice.predicate.as_ref().map(|predicate| Arc::new(Pruner::new(predicate)));
        let files = match &pruner {
            _ if nothing => VecDeque::new(),
            Some(pruner) => {
                let keep = pruner.files(&source.table.files, &source.table.schema);
                keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(at, _)| (at, 0)).collect()
            }
            None => by_row_counts(&source.table.files, slice.offset, slice.limit),
        };
        let skip = if pruner.is_some() { slice.offset } else { 0 };
        Self {
            left: slice.limit,
            budget: Budget::new(source.caps),
            affordable: false,
            source,
            slice,
            output,
            files,
            pruner,
            current: None,
            skip,
            fault: Arc::default(),
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

    /// Its batches, as they are asked for.
    pub fn batches(self) -> Batches {
        let (schema, budget) = (Arc::clone(&self.output), self.budget());
        let stream = stream::try_unfold(self, |mut scan| async move {
            let batch = scan.step().await?;
            Ok::<_, QueryError>(batch.map(|batch| (batch, scan)))
        });
        Batches::new(schema, budget, stream)
    }

    async fn step(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        self.budget.check(0)?;
        if !self.affordable {
            self.afford().await?;
        }
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            if self.current.is_none() {
                let Some((at, skip)) = self.files.pop_front() else { return Ok(None) };
                self.current = self.open(at, skip).await?;
                continue;
            }
            let Some((file, stream)) = self.current.as_mut() else { continue };
            match stream.next().await {
                None => self.current = None,
                Some(Err(source)) => return Err(self.failed(source)),
                Some(Ok(batch)) => {
                    let batch = adapt(&batch, &self.output)
                        .map_err(|error| QueryError::File { file: file.clone(), source: error.into() })?;
                    if let Some(batch) = self.take(&batch) {
                        return Ok(Some(batch));
                    }
                    self.budget.check(0)?;
                }
            }
        }
    }

    fn failed(&self, source: ParquetError) -> QueryError {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (fault, &self.current) {
            (Some(message), _) => {
                SliceError::new("where", format!("cannot be computed for some row: {message}")).into()
            }
            (None, Some((file, _))) => QueryError::File { file: file.clone(), source },
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
        if self.pruner.is_some() {
            return Ok(());
        }
        let mut left = self.left.unwrap_or(u64::MAX);
        let mut bytes = 0_u128;
        for (at, skip) in &self.files {
            let Some(file) = self.source.table.files.get(*at) else { continue };
            let rows = file.rows.saturating_sub(*skip).min(left);
            left -= rows;
            bytes += u128::from(file.bytes) * u128::from(rows) / u128::from(file.rows.max(1));
        }
        let most = u128::from(self.budget.most_bytes());
        let first = self.files.front().and_then(|(at, _)| self.source.table.files.get(*at));
        if let Some(first) = first.filter(|_| bytes > most) {
            // Files of a table are alike: the columns' share of one is their share of all.
            let mut reader = FileReader::new(&self.source.store, first, &self.budget);
            let metadata = self.source.footers.of(&mut reader).await?;
            let (wanted, all) = stored(&metadata, &mask(&metadata, &self.output));
            if bytes * u128::from(wanted) / u128::from(all.max(1)) > most {
                return Err(self.budget.is_too_much().into());
            }
        }
        self.budget.was_reckoned();
        Ok(())
    }

    async fn open(
        &mut self,
        at: usize,
        skip: u64,
    ) -> Result<Option<(String, BoxStream<'static, Result<RecordBatch, ParquetError>>)>, QueryError> {
        let Some(file) = self.source.table.files.get(at) else { return Ok(None) };
        let reader = FileReader::new(&self.source.store, file, &self.budget);
        let footer = self.source.footers.footer(&reader).await?;
        let metadata = footer.metadata.clone();
        let mask = mask(&metadata, &self.output);
        if let (None, Some(left)) = (&self.pruner, self.left.filter(|left| *left <= PAGED)) {
            let rows = skip..file.rows.min(skip.saturating_add(left));
            let (output, footers) = (Arc::clone(&self.output), Arc::clone(&self.source.footers));
            let most = batch_rows(&metadata, &mask);
            return Ok(Some((file.key.clone(), pages::stream(reader, footers, footer, output, rows, most))));
        }
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata.clone())
            .with_projection(mask.clone())
            .with_max_predicate_cache_size(PREDICATE_CACHE);
        let mut rows = batch_rows(&metadata, &mask);
        if let (Some(predicate), Some(pruner)) = (&self.slice.predicate, &self.pruner) {
            let (groups, selection) = pruner.inside(&metadata);
            if groups.is_empty() {
                return Ok(None);
            }
            builder = builder.with_row_groups(groups);
            if let Some(selection) = selection {
                if !selection.selects_any() {
                    return Ok(None);
                }
                builder = builder.with_row_selection(selection);
            }
            builder = builder.with_row_filter(self.row_filter(predicate, &metadata));
            if let Some(most) = self.left.and_then(|left| usize::try_from(left.saturating_add(self.skip)).ok()) {
                builder = builder.with_limit(most);
            }
        } else {
            builder = builder.with_offset(usize::try_from(skip).unwrap_or(usize::MAX));
            if let Some(most) = self.left.and_then(|left| usize::try_from(left).ok()) {
                builder = builder.with_limit(most);
                rows = rows.min(most.max(1));
            }
        }
        let stream = builder
            .with_batch_size(rows)
            .build()
            .map_err(|source| QueryError::File { file: file.key.clone(), source })?;
        Ok(Some((file.key.clone(), stream.boxed())))
    }

    fn row_filter(&self, predicate: &Predicate, metadata: &ArrowReaderMetadata) -> RowFilter {
        let (schema, _) = predicate.compiled();
        let (schema, predicate, fault) = (Arc::clone(schema), predicate.clone(), Arc::clone(&self.fault));
        let budget = self.budget.clone();
        let mask = mask(metadata, &schema);
        let filter = ArrowPredicateFn::new(mask, move |batch| {
            budget.check(0).map_err(|over| ArrowError::ExternalError(Box::new(over)))?;
            let batch = adapt(&batch, &schema)?;
            predicate.evaluate(&batch).inspect_err(|error| {
                let message = match error {
                    ArrowError::ComputeError(message) => message.clone(),
                    other => other.to_string(),
                };
                *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
            })
        });
        RowFilter::new(vec![Box::new(filter)])
    }
}

/// Counts the rows that match, reading the predicate's columns only.
///
/// # Errors
/// As [`Batches::next`].
pub async fn count(source: TableSource, predicate: Option<&Predicate>) -> Result<(u64, u64), QueryError> {
    let Some(predicate) = predicate else { return Ok((source.table.rows(), 0)) };
    let slice = Slice { columns: Vec::new(), predicate: Some(predicate.clone()), offset: 0, limit: None };
    let mut batches = Scan::new(source, slice).batches();
    let budget = batches.budget();
    let mut rows = 0;
    loop {
        let (rest, batch) = batches.next_blocking().await;
        match (rest, batch?) {
            (Some(rest), Some(batch)) => {
                rows += batch.num_rows() as u64;
                batches = rest;
            }
            _ => return Ok((rows, budget.read())),
        }
    }
}

/// The files an offset and a limit need, each with the rows to skip in it.
fn by_row_counts(files: &[DataFile], offset: u64, limit: Option<u64>) -> VecDeque<(usize, u64)> {
    let end = limit.and_then(|limit| offset.checked_add(limit)).unwrap_or(u64::MAX);
    let mut before = 0_u64;
    let mut needed = VecDeque::new();
    for (at, file) in files.iter().enumerate() {
        let after = before.saturating_add(file.rows);
        if after > offset && before < end {
            needed.push_back((at, offset.saturating_sub(before)));
        }
        before = after;
    }
    needed
}

/// The file's columns that a schema asks for; a file may lack some.
pub(super) fn mask(metadata: &ArrowReaderMetadata, wanted: &SchemaRef) -> ProjectionMask {
    let roots = wanted.fields().iter().filter_map(|field| metadata.schema().index_of(field.name()).ok());
    ProjectionMask::roots(metadata.parquet_schema(), roots)
}

/// Compressed bytes of the columns wanted, and of all.
pub(super) fn stored(metadata: &ArrowReaderMetadata, mask: &ProjectionMask) -> (u64, u64) {
    let (mut wanted, mut all) = (0_u64, 0_u64);
    for group in metadata.metadata().row_groups() {
        for (leaf, column) in group.columns().iter().enumerate() {
            let bytes = u64::try_from(column.compressed_size()).unwrap_or(0);
            all = all.saturating_add(bytes);
            if mask.leaf_included(leaf) {
                wanted = wanted.saturating_add(bytes);
            }
        }
    }
    (wanted, all)
}

/// Rows of a batch so that it holds [`BATCH_BYTES`], by the averages of the file.
fn batch_rows(metadata: &ArrowReaderMetadata, mask: &ProjectionMask) -> usize {
    let parquet = metadata.metadata();
    let mut bytes = 0_u64;
    for group in parquet.row_groups() {
        for (leaf, column) in group.columns().iter().enumerate() {
            if mask.leaf_included(leaf) {
                bytes = bytes.saturating_add(u64::try_from(column.uncompressed_size()).unwrap_or(0));
            }
        }
    }
    let rows = u64::try_from(parquet.file_metadata().num_rows()).unwrap_or(0).max(1);
    let each = (bytes / rows).max(1);
    usize::try_from(BATCH_BYTES / each).unwrap_or(BATCH_ROWS).clamp(16, BATCH_ROWS)
}

/// A batch of a file with exactly the columns wanted, in that order and type; a column the file lacks is null.
pub(super) fn adapt(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = wanted
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options)
}
