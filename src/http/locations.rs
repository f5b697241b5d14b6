//! Where published files were found, remembered for a moment: a reader asks for many ranges of one file, one after the
//! other. No longer than a license that closes may take to be obeyed.

use std::{sync::Arc, time::Duration};

use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::api::data::Located;

/// How long a location is good for.
const FRESH: Duration = Duration::from_secs(1);
/// Files remembered.
const FILES: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Locations(Cache<String, (Instant, Arc<Located>)>);

impl Default for Locations {
    fn default() -> Self {
        Self(Cache::new(FILES))
    }
}

impl Locations {
    /// Where that file was found, if that was just now.
    pub(super) fn get(&self, address: &str) -> Option<Arc<Located>> {
        let (found, located) = self.0.get(address)?;
        (found.elapsed() < FRESH).then_some(located)
    }

    /// Remembers it as of when it was asked for.
    pub(super) fn insert(&self, address: String, asked: Instant, located: &Arc<Located>) {
        self.0.insert(address, (asked, Arc::clone(located)));
    }

    /// Forgets one that was not there after all.
    pub(super) fn forget(&self, address: &str) {
        self.0.remove(address);
    }
}
