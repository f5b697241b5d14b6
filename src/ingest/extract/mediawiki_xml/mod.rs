//! MediaWiki exports (schemas 0.10 and 0.11): one row per revision, with its page's fields.
//!
//! Rows are revisions, in order. What upstream deleted (contributor, comment, text) is null; a text that is merely empty is
//! empty. A text that the file leaves out (stub dumps: no text, `bytes` above zero) is null too. `wikitext_bytes` is
//! upstream's `bytes`, else the length of the text.
//! <https://www.mediawiki.org/wiki/Help:Export>

use quick_xml::events::{BytesStart, Event};

use super::{
    CellKind, Extraction, RawBatchBuilder, Sink, is_wanted,
    xml_events::{XmlEvents, append_reference, append_text},
};
use crate::ingest::Failure;

/// The columns, in order; `Field` indexes it.
const COLUMNS: [&str; 17] = [
    "page_id",
    "ns",
    "title",
    "redirect_title",
    "rev_id",
    "parent_id",
    "timestamp",
    "contributor_name",
    "contributor_id",
    "contributor_ip",
    "minor",
    "comment",
    "model",
    "format",
    "wikitext",
    "wikitext_bytes",
    "sha1",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    PageId,
    Ns,
    Title,
    RedirectTitle,
    RevId,
    ParentId,
    Timestamp,
    ContributorName,
    ContributorId,
    ContributorIp,
    Minor,
    Comment,
    Model,
    Format,
    Wikitext,
    WikitextBytes,
    Sha1,
}

/// Of which columns an empty element is an empty text rather than nothing: title, contributor_name, comment, wikitext.
const MAY_BE_EMPTY: [bool; 17] =
    [false, false, true, false, false, false, false, true, false, false, false, true, false, false, true, false, false];

/// The element the events are in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Document,
    Export,
    Page,
    Revision,
    Contributor,
    Field(Field),
    Ignored,
}

/// Reads the revisions of an export.
///
/// # Errors
/// XML that is malformed, cut off or no MediaWiki export, or the sink's.
pub(super) fn extract(
    extraction: &Extraction<'_>,
    reader: &mut dyn std::io::Read,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let mut events = XmlEvents::new(reader, extraction.place(), extraction.caps)?;
    let names = COLUMNS.into_iter().filter(|name| is_wanted(extraction.wanted, name)).map(str::to_owned).collect();
    let mut builder = RawBatchBuilder::new(names, CellKind::Text, "record");
    let mut record = Record::default();
    let mut path = vec![Within::Document];
    let mut buffer = Vec::new();
    let columns = COLUMNS.map(|name| builder.names().iter().position(|known| known == name));
    loop {
        let within = path.last().copied().unwrap_or(Within::Document);
        match events.next(&mut buffer)? {
            Event::Start(element) => {
                let inner = enter(within, element.local_name().into_inner());
                if within == Within::Document && inner == Within::Ignored {
                    let name = element.name().into_inner().escape_ascii();
                    return Err(Failure::definition(format!(
                        "{}: the root element is <{name}>, a MediaWiki export has <mediawiki>",
                        extraction.place()
                    )));
                }
                record.begin(inner, &element, &events);
                path.push(inner);
            }
            Event::Text(text) => record.text(within, &text),
            Event::CData(text) => record.text(within, &text),
            Event::GeneralRef(reference) => record.reference(within, &reference),
            Event::End(_) => {
                path.pop();
                if within == Within::Revision {
                    record.emit(&columns, &mut builder);
                    builder.flush_if_full(sink)?;
                }
            }
            Event::Eof => return builder.finish(sink),
            _ => {}
        }
        if record.bytes > extraction.caps.record_bytes {
            return Err(events.failure(format!(
                "a revision of more than {} bytes, the most that is read (cap `record_bytes`)",
                extraction.caps.record_bytes
            )));
        }
    }
}

/// What an element is, given the one around it.
fn enter(within: Within, name: &[u8]) -> Within {
    match (within, name) {
        (Within::Document, b"mediawiki") => Within::Export,
        (Within::Export, b"page") => Within::Page,
        (Within::Page, b"id") => Within::Field(Field::PageId),
        (Within::Page, b"ns") => Within::Field(Field::Ns),
        (Within::Page, b"title") => Within::Field(Field::Title),
        (Within::Page, b"redirect") => Within::Field(Field::RedirectTitle),
        (Within::Page, b"revision") => Within::Revision,
        (Within::Revision, b"id") => Within::Field(Field::RevId),
        (Within::Revision, b"parentid") => Within::Field(Field::ParentId),
        (Within::Revision, b"timestamp") => Within::Field(Field::Timestamp),
        (Within::Revision, b"contributor") => Within::Contributor,
        (Within::Revision, b"minor") => Within::Field(Field::Minor),
        (Within::Revision, b"comment") => Within::Field(Field::Comment),
        (Within::Revision, b"model") => Within::Field(Field::Model),
        (Within::Revision, b"format") => Within::Field(Field::Format),
        (Within::Revision, b"text") => Within::Field(Field::Wikitext),
        (Within::Revision, b"sha1") => Within::Field(Field::Sha1),
        (Within::Contributor, b"username") => Within::Field(Field::ContributorName),
        (Within::Contributor, b"id") => Within::Field(Field::ContributorId),
        (Within::Contributor, b"ip") => Within::Field(Field::ContributorIp),
        _ => Within::Ignored,
    }
}

