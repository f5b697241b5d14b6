//! One JSON document of any size: an array of rows, an object whose members are rows, a single row, or a GeoJSON feature
//! collection. The document is walked, never held; only one row's text is in memory at a time.
//!
//! What the root (or what `pointer` leads to) means:
//! - an array: its elements are rows, numbered from 1; elements that are no objects are column `value`;
//! - an object of objects: its members are rows, their keys are column `$key`;
//! - any other object: one row;
//! - without a pointer, an object with `"type": "FeatureCollection"` and `features`: see [`geojson`].

use super::{
    Extraction, Sink,
    json_rows::{JsonRows, quoted},
};
use crate::ingest::{Failure, definition::grammar::Json};

mod geojson;
mod pointer;
mod scan;
#[cfg(test)]
mod tests;

use scan::Scanner;

/// Bytes of an object that are looked at before its members are taken for rows.
const LOOK_AHEAD: usize = 1 << 20;

/// Reads the rows of a JSON document.
///
/// # Errors
/// A pointer that leads nowhere (definition), a document that is malformed between its rows or cut off (upstream), or the
/// sink's. A row that is malformed in itself is a broken row.
pub(super) fn extract(
    extraction: &Extraction<'_>,
    format: &Json,
    reader: &mut dyn std::io::Read,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let mut scan = Scanner::new(reader, extraction.place(), extraction.caps);
    let mut rows = JsonRows::new("record", extraction.wanted, extraction.caps);
    scan.skip_bom()?;
    let pointer = format.pointer.as_deref().unwrap_or_default();
    let entered = pointer::descend(&mut scan, pointer)?;
    match scan.token()? {
        Some(b'[') => array(&mut scan, &mut rows, sink)?,
        Some(b'{') => object(&mut scan, &mut rows, pointer.is_empty(), extraction, sink)?,
        Some(_) => {
            let mut found = Vec::new();
            scan.value(Some(&mut found))?;
            return Err(Failure::definition(format!(
                "{}: `pointer = \"{pointer}\"` leads to {}, where an array or object of rows is needed",
                scan.place(),
                super::batch::printable(found.get(..40).unwrap_or(&found))
            )));
        }
        None => return Err(scan.cut_off()),
    }
    pointer::ascend(&mut scan, entered)?;
    scan.expect_end()?;
    rows.finish(sink)
}

fn array(scan: &mut Scanner<'_>, rows: &mut JsonRows<'_>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    scan.expect(b'[')?;
    if scan.take(b']')? {
        return Ok(());
    }
    let mut text = Vec::new();
    for record in 1.. {
        text.clear();
        scan.value(Some(&mut text))?;
        rows.value(record, &text);
        rows.flush_if_full(sink)?;
        if !scan.another(b']')? {
            break;
        }
    }
    Ok(())
}

/// Looks at the first members to see what the object is, then reads it as that.
fn object(
    scan: &mut Scanner<'_>,
    rows: &mut JsonRows<'_>,
    may_be_geojson: bool,
    extraction: &Extraction<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    scan.expect(b'{')?;
    if scan.take(b'}')? {
        return Ok(());
    }
    let mut seen = Seen::default();
    loop {
        let key = scan.key()?;
        let mut text = Vec::new();
        if may_be_geojson && key == "features" && scan.token()? == Some(b'[') {
            let first = geojson::first_feature(scan, seen.collection, &mut text)?;
            if let Some(first) = first {
                geojson::features(scan, first, rows, extraction, sink)?;
                while scan.another(b'}')? {
                    scan.key()?;
                    scan.value(None)?;
                }
                return Ok(());
            }
        } else {
            scan.value(Some(&mut text))?;
        }
        seen.add(key, text, scan, extraction)?;
        if !scan.another(b'}')? {
            break;
        }
        if seen.only_objects() && seen.bytes > LOOK_AHEAD {
            let mut record = seen.emit_members(rows, sink)?;
            loop {
                record += 1;
                let key = scan.key()?;
                let mut text = Vec::new();
                scan.value(Some(&mut text))?;
                member(record, &key, &text, rows, sink)?;
                if !scan.another(b'}')? {
                    return Ok(());
                }
            }
        }
    }
    if may_be_geojson && seen.collection {
        return Err(Failure::upstream(format!("{}: a GeoJSON FeatureCollection without `features`", scan.place())));
    }
    if seen.only_objects() {
        seen.emit_members(rows, sink)?;
        Ok(())
    } else {
        rows.value(1, &seen.one_row());
        rows.flush_if_full(sink)
    }
}

fn member(record: u64, key: &str, text: &[u8], rows: &mut JsonRows<'_>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    if text.first() == Some(&b'{') {
        rows.keyed_value(record, Some(("$key", quoted(key).as_bytes())), text);
    } else {
        rows.broken_row(record, format!("the value of key {} is no object, as those before are", quoted(key)), text);
    }
    rows.flush_if_full(sink)
}

/// The members of an object seen so far.
#[derive(Default)]
struct Seen {
    members: Vec<(String, Vec<u8>)>,
    bytes: usize,
    others: usize,
    /// `"type": "FeatureCollection"` was among them.
    collection: bool,
}

impl Seen {
    fn add(
        &mut self,
        key: String,
        text: Vec<u8>,
        scan: &Scanner<'_>,
        extraction: &Extraction<'_>,
    ) -> Result<(), Failure> {
        self.collection |= key == "type" && text == b"\"FeatureCollection\"";
        self.others += usize::from(text.first() != Some(&b'{'));
        self.bytes += key.len() + text.len();
        self.members.push((key, text));
        if self.bytes <= extraction.caps.record_bytes || self.only_objects() {
            return Ok(());
        }
        let keys: Vec<_> = self.members.iter().take(20).map(|(key, _)| format!("`/{key}`")).collect();
        Err(Failure::definition(format!(
            "{}: the JSON document is an object of more than {} bytes that is neither an object of objects nor GeoJSON: \
             say where its rows are with `pointer`; it has {}",
            scan.place(),
            extraction.caps.record_bytes,
            keys.join(", ")
        )))
    }

    fn only_objects(&self) -> bool {
        self.others == 0
    }

    fn emit_members(&mut self, rows: &mut JsonRows<'_>, sink: &mut Sink<'_>) -> Result<u64, Failure> {
        let mut record = 0;
        for (key, text) in self.members.drain(..) {
            record += 1;
            member(record, &key, &text, rows, sink)?;
        }
        Ok(record)
    }

    /// The object as one text again.
    fn one_row(&self) -> Vec<u8> {
        let mut row = vec![b'{'];
        for (key, text) in &self.members {
            if row.len() > 1 {
                row.push(b',');
            }
            row.extend_from_slice(quoted(key).as_bytes());
            row.push(b':');
            row.extend_from_slice(text);
        }
        row.push(b'}');
        row
    }
}
