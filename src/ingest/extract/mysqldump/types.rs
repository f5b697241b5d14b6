//! The types a CREATE TABLE declares, for tables that name no columns.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, TimeUnit},
};

use crate::ingest::extract::{RawBatch, RawColumn};

/// The Arrow type of a declared one; none where the values must tell.
///
/// Byte strings are taken for text: Wikimedia declares all its text so. Where a value is no text, see [`typed`].
pub(super) fn arrow_type(name: &str, arguments: &[i64], unsigned: bool) -> Option<DataType> {
    Some(match name.to_ascii_lowercase().as_str() {
        "tinyint" | "smallint" | "mediumint" | "year" | "bool" | "boolean" => DataType::Int32,
        "int" | "integer" if unsigned => DataType::Int64,
        "int" | "integer" => DataType::Int32,
        "bigint" if unsigned => DataType::Decimal128(20, 0),
        "bigint" => DataType::Int64,
        "float" => DataType::Float32,
        "double" | "real" => DataType::Float64,
        "decimal" | "numeric" | "dec" | "fixed" => {
            let precision =
                u8::try_from(arguments.first().copied().unwrap_or(10)).ok().filter(|p| (1..=38).contains(p))?;
            let scale = i8::try_from(arguments.get(1).copied().unwrap_or(0)).ok()?;
            DataType::Decimal128(precision, scale)
        }
        "date" => DataType::Date32,
        "datetime" => DataType::Timestamp(TimeUnit::Microsecond, None),
        // Dumps are written in UTC.
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" | "time" | "json"
        | "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => DataType::Utf8,
        _ => return None,
    })
}

/// The batch with its columns in the declared types. A column with a value that does not fit stays text (MySQL has dates
/// such as `0000-00-00`, and byte strings that are no text).
pub(super) fn typed(mut batch: RawBatch, declared: &[Option<DataType>]) -> RawBatch {
    for (column, declared) in batch.columns.iter_mut().zip(declared) {
        if let (RawColumn::Text(cells), Some(declared)) = (&*column, declared)
            && let Some(array) = cast(&(Arc::new(cells.clone()) as ArrayRef), declared)
        {
            *column = RawColumn::Typed(array);
        }
    }
    batch
}

fn cast(cells: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    let options = CastOptions::default();
    let text = cast_with_options(cells, &DataType::Utf8, &options).ok()?;
    let array = if *to == DataType::Utf8 { text } else { cast_with_options(&text, to, &options).ok()? };
    (array.null_count() == cells.null_count()).then_some(array)
}
