//! `format`: the form of the bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OneOrMany;

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
