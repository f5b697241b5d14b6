//! Bytes of Parquet files out of the store, paid from the budget of a scan: ranges coalesced by the store.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};

use super::budget::Budget;
use crate::{catalog::DataFile, store::Store};

/// Bytes read from the end of a file at first: footer and page index of most files.
const FOOTER: usize = 256 << 10;

/// Reads one file; what it takes from the store is paid from the budget of its scan.
#[derive(Debug, Clone)]
pub(super) struct FileReader {
    store: Store,
    key: Arc<str>,
    bytes: u64,
    budget: Budget,
    /// Stretches that were read before they are asked for: where each begins, and its bytes; ascending.
    at_hand: Vec<(u64, Bytes)>,
}

impl FileReader {
    pub(super) fn new(store: &Store, file: &DataFile, budget: &Budget) -> Self {
        Self {
            store: store.clone(),
            key: file.key.as_str().into(),
            bytes: file.bytes,
            budget: budget.clone(),
            at_hand: Vec::new(),
        }
    }

    /// Where it is in the store.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The same reader with these ranges at hand, read together.
    pub(super) async fn ahead(&self, mut ranges: Vec<Range<u64>>) -> ParquetResult<Self> {
        ranges.sort_unstable_by_key(|range| range.start);
        let mut stretches: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match stretches.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => stretches.push(range),
            }
        }
        let bytes = self.read(&stretches).await?;
        Ok(Self { at_hand: stretches.iter().map(|range| range.start).zip(bytes).collect(), ..self.clone() })
    }

    /// These ranges, in the order asked for: those at hand, and the others from the store. From a disk they are read on
    /// the calling thread.
    pub(super) async fn pieces(&self, ranges: &[Range<u64>]) -> ParquetResult<Vec<Bytes>> {
        if self.at_hand.is_empty() {
            return self.read(ranges).await;
        }
        let known: Vec<Option<Bytes>> = ranges.iter().map(|range| self.known(range)).collect();
        let missing = ranges.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(range, _)| range.clone());
        let mut read = self.read(&missing.collect::<Vec<_>>()).await?.into_iter();
        Ok(known.into_iter().filter_map(|known| known.or_else(|| read.next())).collect())
    }

    fn known(&self, range: &Range<u64>) -> Option<Bytes> {
        let at = self.at_hand.partition_point(|(start, _)| *start <= range.start).checked_sub(1)?;
        let (start, bytes) = self.at_hand.get(at)?;
        let (begin, end) = (range.start - start, range.end.checked_sub(*start)?);
        (begin <= end && end <= bytes.len() as u64).then(|| bytes.slice(begin as usize..end as usize))
    }

    async fn read(&self, ranges: &[Range<u64>]) -> ParquetResult<Vec<Bytes>> {
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
