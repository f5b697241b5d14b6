//! Storage whose replies get lost: the object is there, the writer is told that it failed.

use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    Attributes, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

use super::*;

/// Loses the replies of the next `replies` puts and, before that, the next `requests` puts altogether. Counts what it
/// is asked.
#[derive(Debug, Default)]
struct Lossy {
    inner: InMemory,
    requests: AtomicU32,
    replies: AtomicU32,
    conflicts: AtomicU32,
    lists: AtomicU32,
    reads: AtomicU32,
    /// Milliseconds after which the rest of an answer is not given any more; 0 for never.
    patience: AtomicU32,
}

impl fmt::Display for Lossy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lossy")
    }
}

fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

fn lost() -> object_store::Error {
    object_store::Error::Generic { store: "lossy", source: "connection reset".into() }
}

#[async_trait]
impl ObjectStore for Lossy {
    async fn put_opts(&self, path: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if take(&self.requests) {
            return Err(lost());
        }
        let put = self.inner.put_opts(path, payload, opts).await?;
        if take(&self.replies) {
            return Err(lost());
        }
        // What S3 says when its own retry meets what the first try wrote.
        if take(&self.conflicts) {
            return Err(object_store::Error::AlreadyExists { path: path.to_string(), source: "412".into() });
        }
        Ok(put)
    }
    async fn put_multipart_opts(&self, path: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, opts).await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let mut got = self.inner.get_opts(path, options).await?;
        let patience = Duration::from_millis(self.patience.load(Ordering::SeqCst).into());
        if !patience.is_zero() {
            let (meta, range, begun) = (got.meta.clone(), got.range.clone(), Instant::now());
            let body = got.bytes().await?;
            let parts: Vec<_> = body.chunks(64 << 10).map(|part| body.slice_ref(part)).collect();
            let stream = futures::stream::iter(parts);
            // As from a network: not all at once.
            let stream = stream.then(move |part| async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                if begun.elapsed() < patience { Ok(part) } else { Err(lost()) }
            });
            let payload = GetResultPayload::Stream(stream.boxed());
            got = GetResult { payload, meta, range, attributes: Attributes::default() };
        }
        Ok(got)
    }
    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        self.inner.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn lossy() -> (Arc<Lossy>, Store) {
    let storage = Arc::new(Lossy::default());
    (storage.clone(), Store::over("lossy:".into(), storage, None))
}

#[tokio::test]
async fn a_lost_reply_is_a_success() {
    let (storage, store) = lossy();
    storage.replies.store(1, Ordering::SeqCst);
    store.publish(&manifest("d", 1, "a")).await.unwrap();
    storage.conflicts.store(1, Ordering::SeqCst);
    store.publish(&manifest("d", 2, "a")).await.unwrap();
    assert_eq!(store.snapshots(&dataset("d")).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_lost_request_is_made_again() {
    let (storage, store) = lossy();
    storage.requests.store(3, Ordering::SeqCst);
    store.publish(&manifest("d", 1, "a")).await.unwrap();
    assert_eq!(store.head(&dataset("d")).await.unwrap().unwrap().run, "a");
    storage.requests.store(1000, Ordering::SeqCst);
    let error = store.publish(&manifest("d", 2, "b")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { path, .. } if path.ends_with("2.json")), "{error}");
    assert_eq!(again(&storage).snapshots(&dataset("d")).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_lost_race_with_a_lost_reply_is_a_lost_race() {
    let (storage, store) = lossy();
    store.publish(&manifest("d", 1, "a")).await.unwrap();
    storage.requests.store(1, Ordering::SeqCst);
    let winner = again(&storage);
    let (second, third) = (manifest("d", 2, "b"), manifest("d", 2, "c"));
    let (lost, won) = tokio::join!(store.publish(&second), async {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        winner.publish(&third).await
    });
    won.unwrap();
    assert!(matches!(lost.unwrap_err(), StoreError::Taken { by, .. } if by == "c"));
}

#[tokio::test]
async fn asking_for_the_head_again_costs_no_listing_and_no_body() {
    let (storage, store) = lossy();
    for n in 1..=3 {
        store.publish(&manifest("d", n, "a")).await.unwrap();
    }
    let reader = again(&storage);
    reader.head(&dataset("d")).await.unwrap();
    let before = (storage.lists.load(Ordering::SeqCst), storage.reads.load(Ordering::SeqCst));
    for _ in 0..10 {
        reader.head(&dataset("d")).await.unwrap();
    }
    let after = (storage.lists.load(Ordering::SeqCst), storage.reads.load(Ordering::SeqCst));
    // One probe of the next number in each area.
    assert_eq!(after, (before.0, before.1 + 20));
}

#[tokio::test]
async fn asking_for_the_boundary_again_costs_one_question_and_a_new_one_is_seen_at_once() {
    let (storage, writer) = lossy();
    let (id, now) = (dataset("d"), chrono::DateTime::UNIX_EPOCH);
    for n in 1..=3 {
        writer.publish(&manifest("d", n, "a")).await.unwrap();
    }
    let reader = again(&storage);
    assert_eq!(reader.boundary(&id).await.unwrap(), None);
    for pins in 1..=3 {
        let run = format!("rollback {pins}");
        assert!(writer.pin(&id, 2, 4, &run, now).await.unwrap());
        let (number, boundary) = reader.boundary(&id).await.unwrap().unwrap();
        assert_eq!((number, boundary.pins.len(), boundary.run), (pins, pins as usize, run));
        let before = (storage.lists.load(Ordering::SeqCst), storage.reads.load(Ordering::SeqCst));
        reader.boundary(&id).await.unwrap();
        let after = (storage.lists.load(Ordering::SeqCst), storage.reads.load(Ordering::SeqCst));
        assert_eq!(after, (before.0, before.1 + 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_waits_for_nobody_is_not_kept_waiting_by_a_client_that_pauses() {
    let (storage, store) = lossy();
    let body: Vec<u8> = (0..12 << 20_u32).map(|at| (at % 251) as u8).collect();
    storage.put_opts(&Path::from("d/data/t/f.parquet"), body.clone().into(), PutOptions::default()).await.unwrap();
    storage.patience.store(1000, Ordering::SeqCst);
    let mut stream = store.stream("d/data/t/f.parquet", 0..body.len() as u64).await.unwrap();
    let mut read = Vec::new();
    while let Some(part) = stream.next().await {
        read.extend_from_slice(&part.unwrap());
        if storage.reads.load(Ordering::SeqCst) < 4 {
            // The next ones are on their way.
            tokio::time::sleep(Duration::from_millis(1200)).await;
        }
    }
    assert!(read == body, "{} bytes of {}", read.len(), body.len());
}

fn again(storage: &Arc<Lossy>) -> Store {
    Store::over("lossy:".into(), storage.clone(), None)
}

/// A store that counts the objects it reads.
pub(crate) fn counted() -> (Store, impl Fn() -> u32) {
    let (storage, store) = lossy();
    (store, move || storage.reads.load(Ordering::SeqCst))
}
