//! One Parquet file: zstd, row groups small enough that a few answers at once fit in memory.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};

use crate::{config::PAGE_ROWS, query::QueryError};

/// Uncompressed bytes of a row group, about.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// Rows of a row group at most.
const ROW_GROUP_ROWS: usize = 250_000;

/// Writes batches as one Parquet file.
pub struct ParquetFile {
    writer: ArrowWriter<Vec<u8>>,
}

impl std::fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFile").finish_non_exhaustive()
    }
}

impl ParquetFile {
    pub(super) fn new(schema: &SchemaRef, metadata: Vec<(String, String)>) -> Result<Self, QueryError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(PAGE_ROWS)
            .set_created_by(concat!("openshelf ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(
                metadata.into_iter().map(|(key, value)| KeyValue::new(key, Some(value))).collect(),
            ))
            .build();
        Ok(Self { writer: ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))? })
    }

    pub(super) fn push(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), QueryError> {
        self.writer.write(batch)?;
        if self.writer.in_progress_size() >= ROW_GROUP_BYTES {
            self.writer.flush()?;
        }
        self.drain(out)
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), QueryError> {
        self.writer.finish()?;
        self.drain(out)
    }

    /// The writer counts what it wrote by itself, so its buffer may be emptied under it.
    fn drain(&mut self, out: &mut Vec<u8>) -> Result<(), QueryError> {
        self.writer.sync().map_err(ParquetError::from)?;
        out.append(self.writer.inner_mut());
        Ok(())
    }
}
