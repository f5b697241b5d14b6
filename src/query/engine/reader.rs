//! Bytes of files for DataFusion's Parquet source: our readers and footers, on the runtime that reads.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use datafusion::{
    datasource::{listing::PartitionedFile, physical_plan::parquet::ParquetFileReaderFactory},
    error::{DataFusionError, Result},
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use futures::{FutureExt, future::BoxFuture};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::ParquetMetaData,
};
use tokio::runtime::Handle;

use crate::query::{QueryError, budget::Budget, reader::FileReader, table::TableSource};

/// Which file of the table a listed file is.
#[derive(Debug, Clone)]
pub(super) struct FileAt {
    pub(super) at: usize,
    pub(super) source: Arc<TableSource>,
}

/// Opens files of one table.
#[derive(Debug)]
pub(super) struct Readers {
    pub(super) source: Arc<TableSource>,
    pub(super) budget: Budget,
    pub(super) reads: Handle,
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let at = file.extension::<FileAt>().and_then(|file| self.source.table.files.get(file.at));
        let data = at.ok_or_else(|| DataFusionError::Internal("a file that was not listed".to_owned()))?;
        Ok(Box::new(EngineReader {
            inner: FileReader::new(&self.source.store, data, &self.budget),
            source: Arc::clone(&self.source),
            reads: self.reads.clone(),
        }))
    }
}

/// Reads one file. The store is asked on another runtime, whose threads are not busy with a query's work; there are
/// as few and as large reads as the reader asks for.
struct EngineReader {
    inner: FileReader,
    source: Arc<TableSource>,
    reads: Handle,
}

impl EngineReader {
    async fn apart<T: Send + 'static>(
        &self,
        read: impl Future<Output = ParquetResult<T>> + Send + 'static,
    ) -> ParquetResult<T> {
        self.reads.spawn(read).await.map_err(|error| ParquetError::External(Box::new(error)))?
    }
}

impl AsyncFileReader for EngineReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let mut inner = self.inner.clone();
        async move { self.apart(async move { inner.get_bytes(range).await }).await }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let mut inner = self.inner.clone();
        async move { self.apart(async move { inner.get_byte_ranges(ranges).await }).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let (inner, footers) = (self.inner.clone(), Arc::clone(&self.source.footers));
        async move {
            let load = async move {
                let known = footers.footer(&inner).await.map_err(external)?;
                Ok(Arc::clone(known.metadata.metadata()))
            };
            self.apart(load).await
        }
        .boxed()
    }
}

fn external(error: QueryError) -> ParquetError {
    match error {
        QueryError::File { source, .. } => source,
        other => ParquetError::External(Box::new(other)),
    }
}
