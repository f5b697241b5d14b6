//! Where records of delimited text begin and end, and how they split into fields: the ground that `csv` and `pgcopy`
//! stand on.
//!
//! Written by hand and not taken from a library because two things must be known of each field that CSV libraries do not
//! tell: whether it was quoted (an empty field is null, `""` is empty text), and on which line its record begins.

use memchr::{memchr, memchr_iter, memchr2, memchr3, memmem};

use super::line::Window;
use crate::ingest::{Failure, definition::grammar::Csv};

/// A dialect, in bytes.
#[derive(Debug)]
pub(super) struct Dialect {
    /// One character, which may take several bytes.
    delimiter: Vec<u8>,
    /// Its first byte.
    first: u8,
    quote: Option<u8>,
    /// Unless it is the quote itself.
    escape: Option<u8>,
    comment: Vec<u8>,
    /// Whether escapes are left in the fields.
    raw: bool,
    /// `\n`, also for `\r\n`; `\r` in the files of old Macintoshes.
    terminator: u8,
}

impl Dialect {
    /// PostgreSQL's COPY text: tabs, and a backslash before what is not meant as it stands; the escapes stay in the fields.
    pub(super) fn pgcopy() -> Self {
        let (delimiter, comment) = (vec![b'\t'], Vec::new());
        Self { delimiter, first: b'\t', quote: None, escape: Some(b'\\'), comment, raw: true, terminator: b'\n' }
    }

    pub(super) fn new(format: &Csv) -> Result<Self, Failure> {
        let delimiter = match format.delimiter.as_str() {
            "\\t" => "\t",
            other => other,
        };
        let (Some(first), 1) = (delimiter.bytes().next(), delimiter.chars().count()) else {
            return Err(Failure::definition(format!("`delimiter` is one character, not `{}`", format.delimiter)));
        };
        let quote = match format.quote.as_str() {
            "none" | "" => None,
            quote => Some(one_byte("quote", quote)?),
        };
        let escape = format.escape.as_deref().filter(|escape| !escape.is_empty());
        let escape =
            escape.map(|escape| one_byte("escape", escape)).transpose()?.filter(|escape| Some(*escape) != quote);
        let comment = format.comment.clone().unwrap_or_default().into_bytes();
        Ok(Self {
            delimiter: delimiter.as_bytes().to_vec(),
            first,
            quote,
            escape,
            comment,
            raw: false,
            terminator: b'\n',
        })
    }
}

fn one_byte(key: &str, text: &str) -> Result<u8, Failure> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(Failure::definition(format!("`{key}` is one ASCII character, not `{text}`"))),
    }
}

/// A record that waits at the beginning of the window.
#[derive(Debug)]
pub(super) struct Found {
    /// The line it begins on, from 1.
    pub(super) line: u64,
    /// Its bytes without the line end.
    length: usize,
    /// Its bytes with the line end.
    whole: usize,
    /// Whether quotes or escapes are in it.
    special: bool,
}

/// Records with the lines they begin on.
#[derive(Debug)]
pub(super) struct Records<'a> {
    window: Window<'a>,
    dialect: Dialect,
    /// Lines passed.
    lines: u64,
    /// For fields that are not as they stand in the file.
    scratch: Vec<u8>,
    /// The fields of the record last found, if it is special.
    fields: Vec<Field>,
}

/// A field of a record with quotes or escapes in it.
#[derive(Debug, Clone, Copy)]
struct Field {
    /// Where its text is, without its quotes.
    start: usize,
    end: usize,
    quoted: bool,
    /// Whether the text has escapes, or doubled quotes.
    escaped: bool,
    /// Whether something follows its closing quote.
    trailed: bool,
}

/// What a look at the window gave.
enum Look {
    Record { end: usize, next: usize, special: bool },
    More,
    Unclosed,
}

impl<'a> Records<'a> {
    pub(super) fn new(mut window: Window<'a>, mut dialect: Dialect) -> Result<Self, Failure> {
        window.fill("line 1")?;
        let head = window.window();
        if memchr(b'\n', head).is_none() && memchr(b'\r', head).is_some() {
            dialect.terminator = b'\r';
        }
        Ok(Self { window, dialect, lines: 0, scratch: Vec::new(), fields: Vec::new() })
    }

