//! Bytes that are plainly not of a text format: an HTML page in place of data, or a binary file.

use std::io::{self, Cursor, Read};

use super::Format;
use crate::ingest::Failure;

/// Bytes looked at.
const HEAD: usize = 512;

/// What files begin with that are no text.
const BINARY: [(&[u8], &str); 9] = [
    (b"PK\x03\x04", "a zip archive"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1\0\0", "an Arrow file"),
    (b"%PDF-", "a PDF document"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, which is not read yet"),
    (b"Rar!\x1a\x07", "a RAR archive, which is not read"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"SQLite format 3\0", "an SQLite file"),
    (b"PGCOPY\n\xff\r\n\0", "PostgreSQL's binary COPY format"),
];

/// `reader` as it was, unless it begins with something that cannot be of the format.
///
/// # Errors
/// An HTML page (upstream), a binary file (definition), for the formats that are text; read errors.
pub(super) fn checked<'a>(
    format: &Format,
    mut reader: &'a mut dyn Read,
    place: &str,
) -> Result<impl Read + 'a, Failure> {
    let mut head = Vec::new();
    let is_text = !matches!(format, Format::Parquet {} | Format::Arrow {} | Format::Script(_));
    if is_text {
        (&mut reader).take(HEAD as u64).read_to_end(&mut head).map_err(|error| super::read_failure(error, place))?;
        if is_html(&head) {
            return Err(Failure::upstream(format!("{place}: an HTML page came in place of data")));
        }
        if let Some((_, what)) = BINARY.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Err(Failure::definition(format!("{place}: this is {what}, not the text that `format` says")));
        }
    }
    Ok(io::Read::chain(Cursor::new(head), reader))
}

fn is_html(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word));
    begins(b"<!doctype html") || (begins(b"<html") && text.get(5).is_none_or(|b| b.is_ascii_whitespace() || *b == b'>'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{
        catalog::Blame,
        ingest::{
            definition::grammar::{Csv, Format},
            extract::gathered::run,
        },
    };

    #[test]
    fn pages_and_binary_files_are_no_text() {
        for format in [Format::Csv(Csv::default()), Format::Ndjson {}, Format::Pgcopy {}, Format::MediawikiXml {}] {
            for page in [b"\n<!DOCTYPE html>\n<p>Too many requests".as_slice(), b"<HTML lang=en>", b"<html>"] {
                let failure = run(&format, page).unwrap_err();
                assert_eq!(failure.message, "https://example.org/data: an HTML page came in place of data");
                assert_eq!(failure.blame, Blame::Upstream);
            }
            let failure = run(&format, b"PAR1\x15\x04").unwrap_err();
            assert!(failure.message.contains("this is a Parquet file"), "{failure}");
            assert_eq!(failure.blame, Blame::Definition);
        }
        assert_eq!(run(&Format::Csv(Csv::default()), b"<html5>,b\n1,2\n").unwrap().count(), 1);
    }
}
