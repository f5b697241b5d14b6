//! An Arrow IPC stream, one message a batch.

use arrow::{array::RecordBatch, datatypes::SchemaRef, ipc::writer::StreamWriter};

use crate::query::QueryError;

/// Writes batches as an Arrow IPC stream.
pub struct ArrowStream {
    writer: StreamWriter<Vec<u8>>,
}

impl std::fmt::Debug for ArrowStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArrowStream").finish_non_exhaustive()
    }
}

impl ArrowStream {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, QueryError> {
        Ok(Self { writer: StreamWriter::try_new(Vec::new(), schema)? })
    }

    pub(super) fn push(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), QueryError> {
        self.writer.write(batch)?;
        out.append(self.writer.get_mut());
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), QueryError> {
        self.writer.finish()?;
        out.append(self.writer.get_mut());
        Ok(())
    }
}
