//! `order_by`: which columns rows are put in order by, and their values as bytes that compare in that order.
//!
//! Nulls come last both ways and NaN just before them; `-0.0` equals `0.0`; text goes by its bytes; rows that are equal
//! by every column come in their physical order.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array},
    compute::SortOptions,
    datatypes::{DataType, Float32Type, Float64Type, SchemaRef},
    error::ArrowError,
    row::{RowConverter, Rows, SortField},
};

use super::{
    SliceError,
    names::{self, NameFault},
    slice::{Item, split, unquote},
};
use crate::catalog::TableSchema;

/// One column of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Position in the table's schema.
    pub column: usize,
    /// Largest first.
    pub descending: bool,
}

/// The columns rows are put in order by, the first one counting most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(Vec<Key>);

impl Order {
    /// Reads `a,-b`: names as in `select`, a minus for largest first.
    ///
    /// # Errors
    /// When a name is no column or its type has no order; the text says where and what is near.
    pub fn parse(text: &str, schema: &TableSchema) -> Result<Self, SliceError> {
        let mut keys: Vec<Key> = Vec::new();
        for (character, item) in split("order_by", text)? {
            let (descending, name) = match item {
                Item::Plain(name) => match name.strip_prefix('-') {
                    // A column whose name begins with `-` wins over the other direction of the rest of it.
                    Some(rest) if schema.column(&name).is_none() => (true, unquote(rest.trim())),
                    _ => (false, name),
                },
                Item::Quoted(name) => (false, name),
            };
            let column = names::resolve(schema, &name).map_err(|fault| unknown(schema, &name, character, fault))?;
            let Some(found) = schema.columns.get(column) else { continue };
            if found.kind.is_nested() {
                return Err(SliceError::new(
                    "order_by",
                    format!(
                        "`{}` (character {character}) is a {}, whose values have no order; take a column of plain values",
                        found.name, found.kind
                    ),
                ));
            }
            if keys.iter().any(|key| key.column == column) {
                let message = format!("column `{name}` is named twice, at character {character}");
                return Err(SliceError::new("order_by", message));
            }
            keys.push(Key { column, descending });
        }
        Ok(Self(keys))
    }

    /// The order in one normal spelling.
    pub fn text(&self, schema: &TableSchema) -> String {
        let key = |key: &Key| {
            let name = schema.columns.get(key.column).map_or_else(String::new, |column| names::quoted(&column.name));
            if key.descending { format!("-{name}") } else { name }
        };
        self.0.iter().map(key).collect::<Vec<_>>().join(",")
    }

    /// Its columns, by position in the table's schema.
    pub fn columns(&self) -> Vec<usize> {
        self.0.iter().map(|key| key.column).collect()
    }

    /// Its keys.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }
}

/// Says what is near; SQL's own words for a direction are known.
fn unknown(schema: &TableSchema, name: &str, character: usize, fault: NameFault) -> SliceError {
    if let Some((column, direction)) = name.rsplit_once(' ')
        && let Ok(at) = names::resolve(schema, &unquote(column.trim()))
        && let Some(found) = schema.columns.get(at)
        && ["asc", "desc"].contains(&direction.to_lowercase().as_str())
    {
        let sign = if direction.eq_ignore_ascii_case("desc") { "-" } else { "" };
        let instead = format!("{sign}{}", names::quoted(&found.name));
        let message = format!("`{name}` (character {character}) is written `{instead}` here");
        return SliceError::new("order_by", message).instead(Some(instead));
    }
    super::slice::unknown_column("order_by", schema, name, character, fault)
}

/// Turns columns into bytes that compare as their order says.
#[derive(Debug)]
pub(super) struct Keys {
    floats: Vec<bool>,
    rows: RowConverter,
}

impl Keys {
    /// For these keys of a table with that schema.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub(super) fn new(keys: &[Key], schema: &SchemaRef) -> Result<Self, ArrowError> {
        let mut fields = Vec::new();
        let mut floats = Vec::new();
        for key in keys {
            let kind = schema.field(key.column).data_type();
            floats.push(kind.is_floating());
            if kind.is_floating() {
                let last = SortOptions { descending: false, nulls_first: false };
                fields.push(SortField::new_with_options(DataType::Boolean, last));
            }
            let options = SortOptions { descending: key.descending, nulls_first: false };
            fields.push(SortField::new_with_options(kind.clone(), options));
        }
        Ok(Self { floats, rows: RowConverter::new(fields)? })
    }

    /// One row of bytes for each row of these columns, which are those of the keys.
    ///
    /// # Errors
    /// When they are others.
    pub(super) fn convert(&self, columns: &[ArrayRef]) -> Result<Rows, ArrowError> {
        let mut ready = Vec::new();
        for (column, float) in columns.iter().zip(&self.floats) {
            if *float {
                let (last, values) = without_nan(column);
                ready.push(last);
                ready.push(values);
            } else {
                ready.push(Arc::clone(column));
            }
        }
        self.rows.convert_columns(&ready)
    }
}

/// Which values are NaN, and the values with zero in place of NaN and of negative zero.
fn without_nan(column: &ArrayRef) -> (ArrayRef, ArrayRef) {
    match column.data_type() {
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>();
            let nan: BooleanArray = values.iter().map(|value| value.map(f32::is_nan)).collect();
            let plain: Float32Array = values.unary(|value| if value.is_nan() { 0.0 } else { value + 0.0 });
            (Arc::new(nan), Arc::new(plain))
        }
        _ => {
            let values = column.as_primitive::<Float64Type>();
            let nan: BooleanArray = values.iter().map(|value| value.map(f64::is_nan)).collect();
            let plain: Float64Array = values.unary(|value| if value.is_nan() { 0.0 } else { value + 0.0 });
            (Arc::new(nan), Arc::new(plain))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Column;

    fn schema() -> TableSchema {
        let column = |(name, kind): (&str, &str)| Column::new(name, kind.parse().expect("a type"));
        TableSchema { columns: [("id", "int64"), ("Odd name", "float64"), ("tags", "list<utf8>")].map(column).to_vec() }
    }

    #[test]
    fn an_order_is_read_and_written() {
        let text = |order: &str| Order::parse(order, &schema()).map(|order| order.text(&schema()));
        assert_eq!(text("-ID, \"odd name\"").as_deref(), Ok("-id,\"Odd name\""));
        assert_eq!(text("-\"Odd name\"").as_deref(), Ok("-\"Odd name\""));
        let fault = |order: &str| Order::parse(order, &schema()).expect_err(order);
        assert_eq!(fault("id desc").instead.as_deref(), Some("-id"));
        assert_eq!(fault("idd").to_string(), "order_by: no column `idd` (character 1); did you mean `id`?");
        assert!(fault("tags").message.contains("no order"));
        for order in ["", "id,", "id,-id", "\"id"] {
            fault(order);
        }
    }

    #[test]
    fn nulls_come_last_both_ways_and_nan_just_before_them() {
        let arrow = schema().to_arrow();
        let values = [None, Some(f64::NAN), Some(-0.0), Some(0.0), Some(f64::INFINITY), Some(f64::NEG_INFINITY)];
        let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        for (descending, expected) in [(false, [5, 2, 3, 4, 1, 0]), (true, [4, 2, 3, 5, 1, 0])] {
            let keys = Keys::new(&[Key { column: 1, descending }], &arrow).expect("keys");
            let rows = keys.convert(std::slice::from_ref(&column)).expect("rows");
            assert_eq!(rows.row(2), rows.row(3));
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by_key(|at| rows.row(*at));
            assert_eq!(order, expected);
        }
    }
}
