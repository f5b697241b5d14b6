//! Lists, structs and maps: a column of parents becomes one column of children, which is cast as a whole.

use arrow::{
    array::{ArrayRef, BinaryBuilder, ListArray, MapArray, StringBuilder, StructArray, new_null_array},
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{DataType, Fields},
};

use super::{
    cast::cast,
    cells::{Cell, Cells, shared},
    faults::{Faults, shown},
    json,
    rules::Rules,
};
use crate::catalog::ColumnType;

/// Children under construction: which belong to which parent.
struct Parents {
    lengths: Vec<usize>,
    valid: Vec<bool>,
    of_child: Vec<u32>,
}

impl Parents {
    fn new(rows: usize) -> Self {
        Self { lengths: Vec::with_capacity(rows), valid: Vec::with_capacity(rows), of_child: Vec::new() }
    }

    fn end(&mut self, children: usize, valid: bool) {
        let row = u32::try_from(self.lengths.len()).unwrap_or(u32::MAX);
        self.of_child.extend(std::iter::repeat_n(row, children));
        self.lengths.push(children);
        self.valid.push(valid);
    }

    fn of(&self, child: usize) -> usize {
        self.of_child.get(child).copied().unwrap_or_default() as usize
    }

    fn finish(self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let nulls = self.valid.contains(&false).then(|| NullBuffer::from(self.valid));
        (OffsetBuffer::from_lengths(self.lengths), nulls)
    }
}

/// The JSON text a cell holds: its own, or that inside its text. `None` for null, with a fault where it is neither.
fn json_of<'a>(
    cell: &'a Cell<'_>,
    row: usize,
    kind: &ColumnType,
    wanted: json::Kind,
    faults: &mut Faults,
) -> Option<&'a [u8]> {
    let text = match cell {
        Cell::Null => return None,
        Cell::Nested(json) => json,
        Cell::Text(text) => text.trim_ascii(),
        Cell::Broken(reason) => {
            faults.push(row, reason.clone());
            return None;
        }
    };
    match json::kind(text) {
        found if found == wanted => Some(text),
        json::Kind::Null if text.is_empty() || text == b"null" => None,
        _ => {
            let hint = if wanted == json::Kind::Array {
                "a JSON array; to cut text into a list, name its separator with `split`"
            } else {
                "a JSON object"
            };
            faults.push(row, format!("{} is no {kind}: not {hint}", shown(text)));
            None
        }
    }
}

/// A list: text cut at `split`, or a JSON array.
pub(super) fn list(cells: &Cells, item: &ColumnType, arrow: &DataType, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    let DataType::List(field) = arrow else { return new_null_array(arrow, cells.len()) };
    let kind = ColumnType::List(Box::new(item.clone()));
    let mut parents = Parents::new(cells.len());
    // Elements are text where a separator cuts text cells, JSON otherwise.
    let is_text = rules.split.is_some() && matches!(cells, Cells::Text(_));
    let mut children = BinaryBuilder::new();
    for row in 0..cells.len() {
        let cell = cells.text(row);
        let mut count = 0;
        let valid = match (&cell, &rules.split) {
            (Cell::Text(text), _) if rules.is_null(text) => false,
            (Cell::Text(text), Some(separator)) => {
                for piece in split(text, separator.as_bytes()) {
                    if is_text {
                        children.append_value(piece);
                    } else {
                        children.append_value(serde_json::Value::from(String::from_utf8_lossy(piece)).to_string());
                    }
                    count += 1;
                }
                true
            }
            (Cell::Text(text), None) if rules.lone && !text.is_empty() => {
                children.append_value(serde_json::Value::from(String::from_utf8_lossy(text)).to_string());
                count = 1;
                true
            }
            _ => match json_of(&cell, row, &kind, json::Kind::Array, faults) {
                None => false,
                Some(text) => {
                    let read = json::elements(text, &mut |element| {
                        append_json(&mut children, element);
                        count += 1;
                    });
                    read.map_err(|reason| faults.push(row, reason)).is_ok()
                }
            },
        };
        parents.end(count, valid);
    }
    let children = if is_text { Cells::Text(children.finish()) } else { Cells::Json(children.finish()) };
    let inner = Rules { split: None, ..rules.clone() };
    let mut inner_faults = Faults::default();
    let values = cast(&children, item, field.data_type(), &inner, &mut inner_faults);
    faults.adopt(inner_faults, |child| parents.of(child));
    let (offsets, nulls) = parents.finish();
    ListArray::try_new(field.clone(), offsets, values, nulls)
        .map_or_else(|_| new_null_array(arrow, cells.len()), |array| shared(array))
}

/// Pieces of text between separators; the empty text has none.
fn split<'a>(text: &'a [u8], separator: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = (!text.is_empty()).then_some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = match separator {
            [byte] => text.iter().position(|other| other == byte),
            _ => text.windows(separator.len().max(1)).position(|window| window == separator),
        };
        let (piece, after) = match end {
            None => (text, None),
            Some(end) => (text.get(..end)?, text.get(end + separator.len()..)),
        };
        rest = after;
        Some(piece)
    })
}

