//! Objects put together from the store.
//!
//! What is read at most: for metadata, the manifest of each snapshot in the history ([`history`]), once; what a history
//! needs of them is then remembered, so that a new snapshot costs one manifest. For a manifest list, the segments
//! of its table that the snapshot before has not, and each other segment once; for a manifest, one segment and, where
//! files went, the new segments of the snapshot. Nothing reads a Parquet file.

use std::{collections::HashSet, sync::Arc};

use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};

use super::{
    IcebergError, ObjectName, history, list,
    manifest::{self, Manifest, Status, Summary},
    metadata::Document,
    renderings::{Address, Object, Renderings, Subject},
    version::{Facts, Version},
};
use crate::{
    catalog::{DataFile, SegmentRef},
    store::{Area, Store, StoreError},
};

/// Manifests of a list made side by side: a segment each, about a megabyte.
const AT_ONCE: usize = 8;

/// The objects of one table.
#[derive(Debug)]
pub struct Making<'a> {
    pub(super) renderings: &'a Renderings,
    pub(super) store: &'a Store,
    pub(super) subject: Subject,
}

impl Making<'_> {
    /// The metadata as of `snapshot`: its name among the table's objects, and the object.
    ///
    /// # Errors
    /// [`IcebergError::NotFound`] when the snapshot has no such table; what the store says.
    pub async fn current(&self, snapshot: u64) -> Result<(ObjectName, Arc<Object>), IcebergError> {
        let name = ObjectName::Metadata { snapshot, oldest: self.kept_from(snapshot).await? };
        let object = self.object(&name).await?;
        Ok((name, object))
    }

    /// An object by its name.
    ///
    /// # Errors
    /// [`IcebergError::NotFound`] when nothing is there that it could be made from; what the store says.
    pub async fn object(&self, name: &ObjectName) -> Result<Arc<Object>, IcebergError> {
        let address = self.address(name);
        let made = self.renderings.objects.get_or_insert_async(&address, self.make(name)).await?;
        if !matches!(name, ObjectName::Metadata { .. } | ObjectName::List { .. }) {
            self.renderings.summaries.insert(address, made.summary.clone());
        }
        Ok(made)
    }

    /// The manifests that a manifest list names, in its order.
    ///
    /// # Errors
    /// As [`Self::object`].
    pub async fn reached(&self, list: &ObjectName) -> Result<Vec<ObjectName>, IcebergError> {
        let ObjectName::List { snapshot, first } = list else { return Ok(Vec::new()) };
        let (version, before) = self.versions(*snapshot, *first).await?;
        let manifests = self.manifests(&version, before.as_ref(), *first).await?;
        Ok(manifests.into_iter().map(|(name, _)| name).collect())
    }

    /// The manifest lists that the metadata of a snapshot names, oldest first.
    ///
    /// # Errors
    /// As [`Self::object`].
    pub async fn lists(&self, snapshot: u64) -> Result<Vec<ObjectName>, IcebergError> {
        let head = self.version(snapshot).await?.ok_or_else(|| self.nothing(snapshot))?;
        let history = self.history(self.kept_from(snapshot).await?, snapshot, head.area).await?;
        let name = |(at, facts): (usize, &Facts)| facts.list(at == 0);
        Ok(history.iter().enumerate().map(name).collect())
    }

    fn address(&self, name: &ObjectName) -> Address {
        (self.subject.clone(), name.clone())
    }

    fn nothing(&self, snapshot: u64) -> IcebergError {
        let Subject { dataset, table, .. } = &self.subject;
        IcebergError::NotFound(format!("table `{table}` in snapshot {snapshot} of `{dataset}`"))
    }

    pub(super) async fn version(&self, snapshot: u64) -> Result<Option<Version>, IcebergError> {
        let manifest = self.store.manifest(&self.subject.dataset, snapshot).await?;
        Ok(manifest.and_then(|manifest| Version::new(&self.subject.dataset, &self.subject.table, &manifest)))
    }

    /// A snapshot, and the one before if its files can be compared with.
    async fn versions(&self, snapshot: u64, first: bool) -> Result<(Version, Option<Version>), IcebergError> {
        let version = self.version(snapshot).await?.ok_or_else(|| self.nothing(snapshot))?;
        let before = match version.manifest.parent.filter(|_| !first) {
            Some(parent) => self.version(parent).await?.filter(|before| version.follows(before)),
            None => None,
        };
        Ok((version, before))
    }

    async fn make(&self, name: &ObjectName) -> Result<Arc<Object>, IcebergError> {
        match name {
            ObjectName::Metadata { snapshot, oldest } => self.metadata(*snapshot, *oldest).await,
            ObjectName::List { snapshot, first } => {
                let (version, before) = self.versions(*snapshot, *first).await?;
                let Subject { place, dataset, table } = &self.subject;
                let manifests: Vec<(String, Summary)> = self
                    .manifests(&version, before.as_ref(), *first)
                    .await?
                    .into_iter()
                    .map(|(name, summary)| (place.object(dataset, table, version.area, &name), summary))
                    .collect();
                let parent = before.map(|before| before.snapshot());
                Ok(Object::new(list::list(*snapshot, parent, &manifests)?, Summary::default()))
            }
            ObjectName::Kept { newest, segment } => self.kept(*newest, segment).await,
            ObjectName::Added { snapshot, segment } => self.added(*snapshot, segment).await,
            ObjectName::Removed { snapshot, segment } => self.removed(*snapshot, segment).await,
        }
    }

    async fn metadata(&self, snapshot: u64, oldest: u64) -> Result<Arc<Object>, IcebergError> {
        let head = self.version(snapshot).await?.ok_or_else(|| self.nothing(snapshot))?;
        // Any history that ever was the one to give: what was collected since makes it shorter.
        if !(history::oldest(snapshot)..=snapshot).contains(&oldest) {
            return Err(self.nothing(oldest));
        }
        let history = self.history(oldest, snapshot, head.area).await?;
        let mut shapes = Vec::new();
        let mut known = HashSet::new();
        for facts in &history {
            if known.insert((facts.schema, facts.order, facts.spec)) {
                shapes.push(self.version(facts.snapshot).await?.ok_or_else(|| self.nothing(facts.snapshot))?);
            }
        }
        let place = self.subject.place.clone();
        let bytes = apart(move || Document { place: &place, head: &head, history: &history, shapes: &shapes }.render());
        Ok(Object::new(bytes.await?, Summary::default()))
    }

    /// The manifests of a snapshot that follows on `before`, in row order, those of removed files last.
    async fn manifests(
        &self,
        version: &Version,
        before: Option<&Version>,
        first: bool,
    ) -> Result<Vec<(ObjectName, Summary)>, IcebergError> {
        let snapshot = version.snapshot();
        let old: &[SegmentRef] = before.map_or(&[], |before| before.table.segments.as_slice());
        let (there, gone) = (hashes(old), hashes(&version.table.segments));
        let live = version.table.segments.iter().map(|segment| {
            let known = first || there.contains(segment.hash.as_str());
            self.live(version, segment, known).boxed()
        });
        let removed = old
            .iter()
            .filter(|segment| !gone.contains(segment.hash.as_str()))
            .map(|segment| self.summary(ObjectName::Removed { snapshot, segment: segment.hash.clone() }).boxed());
        // Futures in a list, and not in a stream that makes them: the compiler does not see that those could be sent.
        let (live, removed): (Vec<_>, Vec<_>) = (live.collect(), removed.collect());
        let mut manifests: Vec<_> = stream::iter(live).buffered(AT_ONCE).try_collect().await?;
        // A segment that was only cut anew has lost none of its files.
        let mut removed = stream::iter(removed).buffered(AT_ONCE);
        while let Some((name, summary)) = removed.try_next().await? {
            if summary.count() > 0 {
                manifests.push((name, summary));
            }
        }
        Ok(manifests)
    }

    /// The manifest of a segment of a snapshot; `known` if all its files are EXISTING.
    async fn live(
        &self,
        version: &Version,
        segment: &SegmentRef,
        known: bool,
    ) -> Result<(ObjectName, Summary), IcebergError> {
        let segment = segment.hash.clone();
        let name = match known {
            true => ObjectName::Kept { newest: self.newest(version.area, &segment).await?, segment },
            false => ObjectName::Added { snapshot: version.snapshot(), segment },
        };
        self.summary(name).await
    }

    async fn summary(&self, name: ObjectName) -> Result<(ObjectName, Summary), IcebergError> {
        if let Some(summary) = self.renderings.summaries.get(&self.address(&name)) {
            return Ok((name, summary));
        }
        let summary = self.boxed(&name).await?.summary.clone();
        Ok((name, summary))
    }

    /// An object in the making of another.
    fn boxed<'b>(&'b self, name: &'b ObjectName) -> BoxFuture<'b, Result<Arc<Object>, IcebergError>> {
        self.object(name).boxed()
    }

    async fn segment(&self, area: Area, hash: &str) -> Result<Arc<Vec<DataFile>>, IcebergError> {
        match self.store.segment_files(area, &self.subject.dataset, hash).await {
            Ok(files) => Ok(files),
            Err(StoreError::NotFound { path }) => Err(IcebergError::NotFound(path)),
            Err(other) => Err(other.into()),
        }
    }

    /// The newest snapshot that added a file of a segment.
    async fn newest(&self, area: Area, hash: &str) -> Result<u64, IcebergError> {
        if let Some(newest) = self.renderings.newest.get(hash) {
            return Ok(newest);
        }
        let files = self.segment(area, hash).await?;
        let newest = files.iter().map(|file| file.added_in).max().unwrap_or(1);
        self.renderings.newest.insert(hash.to_owned(), newest);
        Ok(newest)
    }

    async fn kept(&self, newest: u64, segment: &str) -> Result<Arc<Object>, IcebergError> {
        let version = self.version(newest).await?.ok_or_else(|| self.nothing(newest))?;
        let files = self.segment(version.area, segment).await?;
        let fits = files.iter().map(|file| file.added_in).max() == Some(newest)
            && files.iter().all(|file| self.store.is_data_file(version.area, &version.dataset, &version.id, file));
        if !fits {
            return Err(self.nothing(newest));
        }
        self.manifest(version, newest, files, |_| Some(Status::Existing)).await
    }

    async fn added(&self, snapshot: u64, segment: &str) -> Result<Arc<Object>, IcebergError> {
        let (version, before) = self.versions(snapshot, false).await?;
        if !hashes(&version.table.segments).contains(segment) {
            return Err(self.nothing(snapshot));
        }
        let files = self.segment(version.area, segment).await?;
        if version.manifest.rollback_to.is_none() {
            // What a run keeps is of the snapshot before; the rest it made itself.
            return self
                .manifest(version, snapshot, files, move |file| {
                    Some(if file.added_in == snapshot { Status::Added } else { Status::Existing })
                })
                .await;
        }
        let old = match &before {
            Some(before) => self.files_beside(before, &version.table.segments).await?,
            None => HashSet::new(),
        };
        self.manifest(version, snapshot, files, move |file| {
            Some(if old.contains(&file.key) { Status::Existing } else { Status::Added })
        })
        .await
    }

    async fn removed(&self, snapshot: u64, segment: &str) -> Result<Arc<Object>, IcebergError> {
        let (version, before) = self.versions(snapshot, false).await?;
        let before = before.ok_or_else(|| self.nothing(snapshot))?;
        if !hashes(&before.table.segments).contains(segment) || hashes(&version.table.segments).contains(segment) {
            return Err(self.nothing(snapshot));
        }
        let files = self.segment(before.area, segment).await?;
        let still = self.files_beside(&version, &before.table.segments).await?;
        self.manifest(before, snapshot, files, move |file| (!still.contains(&file.key)).then_some(Status::Deleted))
            .await
    }

    /// Keys of the files of a version that are in none of these segments.
    async fn files_beside(&self, version: &Version, others: &[SegmentRef]) -> Result<HashSet<String>, IcebergError> {
        let others = hashes(others);
        let mut keys = HashSet::new();
        for segment in version.table.segments.iter().filter(|segment| !others.contains(segment.hash.as_str())) {
            let files = self.segment(version.area, &segment.hash).await?;
            keys.extend(files.iter().map(|file| file.key.clone()));
        }
        Ok(keys)
    }

    /// A manifest of those files that have a status.
    async fn manifest(
        &self,
        version: Version,
        snapshot: u64,
        files: Arc<Vec<DataFile>>,
        status: impl Fn(&DataFile) -> Option<Status> + Send + 'static,
    ) -> Result<Arc<Object>, IcebergError> {
        let place = self.subject.place.clone();
        let made = apart(move || {
            let files = files.iter().filter_map(|file| Some((file, status(file)?)));
            manifest::manifest(&place, &version, snapshot, files)
        });
        let Manifest { bytes, summary } = made.await?;
        Ok(Object::new(bytes, summary))
    }
}

fn hashes(segments: &[SegmentRef]) -> HashSet<&str> {
    segments.iter().map(|segment| segment.hash.as_str()).collect()
}

/// Encoding a thousand files takes milliseconds: on a thread for that.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IcebergError> + Send + 'static,
) -> Result<T, IcebergError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(IcebergError::Unwritable(error.to_string())))
}
