//! Objects put together from the store, and kept within bounds once they are made.
//!
//! What is read at most: for metadata, the manifest of each snapshot in the history ([`MOST_SNAPSHOTS`]), once; what a
//! history needs of them is then remembered, so that a new snapshot costs one manifest. For a manifest list, the segments
//! of its table that the snapshot before has not, and each other segment once; for a manifest, one segment and, where
//! files went, the new segments of the snapshot. Nothing reads a Parquet file.

use std::{collections::HashSet, fmt, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};
use sha2::{Digest, Sha256};

use super::{
    IcebergError, ObjectName, Place, list,
    manifest::{self, Manifest, Status, Summary},
    metadata::Document,
    version::{Facts, Version},
};
use crate::{
    catalog::{DataFile, DatasetId, SegmentRef, TableId},
    store::{Area, Store, StoreError},
};

/// Snapshots in a history: those of a year, published every hour.
const MOST_SNAPSHOTS: u64 = 10_000;
/// Manifests of the store read at once.
const AT_ONCE: usize = 64;
/// Bytes of objects kept.
const OBJECTS: u64 = 64 << 20;
/// Bytes of histories kept, about.
const HISTORIES: u64 = 32 << 20;
/// Lengths and counts of manifests kept.
const SUMMARIES: usize = 65_536;

/// An object of a table's metadata folder.
#[derive(Debug)]
pub struct Object {
    /// Its bytes: the same each time.
    pub bytes: Bytes,
    /// Their sha256, hex.
    pub sha256: String,
    /// What a list of manifests says of it, if it is a manifest.
    summary: Summary,
}

impl Object {
    fn new(bytes: Bytes, summary: Summary) -> Arc<Self> {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Arc::new(Self { bytes, sha256, summary })
    }
}

/// A table, as its objects are addressed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Subject {
    place: Place,
    dataset: DatasetId,
    table: TableId,
}

type Address = (Subject, ObjectName);
/// What is known of consecutive snapshots, oldest first; `None` where one has not the table.
type History = Vec<(u64, Option<Facts>)>;

/// See the module. Shared by all requests.
pub struct Renderings {
    objects: Cache<Address, Arc<Object>, ByBytes>,
    summaries: Cache<Address, Summary>,
    /// The newest snapshot that added a file, by segment.
    newest: Cache<String, u64>,
    histories: Cache<(DatasetId, TableId), Arc<History>, ByLines>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Address, Arc<Object>> for ByBytes {
    fn weight(&self, _: &Address, object: &Arc<Object>) -> u64 {
        object.bytes.len() as u64 + 512
    }
}

#[derive(Clone)]
struct ByLines;

impl Weighter<(DatasetId, TableId), Arc<History>> for ByLines {
    fn weight(&self, _: &(DatasetId, TableId), history: &Arc<History>) -> u64 {
        (history.len() * size_of::<(u64, Option<Facts>)>()) as u64 + 256
    }
}

impl fmt::Debug for Renderings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renderings").field("bytes", &self.objects.weight()).finish_non_exhaustive()
    }
}

impl Default for Renderings {
    fn default() -> Self {
        let one_shard =
            |capacity| OptionsBuilder::new().shards(1).estimated_items_capacity(1024).weight_capacity(capacity).build();
        let objects = match one_shard(OBJECTS) {
            // One shard: an object may be a good part of the whole.
            Ok(options) => Cache::with_options(options, ByBytes, Default::default(), Default::default()),
            Err(_) => Cache::with_weighter(1024, OBJECTS, ByBytes),
        };
        let histories = match one_shard(HISTORIES) {
            Ok(options) => Cache::with_options(options, ByLines, Default::default(), Default::default()),
            Err(_) => Cache::with_weighter(1024, HISTORIES, ByLines),
        };
        Self { objects, summaries: Cache::new(SUMMARIES), newest: Cache::new(SUMMARIES), histories }
    }
}

impl Renderings {
    /// The metadata of a table as of `snapshot`: its name among the table's objects, and the object.
    ///
    /// # Errors
    /// [`IcebergError::NotFound`] when the snapshot has no such table; what the store says.
    pub async fn current(
        &self,
        store: &Store,
        place: &Place,
        dataset: &DatasetId,
        table: &TableId,
        snapshot: u64,
    ) -> Result<(ObjectName, Arc<Object>), IcebergError> {
        let name = ObjectName::Metadata { snapshot, oldest: kept_from(store, dataset, snapshot).await? };
        let object = self.object(store, place, dataset, table, &name).await?;
        Ok((name, object))
    }

