//! Cells to a column of the table's type. Whole columns at a time; what does not fit becomes null and a fault.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BinaryArray, BinaryBuilder, BooleanBuilder, PrimitiveArray, StringArray, StringBuilder},
    buffer::NullBuffer,
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};

use super::{
    cells::{Cell, Cells, shared},
    faults::{Faults, shown},
    json, nested,
    number::{self, Reason},
    rules::Rules,
    typed,
};
use crate::catalog::ColumnType;

/// Casts cells to `kind`, whose Arrow form inside the table's schema is `arrow`. The result has the cells' length.
pub(crate) fn cast(cells: &Cells, kind: &ColumnType, arrow: &DataType, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    let time = &rules.time;
    match (cells, kind) {
        (Cells::Typed(array), _) => typed::cast(array, kind, arrow, rules, faults),
        (_, ColumnType::Utf8) => utf8(cells, rules, faults),
        (_, ColumnType::Json) => json_text(cells, rules, faults),
        (_, ColumnType::Binary) => binary(cells, rules, faults),
        (_, ColumnType::Bool) => boolean(cells, rules, faults),
        (_, ColumnType::Int32) => primitive::<Int32Type>(cells, kind, arrow, rules, faults, number::int32),
        (_, ColumnType::Int64) => primitive::<Int64Type>(cells, kind, arrow, rules, faults, number::int64),
        (_, ColumnType::Float32) => primitive::<Float32Type>(cells, kind, arrow, rules, faults, number::float32),
        (_, ColumnType::Float64) => primitive::<Float64Type>(cells, kind, arrow, rules, faults, number::float64),
        (_, ColumnType::Decimal(precision, scale)) => {
            primitive::<Decimal128Type>(cells, kind, arrow, rules, faults, |text| {
                number::decimal(text, *precision, *scale)
            })
        }
        (_, ColumnType::Date) => primitive::<Date32Type>(cells, kind, arrow, rules, faults, |text| time.day(text)),
        (_, ColumnType::Timestamp) => {
            primitive::<TimestampMicrosecondType>(cells, kind, arrow, rules, faults, |text| time.instant(text))
        }
        (_, ColumnType::Datetime) => {
            primitive::<TimestampMicrosecondType>(cells, kind, arrow, rules, faults, |text| time.wall(text))
        }
        (_, ColumnType::List(item)) => nested::list(cells, item, arrow, rules, faults),
        (_, ColumnType::Struct(fields)) => nested::structs(cells, fields, arrow, rules, faults),
        (_, ColumnType::Map(value)) => nested::map(cells, value, arrow, rules, faults),
    }
}

/// Numbers, days and times. The empty text means null: only text can be empty.
fn primitive<T: ArrowPrimitiveType>(
    cells: &Cells,
    kind: &ColumnType,
    arrow: &DataType,
    rules: &Rules,
    faults: &mut Faults,
    parse: impl Fn(&[u8]) -> Result<T::Native, Reason>,
) -> ArrayRef {
    let rows = cells.len();
    let mut values: Vec<T::Native> = Vec::with_capacity(rows);
    let mut valid = vec![true; rows];
    for (row, valid) in valid.iter_mut().enumerate() {
        let value = match cells.text(row) {
            Cell::Null => None,
            Cell::Text(text) if text.is_empty() || rules.is_null(&text) => None,
            Cell::Text(text) => match parse(&text) {
                Ok(value) => Some(value),
                Err(_) if text.trim_ascii().is_empty() => None,
                Err(reason) => {
                    faults.value(row, &text, kind, &reason);
                    None
                }
            },
            cell => {
                unfit(row, cell, kind, faults);
                None
            }
        };
        *valid = value.is_some();
        values.push(value.unwrap_or_default());
    }
    let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
    shared(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(arrow.clone()))
}

fn boolean(cells: &Cells, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    let mut values = BooleanBuilder::with_capacity(cells.len());
    for row in 0..cells.len() {
        values.append_option(match cells.text(row) {
            Cell::Null => None,
            Cell::Text(text) if text.trim_ascii().is_empty() || rules.is_null(&text) => None,
            Cell::Text(text) => {
                number::boolean(&text).map_err(|reason| faults.value(row, &text, &ColumnType::Bool, &reason)).ok()
            }
            cell => {
                unfit(row, cell, &ColumnType::Bool, faults);
                None
            }
        });
    }
    shared(values.finish())
}

