//! The datasets there are, asked of the store as rarely as freshness allows, however many requests want them.
//!
//! Names are kept for a second; a dataset's own address asks the store for it, so that a new dataset is there before it is
//! listed. The newest snapshots are never kept: requests share an answer only when it was asked for after they came.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    catalog::{DatasetId, Manifest},
    store::{Store, StoreError},
};

/// How long names are good for.
const FRESH: Duration = Duration::from_secs(1);
/// Manifests asked for at once.
const HEADS_AT_ONCE: usize = 64;

/// An answer, and when it was asked for.
type Asked<T> = Mutex<Option<(Instant, Arc<Vec<T>>)>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Listing {
    names: Asked<DatasetId>,
    heads: Asked<Arc<Manifest>>,
}

impl Listing {
    /// All names, at most a second old. Whoever comes while they are asked for waits for the same answer.
    pub(super) async fn names(&self, store: &Store) -> Result<Arc<Vec<DatasetId>>, StoreError> {
        let mut known = self.names.lock().await;
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

    /// The newest snapshots of all of them, by name. A crowd that comes while they are asked for is answered by the one
    /// round that follows.
    pub(super) async fn heads(&self, store: &Store) -> Result<Arc<Vec<Arc<Manifest>>>, StoreError> {
        let came = Instant::now();
        let mut known = self.heads.lock().await;
        if let Some((asked, heads)) = known.as_ref()
            && *asked >= came
        {
            return Ok(Arc::clone(heads));
        }
        let asked = Instant::now();
        let names = self.names(store).await?;
        let heads: Vec<Option<Arc<Manifest>>> = stream::iter(names.to_vec())
            .map(|name| async move { store.head(&name).await })
            .buffered(HEADS_AT_ONCE)
            .try_collect()
            .await?;
        let heads = Arc::new(heads.into_iter().flatten().collect());
        *known = Some((asked, Arc::clone(&heads)));
        Ok(heads)
    }
}
