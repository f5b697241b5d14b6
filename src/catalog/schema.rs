//! The columns of a table, and their Arrow form with Iceberg field ids.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

pub use super::column_type::FIELD_ID;
use super::column_type::{ColumnType, with_id};

/// Marks a `utf8` column that holds JSON text.
pub const JSON_MARK: &str = "openshelf:json";

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type, as spelled in `definition.md`.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether nulls may occur.
    pub nullable: bool,
    /// What it holds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Unit of its values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Declared for full-text search.
    #[serde(default)]
    pub search: bool,
    /// Has a bloom filter.
    #[serde(default)]
    pub bloom: bool,
    /// Its Iceberg field id and those inside it; empty where they follow from the column's place
    /// ([`TableSchema::field_ids`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub field_ids: Vec<i32>,
}

impl Column {
    /// A column that may be null, with nothing more said about it.
    pub fn new(name: impl Into<String>, kind: ColumnType) -> Self {
        let (description, unit, field_ids) = (String::new(), None, Vec::new());
        Self { name: name.into(), kind, nullable: true, description, unit, search: false, bloom: false, field_ids }
    }
}

/// The columns of a table, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableSchema {
    /// Columns.
    pub columns: Vec<Column>,
}

impl TableSchema {
    /// The column of that name, with its position.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }

    /// The Arrow schema with Iceberg field ids ([`Self::field_ids`]).
    pub fn to_arrow(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .zip(self.field_ids())
            .map(|(column, ids)| {
                let mut ids = ids.into_iter();
                let id = ids.next().unwrap_or_default();
                let mut field = with_id(&column.name, column.kind.to_arrow_numbered(&mut ids), column.nullable, id);
                if column.kind == ColumnType::Json {
                    let mut metadata = field.metadata().clone();
                    metadata.insert(JSON_MARK.into(), "1".into());
                    field.set_metadata(metadata);
                }
                field
            })
            .collect();
        Arc::new(Schema::new(fields))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn field_ids_number_columns_first_then_nested_fields() {
        let column = |name: &str, kind: &str| Column::new(name, kind.parse().expect("a type"));
        let schema = TableSchema { columns: vec![column("a", "list<utf8>"), column("b", "int32")] }.to_arrow();
        assert_eq!(schema.field(0).metadata()[FIELD_ID], "1");
        assert_eq!(schema.field(1).metadata()[FIELD_ID], "2");
        let DataType::List(item) = schema.field(0).data_type() else { panic!("a list") };
        assert_eq!((item.name().as_str(), item.metadata()[FIELD_ID].as_str()), ("element", "3"));
    }
}
