//! What a column definition says about reading its values: null tokens, the separator of lists, the form of times.

use crate::{
    catalog::ColumnType,
    ingest::{
        Failure,
        definition::grammar::{ColumnDefinition, Format, OneOrMany},
    },
};

use super::time::{Pattern, TimeRules};

/// How a column's values are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Text that means null in this column.
    pub(crate) nulls: Vec<Vec<u8>>,
    /// Separator of a list in text.
    pub(crate) split: Option<String>,
    /// Times.
    pub(crate) time: TimeRules,
    /// Whether a lone value is a list of one: XML does not tell them apart.
    pub(crate) lone: bool,
}

impl Rules {
    /// Reads them from a definition.
    ///
    /// # Errors
    /// A pattern, zone or separator that is none.
    pub(crate) fn new(column: &ColumnDefinition, format: &Format) -> Result<Self, Failure> {
        let fault = |key: &str, what: String| Failure::definition(format!("column `{}`, `{key}`: {what}", column.name));
        let pattern = column.parse.as_deref().map(Pattern::new).transpose().map_err(|what| fault("parse", what))?;
        let zone = match column.timezone.as_deref() {
            None => None,
            Some(name) => Some(name.parse().map_err(|_| {
                fault("timezone", format!("`{name}` is no IANA time zone; an example is `America/New_York`"))
            })?),
        };
        if column.split.as_deref() == Some("") {
            return Err(fault("split", "the separator is empty".into()));
        }
        Ok(Self {
            nulls: column
                .null
                .as_ref()
                .map(OneOrMany::as_slice)
                .unwrap_or_default()
                .iter()
                .map(|token| token.as_bytes().to_vec())
                .collect(),
            split: column.split.clone(),
            time: TimeRules { pattern, zone },
            lone: matches!(format, Format::Xml(_)),
        })
    }

    /// Whether the text means null here.
    pub(crate) fn is_null(&self, text: &[u8]) -> bool {
        self.nulls.iter().any(|token| token == text)
    }
}

/// The type of a column: what it says, else `utf8`.
///
/// # Errors
/// A type that is none.
pub(crate) fn kind_of(column: &ColumnDefinition) -> Result<ColumnType, Failure> {
    match &column.kind {
        None => Ok(ColumnType::Utf8),
        Some(kind) => kind.parse().map_err(|error| Failure::definition(format!("column `{}`: {error}", column.name))),
    }
}
