//! Column types as `definition.md` spells them, and their Arrow form.
//!
//! There are no unsigned and no 8/16-bit integers, so that the API, Parquet and Iceberg show one and the same type.

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc};

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde::{Deserialize, Serialize};

/// The metadata key under which the `parquet` crate reads and writes a field's Iceberg id.
pub const FIELD_ID: &str = "PARQUET:field_id";

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// UTF-8 text.
    Utf8,
    /// True or false.
    Bool,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit float.
    Float32,
    /// 64-bit float.
    Float64,
    /// Exact number: precision (at most 38), scale.
    Decimal(u8, i8),
    /// Calendar day.
    Date,
    /// An instant, UTC, microseconds.
    Timestamp,
    /// A wall-clock time without a zone, microseconds.
    Datetime,
    /// Bytes.
    Binary,
    /// Text that holds JSON.
    Json,
    /// A list.
    List(Box<ColumnType>),
    /// Named fields.
    Struct(Vec<(String, ColumnType)>),
    /// Text keys to values.
    Map(Box<ColumnType>),
}

pub(super) fn with_id(name: &str, kind: DataType, nullable: bool, id: i32) -> Field {
    Field::new(name, kind, nullable).with_metadata(HashMap::from([(FIELD_ID.into(), id.to_string())]))
}

impl ColumnType {
    /// The Arrow type, without field ids.
    pub fn to_arrow(&self) -> DataType {
        strip_ids(&self.to_arrow_numbered(&mut std::iter::repeat(0)))
    }

    /// The fields directly inside, by name, in order; none where values are single.
    pub(super) fn inside(&self) -> Vec<(&str, &Self)> {
        match self {
            Self::List(item) => vec![("element", item)],
            Self::Struct(fields) => fields.iter().map(|(name, kind)| (name.as_str(), kind)).collect(),
            Self::Map(value) => vec![("key", &Self::Utf8), ("value", value)],
            _ => Vec::new(),
        }
    }

    /// Ids are those of the fields directly [`Self::inside`], then those inside each of them.
    pub(super) fn to_arrow_numbered(&self, ids: &mut dyn Iterator<Item = i32>) -> DataType {
        let mut id = || ids.next().unwrap_or_default();
        match self {
            Self::Utf8 | Self::Json => DataType::Utf8,
            Self::Bool => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Datetime => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Binary => DataType::Binary,
            Self::List(item) => {
                let id = id();
                DataType::List(Arc::new(with_id("element", item.to_arrow_numbered(ids), true, id)))
            }
            Self::Struct(fields) => {
                let own: Vec<i32> = fields.iter().map(|_| id()).collect();
                DataType::Struct(
                    fields
                        .iter()
                        .zip(own)
                        .map(|((name, kind), id)| with_id(name, kind.to_arrow_numbered(ids), true, id))
                        .collect(),
                )
            }
            Self::Map(value) => {
                let (key, item) = (id(), id());
                let entries = Fields::from(vec![
                    with_id("key", DataType::Utf8, false, key),
                    with_id("value", value.to_arrow_numbered(ids), true, item),
                ]);
                DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entries), false)), false)
            }
        }
    }

    /// Our type for an upstream Arrow type; `None` where there is none (unions, intervals, durations).
    pub fn from_arrow(kind: &DataType) -> Option<Self> {
        Some(match kind {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => Self::Int32,
            DataType::Int64 | DataType::UInt32 => Self::Int64,
            DataType::UInt64 => Self::Decimal(20, 0),
            DataType::Float16 | DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Self::Utf8,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Binary
            }
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Timestamp(_, Some(_)) => Self::Timestamp,
            DataType::Timestamp(_, None) => Self::Datetime,
            DataType::Time32(_) | DataType::Time64(_) => Self::Utf8,
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => Self::Decimal(*p, *s),
            DataType::Decimal256(p, s) if *p <= 38 => Self::Decimal(*p, *s),
            DataType::Dictionary(_, value) => Self::from_arrow(value)?,
            DataType::RunEndEncoded(_, value) => Self::from_arrow(value.data_type())?,
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item)
            | DataType::LargeListView(item) => Self::List(Box::new(Self::from_arrow(item.data_type())?)),
            DataType::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|field| Some((field.name().clone(), Self::from_arrow(field.data_type())?)))
                    .collect::<Option<_>>()?,
            ),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => {
                    Self::Map(Box::new(Self::from_arrow(fields[1].data_type())?))
                }
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Whether a table may be partitioned by such a column: its values are few, equal in one way only, and shown exactly.
    ///
    /// Floats are not (NaN, -0.0), nor JSON (one value, many texts), decimals, bytes and moments, which are nearly unique: a
    /// file for each is none that anybody wants, and a year or a day is a column of its own.
    pub fn is_partition(&self) -> bool {
        matches!(self, Self::Utf8 | Self::Bool | Self::Int32 | Self::Int64 | Self::Date)
    }

    /// Whether values are lists, structs or maps.
    pub fn is_nested(&self) -> bool {
        matches!(self, Self::List(_) | Self::Struct(_) | Self::Map(_))
    }
}

