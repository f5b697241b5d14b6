//! Reads of data objects: whole ranges, many small ranges in few requests, and streams.

use std::{ops::Range, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, coalesce_ranges, path::Path};

use super::{
    Store, StoreError, at_hand, key,
    put::{blocking, on_disk},
};

/// Ranges this near are read as one: less costs a request, more costs bytes nobody asked for.
const GAP: u64 = 256 << 10;
/// Bytes of one item of a stream from disk.
const CHUNK: u64 = 256 << 10;
/// Items of a stream from disk that are read at a time, ahead of whoever takes them.
const READ_AHEAD: usize = 2;
/// Bytes of the first request of a stream from elsewhere; each that follows doubles, up to the largest.
const FIRST_PIECE: u64 = 1 << 20;
const LARGEST_PIECE: u64 = 4 << 20;
/// Pieces read ahead: with two, one is on its way while another is sent on.
const PIECES_AT_ONCE: usize = 2;

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

    /// A stretch of an object as a stream. It ends with an error, not early, when the object is shorter.
    ///
    /// # Errors
    /// As [`Store::range`], here for the first bytes and in the stream for the rest.
    pub async fn stream(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let path = key::parse(key)?;
        if range.start > range.end {
            return Err(backwards(&path, &range));
        }
        if range.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        if self.0.disk.is_some() {
            return self.stream_from_disk(path, range).await;
        }
        // One request for all of it would be cut off while a slow client reads, and could not be asked for again: each piece
        // is read whole, and the next one while the client takes this one.
        let store = self.clone();
        let pieces = pieces(range).map(move |piece| {
            let (store, path) = (store.clone(), path.clone());
            async move { store.read(&path, piece).await }
        });
        let mut pieces = futures::stream::iter(pieces).buffered(PIECES_AT_ONCE);
        let first = pieces.try_next().await?;
        Ok(futures::stream::iter(first.map(Ok)).chain(pieces).boxed())
    }

    async fn stream_from_disk(
        &self,
        path: Path,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let Some(disk) = self.0.disk.clone() else { return Err(StoreError::NotFound { path: path.to_string() }) };
        let first = range.start..range.end.min(range.start.saturating_add(CHUNK));
        let rest = first.end..range.end;
        let name = on_disk(&disk, &path)?;
        let at_hand = at_hand::open(&name).and_then(|file| Some((at_hand::read(&file, &first)?, file)));
        let (begun, file) = match at_hand {
            Some(begun) => begun,
            // Opened and begun in one go: most ranges are short.
            None => {
                let named = path.clone();
                blocking(move || {
                    let file = opened(&name, &named)?;
                    Ok((chunk(&file, &named, first)?, file))
                })
                .await?
            }
        };
        let begun = futures::stream::once(std::future::ready(Ok(begun)));
        if rest.is_empty() {
            return Ok(begun.boxed());
        }
        let file = Arc::new(file);
        let chunks = (0..rest.end.saturating_sub(rest.start).div_ceil(CHUNK)).map(move |at| {
            let from = rest.start + at * CHUNK;
            let (file, path) = (Arc::clone(&file), path.clone());
            let wanted = from..rest.end.min(from + CHUNK);
            async move {
                match at_hand::read(&file, &wanted) {
                    Some(bytes) => Ok(bytes),
                    None => blocking(move || chunk(&file, &path, wanted)).await,
                }
            }
        });
        // The next one is read while this one is sent.
        Ok(begun.chain(futures::stream::iter(chunks).buffered(READ_AHEAD)).boxed())
    }

    async fn read(&self, path: &Path, range: Range<u64>) -> Result<Bytes, StoreError> {
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
fn opened(name: &std::path::Path, path: &Path) -> Result<std::fs::File, StoreError> {
    std::fs::File::open(name).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => StoreError::NotFound { path: path.to_string() },
        _ => StoreError::from_io(name, "read it", &error),
    })
}

/// A stretch of a file on disk.
fn chunk(file: &std::fs::File, path: &Path, range: Range<u64>) -> Result<Bytes, StoreError> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| backwards(path, &range))?;
    let mut bytes = vec![0; length];
    match file.read_exact_at(&mut bytes, range.start) {
        Ok(()) => Ok(Bytes::from(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(short(path, &range, range.start)),
        Err(error) => Err(StoreError::unavailable(path, format!("cannot be read: {error}"))),
    }
}

/// A range cut into requests.
fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> + Send + 'static {
    let (mut at, mut bytes) = (range.start, FIRST_PIECE);
    std::iter::from_fn(move || {
        let piece = at..range.end.min(at.saturating_add(bytes));
        (at, bytes) = (piece.end, LARGEST_PIECE.min(bytes * 2));
        (!piece.is_empty()).then_some(piece)
    })
}

fn whole(path: &Path, range: &Range<u64>, read: &Bytes) -> Result<(), StoreError> {
    if read.len() as u64 == range.end - range.start {
        return Ok(());
    }
    Err(short(path, range, range.start + read.len() as u64))
}

fn short(path: &Path, range: &Range<u64>, end: u64) -> StoreError {
    StoreError::corrupt(path, format!("bytes {}-{} were asked for, it ends at {end}", range.start, range.end))
}

fn backwards(path: &Path, range: &Range<u64>) -> StoreError {
    StoreError::Unusable { path: path.to_string(), why: format!("bytes {}-{} run backwards", range.start, range.end) }
}
