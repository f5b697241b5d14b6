//! What the rows of a table are like: types over all rows read, null words, columns that could be a key.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use arrow::array::BinaryArray;

use crate::{
    catalog::{ColumnType, TableSchema},
    ingest::{
        definition::grammar::{ColumnDefinition, Format, OneOrMany},
        extract::{RawBatch, RawColumn},
        infer::Inference,
    },
};

/// Rows beyond which nothing more is learned.
pub(super) const MOST_ROWS: u64 = 500_000;
/// Words that mean null in a column that is otherwise of numbers, days or times.
const NULL_WORDS: [&str; 9] = ["NA", "N/A", "n/a", "NULL", "null", "None", "NaN", "nan", "\\N"];

/// Rows read so far.
#[derive(Debug)]
pub(super) struct Survey {
    all: Inference,
    /// The same without null words.
    without: Inference,
    null_words: BTreeMap<String, BTreeSet<&'static str>>,
    /// Hashes of the values of columns that could be a key; gone once a value is null or comes twice.
    keys: BTreeMap<String, Option<HashSet<u64>>>,
    pub(super) names: Vec<String>,
    pub(super) rows: u64,
    pub(super) broken: u64,
    pub(super) first_broken: Option<String>,
    pub(super) first: Option<RawBatch>,
}

impl Survey {
    pub(super) fn new(format: &Format) -> Self {
        Self {
            all: Inference::new(None, format),
            without: Inference::new(None, format),
            null_words: BTreeMap::new(),
            keys: BTreeMap::new(),
            names: Vec::new(),
            rows: 0,
            broken: 0,
            first_broken: None,
            first: None,
        }
    }

    pub(super) fn push(&mut self, raw: RawBatch) {
        self.rows += raw.rows as u64;
        self.broken += raw.broken.len() as u64;
        if self.first_broken.is_none() {
            self.first_broken = raw.broken.first().map(|row| format!("{} {}: {}", raw.unit, row.position, row.reason));
        }
        self.all.push(&raw);
        let mut without = raw.clone();
        for ((name, column), cells) in raw.names.iter().zip(&raw.columns).zip(&mut without.columns) {
            if let RawColumn::Text(array) = column {
                let found = self.null_words.entry(name.clone()).or_default();
                *cells = RawColumn::Text(without_null_words(array, found));
            }
        }
        self.without.push(&without);
        for name in raw.names.iter() {
            if !self.names.contains(name) {
                self.names.push(name.clone());
            }
        }
        self.look_for_keys(&raw);
        if self.first.is_none() && raw.rows > 0 {
            self.first = Some(raw);
        }
    }

    fn look_for_keys(&mut self, raw: &RawBatch) {
        for (name, column) in raw.names.iter().zip(&raw.columns).filter(|(name, _)| is_like_id(name)) {
            let seen = self.keys.entry(name.clone()).or_insert_with(|| Some(HashSet::new()));
            let Some(hashes) = seen else { continue };
            let unique = match column {
                RawColumn::Text(array) | RawColumn::Json(array) => {
                    array.iter().all(|value| value.is_some_and(|value| hashes.insert(hash(value))))
                }
                RawColumn::Typed(array) => match crate::ingest::normalize::cells::as_text(array) {
                    Some(array) => array.iter().all(|value| value.is_some_and(|value| hashes.insert(hash(value)))),
                    None => false,
                },
            };
            // A column that some batches lack has nulls.
            if !unique || hashes.len() as u64 != self.rows {
                *seen = None;
            }
        }
    }

    /// The columns, named as upstream names them; the schema; and which of them could be the key.
    pub(super) fn finish(self) -> (Vec<ColumnDefinition>, TableSchema, Option<String>) {
        let (mut columns, mut schema) = self.all.finish();
        let (other_columns, other_schema) = self.without.finish();
        for (at, column) in columns.iter_mut().enumerate() {
            let (Some(own), Some(other)) = (schema.columns.get_mut(at), other_schema.columns.get(at)) else { continue };
            let upstream = column.from.as_ref().and_then(|_| self.names.get(at)).unwrap_or(&column.name);
            let words = self.null_words.get(upstream).filter(|words| !words.is_empty());
            if let Some(words) = words
                && own.kind == ColumnType::Utf8
                && other.kind != ColumnType::Utf8
            {
                own.kind = other.kind.clone();
                column.kind = other_columns.get(at).and_then(|column| column.kind.clone());
                column.null = Some(OneOrMany::Many(words.iter().map(|word| (*word).to_owned()).collect()));
            }
        }
        let is_key = |column: &&ColumnDefinition| matches!(self.keys.get(&column.name), Some(Some(_)));
        let plain = |column: &&ColumnDefinition| {
            schema
                .column(&column.name)
                .is_some_and(|(_, column)| !column.kind.is_nested() && column.kind != ColumnType::Json)
        };
        let key = columns.iter().filter(is_key).find(plain).map(|column| column.name.clone());
        (columns, schema, key.filter(|_| self.rows > 1))
    }
}

fn without_null_words(array: &BinaryArray, found: &mut BTreeSet<&'static str>) -> BinaryArray {
    let is_null = |value: &[u8]| NULL_WORDS.iter().find(|word| word.as_bytes() == value);
    if !array.iter().flatten().any(|value| is_null(value).is_some()) {
        return array.clone();
    }
    array
        .iter()
        .map(|value| match value.map(|value| (value, is_null(value))) {
            Some((_, Some(word))) => {
                found.insert(*word);
                None
            }
            Some((value, None)) => Some(value),
            None => None,
        })
        .collect()
}

fn hash(value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Whether a name is that of an identifier.
fn is_like_id(name: &str) -> bool {
    let name = super::names::snake_case(name);
    matches!(name.as_str(), "id" | "uuid" | "guid" | "key" | "gid" | "code") || name.ends_with("_id")
}
