//! Typed values (Parquet, Arrow) to the table's types. What widens goes through Arrow's kernels; what may lose something
//! goes through text, where the exact rules for every type already are.

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryBuilder, ListArray, MapArray, PrimitiveArray, StructArray, make_array,
        new_null_array,
    },
    compute::{self, CastOptions},
    datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType},
    json::writer::{EncoderOptions, make_encoder},
    util::display::FormatOptions,
};

use super::{
    cast,
    cells::{Cells, as_text, shared},
    faults::{Faults, shown},
    rules::Rules,
    time,
};
use crate::catalog::ColumnType;

/// Casts typed values to `kind`.
pub(super) fn cast(
    array: &ArrayRef,
    kind: &ColumnType,
    arrow: &DataType,
    rules: &Rules,
    faults: &mut Faults,
) -> ArrayRef {
    let source = array.data_type();
    match source {
        DataType::Null => return new_null_array(arrow, array.len()),
        DataType::Dictionary(_, value) => return decoded(array, value, kind, arrow, rules, faults),
        DataType::RunEndEncoded(_, value) => return decoded(array, value.data_type(), kind, arrow, rules, faults),
        _ => {}
    }
    if !rules.nulls.is_empty() && !source.is_nested() {
        return by_text(array, kind, arrow, rules, faults);
    }
    match (source, kind) {
        (_, ColumnType::List(item)) if is_list(source) => list(array, item, arrow, rules, faults),
        (DataType::Struct(_), ColumnType::Struct(fields)) => structs(array.as_struct(), fields, arrow, rules, faults),
        (DataType::Map(..), ColumnType::Map(value)) => map(array, value, arrow, rules, faults),
        (_, ColumnType::Json) if !is_bytes(source) => as_json(array, arrow, faults),
        (_, ColumnType::Utf8 | ColumnType::List(_) | ColumnType::Struct(_) | ColumnType::Map(_))
            if source.is_nested() =>
        {
            nested_by_json(array, kind, arrow, rules, faults)
        }
        (DataType::Timestamp(_, None), ColumnType::Timestamp) if rules.time.zone.is_some() => {
            in_zone(array, arrow, rules, faults)
        }
        (_, ColumnType::Date | ColumnType::Timestamp | ColumnType::Datetime)
            if rules.time.pattern.is_some() && !source.is_temporal() =>
        {
            by_text(array, kind, arrow, rules, faults)
        }
        _ if source == arrow => array.clone(),
        _ if widens(source, kind) => by_kernel(array, kind, arrow, faults),
        _ => by_text(array, kind, arrow, rules, faults),
    }
}

fn is_list(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
    )
}

