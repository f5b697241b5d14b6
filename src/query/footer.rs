//! Footers and page indexes of published files, read once, kept by bytes, shared by all scans of a server.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    errors::Result as ParquetResult,
    file::{
        metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder, RowGroupMetaData},
        page_index::column_index::ColumnIndexMetaData,
    },
};
use quick_cache::{Weighter, sync::Cache};

use super::{
    QueryError,
    pages::{self, PageCache, PageCounts},
    reader::FileReader,
    views,
};

/// Bytes of decoded footers kept.
const METADATA_CACHE: u64 = 256 << 20;
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
    /// What each top-level column takes, in the file's order.
    bytes: Vec<Bytes>,
}

/// What columns take in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bytes {
    /// Compressed.
    pub(super) stored: u64,
    /// Decompressed.
    pub(super) plain: u64,
}

impl std::ops::Add for Bytes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (stored, plain) = (self.stored.saturating_add(other.stored), self.plain.saturating_add(other.plain));
        Self { stored, plain }
    }
}

impl Footer {
    fn new(metadata: ArrowReaderMetadata) -> Self {
        let descriptor = metadata.parquet_schema();
        let mut bytes = vec![Bytes::default(); metadata.schema().fields().len()];
        for group in metadata.metadata().row_groups() {
            for (leaf, column) in group.columns().iter().enumerate() {
                let size = |bytes| u64::try_from(bytes).unwrap_or(0);
                let here = Bytes { stored: size(column.compressed_size()), plain: size(column.uncompressed_size()) };
                if let Some(of_root) = bytes.get_mut(descriptor.get_column_root_idx(leaf)) {
                    *of_root = *of_root + here;
                }
            }
        }
        Self { layout: pages::Layout::new(&metadata), bytes, metadata }
    }

    /// Rows of the file.
    pub(super) fn rows(&self) -> u64 {
        self.layout.starts().last().copied().unwrap_or(0)
    }

    /// What the file's columns of these names take; it may lack some.
    pub(super) fn bytes_of<'a>(&self, columns: impl Iterator<Item = &'a str>) -> Bytes {
        let places = columns.filter_map(|name| self.metadata.schema().index_of(name).ok());
        places.filter_map(|place| self.bytes.get(place)).fold(Bytes::default(), |all, column| all + *column)
    }

    /// [`Self::bytes_of`] the columns of a schema.
    pub(super) fn bytes(&self, wanted: &SchemaRef) -> Bytes {
        self.bytes_of(wanted.fields().iter().map(|field| field.name().as_str()))
    }

    /// What all its columns take.
    pub(super) fn all_bytes(&self) -> Bytes {
        self.bytes.iter().fold(Bytes::default(), |all, column| all + *column)
    }
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

    /// The footer and page index of a file. Read once, however many ask at a time.
    ///
    /// # Errors
    /// When the file cannot be read or is no Parquet.
    pub(super) async fn footer(&self, reader: &FileReader) -> Result<Arc<Footer>, QueryError> {
        if let Some(known) = self.files.get(reader.key()) {
            return Ok(known);
        }
        let read = async {
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            let metadata = ArrowReaderMetadata::load_async(&mut reader.clone(), options)
                .await
                .and_then(|metadata| {
                    let (arrow, parquet) = (Arc::clone(metadata.schema()), Arc::clone(metadata.metadata()));
                    // Whoever has it alone need not copy it.
                    drop(metadata);
                    views::hinted(&arrow, without_bounds_of_floats(parquet)?)
                })
                .map_err(|source| QueryError::File { file: reader.key().to_owned(), source })?;
            Ok(Arc::new(Footer::new(metadata)))
        };
        self.files.get_or_insert_async(reader.key(), read).await
    }
}

/// Bounds of floating-point columns leave NaN out, which sorts above every number here: whoever prunes by them loses
/// rows. So nobody gets to see them.
fn without_bounds_of_floats(parquet: Arc<ParquetMetaData>) -> ParquetResult<Arc<ParquetMetaData>> {
    let is_float = |column: &ColumnChunkMetaData| {
        use parquet::basic::{LogicalType, Type};
        let half = matches!(column.column_descr().logical_type_ref(), Some(LogicalType::Float16));
        half || matches!(column.column_type(), Type::FLOAT | Type::DOUBLE)
    };
    let has_float = parquet.row_groups().first().is_some_and(|group| group.columns().iter().any(is_float));
    if !has_float {
        return Ok(parquet);
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
    let whole = ParquetMetaDataBuilder::new(parquet.file_metadata().clone());
    let whole = whole.set_row_groups(groups).set_column_index(pages).set_offset_index(parquet.offset_index().cloned());
    Ok(Arc::new(whole.build()))
}
