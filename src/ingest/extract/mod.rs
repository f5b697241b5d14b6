//! Bytes to rows: one file and one variant of [`Format`] per format.
//!
//! [`members`] turns a file on disk into one or several streams of plain bytes (decompressed, out of its archive), and
//! [`extract`] turns one such stream into batches of raw rows with upstream's own names. Nothing here knows the table's
//! schema, the network or the store; everything is synchronous, streaming, and bounded by [`Caps`].

use std::{collections::BTreeSet, io::Read, path::Path};

use crate::{
    config::Caps,
    ingest::{
        Failure,
        definition::grammar::{ColumnDefinition, Format},
    },
};

pub mod archive;
mod arrow;
pub mod batch;
mod csv;
pub mod decompress;
mod delimited;
pub mod encoding;
pub(in crate::ingest) mod fixed_width;
#[cfg(test)]
mod gathered;
mod json;
mod json_rows;
pub mod line;
mod mediawiki_xml;
mod mysqldump;
mod names;
mod ndjson;
mod nulls;
mod parquet;
mod pgcopy;
pub mod raw;
mod script;
mod sniff;
mod spool;
mod typed;
mod xml;
mod xml_events;

pub use archive::{Members, member_text, members, members_told, whole};
pub use batch::{CellKind, RawBatchBuilder};
pub use raw::{BrokenRow, RawBatch, RawColumn};

/// One stream of plain bytes: a file, or a file inside an archive.
pub struct Member<'a> {
    /// Its path inside the archive; none for a plain file.
    pub name: Option<String>,
    /// The decompressed bytes.
    pub reader: &'a mut dyn Read,
    /// Set when these very bytes are a file on disk, undecompressed.
    pub plain: Option<&'a Path>,
}

impl std::fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("name", &self.name).field("plain", &self.plain).finish_non_exhaustive()
    }
}

/// What an extractor is told.
#[derive(Debug)]
pub struct Extraction<'a> {
    /// The form of the bytes.
    pub format: &'a Format,
    /// The table's columns; none: taken from the data.
    pub columns: &'a [ColumnDefinition],
    /// The definition's folder (transform scripts live there).
    pub folder: &'a Path,
    /// Disposable local space.
    pub scratch: &'a Path,
    /// Caps on foreign bytes.
    pub caps: &'a Caps,
    /// Where the file came from.
    pub url: &'a str,
    /// Which member of it this is.
    pub member: Option<&'a str>,
    /// Top-level upstream names that are needed; none: all. An extractor may ignore it.
    pub wanted: Option<&'a BTreeSet<String>>,
    /// What transform scripts write to standard error.
    pub stderr: &'a mut Vec<String>,
}

impl Extraction<'_> {
    /// `url#member`, for messages.
    pub fn place(&self) -> String {
        match self.member {
            Some(member) => format!("{}#{member}", self.url),
            None => self.url.to_owned(),
        }
    }
}

/// Whether an upstream name is needed. Columns are found in any case, so names are wanted in any case.
fn is_wanted(wanted: Option<&BTreeSet<String>>, name: &str) -> bool {
    wanted.is_none_or(|wanted| {
        let lower = name.to_lowercase();
        wanted.contains(name) || wanted.iter().any(|other| other.to_lowercase() == lower)
    })
}

/// Where batches go, in order.
pub type Sink<'a> = dyn FnMut(RawBatch) -> Result<(), Failure> + 'a;

/// Reads all rows of one member and hands them on in batches of about 8 192 rows or 8 MiB, whichever comes first.
///
/// # Errors
/// Bytes that are not of the format at all, or cut off (upstream); a dialect that cannot fit (definition); whatever
/// `sink` returns. A single row that cannot be read is no error but a [`BrokenRow`].
#[allow(clippy::needless_pass_by_value, reason = "a script's standard error is lent through it")]
pub fn extract(mut extraction: Extraction<'_>, input: Member<'_>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let mut reader = sniff::checked(extraction.format, input.reader, &extraction.place())?;
    let input = Member { reader: &mut reader, ..input };
    match extraction.format {
        Format::Csv(csv) => csv::extract(&extraction, csv, input.reader, sink),
        Format::Ndjson {} => ndjson::extract(&extraction, input, sink),
        Format::Json(json) => json::extract(&extraction, json, input.reader, sink),
        Format::MediawikiXml {} => mediawiki_xml::extract(&extraction, input.reader, sink),
        Format::Xml(xml) => xml::extract(&extraction, xml, input.reader, sink),
        Format::Mysqldump(dump) => mysqldump::extract(&extraction, dump, input.reader, sink),
        Format::Pgcopy {} => pgcopy::extract(&extraction, input.reader, sink),
        Format::FixedWidth(fixed) => fixed_width::extract(&extraction, fixed, input.reader, sink),
        Format::Parquet {} => parquet::extract(&extraction, input, sink),
        Format::Arrow {} => arrow::extract(&extraction, input, sink),
        Format::Script(script) => script::extract(&mut extraction, script, input, sink),
    }
}

/// The failure inside a read error, as it was raised further down (a cap, a cut-off file), however often wrapped.
fn failure_within(error: &std::io::Error) -> Option<Failure> {
    let mut inner: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = inner {
        if let Some(Failure { blame, message, lost_race }) = error.downcast_ref() {
            return Some(Failure { blame: *blame, message: message.clone(), lost_race: *lost_race });
        }
        inner = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as _),
            None => error.source(),
        };
    }
    None
}

/// A read error as a failure: the one raised further down if there is one, else upstream's if the bytes end too early,
/// else the machine's.
#[allow(clippy::needless_pass_by_value, reason = "fits `map_err`")]
pub fn read_failure(error: std::io::Error, place: &str) -> Failure {
    match failure_within(&error) {
        Some(failure) => failure,
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Failure::upstream(format!("{place}: cut off: {error}"))
        }
        None => Failure::internal(format!("{place}: cannot be read: {error}")),
    }
}
