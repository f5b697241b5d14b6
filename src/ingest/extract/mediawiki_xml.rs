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
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        catalog::Blame,
        ingest::extract::{
            Format,
            gathered::{Gathered, Setting, run},
        },
    };

    const FORMAT: Format = Format::MediawikiXml {};

    const EXPORT: &str = r#"<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
  <siteinfo><sitename>Wiki</sitename><namespaces><namespace key="0" case="first-letter" /></namespaces></siteinfo>
  <page>
    <title>A &amp; B</title>
    <ns>0</ns>
    <id>12</id>
    <redirect title="C &quot;D&quot;" />
    <restrictions>edit=sysop</restrictions>
    <revision>
      <id>100</id>
      <timestamp>2001-01-21T02:12:21Z</timestamp>
      <contributor><username>Ann</username><id>7</id></contributor>
      <comment>first &#8211; &lt;ref></comment>
      <origin>100</origin>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="999" sha1="fromattribute" xml:space="preserve"> '''x'''
&lt;ref&gt;y&lt;/ref&gt;<![CDATA[<z>]]> </text>
      <content><role>other</role><text>not this</text><sha1>nor this</sha1></content>
      <sha1>abc</sha1>
    </revision>
    <revision>
      <id>101</id>
      <parentid>100</parentid>
      <timestamp>2002-01-21T02:12:21Z</timestamp>
      <contributor><ip>1.2.3.4</ip></contributor>
      <minor/>
      <comment deleted="deleted" />
      <text bytes="0" />
      <sha1 />
    </revision>
    <revision>
      <id>102</id>
      <contributor deleted="deleted" />
      <comment />
      <text deleted="deleted" bytes="17" />
    </revision>
    <revision><id>103</id><text id="5" bytes="17" location="tt:5" /></revision>
    <revision><id>104</id><text xml:space="preserve">né</text></revision>
  </page>
  <logitem><id>1</id></logitem>
</mediawiki>
"#;

    fn rows(gathered: &Gathered) -> Vec<Value> {
        gathered.rows()
    }

    #[test]
    fn revisions_are_rows_and_what_is_deleted_is_null() {
        let gathered = run(&FORMAT, EXPORT.as_bytes()).expect("rows");
        assert_eq!(*gathered.batches[0].names, COLUMNS);
        let page = json!({"page_id": "12", "ns": "0", "title": "A & B", "redirect_title": "C \"D\"", "minor": "false"});
        let row = |own: Value| {
            let mut row = page.clone();
            row.as_object_mut().expect("object").extend(own.as_object().expect("object").clone());
            row
        };
        assert_eq!(
            rows(&gathered),
            [
                row(json!({"rev_id": "100", "timestamp": "2001-01-21T02:12:21Z", "contributor_name": "Ann",
                    "contributor_id": "7", "comment": "first – <ref>", "model": "wikitext", "format": "text/x-wiki",
                    "wikitext": " '''x'''\n<ref>y</ref><z> ", "wikitext_bytes": "999", "sha1": "abc"})),
                row(json!({"rev_id": "101", "parent_id": "100", "timestamp": "2002-01-21T02:12:21Z", "minor": "true",
                    "contributor_ip": "1.2.3.4", "wikitext": "", "wikitext_bytes": "0"})),
                row(json!({"rev_id": "102", "comment": "", "wikitext_bytes": "17"})),
                row(json!({"rev_id": "103", "wikitext_bytes": "17"})),
                row(json!({"rev_id": "104", "wikitext": "né", "wikitext_bytes": "3"})),
            ]
        );
        assert_eq!(gathered.positions(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn only_wanted_columns_are_built() {
        let gathered = Setting::default().wanted(&["title", "wikitext_bytes", "x"]).run(&FORMAT, EXPORT.as_bytes());
        assert_eq!(*gathered.expect("rows").batches[0].names, ["title", "wikitext_bytes"]);
    }

    #[test]
    fn an_unknown_entity_breaks_its_row_and_one_in_the_title_all_of_the_page() {
        let text = EXPORT.replace("first &#8211;", "first &ndash;");
        let gathered = run(&FORMAT, text.as_bytes()).expect("rows");
        assert_eq!(gathered.positions(), [2, 3, 4, 5]);
        assert!(gathered.broken()[0].reason.contains("`&ndash;`"), "{:?}", gathered.broken());
        assert_eq!(gathered.broken()[0].text, "A & B\t100");
        let text = EXPORT.replace("A &amp; B", "A &nbsp; B");
        let gathered = run(&FORMAT, text.as_bytes()).expect("rows");
        assert_eq!((gathered.count(), gathered.broken().len()), (0, 5));
    }

    #[test]
    fn what_is_cut_off_malformed_or_something_else_fails() {
        let end = EXPORT.rfind("</mediawiki>").expect("an end");
        for cut in 0..end + "</mediawiki>".len() {
            let Some(text) = EXPORT.get(..cut) else { continue };
            let failure = run(&FORMAT, text.as_bytes()).expect_err("cut off");
            assert_eq!(failure.blame, Blame::Upstream, "{cut}: {failure}");
        }
        let failure = run(&FORMAT, b"<feed><entry/></feed>").expect_err("a feed");
        assert!(failure.blame == Blame::Definition && failure.message.contains("<feed>"), "{failure}");
        let bomb = format!("<!DOCTYPE m [<!ENTITY a \"aaaa\">]>{EXPORT}");
        assert!(run(&FORMAT, bomb.as_bytes()).expect_err("a DTD").message.contains("DOCTYPE"));
        let mut setting = Setting::default();
        setting.caps.record_bytes = 400;
        let long = EXPORT.replace("né", &"x".repeat(500));
        assert!(setting.run(&FORMAT, long.as_bytes()).expect_err("too long").message.contains("400 bytes"));
        let long = EXPORT.replace("né", &"x&amp;".repeat(500));
        assert!(setting.run(&FORMAT, long.as_bytes()).expect_err("too long").message.contains("400 bytes"));
    }

    proptest! {
        #[test]
        fn mutations_never_panic(at in 0..EXPORT.len(), byte in any::<u8>(), other in 0..EXPORT.len(), more in any::<u8>()) {
            let mut bytes = EXPORT.as_bytes().to_vec();
            bytes[at] = byte;
            bytes[other] = more;
            let _ = run(&FORMAT, &bytes);
        }

        #[test]
        fn texts_come_out_as_they_went_in(text in "\\PC{0,40}") {
            let escaped = quick_xml::escape::escape(&text);
            let export = format!("<mediawiki><page><id>1</id><revision><text>{escaped}</text></revision></page></mediawiki>");
            let gathered = run(&FORMAT, export.as_bytes()).expect("rows");
            prop_assert_eq!(gathered.texts("wikitext"), [Some(text)]);
        }
    }
}
