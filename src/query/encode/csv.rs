//! CSV: UTF-8, RFC 4180 with its CR LF, a header; null is empty, the empty string is `""`, nested values are JSON text.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::DataType,
};

use super::{OutputColumn, cell};

/// Writes rows as CSV; the header comes with the first batch, or at the end of an answer without rows.
#[derive(Debug)]
pub struct CsvRows {
    header: Option<Vec<u8>>,
    cell: String,
}

impl CsvRows {
    pub(super) fn new(columns: &[OutputColumn]) -> Self {
        let mut header = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                header.push(b',');
            }
            field(&mut header, &column.name);
        }
        header.extend_from_slice(b"\r\n");
        Self { header: Some(header), cell: String::new() }
    }

    pub(super) fn push(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) {
        if let Some(header) = self.header.take() {
            out.extend_from_slice(&header);
        }
        for row in 0..batch.num_rows() {
            for (at, column) in batch.columns().iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                if column.is_null(row) {
                    continue;
                }
                if column.data_type() == &DataType::Utf8 {
                    field(out, column.as_string::<i32>().value(row));
                } else {
                    self.cell.clear();
                    cell::text(&mut self.cell, column, row);
                    field(out, &self.cell);
                }
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    pub(super) fn finish(self, out: &mut Vec<u8>) {
        if let Some(header) = self.header {
            out.extend_from_slice(&header);
        }
    }
}

fn field(out: &mut Vec<u8>, text: &str) {
    let needs_quotes = text.is_empty() || text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    if !needs_quotes {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
