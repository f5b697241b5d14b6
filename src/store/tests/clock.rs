//! Storage that knows what time it is, and can be killed.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

use super::*;

/// Memory with a clock of its own, which fails for good after so many changes, and lets others go first at any point.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) inner: Arc<InMemory>,
    written: Mutex<HashMap<Path, i64>>,
    /// Seconds.
    clock: AtomicI64,
    /// Changes until it is dead.
    pub(super) left: AtomicI64,
    shuffle: Option<Mutex<fastrand::Rng>>,
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("storage with a clock")
    }
}

impl Storage {
    pub(super) fn new(shuffle: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(InMemory::new()),
            written: Mutex::default(),
            clock: AtomicI64::new(0),
            left: AtomicI64::new(i64::MAX),
            shuffle: shuffle.map(|seed| Mutex::new(fastrand::Rng::with_seed(seed))),
        })
    }

    pub(super) fn store(self: &Arc<Self>) -> Store {
        Store::over("clock:".into(), self.clone(), None)
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(self.clock.load(Ordering::SeqCst))
    }

    pub(super) fn wait(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// A change: counted, and refused once it is dead.
    fn change(&self, path: Option<&Path>) -> Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.left.store(0, Ordering::SeqCst);
            return Err(object_store::Error::Generic { store: "clock", source: "killed".into() });
        }
        if let Some(path) = path {
            self.written.lock().unwrap().insert(path.clone(), self.clock.load(Ordering::SeqCst));
        }
        Ok(())
    }

    async fn others(&self) {
        let turns = self.shuffle.as_ref().map_or(0, |random| random.lock().unwrap().u8(..6));
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn keys(&self) -> BTreeSet<String> {
        self.inner.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap()
    }
}

#[async_trait]
impl ObjectStore for Storage {
    async fn put_opts(&self, path: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.others().await;
        self.change(None)?;
        let put = self.inner.put_opts(path, payload, opts).await?;
        self.written.lock().unwrap().insert(path.clone(), self.clock.load(Ordering::SeqCst));
        Ok(put)
    }
    async fn put_multipart_opts(&self, path: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.change(Some(path))?;
        self.inner.put_multipart_opts(path, opts).await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.others().await;
        self.inner.get_opts(path, options).await
    }
    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // One by one, so that it can be killed between any two.
        let (inner, mut changes) = (Arc::clone(&self.inner), Vec::new());
        let paths: Vec<_> = futures::executor::block_on(paths.collect::<Vec<_>>());
        for path in paths {
            changes.push(self.change(None).and(path));
        }
        futures::stream::iter(changes)
            .then(move |path| {
                let inner = Arc::clone(&inner);
                async move {
                    let path = path?;
                    object_store::ObjectStoreExt::delete(&*inner, &path).await.map(|()| path)
                }
            })
            .boxed()
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let written = self.written.lock().unwrap().clone();
        self.inner
            .list(prefix)
            .map_ok(move |mut found| {
                let at = written.get(&found.location).copied().unwrap_or_default();
                found.last_modified = DateTime::UNIX_EPOCH + TimeDelta::seconds(at);
                found
            })
            .boxed()
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
