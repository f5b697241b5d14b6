//! One row of values in an INSERT.

use std::ops::Range;

use super::lexer::{Lexer, Token};
use crate::ingest::Failure;

/// One row of values, before it is known to be whole.
#[derive(Debug, Default)]
pub(super) struct Row {
    bytes: Vec<u8>,
    pub(super) cells: Vec<Option<Range<usize>>>,
    /// What is wrong with it.
    pub(super) fault: Option<String>,
}

impl Row {
    fn clear(&mut self) {
        self.bytes.clear();
        self.cells.clear();
        self.fault = None;
    }

    fn push(&mut self, value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.cells.push(value.map(|_| start..self.bytes.len()));
    }

    pub(super) fn cell(&self, at: usize) -> Option<&[u8]> {
        self.cells.get(at).cloned().flatten().and_then(|range| self.bytes.get(range))
    }

    /// All of it, to be shown where it is broken.
    pub(super) fn shown(&self) -> Vec<u8> {
        let cells: Vec<&[u8]> = (0..self.cells.len()).map(|at| self.cell(at).unwrap_or(b"NULL")).collect();
        cells.join(b",".as_slice())
    }

    /// Reads the values up to the closing bracket, the opening one being read.
    ///
    /// # Errors
    /// The lexer's; an end before the bracket.
    pub(super) fn read(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Failure> {
        self.clear();
        let (mut depth, mut value_read) = (0_u32, false);
        loop {
            let token = lexer.next()?;
            match token {
                Token::End => {
                    return Err(Failure::upstream(format!("{}: cut off inside a row", lexer.position())));
                }
                Token::Mark(b')') if depth == 0 => return Ok(()),
                Token::Mark(b')') => depth -= 1,
                Token::Mark(b'(') => {
                    depth += 1;
                    self.fault.get_or_insert_with(|| "an expression in place of a value".to_owned());
                }
                _ if depth > 0 => {}
                Token::Mark(b',') => value_read = false,
                _ if value_read => {
                    self.fault.get_or_insert_with(|| "an expression in place of a value".to_owned());
                }
                // A character set such as `_binary` stands before its string.
                Token::Word if lexer.text.first() == Some(&b'_') => {}
                Token::Word => {
                    let value: Option<&[u8]> = match () {
                        () if lexer.is("null") => None,
                        () if lexer.is("true") => Some(b"1"),
                        () if lexer.is("false") => Some(b"0"),
                        () => Some(&lexer.text),
                    };
                    self.push(value);
                    value_read = true;
                }
                Token::Name | Token::Mark(_) => {
                    self.fault.get_or_insert_with(|| "an expression in place of a value".to_owned());
                }
                Token::Text | Token::Number | Token::Hex | Token::Bits => {
                    self.push(Some(&lexer.text));
                    value_read = true;
                }
            }
        }
    }
}
