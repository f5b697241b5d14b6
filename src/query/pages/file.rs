//! An open file: rows by their numbers, at once or batch by batch.

use std::{collections::VecDeque, ops::Range, panic::AssertUnwindSafe, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    compute::{cast, concat_batches},
    datatypes::{FieldRef, SchemaRef},
};
use futures::{FutureExt, TryStreamExt, stream, stream::BoxStream};
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask, arrow_reader::RowSelection},
    errors::ParquetError,
};

use super::{cache::PageCache, page, plan::Plan, shape::FileColumn};
use crate::{
    catalog::DataFile,
    query::{
        QueryError,
        budget::Budget,
        footer::{Footer, Footers},
        ranges,
        reader::FileReader,
    },
    store::Store,
};

/// Stored bytes read at once where a stretch of rows is longer than a batch: few reads, and little that nobody waits for.
const AHEAD: u64 = 4 << 20;

/// A file whose footer is known.
#[derive(Debug, Clone)]
pub(in crate::query) struct OpenFile {
    reader: FileReader,
    footers: Arc<Footers>,
    footer: Arc<Footer>,
    /// Whether pages that are read again are kept: not those of a walk through all of them.
    keeps: bool,
}

/// Rows of a file and their numbers.
#[derive(Debug)]
pub(in crate::query) struct Piece {
    pub(in crate::query) batch: RecordBatch,
    pub(in crate::query) rows: Vec<Range<u64>>,
}

/// Where a column comes from.
pub(super) enum Source<'a> {
    /// Its pages.
    Pages(Plan<'a>),
    /// The `parquet` crate; the column's position in the file.
    Foreign(usize),
    /// The file has none of its name: it is null.
    Nowhere,
}

impl OpenFile {
    /// Reads its footer, if that is not known yet. What is read of the file is paid from `budget`.
    ///
    /// # Errors
    /// When it cannot be read or is no Parquet.
    pub(in crate::query) async fn open(
        store: &Store,
        footers: &Arc<Footers>,
        file: &DataFile,
        budget: &Budget,
    ) -> Result<Self, QueryError> {
        let reader = FileReader::new(store, file, budget);
        let footer = footers.footer(&reader).await?;
        Ok(Self::new(reader, Arc::clone(footers), footer))
    }

    /// What a reader of a file reads, and the file's footer.
    pub(super) fn new(reader: FileReader, footers: Arc<Footers>, footer: Arc<Footer>) -> Self {
        Self { reader, footers, footer, keeps: true }
    }

    pub(in crate::query) fn footer(&self) -> &Arc<Footer> {
        &self.footer
    }

    pub(in crate::query) fn footers(&self) -> &Footers {
        &self.footers
    }

    pub(in crate::query) fn reader(&self) -> &FileReader {
        &self.reader
    }

    /// These rows. The batch has exactly the columns wanted, in that order and type; a column the file lacks is null.
    /// Decodes on the calling thread.
    ///
    /// # Errors
    /// When the bytes cannot be read, are not what was written, or are more than the budget allows.
    pub(in crate::query) async fn read(
        &self,
        wanted: &SchemaRef,
        rows: &[Range<u64>],
    ) -> Result<RecordBatch, ParquetError> {
        let total = usize::try_from(ranges::count(rows));
        let total = total.map_err(|_| page::damaged("more rows than memory has room for"))?;
        let cache = &self.footers.pages;
        let mut fetch = Vec::new();
        let plans = self.plans(wanted, rows, Some(cache), &mut fetch)?;
        let stored = self.reader.pieces(&fetch).await?;
        let mut columns = Vec::with_capacity(plans.len());
        for (field, plan) in wanted.fields().iter().zip(plans) {
            let column = match plan {
                Source::Pages(plan) => plan.decode(total, cache, self.keeps, &stored)?,
                Source::Foreign(place) => {
                    // The crate panics on some damaged bytes.
                    let read = AssertUnwindSafe(self.by_crate(place, rows)).catch_unwind().await;
                    read.unwrap_or_else(|_| Err(page::damaged("the pages of a nested column are damaged")))?
                }
                Source::Nowhere => new_null_array(field.data_type(), total),
            };
            let same = column.data_type() == field.data_type();
            columns.push(if same { column } else { cast(&column, field.data_type())? });
        }
        batch(wanted, columns, total)
    }

