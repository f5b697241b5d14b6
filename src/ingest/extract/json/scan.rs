//! Walks a JSON document of any size without holding it: finds where values begin and end, hands out their raw text. Checks
//! brackets, strings and separators only; what is inside a value is checked by whoever parses it.

use std::io::Read;

use crate::{
    config::Caps,
    ingest::{Failure, extract::read_failure},
};

const READ_BYTES: usize = 256 << 10;

/// A position in a document.
pub(super) struct Scanner<'a> {
    reader: &'a mut dyn Read,
    place: String,
    cap: usize,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// Bytes of the document before the buffer.
    before: u64,
}

/// Where in a value the scan is.
enum Inside {
    Brackets,
    Text,
    Escape,
}

impl<'a> Scanner<'a> {
    /// At the beginning of a document; `place` names it in messages.
    pub(super) fn new(reader: &'a mut dyn Read, place: String, caps: &Caps) -> Self {
        Self { reader, place, cap: caps.record_bytes, buffer: vec![0; READ_BYTES], at: 0, end: 0, before: 0 }
    }

    /// Where the document comes from, for messages.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Bytes of the document passed so far.
    pub(super) fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Bytes that wait; none at the end of the document.
    fn chunk(&mut self) -> Result<&[u8], Failure> {
        while self.at == self.end {
            self.before += self.end as u64;
            (self.at, self.end) = (0, 0);
            match self.reader.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(got) => self.end = got.min(self.buffer.len()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_failure(error, &self.place)),
            }
        }
        Ok(self.buffer.get(self.at..self.end).unwrap_or_default())
    }

    /// Passes over a byte order mark.
    pub(super) fn skip_bom(&mut self) -> Result<(), Failure> {
        for byte in b"\xef\xbb\xbf" {
            if self.chunk()?.first() != Some(byte) {
                break;
            }
            self.at += 1;
        }
        Ok(())
    }

    /// The next byte that is not white space, not consumed; none at the end of the document.
    pub(super) fn token(&mut self) -> Result<Option<u8>, Failure> {
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            match chunk.iter().position(|byte| !byte.is_ascii_whitespace()) {
                Some(blank) => {
                    let byte = chunk.get(blank).copied();
                    self.at += blank;
                    return Ok(byte);
                }
                None => self.at = self.end,
            }
        }
    }

    /// Consumes `byte` if it comes next.
    pub(super) fn take(&mut self, byte: u8) -> Result<bool, Failure> {
        let there = self.token()? == Some(byte);
        self.at += usize::from(there);
        Ok(there)
    }

    /// Consumes `byte`.
    ///
    /// # Errors
    /// Something else comes next.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Failure> {
        if self.take(byte)? { Ok(()) } else { Err(self.unexpected(&format!("`{}`", char::from(byte)))?) }
    }

    /// After a member or element: true when another follows, false when `close` ended it.
    pub(super) fn another(&mut self, close: u8) -> Result<bool, Failure> {
        if self.take(b',')? {
            return Ok(true);
        }
        if self.take(close)? {
            return Ok(false);
        }
        Err(self.unexpected(&format!("`,` or `{}`", char::from(close)))?)
    }

    /// The failure of finding something else than `wanted` next.
    fn unexpected(&mut self, wanted: &str) -> Result<Failure, Failure> {
        Ok(match self.token()? {
            Some(byte) => Failure::upstream(format!(
                "{}: byte {}: expected {wanted}, found `{}`",
                self.place,
                self.position(),
                byte.escape_ascii()
            )),
            None => self.cut_off(),
        })
    }

    /// The failure of a document that ends too early.
    pub(super) fn cut_off(&self) -> Failure {
        let at = self.position();
        let fault = if at == 0 {
            "the file is empty, where a JSON document is needed".to_owned()
        } else {
            format!("the JSON document ends at byte {at}, before it is complete: it is cut off")
        };
        Failure::upstream(format!("{}: {fault}", self.place))
    }

    /// Consumes a member's key and the colon behind it.
    pub(super) fn key(&mut self) -> Result<String, Failure> {
        if self.token()? != Some(b'"') {
            return Err(self.unexpected("a key")?);
        }
        let begin = self.position();
        let mut text = Vec::new();
        self.value(Some(&mut text))?;
        let key = serde_json::from_slice(&text)
            .map_err(|error| Failure::upstream(format!("{}: byte {begin}: the key here: {error}", self.place)))?;
        self.expect(b':')?;
        Ok(key)
    }

    /// Consumes a value; its raw text is appended to `out`.
    ///
    /// # Errors
    /// No value, one that is cut off, or one beyond the cap.
    pub(super) fn value(&mut self, mut out: Option<&mut Vec<u8>>) -> Result<(), Failure> {
        let begin = match self.token()? {
            None => return Err(self.cut_off()),
            Some(b',' | b':' | b']' | b'}') => return Err(self.unexpected("a value")?),
            Some(b'"' | b'[' | b'{') => None,
            Some(_) => Some(self.position()),
        };
        let begun_at = self.position();
        let (mut depth, mut inside) = (0_u64, Inside::Brackets);
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return if begin.is_some() { Ok(()) } else { Err(self.cut_off()) };
            }
            let (passed, done) = match begin {
                Some(_) => pass_scalar(chunk),
                None => pass(chunk, &mut depth, &mut inside),
            };
            if let Some(out) = out.as_deref_mut() {
                out.extend_from_slice(chunk.get(..passed).unwrap_or_default());
            }
            self.at += passed;
            if out.as_deref().is_some_and(|out| out.len() > self.cap) {
                return Err(Failure::upstream(format!(
                    "{}: the value at byte {begun_at} is longer than {} bytes, the most that is read (cap \
                     `record_bytes`); if the rows are deeper in the document, say where with `pointer`",
                    self.place, self.cap
                )));
            }
            if done {
                return Ok(());
            }
        }
    }

    /// Nothing but white space may follow.
    pub(super) fn expect_end(&mut self) -> Result<(), Failure> {
        match self.token()? {
            None => Ok(()),
            Some(byte) => Err(Failure::upstream(format!(
                "{}: byte {}: `{}` after the end of the JSON document (one document a line is format `ndjson`)",
                self.place,
                self.position(),
                byte.escape_ascii()
            ))),
        }
    }
}

