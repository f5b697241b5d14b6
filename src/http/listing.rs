//! The names of all datasets, asked of the store at most once a second however many requests want them.
//!
//! Only the names are kept: which snapshot is the newest is asked at every use, so a new one is seen at once, and a
//! dataset's own address asks the store for it, so that a new dataset is there before it is listed.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::{
    catalog::DatasetId,
    store::{Store, StoreError},
};

/// How long names are good for.
const FRESH: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Listing(Mutex<Option<(Instant, Arc<Vec<DatasetId>>)>>);

impl Listing {
    /// All names, at most a second old. Whoever comes while they are asked for waits for the same answer.
    pub(super) async fn names(&self, store: &Store) -> Result<Arc<Vec<DatasetId>>, StoreError> {
        let mut known = self.0.lock().await;
        if let Some((asked, names)) = known.as_ref()
            && asked.elapsed() < FRESH
        {
            return Ok(Arc::clone(names));
        }
        // As old as the question, not as the answer.
        let asked = Instant::now();
        let names = Arc::new(store.datasets().await?);
        *known = Some((asked, Arc::clone(&names)));
        Ok(names)
    }
}
