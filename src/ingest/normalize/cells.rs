//! One column's raw cells, and the text in each of them, whatever form upstream gave them.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, StringArray, StructArray},
    buffer::NullBuffer,
    compute::{self, CastOptions},
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};

use super::{faults::Faults, json};
use crate::ingest::extract::RawColumn;

/// Raw cells of one column.
#[derive(Debug, Clone)]
pub(crate) enum Cells {
    /// Text as upstream wrote it.
    Text(BinaryArray),
    /// JSON text of each value.
    Json(BinaryArray),
    /// Values with a type.
    Typed(ArrayRef),
}

/// The text of a cell.
#[derive(Debug)]
pub(crate) enum Cell<'a> {
    /// Nothing.
    Null,
    /// Text; of a JSON string its contents, of a number or bool its spelling.
    Text(Cow<'a, [u8]>),
    /// A JSON array or object.
    Nested(&'a [u8]),
    /// Could not be read.
    Broken(String),
}

impl From<&RawColumn> for Cells {
    fn from(column: &RawColumn) -> Self {
        match column {
            RawColumn::Text(array) => Self::Text(array.clone()),
            RawColumn::Json(array) => Self::Json(array.clone()),
            RawColumn::Typed(array) => Self::Typed(array.clone()),
        }
    }
}

impl Cells {
    /// Rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(array) | Self::Json(array) => array.len(),
            Self::Typed(array) => array.len(),
        }
    }

    /// The text of one cell. Typed cells have none: turn them into text first.
    pub(crate) fn text(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Text(array) if array.is_valid(row) => Cell::Text(Cow::Borrowed(array.value(row))),
            Self::Json(array) if array.is_valid(row) => {
                let text = array.value(row);
                match json::kind(text) {
                    json::Kind::Null => Cell::Null,
                    json::Kind::Array | json::Kind::Object => Cell::Nested(text),
                    json::Kind::Bare => Cell::Text(Cow::Borrowed(text)),
                    json::Kind::String => match json::unescape(text) {
                        Ok(Cow::Borrowed(text)) => Cell::Text(Cow::Borrowed(text.as_bytes())),
                        Ok(Cow::Owned(text)) => Cell::Text(Cow::Owned(text.into_bytes())),
                        Err(reason) => Cell::Broken(reason),
                    },
                }
            }
            Self::Text(_) | Self::Json(_) | Self::Typed(_) => Cell::Null,
        }
    }

    /// One cell as upstream wrote it, fit to be shown; `None` for null.
    pub(crate) fn shown(&self, row: usize) -> Option<String> {
        match self {
            Self::Text(array) | Self::Json(array) => {
                array.is_valid(row).then(|| String::from_utf8_lossy(array.value(row)).into_owned())
            }
            Self::Typed(array) if array.is_valid(row) => {
                let options = FormatOptions::default();
                let formatter = ArrayFormatter::try_new(array, &options).ok()?;
                formatter.value(row).try_to_string().ok()
            }
            Self::Typed(_) => None,
        }
    }

    /// What pointer tokens lead to in each cell, and whether they lead anywhere (to a null at least) in any. Text cells hold
    /// JSON text; typed structs are walked by field.
    pub(crate) fn point(&self, tokens: &[String], faults: &mut Faults) -> (Self, bool) {
        let array = match self {
            Self::Text(array) | Self::Json(array) => array,
            Self::Typed(array) => return point_typed(array, tokens, faults),
        };
        let mut found = BinaryBuilder::with_capacity(array.len(), 0);
        let mut anywhere = false;
        for row in 0..array.len() {
            if array.is_null(row) {
                found.append_null();
                continue;
            }
            let text = array.value(row);
            // A text cell is JSON as a whole; it is checked where it is not walked to its end anyway.
            let target = match self {
                Self::Text(_) if text.trim_ascii().is_empty() => Ok(None),
                Self::Text(_) => json::validate(text).and_then(|()| json::point(text.trim_ascii(), tokens)),
                _ => json::point(text, tokens),
            };
            match target {
                Ok(Some(target)) => {
                    anywhere = true;
                    if json::kind(&target) == json::Kind::Null {
                        found.append_null();
                    } else {
                        found.append_value(target);
                    }
                }
                Ok(None) => found.append_null(),
                Err(reason) => {
                    faults.push(row, reason);
                    found.append_null();
                }
            }
        }
        (Self::Json(found.finish()), anywhere)
    }

    /// The first cell that is there, row by row.
    pub(crate) fn first_of(candidates: &[Self]) -> Option<Self> {
        let (first, rest) = candidates.split_first()?;
        let mut joined = first.clone();
        for next in rest {
            joined = joined.or(next);
        }
        Some(joined)
    }

    fn or(self, other: &Self) -> Self {
        if self.nulls().is_none() {
            return self;
        }
        let (Some(left), Some(right)) = (self.as_json(), other.as_json()) else { return self };
        let mut joined = BinaryBuilder::with_capacity(left.len(), left.value_data().len());
        for row in 0..left.len() {
            if left.is_valid(row) {
                joined.append_value(left.value(row));
            } else if right.is_valid(row) {
                joined.append_value(right.value(row));
            } else {
                joined.append_null();
            }
        }
        Self::Json(joined.finish())
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Text(array) | Self::Json(array) => array.nulls(),
            Self::Typed(array) => array.nulls(),
        }
    }

    fn as_json(&self) -> Option<Cow<'_, BinaryArray>> {
        match self {
            Self::Json(array) => Some(Cow::Borrowed(array)),
            Self::Text(array) => Some(Cow::Owned(
                array
                    .iter()
                    .map(|cell| cell.map(|text| serde_json::Value::from(String::from_utf8_lossy(text)).to_string()))
                    .map(|cell| cell.map(String::into_bytes))
                    .collect(),
            )),
            Self::Typed(_) => None,
        }
    }
}

