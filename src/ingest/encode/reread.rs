//! Parquet files that were written while the input looked sorted, read back as a sorted run after it turned out not to be.

use std::{collections::VecDeque, fs::File};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::concat_batches,
    datatypes::SchemaRef,
};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{
    EncodedFile,
    spill::{Size, Spill, SpillReader, failed},
};
use crate::ingest::Failure;

/// Files, and beside them the columns that are carried along but not published.
pub(super) struct Reread {
    /// The table's columns, then those carried along.
    pub(super) schema: SchemaRef,
    pub(super) files: VecDeque<EncodedFile>,
    pub(super) carried: Option<Spill>,
    pub(super) bytes: u64,
    pub(super) batch_rows: usize,
}

/// Reads them.
pub(super) struct Rows {
    schema: SchemaRef,
    files: VecDeque<EncodedFile>,
    reader: Option<ParquetRecordBatchReader>,
    carried: Option<SpillReader>,
    /// Carried rows read ahead.
    ahead: Option<RecordBatch>,
    batch_rows: usize,
}

impl Reread {
    pub(super) fn size(&self) -> Size {
        Size { rows: self.files.iter().map(|file| file.rows).sum(), bytes: self.bytes }
    }

    pub(super) fn read(self) -> Result<Rows, Failure> {
        let carried = self.carried.map(Spill::read).transpose()?;
        let (schema, files) = (self.schema, self.files);
        Ok(Rows { schema, files, reader: None, carried, ahead: None, batch_rows: self.batch_rows })
    }
}

impl Rows {
    fn read(&mut self) -> Result<Option<RecordBatch>, Failure> {
        loop {
            if let Some(reader) = &mut self.reader {
                if let Some(batch) = reader.next() {
                    let batch = batch.map_err(|error| Failure::internal(format!("cannot read back: {error}")))?;
                    return self.complete(&batch).map(Some);
                }
                self.reader = None;
            }
            let Some(file) = self.files.pop_front() else { return Ok(None) };
            let opened = File::open(&file.path).map_err(|error| failed(&file.path, "read", &error))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(opened)
                .and_then(|builder| builder.with_batch_size(self.batch_rows).build())
                .map_err(|error| failed(&file.path, "read", &error))?;
            // The open file keeps its bytes.
            std::fs::remove_file(&file.path).unwrap_or_default();
            self.reader = Some(reader);
        }
    }

    fn complete(&mut self, batch: &RecordBatch) -> Result<RecordBatch, Failure> {
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        if self.carried.is_some() {
            columns.extend(self.take_carried(batch.num_rows())?.columns().iter().cloned());
        }
        RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| Failure::internal(format!("rows read back differ from those written: {error}")))
    }

    fn take_carried(&mut self, rows: usize) -> Result<RecordBatch, Failure> {
        let have = |ahead: &Option<RecordBatch>| ahead.as_ref().map_or(0, RecordBatch::num_rows);
        while have(&self.ahead) < rows {
            let next = self.carried.as_mut().and_then(Iterator::next);
            let next = next.ok_or_else(|| Failure::internal("fewer rows were carried than written"))??;
            self.ahead = Some(match self.ahead.take() {
                Some(ahead) => concat_batches(&next.schema(), [&ahead, &next])
                    .map_err(|error| Failure::internal(format!("cannot read back: {error}")))?,
                None => next,
            });
        }
        let Some(ahead) = &self.ahead else { return Err(Failure::internal("no rows were carried")) };
        let taken = ahead.slice(0, rows);
        self.ahead = Some(ahead.slice(rows, ahead.num_rows() - rows));
        Ok(taken)
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
