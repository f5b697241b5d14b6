//! The rows of a slice, file by file, in the physical order of the snapshot.
//!
//! Without a predicate, offset and limit leave out whole files by their row counts and read only the pages they need, so
//! every depth costs the same. With one, files, row groups and pages are left out by statistics, and the predicate's
//! columns are decoded before the others. One batch is in memory at a time, and decoding runs off the async threads.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array},
    compute::cast,
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type},
    error::ArrowError,
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask, RowNumber,
        arrow_reader::{
            ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, RowFilter, RowSelection, RowSelector,
        },
    },
    errors::ParquetError,
    file::metadata::RowGroupMetaData,
};

use super::{
    QueryError, Slice,
    batches::Batches,
    budget::Budget,
    fault::EvaluationFault,
    narrow::{self, Narrow},
    pages,
    predicate::Predicate,
    prune::Pruner,
    reader::FileReader,
    table::{Table, TableSource},
};

/// Uncompressed bytes of a batch, about.
const BATCH_BYTES: u64 = 4 << 20;
/// Rows of a batch at most.
const BATCH_ROWS: usize = 8192;
/// Rows of a plain slice at most that are read from their pages, by our own reader.
const PAGED: u64 = 10_000;
/// Batches of rows at most that statistics may leave for a condition to be held against them at once.
const FEW: u64 = 4;
/// Decoded predicate columns kept for the output, per scan.
const PREDICATE_CACHE: usize = 16 << 20;

/// Rows of a file up to which predicate columns are rather decoded twice: the cache would read the pages around, too.
const NARROW: usize = 16_384;

/// Name of the column with the physical numbers of rows: no column of a table has a name with a NUL.
pub const ROW_NUMBER: &str = "row\0number";

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
    stream: BoxStream<'static, Result<RecordBatch, ParquetError>>,
}

