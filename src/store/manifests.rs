//! Manifests: the objects that *are* the snapshots of a dataset, as a numbered log.
//!
//! A dataset's log runs through both areas: if its license changes class, the next number lies in the other area. Should
//! one number ever be in both (a run with the old license racing one with the new), the personal one counts.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, path::Path};

use super::{
    Store, StoreError,
    key::{AREAS, Area, Folder, folder},
    log::Log,
};
use crate::catalog::{DatasetId, Manifest};

/// The newest manifest format this program reads, and the one it writes.
pub const MANIFEST_FORMAT: u32 = 1;

/// Datasets looked at side by side.
const DATASETS_AT_ONCE: usize = 16;

impl Store {
    /// Every dataset that has a snapshot, in both areas, by name.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn datasets(&self) -> Result<Vec<DatasetId>, StoreError> {
        let known = futures::stream::iter(self.dataset_folders().await?)
            .map(|name| async move { Ok((self.last_number(&name).await? > 0).then_some(name)) })
            .buffered(DATASETS_AT_ONCE)
            .try_collect::<Vec<_>>();
        Ok(known.await?.into_iter().flatten().collect())
    }

    /// Every name in either area that a dataset may have, whether it has a snapshot or not.
    pub(super) async fn dataset_folders(&self) -> Result<Vec<DatasetId>, StoreError> {
        let mut names: Vec<DatasetId> = Vec::new();
        for area in AREAS {
            let prefix = area.folder().map(Path::from);
            let listing = self.0.objects.list_with_delimiter(prefix.as_ref()).await;
            let found = listing.map_err(|error| StoreError::from_object_store(&prefix.unwrap_or_default(), &error))?;
            // What is no dataset name is not ours to show: `_personal`, `_openshelf`.
            names.extend(found.common_prefixes.iter().filter_map(|path| path.filename()?.parse().ok()));
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// The newest snapshot; a new one is seen at once. Asks the storage for one number when nothing is new.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Corrupt`] when the newest manifest is none.
    pub async fn head(&self, dataset: &DatasetId) -> Result<Option<Arc<Manifest>>, StoreError> {
        match self.last_number(dataset).await? {
            0 => Ok(None),
            last => self.manifest(dataset, last).await,
        }
    }

    /// Snapshot `number`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Corrupt`] when it is no manifest, or another's.
    pub async fn manifest(&self, dataset: &DatasetId, number: u64) -> Result<Option<Arc<Manifest>>, StoreError> {
        let cached = (dataset.clone(), number);
        if let Some((manifest, _)) = self.0.manifests.get(&cached) {
            return Ok(Some(manifest));
        }
        let (path, body) = match self.manifest_log(dataset).read(number).await {
            Ok(read) => read,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(other) => return Err(other),
        };
        let manifest = Arc::new(decode(&path, &body, dataset, number)?);
        self.0.manifests.insert(cached, (manifest.clone(), body.len() as u64));
        Ok(Some(manifest))
    }

    /// The numbers of all snapshots, ascending: all up to the newest, since the log has no gaps and loses nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn snapshots(&self, dataset: &DatasetId) -> Result<Vec<u64>, StoreError> {
        Ok((1..=self.last_number(dataset).await?).collect())
    }

    /// Publishes a snapshot: one create of its number. All its files and segments must be in the store already.
    /// To publish the same manifest again succeeds and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another run has that number, [`StoreError::OutOfOrder`] when the one before is not
    /// there, [`StoreError::Unavailable`].
    pub async fn publish(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let dataset: DatasetId = manifest
            .dataset
            .parse()
            .map_err(|error| StoreError::Unusable { path: manifest.dataset.clone(), why: format!("{error}") })?;
        let body = serde_json::to_vec(manifest).map_err(|error| StoreError::corrupt(&dataset, error))?;
        let folder = folder(Area::of(&manifest.license), &dataset, Folder::Manifests);
        self.manifest_log(&dataset).create(&folder, manifest.snapshot, &manifest.run, Bytes::from(body)).await?;
        self.remember(&dataset, manifest.snapshot);
        Ok(())
    }

    pub(super) async fn last_number(&self, dataset: &DatasetId) -> Result<u64, StoreError> {
        let known = {
            let heads = self.0.heads.lock().unwrap_or_else(PoisonError::into_inner);
            heads.get(dataset).copied().unwrap_or_default()
        };
        let last = self.manifest_log(dataset).last(known).await?;
        if last > known {
            self.remember(dataset, last);
        }
        Ok(last)
    }

    fn remember(&self, dataset: &DatasetId, number: u64) {
        let mut heads = self.0.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let known = heads.entry(dataset.clone()).or_default();
        *known = number.max(*known);
    }

    fn manifest_log(&self, dataset: &DatasetId) -> Log<'_> {
        let folders = [Area::Personal, Area::Open].map(|area| folder(area, dataset, Folder::Manifests));
        Log { store: self, folders: folders.into() }
    }
}

fn decode(path: &Path, body: &[u8], dataset: &DatasetId, number: u64) -> Result<Manifest, StoreError> {
    let manifest: Manifest =
        serde_json::from_slice(body).map_err(|error| StoreError::corrupt(path, format!("is no manifest: {error}")))?;
    let why = if manifest.dataset != dataset.as_str() {
        format!("is a manifest of `{}`", manifest.dataset)
    } else if manifest.snapshot != number {
        format!("calls itself snapshot {}", manifest.snapshot)
    } else if manifest.format > MANIFEST_FORMAT {
        format!(
            "has manifest format {}, this program reads up to {MANIFEST_FORMAT}: a newer Openshelf wrote it",
            manifest.format
        )
    } else {
        return Ok(manifest);
    };
    Err(StoreError::corrupt(path, why))
}
