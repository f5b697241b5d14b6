//! Reads of data objects: whole ranges, and many small ranges in few requests.

use std::{ops::Range, os::unix::fs::FileExt};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::{ObjectStore, ObjectStoreExt, coalesce_ranges, path::Path};

use super::{Store, StoreError, key, put::on_disk};

/// Ranges this near are read as one: less costs a request, more costs bytes nobody asked for.
const GAP: u64 = 256 << 10;
/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Size.
    pub bytes: u64,
    /// When it was written.
    pub modified: DateTime<Utc>,
}

impl Store {
    /// Size and time of an object, if it is there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn object(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        // What cannot be a key names nothing.
        let Ok(path) = key::parse(key) else { return Ok(None) };
        match self.0.objects.head(&path).await {
            Ok(meta) => Ok(Some(ObjectInfo { bytes: meta.size, modified: meta.last_modified })),
            Err(object_store::Error::NotFound { .. } | object_store::Error::InvalidPath { .. }) => Ok(None),
            Err(error) => Err(StoreError::from_object_store(&path, &error)),
        }
    }

    /// These bytes of an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Corrupt`] when the object is shorter; [`StoreError::Unavailable`].
    pub async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = key::parse(key)?;
        self.read(&path, range).await
    }

    /// These ranges of an object, in the order asked for; near ones are read in one request.
    ///
    /// # Errors
    /// As [`Store::range`].
    pub async fn ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let path = key::parse(key)?;
        if let Some(range) = ranges.iter().find(|range| range.start > range.end) {
            return Err(backwards(&path, range));
        }
        // A local file is opened once and read range by range; there is nothing to save by reading gaps.
        if self.0.disk.is_some() {
            let read = self.0.objects.get_ranges(&path, ranges).await;
            let read = read.map_err(|error| StoreError::from_object_store(&path, &error))?;
            for (range, bytes) in ranges.iter().zip(&read) {
                whole(&path, range, bytes)?;
            }
            return Ok(read);
        }
        coalesce_ranges(ranges, |range| self.read(&path, range), GAP).await
    }

    /// As [`Self::ranges`], but from a local disk on the calling thread, for callers that may block: a hop to another
    /// thread takes longer than a few pages. What lies side by side is read at once.
    ///
    /// # Errors
    /// As [`Store::range`].
    pub async fn pieces(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let Some(disk) = &self.0.disk else { return self.ranges(key, ranges).await };
        let path = key::parse(key)?;
        let name = on_disk(disk, &path)?;
        let file = opened(&name, &path)?;
        let mut pieces = Vec::with_capacity(ranges.len());
        let mut rest = ranges;
        while let Some(first) = rest.first() {
            let mut end = first.end;
            let more = rest.iter().skip(1).take_while(|next| {
                let adjoins = next.start == end && next.end >= next.start;
                end = if adjoins { next.end } else { end };
                adjoins
            });
            let (together, further) = rest.split_at(1 + more.count());
            rest = further;
            let length = end.checked_sub(first.start).ok_or_else(|| backwards(&path, first))?;
            let length = usize::try_from(length).map_err(|_| short(&path, first, first.start))?;
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, first.start).map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => short(&path, &(first.start..end), first.start),
                _ => StoreError::from_io(&name, "read it", &error),
            })?;
            let mut bytes = Bytes::from(bytes);
            pieces.extend(together.iter().map(|range| bytes.split_to((range.end - range.start) as usize)));
        }
        Ok(pieces)
    }

    pub(super) async fn read(&self, path: &Path, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.start > range.end {
            return Err(backwards(path, &range));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let read = self.0.objects.get_range(path, range.clone()).await;
        let read = read.map_err(|error| StoreError::from_object_store(path, &error))?;
        whole(path, &range, &read)?;
        Ok(read)
    }
}

/// The file on disk that an object is.
pub(super) fn opened(name: &std::path::Path, path: &Path) -> Result<std::fs::File, StoreError> {
    std::fs::File::open(name).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => StoreError::NotFound { path: path.to_string() },
        _ => StoreError::from_io(name, "read it", &error),
    })
}

fn whole(path: &Path, range: &Range<u64>, read: &Bytes) -> Result<(), StoreError> {
    if read.len() as u64 == range.end - range.start {
        return Ok(());
    }
    Err(short(path, range, range.start + read.len() as u64))
}

pub(super) fn short(path: &Path, range: &Range<u64>, end: u64) -> StoreError {
    StoreError::corrupt(path, format!("bytes {}-{} were asked for, it ends at {end}", range.start, range.end))
}

pub(super) fn backwards(path: &Path, range: &Range<u64>) -> StoreError {
    StoreError::Unusable { path: path.to_string(), why: format!("bytes {}-{} run backwards", range.start, range.end) }
}