/// A running scan.
pub struct Scan {
    source: TableSource,
    slice: Slice,
    output: SchemaRef,
    /// Files still to be read: position in the list, rows to skip in it.
    files: VecDeque<(usize, u64)>,
    pruner: Option<Arc<Pruner>>,
    current: Option<Current>,
    /// The physical rows looked at, ascending, apart from each other; without: all.
    within: Option<Arc<[Range<u64>]>>,
    /// Whether each batch ends with the physical numbers of its rows.
    numbered: bool,
    /// Matching rows still to be skipped, where row counts alone do not say which they are.
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
        let budget = Budget::new(source.caps);
        Self::plan(source, slice, None, budget)
    }

    /// Plans a slice of some physical rows only: ranges, ascending and apart from each other. Paid from `budget`.
    pub fn within(source: TableSource, slice: Slice, ranges: &[Range<u64>], budget: &Budget) -> Self {
        Self::plan(source, slice, Some(ranges.into()), budget.clone())
    }

    /// Plans a slice of the physical rows from `row` on.
    pub fn from_row(source: TableSource, slice: Slice, row: u64) -> Self {
        let (rest, budget) = (row..source.table.rows(), Budget::new(source.caps));
        Self::plan(source, slice, Some([rest].into()), budget)
    }

    /// Plans a slice that is paid from `budget`.
    pub fn paid(source: TableSource, slice: Slice, budget: &Budget) -> Self {
        Self::plan(source, slice, None, budget.clone())
    }

    /// Each batch ends with a column more, [`ROW_NUMBER`]: the physical number of each row in the snapshot, uint64.
    #[must_use]
    pub fn numbered(mut self) -> Self {
        let number = Field::new(ROW_NUMBER, DataType::UInt64, false);
        let fields = self.output.fields().iter().cloned().chain([Arc::new(number)]);
        self.output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        self.numbered = true;
        self
    }

    fn plan(source: TableSource, mut slice: Slice, within: Option<Arc<[Range<u64>]>>, budget: Budget) -> Self {
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
                let within = within.as_ref().map(|ranges| by_ranges(&source.table, ranges));
                match within {
                    // Row groups have statistics too: those of one file's manifest entry add nothing.
                    Some(files) if files.len() <= 1 => files,
                    within => {
                        let keep = pruner.files(&source.table);
                        let all = || (0..source.table.files.len()).map(|at| (at, 0)).collect();
                        let mut files = within.unwrap_or_else(all);
                        files.retain(|(at, _)| keep.get(*at).copied().unwrap_or(true));
                        files
                    }
                }
            }
            None => match &within {
                Some(ranges) => by_ranges(&source.table, ranges),
                None => by_row_counts(&source.table, slice.offset, slice.limit),
            },
        };
        let skip = if pruner.is_some() || within.is_some() { slice.offset } else { 0 };
        Self {
            left: slice.limit,
            budget,
            within,
            numbered: false,
            affordable: false,
            source,
            slice,
            output,
            files,
            pruner,
            current: None,
            skip,
            fault: EvaluationFault::default(),
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
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            if self.current.is_none() {
                let Some((at, skip)) = self.files.pop_front() else { return Ok(None) };
                self.current = self.open(at, skip).await?;
                continue;
            }
            let Some(Current { file, start, stream }) = self.current.as_mut() else { continue };
            match stream.next().await {
                None => self.current = None,
                Some(Err(source)) => return Err(self.failed(source)),
                Some(Ok(batch)) => {
                    let batch = if self.numbered { from_start(&batch, *start)? } else { batch };
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
        if self.pruner.is_some() || self.within.is_some() {
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

    async fn open(&mut self, at: usize, skip: u64) -> Result<Option<Current>, QueryError> {
        let Some(file) = self.source.table.files.get(at) else { return Ok(None) };
        let reader = FileReader::new(&self.source.store, file, &self.budget);
        let footer = self.source.footers.footer(&reader).await?;
        let mut metadata = footer.metadata.clone();
        let mask = mask(&metadata, &self.output);
        let failed = |source| QueryError::File { file: file.key.clone(), source };
        let start = self.source.table.start_of(at);
        let is_plain = self.pruner.is_none() && self.within.is_none() && !self.numbered;
        if let Some(left) = self.left.filter(|left| is_plain && *left <= PAGED) {
            let rows = skip..file.rows.min(skip.saturating_add(left));
            let (output, footers) = (Arc::clone(&self.output), Arc::clone(&self.source.footers));
            let most = batch_rows(&metadata, &mask);
            let stream = pages::stream(reader, footers, footer, output, rows, most);
            return Ok(Some(Current { file: file.key.clone(), start, stream }));
        }
        if self.numbered {
            let number = Field::new(ROW_NUMBER, DataType::Int64, false).with_extension_type(RowNumber);
            let options = ArrowReaderOptions::new().with_virtual_columns(vec![Arc::new(number)]).map_err(failed)?;
            metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).map_err(failed)?;
        }
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader.clone(), metadata.clone())
            .with_projection(mask.clone())
            .with_max_predicate_cache_size(PREDICATE_CACHE);
        let mut rows = batch_rows(&metadata, &mask);
        if let (Some(predicate), Some(pruner)) = (&self.slice.predicate, &self.pruner) {
            let groups = pruner.groups(&metadata);
            let groups = pruner.filtered(&groups, &reader, &self.source.footers, &footer).await.map_err(failed)?;
            if groups.is_empty() {
                return Ok(None);
            }
            let mut selection = pruner.rows(&metadata, &groups);
            if let Some(ranges) = &self.within {
                let here = selected(&metadata, &groups, start, ranges);
                selection = Some(selection.map_or_else(|| here.clone(), |pruned| pruned.intersection(&here)));
            }
            let ranges = narrow::ranges(&footer, &groups, selection.as_ref());
            if narrow::count(&ranges) <= FEW * rows as u64 || self.left.is_some_and(|left| left <= PAGED) {
                let most = self.left.map_or(u64::MAX, |left| left.saturating_add(self.skip));
                let narrow = Narrow {
                    reader,
                    footers: Arc::clone(&self.source.footers),
                    footer,
                    predicate: predicate.clone(),
                    output: Arc::clone(&self.output),
                    numbered: self.numbered.then_some(ROW_NUMBER),
                    batch_rows: rows as u64,
                    fault: self.fault.clone(),
                };
                return Ok(Some(Current { file: file.key.clone(), start, stream: narrow.stream(ranges, most) }));
            }
            builder = builder.with_row_groups(groups);
            if let Some(selection) = selection {
                if !selection.selects_any() {
                    return Ok(None);
                }
                if selection.row_count() <= NARROW {
                    builder = builder.with_max_predicate_cache_size(0);
                }
                builder = builder.with_row_selection(selection);
            }
            builder = builder.with_row_filter(self.row_filter(predicate, &metadata));
            if let Some(most) = self.left.and_then(|left| usize::try_from(left.saturating_add(self.skip)).ok()) {
                builder = builder.with_limit(most);
            }
        } else if let Some(ranges) = &self.within {
            let groups: Vec<usize> = (0..metadata.metadata().num_row_groups()).collect();
            builder = builder.with_row_selection(selected(&metadata, &groups, start, ranges));
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
        let stream = builder.with_batch_size(rows).build().map_err(failed)?;
        Ok(Some(Current { file: file.key.clone(), start, stream: stream.boxed() }))
    }

    fn row_filter(&self, predicate: &Predicate, metadata: &ArrowReaderMetadata) -> RowFilter {
        let (schema, _) = predicate.compiled();
        let (schema, predicate, fault) = (Arc::clone(schema), predicate.clone(), self.fault.clone());
        let budget = self.budget.clone();
        let mask = mask(metadata, &schema);
        let filter = ArrowPredicateFn::new(mask, move |batch| {
            budget.check(0).map_err(|over| ArrowError::ExternalError(Box::new(over)))?;
            let batch = adapt(&batch, &schema)?;
            predicate.evaluate(&batch).inspect_err(|error| fault.note(error))
        });
        RowFilter::new(vec![Box::new(filter)])
    }
}

/// The files an offset and a limit need, each with the rows to skip in it.
fn by_row_counts(table: &Table, offset: u64, limit: Option<u64>) -> VecDeque<(usize, u64)> {
    let end = limit.and_then(|limit| offset.checked_add(limit)).unwrap_or(u64::MAX);
    let Some((first, skip)) = table.locate(offset) else { return VecDeque::new() };
    let further = (first + 1..table.files.len()).take_while(|at| table.start_of(*at) < end).map(|at| (at, 0));
    [(first, skip)].into_iter().chain(further).collect()
}

/// The files that hold rows of these ranges.
fn by_ranges(table: &Table, ranges: &[Range<u64>]) -> VecDeque<(usize, u64)> {
    let mut files = VecDeque::new();
    let mut next = 0;
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        let Some((first, _)) = table.locate(range.start) else { continue };
        let reached = (first.max(next)..table.files.len()).take_while(|at| table.start_of(*at) < range.end);
        for at in reached {
            files.push_back((at, 0));
            next = at + 1;
        }
    }
    files
}

/// The physical rows of each row group of a file that begins at row `start`.
pub(super) fn spans(metadata: &ArrowReaderMetadata, start: u64) -> Vec<Range<u64>> {
    let mut next = start;
    let span = |rows: i64| {
        let begin = next;
        next = next.saturating_add(u64::try_from(rows).unwrap_or(0));
        begin..next
    };
    metadata.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).map(span).collect()
}

