//! XML with one element per row.
//!
//! The row element is a path (`catalog/book`, or just `book`) that an element's own path ends with; `/catalog/book` is the
//! path from the root. A row's columns are its attributes (`@id`), the texts of its elements (`title`, `author/name`), their
//! attributes (`author/@born`) and its own text (`.`). Texts are without surrounding white space; an empty element is null.
//! What occurs once is a JSON string, what occurs several times in a row an array of strings.
//!
//! Names are as written, prefix and all. A name that is asked for without a prefix also finds a prefixed one, unless two
//! different ones would fit.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read,
};

use quick_xml::events::{BytesStart, Event};
use serde_json::Value;

use super::{
    Extraction, Sink, is_wanted,
    json_rows::JsonRows,
    xml_events::{XmlEvents, append_reference, append_text},
};
use crate::ingest::{Failure, definition::grammar::Xml};

/// Elements named when none is a row.
const SHOWN_ELEMENTS: usize = 20;
/// How deep those are.
const SHOWN_DEPTH: usize = 4;

/// Reads the row elements of a document.
///
/// # Errors
/// XML that is malformed or cut off (upstream), no such element (definition), or the sink's.
pub(super) fn extract(
    extraction: &Extraction<'_>,
    format: &Xml,
    reader: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let mut events = XmlEvents::new(reader, extraction.place(), extraction.caps)?;
    let mut rows = JsonRows::new("record", extraction.wanted, extraction.caps);
    let mut names = Names { wanted: extraction.wanted, found: HashMap::new() };
    let wanted = RowPath::new(&format.row)?;
    let (mut path, mut seen) = (Vec::<String>::new(), BTreeSet::new());
    let mut row: Option<Row> = None;
    let (mut buffer, mut record) = (Vec::new(), 0);
    loop {
        match events.next(&mut buffer)? {
            Event::Start(element) => {
                let name = String::from_utf8_lossy(element.name().into_inner()).into_owned();
                path.push(name);
                match &mut row {
                    Some(row) => row.enter(&path, &element, &events),
                    None if wanted.matches(&path) => row = Some(Row::new(path.len(), &element, &events)),
                    None if path.len() <= SHOWN_DEPTH && seen.len() < SHOWN_ELEMENTS => {
                        seen.insert(path.join("/"));
                    }
                    None => {}
                }
            }
            Event::End(_) => {
                if let Some(inside) = &mut row {
                    inside.leave(&path);
                    if path.len() == inside.depth {
                        record += 1;
                        row.take().unwrap_or_default().emit(record, &mut names, &mut rows)?;
                        rows.flush_if_full(sink)?;
                    }
                }
                path.pop();
            }
            Event::Text(text) => row.iter_mut().for_each(|row| row.text(&text)),
            Event::CData(text) => row.iter_mut().for_each(|row| row.text(&text)),
            Event::GeneralRef(reference) => {
                if let Some(row) = &mut row
                    && let Err(fault) = append_reference(row.top(), &reference)
                {
                    row.fault = Some(fault);
                }
            }
            Event::Eof => break,
            _ => {}
        }
        if row.as_ref().is_some_and(|row| row.bytes > extraction.caps.record_bytes) {
            return Err(events.failure(format!(
                "a row of more than {} bytes, the most that is read (cap `record_bytes`)",
                extraction.caps.record_bytes
            )));
        }
    }
    if record == 0 && seen.len() > 1 {
        let seen: Vec<_> = seen.iter().map(|path| format!("`{path}`")).collect();
        return Err(Failure::definition(format!(
            "{}: there is no element `{}` (format key `row`); there are {}",
            extraction.place(),
            format.row,
            seen.join(", ")
        )));
    }
    rows.finish(sink)
}

/// Which elements are rows.
struct RowPath<'a> {
    names: Vec<&'a str>,
    from_root: bool,
}

impl<'a> RowPath<'a> {
    fn new(row: &'a str) -> Result<Self, Failure> {
        let names: Vec<&str> = row.strip_prefix('/').unwrap_or(row).split('/').collect();
        if names.iter().any(|name| name.is_empty()) {
            return Err(Failure::definition(format!(
                "format key `row`: `{row}` is no element path, such as `catalog/book`"
            )));
        }
        Ok(Self { names, from_root: row.starts_with('/') })
    }

    fn matches(&self, path: &[String]) -> bool {
        let fits = if self.from_root { path.len() == self.names.len() } else { path.len() >= self.names.len() };
        fits && path
            .iter()
            .rev()
            .zip(self.names.iter().rev())
            .all(|(name, wanted)| name == wanted || local(name) == *wanted)
    }
}

fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

