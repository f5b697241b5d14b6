//! Batches that do not fit memory, in Arrow IPC streams in scratch space.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

use arrow::{
    array::RecordBatch,
    datatypes::Schema,
    ipc::{
        CompressionType,
        reader::StreamReader,
        writer::{IpcWriteOptions, StreamWriter},
    },
};

use crate::ingest::Failure;

/// A file of batches under way.
pub(super) struct SpillWriter {
    path: PathBuf,
    writer: StreamWriter<BufWriter<File>>,
    size: Size,
}

/// A finished file of batches; removed when dropped.
pub(super) struct Spill {
    path: PathBuf,
    pub(super) size: Size,
}

/// How much is in a spill.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Reads a spill's batches; owns the file.
pub(super) struct SpillReader {
    reader: StreamReader<BufReader<File>>,
    spill: Spill,
}

impl SpillWriter {
    /// A new file.
    pub(super) fn create(path: PathBuf, schema: &Schema) -> Result<Self, Failure> {
        let file = File::create(&path).map_err(|error| failed(&path, "create", &error))?;
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .map_err(|error| failed(&path, "write", &error))?;
        let writer = StreamWriter::try_new_with_options(BufWriter::with_capacity(1 << 18, file), schema, options)
            .map_err(|error| failed(&path, "write", &error))?;
        Ok(Self { path, writer, size: Size::default() })
    }

    /// Adds a batch.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.size.rows += batch.num_rows() as u64;
        self.size.bytes += memory_of(batch) as u64;
        self.writer.write(batch).map_err(|error| failed(&self.path, "write", &error))
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<Spill, Failure> {
        let finished = self.writer.finish().and_then(|()| self.writer.flush());
        finished.map_err(|error| failed(&self.path, "write", &error))?;
        Ok(Spill { path: self.path, size: self.size })
    }
}

impl Spill {
    /// Opens it for one read.
    pub(super) fn read(self) -> Result<SpillReader, Failure> {
        let file = File::open(&self.path).map_err(|error| failed(&self.path, "read", &error))?;
        let reader = StreamReader::try_new(BufReader::with_capacity(1 << 18, file), None)
            .map_err(|error| failed(&self.path, "read", &error))?;
        Ok(SpillReader { reader, spill: self })
    }
}

impl Iterator for SpillReader {
    type Item = Result<RecordBatch, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.reader.next()?.map_err(|error| failed(&self.spill.path, "read", &error)))
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // The folder it lies in is removed with the encoder; this only frees the room earlier.
        std::fs::remove_file(&self.path).unwrap_or_default();
    }
}

/// Bytes of a batch's own values: a slice counts for what it shows.
pub(super) fn memory_of(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter().map(|column| {
        let data = column.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    });
    columns.sum::<usize>().max(1)
}

pub(super) fn failed(path: &Path, doing: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::internal(format!("cannot {doing} {}: {error}; is there room in the scratch space?", path.display()))
}