fn append_json(values: &mut BinaryBuilder, json: &[u8]) {
    if json == b"null" {
        values.append_null();
    } else {
        values.append_value(json);
    }
}

/// A struct: a JSON object's entries by name; further entries are left out.
pub(super) fn structs(
    cells: &Cells,
    fields: &[(String, ColumnType)],
    arrow: &DataType,
    rules: &Rules,
    faults: &mut Faults,
) -> ArrayRef {
    let DataType::Struct(arrow_fields) = arrow else { return new_null_array(arrow, cells.len()) };
    let kind = ColumnType::Struct(fields.to_vec());
    let mut children: Vec<BinaryBuilder> = fields.iter().map(|_| BinaryBuilder::new()).collect();
    let mut valid = Vec::with_capacity(cells.len());
    for row in 0..cells.len() {
        let cell = cells.text(row);
        let mut slots: Vec<Option<&[u8]>> = vec![None; fields.len()];
        let is_null = matches!(&cell, Cell::Text(text) if rules.is_null(text));
        let object = if is_null { None } else { json_of(&cell, row, &kind, json::Kind::Object, faults) };
        let mut there = object.is_some();
        if let Some(object) = object {
            let read = json::entries(object, &mut |key, value| {
                // The last of several entries with one name counts.
                if let Some(at) = fields.iter().position(|(name, _)| *name == key)
                    && let Some(slot) = slots.get_mut(at)
                {
                    *slot = Some(value);
                }
            });
            if let Err(reason) = read {
                faults.push(row, reason);
                there = false;
            }
        }
        for (child, slot) in children.iter_mut().zip(slots) {
            match slot {
                Some(value) if there => append_json(child, value),
                _ => child.append_null(),
            }
        }
        valid.push(there);
    }
    let columns = children.iter_mut().zip(fields).zip(arrow_fields).map(|((child, (name, kind)), field)| {
        let mut inner = Faults::default();
        let array = cast(&Cells::Json(child.finish()), kind, field.data_type(), rules, &mut inner);
        faults.adopt(inner.within(name), |row| row);
        array
    });
    let columns: Vec<ArrayRef> = columns.collect();
    struct_array(arrow_fields, columns, valid, arrow)
}

fn struct_array(fields: &Fields, columns: Vec<ArrayRef>, valid: Vec<bool>, arrow: &DataType) -> ArrayRef {
    let rows = valid.len();
    let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
    StructArray::try_new_with_length(fields.clone(), columns, nulls, rows)
        .map_or_else(|_| new_null_array(arrow, rows), |array| shared(array))
}

/// A map: a JSON object's keys and values; the last of several entries with one key counts.
pub(super) fn map(cells: &Cells, value: &ColumnType, arrow: &DataType, rules: &Rules, faults: &mut Faults) -> ArrayRef {
    let (DataType::Map(entries, _), rows) = (arrow, cells.len()) else { return new_null_array(arrow, cells.len()) };
    let DataType::Struct(fields) = entries.data_type() else { return new_null_array(arrow, rows) };
    let Some(value_field) = fields.get(1) else { return new_null_array(arrow, rows) };
    let kind = ColumnType::Map(Box::new(value.clone()));
    let mut parents = Parents::new(rows);
    let (mut keys, mut values) = (StringBuilder::new(), BinaryBuilder::new());
    for row in 0..rows {
        let cell = cells.text(row);
        let is_null = matches!(&cell, Cell::Text(text) if rules.is_null(text));
        let object = if is_null { None } else { json_of(&cell, row, &kind, json::Kind::Object, faults) };
        let Some(object) = object else {
            parents.end(0, false);
            continue;
        };
        let mut row_entries: Vec<(String, &[u8])> = Vec::new();
        let read = json::entries(object, &mut |key, value| row_entries.push((key.into_owned(), value)));
        if let Err(reason) = read {
            faults.push(row, reason);
            parents.end(0, false);
            continue;
        }
        let last: std::collections::HashMap<String, usize> =
            row_entries.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect();
        for (at, (key, value)) in row_entries.iter().enumerate() {
            if last.get(key) == Some(&at) {
                keys.append_value(key);
                append_json(&mut values, value);
            }
        }
        parents.end(last.len(), true);
    }
    let mut inner = Faults::default();
    let values = cast(&Cells::Json(values.finish()), value, value_field.data_type(), rules, &mut inner);
    faults.adopt(inner, |child| parents.of(child));
    let (offsets, nulls) = parents.finish();
    let columns: Vec<ArrayRef> = vec![shared(keys.finish()), values];
    let entries_array = StructArray::try_new(fields.clone(), columns, None);
    entries_array
        .and_then(|pairs| MapArray::try_new(entries.clone(), offsets, pairs, nulls, false))
        .map_or_else(|_| new_null_array(arrow, rows), |array| shared(array))
}
