//! Parquet files: rows in their final order become row groups, and those files, each within its bounds.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::{
    arrow::{
        ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata,
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData},
        writer::SerializedFileWriter,
    },
};
use sha2::{Digest, Sha256};

use super::{
    EncodedFile, Folder,
    bounds::{bounds, note_nan},
    checksum::{ChecksumPages, Pages},
    partitions::Partitions,
    properties::{properties, step},
    spill::memory_of,
};
use crate::{catalog::TableSchema, config::EncodeSettings, ingest::Failure};

/// Uncompressed bytes encoded at a time: enough for threads to share, little enough to hold.
const CHUNK: usize = 16 << 20;
/// Smaller chunks are encoded on the calling thread.
const WORTH_A_THREAD: usize = 1 << 20;
/// Threads that encode columns side by side.
const THREADS: usize = 2;

/// What all files of a table have in common.
#[derive(Clone)]
pub(super) struct FileShape {
    pub(super) table: TableSchema,
    pub(super) schema: SchemaRef,
    /// Columns that the rows are sorted by.
    pub(super) sorted_by: Vec<usize>,
    /// None of whose rows have been seen.
    pub(super) partitions: Partitions,
    /// Key-value metadata.
    pub(super) metadata: Vec<(String, String)>,
    pub(super) settings: EncodeSettings,
    pub(super) folder: Arc<Folder>,
}

/// Writes files.
pub(super) struct Files {
    shape: FileShape,
    pending: Vec<RecordBatch>,
    pending_bytes: usize,
    pending_rows: usize,
    open: Option<OpenFile>,
    done: Vec<EncodedFile>,
    /// Uncompressed bytes so far.
    bytes: u64,
}

struct OpenFile {
    path: PathBuf,
    writer: SerializedFileWriter<HashingFile>,
    group: Option<Group>,
    groups: usize,
    rows: u64,
    nan: Vec<bool>,
}

/// A row group under way.
struct Group {
    columns: Vec<ColumnWriters>,
    rows: usize,
    bytes: usize,
}

/// The writers of a top-level column's leaves, and the pages they have written.
struct ColumnWriters(Vec<(ArrowColumnWriter, Arc<Mutex<Pages>>)>);

impl Files {
    pub(super) fn new(shape: FileShape) -> Self {
        Self { shape, pending: Vec::new(), pending_bytes: 0, pending_rows: 0, open: None, done: Vec::new(), bytes: 0 }
    }