    /// The same as batches of at most so many rows, as they are asked for. Where there are more, the pages of several
    /// batches are read together.
    pub(in crate::query) fn stream(
        self,
        wanted: SchemaRef,
        rows: Vec<Range<u64>>,
        batch_rows: u64,
    ) -> BoxStream<'static, Result<Piece, ParquetError>> {
        let (stored, all) = (self.footer.bytes(&wanted).stored, self.footer.rows());
        let together = AHEAD.saturating_mul(all).checked_div(stored).unwrap_or(all).max(batch_rows);
        let begin = (self.clone(), VecDeque::from(rows), VecDeque::new());
        let pieces = stream::try_unfold(begin, move |(mut ahead, mut rest, mut next)| {
            let (file, wanted) = (self.clone(), Arc::clone(&wanted));
            async move {
                if next.is_empty() {
                    next = ranges::split(&mut rest, together).into();
                    ahead = match ranges::count(next.make_contiguous()) {
                        0 => return Ok(None),
                        few if few <= batch_rows => file,
                        _ => file.ahead(&wanted, next.make_contiguous()).await?,
                    };
                }
                let most = ahead.whole_pages(next.front().map_or(0, |range| range.start), batch_rows);
                let rows = ranges::split(&mut next, most);
                let batch = ahead.read(&wanted, &rows).await?;
                Ok(Some((Piece { batch, rows }, (ahead, rest, next))))
            }
        });
        Box::pin(pieces)
    }

    /// This file with what these rows are stored in at hand.
    async fn ahead(&self, wanted: &SchemaRef, rows: &[Range<u64>]) -> Result<Self, ParquetError> {
        let mut fetch = Vec::new();
        self.plans(wanted, rows, None, &mut fetch)?;
        Ok(Self { reader: self.reader.ahead(fetch).await?, keeps: false, ..self.clone() })
    }

    /// Rows of a batch that begins at a row and ends with a page, if it may hold one: no page is decompressed for two
    /// batches. Pages of all columns end at the same rows, but for those whose values are long.
    fn whole_pages(&self, begin: u64, most: u64) -> u64 {
        let starts = self.footer.layout.starts();
        let Some(group) = starts.partition_point(|start| *start <= begin).checked_sub(1) else { return most };
        let first = starts.get(group).copied().unwrap_or(0);
        let index = self.footer.metadata.metadata().offset_index();
        let Some(pages) = index.and_then(|groups| groups.get(group)?.first()) else { return most };
        let pages = pages.page_locations();
        let end = (begin + most - first) as i64;
        let last = pages.partition_point(|page| page.first_row_index <= end).checked_sub(1);
        let end = last.and_then(|last| pages.get(last)).map_or(0, |page| first + page.first_row_index as u64);
        if end > begin { end - begin } else { most }
    }

    /// Where each column comes from; what is not kept and has to be read is added to `fetch`.
    pub(super) fn plans(
        &self,
        wanted: &SchemaRef,
        rows: &[Range<u64>],
        cache: Option<&PageCache>,
        fetch: &mut Vec<Range<u64>>,
    ) -> Result<Vec<Source<'_>>, ParquetError> {
        let mut of = |field: &FieldRef| {
            let Ok(place) = self.footer.metadata.schema().index_of(field.name()) else { return Ok(Source::Nowhere) };
            match self.footer.layout.columns.get(place) {
                Some(FileColumn::Native(leaf)) => Ok(Source::Pages(Plan::new(&self.footer, leaf, rows, cache, fetch)?)),
                Some(FileColumn::Foreign) => Ok(Source::Foreign(place)),
                None => Ok(Source::Nowhere),
            }
        };
        wanted.fields().iter().map(&mut of).collect()
    }

    /// A column that is not read here.
    async fn by_crate(&self, place: usize, rows: &[Range<u64>]) -> Result<ArrayRef, ParquetError> {
        let metadata = &self.footer.metadata;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), [place]);
        let all = usize::try_from(self.footer.rows()).unwrap_or(usize::MAX);
        let ranges = rows.iter().map(|range| range.start as usize..range.end as usize);
        let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(self.reader.clone(), metadata.clone())
            .with_projection(mask)
            .with_row_selection(RowSelection::from_consecutive_ranges(ranges, all))
            .build()?;
        let schema = Arc::clone(stream.schema());
        let batches = stream.try_collect::<Vec<_>>().await?;
        let batch = concat_batches(&schema, &batches)?;
        batch.columns().first().cloned().ok_or_else(|| page::damaged("a column was not read"))
    }
}

/// A batch, also one without columns.
pub(in crate::query) fn batch(
    wanted: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, ParquetError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options)?)
}