/// The revision under way, with its page's fields.
#[derive(Default)]
struct Record {
    number: u64,
    cells: [Cell; 17],
    /// Bytes of the revision.
    bytes: usize,
    fault: Option<String>,
    page_fault: Option<String>,
}

#[derive(Default)]
struct Cell {
    bytes: Vec<u8>,
    present: bool,
    deleted: bool,
}

impl Record {
    fn cell(&mut self, field: Field) -> &mut Cell {
        // In bounds by construction: there are as many cells as fields.
        &mut self.cells[field as usize]
    }

    fn begin(&mut self, inner: Within, element: &BytesStart<'_>, events: &XmlEvents<'_>) {
        match inner {
            Within::Page => {
                self.cells.iter_mut().for_each(Cell::clear);
                self.page_fault = None;
            }
            Within::Revision => {
                self.cells.iter_mut().skip(Field::RevId as usize).for_each(Cell::clear);
                self.fault = None;
                self.bytes = 0;
            }
            Within::Field(field) => self.cell(field).set(b""),
            _ => {}
        }
        if let Within::Field(Field::RedirectTitle | Field::Comment | Field::Wikitext) = inner {
            for attribute in events.attributes(element) {
                match attribute {
                    Ok((name, value)) => self.attribute(inner, name, value.as_bytes()),
                    Err(fault) => self.fail(inner, fault),
                }
            }
        }
    }

    fn attribute(&mut self, inner: Within, name: &[u8], value: &[u8]) {
        match (inner, name) {
            (Within::Field(Field::RedirectTitle), b"title") => self.cell(Field::RedirectTitle).set(value),
            (Within::Field(Field::Wikitext), b"bytes") => self.cell(Field::WikitextBytes).set(value),
            (Within::Field(Field::Wikitext), b"sha1") if self.cell(Field::Sha1).bytes.is_empty() => {
                self.cell(Field::Sha1).set(value);
            }
            (Within::Field(field), b"deleted") => self.cell(field).deleted = true,
            _ => {}
        }
    }

    /// Notes why the revision, or every revision of the page, cannot be read.
    fn fail(&mut self, within: Within, fault: String) {
        match within {
            Within::Field(Field::PageId | Field::Ns | Field::Title | Field::RedirectTitle) => {
                self.page_fault = Some(fault);
            }
            _ => self.fault = Some(fault),
        }
    }

    fn text(&mut self, within: Within, text: &[u8]) {
        if let Within::Field(field) = within {
            self.bytes += text.len();
            append_text(&mut self.cell(field).bytes, text);
        }
    }

    fn reference(&mut self, within: Within, reference: &quick_xml::events::BytesRef<'_>) {
        if let Within::Field(field) = within
            && let Err(fault) = append_reference(&mut self.cell(field).bytes, reference)
        {
            self.fail(within, fault);
        }
    }

    fn emit(&mut self, columns: &[Option<usize>; 17], builder: &mut RawBatchBuilder) {
        self.number += 1;
        if let Some(fault) = self.page_fault.clone().or_else(|| self.fault.take()) {
            let shown = [self.cell(Field::Title).bytes.clone(), self.cell(Field::RevId).bytes.clone()].join(&b'\t');
            builder.broken_row(self.number, fault, &shown);
            return;
        }
        let minor = self.cell(Field::Minor);
        minor.bytes = if minor.present { b"true".to_vec() } else { b"false".to_vec() };
        minor.present = true;
        let announced =
            std::str::from_utf8(&self.cell(Field::WikitextBytes).bytes).ok().and_then(|n| n.parse::<u64>().ok());
        let text = self.cell(Field::Wikitext);
        if text.bytes.is_empty() && announced.is_some_and(|bytes| bytes > 0) {
            text.present = false;
        }
        if announced.is_none() && text.present && !text.deleted {
            let length = text.bytes.len().to_string();
            self.cell(Field::WikitextBytes).set(length.as_bytes());
        }
        for ((column, cell), field) in columns.iter().zip(&self.cells).zip(MAY_BE_EMPTY) {
            let there = cell.present && !cell.deleted && (field || !cell.bytes.is_empty());
            if let Some(column) = column {
                builder.cell(*column, there.then_some(cell.bytes.as_slice()));
            }
        }
        builder.end_row(self.number);
    }
}

impl Cell {
    fn clear(&mut self) {
        self.bytes.clear();
        (self.present, self.deleted) = (false, false);
    }

    fn set(&mut self, bytes: &[u8]) {
        self.clear();
        self.bytes.extend_from_slice(bytes);
        self.present = true;
    }
}

#[cfg(test)]
mod tests;
