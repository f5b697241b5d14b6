//! Rows that did not fit: never dropped, published beside the table with source, position, column, value and reason.
//!
//! One reject is one upstream row, so that rows read = rows published + rejects.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, StringBuilder},
    datatypes::SchemaRef,
    error::ArrowError,
};

pub use crate::catalog::rejects::schema;

/// Reason of rows that lost to another with the same primary key; not counted against the threshold.
pub const DUPLICATE_KEY: &str = "duplicate-key";

/// Longest `value` and `row` kept in a reject.
const LONGEST_TEXT: usize = 64 * 1024;

/// Collects rejects into a batch.
#[derive(Debug)]
pub struct RejectBuilder {
    columns: [StringBuilder; 6],
    schema: SchemaRef,
    rows: usize,
}

/// One reject.
#[derive(Debug, Clone, Copy)]
pub struct Reject<'a> {
    /// Upstream file, with `#member` inside an archive.
    pub source: &'a str,
    /// Position and what it counts.
    pub position: (&'a str, u64),
    /// Our column name.
    pub column: Option<&'a str>,
    /// The value as upstream wrote it.
    pub value: Option<&'a str>,
    /// What is wrong.
    pub reason: &'a str,
    /// The whole row.
    pub row: Option<&'a str>,
}

impl Default for RejectBuilder {
    fn default() -> Self {
        Self { columns: std::array::from_fn(|_| StringBuilder::new()), schema: schema().to_arrow(), rows: 0 }
    }
}

impl RejectBuilder {
    /// Adds one.
    pub fn push(&mut self, reject: &Reject<'_>) {
        let position = format!("{} {}", reject.position.0, reject.position.1);
        let cells = [
            Some(reject.source),
            Some(position.as_str()),
            reject.column,
            reject.value.map(clip),
            Some(reject.reason),
            reject.row.map(clip),
        ];
        for (builder, cell) in self.columns.iter_mut().zip(cells) {
            builder.append_option(cell);
        }
        self.rows += 1;
    }

    /// Rejects so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The batch of all so far; the builder is empty afterwards.
    ///
    /// # Errors
    /// Never in practice: the columns match the schema.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        RecordBatch::try_new(
            self.schema.clone(),
            self.columns.iter_mut().map(|builder| Arc::new(builder.finish()) as _).collect(),
        )
    }
}

fn clip(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
