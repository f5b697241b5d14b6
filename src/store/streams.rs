//! Objects read as streams, for clients who may take them slowly. However many there are at one time, they hold no more
//! memory together than a budget: the more streams are open, the smaller are the pieces in which each is read.

use std::{
    fs::File,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::path::Path;

use super::{
    Store, StoreError, at_hand, key,
    put::{blocking, on_disk},
    reads::{backwards, opened, short},
};

/// Bytes that the pieces of all streams may take.
const BUDGET: u64 = 256 << 20;
/// Pieces of one stream at a time: one that is sent, and those read ahead, so that one is on its way meanwhile.
const PIECES: u64 = 1 + READ_AHEAD as u64;
const READ_AHEAD: usize = 2;
/// Bytes of a piece from disk, at most.
const LARGEST_CHUNK: u64 = 256 << 10;
/// Bytes of the first request of a stream from elsewhere; each that follows doubles, up to the largest.
const FIRST_PIECE: u64 = 1 << 20;
const LARGEST_PIECE: u64 = 4 << 20;
/// Bytes of a piece, at least: less would be all requests and no data.
const SMALLEST_PIECE: u64 = 16 << 10;

/// The streams that are open.
#[derive(Debug, Default)]
pub(super) struct Streams(Arc<AtomicU64>);

impl Streams {
    fn begin(&self) -> Open {
        self.0.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.0))
    }
}

/// One of them, until it is dropped.
struct Open(Arc<AtomicU64>);

impl Open {
    /// Bytes that one of its pieces may take now.
    fn share(&self) -> u64 {
        (BUDGET / PIECES / self.0.load(Ordering::Relaxed).max(1)).max(SMALLEST_PIECE)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A range cut into pieces, each when it is wanted.
struct Pieces {
    rest: Range<u64>,
    /// Bytes of the next one if memory lets it, and of the largest.
    next: u64,
    largest: u64,
    open: Open,
}

impl Iterator for Pieces {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let bytes = self.next.min(self.open.share());
        let piece = self.rest.start..self.rest.end.min(self.rest.start.saturating_add(bytes));
        self.next = self.largest.min(self.next.saturating_mul(2));
        self.rest.start = piece.end;
        (!piece.is_empty()).then_some(piece)
    }
}

impl Store {
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
        let pieces = |next, largest| Pieces { rest: range, next, largest, open: self.0.streams.begin() };
        if self.0.disk.is_some() {
            return self.stream_from_disk(path, pieces(LARGEST_CHUNK, LARGEST_CHUNK)).await;
        }
        // One request for all of it would be cut off while a slow client reads, and could not be asked for again: each piece
        // is read whole, and the next one while the client takes this one.
        let store = self.clone();
        let pieces = pieces(FIRST_PIECE, LARGEST_PIECE).map(move |piece| {
            let (store, path) = (store.clone(), path.clone());
            async move {
                // To its end, also while the client takes nothing: a connection that nobody reads from is ended by the other
                // side, and what is asked for again later than the retries last is not had.
                let (name, read) = (path.clone(), tokio::spawn(async move { store.read(&path, piece).await }));
                read.await.unwrap_or_else(|error| Err(StoreError::unavailable(name, error)))
            }
        });
        let mut pieces = futures::stream::iter(pieces).buffered(READ_AHEAD);
        let first = pieces.try_next().await?;
        Ok(futures::stream::iter(first.map(Ok)).chain(pieces).boxed())
    }