/// The physical rows that a selection of these row groups of a file picks; the file begins at row `start`.
pub(super) fn possible_rows(
    metadata: &ArrowReaderMetadata,
    start: u64,
    groups: &[usize],
    selection: Option<&RowSelection>,
) -> Vec<Range<u64>> {
    let spans = spans(metadata, start);
    let mut spans = groups.iter().filter_map(|group| spans.get(*group).cloned());
    let Some(selection) = selection else { return spans.collect() };
    let mut ranges = Vec::new();
    let mut span = spans.next();
    for selector in selection.iter() {
        let mut left = selector.row_count as u64;
        while left > 0 {
            let Some(here) = &mut span else { return ranges };
            let rows = left.min(here.end - here.start);
            if !selector.skip && rows > 0 {
                ranges.push(here.start..here.start + rows);
            }
            here.start += rows;
            left -= rows;
            if here.start == here.end {
                span = spans.next();
            }
        }
    }
    ranges
}

/// The rows of a file's row groups that lie in these ranges; the file begins at row `start`.
fn selected(metadata: &ArrowReaderMetadata, groups: &[usize], start: u64, ranges: &[Range<u64>]) -> RowSelection {
    let spans = spans(metadata, start);
    let mut selectors = Vec::new();
    for span in groups.iter().filter_map(|group| spans.get(*group)) {
        let mut next = span.start;
        let first = ranges.partition_point(|range| range.end <= span.start);
        for range in ranges.iter().skip(first).take_while(|range| range.start < span.end) {
            let (low, high) = (range.start.max(span.start), range.end.min(span.end));
            selectors.push(RowSelector::skip((low - next) as usize));
            selectors.push(RowSelector::select((high - low) as usize));
            next = high;
        }
        selectors.push(RowSelector::skip((span.end - next) as usize));
    }
    selectors.retain(|selector| selector.row_count > 0);
    RowSelection::from(selectors)
}

/// A batch whose last column counts from the beginning of the snapshot, no more from that of the file.
fn from_start(batch: &RecordBatch, start: u64) -> Result<RecordBatch, ArrowError> {
    let name = ROW_NUMBER;
    let numbers = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let numbers = numbers.ok_or_else(|| ArrowError::SchemaError("a file's rows have no numbers".to_owned()))?;
    let numbers: UInt64Array = numbers.unary(|number| start + number.cast_unsigned());
    let mut columns = batch.columns().to_vec();
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    if let Some(at) = fields.iter().position(|field| field.name() == name) {
        fields.remove(at);
        columns.remove(at);
    }
    fields.push(Arc::new(Field::new(name, DataType::UInt64, false)));
    columns.push(Arc::new(numbers));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
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

/// Decoded bytes of the columns wanted, about, and rows of a file.
pub(super) fn decoded(metadata: &ArrowReaderMetadata, mask: &ProjectionMask) -> (u64, u64) {
    let parquet = metadata.metadata();
    let mut bytes = 0_u64;
    for group in parquet.row_groups() {
        for (leaf, column) in group.columns().iter().enumerate() {
            if mask.leaf_included(leaf) {
                bytes = bytes.saturating_add(u64::try_from(column.uncompressed_size()).unwrap_or(0));
            }
        }
    }
    (bytes, u64::try_from(parquet.file_metadata().num_rows()).unwrap_or(0))
}

/// Rows of a batch so that it holds [`BATCH_BYTES`], by the averages of the file.
fn batch_rows(metadata: &ArrowReaderMetadata, mask: &ProjectionMask) -> usize {
    let (bytes, rows) = decoded(metadata, mask);
    let each = (bytes / rows.max(1)).max(1);
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