    /// An object by its name.
    ///
    /// # Errors
    /// [`IcebergError::NotFound`] when nothing is there that it could be made from; what the store says.
    pub async fn object(
        &self,
        store: &Store,
        place: &Place,
        dataset: &DatasetId,
        table: &TableId,
        name: &ObjectName,
    ) -> Result<Arc<Object>, IcebergError> {
        let subject = Subject { place: place.clone(), dataset: dataset.clone(), table: table.clone() };
        Work { renderings: self, store, subject: &subject }.object(name).await
    }

    /// The manifests that a manifest list names, in its order.
    ///
    /// # Errors
    /// As [`Self::object`].
    pub async fn reached(
        &self,
        store: &Store,
        place: &Place,
        dataset: &DatasetId,
        table: &TableId,
        list: &ObjectName,
    ) -> Result<Vec<ObjectName>, IcebergError> {
        let subject = Subject { place: place.clone(), dataset: dataset.clone(), table: table.clone() };
        let ObjectName::List { snapshot, first } = list else { return Ok(Vec::new()) };
        let work = Work { renderings: self, store, subject: &subject };
        let manifests = work.manifests(*snapshot, *first).await?;
        Ok(manifests.into_iter().map(|(name, _)| name).collect())
    }

    /// The manifest lists that the metadata of a snapshot names, oldest first.
    ///
    /// # Errors
    /// As [`Self::object`].
    pub async fn lists(
        &self,
        store: &Store,
        place: &Place,
        dataset: &DatasetId,
        table: &TableId,
        snapshot: u64,
    ) -> Result<Vec<ObjectName>, IcebergError> {
        let subject = Subject { place: place.clone(), dataset: dataset.clone(), table: table.clone() };
        let work = Work { renderings: self, store, subject: &subject };
        let head = work.version(snapshot).await?.ok_or_else(|| work.nothing(snapshot))?;
        let oldest = kept_from(store, dataset, snapshot).await?;
        let history = work.history(oldest, snapshot, head.area).await?;
        let name = |(at, facts): (usize, &Facts)| facts.list(at == 0);
        Ok(history.iter().enumerate().map(name).collect())
    }
}

/// The oldest snapshot in the history of one that is still kept: what older ones held, nobody can say any more.
async fn kept_from(store: &Store, dataset: &DatasetId, snapshot: u64) -> Result<u64, IcebergError> {
    let collected_to = store.boundary(dataset).await?.map_or(0, |(_, boundary)| boundary.collected_to);
    Ok(oldest(snapshot).max(collected_to.saturating_add(1).min(snapshot)))
}

/// The oldest snapshot in the history of one.
fn oldest(snapshot: u64) -> u64 {
    snapshot.saturating_sub(MOST_SNAPSHOTS - 1).max(1)
}

/// Making the objects of one table.
struct Work<'a> {
    renderings: &'a Renderings,
    store: &'a Store,
    subject: &'a Subject,
}