/// A path without prefixes.
fn local_path(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.strip_prefix('@') {
        Some(attribute) => Cow::Owned(format!("@{}", local(attribute))),
        None => Cow::Borrowed(local(part)),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What the paths in the data are called.
struct Names<'a> {
    wanted: Option<&'a BTreeSet<String>>,
    /// Name to the path it was first found at.
    found: HashMap<String, String>,
}

impl Names<'_> {
    fn name(&mut self, path: String) -> Result<Option<String>, Failure> {
        let Some(wanted) = self.wanted else { return Ok(Some(path)) };
        if wanted.contains(&path) {
            return Ok(Some(path));
        }
        let name = local_path(&path);
        if !wanted.contains(&name) {
            return Ok(is_wanted(self.wanted, &path).then_some(path));
        }
        match self.found.get(&name) {
            Some(known) if *known != path => Err(Failure::definition(format!(
                "`{name}` could be `{known}` or `{path}` in the XML: name one with its prefix in `from`"
            ))),
            Some(_) => Ok(Some(name)),
            None => {
                self.found.insert(name.clone(), path);
                Ok(Some(name))
            }
        }
    }
}

/// The row under way.
#[derive(Default)]
struct Row {
    /// Depth of its element.
    depth: usize,
    /// Texts by path, in the order of their first appearance.
    values: Vec<(String, Vec<Option<String>>)>,
    index: BTreeMap<String, usize>,
    /// The texts of the elements that are open, the row's own first; and whether they hold elements.
    open: Vec<(Vec<u8>, bool)>,
    bytes: usize,
    fault: Option<String>,
}

impl Row {
    fn new(depth: usize, element: &BytesStart<'_>, events: &XmlEvents<'_>) -> Self {
        let mut row = Self { depth, ..Self::default() };
        row.open.push(Default::default());
        row.attributes("", element, events);
        row
    }

    /// An element inside the row begins.
    fn enter(&mut self, path: &[String], element: &BytesStart<'_>, events: &XmlEvents<'_>) {
        if let Some((_, has_elements)) = self.open.last_mut() {
            *has_elements = true;
        }
        self.open.push(Default::default());
        let inside = path.get(self.depth..).unwrap_or_default().join("/");
        self.attributes(&format!("{inside}/"), element, events);
    }

    fn attributes(&mut self, inside: &str, element: &BytesStart<'_>, events: &XmlEvents<'_>) {
        for attribute in events.attributes(element) {
            match attribute {
                Ok((name, _)) if name == b"xmlns" || name.starts_with(b"xmlns:") => {}
                Ok((name, value)) => {
                    let path = format!("{inside}@{}", String::from_utf8_lossy(name));
                    self.add(path, Some(value.trim().to_owned()));
                }
                Err(fault) => self.fault = Some(fault),
            }
        }
    }

    /// The innermost open element ends.
    fn leave(&mut self, path: &[String]) {
        let Some((text, has_elements)) = self.open.pop() else { return };
        let text = match std::str::from_utf8(text.trim_ascii()) {
            Ok(text) => text.trim().to_owned(),
            Err(error) => {
                self.fault = Some(format!("text that is not UTF-8: {error}"));
                return;
            }
        };
        let inside = path.get(self.depth..).unwrap_or_default().join("/");
        match (inside.is_empty(), text.is_empty()) {
            (true, true) => {}
            (true, false) => self.add(".".into(), Some(text)),
            // What only holds elements is no value; what holds nothing is a value that is missing.
            (false, true) if has_elements => {}
            (false, true) => self.add(inside, None),
            (false, false) => self.add(inside, Some(text)),
        }
    }

    fn top(&mut self) -> &mut Vec<u8> {
        if self.open.is_empty() {
            self.open.push(Default::default());
        }
        let last = self.open.len() - 1;
        &mut self.open[last].0
    }

    fn text(&mut self, text: &[u8]) {
        self.bytes += text.len();
        append_text(self.top(), text);
    }

    fn add(&mut self, path: String, text: Option<String>) {
        self.bytes += path.len() + text.as_ref().map_or(0, String::len);
        let at = *self.index.entry(path).or_insert_with_key(|path| {
            self.values.push((path.clone(), Vec::new()));
            self.values.len() - 1
        });
        if let Some((_, texts)) = self.values.get_mut(at) {
            texts.push(text);
        }
    }

    fn emit(self, record: u64, names: &mut Names<'_>, rows: &mut JsonRows<'_>) -> Result<(), Failure> {
        if let Some(fault) = self.fault {
            let shown: Vec<_> =
                self.values.iter().map(|(path, texts)| format!("{path}={}", json(texts.clone()))).collect();
            rows.broken_row(record, fault, shown.join(" ").as_bytes());
            return Ok(());
        }
        for (path, texts) in self.values {
            if let Some(name) = names.name(path)? {
                rows.cell(&name, json(texts).to_string().as_bytes());
            }
        }
        rows.end_row(record);
        Ok(())
    }
}

fn json(mut texts: Vec<Option<String>>) -> Value {
    if texts.len() > 1 { texts.into() } else { texts.pop().flatten().into() }
}

#[cfg(test)]
mod tests;