fn strip_ids(kind: &DataType) -> DataType {
    let plain = |field: &Field| Field::new(field.name(), strip_ids(field.data_type()), field.is_nullable());
    match kind {
        DataType::List(item) => DataType::List(Arc::new(plain(item))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| plain(field)).collect()),
        DataType::Map(entries, sorted) => DataType::Map(Arc::new(plain(entries)), *sorted),
        other => other.clone(),
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf8 => f.write_str("utf8"),
            Self::Bool => f.write_str("bool"),
            Self::Int32 => f.write_str("int32"),
            Self::Int64 => f.write_str("int64"),
            Self::Float32 => f.write_str("float32"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Datetime => f.write_str("datetime"),
            Self::Binary => f.write_str("binary"),
            Self::Json => f.write_str("json"),
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (at, (name, kind)) in fields.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    if is_plain_name(name) {
                        write!(f, "{comma}{name}: {kind}")?;
                    } else {
                        write!(f, "{comma}\"{}\": {kind}", name.replace('"', "\"\""))?;
                    }
                }
                f.write_str(">")
            }
            Self::Map(value) => write!(f, "map<utf8, {value}>"),
        }
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The words a type begins with; for "did you mean".
pub const TYPE_WORDS: [&str; 15] = [
    "utf8",
    "bool",
    "int32",
    "int64",
    "float32",
    "float64",
    "decimal(p,s)",
    "date",
    "timestamp",
    "datetime",
    "binary",
    "json",
    "list<T>",
    "struct<a: T>",
    "map<utf8, T>",
];

/// A type that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no column type")]
pub struct InvalidType(pub String);

impl FromStr for ColumnType {
    type Err = InvalidType;

    fn from_str(text: &str) -> Result<Self, InvalidType> {
        let mut rest = text;
        let kind = parse_type(&mut rest, 0).ok_or_else(|| InvalidType(text.to_owned()))?;
        if rest.trim().is_empty() { Ok(kind) } else { Err(InvalidType(text.to_owned())) }
    }
}

const DEEPEST_TYPE: usize = 32;

fn parse_type(rest: &mut &str, depth: usize) -> Option<ColumnType> {
    if depth > DEEPEST_TYPE {
        return None;
    }
    let word = take_word(rest)?;
    Some(match word.as_str() {
        "utf8" => ColumnType::Utf8,
        "bool" => ColumnType::Bool,
        "int32" => ColumnType::Int32,
        "int64" => ColumnType::Int64,
        "float32" => ColumnType::Float32,
        "float64" => ColumnType::Float64,
        "date" => ColumnType::Date,
        "timestamp" => ColumnType::Timestamp,
        "datetime" => ColumnType::Datetime,
        "binary" => ColumnType::Binary,
        "json" => ColumnType::Json,
        "decimal" => {
            expect(rest, "(")?;
            let precision: u8 = take_word(rest)?.parse().ok()?;
            expect(rest, ",")?;
            let scale: i8 = take_word(rest)?.parse().ok()?;
            expect(rest, ")")?;
            if precision == 0 || precision > 38 || scale < 0 || scale as u8 > precision {
                return None;
            }
            ColumnType::Decimal(precision, scale)
        }
        "list" => {
            expect(rest, "<")?;
            let item = parse_type(rest, depth + 1)?;
            expect(rest, ">")?;
            ColumnType::List(Box::new(item))
        }
        "map" => {
            expect(rest, "<")?;
            (take_word(rest)? == "utf8").then_some(())?;
            expect(rest, ",")?;
            let value = parse_type(rest, depth + 1)?;
            expect(rest, ">")?;
            ColumnType::Map(Box::new(value))
        }
        "struct" => {
            expect(rest, "<")?;
            let mut fields = Vec::new();
            loop {
                let name = take_name(rest)?;
                expect(rest, ":")?;
                fields.push((name, parse_type(rest, depth + 1)?));
                if expect(rest, ",").is_none() {
                    break;
                }
            }
            expect(rest, ">")?;
            ColumnType::Struct(fields)
        }
        _ => return None,
    })
}

fn expect(rest: &mut &str, token: &str) -> Option<()> {
    *rest = rest.trim_start().strip_prefix(token)?;
    Some(())
}

fn take_word(rest: &mut &str) -> Option<String> {
    let text = rest.trim_start();
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (word, tail) = text.split_at(end);
    *rest = tail;
    (!word.is_empty()).then(|| word.to_owned())
}

fn take_name(rest: &mut &str) -> Option<String> {
    let text = rest.trim_start();
    let Some(quoted) = text.strip_prefix('"') else { return take_word(rest) };
    let mut name = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                name.push('"');
            }
            '"' => {
                *rest = quoted.get(at + 1..)?;
                return Some(name);
            }
            c => name.push(c),
        }
    }
    None
}

impl Serialize for ColumnType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_it_is_written() {
        for text in [
            "utf8",
            "decimal(20,0)",
            "list<list<float32>>",
            "struct<a: int32, \"b c\": list<utf8>>",
            "map<utf8, struct<x: date>>",
        ] {
            let kind: ColumnType = text.parse().expect(text);
            assert_eq!(kind.to_string(), text);
        }
        for text in
            ["", "int16", "list<>", "list<utf8", "decimal(39,0)", "decimal(3,4)", "map<int32, utf8>", "utf8 utf8"]
        {
            assert!(text.parse::<ColumnType>().is_err(), "{text}");
        }
        assert!("list<".repeat(100_000).parse::<ColumnType>().is_err());
    }
}
