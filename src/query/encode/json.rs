//! JSON: one object for an answer of bounded size, or one object a line.
//!
//! Every selected column is present, null as `null`. NaN and the infinities are null; decimals, and int64 columns with
//! values beyond ±2^53, are text; lists, structs and maps are nested (integers inside them are always numbers).

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::DataType,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{OutputColumn, cell};
use crate::catalog::ColumnType;

/// Cells longer than this are cut unless `truncate=0`.
pub const LONGEST_CELL: usize = 64 * 1024;

/// Names of columns as JSON keys, and how their integers are written.
fn keys(columns: &[OutputColumn]) -> Vec<(Vec<u8>, bool)> {
    let key = |(at, column): (usize, &OutputColumn)| {
        let mut key = Vec::new();
        key.push(if at == 0 { b'{' } else { b',' });
        cell::string(&mut key, &column.name);
        key.push(b':');
        (key, column.wide)
    };
    columns.iter().enumerate().map(key).collect()
}

/// NDJSON.
#[derive(Debug)]
pub struct Lines {
    keys: Vec<(Vec<u8>, bool)>,
}

impl Lines {
    pub(super) fn new(columns: &[OutputColumn]) -> Self {
        Self { keys: keys(columns) }
    }

    pub(super) fn push(&self, batch: &RecordBatch, out: &mut Vec<u8>) {
        for row in 0..batch.num_rows() {
            for ((key, wide), column) in self.keys.iter().zip(batch.columns()) {
                out.extend_from_slice(key);
                cell::json(out, column, row, *wide);
            }
            out.extend_from_slice(b"}\n");
        }
    }
}

/// A cell that was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cut {
    /// Position in `rows`, from 0.
    pub row: u64,
    /// Column.
    pub column: String,
    /// Bytes of the whole value.
    pub bytes: u64,
    /// Bytes of it that are shown; 0 for a list, struct or map, which is null instead.
    pub kept: u64,
}

/// A column, as the answer's `columns` say it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AnswerColumn {
    /// Name.
    pub name: String,
    /// Type, as spelled in the definition grammar.
    #[serde(rename = "type")]
    pub kind: String,
    /// `string` where values are text although the type is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<&'static str>,
    /// `null` for floating-point columns: NaN and the infinities are shown as null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_finite: Option<&'static str>,
}

impl From<&OutputColumn> for AnswerColumn {
    fn from(column: &OutputColumn) -> Self {
        let text = column.wide || matches!(column.kind, ColumnType::Decimal(..));
        Self {
            name: column.name.clone(),
            kind: column.kind.to_string(),
            encoding: text.then_some("string"),
            non_finite: has_float(&column.kind).then_some("null"),
        }
    }
}

fn has_float(kind: &ColumnType) -> bool {
    match kind {
        ColumnType::Float32 | ColumnType::Float64 => true,
        ColumnType::List(item) | ColumnType::Map(item) => has_float(item),
        ColumnType::Struct(fields) => fields.iter().any(|(_, kind)| has_float(kind)),
        _ => false,
    }
}

/// How many rows match, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct RowCount {
    /// Rows.
    pub value: u64,
    /// `exact` or `estimate`.
    pub kind: &'static str,
}

/// How the same is had for less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hint {
    /// What was read, and what reads less.
    pub message: String,
    /// The request rewritten, or the files.
    pub url: String,
}

/// What stands after the rows.
#[derive(Debug, Default, Serialize)]
pub struct Tail {
    /// Rows skipped.
    pub offset: u64,
    /// Rows that match, if they were counted.
    pub row_count: Option<RowCount>,
    /// Address of the rows that follow; null after the last.
    pub next: Option<String>,
    /// Cells that were cut.
    pub truncated: Vec<Cut>,
    /// The seed of a sample.
    pub seed: Option<u64>,
    /// Whether these are all rows there are, where no address leads to the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// How the same is had for less, where much was read to say little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Hint>,
}

/// The JSON object of a `rows` answer, written as rows come.
#[derive(Debug)]
pub struct Answer {
    keys: Vec<(Vec<u8>, bool)>,
    names: Vec<String>,
    truncate: bool,
    rows: u64,
    truncated: Vec<Cut>,
}

impl Answer {
    /// Writes everything up to the rows: `head` (what the rows are of), then the columns.
    pub fn begin(head: &Map<String, Value>, columns: &[OutputColumn], truncate: bool, out: &mut Vec<u8>) -> Self {
        out.push(b'{');
        for (name, value) in head {
            cell::string(out, name);
            out.push(b':');
            out.extend_from_slice(&serde_json::to_vec(value).unwrap_or_default());
            out.push(b',');
        }
        let shown: Vec<AnswerColumn> = columns.iter().map(AnswerColumn::from).collect();
        out.extend_from_slice(b"\"columns\":");
        out.extend_from_slice(&serde_json::to_vec(&shown).unwrap_or_default());
        out.extend_from_slice(b",\"rows\":[");
        let names = columns.iter().map(|column| column.name.clone()).collect();
        Self { keys: keys(columns), names, truncate, rows: 0, truncated: Vec::new() }
    }

    /// Adds rows.
    pub fn push(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) {
        for row in 0..batch.num_rows() {
            out.extend_from_slice(if self.rows == 0 { b"\n" } else { b",\n" });
            for (at, column) in batch.columns().iter().enumerate() {
                let Some((key, wide)) = self.keys.get(at) else { continue };
                let wide = *wide;
                out.extend_from_slice(key);
                if !self.truncate || !self.cut(at, column, row, out) {
                    let begin = out.len();
                    cell::json(out, column, row, wide);
                    if self.truncate && out.len() - begin > LONGEST_CELL && column.data_type().is_nested() {
                        let bytes = (out.len() - begin) as u64;
                        out.truncate(begin);
                        out.extend_from_slice(b"null");
                        self.note(at, bytes, 0);
                    }
                }
            }
            out.push(b'}');
            self.rows += 1;
        }
    }

    /// Writes the beginning of a text or binary cell that is too long; false when it is not.
    fn cut(&mut self, at: usize, column: &dyn Array, row: usize, out: &mut Vec<u8>) -> bool {
        if column.is_null(row) {
            return false;
        }
        match column.data_type() {
            DataType::Utf8 => {
                let text = column.as_string::<i32>().value(row);
                if text.len() <= LONGEST_CELL {
                    return false;
                }
                let kept = text.get(..text.floor_char_boundary(LONGEST_CELL)).unwrap_or_default();
                cell::string(out, kept);
                self.note(at, text.len() as u64, kept.len() as u64);
            }
            DataType::Binary => {
                let bytes = column.as_binary::<i32>().value(row);
                if bytes.len() <= LONGEST_CELL {
                    return false;
                }
                let kept = bytes.get(..LONGEST_CELL).unwrap_or_default();
                cell::json(out, &arrow::array::BinaryArray::from_vec(vec![kept]), 0, false);
                self.note(at, bytes.len() as u64, kept.len() as u64);
            }
            _ => return false,
        }
        true
    }

    fn note(&mut self, at: usize, bytes: u64, kept: u64) {
        let column = self.names.get(at).cloned().unwrap_or_default();
        self.truncated.push(Cut { row: self.rows, column, bytes, kept });
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the object; `truncated` is filled in here.
    pub fn finish(self, tail: Tail, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.rows == 0 { b"]," } else { b"\n]," });
        let tail = Tail { truncated: self.truncated, ..tail };
        let text = serde_json::to_vec(&tail).unwrap_or_default();
        out.extend_from_slice(text.get(1..).unwrap_or_default());
        out.push(b'\n');
    }
}
