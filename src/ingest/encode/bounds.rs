//! Bounds of columns in a file, from the statistics written into it, as the API shows values.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, RecordBatch},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, SchemaRef,
        TimestampMicrosecondType,
    },
};
use chrono::{DateTime, SecondsFormat};
use parquet::{arrow::arrow_reader::statistics::StatisticsConverter, file::metadata::ParquetMetaData};
use serde_json::Value;

use crate::{
    catalog::{Column, ColumnType, TableSchema, snapshot::ColumnBounds},
    ingest::Failure,
};

/// Beyond this a number does not survive programs that read JSON numbers as doubles.
const LARGEST_NUMBER: u64 = 1 << 53;

/// Bounds of the file's top-level columns. `nan` names the columns that hold NaN, which statistics leave out: they have
/// no upper bound. Nested columns are left out; binary and JSON ones only have their nulls counted.
pub(super) fn bounds(
    metadata: &ParquetMetaData,
    table: &TableSchema,
    schema: &SchemaRef,
    nan: &[bool],
) -> Result<BTreeMap<String, ColumnBounds>, Failure> {
    let mut bounds = BTreeMap::new();
    for (at, column) in table.columns.iter().enumerate().filter(|(_, column)| !column.kind.is_nested()) {
        let found = column_bounds(metadata, column, schema, nan.get(at).copied().unwrap_or_default());
        let found = found.map_err(|error| {
            Failure::internal(format!("cannot read back the statistics of column `{}`: {error}", column.name))
        })?;
        if found != ColumnBounds::default() {
            bounds.insert(column.name.clone(), found);
        }
    }
    Ok(bounds)
}

fn column_bounds(
    metadata: &ParquetMetaData,
    column: &Column,
    schema: &SchemaRef,
    has_nan: bool,
) -> parquet::errors::Result<ColumnBounds> {
    let descriptor = metadata.file_metadata().schema_descr();
    let statistics = StatisticsConverter::try_new(&column.name, schema, descriptor)?;
    let groups = || metadata.row_groups().iter();
    let nulls = statistics.row_group_null_counts(groups())?;
    let counted = nulls.null_count() == 0;
    let mut bounds = ColumnBounds { nulls: counted.then(|| nulls.iter().flatten().sum()), min: None, max: None };
    if matches!(column.kind, ColumnType::Binary | ColumnType::Json) {
        return Ok(bounds);
    }
    let (mins, maxes) = (statistics.row_group_mins(groups())?, statistics.row_group_maxes(groups())?);
    // A row group without bounds is fine only if it holds nothing but nulls.
    let known = groups().enumerate().all(|(at, group)| {
        (mins.is_valid(at) && maxes.is_valid(at)) || (nulls.is_valid(at) && nulls.value(at) == group.num_rows() as u64)
    });
    if known && let Some((min, max)) = extremes(&mins, &maxes) {
        bounds.min = min;
        bounds.max = max.filter(|_| !has_nan);
    }
    Ok(bounds)
}

/// The least of the minimums and the greatest of the maximums, as JSON; `None` where there are none, or not of that type.
fn extremes(mins: &ArrayRef, maxes: &ArrayRef) -> Option<(Option<Value>, Option<Value>)> {
    macro_rules! of {
        ($type:ty, $show:expr) => {{
            let show = $show;
            let min = mins.as_primitive_opt::<$type>()?.iter().flatten().reduce(|a, b| if b < a { b } else { a })?;
            let max = maxes.as_primitive_opt::<$type>()?.iter().flatten().reduce(|a, b| if b > a { b } else { a })?;
            Some((show(min), show(max)))
        }};
    }
    match mins.data_type() {
        DataType::Boolean => {
            let min = mins.as_boolean().iter().flatten().min()?;
            let max = maxes.as_boolean_opt()?.iter().flatten().max()?;
            Some((Some(min.into()), Some(max.into())))
        }
        DataType::Int32 => of!(Int32Type, |value: i32| Some(Value::from(value))),
        DataType::Int64 => {
            let (min, max) = of!(Int64Type, Some)?;
            let (min, max) = (min?, max?);
            // Both in one form, as in the rows of such a column.
            let large = integer(min).is_string() || integer(max).is_string();
            let show = |value: i64| Some(if large { Value::from(value.to_string()) } else { Value::from(value) });
            Some((show(min), show(max)))
        }
        // JSON has no infinities: such a bound bounds nothing.
        DataType::Float32 => of!(Float32Type, |value: f32| number(value.into())),
        DataType::Float64 => of!(Float64Type, number),
        DataType::Decimal128(precision, scale) => {
            use arrow::datatypes::DecimalType;
            of!(Decimal128Type, |value| Some(Value::from(Decimal128Type::format_decimal(value, *precision, *scale))))
        }
        DataType::Date32 => of!(Date32Type, day),
        DataType::Timestamp(_, zone) => of!(TimestampMicrosecondType, |micros: i64| {
            let time = DateTime::from_timestamp_micros(micros)?;
            let mut text = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            if zone.is_none() {
                text.pop();
            }
            Some(Value::from(text))
        }),
        DataType::Utf8 => {
            let min = mins.as_string_opt::<i32>()?.iter().flatten().min()?;
            let max = maxes.as_string_opt::<i32>()?.iter().flatten().max()?;
            Some((Some(min.into()), Some(max.into())))
        }
        _ => None,
    }
}

/// A whole number; as text where it does not survive otherwise.
pub(super) fn integer(value: i64) -> Value {
    if value.unsigned_abs() > LARGEST_NUMBER { value.to_string().into() } else { value.into() }
}

/// A day, counted from 1970; `None` beyond what calendars reach.
pub(super) fn day(days: i32) -> Option<Value> {
    let day = DateTime::from_timestamp(i64::from(days) * 86_400, 0)?;
    Some(day.format("%Y-%m-%d").to_string().into())
}

fn number(value: f64) -> Option<Value> {
    // Not `-0.0`: it compares like 0 but would be shown as less.
    serde_json::Number::from_f64(value + 0.0).map(Value::Number)
}

/// Marks the columns of a batch that hold NaN.
pub(super) fn note_nan(batch: &RecordBatch, nan: &mut [bool]) {
    for (column, nan) in batch.columns().iter().zip(nan).filter(|(_, nan)| !**nan) {
        *nan = if let Some(values) = column.as_any().downcast_ref::<Float64Array>() {
            values.values().iter().any(|value| value.is_nan())
        } else if let Some(values) = column.as_any().downcast_ref::<Float32Array>() {
            values.values().iter().any(|value| value.is_nan())
        } else {
            false
        };
    }
}
