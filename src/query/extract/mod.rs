//! A result written as Parquet files of bounded size, on local disk, one at a time: each is handed on when it is whole.
//!
//! Owns the files' bounds and sums. Where they go, and how an extract stands, is not its business.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use sha2::{Digest, Sha256};

use super::{
    QueryError,
    encode::{Encoder, Format, OutputColumn},
};

/// Why a result is not written.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The query failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The result is too long.
    #[error("the result is longer than {0} bytes as Parquet, the most that is kept of one extract here")]
    TooLong(u64),
    /// The local disk does not take it.
    #[error("scratch space: {0}")]
    Disk(#[from] std::io::Error),
}

/// A file that is whole.
#[derive(Debug)]
pub struct Part {
    /// Where it lies; whoever gets it moves or removes it.
    pub path: PathBuf,
    /// Size.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// sha256, hex.
    pub sha256: String,
}

/// What the files have in common.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Schema of the batches.
    pub schema: SchemaRef,
    /// Columns, as answers show them.
    pub columns: Vec<OutputColumn>,
    /// Key-value metadata: query, snapshots, licenses.
    pub metadata: Vec<(String, String)>,
    /// Bytes of a file, about.
    pub file_bytes: u64,
    /// Most bytes of all files.
    pub most_bytes: u64,
}

/// Writes batches as files in a folder.
#[derive(Debug)]
pub struct PartWriter {
    shape: Shape,
    folder: PathBuf,
    open: Option<OpenPart>,
    parts: usize,
    bytes: u64,
}

#[derive(Debug)]
struct OpenPart {
    path: PathBuf,
    encoder: Encoder,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
    rows: u64,
}

impl PartWriter {
    /// A writer of files in a folder of its own.
    pub fn new(shape: Shape, folder: &Path) -> Self {
        Self { shape, folder: folder.to_owned(), open: None, parts: 0, bytes: 0 }
    }

    /// Adds rows; a file that is full by then is handed on. Encodes on the calling thread.
    ///
    /// # Errors
    /// When they cannot be encoded or written, or the result is too long.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Option<Part>, ExtractError> {
        let mut part = match self.open.take() {
            Some(part) => part,
            None => self.begin()?,
        };
        let mut ready = Vec::new();
        part.encoder.push(batch, &mut ready)?;
        part.rows += batch.num_rows() as u64;
        self.write(&mut part, &ready)?;
        if part.bytes < self.shape.file_bytes {
            self.open = Some(part);
            return Ok(None);
        }
        self.end(part).map(Some)
    }

    /// The last file. There is always one, so that a result without rows has a schema.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(mut self) -> Result<Option<Part>, ExtractError> {
        match self.open.take() {
            Some(part) => self.end(part).map(Some),
            None if self.parts == 0 => {
                let part = self.begin()?;
                self.end(part).map(Some)
            }
            None => Ok(None),
        }
    }

    fn begin(&mut self) -> Result<OpenPart, ExtractError> {
        let path = self.folder.join(format!("{:06}.parquet", self.parts));
        let shape = &self.shape;
        let encoder = Encoder::new(Format::Parquet, &shape.columns, &shape.schema, shape.metadata.clone())?;
        let file = BufWriter::new(File::create(&path)?);
        self.parts += 1;
        Ok(OpenPart { path, encoder, file, hash: Sha256::new(), bytes: 0, rows: 0 })
    }

    fn write(&mut self, part: &mut OpenPart, bytes: &[u8]) -> Result<(), ExtractError> {
        part.file.write_all(bytes)?;
        part.hash.update(bytes);
        part.bytes += bytes.len() as u64;
        self.bytes += bytes.len() as u64;
        if self.bytes > self.shape.most_bytes {
            return Err(ExtractError::TooLong(self.shape.most_bytes));
        }
        Ok(())
    }

    fn end(&mut self, part: OpenPart) -> Result<Part, ExtractError> {
        let OpenPart { path, encoder, mut file, mut hash, mut bytes, rows } = part;
        let mut rest = Vec::new();
        encoder.finish(&mut rest)?;
        file.write_all(&rest)?;
        file.flush()?;
        hash.update(&rest);
        bytes += rest.len() as u64;
        self.bytes += rest.len() as u64;
        if self.bytes > self.shape.most_bytes {
            return Err(ExtractError::TooLong(self.shape.most_bytes));
        }
        Ok(Part { path, bytes, rows, sha256: hex::encode(hash.finalize()) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;

    fn batch(from: i64) -> RecordBatch {
        // Not to be compressed away.
        let values = (from..from + 10_000).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64));
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
        RecordBatch::try_from_iter([("n", column)]).expect("a batch")
    }

    fn shape(file_bytes: u64, most_bytes: u64) -> Shape {
        let metadata = vec![("openshelf.extract".to_owned(), "x".to_owned())];
        Shape { schema: batch(0).schema(), columns: Vec::new(), metadata, file_bytes, most_bytes }
    }

    fn read(part: &Part) -> Vec<RecordBatch> {
        let bytes = std::fs::read(&part.path).expect("a file");
        assert_eq!((bytes.len() as u64, hex::encode(Sha256::digest(&bytes))), (part.bytes, part.sha256.clone()));
        let reader = ParquetRecordBatchReader::try_new(bytes::Bytes::from(bytes), 1 << 20).expect("Parquet");
        reader.map(|batch| batch.expect("a batch")).collect()
    }

    #[test]
    fn files_end_where_they_are_full_and_hold_every_row() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = PartWriter::new(shape(8 << 20, u64::MAX), folder.path());
        let mut parts = Vec::new();
        for from in 0..1000 {
            parts.extend(writer.push(&batch(from * 10_000)).expect("written"));
        }
        parts.extend(writer.finish().expect("written"));
        assert!(parts.len() > 1, "{}", parts.len());
        let rows: Vec<usize> = parts.iter().map(|part| read(part).iter().map(RecordBatch::num_rows).sum()).collect();
        assert_eq!(rows.iter().sum::<usize>(), 10_000_000);
        assert_eq!(rows, parts.iter().map(|part| part.rows as usize).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_a_file_too_and_too_much_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let part = PartWriter::new(shape(1, 1 << 20), folder.path()).finish().expect("written").expect("a file");
        assert_eq!((part.rows, read(&part).len()), (0, 0));
        let mut writer = PartWriter::new(shape(1 << 30, 10), folder.path());
        let mut refused = false;
        for from in 0..1000 {
            refused |= matches!(writer.push(&batch(from * 10_000)), Err(ExtractError::TooLong(10)));
            if refused {
                break;
            }
        }
        assert!(refused);
    }
}
