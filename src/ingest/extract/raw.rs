//! What every extractor yields and normalization takes: a batch of raw rows, upstream's names, no types but upstream's own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray};

/// A batch of raw rows.
#[derive(Debug, Clone)]
pub struct RawBatch {
    /// Upstream's column names, in upstream's order; the same `Arc` while they do not change.
    pub names: Arc<Vec<String>>,
    /// One per name, all of `rows` length.
    pub columns: Vec<RawColumn>,
    /// Number of rows (a batch may have no columns).
    pub rows: usize,
    /// Where each row was: a line or record number (see `unit`), one per row.
    pub positions: Vec<u64>,
    /// What `positions` count: `"line"`, `"record"`, `"byte"`.
    pub unit: &'static str,
    /// Rows of the same stretch that could not be read at all; counted as read and rejected.
    pub broken: Vec<BrokenRow>,
    /// True when a name absent here means null (JSON objects), false when it means that upstream lacks the column.
    pub sparse: bool,
}

/// One column of raw values.
#[derive(Debug, Clone)]
pub enum RawColumn {
    /// Text as upstream wrote it, null where upstream says null. Not yet known to be UTF-8.
    Text(BinaryArray),
    /// The JSON text of each value (`"a"`, `1`, `{"x":2}`); JSON null and absent keys are null.
    Json(BinaryArray),
    /// Values that come with a type (Parquet, Arrow).
    Typed(ArrayRef),
}

impl RawColumn {
    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(array) | Self::Json(array) => array.len(),
            Self::Typed(array) => array.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRow {
    /// Where it was, in the batch's unit.
    pub position: u64,
    /// What is wrong, such as `7 fields, the header has 9`.
    pub reason: String,
    /// The beginning of its bytes, made printable.
    pub text: String,
}
