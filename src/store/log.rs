//! The one create-only numbered log: records 1, 2, 3 … without gaps, each created once and never changed.
//!
//! Whoever creates number n has it; two that try are told apart by the run written in the record. That is also how a
//! create whose reply was lost is recognized: read back, it carries our own run. Manifests are such a log; leases and
//! the audit log will be.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, path::Path};
use serde::Deserialize;

use super::{Store, StoreError, key};

/// Tries of one create; between them the number is looked at again, so that a create that went through is not repeated.
const ATTEMPTS: u32 = 5;
/// First wait between tries; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Numbers probed one by one before the folder is listed.
const PROBES: u64 = 16;

/// A log. Its records may lie in several folders (a dataset whose license changed); a number is taken once among them,
/// and should two folders have it, the first one counts.
pub(super) struct Log<'a> {
    pub(super) store: &'a Store,
    pub(super) folders: Vec<Path>,
}

/// What every record says: who created it.
#[derive(Deserialize)]
struct Owner {
    run: String,
}

impl Log<'_> {
    /// The last number, 0 if there is none. `known` is one that was there before (0: none): the next one is probed, and
    /// nothing is listed unless many are new.
    pub(super) async fn last(&self, known: u64) -> Result<u64, StoreError> {
        let mut last = known;
        while self.has(last + 1).await? {
            last += 1;
            if known == 0 || last > known + PROBES {
                return Ok(self.numbers().await?.last().copied().unwrap_or_default().max(last));
            }
        }
        Ok(last)
    }

    /// All numbers, ascending.
    pub(super) async fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        let mut numbers = Vec::new();
        for folder in &self.folders {
            let mut listing = self.store.0.objects.list(Some(folder));
            while let Some(found) =
                listing.try_next().await.map_err(|error| StoreError::from_object_store(folder, &error))?
            {
                numbers.extend(key::number_of(&found.location));
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// The record of that number, and its path.
    pub(super) async fn read(&self, number: u64) -> Result<(Path, Bytes), StoreError> {
        let mut missing = None;
        for path in self.paths(number) {
            match self.store.get(&path).await {
                Ok(body) => return Ok((path, body)),
                Err(StoreError::NotFound { path }) => missing = Some(path),
                Err(other) => return Err(other),
            }
        }
        Err(StoreError::NotFound { path: missing.unwrap_or_default() })
    }

    /// Creates record `number` of `run` in one of the folders.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another run has it, [`StoreError::OutOfOrder`] when the one before is not there.
    pub(super) async fn create(&self, folder: &Path, number: u64, run: &str, body: Bytes) -> Result<(), StoreError> {
        let path = folder.clone().join(key::numbered(number));
        if number == 0 || (number > 1 && !self.has(number - 1).await?) {
            let last = self.last(0).await?;
            return Err(StoreError::OutOfOrder { path: path.to_string(), number, last });
        }
        // A number taken in another folder is taken.
        if self.has(number).await? {
            return self.settle(number, run).await;
        }
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let Err(failed) = self.store.create(&path, body.clone(), "application/json").await else { return Ok(()) };
            match self.settle(number, run).await {
                // Refused, or failed, and yet nothing is there: a race still being settled, or a request that never
                // arrived. To create again is safe.
                Err(StoreError::NotFound { .. }) if attempt < ATTEMPTS && self.store.0.disk.is_none() => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(StoreError::NotFound { .. } | StoreError::Unavailable { .. }) => return Err(failed),
                // On a disk a link without fsync may not outlive a power cut: not a success.
                Ok(()) if self.store.0.disk.is_some() && !matches!(failed, StoreError::Exists { .. }) => {
                    return Err(failed);
                }
                settled => return settled,
            }
        }
        Ok(())
    }

    /// Whose a number is: fine if it is `run`'s.
    async fn settle(&self, number: u64, run: &str) -> Result<(), StoreError> {
        let (path, body) = self.read(number).await?;
        let owner: Owner = serde_json::from_slice(&body)
            .map_err(|error| StoreError::corrupt(&path, format!("is no record of this log: {error}")))?;
        if owner.run == run {
            return Ok(());
        }
        Err(StoreError::Taken { path: path.to_string(), number, by: owner.run })
    }

    async fn has(&self, number: u64) -> Result<bool, StoreError> {
        let paths: Vec<Path> = self.paths(number).collect();
        self.store.any_exists(paths).await
    }

    fn paths(&self, number: u64) -> impl Iterator<Item = Path> + '_ {
        self.folders.iter().map(move |folder| folder.clone().join(key::numbered(number)))
    }
}

impl Store {
    /// Whether one of these objects is there.
    async fn any_exists(&self, paths: Vec<Path>) -> Result<bool, StoreError> {
        if let Some(disk) = &self.0.disk {
            // One or two names asked of the file system: a hop to another thread would take longer.
            for path in &paths {
                if super::put::on_disk(disk, path)?.try_exists().map_err(|e| StoreError::unavailable(path, e))? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let mut probes = futures::stream::iter(paths)
            .map(|path| async move {
                match object_store::ObjectStoreExt::head(&*self.0.objects, &path).await {
                    Ok(_) => Ok(true),
                    Err(object_store::Error::NotFound { .. }) => Ok(false),
                    Err(error) => Err(StoreError::from_object_store(&path, &error)),
                }
            })
            .buffer_unordered(2);
        while let Some(there) = probes.try_next().await? {
            if there {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
