//! Bytes of Parquet files out of the store: ranges coalesced by the store, footers and page indexes cached.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use parquet::{
    arrow::{
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        async_reader::AsyncFileReader,
    },
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        page_index::column_index::ColumnIndexMetaData,
    },
};
use quick_cache::{Weighter, sync::Cache};

use super::{
    QueryError,
    budget::Budget,
    pages::{self, PageCache, PageCounts},
};
use crate::{catalog::DataFile, store::Store};

/// Bytes of decoded footers kept.
const METADATA_CACHE: u64 = 256 << 20;
/// Bytes read from the end of a file at first: footer and page index of most files.
const FOOTER: usize = 256 << 10;
/// Bytes of decompressed pages kept, unless the settings say otherwise.
const PAGE_CACHE: u64 = 64 << 20;
/// Footers kept, about.
const FOOTERS: usize = 10_000;

#[derive(Clone)]
struct MemorySize;

impl Weighter<String, Arc<Footer>> for MemorySize {
    fn weight(&self, key: &String, footer: &Arc<Footer>) -> u64 {
        (key.len() + footer.metadata.metadata().memory_size()) as u64
    }
}

/// Footer and page index of a file, and what follows from them.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) metadata: ArrowReaderMetadata,
    pub(super) layout: pages::Layout,
}

/// What is known of published files, shared by all scans of a server. Files are immutable, so nothing here goes stale.
pub struct Footers {
    files: Cache<String, Arc<Footer>, MemorySize>,
    pub(super) pages: PageCache,
}

impl std::fmt::Debug for Footers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Footers").field("files", &self.files.len()).finish()
    }
}

impl Default for Footers {
    fn default() -> Self {
        Self::new(PAGE_CACHE)
    }
}

impl Footers {
    /// Footers, and pages of so many bytes.
    pub fn new(page_bytes: u64) -> Self {
        Self { files: Cache::with_weighter(FOOTERS, METADATA_CACHE, MemorySize), pages: PageCache::new(page_bytes) }
    }

    /// How often decompressed pages were kept when they were wanted.
    pub fn page_counts(&self) -> PageCounts {
        self.pages.counts()
    }

    /// The footer and page index of a file.
    ///
    /// # Errors
    /// When the file cannot be read or is no Parquet.
    pub(super) async fn of(&self, reader: &mut FileReader) -> Result<ArrowReaderMetadata, QueryError> {
        Ok(self.footer(reader).await?.metadata.clone())
    }

    /// The same, with what follows from it. Read once, however many ask at a time.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(super) async fn footer(&self, reader: &FileReader) -> Result<Arc<Footer>, QueryError> {
        if let Some(known) = self.files.get(reader.key.as_ref()) {
            return Ok(known);
        }
        let read = async {
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            let metadata = ArrowReaderMetadata::load_async(&mut reader.clone(), options)
                .await
                .and_then(without_bounds_of_floats)
                .map_err(|source| QueryError::File { file: reader.key.to_string(), source })?;
            Ok(Arc::new(Footer { layout: pages::Layout::new(&metadata), metadata }))
        };
        self.files.get_or_insert_async(reader.key.as_ref(), read).await
    }
}

/// Bounds of floating-point columns leave NaN out, which sorts above every number here: whoever prunes by them loses
/// rows. So nobody gets to see them.
fn without_bounds_of_floats(metadata: ArrowReaderMetadata) -> ParquetResult<ArrowReaderMetadata> {
    let is_float = |column: &ColumnChunkMetaData| {
        use parquet::basic::{LogicalType, Type};
        let half = matches!(column.column_descr().logical_type_ref(), Some(LogicalType::Float16));
        half || matches!(column.column_type(), Type::FLOAT | Type::DOUBLE)
    };
    let parquet = metadata.metadata();
    let has_float = parquet.row_groups().first().is_some_and(|group| group.columns().iter().any(is_float));
    if !has_float {
        return Ok(metadata);
    }
    let mut groups = Vec::with_capacity(parquet.num_row_groups());
    for group in parquet.row_groups() {
        let clear = |column: &ColumnChunkMetaData| match is_float(column) {
            true => column.clone().into_builder().clear_statistics().build(),
            false => Ok(column.clone()),
        };
        let columns = group.columns().iter().map(clear).collect::<ParquetResult<Vec<_>>>()?;
        groups.push(group.clone().into_builder().set_column_metadata(columns).build()?);
    }
    let pages = parquet.column_index().map(|index| {
        let of_group = |(group, pages): (&RowGroupMetaData, &Vec<ColumnIndexMetaData>)| {
            let of_column = |(column, pages): (&ColumnChunkMetaData, &ColumnIndexMetaData)| match is_float(column) {
                true => ColumnIndexMetaData::NONE,
                false => pages.clone(),
            };
            group.columns().iter().zip(pages).map(of_column).collect()
        };
        parquet.row_groups().iter().zip(index).map(of_group).collect()
    });
    let schema = Arc::clone(metadata.schema());
    let parquet = parquet.as_ref().clone().into_builder().set_row_groups(groups).set_column_index(pages).build();
    ArrowReaderMetadata::try_new(Arc::new(parquet), ArrowReaderOptions::new().with_schema(schema))
}

/// Reads one file; what it takes from the store is paid from the budget of its scan.
#[derive(Debug, Clone)]
pub(super) struct FileReader {
    store: Store,
    key: Arc<str>,
    bytes: u64,
    budget: Budget,
}

impl FileReader {
    pub(super) fn new(store: &Store, file: &DataFile, budget: &Budget) -> Self {
        Self { store: store.clone(), key: file.key.as_str().into(), bytes: file.bytes, budget: budget.clone() }
    }

    /// These ranges, in the order asked for. From a disk they are read on the calling thread.
    pub(super) async fn pieces(&self, ranges: &[Range<u64>]) -> ParquetResult<Vec<Bytes>> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        self.may_read(ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum())?;
        let pieces = self.store.pieces(&self.key, ranges).await.map_err(external)?;
        self.budget.count(pieces.iter().map(|piece| piece.len() as u64).sum());
        Ok(pieces)
    }

    /// What it is paid from.
    #[cfg(test)]
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.bytes
    }

    /// As [`Self::pieces`], for a few bytes that tell what need not be read: they are not counted.
    pub(super) async fn index(&self, ranges: &[Range<u64>]) -> ParquetResult<Vec<Bytes>> {
        self.store.pieces(&self.key, ranges).await.map_err(external)
    }

    fn may_read(&self, bytes: u64) -> ParquetResult<()> {
        self.budget.check(bytes).map_err(|over| ParquetError::External(Box::new(over)))
    }
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            self.may_read(range.end.saturating_sub(range.start))?;
            let bytes = self.store.range(&self.key, range).await.map_err(external)?;
            self.budget.count(bytes.len() as u64);
            Ok(bytes)
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            self.may_read(ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum())?;
            let parts = self.store.ranges(&self.key, &ranges).await.map_err(external)?;
            self.budget.count(parts.iter().map(|part| part.len() as u64).sum());
            Ok(parts)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let size = self.bytes;
            let metadata = ParquetMetaDataReader::new()
                .with_arrow_reader_options(options)
                .with_prefetch_hint(Some(FOOTER))
                .load_and_finish(self, size)
                .await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}

fn external(error: crate::store::StoreError) -> ParquetError {
    ParquetError::External(Box::new(error))
}
