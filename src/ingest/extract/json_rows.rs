//! JSON objects to batches of JSON columns: what NDJSON, JSON documents, GeoJSON, XML and scripts have in common. Knows
//! nothing about where the objects come from.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{CellKind, RawBatchBuilder, Sink, is_wanted};
use crate::{config::Caps, ingest::Failure};

/// The column of rows that are no objects.
const VALUE: &str = "value";
/// Unwanted names that are remembered to be quick about them.
const MOST_REMEMBERED: usize = 20_000;

/// Collects rows, key by key or object by object.
pub(super) struct JsonRows<'a> {
    builder: RawBatchBuilder,
    names: Names<'a>,
    depth: usize,
    failure: Option<Failure>,
}

/// Which column a key is; none for the unwanted ones.
struct Names<'a> {
    wanted: Option<&'a BTreeSet<String>>,
    index: HashMap<String, Option<usize>>,
    /// The column of the next key, likely: upstreams write their keys in one order.
    next: usize,
}

impl<'a> JsonRows<'a> {
    /// An empty builder; positions count `unit`; of the keys only `wanted` are kept.
    pub(super) fn new(unit: &'static str, wanted: Option<&'a BTreeSet<String>>, caps: &Caps) -> Self {
        Self {
            builder: RawBatchBuilder::new(Vec::new(), CellKind::Json, unit).sparse(),
            names: Names { wanted, index: HashMap::new(), next: 0 },
            depth: caps.depth,
            failure: None,
        }
    }

    /// Adds one JSON value as a row: an object's keys become columns (of a repeated key the last stays), anything else
    /// goes to column `value`. Text that is no JSON becomes a broken row.
    pub(super) fn value(&mut self, position: u64, text: &[u8]) {
        self.keyed_value(position, None, text);
    }

    /// The same, with a cell that stands beside the object's own (`$key`).
    pub(super) fn keyed_value(&mut self, position: u64, beside: Option<(&str, &[u8])>, text: &[u8]) {
        let text = text.trim_ascii();
        match self.members(beside, text) {
            Ok(()) => self.end_row(position),
            Err(reason) => self.broken_row(position, reason, text),
        }
    }

    fn members(&mut self, beside: Option<(&str, &[u8])>, text: &[u8]) -> Result<(), String> {
        if let Some((name, json)) = beside {
            self.cell(name, json);
        }
        if text.first() == Some(&b'{') {
            self.object(text)
        } else {
            check_depth(text, self.depth)?;
            let raw: &RawValue = serde_json::from_slice(text).map_err(|error| error.to_string())?;
            self.cell(VALUE, raw.get().as_bytes());
            Ok(())
        }
    }

    /// Adds the members of an object to the row under way.
    ///
    /// # Errors
    /// Text that is no JSON object; the row under way is then only good for [`broken_row`](Self::broken_row).
    pub(super) fn object(&mut self, text: &[u8]) -> Result<(), String> {
        check_depth(text, self.depth)?;
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        deserializer.deserialize_map(Members(self)).map_err(|error| error.to_string())?;
        deserializer.end().map_err(|error| error.to_string())
    }

    /// Sets a cell of the row under way to a JSON text; JSON null is null.
    pub(super) fn cell(&mut self, name: &str, json: &[u8]) {
        if let Some(column) = self.column(name) {
            self.set(column, json);
        }
    }

    fn set(&mut self, column: usize, json: &[u8]) {
        self.builder.cell(column, (json != b"null").then_some(json));
    }

    fn column(&mut self, name: &str) -> Option<usize> {
        let names = &mut self.names;
        if self.builder.names().get(names.next).is_some_and(|known| known == name) {
            names.next += 1;
            return Some(names.next - 1);
        }
        if let Some(known) = names.index.get(name) {
            names.next = known.map_or(names.next, |column| column + 1);
            return *known;
        }
        // `$key` is ours, whatever upstream's names are that somebody wants.
        if !(name.starts_with('$') || is_wanted(names.wanted, name)) {
            if names.index.len() < MOST_REMEMBERED {
                names.index.insert(name.to_owned(), None);
            }
            return None;
        }
        match self.builder.add_column(name) {
            Ok(column) => {
                names.index.insert(name.to_owned(), Some(column));
                names.next = column + 1;
                Some(column)
            }
            Err(failure) => {
                self.failure.get_or_insert(failure);
                None
            }
        }
    }

    /// The row under way is complete.
    pub(super) fn end_row(&mut self, position: u64) {
        self.names.next = 0;
        self.builder.end_row(position);
    }

    /// The row under way, whose bytes are `text`, cannot be read.
    pub(super) fn broken_row(&mut self, position: u64, reason: impl Into<String>, text: &[u8]) {
        self.names.next = 0;
        self.builder.broken_row(position, reason, text);
    }

    /// Hands a batch on if enough rows wait. Call between rows.
    ///
    /// # Errors
    /// The sink's, or too many different keys.
    pub(super) fn flush_if_full(&mut self, sink: &mut Sink<'_>) -> Result<(), Failure> {
        self.failure.take().map_or(Ok(()), Err)?;
        self.builder.flush_if_full(sink)
    }

    /// Hands on what waits.
    ///
    /// # Errors
    /// The sink's, or too many different keys.
    pub(super) fn finish(self, sink: &mut Sink<'_>) -> Result<(), Failure> {
        self.failure.map_or(Ok(()), Err)?;
        self.builder.finish(sink)
    }
}

/// Visits an object's members.
struct Members<'r, 'a>(&'r mut JsonRows<'a>);

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(column) = map.next_key_seed(Key(self.0))? {
            let value: &RawValue = map.next_value()?;
            if let Some(column) = column {
                self.0.set(column, value.get().as_bytes());
            }
        }
        Ok(())
    }
}

/// Finds a key's column without copying the key.
struct Key<'r, 'a>(&'r mut JsonRows<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.column(key))
    }
}

/// Refuses brackets that nest deeper than `cap`: serde_json passes over raw values without counting.
pub(super) fn check_depth(text: &[u8], cap: usize) -> Result<(), String> {
    if memchr::memchr2_iter(b'{', b'[', text).nth(cap).is_none() {
        return Ok(());
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > cap {
                    return Err(format!("nested deeper than {cap} levels (cap `depth`)"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
