//! Published tables as Apache Iceberg tables: v2 metadata, manifest lists and manifests, made from our manifests and the
//! segments of our file lists when somebody asks.
//!
//! Nothing here is stored or committed: the same snapshot gives the same bytes each time, in every process, so what is
//! made may be cached, thrown away and made again. Another version of this software may render other bytes, so it has other
//! addresses ([`RENDERING`]): metadata says how long each manifest is, and caches keep all of it for good. It knows no
//! HTTP. The pieces are pure ([`schema`], [`partition`], [`bounds`], [`manifest`], [`list`], [`metadata`] over [`avro`]);
//! [`making`] puts them together from a store, with the [`history`]
//! of a table's snapshots, and [`renderings`] keeps what was made within bounds.
//!
//! One Iceberg snapshot stands for one snapshot of the dataset and has its number, as id and as sequence number.
//!
//! - The manifest list of a snapshot names one manifest per segment of the table's file list. A segment that the snapshot
//!   before has, too, gives a manifest of EXISTING files ([`ObjectName::Kept`]) that all snapshots share; another one a
//!   manifest in which what is new is ADDED ([`ObjectName::Added`]).
//! - What the snapshot before had and this one does not stands as DELETED in a manifest of its own
//!   ([`ObjectName::Removed`]).
//! - A snapshot that has all files of the one before is an append, whatever became of the segments: readers that go on from
//!   a snapshot take what is ADDED in appends, and nothing else.
//! - All files of a table in a snapshot are partitioned alike: when a definition's `partition_by` changes, all are made
//!   anew. So a manifest has one partition spec, that of the snapshot its columns are from.
//! - The oldest snapshot that is kept has no snapshot before it any more: all its files are EXISTING.
//!
//! The Iceberg v2 specification is <https://iceberg.apache.org/spec/>.

mod avro;
pub mod bounds;
mod history;
mod list;
mod making;
mod manifest;
mod metadata;
mod partition;
mod place;
mod renderings;
mod schema;
mod version;

pub use making::Making;
pub use place::Place;
pub use renderings::{Object, Renderings};

pub use crate::store::{ObjectName, RENDERING};

/// What keeps an Iceberg object from being made.
#[derive(Debug, thiserror::Error)]
pub enum IcebergError {
    /// There is no such table, snapshot or object, or no longer.
    #[error("there is no {0}")]
    NotFound(String),
    /// A column's type, or a value, that cannot be written. A bug of ours.
    #[error("{0}")]
    Unwritable(String),
    /// The store did not give what is needed.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}
