//! Garbage collection: removes what no kept snapshot names.
//!
//! Why a kept snapshot never lacks a file, whoever is killed, slow, or at work at the same time:
//!
//! - What is dead stays dead. A snapshot names files and lists made for it and those of its parent, never others: names are
//!   used once. A rollback is the exception, and pins the snapshot it goes back to in the same log that collections write to.
//! - The newest snapshots are never collected, and a run publishes on top of the newest one or not at all.
//! - What belongs to no snapshot is left alone for a grace period, since a run may be about to publish it.
//! - Before anything is removed, what is about to go is written down ([`Boundary`]), and the newest snapshot is looked up
//!   once more: if there is a newer one, all is worked out anew. A run that publishes looks at the boundary before and after.
//!
//! Manifests, run records, and the lists of upstream files that manifests name are never removed: they are small, numbers
//! must not begin again, and what a cited snapshot was made from must stay known.
//!
//! - `boundary`: the log of what was decided; pins; what a publisher asks
//! - `named`: what the kept snapshots name, as hashes: eight bytes for each file
//! - `sweep`: goes through a dataset's folders and removes the rest
//! - `extracts`: files of extracts that have expired
//! - `unfinished`: what writers that were killed left on a local disk

mod boundary;
mod extracts;
mod named;
mod sweep;
mod unfinished;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{ObjectMeta, ObjectStore, path::Path};
use serde::Serialize;

use super::{Store, StoreError};
use crate::catalog::{Boundary, DatasetId};

/// Objects removed with one request, where the storage can.
const BATCH: usize = 1000;
/// A dataset whose newest snapshot keeps changing is given up after so many beginnings.
const BEGINNINGS: u32 = 8;
/// A run that publishes looks at what it published well within this time.
const JUST_PUBLISHED: TimeDelta = TimeDelta::minutes(2);
/// Half of the time between the first beginning and the second; each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(25);

/// A collection to be done.
#[derive(Debug, Clone, Copy)]
pub struct Collection {
    /// The time.
    pub now: DateTime<Utc>,
    /// How long files stay beyond their snapshot's retention, and what no snapshot names beyond its writing. Longer than the
    /// longest run.
    pub grace: Duration,
    /// Remove nothing; say what would go.
    pub dry_run: bool,
}

/// Why an object goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The snapshots or the extract that it belongs to are no longer kept.
    Expired,
    /// Nothing names it: a run, a job or a writer left it that did not come to its end.
    Orphaned,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A table's file.
    Data,
    /// A file of rejected rows.
    Rejects,
    /// A piece of a list of files.
    List,
    /// Statistics, or a search index.
    Derived,
    /// Exported Iceberg metadata.
    Export,
    /// A file of an extract.
    Extract,
    /// A file on a local disk that never became an object.
    Temporary,
    /// An upload in parts that was never finished; its bytes are not known.
    Upload,
}

/// An object that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doomed {
    /// Its key in the store.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// What it is.
    pub kind: Kind,
    /// Why it goes.
    pub why: Why,
}

/// How much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Objects.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What went, or would go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// The newest snapshot; 0 for none.
    pub head: u64,
    /// Snapshots up to this one are not kept.
    pub collected_to: u64,
    /// Up to which they had been collected before.
    pub before: u64,
    /// The retention that holds, as the newest snapshot says it.
    pub retention: String,
    /// Objects by what they are and why they go.
    pub tallies: BTreeMap<(Why, Kind), Tally>,
}

impl Collected {
    /// All of it.
    pub fn total(&self) -> Tally {
        self.tallies.values().fold(Tally::default(), |sum, tally| Tally {
            objects: sum.objects + tally.objects,
            bytes: sum.bytes + tally.bytes,
        })
    }

    fn add(&mut self, doomed: &Doomed) {
        let tally = self.tallies.entry((doomed.why, doomed.kind)).or_default();
        tally.objects += 1;
        tally.bytes += doomed.bytes;
    }
}

