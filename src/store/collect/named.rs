//! What the kept snapshots of a dataset name, as sorted hashes of keys: eight bytes for each file, and two keys that share a
//! hash only mean that one object too many is kept.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};

use super::{Boundary, Collection};
use crate::{
    catalog::{
        DataFile, DatasetId, Manifest, SegmentRef,
        retention::{self, Pin},
    },
    store::{Area, Key, Store, StoreError},
};

/// Manifests and lists read side by side.
const AT_ONCE: usize = 16;

/// A set of keys.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<u64>);

impl Keys {
    fn add(&mut self, key: &str) {
        self.0.push(hash(key));
    }

    /// Makes it fit for questions.
    fn settle(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
        self.0.shrink_to_fit();
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.binary_search(&hash(key)).is_ok()
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A list of files that the collected snapshots name and no kept one does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct List {
    pub(super) key: String,
    area: Area,
    hash: String,
    /// It names files that another list names as well, and is not read.
    by_name: bool,
}

/// What is known of a dataset's snapshots.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) head: u64,
    pub(super) collected_to: u64,
    pub(super) retention: String,
    pub(super) pins: Vec<Pin>,
    /// Lists that stay.
    pub(super) lists: Keys,
    /// Files that stay.
    pub(super) files: Keys,
    /// Lists that only collected snapshots name.
    pub(super) expired: Vec<List>,
}

impl Named {
    /// Reads all manifests, and the lists of those that are kept.
    pub(super) async fn read(
        store: &Store,
        dataset: &DatasetId,
        collection: Collection,
        before: Option<&Boundary>,
    ) -> Result<Self, StoreError> {
        let head = store.last_number(dataset).await?;
        let mut created = Vec::new();
        let mut retention = String::new();
        let (mut taken_back, mut last) = (BTreeSet::new(), None::<Arc<Manifest>>);
        let mut all = manifests(store, dataset, head);
        while let Some(manifest) = all.try_next().await? {
            if last.as_ref().is_some_and(|last| takes_back(&manifest, last)) {
                taken_back.insert(manifest.snapshot - 1);
            }
            last = Some(Arc::clone(&manifest));
            created.push(manifest.created);
            retention.clone_from(&manifest.info.retention);
        }
        drop(all);
        let pins = collection.pins(before, head);
        let collected_to = boundary(&created, &retention, collection, before, &pins);

        // Neighbors share nearly all of their lists.
        let (mut lists, mut kept, mut expired) = (Keys::default(), BTreeSet::new(), BTreeSet::new());
        let mut all = manifests(store, dataset, head);
        while let Some(manifest) = all.try_next().await? {
            // Where it came from stays known for every snapshot that ever was.
            let area = Area::of(&manifest.license);
            for segment in manifest.source_segments.iter().chain(&manifest.gap_segments) {
                lists.add(&list(area, dataset, segment).key);
            }
            let keeps = manifest.snapshot > collected_to && !taken_back.contains(&manifest.snapshot);
            let of_files = if keeps { &mut kept } else { &mut expired };
            for table in &manifest.tables {
                let area = Area::of_table(&manifest, table);
                let segments = table.segments.iter().chain(&table.reject_segments);
                of_files.extend(segments.map(|segment| list(area, dataset, segment)));
                let by_name = table.listed_segments.iter().map(|segment| list(area, dataset, segment));
                of_files.extend(by_name.map(|list| List { by_name: true, ..list }));
            }
        }
        drop(all);
        let expired = expired.difference(&kept).cloned().collect();
        for list in &kept {
            lists.add(&list.key);
        }
        lists.settle();

        let mut files = Keys::default();
        let mut reads = futures::stream::iter(kept.iter().filter(|list| !list.by_name))
            .map(|list| list.read(store, dataset))
            .buffer_unordered(AT_ONCE);
        while let Some(records) = reads.try_next().await? {
            for file in &records {
                files.add(&file.key);
            }
        }
        drop(reads);
        files.settle();
        Ok(Self { head, collected_to, retention, pins, lists, files, expired })
    }

    /// The files that the collected snapshots named, as far as their lists are still there.
    pub(super) async fn expired_files(
        &self,
        store: &Store,
        dataset: &DatasetId,
        there: &Keys,
    ) -> Result<Keys, StoreError> {
        let mut files = Keys::default();
        let mut reads = futures::stream::iter(self.expired.iter().filter(|list| !list.by_name && there.has(&list.key)))
            .map(|list| list.read(store, dataset))
            .buffer_unordered(AT_ONCE);
        while let Some(records) = reads.next().await {
            match records {
                Ok(records) => records.iter().for_each(|file| files.add(&file.key)),
                // Another collection took it; damaged ones help nobody to tell why a file goes.
                Err(StoreError::NotFound { .. } | StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        files.settle();
        Ok(files)
    }
}

/// Up to which snapshot they are not kept.
fn boundary(
    created: &[DateTime<Utc>],
    retention: &str,
    collection: Collection,
    before: Option<&Boundary>,
    pins: &[Pin],
) -> u64 {
    // A retention that nobody understands keeps everything.
    let kept_for = retention::duration(retention).map(|kept| kept.saturating_add(collection.grace));
    let expired = kept_for.map_or(0, |kept_for| retention::expired_to(created, kept_for, collection.now));
    let unpinned = pins.iter().map(|pin| pin.snapshot.saturating_sub(1)).fold(expired, u64::min);
    unpinned.max(before.map_or(0, |before| before.collected_to))
}

fn manifests<'a>(
    store: &'a Store,
    dataset: &'a DatasetId,
    head: u64,
) -> futures::stream::BoxStream<'a, Result<Arc<Manifest>, StoreError>> {
    futures::stream::iter(1..=head)
        .map(move |number| async move {
            let manifest = store.manifest(dataset, number).await?;
            manifest.ok_or_else(|| StoreError::corrupt(dataset, format!("has no snapshot {number}, and a later one")))
        })
        .buffered(AT_ONCE)
        .boxed()
}

/// Whether a run published a snapshot only because the one before, its own, had lost files to a collection.
fn takes_back(manifest: &Manifest, last: &Manifest) -> bool {
    manifest.run == last.run && manifest.rollback_to.is_some() && manifest.rollback_to == last.parent
}

fn list(area: Area, dataset: &DatasetId, segment: &SegmentRef) -> List {
    let key = Key::Segment { area, dataset: dataset.clone(), hash: segment.hash.clone() };
    List { key: key.to_string(), area, hash: segment.hash.clone(), by_name: false }
}

impl List {
    async fn read(&self, store: &Store, dataset: &DatasetId) -> Result<Vec<DataFile>, StoreError> {
        Ok(store.read_segment::<DataFile>(self.area, dataset, &self.hash).await?.0)
    }
}

impl FromIterator<String> for Keys {
    fn from_iter<I: IntoIterator<Item = String>>(keys: I) -> Self {
        let mut all = Self::default();
        for key in keys {
            all.add(&key);
        }
        all.settle();
        all
    }
}
