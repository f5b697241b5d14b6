//! Lines of foreign bytes with their numbers, in bounded memory.

use std::{io::Read, ops::Range};

use super::read_failure;
use crate::ingest::Failure;

/// A window over a stream that grows until a whole record fits: bytes wait in `window()`, `advance` passes over them,
/// `fill` brings more behind them.
pub struct Window<'a> {
    reader: Box<dyn Read + 'a>,
    place: String,
    cap: usize,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    eof: bool,
}

impl std::fmt::Debug for Window<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("place", &self.place).field("eof", &self.eof).finish_non_exhaustive()
    }
}

/// Bytes read at a time, at first.
const FIRST_WINDOW: usize = 256 << 10;

impl<'a> Window<'a> {
    /// A window over `reader`; `place` names it in messages, `cap` is the longest record.
    pub fn new(reader: impl Read + 'a, place: impl Into<String>, cap: usize) -> Self {
        Self {
            reader: Box::new(reader),
            place: place.into(),
            cap,
            buffer: vec![0; FIRST_WINDOW],
            start: 0,
            end: 0,
            eof: false,
        }
    }

    /// The bytes that wait.
    #[inline]
    pub fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether nothing comes after the window.
    #[inline]
    pub fn at_eof(&self) -> bool {
        self.eof
    }

    /// Where the bytes come from, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Passes over the first `bytes` of the window.
    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }

    /// Refuses a record of so many bytes if that is beyond the cap.
    ///
    /// # Errors
    /// Beyond the cap, naming `position` (such as `line 7`).
    #[inline]
    pub fn check(&self, bytes: usize, position: impl std::fmt::Display) -> Result<(), Failure> {
        if bytes <= self.cap {
            return Ok(());
        }
        Err(Failure::upstream(format!(
            "{}, {position}: a record of more than {} bytes, the most that is read (cap `record_bytes`); \
             is this the right format and quote?",
            self.place, self.cap
        )))
    }

    /// Brings more bytes behind the window, at least as many again as wait already, unless the stream ends. What is cut
    /// again from the window's beginning after each `fill` therefore costs no more than twice its length in all.
    ///
    /// # Errors
    /// Read errors; a window that already holds more than the cap, naming `position` (such as `line 7`).
    pub fn fill(&mut self, position: impl std::fmt::Display) -> Result<(), Failure> {
        let waiting = self.end - self.start;
        self.check(waiting, position)?;
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, waiting);
        if self.buffer.len() < waiting * 2 {
            self.buffer.resize(waiting * 2, 0);
        }
        while self.end < self.buffer.len() && !self.eof {
            let Some(free) = self.buffer.get_mut(self.end..) else { break };
            match self.reader.read(free) {
                Ok(0) => self.eof = true,
                Ok(read) => self.end += read.min(free.len()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_failure(error, &self.place)),
            }
        }
        Ok(())
    }
}

/// Lines, numbered from 1, without their line ends (`\n` or `\r\n`). The last one may lack its own.
#[derive(Debug)]
pub struct Lines<'a> {
    window: Window<'a>,
    /// Number of the line last returned.
    number: u64,
    /// Where it is in the window's buffer.
    last: Range<usize>,
}

impl<'a> Lines<'a> {
    /// Lines of `reader`; `place` names it in messages, `cap` is the longest line.
    pub fn new(reader: impl Read + 'a, place: impl Into<String>, cap: usize) -> Self {
        Self { window: Window::new(reader, place, cap), number: 0, last: 0..0 }
    }

    /// The next line and its number.
    ///
    /// # Errors
    /// Read errors; a line beyond the cap.
    #[inline]
    pub fn next_line(&mut self) -> Result<Option<(u64, &[u8])>, Failure> {
        let mut looked = 0;
        let (length, next) = loop {
            let window = self.window.window();
            match memchr::memchr(b'\n', window.get(looked..).unwrap_or_default()) {
                Some(at) => break (looked + at, looked + at + 1),
                None if self.window.at_eof() => {
                    if window.is_empty() {
                        return Ok(None);
                    }
                    break (window.len(), window.len());
                }
                None => {
                    looked = window.len();
                    self.window.fill(format_args!("line {}", self.number + 1))?;
                }
            }
        };
        self.number += 1;
        self.window.check(length, format_args!("line {}", self.number))?;
        self.last = self.window.start..self.window.start + length;
        self.window.advance(next);
        Ok(Some(self.current()))
    }

    /// The line last returned, again.
    pub fn current(&self) -> (u64, &[u8]) {
        let line = self.window.buffer.get(self.last.clone()).unwrap_or_default();
        (self.number, line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn all(bytes: &[u8], cap: usize) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        let mut lines = Lines::new(bytes, "x", cap);
        let mut out = Vec::new();
        while let Some((number, line)) = lines.next_line()? {
            out.push((number, line.to_vec()));
        }
        Ok(out)
    }

    #[test]
    fn line_ends_and_the_last_line() {
        let lines = all(b"a\r\n\nbc", 10).unwrap();
        assert_eq!(lines, [(1, b"a".to_vec()), (2, vec![]), (3, b"bc".to_vec())]);
        assert!(all(b"", 10).unwrap().is_empty());
    }

    #[test]
    fn lines_longer_than_the_window_and_beyond_the_cap() {
        let mut text = vec![b'x'; 3 << 20];
        text.extend(b"\nend\n");
        let lines = all(&text, 4 << 20).unwrap();
        assert_eq!(lines.iter().map(|(n, l)| (*n, l.len())).collect::<Vec<_>>(), [(1, 3 << 20), (2, 3)]);
        let failure = all(&text, 1 << 20).unwrap_err();
        assert!(failure.message.contains("x, line 1: a record of more than 1048576 bytes"), "{failure}");
    }
}
