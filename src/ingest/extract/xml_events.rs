//! XML events of a document of any size, in bounded memory: no DTD, no external anything, capped markup and nesting.
//! Shared by the XML formats; knows nothing about rows.

use std::{
    borrow::Cow,
    io::{self, BufRead, BufReader, Read},
};

use quick_xml::{
    Error, Reader,
    events::{BytesRef, BytesStart, Event},
};

use super::{encoding::decoded, read_failure};
use crate::{config::Caps, ingest::Failure};

const READ_BYTES: usize = 256 << 10;

/// Where an XML declaration must be, if there is one.
const DECLARATION_BYTES: u64 = 256;

/// The events of one document.
pub(super) struct XmlEvents<'a> {
    reader: Reader<Capped<BufReader<Box<dyn Read + 'a>>>>,
    place: String,
    cap: usize,
    deepest: usize,
    depth: usize,
    begun: bool,
}

/// Lets so many bytes through per event.
struct Capped<R> {
    inner: R,
    left: usize,
    cap: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("a tag or text of more than {0} bytes, the most that is read (cap `record_bytes`)")]
struct Beyond(usize);

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<R: BufRead> BufRead for Capped<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other(Beyond(self.cap)));
        }
        let buffer = self.inner.fill_buf()?;
        Ok(buffer.get(..self.left).unwrap_or(buffer))
    }

    fn consume(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.inner.consume(bytes);
    }
}

impl<'a> XmlEvents<'a> {
    /// The events of `reader`, read in the encoding that it declares; `place` names it in messages.
    ///
    /// # Errors
    /// An unknown encoding (definition); read errors.
    pub(super) fn new(reader: &'a mut dyn Read, place: String, caps: &Caps) -> Result<Self, Failure> {
        let mut head = Vec::new();
        reader.take(DECLARATION_BYTES).read_to_end(&mut head).map_err(|error| read_failure(error, &place))?;
        let label = declared(&head);
        let inner = decoded(io::Cursor::new(head).chain(reader), label.as_deref(), &place)?;
        let inner = BufReader::with_capacity(READ_BYTES, inner);
        let mut reader = Reader::from_reader(Capped { inner, left: 0, cap: caps.record_bytes });
        reader.config_mut().expand_empty_elements = true;
        Ok(Self { reader, place, cap: caps.record_bytes, deepest: caps.depth, depth: 0, begun: false })
    }

    /// Bytes of the document passed so far.
    pub(super) fn position(&self) -> u64 {
        self.reader.buffer_position()
    }

    /// A failure of upstream's, here.
    pub(super) fn failure(&self, fault: impl std::fmt::Display) -> Failure {
        Failure::upstream(format!("{}: byte {}: {fault}", self.place, self.position()))
    }

    /// The next event; an empty element is a start and an end, `Eof` comes only when all elements are closed. Comments,
    /// declarations and processing instructions are for the caller to pass over.
    ///
    /// # Errors
    /// Malformed or cut-off XML, a DTD with declarations, a cap.
    pub(super) fn next<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<Event<'b>, Failure> {
        buffer.clear();
        self.reader.get_mut().left = self.cap;
        let event = self.reader.read_event_into(buffer).map_err(|error| self.fault(error))?;
        match &event {
            Event::Start(_) => {
                self.depth += 1;
                self.begun = true;
                if self.depth > self.deepest {
                    return Err(self.failure(format!("nested deeper than {} elements (cap `depth`)", self.deepest)));
                }
            }
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            Event::Eof if self.depth > 0 => {
                return Err(self.failure("the XML document ends before its elements are closed: it is cut off"));
            }
            Event::Eof if !self.begun => return Err(self.failure("there is no XML element in it")),
            Event::DocType(text) if text.contains(&b'[') => {
                return Err(self.failure("a DOCTYPE with declarations; DTDs are not processed, read it with a script"));
            }
            _ => {}
        }
        Ok(event)
    }

    fn fault(&self, error: Error) -> Failure {
        let Error::Io(error) = error else { return self.failure(format!("malformed XML: {error}")) };
        let beyond = matches!(error.get_ref(), Some(inner) if inner.is::<Beyond>());
        match std::sync::Arc::try_unwrap(error) {
            Ok(error) if beyond => self.failure(error),
            Ok(error) => read_failure(error, &self.place),
            Err(error) => self.failure(error),
        }
    }

    /// The attributes of an element, names as written, references resolved.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn attributes<'e>(
        &self,
        element: &'e BytesStart<'_>,
    ) -> impl Iterator<Item = Result<(&'e [u8], Cow<'e, str>), String>> {
        let decoder = self.reader.decoder();
        element.attributes().map(move |attribute| {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute.decode_and_unescape_value(decoder).map_err(|error| error.to_string())?;
            Ok((attribute.key.into_inner(), value))
        })
    }
}

/// The encoding that an XML declaration names. One that can be read byte by byte is not in UTF-16, whatever it says.
fn declared(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let declaration = head.trim_start_matches('\u{feff}').strip_prefix("<?xml")?;
    let (declaration, _) = declaration.split_once("?>")?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let label = value.split(quote).nth(1)?;
    (!label.to_ascii_lowercase().starts_with("utf")).then(|| label.to_owned())
}

/// Appends character data with its line ends as XML says they are read.
pub(super) fn append_text(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some((head, tail)) = memchr::memchr(b'\r', rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(head);
        out.push(b'\n');
        rest = tail.strip_prefix(b"\r\n").or_else(|| tail.strip_prefix(b"\r")).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// Appends what a reference such as `&lt;` or `&#8211;` stands for.
///
/// # Errors
/// An entity that XML itself does not define: those of a DTD are not known.
pub(super) fn append_reference(out: &mut Vec<u8>, reference: &BytesRef<'_>) -> Result<(), String> {
    let name = reference.escape_ascii();
    match reference.resolve_char_ref() {
        Ok(Some(character)) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        Ok(None) => match std::str::from_utf8(reference).ok().and_then(quick_xml::escape::resolve_xml_entity) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => return Err(format!("the entity `&{name};` is not known (DTDs are not processed)")),
        },
        Err(error) => return Err(format!("`&{name};`: {error}")),
    }
    Ok(())
}
