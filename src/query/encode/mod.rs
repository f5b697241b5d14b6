//! Rows as bytes: one file per format, batch by batch, never more than a batch in memory (Parquet: a row group).
//!
//! What each format shows is fixed by the HTTP contract; how long an answer may be is not this module's business.

mod arrow;
mod cell;
mod csv;
pub mod json;
mod parquet;
#[cfg(test)]
mod tests;

use ::arrow::{
    array::{Array, RecordBatch},
    datatypes::SchemaRef,
};

use super::QueryError;
use crate::catalog::{Column, ColumnType, TableSchema};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// One JSON object with columns, rows and what was cut.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180, lines end with CR LF.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
    /// One Parquet file.
    Parquet,
}

impl Format {
    /// All, in the order shown to people.
    pub const ALL: [Self; 5] = [Self::Json, Self::Ndjson, Self::Csv, Self::Arrow, Self::Parquet];

    /// Its name in `format=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// A column as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub kind: ColumnType,
    /// An int64 column with values beyond ±2^53 somewhere in the snapshot: text in JSON, in every row.
    pub wide: bool,
}

impl OutputColumn {
    /// A column whose integers are numbers.
    pub fn plain(column: &Column) -> Self {
        Self { name: column.name.clone(), kind: column.kind.clone(), wide: false }
    }
}

/// Writes batches in one of the streaming formats.
#[derive(Debug)]
pub enum Encoder {
    /// NDJSON.
    Ndjson(json::Lines),
    /// CSV.
    Csv(csv::CsvRows),
    /// Arrow IPC.
    Arrow(Box<arrow::ArrowStream>),
    /// Parquet.
    Parquet(Box<parquet::ParquetFile>),
}

impl Encoder {
    /// An encoder of `format` for batches of that schema; JSON has its own ([`json::Answer`]), since it says more than rows.
    ///
    /// # Errors
    /// When the schema has a type the format cannot hold.
    pub fn new(
        format: Format,
        columns: &[OutputColumn],
        schema: &SchemaRef,
        metadata: Vec<(String, String)>,
    ) -> Result<Self, QueryError> {
        Ok(match format {
            Format::Json | Format::Ndjson => Self::Ndjson(json::Lines::new(columns)),
            Format::Csv => Self::Csv(csv::CsvRows::new(columns)),
            Format::Arrow => Self::Arrow(Box::new(arrow::ArrowStream::new(schema)?)),
            Format::Parquet => Self::Parquet(Box::new(parquet::ParquetFile::new(schema, metadata)?)),
        })
    }

    /// Adds a batch; bytes that are ready are appended to `out`.
    ///
    /// # Errors
    /// When a batch does not have the schema.
    pub fn push(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), QueryError> {
        match self {
            Self::Ndjson(lines) => lines.push(batch, out),
            Self::Csv(rows) => rows.push(batch, out),
            Self::Arrow(stream) => stream.push(batch, out)?,
            Self::Parquet(file) => file.push(batch, out)?,
        }
        Ok(())
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// When the end cannot be written.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), QueryError> {
        match self {
            Self::Ndjson(_) => Ok(()),
            Self::Csv(rows) => {
                rows.finish(out);
                Ok(())
            }
            Self::Arrow(stream) => stream.finish(out),
            Self::Parquet(file) => file.finish(out),
        }
    }
}

/// One value as JSON answers show it; `wide` makes integers text.
pub fn value(array: &dyn Array, row: usize, wide: bool) -> serde_json::Value {
    let mut text = Vec::new();
    cell::json(&mut text, array, row, wide);
    serde_json::from_slice(&text).unwrap_or_default()
}

/// A batch as NDJSON, int64 as numbers: the form of golden rows.
pub fn ndjson(batch: &RecordBatch, schema: &TableSchema) -> Vec<u8> {
    let columns: Vec<OutputColumn> = schema.columns.iter().map(OutputColumn::plain).collect();
    let mut out = Vec::new();
    json::Lines::new(&columns).push(batch, &mut out);
    out
}