    /// Uncompressed bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.pending_bytes as u64
    }

    /// Adds rows; those of a partition must follow each other.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        for rows in self.shape.partitions.ranges(batch)? {
            if self.shape.partitions.ends(batch, rows.start)? {
                self.encode()?;
                self.close()?;
                self.shape.partitions.begin(batch, rows.start)?;
            }
            self.write_rows(batch.slice(rows.start, rows.len()))?;
        }
        Ok(())
    }

    fn write_rows(&mut self, mut batch: RecordBatch) -> Result<(), Failure> {
        while batch.num_rows() > 0 {
            // Row groups end where their number of rows is reached, whatever the batches.
            let in_group = self.open.as_ref().and_then(|file| file.group.as_ref()).map_or(0, |group| group.rows);
            let room = self.shape.settings.row_group_rows.max(1).saturating_sub(in_group + self.pending_rows);
            let taken = batch.slice(0, batch.num_rows().min(room));
            batch = batch.slice(taken.num_rows(), batch.num_rows() - taken.num_rows());
            self.pending_bytes += memory_of(&taken);
            self.pending_rows += taken.num_rows();
            let full = taken.num_rows() == room;
            self.pending.push(taken);
            if full || self.pending_bytes >= CHUNK.min(self.shape.settings.row_group_bytes) {
                self.encode()?;
            }
        }
        Ok(())
    }

    /// All files. There is always one, so that engines find the schema of a table without rows.
    pub(super) fn finish(mut self) -> Result<Vec<EncodedFile>, Failure> {
        self.encode()?;
        if self.done.is_empty() && self.open.is_none() {
            self.open = Some(self.create()?);
        }
        self.close()?;
        Ok(self.done)
    }

    /// Encodes what is pending, and ends row group and file where they are full.
    fn encode(&mut self) -> Result<(), Failure> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.create()?,
        };
        let batches = std::mem::take(&mut self.pending);
        let bytes = std::mem::take(&mut self.pending_bytes);
        self.pending_rows = 0;
        self.bytes += bytes as u64;
        let settings = &self.shape.settings;
        file.write(&batches, bytes, &self.shape.schema, step(settings))?;
        let group = file.group.as_ref().map_or((0, 0), |group| (group.rows, group.bytes));
        let full = file.estimated_bytes() >= settings.file_bytes;
        if full || group.0 >= settings.row_group_rows || group.1 >= settings.row_group_bytes {
            file.end_group()?;
        }
        let full = file.estimated_bytes() >= settings.file_bytes;
        self.open = Some(file);
        if full { self.close() } else { Ok(()) }
    }

    fn create(&self) -> Result<OpenFile, Failure> {
        let shape = &self.shape;
        let path = shape.folder.path().join(format!("{:06}.parquet", self.done.len()));
        let internal = |error: ParquetError| failed(&path, &error);
        let descriptor = ArrowSchemaConverter::new().convert(&shape.schema).map_err(internal)?;
        let mut properties =
            properties(&shape.table, &shape.sorted_by, &shape.metadata, &shape.settings, &descriptor, &self.pending)?;
        add_encoded_arrow_schema_to_metadata(&shape.schema, &mut properties);
        let file = HashingFile::create(&path)?;
        let writer =
            SerializedFileWriter::new(file, descriptor.root_schema_ptr(), Arc::new(properties)).map_err(internal)?;
        Ok(OpenFile { path, writer, group: None, groups: 0, rows: 0, nan: vec![false; shape.schema.fields().len()] })
    }

    fn close(&mut self) -> Result<(), Failure> {
        let Some(mut file) = self.open.take() else { return Ok(()) };
        file.end_group()?;
        let path = file.path;
        let internal = |error: ParquetError| failed(&path, &error);
        let metadata = file.writer.finish().map_err(internal)?;
        let bytes = file.writer.bytes_written() as u64;
        file.writer.flush().map_err(|error| super::spill::failed(&path, "write", &error))?;
        let sha256 = file.writer.inner().sha256();
        let columns = bounds(&metadata, &self.shape.table, &self.shape.schema, &file.nan)?;
        self.done.push(EncodedFile {
            path,
            bytes,
            rows: file.rows,
            sha256,
            partition: self.shape.partitions.value(),
            row_groups: row_groups(&metadata),
            columns,
            _folder: Arc::clone(&self.shape.folder),
        });
        Ok(())
    }
}

impl OpenFile {
    /// Bytes written, and about those of the row group under way.
    fn estimated_bytes(&self) -> u64 {
        let writers = self.group.iter().flat_map(|group| &group.columns).flat_map(|column| &column.0);
        let under_way: usize = writers.map(|(writer, _)| writer.get_estimated_total_bytes()).sum();
        (self.writer.bytes_written() + under_way) as u64
    }

    fn write(&mut self, batches: &[RecordBatch], bytes: usize, schema: &SchemaRef, step: usize) -> Result<(), Failure> {
        let internal = |error: ParquetError| failed(&self.path, &error);
        let group = match &mut self.group {
            Some(group) => group,
            none => none.insert(Group::begin(&self.writer, schema, self.groups).map_err(internal)?),
        };
        for batch in batches {
            note_nan(batch, &mut self.nan);
        }
        let offset = group.rows;
        let work: Vec<_> = group.columns.iter_mut().enumerate().collect();
        let encode = |(at, column): (usize, &mut ColumnWriters)| column.write(at, batches, schema, offset, step);
        if bytes < WORTH_A_THREAD || work.len() < 2 {
            work.into_iter().try_for_each(encode).map_err(internal)?;
        } else {
            share(work, batches, &encode).map_err(internal)?;
        }
        let rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        group.rows += rows;
        group.bytes += bytes;
        self.rows += rows as u64;
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), Failure> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let internal = |error: ParquetError| failed(&self.path, &error);
        let mut row_group = self.writer.next_row_group().map_err(internal)?;
        for (writer, pages) in group.columns.into_iter().flat_map(|column| column.0) {
            let closed = writer.close().map_err(internal)?.close().clone();
            let mut pages = pages.lock().unwrap_or_else(PoisonError::into_inner);
            let (chunk, closed) = pages.finish(closed).map_err(internal)?;
            row_group.append_column(&chunk, closed).map_err(internal)?;
        }
        row_group.close().map_err(internal)?;
        self.groups += 1;
        Ok(())
    }
}

