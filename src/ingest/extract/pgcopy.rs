//! PostgreSQL's COPY text (the manual's page on COPY, "Text Format") to raw rows: no header, columns by order.

use std::io::Read;

use memchr::memchr;

use super::{
    CellKind, Extraction, RawBatchBuilder, Sink,
    delimited::{Dialect, Records},
    line::Window,
    names::positions,
};
use crate::ingest::Failure;

/// The line that ends the data.
const END: &[u8] = b"\\.";

/// Reads COPY text. The first row says how many columns there are.
///
/// # Errors
/// Read errors; a record beyond the cap; bytes behind the end marker; the sink's.
pub(super) fn extract(extraction: &Extraction<'_>, reader: &mut dyn Read, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let place = extraction.place();
    let window = Window::new(reader, place.as_str(), extraction.caps.record_bytes);
    let mut records = Records::new(window, Dialect::pgcopy())?;
    let mut scratch = Vec::new();
    let mut builder: Option<(RawBatchBuilder, usize)> = None;
    while let Some(found) = records.find()? {
        if records.bytes(&found) == END {
            records.pass(&found);
            if let Some(more) = records.find()? {
                return Err(Failure::upstream(format!(
                    "{place}, line {}: data behind the end marker `\\.`; several COPY statements in one file are not read",
                    more.line
                )));
            }
            break;
        }
        let (builder, width) = match &mut builder {
            Some(known) => known,
            none => {
                let width = records.split(&found, |_, _, _| {}).unwrap_or(1);
                none.insert((RawBatchBuilder::new(positions(width), CellKind::Text, "line"), width))
            }
        };
        let split = records.split(&found, |column, text, _| {
            if text == b"\\N" {
                builder.cell(column, None);
            } else if memchr(b'\\', text).is_none() {
                builder.cell(column, Some(text));
            } else {
                unescape(text, &mut scratch);
                builder.cell(column, Some(&scratch));
            }
        });
        match split {
            Ok(count) if count == *width => builder.end_row(found.line),
            Ok(count) => {
                let reason = format!("{count} field{}, the first row has {width}", if count == 1 { "" } else { "s" });
                builder.broken_row(found.line, reason, records.bytes(&found));
            }
            Err(reason) => builder.broken_row(found.line, reason, records.bytes(&found)),
        }
        records.pass(&found);
        builder.flush_if_full(sink)?;
    }
    builder.map_or(Ok(()), |(builder, _)| builder.finish(sink))
}

/// Undoes the backslash escapes: one letter, up to three octal or two hexadecimal digits, else the character itself.
fn unescape(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        let Some((&letter, behind)) = rest.split_first() else {
            out.push(b'\\');
            break;
        };
        let number = match letter {
            b'0'..=b'7' => number(rest, 8, 3),
            b'x' => number(behind, 16, 2),
            _ => None,
        };
        match number {
            Some((byte, after)) => {
                out.push(byte);
                rest = after;
            }
            None => {
                out.push(match letter {
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    other => other,
                });
                rest = behind;
            }
        }
    }
    out.extend_from_slice(rest);
}

/// Up to `most` digits at the beginning as one byte (the low eight bits, as PostgreSQL takes them), and what follows.
fn number(text: &[u8], radix: u32, most: usize) -> Option<(u8, &[u8])> {
    let digits = text.iter().take(most).map_while(|digit| char::from(*digit).to_digit(radix));
    let (count, value) = digits.fold((0, 0), |(count, value), digit| (count + 1, value * radix + digit));
    (count > 0).then(|| ((value & 0xff) as u8, text.get(count..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use crate::ingest::{definition::grammar::Format, extract::gathered::run};

    fn rows(bytes: &[u8]) -> Vec<serde_json::Value> {
        run(&Format::Pgcopy {}, bytes).unwrap().rows()
    }

    #[test]
    fn nulls_escapes_and_the_end() {
        let text = b"1\tAphex\\tTwin\\\\\\n\\N\t\\N\t\n2\t\\x41\\101\\q\\b\\f\\v\\r\tt\t\\\\N\n\\.\n";
        let got = run(&Format::Pgcopy {}, text).unwrap();
        assert_eq!(
            got.rows(),
            [
                serde_json::json!({"1": "1", "2": "Aphex\tTwin\\\nN", "4": ""}),
                serde_json::json!({"1": "2", "2": "AAq\u{8}\u{c}\u{b}\r", "3": "t", "4": "\\N"}),
            ]
        );
        assert_eq!(got.positions(), [1, 2]);
        assert!(run(&Format::Pgcopy {}, b"1\n\\.\n2\n").unwrap_err().message.contains("line 3: data behind the end"));
    }

    #[test]
    fn blank_lines_are_rows_of_empty_text_and_escaped_line_ends_are_data() {
        assert_eq!(
            rows(b"a\n\nb\\\nc\n"),
            [serde_json::json!({"1": "a"}), serde_json::json!({"1": ""}), serde_json::json!({"1": "b\nc"})]
        );
        let got = run(&Format::Pgcopy {}, b"a\tb\n\nc\n").unwrap();
        assert_eq!(got.broken().len(), 2);
        assert_eq!(got.broken()[1].reason, "1 field, the first row has 2");
    }

    proptest! {
        #[test]
        fn what_copy_writes_comes_back(cells in prop::collection::vec(prop::option::of("[a\\\\\t\n\r\u{b}\u{8}xNä0 ]{0,8}"), 3..30)) {
            let mut text = String::new();
            let mut want = Vec::new();
            for row in cells.chunks_exact(3) {
                let mut object = serde_json::Map::new();
                for (n, cell) in row.iter().enumerate() {
                    if n > 0 { text.push('\t'); }
                    match cell {
                        None => text.push_str("\\N"),
                        Some(cell) => {
                            object.insert((n + 1).to_string(), cell.clone().into());
                            for c in cell.chars() {
                                match c {
                                    '\\' => text.push_str("\\\\"),
                                    '\t' => text.push_str("\\t"),
                                    '\n' => text.push_str("\\n"),
                                    '\r' => text.push_str("\\r"),
                                    '\u{b}' => text.push_str("\\v"),
                                    '\u{8}' => text.push_str("\\b"),
                                    c => text.push(c),
                                }
                            }
                        }
                    }
                }
                text.push('\n');
                want.push(serde_json::Value::from(object));
            }
            prop_assert_eq!(rows(text.as_bytes()), want);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(prop::sample::select(b"a\\xN017.\t\r\n\xff".to_vec()), 0..200)) {
            drop(run(&Format::Pgcopy {}, &bytes));
        }
    }
}
