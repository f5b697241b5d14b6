//! Builds [`RawBatch`]es cell by cell; shared by every extractor whose rows are text.
//!
//! It knows no format: rows come in, batches of about [`BATCH_ROWS`] rows or [`BATCH_BYTES`] go out, whichever is first.

use std::sync::Arc;

use arrow::{
    array::{BinaryArray, NullBufferBuilder},
    buffer::{Buffer, OffsetBuffer, ScalarBuffer},
};

use super::{BrokenRow, RawBatch, RawColumn, Sink};
use crate::ingest::Failure;

/// Rows of a batch, about.
pub const BATCH_ROWS: usize = 8192;
/// Bytes of a batch, about.
pub const BATCH_BYTES: usize = 8 << 20;
/// Most bytes of one row; cells are addressed by 32-bit offsets.
pub const LONGEST_ROW: usize = 1 << 30;
/// Most columns one table may have: keys that are really values would otherwise fill the memory.
const MOST_COLUMNS: usize = 20_000;
/// Longest text kept of a broken row.
const BROKEN_TEXT: usize = 4096;

/// What the cells of a builder are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// Text as upstream wrote it: [`RawColumn::Text`].
    Text,
    /// JSON text: [`RawColumn::Json`].
    Json,
}

/// Collects rows. Cells of the row under way are set with [`cell`](Self::cell), in any order; [`end_row`](Self::end_row)
/// makes it a row, [`abandon_row`](Self::abandon_row) forgets it.
#[derive(Debug)]
pub struct RawBatchBuilder {
    names: Arc<Vec<String>>,
    kind: CellKind,
    unit: &'static str,
    sparse: bool,
    columns: Vec<Cells>,
    rows: usize,
    /// Cells set in the row under way.
    filled: usize,
    bytes: usize,
    positions: Vec<u64>,
    broken: Vec<BrokenRow>,
    emitted: bool,
}

#[derive(Debug)]
struct Cells {
    values: Vec<u8>,
    /// One more than there are cells.
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Cells {
    fn new(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { values: Vec::with_capacity(bytes), offsets, nulls: NullBufferBuilder::new(rows) }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.offsets.push(self.values.len() as i32);
        self.nulls.append_non_null();
    }

    #[inline]
    fn push_null(&mut self) {
        self.offsets.push(self.values.len() as i32);
        self.nulls.append_null();
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.values.truncate(self.offsets.last().copied().unwrap_or(0) as usize);
        self.nulls.truncate(rows);
    }

    fn finish(&mut self, kind: CellKind) -> RawColumn {
        let next = Self::new(self.len(), self.values.len());
        let Self { values, offsets, mut nulls } = std::mem::replace(self, next);
        let array =
            BinaryArray::new(OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(values), nulls.finish());
        match kind {
            CellKind::Text => RawColumn::Text(array),
            CellKind::Json => RawColumn::Json(array),
        }
    }
}

impl RawBatchBuilder {
    /// A builder of rows with these columns, positions counting `unit` (`"line"`, `"record"`, `"byte"`).
    pub fn new(names: Vec<String>, kind: CellKind, unit: &'static str) -> Self {
        let columns = names.iter().map(|_| Cells::new(0, 0)).collect();
        Self {
            names: Arc::new(names),
            kind,
            unit,
            sparse: false,
            columns,
            rows: 0,
            filled: 0,
            bytes: 0,
            positions: Vec::new(),
            broken: Vec::new(),
            emitted: false,
        }
    }

    /// Marks the rows as sparse: a name that is absent from a batch means null.
    #[must_use]
    pub fn sparse(mut self) -> Self {
        self.sparse = true;
        self
    }

    /// The columns so far.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Adds a column; rows already there get null in it.
    ///
    /// # Errors
    /// Too many columns.
    pub fn add_column(&mut self, name: &str) -> Result<usize, Failure> {
        if self.columns.len() >= MOST_COLUMNS {
            return Err(Failure::definition(format!(
                "more than {MOST_COLUMNS} different column names, the last is `{name}`: are these names really values?"
            )));
        }
        let mut cells = Cells::new(BATCH_ROWS.min(self.rows), 0);
        for _ in 0..self.rows {
            cells.push_null();
        }
        self.bytes += self.rows * size_of::<i32>();
        self.columns.push(cells);
        Arc::make_mut(&mut self.names).push(name.to_owned());
        Ok(self.columns.len() - 1)
    }

    /// Sets a cell of the row under way; setting it again replaces it. A column that does not exist is ignored.
    #[inline]
    pub fn cell(&mut self, column: usize, value: Option<&[u8]>) {
        let Some(cells) = self.columns.get_mut(column) else { return };
        if cells.len() > self.rows {
            cells.truncate(self.rows);
        } else {
            self.filled += 1;
        }
        match value {
            Some(value) => {
                self.bytes += value.len();
                cells.push(value);
            }
            None => cells.push_null(),
        }
    }

    /// Ends the row under way; columns without a cell are null in it.
    #[inline]
    pub fn end_row(&mut self, position: u64) {
        self.rows += 1;
        if self.filled < self.columns.len() {
            for cells in &mut self.columns {
                if cells.len() < self.rows {
                    cells.push_null();
                }
            }
        }
        self.filled = 0;
        self.bytes += (self.columns.len() + 2) * size_of::<i32>();
        self.positions.push(position);
    }