impl Group {
    fn begin(
        writer: &SerializedFileWriter<HashingFile>,
        schema: &SchemaRef,
        number: usize,
    ) -> Result<Self, ParquetError> {
        let pages = Arc::new(ChecksumPages::default());
        let factory = ArrowRowGroupWriterFactory::new(writer, schema.clone()).with_page_store_factory(pages.clone());
        let writers = factory.create_column_writers(number)?;
        let mut columns: Vec<ColumnWriters> = schema.fields().iter().map(|_| ColumnWriters(Vec::new())).collect();
        let descriptor = writer.schema_descr();
        for (leaf, writer) in writers.into_iter().zip(pages.columns()).enumerate() {
            if let Some(column) = columns.get_mut(descriptor.get_column_root_idx(leaf)) {
                column.0.push(writer);
            }
        }
        Ok(Self { columns, rows: 0, bytes: 0 })
    }
}

impl ColumnWriters {
    /// Writes column `at` of the batches, in steps that meet at multiples of `step` rows of the row group.
    fn write(
        &mut self,
        at: usize,
        batches: &[RecordBatch],
        schema: &SchemaRef,
        mut offset: usize,
        step: usize,
    ) -> Result<(), ParquetError> {
        for batch in batches {
            let column = batch.column(at);
            let mut from = 0;
            while from < column.len() {
                let rows = (step - offset % step).min(column.len() - from);
                let leaves = compute_leaves(schema.field(at), &column.slice(from, rows))?;
                for ((writer, _), leaf) in self.0.iter_mut().zip(&leaves) {
                    writer.write(leaf)?;
                }
                from += rows;
                offset += rows;
            }
        }
        Ok(())
    }
}

/// Where row groups begin, if there are several.
fn row_groups(metadata: &ParquetMetaData) -> Vec<i64> {
    let groups = metadata.row_groups();
    let first = |column: &ColumnChunkMetaData| column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    if groups.len() < 2 { Vec::new() } else { groups.iter().filter_map(|g| g.columns().first().map(first)).collect() }
}

/// Encodes columns on a few threads, the largest first.
fn share<'a>(
    mut work: Vec<(usize, &'a mut ColumnWriters)>,
    batches: &[RecordBatch],
    encode: &(impl Fn((usize, &'a mut ColumnWriters)) -> Result<(), ParquetError> + Sync),
) -> Result<(), ParquetError> {
    let bytes = |at: usize| batches.first().map_or(0, |batch| batch.column(at).get_array_memory_size());
    work.sort_by_key(|(at, _)| bytes(*at));
    let work = Mutex::new(work);
    let worker = || {
        loop {
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(next) = next else { return Ok(()) };
            encode(next)?;
        }
    };
    let lost = |_| Err(ParquetError::General("a thread that encoded columns ended early".into()));
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..THREADS).map(|_| scope.spawn(worker)).collect();
        let own = worker();
        others.into_iter().map(|other| other.join().unwrap_or_else(lost)).fold(own, Result::and)
    })
}

/// A file that hashes what is written to it.
struct HashingFile {
    file: BufWriter<File>,
    hash: Sha256,
}

impl HashingFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| super::spill::failed(path, "create", &error))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 18, file), hash: Sha256::new() })
    }

    /// Of what was written so far, hex.
    fn sha256(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn failed(path: &Path, error: &ParquetError) -> Failure {
    super::spill::failed(path, "write", error)
}
