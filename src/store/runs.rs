//! Records of ingest runs: one object each, written when the run ends, whatever came of it.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;

use super::{
    Area, Key, Store, StoreError,
    key::{AREAS, Folder, folder},
};
use crate::catalog::{DatasetId, RunRecord};

/// Records read side by side.
const RECORDS_AT_ONCE: usize = 16;

impl Store {
    /// Writes a run's record. `area` is the dataset's.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_run(&self, area: Area, dataset: &DatasetId, record: &RunRecord) -> Result<(), StoreError> {
        let key = Key::Run { area, dataset: dataset.clone(), run: record.run.clone() };
        let body = serde_json::to_vec(record).map_err(|error| StoreError::corrupt(&key, error))?;
        self.replace(&key.path()?, Bytes::from(body), key.content_type()).await
    }

    /// The newest `limit` runs of a dataset, newest first. A record that cannot be read is passed over and logged: it
    /// must not hide the others.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn runs(&self, dataset: &DatasetId, limit: usize) -> Result<Vec<RunRecord>, StoreError> {
        let mut paths = Vec::new();
        for area in AREAS {
            let folder = folder(area, dataset, Folder::Runs);
            let found: Vec<_> = self
                .0
                .objects
                .list(Some(&folder))
                .map_ok(|found| found.location)
                .try_collect()
                .await
                .map_err(|error| StoreError::from_object_store(&folder, &error))?;
            paths.extend(found);
        }
        // ULIDs sort by the time the run began.
        paths.sort_unstable_by(|a, b| b.filename().cmp(&a.filename()));
        paths.truncate(limit);
        let records = futures::stream::iter(paths)
            .map(|path| async move {
                let body = match self.get(&path).await {
                    Err(StoreError::NotFound { .. }) => return Ok(None),
                    body => body?,
                };
                let record = serde_json::from_slice::<RunRecord>(&body);
                if let Err(error) = &record {
                    tracing::warn!(%path, %error, "a run record cannot be read");
                }
                Ok(record.ok())
            })
            .buffered(RECORDS_AT_ONCE)
            .try_collect::<Vec<_>>();
        Ok(records.await?.into_iter().flatten().collect())
    }
}
