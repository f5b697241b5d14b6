//! The grammar of `dataset.toml`, as types: what serde reads, what the JSON Schema is generated from, and what every
//! definition is checked against. Adding a key here is adding it to the grammar.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        self.sources.iter().chain(inline).flat_map(Source::addresses).any(|address| {
            let host = url::Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned));
            host.is_some_and(|host| host != "localhost" && host != "[::1]" && !host.starts_with("127."))
        })
    }
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

/// The name of a `[[source]]`, or a source written in place.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum SourceRef {
    /// `source = "name"`
    Name(String),
    /// `source = { url = "…" }`, or `{ name = "…", member = "…" }`: the named source, with another member.
    Inline(Box<Source>),
}

/// Where bytes come from.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name other places use.
    pub name: Option<String>,
    /// One file; with `{x}`, one part per value of `each.x`.
    pub url: Option<String>,
    /// Several files, read in order as one table.
    pub urls: Option<Vec<String>>,
    /// A file relative to the definition.
    pub path: Option<String>,
    /// Values for the variables in `url`.
    pub each: Option<BTreeMap<String, Each>>,
    /// A page, S3 listing or checksum file whose links are looked through.
    pub listing: Option<String>,
    /// Regular expression over those links; named captures become variables.
    #[serde(rename = "match")]
    pub pattern: Option<String>,
    /// A JSON status document that names the files and says when they are complete.
    pub status: Option<Status>,
    /// A pointer file whose text fills `{latest}` in `url`.
    pub latest: Option<String>,
    /// Where upstream's checksums are.
    pub checksum: Option<Checksum>,
    /// A file, or glob, inside a zip or tar.
    pub member: Option<OneOrMany<String>>,
    /// A member whose text must be this, or the run fails (MusicBrainz' SCHEMA_SEQUENCE).
    pub expect: Option<Expect>,
    /// What a part that is not there means.
    #[serde(default)]
    pub missing: Missing,
    /// Parts younger than this are asked for again; default: all.
    pub recheck: Option<String>,
}

impl Source {
    /// Every address the source names, templates included.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let one =
            [self.url.as_ref(), self.listing.as_ref(), self.latest.as_ref(), self.status.as_ref().map(|s| &s.url)];
        one.into_iter().flatten().chain(self.urls.iter().flatten()).map(String::as_str)
    }
}

/// Values of one variable.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Each {
    /// A list of values.
    List(Vec<Scalar>),
    /// A range of times or numbers, both ends included.
    Range(EachRange),
}

/// A range of times (`from`, `to` ISO dates, hours or `today`/`now`; step `1h`, `1d`, `1mo`, `1y`) or numbers (integer `from`, `to`, `step`).
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EachRange {
    /// First value.
    pub from: Scalar,
    /// Last value.
    pub to: Scalar,
    /// Distance between values; default `1d` or 1.
    pub step: Option<Scalar>,
}

/// Text or a whole number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A whole number.
    Number(i64),
    /// Text.
    Text(String),
}

/// A status document such as Wikimedia's dumpstatus.json.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Its address; may hold variables.
    pub url: String,
    /// JSON pointer to an object of file name → `{url, size, sha1, md5, sha256}`.
    pub files: String,
    /// When the files are complete.
    pub ready: Option<Ready>,
    /// What relative file addresses are resolved against.
    pub base: Option<String>,
    /// Regular expression over file names; default: all.
    #[serde(rename = "match")]
    pub pattern: Option<String>,
}

/// A value in the status document that says "complete".
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// JSON pointer.
    pub pointer: String,
    /// The value it must have.
    pub equals: String,
}

/// Where upstream's checksums are.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Checksum {
    /// A sums file (`hash  name` lines).
    File(ChecksumFile),
    /// Written down here.
    Literal(ChecksumLiteral),
}

/// A sums file.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChecksumFile {
    /// Its address; may hold variables.
    pub url: String,
    /// The kind of sum in it.
    #[serde(rename = "type", default)]
    pub kind: ChecksumKind,
}

/// A checksum written in the definition.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChecksumLiteral {
    /// sha256 in hex.
    pub sha256: String,
}

/// Kinds of checksums upstreams publish.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumKind {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-1.
    Sha1,
    /// MD5.
    Md5,
}

/// A member of an archive whose text is known.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Path of the member.
    pub member: String,
    /// Its text, without surrounding white space.
    pub equals: String,
}

/// What a part that is not there means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The run fails.
    #[default]
    Fail,
    /// A gap: recorded and shown.
    Gap,
}

/// The form of the bytes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Format {
    /// Delimited text.
    Csv(Csv),
    /// One JSON object a line.
    Ndjson {},
    /// One JSON document: an array, an object of objects, or GeoJSON.
    Json(Json),
    /// A MediaWiki export.
    MediawikiXml {},
    /// XML with one element per row.
    Xml(Xml),
    /// mysqldump's SQL text.
    Mysqldump(Mysqldump),
    /// PostgreSQL's COPY text.
    Pgcopy {},
    /// Columns at fixed positions.
    FixedWidth(FixedWidth),
    /// Parquet.
    Parquet {},
    /// Arrow IPC, file or stream.
    Arrow {},
    /// An executable beside the definition.
    Script(Script),
}

/// Delimited text.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Csv {
    /// One character.
    pub delimiter: String,
    /// One character, or `"none"`.
    pub quote: String,
    /// Escape character inside quotes; default: a doubled quote.
    pub escape: Option<String>,
    /// true, false (columns bind by order), or a number of header rows joined by `_`.
    pub header: Header,
    /// Lines before the header to pass over.
    pub skip: u64,
    /// Lines beginning with this are passed over.
    pub comment: Option<String>,
    /// Text that means null (the empty field always does unless it is quoted).
    pub null: Option<OneOrMany<String>>,
    /// Encoding label; default `utf-8`.
    pub encoding: Option<String>,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            delimiter: ",".into(),
            quote: "\"".into(),
            escape: None,
            header: Header::Flag(true),
            skip: 0,
            comment: None,
            null: None,
            encoding: None,
        }
    }
}

/// Whether there is a header, and how many rows it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Header {
    /// One row, or none.
    Flag(bool),
    /// So many rows, joined by `_`.
    Rows(u8),
}

impl Header {
    /// How many header rows there are.
    pub fn rows(self) -> usize {
        match self {
            Self::Flag(flag) => usize::from(flag),
            Self::Rows(rows) => rows.into(),
        }
    }
}

/// One JSON document.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Json {
    /// JSON pointer to the rows; default: the root.
    pub pointer: Option<String>,
}

/// XML with one element per row.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Xml {
    /// Path of the row element, such as `catalog/book` or just `book`.
    pub row: String,
}

/// mysqldump's SQL text.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mysqldump {
    /// The table to read; default: the only one.
    pub table: Option<String>,
}

/// Columns at fixed positions.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FixedWidth {
    /// Lines before the data to pass over.
    pub skip: u64,
    /// Lines beginning with this are passed over.
    pub comment: Option<String>,
    /// Text that means null, beside an all-blank field.
    pub null: Option<OneOrMany<String>>,
    /// Encoding label; default `utf-8`.
    pub encoding: Option<String>,
}

/// An executable beside the definition.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Program and arguments; `./name` is a file beside the definition.
    pub command: Vec<String>,
    /// How it gets its input.
    #[serde(default)]
    pub input: ScriptInput,
}

/// How a script gets its input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScriptInput {
    /// Decompressed bytes on standard input.
    #[default]
    Stream,
    /// A read-only path in `OPENSHELF_FILE`.
    File,
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