    /// Passes over `count` lines, whatever is in them.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            if !self.pass_line()? {
                break;
            }
        }
        Ok(())
    }

    /// Passes over a line; false at the end.
    fn pass_line(&mut self) -> Result<bool, Failure> {
        loop {
            let window = self.window.window();
            let next = match memchr(self.dialect.terminator, window) {
                Some(at) => at + 1,
                None if self.window.at_eof() => {
                    if window.is_empty() {
                        return Ok(false);
                    }
                    window.len()
                }
                None => {
                    self.window.fill(format_args!("line {}", self.lines + 1))?;
                    continue;
                }
            };
            self.window.advance(next);
            self.lines += 1;
            return Ok(true);
        }
    }

    /// The next record; it stays at the beginning of the window until it is [passed](Self::pass).
    #[inline]
    pub(super) fn find(&mut self) -> Result<Option<Found>, Failure> {
        loop {
            let (window, eof) = (self.window.window(), self.window.at_eof());
            if window.is_empty() && eof {
                return Ok(None);
            }
            if !self.dialect.comment.is_empty() {
                if window.starts_with(&self.dialect.comment) {
                    self.pass_line()?;
                    continue;
                }
                if window.len() < self.dialect.comment.len() && !eof {
                    self.window.fill(format_args!("line {}", self.lines + 1))?;
                    continue;
                }
            }
            let line = self.lines + 1;
            match self.dialect.look(window, eof, &mut self.fields) {
                Look::Record { end, next, special } => {
                    self.window.check(end, format_args!("line {line}"))?;
                    let carriage = self.dialect.terminator == b'\n'
                        && end.checked_sub(1).and_then(|at| window.get(at)) == Some(&b'\r');
                    return Ok(Some(Found { line, length: end - usize::from(carriage), whole: next, special }));
                }
                Look::More => self.window.fill(format_args!("the record that begins on line {line}"))?,
                Look::Unclosed => {
                    return Err(Failure::definition(format!(
                        "{}: a quote in the record that begins on line {line} is never closed: if quotes are data in this \
                         file, say `quote = \"none\"`; else it is cut off",
                        self.window.place()
                    )));
                }
            }
        }
    }

    /// The bytes of a record, without its line end.
    #[inline]
    pub(super) fn bytes(&self, found: &Found) -> &[u8] {
        self.window.window().get(..found.length).unwrap_or_default()
    }

    /// Passes over a record.
    #[inline]
    pub(super) fn pass(&mut self, found: &Found) {
        self.lines += 1;
        if found.special {
            let record = self.window.window().get(..found.length).unwrap_or_default();
            self.lines += memchr_iter(self.dialect.terminator, record).count() as u64;
        }
        self.window.advance(found.whole);
    }

    /// Hands each field on, with its place and whether it was quoted; returns how many there are, or what is wrong.
    #[inline]
    pub(super) fn split(&mut self, found: &Found, mut field: impl FnMut(usize, &[u8], bool)) -> Result<usize, String> {
        let record = self.window.window().get(..found.length).unwrap_or_default();
        if found.special {
            return self.dialect.split_special(record, &self.fields, &mut self.scratch, field);
        }
        let (mut count, mut start) = (0, 0);
        let mut cut = |at: usize, width: usize| {
            field(count, record.get(start..at).unwrap_or_default(), false);
            count += 1;
            start = at + width;
        };
        if self.dialect.delimiter.len() == 1 {
            memchr_iter(self.dialect.first, record).for_each(|at| cut(at, 1));
        } else {
            memmem::find_iter(record, &self.dialect.delimiter).for_each(|at| cut(at, self.dialect.delimiter.len()));
        }
        cut(record.len(), 0);
        Ok(count)
    }
}

impl Dialect {
    /// Where the record at the beginning of `window` ends.
    #[inline]
    fn look(&self, window: &[u8], eof: bool, fields: &mut Vec<Field>) -> Look {
        let special = match (self.quote, self.escape) {
            (Some(quote), _) => memchr2(self.terminator, quote, window),
            (None, Some(escape)) => memchr2(self.terminator, escape, window),
            (None, None) => memchr(self.terminator, window),
        };
        match special {
            Some(at) if window.get(at) == Some(&self.terminator) => {
                Look::Record { end: at, next: at + 1, special: false }
            }
            Some(_) => self.look_special(window, eof, fields),
            None if eof => Look::Record { end: window.len(), next: window.len(), special: false },
            None => Look::More,
        }
    }