fn is_bytes(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

/// Casts that Arrow's kernels do exactly, or fail visibly.
fn widens(source: &DataType, kind: &ColumnType) -> bool {
    match kind {
        ColumnType::Int32 | ColumnType::Int64 => source.is_integer(),
        ColumnType::Float32 | ColumnType::Float64 => source.is_integer() || source.is_floating(),
        ColumnType::Decimal(..) => source.is_integer(),
        ColumnType::Timestamp | ColumnType::Datetime => matches!(source, DataType::Timestamp(..)),
        ColumnType::Binary => is_bytes(source),
        ColumnType::Utf8 => matches!(source, DataType::LargeUtf8 | DataType::Utf8View),
        _ => false,
    }
}

fn by_kernel(array: &ArrayRef, kind: &ColumnType, arrow: &DataType, faults: &mut Faults) -> ArrayRef {
    // A zoned time becomes a wall clock, and the reverse, by way of UTC: the zone's name is only for show.
    let relabeled = match (array.data_type(), arrow) {
        (DataType::Timestamp(unit, Some(_)), DataType::Timestamp(_, None)) => {
            relabel(array, DataType::Timestamp(*unit, None))
        }
        (DataType::Timestamp(unit, None), DataType::Timestamp(_, Some(zone))) => {
            relabel(array, DataType::Timestamp(*unit, Some(zone.clone())))
        }
        _ => array.clone(),
    };
    let options = CastOptions { safe: true, format_options: FormatOptions::default() };
    let Ok(values) = compute::cast_with_options(&relabeled, arrow, &options) else {
        return no_cast(array, kind, arrow, faults);
    };
    let overflowed = |row: usize| {
        values.is_null(row)
            || match values.data_type() {
                DataType::Float32 => {
                    let value = values.as_primitive::<arrow::datatypes::Float32Type>().value(row);
                    value.is_infinite() && !is_infinite(array, row)
                }
                _ => false,
            }
    };
    if values.null_count() > array.null_count() || values.data_type() == &DataType::Float32 {
        for row in (0..array.len()).filter(|row| array.is_valid(*row) && overflowed(*row)) {
            faults.push(row, format!("{} is no {kind}: out of range", said(array, row)));
        }
    }
    values
}

fn is_infinite(array: &ArrayRef, row: usize) -> bool {
    match array.data_type() {
        DataType::Float64 => array.as_primitive::<arrow::datatypes::Float64Type>().value(row).is_infinite(),
        DataType::Float16 => array.as_primitive::<arrow::datatypes::Float16Type>().value(row).is_infinite(),
        _ => false,
    }
}

fn relabel(array: &ArrayRef, kind: DataType) -> ArrayRef {
    array.to_data().into_builder().data_type(kind).build().map_or_else(|_| array.clone(), make_array)
}

fn said(array: &ArrayRef, row: usize) -> String {
    shown(Cells::Typed(array.clone()).shown(row).unwrap_or_default().as_bytes())
}

fn by_text(array: &ArrayRef, kind: &ColumnType, arrow: &DataType, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    match as_text(array) {
        Some(text) => {
            // Arrow's form of a time without a zone is ISO; a pattern is for upstream's own text.
            let plain = Rules { time: time::TimeRules { pattern: None, ..rules.time.clone() }, ..rules.clone() };
            let rules = if array.data_type().is_temporal() { &plain } else { rules };
            cast::cast(&Cells::Text(text), kind, arrow, rules, faults)
        }
        None => no_cast(array, kind, arrow, faults),
    }
}

/// Nothing leads from this type to that: every value is a fault.
fn no_cast(array: &ArrayRef, kind: &ColumnType, arrow: &DataType, faults: &mut Faults) -> ArrayRef {
    for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
        faults.push(row, format!("upstream's {} does not become {kind}", array.data_type()));
    }
    new_null_array(arrow, array.len())
}

fn decoded(
    array: &ArrayRef,
    value: &DataType,
    kind: &ColumnType,
    arrow: &DataType,
    rules: &Rules,
    faults: &mut Faults,
) -> ArrayRef {
    match compute::cast(array, value) {
        Ok(array) => cast(&array, kind, arrow, rules, faults),
        Err(_) => no_cast(array, kind, arrow, faults),
    }
}

fn in_zone(array: &ArrayRef, arrow: &DataType, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    let Some(zone) = rules.time.zone else { return array.clone() };
    let wall = by_kernel(array, &ColumnType::Datetime, &DataType::Timestamp(TimeUnit::Microsecond, None), faults);
    let Some(wall) = wall.as_primitive_opt::<TimestampMicrosecondType>() else {
        return new_null_array(arrow, array.len());
    };
    let instants: PrimitiveArray<TimestampMicrosecondType> = wall
        .iter()
        .enumerate()
        .map(|(row, wall)| {
            time::in_zone(wall?, zone).map_err(|reason| faults.push(row, format!("{} {reason}", said(array, row)))).ok()
        })
        .collect();
    shared(instants.with_data_type(arrow.clone()))
}

fn list(array: &ArrayRef, item: &ColumnType, arrow: &DataType, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    let DataType::List(field) = arrow else { return new_null_array(arrow, array.len()) };
    let source_item = match array.data_type() {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => item.clone(),
        _ => return new_null_array(arrow, array.len()),
    };
    let plain = compute::cast(array, &DataType::List(source_item));
    let Some(plain) = plain.as_ref().ok().and_then(|plain| plain.as_list_opt::<i32>()) else {
        return no_cast(array, &ColumnType::List(Box::new(item.clone())), arrow, faults);
    };
    let mut inner = Faults::default();
    let values = cast(plain.values(), item, field.data_type(), rules, &mut inner);
    let offsets = plain.offsets();
    let parents: Vec<usize> = if inner.is_empty() { Vec::new() } else { parents_of(offsets, values.len()) };
    faults.adopt(inner, |child| parents.get(child).copied().unwrap_or(usize::MAX));
    ListArray::try_new(field.clone(), offsets.clone(), values, plain.nulls().cloned())
        .map_or_else(|_| new_null_array(arrow, array.len()), |array| shared(array))
}