    /// Forgets the row under way.
    pub fn abandon_row(&mut self) {
        for cells in &mut self.columns {
            if cells.len() > self.rows {
                cells.truncate(self.rows);
            }
        }
        self.filled = 0;
    }

    /// Forgets the row under way and records it as broken; `bytes` are the row's, of which the beginning is kept.
    pub fn broken_row(&mut self, position: u64, reason: impl Into<String>, bytes: &[u8]) {
        self.abandon_row();
        let text = printable(bytes);
        let reason = reason.into();
        self.bytes += text.len() + reason.len() + size_of::<BrokenRow>();
        self.broken.push(BrokenRow { position, reason, text });
    }

    /// Rows waiting, the broken ones aside.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Hands a batch on if enough rows wait. Call between rows.
    ///
    /// # Errors
    /// The sink's.
    #[inline]
    pub fn flush_if_full(&mut self, sink: &mut Sink<'_>) -> Result<(), Failure> {
        if self.rows < BATCH_ROWS && self.bytes < BATCH_BYTES && self.broken.len() < BATCH_ROWS {
            return Ok(());
        }
        sink(self.take())
    }

    /// Hands on what waits; one batch without rows if there never were any, so that the names are known.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(mut self, sink: &mut Sink<'_>) -> Result<(), Failure> {
        if self.emitted && self.rows == 0 && self.broken.is_empty() {
            return Ok(());
        }
        sink(self.take())
    }

    /// The batch of the rows that wait.
    pub fn take(&mut self) -> RawBatch {
        self.abandon_row();
        self.emitted = true;
        self.bytes = 0;
        let kind = self.kind;
        RawBatch {
            names: Arc::clone(&self.names),
            columns: self.columns.iter_mut().map(|cells| cells.finish(kind)).collect(),
            rows: std::mem::take(&mut self.rows),
            positions: std::mem::take(&mut self.positions),
            unit: self.unit,
            broken: std::mem::take(&mut self.broken),
            sparse: self.sparse,
        }
    }
}

/// The beginning of foreign bytes, fit to be shown: invalid UTF-8 replaced, control characters escaped.
pub fn printable(bytes: &[u8]) -> String {
    let head = bytes.get(..BROKEN_TEXT).unwrap_or(bytes);
    let mut out = String::with_capacity(head.len());
    for c in String::from_utf8_lossy(head).chars() {
        if c.is_control() && c != '\t' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::Array;

    use super::*;

    fn cells(column: &RawColumn) -> Vec<Option<Vec<u8>>> {
        match column {
            RawColumn::Text(array) | RawColumn::Json(array) => {
                (0..array.len()).map(|i| array.is_valid(i).then(|| array.value(i).to_vec())).collect()
            }
            RawColumn::Typed(_) => Vec::new(),
        }
    }

    #[test]
    fn missing_cells_are_null_and_abandoned_rows_leave_nothing() {
        let mut builder = RawBatchBuilder::new(vec!["a".into(), "b".into()], CellKind::Text, "line");
        builder.cell(1, Some(b"x"));
        builder.end_row(1);
        builder.cell(0, Some(b"gone"));
        builder.broken_row(2, "bad", b"gone\x01");
        builder.cell(0, Some(b"first"));
        builder.cell(0, Some(b"y"));
        builder.end_row(3);
        let late = builder.add_column("c").unwrap();
        builder.cell(late, Some(b"z"));
        builder.end_row(4);
        let batch = builder.take();
        assert_eq!(*batch.names, ["a", "b", "c"]);
        assert_eq!((batch.rows, batch.positions.as_slice()), (3, [1, 3, 4].as_slice()));
        assert_eq!(cells(&batch.columns[0]), [None, Some(b"y".to_vec()), None]);
        assert_eq!(cells(&batch.columns[1]), [Some(b"x".to_vec()), None, None]);
        assert_eq!(cells(&batch.columns[2]), [None, None, Some(b"z".to_vec())]);
        assert_eq!(batch.broken, [BrokenRow { position: 2, reason: "bad".into(), text: "gone\\u{1}".into() }]);
    }

    #[test]
    fn batches_end_by_rows_or_bytes() {
        let mut sizes = Vec::new();
        let mut builder = RawBatchBuilder::new(vec!["a".into()], CellKind::Text, "line");
        let big = vec![b'x'; 3 << 20];
        for i in 0..20_000_u64 {
            builder.cell(0, if i >= 19_994 { Some(&big) } else { Some(b"x") });
            builder.end_row(i);
            builder
                .flush_if_full(&mut |batch| {
                    sizes.push(batch.rows);
                    Ok(())
                })
                .unwrap();
        }
        builder
            .finish(&mut |batch| {
                sizes.push(batch.rows);
                Ok(())
            })
            .unwrap();
        assert_eq!(sizes, [8192, 8192, 3613, 3]);
    }

    #[test]
    fn a_table_without_rows_still_has_names() {
        let mut seen = Vec::new();
        let builder = RawBatchBuilder::new(vec!["a".into()], CellKind::Json, "record").sparse();
        builder
            .finish(&mut |batch| {
                seen.push(batch);
                Ok(())
            })
            .unwrap();
        assert_eq!((seen.len(), seen[0].rows, seen[0].sparse), (1, 0, true));
    }
}