impl Collection {
    /// What was written before this time and belongs to nothing is an orphan.
    fn orphans_before(&self) -> DateTime<Utc> {
        chrono::TimeDelta::from_std(self.grace)
            .ok()
            .and_then(|grace| self.now.checked_sub_signed(grace))
            .unwrap_or(DateTime::<Utc>::MIN_UTC)
    }
}

/// Told of each object that goes, after it went.
pub(in crate::store) type Witness<'a> = &'a mut (dyn FnMut(&Doomed) + Send);

impl Store {
    /// The datasets that a collection goes through: all that have files, published or not.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn collectable(&self) -> Result<Vec<DatasetId>, StoreError> {
        self.dataset_folders().await
    }

    /// Removes what no kept snapshot of a dataset names. `run` is this collection's own name.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and [`StoreError::NotFound`] when a kept snapshot cannot be read: then nothing is removed,
    /// since nobody knows what it needs. [`StoreError::Taken`] when it is published so often that there is no coming through.
    /// [`StoreError::Unavailable`], at any point: what went is gone, the rest is for the next time.
    pub async fn collect(
        &self,
        dataset: &DatasetId,
        run: &str,
        collection: Collection,
        witness: &mut (dyn FnMut(&Doomed) + Send),
    ) -> Result<Collected, StoreError> {
        for beginning in 1.. {
            let before = self.boundary(dataset).await?;
            let ended = match sweep::Sweep::begin(self, dataset, run, collection, before.as_ref()).await {
                Ok(sweep) => sweep.go(witness).await,
                Err(error) => Err(error),
            };
            match ended {
                Err(StoreError::Taken { .. }) if beginning < BEGINNINGS => {}
                // What was kept when this one began may not be any more, now that another one has decided.
                Err(StoreError::NotFound { .. })
                    if beginning < BEGINNINGS && before != self.boundary(dataset).await? => {}
                // A run whose files were taken for left behind sees it when it has published, and then publishes the snapshot
                // before once more.
                Err(StoreError::NotFound { .. })
                    if beginning < BEGINNINGS && self.just_published(dataset, collection.now).await? =>
                {
                    tokio::time::sleep(PAUSE * (1 << beginning)).await;
                }
                ended => return ended,
            }
        }
        Ok(Collected::default())
    }

    /// Whether the newest snapshot is so new that its run may still be looking at it.
    async fn just_published(&self, dataset: &DatasetId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let head = self.head(dataset).await?;
        Ok(head.is_some_and(|head| now.signed_duration_since(head.created) < JUST_PUBLISHED))
    }

    /// Removes a batch, unless this only says what would go, and tells of it.
    async fn take(
        &self,
        batch: &mut Vec<Doomed>,
        collection: Collection,
        collected: &mut Collected,
        witness: Witness<'_>,
    ) -> Result<(), StoreError> {
        if !collection.dry_run {
            self.remove(batch).await?;
        }
        for doomed in batch.drain(..) {
            collected.add(&doomed);
            witness(&doomed);
        }
        Ok(())
    }

    /// Removes the objects of a batch; those that are gone already are none the worse.
    async fn remove(&self, batch: &[Doomed]) -> Result<(), StoreError> {
        let paths: Vec<_> = batch
            .iter()
            .map(|doomed| Path::parse(&doomed.key).map_err(|source| object_store::Error::InvalidPath { source }))
            .collect();
        let mut removals = self.0.objects.delete_stream(futures::stream::iter(paths).boxed());
        while let Some(removed) = removals.next().await {
            match removed {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(StoreError::from_object_store(&Path::default(), &error)),
            }
        }
        Ok(())
    }
}

/// The next object in a folder.
async fn next(
    folder: &Path,
    found: &mut BoxStream<'_, object_store::Result<ObjectMeta>>,
) -> Result<Option<ObjectMeta>, StoreError> {
    found.try_next().await.map_err(|error| StoreError::from_object_store(folder, &error))
}
