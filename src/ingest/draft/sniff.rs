//! The form of bytes, told from their beginning.

use std::collections::BTreeMap;

use quick_xml::events::Event;

use super::{dialect, json_walk};
use crate::ingest::{
    Failure,
    definition::grammar::{Format, Json, Mysqldump, Xml},
};

/// The beginning of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    /// Its first bytes, decompressed.
    pub(super) bytes: &'a [u8],
    /// Whether that is all of it.
    pub(super) whole: bool,
    /// What to call it in messages.
    pub(super) place: &'a str,
}

/// The forms a file may be read in: one, or one for each table of a database dump (with the table's name).
///
/// # Errors
/// Upstream's, if it is a web page; the definition's, if the form is none that is known.
pub(super) fn sniff(head: Head<'_>) -> Result<Vec<(Option<String>, Format)>, Failure> {
    let bytes = head.bytes;
    let one = |format| Ok(vec![(None, format)]);
    if bytes.starts_with(b"PAR1") {
        return one(Format::Parquet {});
    }
    if bytes.starts_with(b"ARROW1\0\0") || bytes.starts_with(&[0xff; 4]) {
        return one(Format::Arrow {});
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    match text.first() {
        None => {
            return Err(Failure::upstream(format!(
                "{}: it is empty; there is nothing to tell its form by",
                head.place
            )));
        }
        Some(b'<') => return one(xml(text, head.place)?),
        Some(b'{' | b'[') => {
            if let Some(format) = json(text, head.whole) {
                return one(format);
            }
        }
        Some(_) => {}
    }
    let tables = dumped_tables(text);
    if let [_] = tables.as_slice() {
        return Ok(vec![(tables.into_iter().next(), Format::Mysqldump(Mysqldump::default()))]);
    }
    if !tables.is_empty() {
        let format = |table: &String| Format::Mysqldump(Mysqldump { table: Some(table.clone()) });
        return Ok(tables.iter().map(|table| (Some(table.clone()), format(table))).collect());
    }
    one(dialect::sniff(head)?)
}

/// JSON rows, one a line or in one document. `None` if the text only begins like JSON.
fn json(text: &[u8], whole: bool) -> Option<Format> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
    let first = values.next()?;
    let object = text.first() == Some(&b'{');
    match first {
        Ok(_) if object && values.next().is_some_and(|next| next.is_ok_and(|_| true)) => Some(Format::Ndjson {}),
        Ok(_) => {
            let end = text.get(values.byte_offset()..).unwrap_or_default().trim_ascii();
            // A second value that the head cuts off.
            if object && !end.is_empty() {
                return (!whole && end.starts_with(b"{")).then_some(Format::Ndjson {});
            }
            let rows = json_walk::rows(text);
            Some(match rows {
                Some(rows) => Format::Json(Json { pointer: rows.pointer }),
                None if object => Format::Ndjson {},
                None => Format::Json(Json::default()),
            })
        }
        // Cut off by the head, or no JSON.
        Err(error) if error.is_eof() && !whole => {
            let pointer = json_walk::rows(text).and_then(|rows| rows.pointer);
            Some(Format::Json(Json { pointer }))
        }
        Err(_) => None,
    }
}

fn xml(text: &[u8], place: &str) -> Result<Format, Failure> {
    let start = text.get(..text.len().min(4096)).unwrap_or_default();
    let start = String::from_utf8_lossy(start).to_lowercase();
    if start.contains("<!doctype html") || start.contains("<html") {
        return Err(Failure::upstream(format!(
            "{place}: is a web page, no data; is it an error page, or a page of links?"
        )));
    }
    if start.contains("<mediawiki") {
        return Ok(Format::MediawikiXml {});
    }
    let row =
        row_element(text).ok_or_else(|| Failure::definition(format!("{place}: XML without a repeated element")))?;
    Ok(Format::Xml(Xml { row }))
}

/// The path of the element that repeats highest up; of several there, the most frequent.
fn row_element(text: &[u8]) -> Option<String> {
    let mut reader = quick_xml::Reader::from_reader(text);
    let mut path: Vec<String> = Vec::new();
    let mut counts: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        // What the head cuts off ends the look.
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(element)) => {
                path.push(String::from_utf8_lossy(element.name().as_ref()).into_owned());
                if path.len() <= 8 {
                    *counts.entry(path.clone()).or_default() += 1;
                }
            }
            Ok(Event::Empty(element)) => {
                path.push(String::from_utf8_lossy(element.name().as_ref()).into_owned());
                if path.len() <= 8 {
                    *counts.entry(path.clone()).or_default() += 1;
                }
                path.pop();
            }
            Ok(Event::End(_)) => {
                path.pop();
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let repeated = counts.iter().filter(|(_, count)| **count > 1);
    let highest = repeated.clone().map(|(path, _)| path.len()).min();
    let row = match highest {
        Some(depth) => repeated.filter(|(path, _)| path.len() == depth).max_by_key(|(_, count)| **count)?.0,
        // One row only: what is directly below the root.
        None => counts.keys().find(|path| path.len() == 2)?,
    };
    Some(row.join("/"))
}

/// The tables that `INSERT INTO` statements of a MySQL dump fill, in order.
fn dumped_tables(text: &[u8]) -> Vec<String> {
    let mut tables = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(rest) = line.strip_prefix(b"INSERT INTO `") else { continue };
        let end = rest.iter().position(|byte| *byte == b'`').unwrap_or_default();
        let name = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        if !name.is_empty() && !tables.contains(&name) {
            tables.push(name);
        }
    }
    tables
}
