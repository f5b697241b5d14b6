//! Objects once they are made, kept within bounds.

use std::{fmt, hash::Hash, sync::Arc};

use bytes::Bytes;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::Cache, sync::DefaultLifecycle};
use sha2::{Digest, Sha256};

use super::{ObjectName, Place, making::Making, manifest::Summary, partition::Scalar, version::Facts};
use crate::{
    catalog::{DatasetId, TableId},
    store::Store,
};

/// Bytes of objects kept.
const OBJECTS: u64 = 64 << 20;
/// Bytes of histories kept, about.
const HISTORIES: u64 = 32 << 20;
/// Bytes of lengths and counts of manifests kept, about.
const SUMMARIES: u64 = 32 << 20;
/// Numbers of segments' newest snapshots kept.
const NEWEST: usize = 65_536;

/// An object of a table's metadata folder.
#[derive(Debug)]
pub struct Object {
    /// Its bytes: the same each time.
    pub bytes: Bytes,
    /// Their sha256, hex.
    pub sha256: String,
    /// What a list of manifests says of it, if it is a manifest.
    pub(super) summary: Summary,
}

impl Object {
    pub(super) fn new(bytes: Bytes, summary: Summary) -> Arc<Self> {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Arc::new(Self { bytes, sha256, summary })
    }
}

/// A table, as its objects are addressed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    pub(super) place: Place,
    pub(super) dataset: DatasetId,
    pub(super) table: TableId,
}

pub(super) type Address = (Subject, ObjectName);
/// What is known of consecutive snapshots, oldest first; `None` where one has not the table.
pub(super) type History = Vec<(u64, Option<Facts>)>;

/// See the module. Shared by all requests.
pub struct Renderings {
    pub(super) objects: Cache<Address, Arc<Object>, ByBytes>,
    pub(super) summaries: Cache<Address, Summary, BySize>,
    /// The newest snapshot that added a file, by segment.
    pub(super) newest: Cache<String, u64>,
    pub(super) histories: Cache<(DatasetId, TableId), Arc<History>, ByLines>,
}

#[derive(Clone)]
pub(super) struct ByBytes;

impl Weighter<Address, Arc<Object>> for ByBytes {
    fn weight(&self, _: &Address, object: &Arc<Object>) -> u64 {
        object.bytes.len() as u64 + 512
    }
}

#[derive(Clone)]
pub(super) struct BySize;

impl Weighter<Address, Summary> for BySize {
    fn weight(&self, _: &Address, summary: &Summary) -> u64 {
        let text = |(least, greatest): &(Scalar, Scalar)| least.bytes().len() + greatest.bytes().len();
        let partitions = summary.partitions.iter().map(|field| 96 + field.extremes.as_ref().map_or(0, text));
        384 + partitions.sum::<usize>() as u64
    }
}

#[derive(Clone)]
pub(super) struct ByLines;

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
        Self {
            objects: within(OBJECTS, ByBytes),
            summaries: within(SUMMARIES, BySize),
            newest: Cache::new(NEWEST),
            histories: within(HISTORIES, ByLines),
        }
    }
}

/// A cache of so many bytes, in one shard: an object may be a good part of the whole.
fn within<K: Eq + Hash, V: Clone, W: Weighter<K, V> + Clone>(bytes: u64, weighter: W) -> Cache<K, V, W> {
    const ITEMS: usize = 1024;
    let options = OptionsBuilder::new().shards(1).estimated_items_capacity(ITEMS).weight_capacity(bytes).build();
    match options {
        Ok(options) => {
            Cache::with_options(options, weighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
        }
        Err(_) => Cache::with_weighter(ITEMS, bytes, weighter),
    }
}

impl Renderings {
    /// The objects of a table, made from `store` for readers at `place`.
    pub fn of<'a>(&'a self, store: &'a Store, place: &Place, dataset: &DatasetId, table: &TableId) -> Making<'a> {
        let subject = Subject { place: place.clone(), dataset: dataset.clone(), table: table.clone() };
        Making { renderings: self, store, subject }
    }
}
