//! Partitions: rows with one value in each partition column, which have files of their own.

use std::{collections::BTreeMap, ops::Range};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::partition,
    datatypes::{DataType, Date32Type, Int32Type, Int64Type},
};
use serde_json::Value;

use super::bounds;
use crate::{catalog::TableSchema, ingest::Failure};

/// Bytes of a text that is a partition's value: it stands in every list of files, once a file.
const LONGEST_TEXT: usize = 256;

/// The partitions of a part, as its rows come in their order.
#[derive(Clone)]
pub(super) struct Partitions {
    /// Places and names of the columns.
    columns: Vec<(usize, String)>,
    most: usize,
    /// Partitions begun.
    begun: usize,
    /// Values of the one under way; none before the first row.
    values: Vec<Value>,
}

impl Partitions {
    /// By these columns of a table, `most` of them.
    pub(super) fn new(table: &TableSchema, by: &[String], most: usize) -> Self {
        let place = |name: &String| table.column(name).map(|(at, _)| (at, name.clone()));
        Self { columns: by.iter().filter_map(place).collect(), most, begun: 0, values: Vec::new() }
    }

    /// Stretches of rows of one partition each.
    pub(super) fn ranges(&self, batch: &RecordBatch) -> Result<Vec<Range<usize>>, Failure> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        if self.columns.is_empty() {
            return Ok(std::iter::once(0..batch.num_rows()).collect());
        }
        let columns: Vec<ArrayRef> = self.columns.iter().map(|(at, _)| ArrayRef::clone(batch.column(*at))).collect();
        let found = partition(&columns);
        found.map(|found| found.ranges()).map_err(|error| Failure::internal(format!("cannot part rows: {error}")))
    }

    /// Whether the partition under way has ended before this row.
    pub(super) fn ends(&self, batch: &RecordBatch, row: usize) -> Result<bool, Failure> {
        Ok(!self.columns.is_empty() && self.values != self.of(batch, row)?)
    }

    /// Begins the partition of this row.
    ///
    /// # Errors
    /// A definition's failure when there are too many, or the value is too long.
    pub(super) fn begin(&mut self, batch: &RecordBatch, row: usize) -> Result<(), Failure> {
        self.begun += 1;
        if self.begun > self.most {
            let names: Vec<&str> = self.columns.iter().map(|(_, name)| name.as_str()).collect();
            return Err(too_many(&names, &format!("one part falls into more than {} partitions", self.most)));
        }
        self.values = self.of(batch, row)?;
        for ((_, name), value) in self.columns.iter().zip(&self.values) {
            if let Some(text) = value.as_str().filter(|text| text.len() > LONGEST_TEXT) {
                let begin: String = text.chars().take(40).collect();
                return Err(Failure::definition(format!(
                    "`partition_by`: `{name}` has a value of {} bytes, `{begin}…`; a partition's may have {LONGEST_TEXT}: partition by something shorter, such as a code",
                    text.len()
                )));
            }
        }
        Ok(())
    }

    /// The values of the partition under way, by column; null before the first row.
    pub(super) fn value(&self) -> BTreeMap<String, Value> {
        let values = self.values.iter().cloned().chain(std::iter::repeat(Value::Null));
        self.columns.iter().map(|(_, name)| name.clone()).zip(values).collect()
    }

    fn of(&self, batch: &RecordBatch, row: usize) -> Result<Vec<Value>, Failure> {
        let value = |(at, name): &(usize, String)| {
            value(batch.column(*at), row)
                .ok_or_else(|| Failure::definition(format!("`partition_by`: values of `{name}` make no partitions")))
        };
        self.columns.iter().map(value).collect()
    }
}

/// Too many partitions by these columns: `what` they make of a part or a table.
pub(in crate::ingest) fn too_many(columns: &[impl AsRef<str>], what: &str) -> Failure {
    let names: Vec<String> = columns.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    let names = names.join(" and ");
    Failure::definition(format!(
        "`partition_by`: by {names} {what}, each of them a file; partition by something coarser (a year instead of a day), or leave it out and let `sort_key` begin with {names}: readers then pass over what they do not need as well"
    ))
}

/// A value as the API shows it; `None` for types that make no partitions.
fn value(column: &ArrayRef, row: usize) -> Option<Value> {
    if column.is_null(row) {
        return Some(Value::Null);
    }
    Some(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => bounds::integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Date32 => bounds::day(column.as_primitive::<Date32Type>().value(row))?,
        _ => return None,
    })
}
