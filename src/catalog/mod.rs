//! Nouns without I/O: what a dataset, a schema, a snapshot, a license and a run *are*.
//!
//! Everything here is plain data that serializes to the JSON kept in the store. It knows no path, no network and no clock.

pub mod column_type;
pub mod dataset;
pub mod extract;
pub mod field_ids;
pub mod license;
pub mod rejects;
pub mod retention;
pub mod run;
pub mod schema;
pub mod snapshot;

pub use column_type::ColumnType;
pub use dataset::{DatasetId, DatasetInfo, TableId};
pub use license::{License, Redistribution};
pub use retention::Boundary;
pub use run::{Blame, Outcome, RunRecord};
pub use schema::{Column, TableSchema};
pub use snapshot::{DataFile, Gap, ListedFile, Manifest, SegmentRef, SourceRecord, TableSnapshot};
