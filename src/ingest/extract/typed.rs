//! Record batches of upstream's to raw batches: what Parquet and Arrow have in common.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc};

use arrow::{
    array::RecordBatch,
    compute::cast,
    datatypes::{DataType, Field, Schema},
};

use super::{Extraction, RawBatch, RawColumn, Sink, is_wanted};
use crate::{catalog::ColumnType, ingest::Failure};

/// Rows of a batch at most.
pub(super) const BATCH_ROWS: usize = 8192;
/// Bytes of a batch, about.
pub(super) const BATCH_BYTES: usize = 8 << 20;

/// Turns upstream's record batches into raw ones.
pub(super) struct TypedRows {
    names: Arc<Vec<String>>,
    /// Index of each column in upstream's schema, and what its dictionaries are cast to.
    columns: Vec<(usize, Option<DataType>)>,
    place: String,
    record: u64,
    bytes: u64,
    most_bytes: u64,
}

impl TypedRows {
    /// For batches of this schema.
    ///
    /// # Errors
    /// A column of a type we have none for, or two columns of one name (definition).
    pub(super) fn new(schema: &Schema, extraction: &Extraction<'_>) -> Result<Self, Failure> {
        let place = extraction.place();
        let (mut names, mut columns, mut known) = (Vec::new(), Vec::new(), HashSet::new());
        for (at, field) in schema.fields().iter().enumerate() {
            let name = field.name();
            if !is_wanted(extraction.wanted, name) {
                continue;
            }
            if ColumnType::from_arrow(field.data_type()).is_none() {
                return Err(Failure::definition(format!(
                    "{place}: column `{name}` has type {}, for which there is no column type: leave it out by naming the \
                     columns, or convert it with a script",
                    field.data_type()
                )));
            }
            if !known.insert(name) {
                return Err(Failure::definition(format!("{place}: two columns are called `{name}`")));
            }
            let plain = plain(field.data_type());
            columns.push((at, (plain != *field.data_type()).then_some(plain)));
            names.push(name.clone());
        }
        let most_bytes = extraction.caps.decompressed_bytes;
        Ok(Self { names: Arc::new(names), columns, place, record: 0, bytes: 0, most_bytes })
    }

    /// Indices of the columns that are read.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().map(|(at, _)| *at)
    }

    /// The columns were read without the others: they now stand in this order.
    pub(super) fn projected(&mut self) {
        for (at, column) in self.columns.iter_mut().enumerate() {
            column.0 = at;
        }
    }

    /// Hands on one record batch, cut to size.
    ///
    /// # Errors
    /// Dictionaries that do not decode, the cap on bytes, or the sink's.
    pub(super) fn push(&mut self, batch: &RecordBatch, sink: &mut Sink<'_>) -> Result<(), Failure> {
        let bytes = batch.get_array_memory_size();
        // Rows without bytes count too: a claimed number of nulls takes no space.
        self.bytes += bytes.max(batch.num_rows()) as u64;
        if self.bytes > self.most_bytes {
            return Err(Failure::upstream(format!(
                "{}: more than {} bytes of rows (cap `decompressed_bytes`)",
                self.place, self.most_bytes
            )));
        }
        let step = rows_in(BATCH_BYTES, bytes / batch.num_rows().max(1));
        let mut offset = 0;
        // A batch without rows is handed on too: it has the names.
        loop {
            let rows = step.min(batch.num_rows() - offset);
            self.slice(&batch.slice(offset, rows), sink)?;
            offset += rows;
            if offset >= batch.num_rows() {
                return Ok(());
            }
        }
    }

    fn slice(&mut self, batch: &RecordBatch, sink: &mut Sink<'_>) -> Result<(), Failure> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for ((at, target), name) in self.columns.iter().zip(self.names.iter()) {
            let Some(column) = batch.columns().get(*at) else {
                return Err(Failure::upstream(format!("{}: a batch lacks column `{name}`", self.place)));
            };
            columns.push(RawColumn::Typed(match target {
                None => column.clone(),
                Some(target) => guarded(&self.place, || cast(column, target))?
                    .map_err(|error| Failure::upstream(format!("{}: column `{name}`: {error}", self.place)))?,
            }));
        }
        let rows = batch.num_rows();
        let first = self.record + 1;
        self.record += rows as u64;
        sink(RawBatch {
            names: self.names.clone(),
            columns,
            rows,
            positions: (first..=self.record).collect(),
            unit: "record",
            broken: Vec::new(),
            sparse: false,
        })
    }
}

/// How many rows of so many bytes make a batch.
pub(super) fn rows_in(batch_bytes: usize, row_bytes: usize) -> usize {
    (batch_bytes / row_bytes.max(1)).clamp(1, BATCH_ROWS)
}

/// Runs a library's parser over foreign bytes; a panic in it is a failure.
///
/// # Errors
/// It panicked.
pub(super) fn guarded<T>(place: &str, parse: impl FnOnce() -> T) -> Result<T, Failure> {
    std::panic::catch_unwind(AssertUnwindSafe(parse)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Failure::upstream(format!("{place}: so malformed that its parser gave up: {text}"))
    })
}

/// The type with dictionaries and run ends decoded, at any depth.
fn plain(kind: &DataType) -> DataType {
    let field = |field: &Arc<Field>| Arc::new(field.as_ref().clone().with_data_type(plain(field.data_type())));
    match kind {
        DataType::Dictionary(_, value) => plain(value),
        DataType::RunEndEncoded(_, value) => plain(value.data_type()),
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => other.clone(),
    }
}