impl Work<'_> {
    fn address(&self, name: &ObjectName) -> Address {
        (self.subject.clone(), name.clone())
    }

    fn nothing(&self, snapshot: u64) -> IcebergError {
        let Subject { dataset, table, .. } = self.subject;
        IcebergError::NotFound(format!("table `{table}` in snapshot {snapshot} of `{dataset}`"))
    }

    async fn version(&self, snapshot: u64) -> Result<Option<Version>, IcebergError> {
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

    async fn object(&self, name: &ObjectName) -> Result<Arc<Object>, IcebergError> {
        let address = self.address(name);
        let made = self.renderings.objects.get_or_insert_async(&address, self.make(name)).await?;
        if !matches!(name, ObjectName::Metadata { .. } | ObjectName::List { .. }) {
            self.renderings.summaries.insert(address, made.summary);
        }
        Ok(made)
    }

    async fn make(&self, name: &ObjectName) -> Result<Arc<Object>, IcebergError> {
        match name {
            ObjectName::Metadata { snapshot, oldest } => self.metadata(*snapshot, *oldest).await,
            ObjectName::List { snapshot, first } => {
                let (version, before) = self.versions(*snapshot, *first).await?;
                let Subject { place, dataset, table } = self.subject;
                let manifests: Vec<(String, Summary)> = self
                    .manifests(*snapshot, *first)
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
        if !(self::oldest(snapshot)..=snapshot).contains(&oldest) {
            return Err(self.nothing(oldest));
        }
        let history = self.history(oldest, snapshot, head.area).await?;
        let mut shapes = Vec::new();
        let mut known = HashSet::new();
        for facts in &history {
            if known.insert((facts.schema, facts.order)) {
                shapes.push(self.version(facts.snapshot).await?.ok_or_else(|| self.nothing(facts.snapshot))?);
            }
        }
        let place = self.subject.place.clone();
        let bytes = apart(move || Document { place: &place, head: &head, history: &history, shapes: &shapes }.render());
        Ok(Object::new(bytes.await?, Summary::default()))
    }

    /// The snapshots from `oldest` to `newest` that have the table in that area.
    async fn history(&self, oldest: u64, newest: u64, area: Area) -> Result<Vec<Facts>, IcebergError> {
        let address = (self.subject.dataset.clone(), self.subject.table.clone());
        let known = self.renderings.histories.get(&address).unwrap_or_default();
        let covers = |number: u64| known.binary_search_by_key(&number, |(known, _)| *known).is_ok();
        let lines = if covers(oldest) && covers(newest) {
            known
        } else {
            // What is known ends where new snapshots begin; whatever else is missing is read again.
            let (from, mut lines) = match known.last() {
                Some((last, _)) if covers(oldest) => (last + 1, known.to_vec()),
                _ => (oldest, Vec::new()),
            };
            self.extend(&mut lines, from, newest).await?;
            let lines = Arc::new(lines);
            self.renderings.histories.insert(address, Arc::clone(&lines));
            lines
        };
        let wanted = lines.iter().filter(|(number, _)| (oldest..=newest).contains(number));
        Ok(wanted.filter_map(|(_, facts)| facts.clone()).filter(|facts| facts.area == area).collect())
    }

    /// Adds the snapshots `from..=to` to a history that ends just before.
    async fn extend(&self, lines: &mut History, from: u64, to: u64) -> Result<(), IcebergError> {
        let begin = from.saturating_sub(1).max(1);
        let mut manifests =
            stream::iter(begin..=to)
                .map(|number| async move {
                    self.store.manifest(&self.subject.dataset, number).await.map(|read| (number, read))
                })
                .buffered(AT_ONCE);
        let mut before: Option<(Version, Option<Facts>)> = None;
        while let Some((number, manifest)) = manifests.try_next().await? {
            let version = manifest.and_then(|read| Version::new(&self.subject.dataset, &self.subject.table, &read));
            if number < from {
                let facts = lines.last().and_then(|(_, facts)| facts.clone());
                before = version.map(|version| (version, facts));
                continue;
            }
            let facts = match &version {
                Some(version) => {
                    let before = before.as_ref().map(|(before, facts)| (before, facts.as_ref()));
                    Some(Facts::new(version, before)?)
                }
                None => None,
            };
            lines.push((number, facts.clone()));
            before = version.map(|version| (version, facts));
        }
        Ok(())
    }

    /// The manifests of a snapshot, in row order, those of removed files last.
    async fn manifests(&self, snapshot: u64, first: bool) -> Result<Vec<(ObjectName, Summary)>, IcebergError> {
        let (version, before) = self.versions(snapshot, first).await?;
        let old: &[SegmentRef] = before.as_ref().map_or(&[], |before| before.table.segments.as_slice());
        let (there, gone) = (hashes(old), hashes(&version.table.segments));
        let mut manifests = Vec::new();
        for segment in &version.table.segments {
            let name = if first || there.contains(segment.hash.as_str()) {
                let newest = self.newest(version.area, &segment.hash).await?;
                ObjectName::Kept { newest, segment: segment.hash.clone() }
            } else {
                ObjectName::Added { snapshot, segment: segment.hash.clone() }
            };
            manifests.push(self.summary(name).await?);
        }
        for segment in old.iter().filter(|segment| !gone.contains(segment.hash.as_str())) {
            let name = ObjectName::Removed { snapshot, segment: segment.hash.clone() };
            let (name, summary) = self.summary(name).await?;
            // The segment was only cut anew: all its files are still there.
            if summary.count() > 0 {
                manifests.push((name, summary));
            }
        }
        Ok(manifests)
    }

    async fn summary(&self, name: ObjectName) -> Result<(ObjectName, Summary), IcebergError> {
        if let Some(summary) = self.renderings.summaries.get(&self.address(&name)) {
            return Ok((name, summary));
        }
        let summary = Box::pin(self.object(&name)).await?.summary;
        Ok((name, summary))
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