    async fn stream_from_disk(
        &self,
        path: Path,
        mut pieces: Pieces,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let Some(disk) = self.0.disk.clone() else { return Err(StoreError::NotFound { path: path.to_string() }) };
        let Some(first) = pieces.next() else { return Ok(futures::stream::empty().boxed()) };
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
        let begun = std::iter::once(Ok(begun));
        if pieces.rest.is_empty() {
            // Open until it is sent.
            return Ok(futures::stream::iter(begun.chain(pieces.map_while(|_| None))).boxed());
        }
        let file = Arc::new(file);
        let chunks = pieces.map(move |wanted| {
            let (file, path) = (Arc::clone(&file), path.clone());
            async move {
                match at_hand::read(&file, &wanted) {
                    Some(bytes) => Ok(bytes),
                    None => blocking(move || chunk(&file, &path, wanted)).await,
                }
            }
        });
        // The next one is read while this one is sent.
        Ok(futures::stream::iter(begun).chain(futures::stream::iter(chunks).buffered(READ_AHEAD)).boxed())
    }
}

/// A stretch of a file on disk.
fn chunk(file: &File, path: &Path, range: Range<u64>) -> Result<Bytes, StoreError> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| backwards(path, &range))?;
    let mut bytes = vec![0; length];
    match file.read_exact_at(&mut bytes, range.start) {
        Ok(()) => Ok(Bytes::from(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(short(path, &range, range.start)),
        Err(error) => Err(StoreError::unavailable(path, format!("cannot be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStore, PutPayload};

    use super::*;

    const SIZE: u64 = 64 << 20;
    const KEY: &str = "big/data/t/f.parquet";

    fn noise() -> Bytes {
        (0..SIZE / 8).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect::<Vec<u8>>().into()
    }

    async fn stores() -> (Bytes, tempfile::TempDir, [Store; 2]) {
        let (noise, folder) = (noise(), tempfile::tempdir().expect("a folder"));
        let stores = [Store::in_memory(), Store::open(folder.path().to_str().expect("text")).expect("a store")];
        for store in &stores {
            let path = Path::from(KEY);
            store
                .0
                .objects
                .put_opts(&path, PutPayload::from(noise.clone()), Default::default())
                .await
                .expect("it is put");
        }
        (noise, folder, stores)
    }

    #[tokio::test]
    async fn a_thousand_slow_readers_share_a_budget_and_each_gets_all_of_it() {
        let (noise, _folder, stores) = stores().await;
        for store in &stores {
            let open = |count: usize| {
                let range = |at: usize| at as u64 * 977..SIZE - at as u64 * 13;
                futures::stream::iter(0..count).then(move |at| async move {
                    let read = store.stream(KEY, range(at)).await.expect("a stream");
                    (range(at), read)
                })
            };
            // One alone has large pieces; of so many, none.
            let alone = store.stream(KEY, 0..SIZE).await.expect("a stream");
            let largest =
                alone.map_ok(|piece| piece.len()).try_fold(0, async |most, n| Ok(most.max(n))).await.expect("a stream");
            let expected = if store.is_local() { LARGEST_CHUNK } else { LARGEST_PIECE };
            assert_eq!(largest as u64, expected);
            let mut all: Vec<_> = open(1500).collect().await;
            assert_eq!(store.0.streams.0.load(Ordering::Relaxed), 1500);
            // What was read before the others came is out; from here on, all hold their pieces.
            let mut held = 0;
            for (range, stream) in &mut all {
                for _ in 0..2 {
                    let piece = stream.next().await.expect("one more").expect("bytes");
                    assert_eq!(piece, noise.slice(range.start as usize..range.start as usize + piece.len()));
                    range.start += piece.len() as u64;
                }
                let piece = stream.next().await.expect("one more").expect("bytes");
                held += PIECES * piece.len() as u64;
                range.start += piece.len() as u64;
            }
            assert!(held <= BUDGET, "{held} bytes are held");
            // Those that are left alone are fast again, and miss nothing.
            all.truncate(3);
            for (range, stream) in all {
                let rest: Vec<Bytes> = stream.try_collect().await.expect("a stream");
                assert!(rest.iter().any(|piece| piece.len() as u64 == expected));
                assert!(rest.concat() == noise[range.start as usize..range.end as usize]);
            }
            assert_eq!(store.0.streams.0.load(Ordering::Relaxed), 0);
        }
    }
}
