//! Partitions as an Iceberg partition spec, and the value of each file, from what our manifests and lists say.
//!
//! All are by identity. A spec's id is made from what it says, and a partition field's from its column's id, so that both
//! are the same whatever else is in the history.

use std::cmp::Ordering;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use super::{
    IcebergError,
    bounds::{Side, single_value},
    schema::{digest_id, field_ids},
};
use crate::catalog::{ColumnType, DataFile, TableSnapshot};

/// Partition fields have ids above this (specification, "Partition Specs").
const BEFORE_FIRST_FIELD: i32 = 999;

/// How a table is partitioned.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spec {
    /// 0 where it is not.
    pub(super) id: i32,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq)]
struct Field {
    /// The column's field id.
    source: i32,
    id: i32,
    name: String,
    kind: ColumnType,
}

impl Spec {
    /// The spec of a table.
    ///
    /// # Errors
    /// When it names columns that are not there: a bug of ours.
    pub(super) fn new(table: &TableSnapshot) -> Result<Self, IcebergError> {
        let ids = field_ids(&table.schema);
        let field = |name: &String| {
            let (at, column) = table.schema.column(name)?;
            let source = *ids.get(at)?;
            let id = source.checked_add(BEFORE_FIRST_FIELD + 1)?;
            Some(Field { source, id, name: name.clone(), kind: column.kind.clone() })
        };
        let fields = table.partition_by.iter().map(field).collect::<Option<Vec<_>>>();
        let fields = fields.ok_or_else(|| IcebergError::Unwritable("a partition is of no column".into()))?;
        let mut spec = Self { id: 0, fields };
        if !spec.fields.is_empty() {
            spec.id = digest_id(&spec.json_fields());
        }
        Ok(spec)
    }

    /// Its fields in Iceberg's JSON.
    pub(super) fn json_fields(&self) -> Value {
        let json = |field: &Field| json!({"source-id": field.source, "field-id": field.id, "name": field.name, "transform": "identity"});
        self.fields.iter().map(json).collect()
    }

    /// With `spec-id`.
    pub(super) fn json(&self) -> Value {
        json!({"spec-id": self.id, "fields": self.json_fields()})
    }

    /// The highest id of a partition field in it; below the first one where there is none.
    pub(super) fn last_field(&self) -> i32 {
        self.fields.iter().map(|field| field.id).max().unwrap_or(BEFORE_FIRST_FIELD)
    }

    /// The fields of the Avro record of a file's values.
    pub(super) fn avro_fields(&self) -> Value {
        let avro = |field: &Field| {
            let kind = match &field.kind {
                ColumnType::Bool => json!("boolean"),
                ColumnType::Int32 => json!("int"),
                ColumnType::Int64 => json!("long"),
                ColumnType::Date => json!({"type": "int", "logicalType": "date"}),
                _ => json!("string"),
            };
            let name = avro_name(&field.name);
            let mut json = json!({"name": name, "type": ["null", kind], "default": null, "field-id": field.id});
            if let Some(json) = json.as_object_mut().filter(|_| name != field.name) {
                json.insert("iceberg-field-name".into(), field.name.as_str().into());
            }
            json
        };
        self.fields.iter().map(avro).collect()
    }

    /// The values of a file.
    ///
    /// # Errors
    /// When the list of files does not say them, or says others: a reader that is told something else passes over rows.
    pub(super) fn values(&self, file: &DataFile) -> Result<Values, IcebergError> {
        if file.partition.len() != self.fields.len() {
            return Err(IcebergError::Unwritable(format!("file {} is partitioned by other columns", file.name())));
        }
        let value = |field: &Field| {
            let known = match file.partition.get(&field.name) {
                Some(Value::Null) => Some(None),
                Some(value) => Scalar::new(&field.kind, value).map(Some),
                None => None,
            };
            let known = known.ok_or_else(|| {
                IcebergError::Unwritable(format!("file {} has no value of partition `{}`", file.name(), field.name))
            })?;
            Ok((avro_name(&field.name), known))
        };
        self.fields.iter().map(value).collect::<Result<_, _>>().map(Values)
    }

    /// What the list of manifests says of no files.
    pub(super) fn summaries(&self) -> Vec<FieldSummary> {
        vec![FieldSummary::default(); self.fields.len()]
    }
}

/// A name as Avro takes it, made as other writers of Iceberg make it.
fn avro_name(name: &str) -> String {
    let mut made = String::new();
    for (at, c) in name.chars().enumerate() {
        match c {
            '_' => made.push(c),
            c if c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit()) => made.push(c),
            c if c.is_ascii_digit() => made.extend(['_', c]),
            c => made.push_str(&format!("_x{:X}", u32::from(c))),
        }
    }
    made
}