/// A cell that is no text where text is needed.
fn unfit(row: usize, cell: Cell<'_>, kind: &ColumnType, faults: &mut Faults) {
    match cell {
        Cell::Nested(json) => {
            let what = if json::kind(json) == json::Kind::Array { "a JSON array" } else { "a JSON object" };
            faults.push(row, format!("{} is {what}, no {kind}", shown(json)));
        }
        Cell::Broken(reason) => faults.push(row, reason),
        Cell::Null | Cell::Text(_) => {}
    }
}

fn utf8(cells: &Cells, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    match cells {
        Cells::Text(array) => text_array(&without_null_tokens(array, rules), faults),
        _ => {
            let bytes = match cells {
                Cells::Json(array) => array.value_data().len(),
                _ => 0,
            };
            let mut values = StringBuilder::with_capacity(cells.len(), bytes);
            for row in 0..cells.len() {
                match cells.text(row) {
                    Cell::Null => values.append_null(),
                    Cell::Text(text) if rules.is_null(&text) => values.append_null(),
                    Cell::Text(text) => append_utf8(&mut values, row, &text, faults),
                    Cell::Nested(json) => append_utf8(&mut values, row, json, faults),
                    Cell::Broken(reason) => {
                        faults.push(row, reason);
                        values.append_null();
                    }
                }
            }
            shared(values.finish())
        }
    }
}

/// Bytes that are text, without copying them: the whole buffer is checked at once.
fn text_array(array: &BinaryArray, faults: &mut Faults) -> ArrayRef {
    let (offsets, values, nulls) = array.clone().into_parts();
    if let Ok(text) = StringArray::try_new(offsets, values, nulls) {
        return shared(text);
    }
    // Some value is no text, or bytes between values are none: one by one.
    let mut values = StringBuilder::with_capacity(array.len(), array.value_data().len());
    for (row, value) in array.iter().enumerate() {
        match value {
            None => values.append_null(),
            Some(bytes) => append_utf8(&mut values, row, bytes, faults),
        }
    }
    shared(values.finish())
}

fn append_utf8(values: &mut StringBuilder, row: usize, bytes: &[u8], faults: &mut Faults) {
    match std::str::from_utf8(bytes) {
        Ok(text) => values.append_value(text),
        Err(error) => {
            faults.push(row, json::invalid_utf8(&error));
            values.append_null();
        }
    }
}

/// The same bytes with the column's null tokens made null.
fn without_null_tokens(array: &BinaryArray, rules: &Rules) -> BinaryArray {
    if rules.nulls.is_empty() {
        return array.clone();
    }
    let valid: Vec<bool> = array.iter().map(|value| value.is_some_and(|value| !rules.is_null(value))).collect();
    let (offsets, values, _) = array.clone().into_parts();
    BinaryArray::new(offsets, values, Some(NullBuffer::from(valid)))
}

fn binary(cells: &Cells, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    if let Cells::Text(array) = cells {
        return shared(without_null_tokens(array, rules));
    }
    let mut values = BinaryBuilder::with_capacity(cells.len(), 0);
    for row in 0..cells.len() {
        match cells.text(row) {
            Cell::Text(text) if !rules.is_null(&text) => values.append_value(text),
            Cell::Null | Cell::Text(_) => values.append_null(),
            cell => {
                unfit(row, cell, &ColumnType::Binary, faults);
                values.append_null();
            }
        }
    }
    shared(values.finish())
}

/// JSON cells as they are; text is checked to be JSON.
fn json_text(cells: &Cells, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    let array = match cells {
        Cells::Json(array) => return text_array(&without_null_tokens(array, rules), faults),
        Cells::Text(array) => array,
        Cells::Typed(_) => return Arc::new(StringArray::new_null(cells.len())),
    };
    let mut values = StringBuilder::with_capacity(array.len(), array.value_data().len());
    for (row, value) in array.iter().enumerate() {
        match value {
            Some(text) if !text.trim_ascii().is_empty() && !rules.is_null(text) => match json::validate(text) {
                Ok(()) => append_utf8(&mut values, row, text, faults),
                Err(reason) => {
                    faults.push(row, reason);
                    values.append_null();
                }
            },
            _ => values.append_null(),
        }
    }
    shared(values.finish())
}