/// The row of each child; children that no row shows belong to none.
fn parents_of(offsets: &[i32], children: usize) -> Vec<usize> {
    let mut parents = vec![usize::MAX; children];
    for (row, ends) in offsets.windows(2).enumerate() {
        if let [start, end] = ends {
            for parent in parents.iter_mut().take(*end as usize).skip(*start as usize) {
                *parent = row;
            }
        }
    }
    parents
}

fn structs(
    array: &StructArray,
    fields: &[(String, ColumnType)],
    arrow: &DataType,
    rules: &Rules,
    faults: &mut Faults,
) -> ArrayRef {
    let DataType::Struct(arrow_fields) = arrow else { return new_null_array(arrow, array.len()) };
    let columns = fields.iter().zip(arrow_fields).map(|((name, kind), field)| match array.column_by_name(name) {
        None => new_null_array(field.data_type(), array.len()),
        Some(child) => {
            let mut inner = Faults::default();
            let values = cast(child, kind, field.data_type(), rules, &mut inner);
            faults.adopt(inner.within(name), |row| if array.is_valid(row) { row } else { usize::MAX });
            values
        }
    });
    let columns: Vec<ArrayRef> = columns.collect();
    StructArray::try_new_with_length(arrow_fields.clone(), columns, array.nulls().cloned(), array.len())
        .map_or_else(|_| new_null_array(arrow, array.len()), |array| shared(array))
}

fn map(array: &ArrayRef, value: &ColumnType, arrow: &DataType, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    let source = array.as_map();
    let kind = ColumnType::Map(Box::new(value.clone()));
    let DataType::Map(entries, _) = arrow else { return new_null_array(arrow, array.len()) };
    let DataType::Struct(fields) = entries.data_type() else { return new_null_array(arrow, array.len()) };
    let (Some(key_field), Some(value_field)) = (fields.first(), fields.get(1)) else {
        return new_null_array(arrow, array.len());
    };
    let mut inner = Faults::default();
    let keys = cast(source.keys(), &ColumnType::Utf8, key_field.data_type(), &Rules::default(), &mut inner);
    let values = cast(source.values(), value, value_field.data_type(), rules, &mut inner);
    let offsets = source.offsets();
    let parents: Vec<usize> = if inner.is_empty() { Vec::new() } else { parents_of(offsets, values.len()) };
    faults.adopt(inner, |child| parents.get(child).copied().unwrap_or(usize::MAX));
    StructArray::try_new(fields.clone(), vec![keys, values], None)
        .and_then(|pairs| MapArray::try_new(entries.clone(), offsets.clone(), pairs, source.nulls().cloned(), false))
        .map_or_else(|_| no_cast(array, &kind, arrow, faults), |array| shared(array))
}

/// Values as JSON text.
fn as_json(array: &ArrayRef, arrow: &DataType, faults: &mut Faults) -> ArrayRef {
    match json_cells(array) {
        Some(cells) => cast::cast(&Cells::Json(cells), &ColumnType::Json, arrow, &Rules::default(), faults),
        None => no_cast(array, &ColumnType::Json, arrow, faults),
    }
}

fn nested_by_json(
    array: &ArrayRef,
    kind: &ColumnType,
    arrow: &DataType,
    rules: &Rules,
    faults: &mut Faults,
) -> ArrayRef {
    match json_cells(array) {
        Some(cells) => cast::cast(&Cells::Json(cells), kind, arrow, rules, faults),
        None => no_cast(array, kind, arrow, faults),
    }
}

fn json_cells(array: &ArrayRef) -> Option<arrow::array::BinaryArray> {
    let field: FieldRef = Field::new("value", array.data_type().clone(), true).into();
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, array.as_ref(), &options).ok()?;
    let mut cells = BinaryBuilder::with_capacity(array.len(), 0);
    let mut text = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            cells.append_null();
        } else {
            text.clear();
            encoder.encode(row, &mut text);
            cells.append_value(&text);
        }
    }
    Some(cells.finish())
}
