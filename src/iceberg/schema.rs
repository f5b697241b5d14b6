//! Columns as an Iceberg schema: the types and field ids that the Parquet files carry, and the order of rows.
//!
//! Ids of schemas and orders are made from what they say, so that they are the same whatever else is in the history.

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::IcebergError;
use crate::catalog::{TableSchema, TableSnapshot, schema::FIELD_ID};

/// A schema in Iceberg's JSON, with its id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IcebergSchema {
    pub(super) id: i32,
    /// The highest field id in it.
    pub(super) last_field: i32,
    /// With `schema-id`.
    pub(super) json: Value,
}

/// The schema of a table.
///
/// # Errors
/// For a type that Iceberg has not; none of ours.
pub(super) fn schema(table: &TableSnapshot) -> Result<IcebergSchema, IcebergError> {
    let mut last_field = 0;
    let arrow = table.schema.to_arrow();
    let mut fields = Vec::new();
    for (column, field) in table.schema.columns.iter().zip(arrow.fields()) {
        let mut json = of_field(field, &mut last_field)?;
        let doc = match (&column.description, &column.unit) {
            (text, None) => text.clone(),
            (text, Some(unit)) if text.is_empty() => format!("Unit: {unit}."),
            (text, Some(unit)) => format!("{text} Unit: {unit}."),
        };
        if !doc.is_empty() {
            json.insert("doc".into(), doc.into());
        }
        fields.push(Value::Object(json));
    }
    let mut body = Map::new();
    body.insert("type".into(), "struct".into());
    let identifiers = identifiers(table);
    if !identifiers.is_empty() {
        body.insert("identifier-field-ids".into(), json!(identifiers));
    }
    body.insert("fields".into(), fields.into());
    let id = digest_id(&Value::Object(body.clone()));
    body.insert("schema-id".into(), id.into());
    Ok(IcebergSchema { id, last_field, json: Value::Object(body) })
}

/// The field id of each top-level column.
pub(super) fn field_ids(schema: &TableSchema) -> Vec<i32> {
    schema.to_arrow().fields().iter().map(|field| field_id(field).unwrap_or_default()).collect()
}

/// The primary key, where Iceberg lets it identify rows: never null, no floating point.
fn identifiers(table: &TableSnapshot) -> Vec<i32> {
    let ids = field_ids(&table.schema);
    let arrow = table.schema.to_arrow();
    let fits = |name: &String| {
        let (at, column) = table.schema.column(name)?;
        let inexact = matches!(arrow.field(at).data_type(), DataType::Float32 | DataType::Float64);
        let fits = !column.nullable && !column.kind.is_nested() && !inexact;
        fits.then(|| ids.get(at).copied())?
    };
    table.primary_key.iter().map(fits).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// The order of rows inside a file, if there is one: its id, and its JSON.
pub(super) fn order(table: &TableSnapshot) -> Option<(i32, Value)> {
    let ids = field_ids(&table.schema);
    let field = |name: &String| {
        let (at, column) = table.schema.column(name)?;
        let id = *ids.get(at).filter(|_| !column.kind.is_nested())?;
        // As ingest sorts: ascending, nulls last.
        Some(json!({"transform": "identity", "source-id": id, "direction": "asc", "null-order": "nulls-last"}))
    };
    let fields: Vec<Value> = table.sort_key.iter().map_while(field).collect();
    if fields.is_empty() {
        return None;
    }
    let fields = Value::from(fields);
    let id = digest_id(&fields);
    Some((id, json!({"order-id": id, "fields": fields})))
}

fn field_id(field: &Field) -> Result<i32, IcebergError> {
    let id = field.metadata().get(FIELD_ID).and_then(|id| id.parse().ok());
    id.ok_or_else(|| IcebergError::Unwritable(format!("column `{}` has no field id", field.name())))
}

fn of_field(field: &Field, last: &mut i32) -> Result<Map<String, Value>, IcebergError> {
    let id = field_id(field)?;
    *last = id.max(*last);
    let mut json = Map::new();
    json.insert("id".into(), id.into());
    json.insert("name".into(), field.name().as_str().into());
    json.insert("required".into(), (!field.is_nullable()).into());
    json.insert("type".into(), of_type(field.data_type(), last)?);
    Ok(json)
}

fn of_type(kind: &DataType, last: &mut i32) -> Result<Value, IcebergError> {
    let unknown = || IcebergError::Unwritable(format!("Iceberg has no type for {kind}"));
    let mut inner = |field: &Field| -> Result<(i32, Value), IcebergError> {
        let id = field_id(field)?;
        *last = id.max(*last);
        Ok((id, of_type(field.data_type(), last)?))
    };
    Ok(match kind {
        DataType::Utf8 => "string".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Int32 => "int".into(),
        DataType::Int64 => "long".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})").into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamptz".into(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp".into(),
        DataType::Binary => "binary".into(),
        DataType::List(element) => {
            let (id, kind) = inner(element)?;
            json!({"type": "list", "element-id": id, "element": kind, "element-required": !element.is_nullable()})
        }
        DataType::Struct(fields) => {
            let fields: Result<Vec<Value>, IcebergError> =
                fields.iter().map(|field| of_field(field, last).map(Value::Object)).collect();
            json!({"type": "struct", "fields": fields?})
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { return Err(unknown()) };
            let [key, value] = fields.as_ref() else { return Err(unknown()) };
            let ((key_id, key), required) = (inner(key)?, !value.is_nullable());
            let (value_id, value) = inner(value)?;
            json!({
                "type": "map", "key-id": key_id, "key": key,
                "value-id": value_id, "value": value, "value-required": required
            })
        }
        _ => return Err(unknown()),
    })
}

/// A positive number made from what something says.
pub(super) fn digest_id(value: &Value) -> i32 {
    let digest = Sha256::digest(value.to_string());
    let number = digest.iter().take(4).fold(0_u32, |all, byte| (all << 8) | u32::from(*byte));
    i32::try_from(number & 0x7fff_ffff).unwrap_or_default().max(1)
}