fn point_typed(array: &ArrayRef, tokens: &[String], faults: &mut Faults) -> (Cells, bool) {
    let nowhere = || (no_cells(array.len()), false);
    let Some((token, rest)) = tokens.split_first() else { return (Cells::Typed(array.clone()), true) };
    match array.data_type() {
        DataType::Struct(_) => {
            let parent: &StructArray = array.as_struct();
            let Some(child) = parent.column_by_name(token) else { return nowhere() };
            // A field of a null struct is null, whatever its own slot holds.
            let nulls = NullBuffer::union(parent.nulls(), child.nulls());
            match child.to_data().into_builder().nulls(nulls).build() {
                Ok(data) => point_typed(&arrow::array::make_array(data), rest, faults),
                Err(_) => nowhere(),
            }
        }
        _ => match as_text(array) {
            Some(text) => Cells::Text(text).point(tokens, faults),
            None => nowhere(),
        },
    }
}

/// So many nulls.
pub(crate) fn no_cells(rows: usize) -> Cells {
    Cells::Json(BinaryArray::new_null(rows))
}

/// Typed values as text, where Arrow has a text form for them; binary values as they are.
pub(crate) fn as_text(array: &ArrayRef) -> Option<BinaryArray> {
    let options = CastOptions { safe: true, format_options: FormatOptions::default() };
    let cast = |array: &ArrayRef, kind: &DataType| compute::cast_with_options(array, kind, &options).ok();
    let bytes = match array.data_type() {
        DataType::Binary => array.clone(),
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => cast(array, &DataType::Binary)?,
        DataType::Utf8 => array.clone(),
        _ => cast(array, &DataType::Utf8)?,
    };
    match bytes.data_type() {
        DataType::Utf8 => {
            let text: &StringArray = bytes.as_string();
            let (offsets, values, nulls) = text.clone().into_parts();
            BinaryArray::try_new(offsets, values, nulls).ok()
        }
        DataType::Binary => Some(bytes.as_binary::<i32>().clone()),
        _ => None,
    }
}

/// Bytes that are known to be there as an array reference.
pub(crate) fn shared<A: Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}
