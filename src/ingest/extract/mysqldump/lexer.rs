//! The words of MySQL's dialect of SQL, from a stream, one at a time.
//!
//! Lines of a dump are a megabyte long and longer, so nothing here works by lines: a token is copied out as it is read,
//! and only a token must fit the memory.

use memchr::{memchr, memchr2, memmem};

use crate::ingest::{Failure, extract::line::Window};

/// What was read; its text is in [`Lexer::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word.
    Word,
    /// A name in backticks.
    Name,
    /// A string, its escapes undone.
    Text,
    /// A number as it stands, with its sign.
    Number,
    /// `0x…` or `x'…'`, as bytes.
    Hex,
    /// `b'…'` or `0b…`, as a whole number.
    Bits,
    /// Any other character.
    Mark(u8),
    /// The end.
    End,
}

/// Reads tokens.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    window: Window<'a>,
    /// The text of the last token.
    pub(super) text: Vec<u8>,
    /// How many rows were read, for messages.
    pub(super) record: u64,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(window: Window<'a>) -> Self {
        Self { window, text: Vec::new(), record: 0 }
    }

    /// Whether the last token is this bare word.
    pub(super) fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// The last token's text, for names.
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Where the lexer is, for messages.
    pub(super) fn position(&self) -> String {
        format!("{}, record {}", self.window.place(), self.record + 1)
    }

    fn fill(&mut self) -> Result<(), Failure> {
        self.window.fill(format_args!("record {}", self.record + 1))
    }

    /// The byte `at` behind the place reached.
    fn byte(&mut self, at: usize) -> Result<Option<u8>, Failure> {
        loop {
            match self.window.window().get(at) {
                Some(byte) => return Ok(Some(*byte)),
                None if self.window.at_eof() => return Ok(None),
                None => self.fill()?,
            }
        }
    }

    /// Passes over white space and comments.
    fn space(&mut self) -> Result<(), Failure> {
        loop {
            let blank = self.window.window().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.window.advance(blank);
            match self.byte(0)? {
                Some(byte) if byte.is_ascii_whitespace() => {}
                Some(b'#') => self.pass(b"\n")?,
                Some(b'-') if self.byte(1)? == Some(b'-') && self.byte(2)?.is_none_or(|b| b.is_ascii_whitespace()) => {
                    self.pass(b"\n")?;
                }
                Some(b'/') if self.byte(1)? == Some(b'*') => {
                    self.window.advance(2);
                    self.pass(b"*/")?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Passes over everything up to and with `end`.
    fn pass(&mut self, end: &[u8]) -> Result<(), Failure> {
        loop {
            let window = self.window.window();
            if let Some(at) = memmem::find(window, end) {
                self.window.advance(at + end.len());
                return Ok(());
            }
            let all = window.len();
            if self.window.at_eof() {
                self.window.advance(all);
                return Ok(());
            }
            self.window.advance(all.saturating_sub(end.len() - 1));
            self.fill()?;
        }
    }

    /// The rest of the line, as text.
    pub(super) fn line(&mut self) -> Result<bool, Failure> {
        self.text.clear();
        loop {
            let window = self.window.window();
            if let Some(at) = memchr(b'\n', window) {
                self.text.extend_from_slice(window.get(..at).unwrap_or_default());
                self.window.advance(at + 1);
                return Ok(true);
            }
            let all = window.len();
            self.take(all)?;
            if self.window.at_eof() {
                return Ok(!self.text.is_empty());
            }
            self.fill()?;
        }
    }

    /// Moves bytes from the window to the text.
    fn take(&mut self, bytes: usize) -> Result<(), Failure> {
        self.text.extend_from_slice(self.window.window().get(..bytes).unwrap_or_default());
        self.window.advance(bytes);
        self.window.check(self.text.len(), format_args!("record {}", self.record + 1))
    }

    /// Moves bytes as long as they are wanted.
    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> Result<(), Failure> {
        loop {
            let count = self.window.window().iter().take_while(|byte| wanted(**byte)).count();
            self.take(count)?;
            match self.byte(0)? {
                Some(byte) if wanted(byte) => {}
                _ => return Ok(()),
            }
        }
    }

    /// The next token.
    ///
    /// # Errors
    /// Read errors; a token beyond the cap; an end inside a string (upstream).
    pub(super) fn next(&mut self) -> Result<Token, Failure> {
        self.space()?;
        self.text.clear();
        let Some(byte) = self.byte(0)? else { return Ok(Token::End) };
        match byte {
            b'\'' | b'"' => self.string(byte).map(|()| Token::Text),
            b'`' => self.string(byte).map(|()| Token::Name),
            b'0'..=b'9' => self.number(),
            b'-' | b'+' | b'.' if self.starts_number(byte)? => {
                self.take(1)?;
                self.number()
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'$' | b'@' | 0x80.. => {
                self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'@' | 0x80..))?;
                self.prefixed()
            }
            other => {
                self.window.advance(1);
                Ok(Token::Mark(other))
            }
        }
    }

    fn starts_number(&mut self, first: u8) -> Result<bool, Failure> {
        Ok(match self.byte(1)? {
            Some(b'0'..=b'9') => true,
            Some(b'.') if first != b'.' => self.byte(2)?.is_some_and(|b| b.is_ascii_digit()),
            _ => false,
        })
    }

    /// `x'4D'`, `b'101'` and `n'text'` begin like words.
    fn prefixed(&mut self) -> Result<Token, Failure> {
        let kind = match self.text.as_slice() {
            [b'x' | b'X'] => Token::Hex,
            [b'b' | b'B'] => Token::Bits,
            [b'n' | b'N'] => Token::Text,
            _ => return Ok(Token::Word),
        };
        if self.byte(0)? != Some(b'\'') {
            return Ok(Token::Word);
        }
        self.text.clear();
        self.string(b'\'')?;
        self.decode(kind)
    }

    fn number(&mut self) -> Result<Token, Failure> {
        let digits = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
        self.take_while(digits)?;
        let is_hex = self.text.get(..2).is_some_and(|head| head.eq_ignore_ascii_case(b"0x"));
        if matches!(self.text.last(), Some(b'e' | b'E')) && !is_hex && matches!(self.byte(0)?, Some(b'+' | b'-')) {
            self.take(1)?;
            self.take_while(digits)?;
        }
        match self.text.get(..2) {
            Some(b"0x" | b"0X") => {
                self.text.drain(..2);
                self.decode(Token::Hex)
            }
            Some(b"0b" | b"0B") => {
                self.text.drain(..2);
                self.decode(Token::Bits)
            }
            _ => Ok(Token::Number),
        }
    }

    /// The digits in the text as what they mean.
    fn decode(&mut self, kind: Token) -> Result<Token, Failure> {
        let bad = |digits: &[u8]| String::from_utf8_lossy(digits.get(..40).unwrap_or(digits)).into_owned();
        match kind {
            Token::Hex => {
                if self.text.len() % 2 == 1 {
                    self.text.insert(0, b'0');
                }
                self.text = hex::decode(&self.text).map_err(|_| {
                    Failure::upstream(format!("{}: `0x{}` is no hexadecimal literal", self.position(), bad(&self.text)))
                })?;
            }
            Token::Bits => {
                let digits = String::from_utf8_lossy(&self.text);
                let value = if digits.is_empty() { Some(0) } else { u64::from_str_radix(&digits, 2).ok() };
                let value = value.ok_or_else(|| {
                    Failure::upstream(format!("{}: `b'{}'` is no bit literal", self.position(), bad(&self.text)))
                })?;
                self.text = value.to_string().into_bytes();
            }
            _ => {}
        }
        Ok(kind)
    }

    /// A string or quoted name, whose quote waits. A doubled quote stands for itself; in strings the backslash escapes.
    fn string(&mut self, quote: u8) -> Result<(), Failure> {
        self.window.advance(1);
        let escape = if quote == b'`' { quote } else { b'\\' };
        loop {
            let window = self.window.window();
            let Some(at) = memchr2(quote, escape, window) else {
                let all = window.len();
                self.take(all)?;
                if self.window.at_eof() {
                    return Err(Failure::upstream(format!("{}: cut off inside a string", self.position())));
                }
                self.fill()?;
                continue;
            };
            let found = window.get(at).copied();
            self.take(at)?;
            let behind = self.byte(1)?;
            if found == Some(quote) {
                if behind != Some(quote) {
                    self.window.advance(1);
                    return Ok(());
                }
                self.text.push(quote);
            } else {
                match behind {
                    Some(b'0') => self.text.push(0),
                    Some(b'b') => self.text.push(0x08),
                    Some(b'n') => self.text.push(b'\n'),
                    Some(b'r') => self.text.push(b'\r'),
                    Some(b't') => self.text.push(b'\t'),
                    Some(b'Z') => self.text.push(0x1a),
                    // MySQL keeps the backslash before what means something to LIKE only.
                    Some(like @ (b'%' | b'_')) => self.text.extend([b'\\', like]),
                    Some(other) => self.text.push(other),
                    None => {}
                }
            }
            self.window.advance(2);
        }
    }
}
