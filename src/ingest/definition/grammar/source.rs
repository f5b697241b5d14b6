//! `[[source]]`: where bytes come from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OneOrMany;

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