    fn look_special(&self, window: &[u8], eof: bool, fields: &mut Vec<Field>) -> Look {
        fields.clear();
        let mut at = 0;
        loop {
            let quoted = self.quote.is_some() && window.get(at) == self.quote.as_ref();
            let mut field = Field { start: at, end: at, quoted, escaped: false, trailed: false };
            let mut behind = at;
            if quoted {
                let Some((close, escaped)) = self.closing(window, at + 1) else {
                    return if eof { Look::Unclosed } else { Look::More };
                };
                // A quote at the very end of the window may yet turn out to be doubled.
                if close + 1 == window.len() && !eof {
                    return Look::More;
                }
                behind = close + 1;
                (field.start, field.end, field.escaped) = (at + 1, close, escaped);
            }
            let (end, escapes) = self.field_end(window, behind);
            field.escaped |= escapes && !quoted;
            let end = match end {
                Some(end) => end,
                None if eof => window.len(),
                None => return Look::More,
            };
            if quoted {
                let trail = window.get(behind..end).unwrap_or_default();
                field.trailed = !trail.iter().all(u8::is_ascii_whitespace);
            } else {
                field.end = end;
            }
            fields.push(field);
            match window.get(end) {
                None => return Look::Record { end, next: end, special: true },
                Some(byte) if *byte == self.terminator => return Look::Record { end, next: end + 1, special: true },
                Some(_) => at = end + self.delimiter.len(),
            }
        }
    }

    /// The quote that closes a field whose text begins at `at`, and whether quotes or escapes stand before it.
    fn closing(&self, bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
        let quote = self.quote?;
        let mut escaped = false;
        loop {
            let rest = bytes.get(at..)?;
            let found = at + memchr2(quote, self.escape.unwrap_or(quote), rest)?;
            if bytes.get(found) == Some(&quote) && bytes.get(found + 1) != Some(&quote) {
                return Some((found, escaped));
            }
            escaped = true;
            at = found + 2;
        }
    }

    /// The delimiter or line end that ends an unquoted stretch beginning at `at`, and whether escapes stand before it.
    #[inline]
    fn field_end(&self, bytes: &[u8], mut at: usize) -> (Option<usize>, bool) {
        // Without quotes an escape stands before a delimiter or a line end that is data.
        let escape = if self.quote.is_none() { self.escape } else { None };
        let (terminator, first, mark) = (self.terminator, self.first, escape.unwrap_or(self.first));
        let mut escaped = false;
        loop {
            let Some(rest) = bytes.get(at..) else { return (None, escaped) };
            // Most fields are short: looking at each byte is then faster than setting up a search.
            let near = rest.iter().take(16).position(|byte| *byte == first || *byte == terminator || *byte == mark);
            let far = || Some(16 + memchr3(terminator, first, mark, rest.get(16..)?)?);
            let Some(found) = near.or_else(far).map(|found| at + found) else { return (None, escaped) };
            let byte = bytes.get(found).copied();
            if escape.is_some() && byte == escape {
                escaped = true;
                at = found + 2;
            } else if byte == Some(terminator)
                || self.delimiter.len() == 1
                || bytes.get(found..).is_some_and(|bytes| bytes.starts_with(&self.delimiter))
            {
                return (Some(found), escaped);
            } else {
                at = found + 1;
            }
        }
    }

    fn split_special(
        &self,
        record: &[u8],
        fields: &[Field],
        scratch: &mut Vec<u8>,
        mut field: impl FnMut(usize, &[u8], bool),
    ) -> Result<usize, String> {
        for (count, &Field { start, end, quoted, escaped, trailed }) in fields.iter().enumerate() {
            if trailed {
                return Err(format!("field {} goes on after its closing quote; a quote inside is doubled", count + 1));
            }
            // The last field of a line that ends in `\r\n` was found with its `\r`.
            let text = record.get(start..end.min(record.len())).unwrap_or_default();
            // `\N` is null to those who write such files; the format's `null` says so, on the text as it stands.
            let plain = !escaped || (!quoted && (self.raw || matches!(text, [_, b'N'])));
            field(count, if plain { text } else { self.unescaped(text, scratch) }, quoted);
        }
        Ok(fields.len())
    }

    /// Without the escapes before, and the doubling of, what is meant as it stands.
    fn unescaped<'s>(&self, text: &'s [u8], scratch: &'s mut Vec<u8>) -> &'s [u8] {
        let Some(mark) = self.quote.or(self.escape) else { return text };
        let other = self.escape.unwrap_or(mark);
        let Some(mut found) = memchr2(mark, other, text) else { return text };
        scratch.clear();
        let mut rest = text;
        loop {
            scratch.extend_from_slice(rest.get(..found).unwrap_or_default());
            // The character behind the mark, or the mark itself where nothing is behind it.
            let (taken, keep) = match rest.get(found + 1) {
                Some(next) => (found + 2, *next),
                None => (found + 1, mark),
            };
            scratch.push(keep);
            rest = rest.get(taken..).unwrap_or_default();
            match memchr2(mark, other, rest) {
                Some(at) => found = at,
                None => break,
            }
        }
        scratch.extend_from_slice(rest);
        scratch
    }
}
