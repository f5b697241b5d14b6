//! The grammar of `dataset.toml`, as types: what serde reads, what the JSON Schema is generated from, and what every
//! definition is checked against. Adding a key here is adding it to the grammar.

mod format;
mod source;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use format::{Csv, FixedWidth, Format, Header, Json, Mysqldump, Script, ScriptInput, Xml};
pub use source::{
    Checksum, ChecksumFile, ChecksumKind, ChecksumLiteral, Each, EachRange, Expect, Missing, Ready, Scalar, Source,
    SourceRef, Status,
};

use crate::catalog::License;

/// One dataset.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Human title.
    pub title: String,
    /// What the dataset holds.
    #[serde(default)]
    pub description: String,
    /// Upstream's page.
    pub homepage: Option<String>,
    /// Whom to write to about this dataset.
    pub contact: Option<String>,
    /// Free lower-case tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// `"1h"`, `"1d"`, `"30d"` or a cron line: the schedule, and the freshness promised.
    pub refresh: Option<String>,
    /// How to cite upstream.
    pub citation: Option<String>,
    /// How long old snapshots are kept (at least the last three always are).
    #[serde(default = "default_retention")]
    pub retention: String,
    /// The share of rejected rows above which nothing is published.
    #[serde(default = "default_reject_threshold")]
    pub reject_threshold: f64,
    /// Caps below those of the installation.
    #[serde(default)]
    pub limits: Limits,
    /// License of the dataset.
    pub license: License,
    /// Sources that several tables use by name.
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
    /// The tables.
    #[serde(rename = "table")]
    pub tables: Vec<Table>,
}

impl Definition {
    /// Whether any source lies beyond this machine: such a crawl needs a contact.
    pub fn names_public_hosts(&self) -> bool {
        let inline = self.tables.iter().filter_map(|table| match &table.source {
            SourceRef::Inline(source) => Some(&**source),
            SourceRef::Name(_) => None,
        });
        self.sources.iter().chain(inline).flat_map(Source::addresses).any(is_public)
    }
}

/// Whether an address names another machine than this one: then whoever asks says who they are.
pub fn is_public(address: &str) -> bool {
    let host = url::Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| host != "localhost" && host != "[::1]" && !host.starts_with("127."))
}

fn default_retention() -> String {
    "90d".into()
}

fn default_reject_threshold() -> f64 {
    0.001
}

/// Caps on one ingest run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most bytes fetched.
    pub bytes: Option<u64>,
    /// Longest run, such as `"6h"`.
    pub time: Option<String>,
}

/// One value or several.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them, in order.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// One table.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Name: lower-case letters, digits, `_`.
    pub name: String,
    /// What it holds.
    #[serde(default)]
    pub description: String,
    /// Where its bytes come from.
    pub source: SourceRef,
    /// The form of the bytes.
    pub format: Format,
    /// Its own license, where it differs from the dataset's.
    pub license: Option<License>,
    /// Columns whose values are unique together.
    #[serde(default)]
    pub primary_key: Vec<String>,
    /// Order of the rows (within a part); default: the primary key, else upstream's order.
    pub sort_key: Option<Vec<String>>,
    /// Columns of which no file holds two values, such as `["year"]`: text, bool, whole numbers and dates. Rows are sorted by
    /// them first, then by the sort key; null is a value of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// Which of several rows with one primary key stays.
    #[serde(default)]
    pub on_duplicate: OnDuplicate,
    /// How a new version meets the old one.
    #[serde(default)]
    pub mode: Mode,
    /// Columns; none: taken from the data.
    #[serde(default, rename = "column")]
    pub columns: Vec<ColumnDefinition>,
}

impl Table {
    /// What the rows of a part are sorted by in the end: partitions one after the other, each in the order of the sort key.
    /// Whoever reads a table needs to know no other order.
    pub fn order(&self) -> Vec<String> {
        let key = self.sort_key.as_ref().unwrap_or(&self.primary_key);
        let inside = key.iter().filter(|name| !self.partition_by.contains(name));
        self.partition_by.iter().chain(inside).cloned().collect()
    }
}

/// Which of several rows with one primary key stays; the others are rejects with reason `duplicate-key`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnDuplicate {
    /// The first in upstream's order.
    #[default]
    First,
    /// The last.
    Last,
    /// None of them.
    Reject,
}

/// How a new version meets the old one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It takes its place.
    #[default]
    Replace,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnDefinition {
    /// Our name: snake_case.
    pub name: String,
    /// Upstream's name, a position (from 1), a JSON pointer `/a/b`, `column#/a/b`, `@attribute`, `$variable`; or a list:
    /// the first that is there. Default: `name`.
    pub from: Option<OneOrMany<Scalar>>,
    /// Type, such as `int64` or `list<utf8>`; default `utf8`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What it holds.
    #[serde(default)]
    pub description: String,
    /// Unit of its values.
    pub unit: Option<String>,
    /// Separator of a list in text.
    pub split: Option<String>,
    /// strptime pattern, `epoch_s` or `epoch_ms`.
    pub parse: Option<String>,
    /// IANA zone of times that name none; default UTC.
    pub timezone: Option<String>,
    /// Text that means null in this column, in place of the format's.
    pub null: Option<OneOrMany<String>>,
    /// True: may be absent from the source; it is then null.
    #[serde(default)]
    pub optional: bool,
    /// Full-text search.
    #[serde(default)]
    pub search: bool,
    /// Bloom filter; default: primary key columns.
    pub bloom: Option<bool>,
    /// Characters of a fixed-width line, from 1, both ends included: `"1-11"`.
    pub at: Option<String>,
}