/// A value of a partition; those of one field are of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Bool(bool),
    Int(i32),
    Long(i64),
    Text(String),
}

impl Scalar {
    /// `None` for a value that is none of the column's.
    fn new(kind: &ColumnType, value: &Value) -> Option<Self> {
        let bytes = single_value(kind, value, Side::Lower)?;
        Some(match kind {
            ColumnType::Bool => Self::Bool(bytes.first().is_some_and(|byte| *byte != 0)),
            ColumnType::Int32 | ColumnType::Date => Self::Int(i32::from_le_bytes(bytes.try_into().ok()?)),
            ColumnType::Int64 => Self::Long(i64::from_le_bytes(bytes.try_into().ok()?)),
            ColumnType::Utf8 => Self::Text(String::from_utf8(bytes).ok()?),
            _ => return None,
        })
    }

    /// In binary form (specification, Appendix D).
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bool(value) => vec![u8::from(*value)],
            Self::Int(value) => value.to_le_bytes().to_vec(),
            Self::Long(value) => value.to_le_bytes().to_vec(),
            Self::Text(value) => value.as_bytes().to_vec(),
        }
    }
}

/// The values of a file, by their names in Avro.
#[derive(Debug, Clone)]
pub(super) struct Values(Vec<(String, Option<Scalar>)>);

impl Values {
    /// Counts them into what a manifest says of its files.
    pub(super) fn join(&self, summaries: &mut [FieldSummary]) {
        for ((_, value), summary) in self.0.iter().zip(summaries) {
            match value {
                None => summary.contains_null = true,
                Some(value) => summary.take(value),
            }
        }
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// What the list of manifests says of a partition field, over the files of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSummary {
    pub(super) contains_null: bool,
    /// The least and the greatest value; none where all are null.
    pub(super) extremes: Option<(Scalar, Scalar)>,
}

impl FieldSummary {
    fn take(&mut self, value: &Scalar) {
        match &mut self.extremes {
            None => self.extremes = Some((value.clone(), value.clone())),
            Some((least, greatest)) => {
                if value.cmp(least) == Ordering::Less {
                    *least = value.clone();
                }
                if value.cmp(greatest) == Ordering::Greater {
                    *greatest = value.clone();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_avro_are_those_of_other_writers() {
        for (name, made) in [
            ("year", "year"),
            ("_a1", "_a1"),
            ("1st", "_1st"),
            ("a b", "a_x20b"),
            ("größe", "gr_xF6_xDFe"),
            ("-", "_x2D"),
        ] {
            assert_eq!(avro_name(name), made);
        }
    }

    #[test]
    fn a_file_of_other_partitions_is_not_written() {
        let field = Field { source: 1, id: 1001, name: "year".into(), kind: ColumnType::Int32 };
        let (by_year, by_none) = (Spec { id: 7, fields: vec![field] }, Spec { id: 0, fields: Vec::new() });
        let file = |partition: Value| DataFile {
            partition: serde_json::from_value(partition).expect("a map"),
            ..DataFile::default()
        };
        for (spec, partition, fits) in [
            (&by_year, json!({"year": 2000}), true),
            (&by_year, json!({"year": null}), true),
            (&by_year, json!({}), false),
            (&by_year, json!({"code": 2000}), false),
            (&by_year, json!({"year": "new"}), false),
            (&by_year, json!({"code": "a", "year": 2000}), false),
            (&by_none, json!({}), true),
            (&by_none, json!({"year": 2000}), false),
        ] {
            assert_eq!(spec.values(&file(partition.clone())).is_ok(), fits, "{partition}");
        }
    }

    #[test]
    fn values_are_summed_up_in_their_own_order() {
        let of = |kind: &str, values: &[Value]| {
            let kind: ColumnType = kind.parse().expect("a type");
            let mut summary = FieldSummary::default();
            values.iter().for_each(|value| summary.take(&Scalar::new(&kind, value).expect("a value")));
            summary.extremes.map(|(least, greatest)| (least.bytes(), greatest.bytes()))
        };
        let le = |least: i32, greatest: i32| Some((least.to_le_bytes().to_vec(), greatest.to_le_bytes().to_vec()));
        assert_eq!(of("int32", &[json!(2), json!(-1), json!(300)]), le(-1, 300));
        assert_eq!(of("date", &[json!("1970-01-02"), json!("1969-12-31")]), le(-1, 1));
        assert_eq!(of("utf8", &[json!("b"), json!("Z"), json!("é")]), Some((b"Z".to_vec(), "é".into())));
        assert_eq!(of("bool", &[json!(true)]), Some((vec![1], vec![1])));
        assert_eq!(of("int64", &[]), None);
        assert!(Scalar::new(&ColumnType::Float64, &json!(1.5)).is_none());
    }
}
