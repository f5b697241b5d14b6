//! Results as published columns: every type a plan can give becomes one that tables have, so that all encoders know it.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use datafusion::{
    common::{ScalarValue, stats::Precision},
    physical_plan::{
        ExecutionPlan,
        statistics::{StatisticsArgs, StatisticsContext},
    },
};

use crate::{
    catalog::{Column, ColumnType, TableSchema},
    query::{QueryError, SliceError},
};

/// Deepest nesting of a result's types.
const DEEPEST: usize = 32;

/// How a plan's batches become columns of our types.
#[derive(Debug, Clone)]
pub struct Output {
    /// The columns.
    pub columns: TableSchema,
    schema: SchemaRef,
}

impl Output {
    /// The published form of a plan's schema.
    ///
    /// # Errors
    /// [`QueryError::Unshowable`] for a column whose type has none.
    pub fn new(plan: &Schema) -> Result<Self, QueryError> {
        let mut columns = Vec::new();
        for field in plan.fields() {
            let unshowable =
                || QueryError::Unshowable { column: field.name().clone(), kind: field.data_type().to_string() };
            let kind = published(field.data_type(), 0).ok_or_else(unshowable)?;
            columns.push(Column { nullable: field.is_nullable(), ..Column::new(field.name(), kind) });
        }
        let columns = TableSchema { columns };
        Ok(Self { schema: columns.to_arrow(), columns })
    }

    /// The same with names that differ: what comes a second time is called `name_2`, and so on.
    #[must_use]
    pub fn with_unique_names(mut self) -> Self {
        let mut taken: HashSet<String> = HashSet::new();
        for column in &mut self.columns.columns {
            let (name, mut number) = (column.name.clone(), 2_u32);
            while !taken.insert(column.name.clone()) {
                column.name = format!("{name}_{number}");
                number += 1;
            }
        }
        self.schema = self.columns.to_arrow();
        self
    }

    /// The schema of converted batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A batch of the plan in the published types.
    ///
    /// # Errors
    /// When a value does not fit, such as an unsigned number beyond int64.
    pub fn convert(&self, batch: &RecordBatch) -> Result<RecordBatch, QueryError> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let columns = self
            .schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| {
                if column.data_type() == field.data_type() {
                    Ok(Arc::clone(column))
                } else {
                    cast_with_options(column, field.data_type(), &options).map_err(|error| {
                        let text = format!("column `{}` of the result cannot be shown: {error}", field.name());
                        QueryError::Slice(SliceError::new("query", text))
                    })
                }
            })
            .collect::<Result<Vec<ArrayRef>, QueryError>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// For each column of a plan whether it is known to have no integers beyond ±2^53, by bounds of what it reads.
pub fn bounds(plan: &dyn ExecutionPlan) -> Vec<bool> {
    let known = StatisticsContext::new().compute(plan, &StatisticsArgs::new()).ok();
    let exact = -(1_i64 << 53)..=(1_i64 << 53);
    let within = |value: &Precision<ScalarValue>| match value.get_value() {
        Some(ScalarValue::Int64(Some(value))) => exact.contains(value),
        _ => false,
    };
    let column = |at: usize| {
        let statistics = known.as_ref()?.column_statistics.get(at)?;
        Some(within(&statistics.min_value) && within(&statistics.max_value))
    };
    (0..plan.schema().fields().len()).map(|at| column(at).unwrap_or_default()).collect()
}

/// Marks the int64 columns of a batch that have values beyond ±2^53.
pub fn note_wide(batch: &RecordBatch, wide: &mut [bool]) {
    let exact = -(1_i64 << 53)..=(1_i64 << 53);
    for (column, wide) in batch.columns().iter().zip(wide) {
        if let Some(values) = column.as_primitive_opt::<Int64Type>() {
            *wide |= values.iter().flatten().any(|value| !exact.contains(&value));
        }
    }
}

/// The column type that shows values of an Arrow type.
fn published(kind: &DataType, depth: usize) -> Option<ColumnType> {
    let inner = |field: &Field| published(field.data_type(), depth + 1);
    if depth > DEEPEST {
        return None;
    }
    Some(match kind {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Null
        | DataType::Interval(_)
        | DataType::Duration(_)
        | DataType::Time32(_)
        | DataType::Time64(_) => ColumnType::Utf8,
        DataType::Boolean => ColumnType::Bool,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => ColumnType::Int32,
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => ColumnType::Int64,
        DataType::Float16 | DataType::Float32 => ColumnType::Float32,
        DataType::Float64 => ColumnType::Float64,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => ColumnType::Decimal(*precision, *scale),
        DataType::Decimal256(_, scale) => ColumnType::Decimal(38, *scale),
        DataType::Date32 | DataType::Date64 => ColumnType::Date,
        DataType::Timestamp(_, None) => ColumnType::Datetime,
        DataType::Timestamp(_, Some(_)) => ColumnType::Timestamp,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            ColumnType::Binary
        }
        DataType::Dictionary(_, value) => published(value, depth + 1)?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => ColumnType::List(Box::new(inner(item)?)),
        DataType::Struct(fields) => ColumnType::Struct(
            fields.iter().map(|field| Some((field.name().clone(), inner(field)?))).collect::<Option<Vec<_>>>()?,
        ),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => match pair.as_ref() {
                [key, value]
                    if matches!(key.data_type(), DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8) =>
                {
                    ColumnType::Map(Box::new(inner(value)?))
                }
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    })
}
