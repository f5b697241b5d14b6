//! The names of datasets and tables, and what a dataset says about itself.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A dataset's name in URLs and paths: lower-case letters, digits and `-`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatasetId(String);

/// A table's name: lower-case letters, digits and `_`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableId(String);

/// A name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no {kind} name: {rule}")]
pub struct InvalidName {
    kind: &'static str,
    name: String,
    rule: &'static str,
}

const LONGEST_NAME: usize = 100;

macro_rules! name_type {
    ($type:ident, $kind:literal, $rule:literal, $first:expr, $rest:expr) => {
        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(name: &str) -> Result<Self, InvalidName> {
                let first: fn(char) -> bool = $first;
                let rest: fn(char) -> bool = $rest;
                if name.chars().next().is_some_and(first) && name.chars().all(rest) && name.len() <= LONGEST_NAME {
                    Ok(Self(name.to_owned()))
                } else {
                    Err(InvalidName { kind: $kind, name: name.to_owned(), rule: $rule })
                }
            }
        }
        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(name: String) -> Result<Self, InvalidName> {
                name.parse()
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    DatasetId,
    "dataset",
    "lower-case letters, digits and `-`, beginning with a letter or digit, at most 100",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit(),
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);
name_type!(
    TableId,
    "table",
    "lower-case letters, digits and `_`, beginning with a letter, at most 100",
    |c| c.is_ascii_lowercase(),
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
);

/// What a dataset says about itself; kept in each manifest, so that a serving process never reads a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetInfo {
    /// Human title.
    pub title: String,
    /// What the dataset holds.
    #[serde(default)]
    pub description: String,
    /// Upstream's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Whom to write to about this dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Free lower-case tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The freshness promised: `1h`, `1d`, … or a cron line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// How to cite upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citation: Option<String>,
    /// How long old snapshots are kept.
    pub retention: String,
}