/// How many bytes of a number or word there are, and whether it ends there.
fn pass_scalar(chunk: &[u8]) -> (usize, bool) {
    let end = chunk.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b':') || byte.is_ascii_whitespace());
    (end.unwrap_or(chunk.len()), end.is_some())
}

/// How many bytes of a text, array or object there are, and whether it ends there.
fn pass(chunk: &[u8], depth: &mut u64, inside: &mut Inside) -> (usize, bool) {
    let mut at = 0;
    while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
        match inside {
            Inside::Escape => {
                *inside = Inside::Text;
                at += 1;
            }
            Inside::Text => match memchr::memchr2(b'"', b'\\', rest) {
                None => return (chunk.len(), false),
                Some(found) => {
                    at += found + 1;
                    if rest.get(found) == Some(&b'\\') {
                        *inside = Inside::Escape;
                    } else {
                        *inside = Inside::Brackets;
                        if *depth == 0 {
                            return (at, true);
                        }
                    }
                }
            },
            Inside::Brackets => {
                let Some(found) = rest.iter().position(|byte| matches!(byte, b'"' | b'[' | b']' | b'{' | b'}')) else {
                    return (chunk.len(), false);
                };
                at += found + 1;
                match rest.get(found) {
                    Some(b'"') => *inside = Inside::Text,
                    Some(b'[' | b'{') => *depth += 1,
                    _ => {
                        *depth = depth.saturating_sub(1);
                        if *depth == 0 {
                            return (at, true);
                        }
                    }
                }
            }
        }
    }
    (chunk.len(), false)
}
