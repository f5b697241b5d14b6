//! The store: every object path, manifests, file lists, run records and reads, over a local disk, S3 or memory.
//!
//! It knows the catalog's nouns and nothing of where rows come from or who asks for them. The object store is the only
//! state: what is cached here is immutable, or checked again at each use.
//!
//! - `key` spells every path, `open` understands addresses.
//! - `log` is the one create-only numbered log; `manifests` are one, and later leases and the audit log.
//! - `segments` are pieces of lists of files (data, rejects, upstream's), `runs` the records of ingest
//!   runs.
//! - `listed` is a table's data files by name, for listings and for whoever knows only a name.
//! - `derived` is what was made from a snapshot and can be made again: statistics, search indexes.
//! - `iceberg` are the names of a table's Iceberg metadata, which `crate::iceberg` makes.
//! - `extracts` are jobs: a log each, their files, and the lists of what is due.
//! - `collect` removes what no kept snapshot names; nothing else deletes a dataset's files.
//! - `uploads` are those in parts that nobody finished.
//! - `put`, `reads` and `streams` move bytes; `disk` makes them survive a power cut.

mod at_hand;
mod collect;
mod derived;
mod disk;
mod error;
mod extracts;
mod iceberg;
mod key;
mod listed;
mod log;
mod manifests;
mod open;
mod put;
mod reads;
mod runs;
mod segments;
mod streams;
#[cfg(test)]
pub(crate) mod tests;
mod uploads;

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use object_store::{ObjectStore, local::LocalFileSystem};
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

pub use collect::{Collected, Collection, Doomed, Kind, Tally, Why};
pub use derived::DerivedFolder;
pub use error::StoreError;
pub use extracts::{Agenda, Due};
pub use iceberg::{Exported, InvalidObjectName, ObjectName, RENDERING};
pub use key::{Area, DerivedFrom, Key};
pub use listed::Listed;
pub use manifests::MANIFEST_FORMAT;
pub use reads::ObjectInfo;
pub use segments::Record;

use crate::catalog::{Boundary, DatasetId, Manifest};

/// Bytes of manifest JSON kept decoded.
const MANIFEST_CACHE: u64 = 64 << 20;
/// Bytes of segment JSON kept decoded.
const SEGMENT_CACHE: u64 = 128 << 20;

/// Where snapshots live. Cheap to clone; clones share their caches.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    /// As given to [`Store::open`].
    address: String,
    /// Every read, and writes except to a local disk.
    objects: Arc<dyn ObjectStore>,
    /// Set for a local disk, whose writes are ours.
    disk: Option<Arc<LocalFileSystem>>,
    /// Set for S3: uploads in parts that nobody finished.
    uploads: Option<uploads::Uploads>,
    /// The last number seen of each dataset that has one: a lower bound, since manifests are never deleted.
    heads: Mutex<HashMap<DatasetId, u64>>,
    /// The last boundary seen of each dataset that has one, and its number: records of that log are never changed.
    boundaries: Mutex<HashMap<DatasetId, (u64, Boundary)>>,
    manifests: BoundedCache<(DatasetId, u64), Manifest>,
    /// Lists of any kind of record, so that one bound holds for all.
    segments: BoundedCache<String, dyn Any + Send + Sync>,
    streams: streams::Streams,
}

/// A cache of immutable things, bounded by the bytes of their JSON.
type BoundedCache<K, T> = Cache<K, (Arc<T>, u64), JsonBytes>;

#[derive(Clone)]
struct JsonBytes;

impl<K, T: ?Sized> Weighter<K, (Arc<T>, u64)> for JsonBytes {
    fn weight(&self, _: &K, (_, bytes): &(Arc<T>, u64)) -> u64 {
        (*bytes).max(1)
    }
}

fn cache<K: Eq + std::hash::Hash + Clone, T: ?Sized>(bytes: u64) -> BoundedCache<K, T> {
    // One shard: what does not fit its shard is not cached, and a manifest may be a good part of the whole.
    let options = OptionsBuilder::new().shards(1).estimated_items_capacity(1024).weight_capacity(bytes).build();
    match options {
        Ok(options) => Cache::with_options(options, JsonBytes, Default::default(), Default::default()),
        Err(_) => Cache::with_weighter(1024, bytes, JsonBytes),
    }
}

impl Store {
    fn over(address: String, objects: Arc<dyn ObjectStore>, disk: Option<Arc<LocalFileSystem>>) -> Self {
        Self::with_uploads(address, objects, disk, None)
    }

    fn with_uploads(
        address: String,
        objects: Arc<dyn ObjectStore>,
        disk: Option<Arc<LocalFileSystem>>,
        uploads: Option<uploads::Uploads>,
    ) -> Self {
        Self(Arc::new(Inner {
            address,
            objects,
            disk,
            uploads,
            heads: Mutex::default(),
            boundaries: Mutex::default(),
            manifests: cache(MANIFEST_CACHE),
            segments: cache(SEGMENT_CACHE),
            streams: Default::default(),
        }))
    }

    /// Whether its objects are files of this machine, read without waiting for a network.
    pub fn is_local(&self) -> bool {
        self.0.disk.is_some()
    }

    /// The address it was opened with, for messages.
    pub fn address(&self) -> &str {
        &self.0.address
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.0.address).finish()
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.address)
    }
}
