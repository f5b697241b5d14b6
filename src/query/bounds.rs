//! Bounds of columns as manifests hold them, typed again.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray, new_null_array},
    compute::{CastOptions, SortOptions, cast_with_options, sort_to_indices},
    datatypes::Int64Type,
};
use serde_json::Value;

use crate::catalog::{Column, ColumnType, DataFile, snapshot::ColumnBounds};

/// Integers up to here are exact in a double, and so in every JSON reader.
const EXACT: i64 = 1 << 53;

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Lower bounds.
    Min,
    /// Upper bounds.
    Max,
}

/// The bound of a column in each file, in the column's Arrow type; null where it is unknown.
pub fn of_files(files: &[DataFile], column: &Column, side: Side) -> ArrayRef {
    let kind = column.kind.to_arrow();
    if column.kind.is_nested() || column.kind == ColumnType::Binary {
        return new_null_array(&kind, files.len());
    }
    let texts: StringArray = files.iter().map(|file| bound(file, column, side).and_then(text)).collect();
    let options = CastOptions { safe: true, ..CastOptions::default() };
    cast_with_options(&texts, &kind, &options).unwrap_or_else(|_| new_null_array(&kind, files.len()))
}

fn bound<'a>(file: &'a DataFile, column: &Column, side: Side) -> Option<&'a Value> {
    let bounds = file.columns.get(&column.name)?;
    match side {
        Side::Min => bounds.min.as_ref(),
        Side::Max => bounds.max.as_ref(),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Nulls of a column in a file, when known.
pub fn nulls(file: &DataFile, column: &str) -> Option<u64> {
    file.columns.get(column)?.nulls
}

/// Bounds over all files; each part absent when a file that has values does not say it.
pub fn of_table(files: &[DataFile], column: &Column) -> ColumnBounds {
    let known: Option<Vec<u64>> = files.iter().map(|file| nulls(file, &column.name)).collect();
    ColumnBounds {
        min: extreme(files, column, Side::Min),
        max: extreme(files, column, Side::Max),
        nulls: known.map(|nulls| nulls.iter().sum()),
    }
}

fn extreme(files: &[DataFile], column: &Column, side: Side) -> Option<Value> {
    let typed = of_files(files, column, side);
    for (at, file) in files.iter().enumerate() {
        let empty = nulls(file, &column.name) == Some(file.rows);
        if typed.is_null(at) && !empty {
            return None;
        }
    }
    let options = SortOptions { descending: side == Side::Max, nulls_first: false };
    let first = sort_to_indices(&typed, Some(options), Some(1)).ok()?;
    let at = first.values().first().copied()? as usize;
    bound(files.get(at)?, column, side).cloned()
}

/// Whether an int64 column has values beyond ±2^53 anywhere in these files; unknown counts as yes.
pub fn is_wide(files: &[DataFile], column: &Column) -> bool {
    if column.kind != ColumnType::Int64 {
        return false;
    }
    let (low, high) = (of_files(files, column, Side::Min), of_files(files, column, Side::Max));
    let (Some(low), Some(high)) = (low.as_primitive_opt::<Int64Type>(), high.as_primitive_opt::<Int64Type>()) else {
        return true;
    };
    files.iter().enumerate().any(|(at, file)| {
        if nulls(file, &column.name) == Some(file.rows) {
            return false;
        }
        low.is_null(at) || high.is_null(at) || low.value(at) < -EXACT || high.value(at) > EXACT
    })
}

/// The rows of each file, for pruning.
pub(super) fn rows(files: &[DataFile]) -> ArrayRef {
    Arc::new(files.iter().map(|file| Some(file.rows)).collect::<arrow::array::UInt64Array>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn column(kind: &str) -> Column {
        Column::new("x", kind.parse().expect("a type"))
    }

    fn part(min: Value, max: Value, nulls: u64) -> DataFile {
        let some = |value: Value| (!value.is_null()).then_some(value);
        DataFile {
            key: "k".into(),
            bytes: 1,
            rows: 10,
            added_in: 1,
            columns: [("x".to_owned(), ColumnBounds { min: some(min), max: some(max), nulls: Some(nulls) })].into(),
            ..DataFile::default()
        }
    }

    #[test]
    fn a_table_is_as_wide_as_its_widest_file() {
        let narrow = part(json!(-5), json!(1_i64 << 53), 0);
        let wide = part(json!(0), json!((1_i64 << 53) + 1), 0);
        let empty = part(Value::Null, Value::Null, 10);
        assert!(!is_wide(&[narrow.clone(), empty.clone()], &column("int64")));
        assert!(is_wide(&[narrow.clone(), wide], &column("int64")));
        assert!(is_wide(&[part(Value::Null, Value::Null, 0)], &column("int64")));
        assert!(!is_wide(&[], &column("int64")));
    }

    #[test]
    fn bounds_of_files_join_by_type_not_by_text() {
        let files = [
            part(json!("2024-01-01T00:00:00.5Z"), json!("2024-01-01T00:00:01Z"), 1),
            part(json!("2024-01-01T00:00:00Z"), json!("2024-01-01T00:00:00.25Z"), 2),
        ];
        let bounds = of_table(&files, &column("timestamp"));
        assert_eq!(bounds.min, Some(json!("2024-01-01T00:00:00Z")));
        assert_eq!(bounds.max, Some(json!("2024-01-01T00:00:01Z")));
        assert_eq!(bounds.nulls, Some(3));
        let files = [part(json!("9.5"), json!("10.25"), 0), part(json!("10.0"), json!("9.75"), 0)];
        assert_eq!(of_table(&files, &column("decimal(10,2)")).max, Some(json!("10.25")));
        let files = [part(json!(9), json!(10), 0), part(Value::Null, Value::Null, 3)];
        assert_eq!(of_table(&files, &column("int32")).max, None);
    }
}
