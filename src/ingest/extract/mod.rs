//! Bytes to rows: one file and one enum variant per format.

pub mod raw;

pub use raw::{BrokenRow, RawBatch, RawColumn};
