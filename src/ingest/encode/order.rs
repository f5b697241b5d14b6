//! The order of rows: ascending by some columns, nulls last; text by its bytes; NaN after every number.

use std::cmp::Ordering;

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::SortOptions,
    datatypes::Schema,
    row::{Row, RowConverter, Rows, SortField},
};

use crate::ingest::Failure;

/// Compares rows by some of their columns.
pub(super) struct Order {
    columns: Vec<usize>,
    rows: RowConverter,
}

impl Order {
    /// By these columns of a schema, the first one counting most.
    ///
    /// # Errors
    /// A definition's failure for a column whose type has no order.
    pub(super) fn new(schema: &Schema, columns: Vec<usize>) -> Result<Self, Failure> {
        let options = SortOptions { descending: false, nulls_first: false };
        let mut fields = Vec::new();
        for column in &columns {
            let field = schema.field(*column);
            let kind = SortField::new_with_options(field.data_type().clone(), options);
            if !RowConverter::supports_fields(std::slice::from_ref(&kind)) {
                return Err(Failure::definition(format!(
                    "rows cannot be put in order by column `{}`: values of its type have none; leave it out of primary_key and sort_key",
                    field.name()
                )));
            }
            fields.push(kind);
        }
        let rows =
            RowConverter::new(fields).map_err(|error| Failure::internal(format!("cannot compare rows: {error}")))?;
        Ok(Self { columns, rows })
    }

    /// The batch's rows in a form that compares bytewise.
    pub(super) fn rows(&self, batch: &RecordBatch) -> Result<Rows, Failure> {
        self.rows
            .convert_columns(&self.columns(batch))
            .map_err(|error| Failure::internal(format!("cannot compare rows: {error}")))
    }

    /// The columns it looks at.
    pub(super) fn columns(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        self.columns.iter().map(|column| batch.column(*column).clone()).collect()
    }
}

/// Whether rows are in order.
pub(super) fn in_order(rows: &Rows) -> bool {
    rows.iter().zip(rows.iter().skip(1)).all(|(row, next)| row <= next)
}

/// The first bytes of a row as a number: settles most comparisons without a look at the row itself.
pub(super) fn prefix(row: Row<'_>) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(row.data()) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}

/// Compares rows by prefix first.
pub(super) fn compare(a: (u64, Row<'_>), b: (u64, Row<'_>)) -> Ordering {
    a.0.cmp(&b.0).then_with(|| a.1.cmp(&b.1))
}
