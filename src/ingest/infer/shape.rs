//! What was seen of a column, a list's elements or a struct's field so far.

use super::{
    widen::widen,
    words::{self, Words},
};
use crate::{catalog::ColumnType, ingest::normalize::json};

/// More different keys than this, and an object's keys are data: the column is `json`.
const MOST_FIELDS: usize = 64;
/// Nested deeper than this, the rest is `json`.
const DEEPEST: usize = 12;
/// Fields of all structs inside one column.
pub(super) const MOST_SHAPES: usize = 2000;

/// What values were.
#[derive(Debug, Default)]
pub(super) struct Shape {
    words: Words,
    items: Option<Box<Shape>>,
    fields: Option<Fields>,
    typed: Option<ColumnType>,
    json: bool,
    /// Strings are words like any other text, and what is not repeated is no list (XML).
    xml: bool,
    /// Values that only `json` holds.
    opaque: bool,
}

#[derive(Debug, Default)]
struct Fields {
    list: Vec<(String, Shape)>,
    /// The field of the next key, likely.
    next: usize,
}

impl Shape {
    /// A text value.
    pub(super) fn text(&mut self, text: &[u8]) {
        if !self.words.has(Words::TEXT) {
            self.words.add(words::word(text));
        }
    }

    /// A value of a file with types.
    pub(super) fn typed(&mut self, kind: ColumnType) {
        self.typed = Some(match self.typed.take() {
            Some(before) => widen(&before, &kind, false),
            None => kind,
        });
    }

    /// A value of an XML file: a string, or an array of those that one row has several of.
    pub(super) fn xml(&mut self, value: &[u8]) {
        self.xml = true;
        match json::kind(value) {
            json::Kind::Array => {
                let items = self.items.get_or_insert_default();
                // What is no array of strings does not come from the XML extractor.
                if json::elements(value, &mut |element| items.xml(element)).is_err() {
                    self.words.add(Words::TEXT);
                }
            }
            json::Kind::String => match json::unescape(value) {
                Ok(text) => self.text(text.as_bytes()),
                Err(_) => self.words.add(Words::TEXT),
            },
            json::Kind::Null => {}
            json::Kind::Bare | json::Kind::Object => self.text(value),
        }
    }

    /// A JSON value; `budget` is how many more fields the column may have.
    pub(super) fn json(&mut self, value: &[u8], depth: usize, budget: &mut usize) {
        self.json = true;
        if self.opaque {
            return;
        }
        match json::kind(value) {
            json::Kind::Null => {}
            json::Kind::Bare if matches!(value, b"true" | b"false") => self.words.add(Words::BOOL),
            json::Kind::Bare => self.words.add(words::number(value).unwrap_or(Words::LONG)),
            json::Kind::String if self.words.has(Words::TEXT) => {}
            json::Kind::String => {
                // The empty string says nothing: it is null where the column is not text.
                let word = json::unescape(value).map_or(Words::TEXT, |text| match text.trim_ascii() {
                    "" => Words::NONE,
                    text => words::moment(text.as_bytes()),
                });
                self.words.add(word);
            }
            json::Kind::Array if depth >= DEEPEST => self.opaque = true,
            json::Kind::Array => {
                let items = self.items.get_or_insert_default();
                if json::elements(value, &mut |element| items.json(element, depth + 1, budget)).is_err() {
                    self.opaque = true;
                }
            }
            json::Kind::Object => self.object(value, depth, budget),
        }
    }

    fn object(&mut self, value: &[u8], depth: usize, budget: &mut usize) {
        let fields = self.fields.get_or_insert_default();
        fields.next = 0;
        let mut fits = depth < DEEPEST;
        let read = json::entries(value, &mut |key, value| {
            fits = fits && fields.add(&key, value, depth, budget);
        });
        if !fits || read.is_err() {
            self.opaque = true;
            self.fields = None;
            self.items = None;
        }
    }

    /// Whether values were JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// The narrowest type that holds all of them; `None` if there were none.
    pub(super) fn kind(&self) -> Option<ColumnType> {
        let seen = match &self.items {
            _ if self.json => self.json_kind(),
            Some(items) if self.xml => {
                let all = scalar(self.words.and(items.words)).unwrap_or(ColumnType::Utf8);
                Some(ColumnType::List(Box::new(all)))
            }
            _ => scalar(self.words),
        };
        match (&self.typed, seen) {
            (Some(typed), Some(seen)) => Some(widen(typed, &seen, self.json)),
            (Some(typed), None) => Some(typed.clone()),
            (None, seen) => seen,
        }
    }

    fn json_kind(&self) -> Option<ColumnType> {
        let kinds = [
            self.words.has(Words::BOOL),
            self.words.has(Words::NUMBERS),
            self.words.has(Words::STRINGS),
            self.items.is_some(),
            self.fields.is_some(),
        ];
        if self.opaque || kinds.iter().filter(|seen| **seen).count() > 1 {
            return Some(ColumnType::Json);
        }
        if let Some(items) = &self.items {
            return Some(ColumnType::List(Box::new(items.kind().unwrap_or(ColumnType::Utf8))));
        }
        if let Some(fields) = &self.fields {
            let list = fields.list.iter();
            let kinds = list.map(|(name, shape)| (name.clone(), shape.kind().unwrap_or(ColumnType::Utf8)));
            let kinds: Vec<_> = kinds.collect();
            return Some(if kinds.is_empty() { ColumnType::Json } else { ColumnType::Struct(kinds) });
        }
        scalar(self.words)
    }
}

fn scalar(words: Words) -> Option<ColumnType> {
    Some(if words == Words::NONE {
        return None;
    } else if words.has(Words::TEXT) || words.has(Words::LONG) {
        ColumnType::Utf8
    } else if words == Words::BOOL {
        ColumnType::Bool
    } else if words.within(Words::INT.and(Words::INEXACT)) {
        ColumnType::Int64
    } else if words.within(Words::INT.and(Words::FLOAT)) {
        ColumnType::Float64
    } else if words == Words::DATE {
        ColumnType::Date
    } else if words == Words::INSTANT {
        ColumnType::Timestamp
    } else if words == Words::WALL {
        ColumnType::Datetime
    } else {
        ColumnType::Utf8
    })
}

impl Fields {
    /// Takes an entry; false if there are too many different keys.
    fn add(&mut self, key: &str, value: &[u8], depth: usize, budget: &mut usize) -> bool {
        let at = match self.list.get(self.next) {
            Some((name, _)) if name == key => self.next,
            _ => match self.list.iter().position(|(name, _)| name == key) {
                Some(at) => at,
                None if self.list.len() >= MOST_FIELDS || *budget == 0 => return false,
                None => {
                    *budget -= 1;
                    self.list.push((key.to_owned(), Shape::default()));
                    self.list.len() - 1
                }
            },
        };
        self.next = at + 1;
        if let Some((_, shape)) = self.list.get_mut(at) {
            shape.json(value, depth + 1, budget);
        }
        true
    }
}
