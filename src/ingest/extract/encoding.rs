//! Text in any encoding to UTF-8, streaming.
//!
//! What is not valid in its encoding is never replaced silently: it becomes a byte that is not UTF-8, so that the value it
//! stands in is rejected, not changed. UTF-8 itself is passed on as it is, without its byte order mark.

use std::io::{self, Read};

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::read_failure;
use crate::ingest::Failure;

/// Bytes read at a time.
const BUFFER: usize = 64 << 10;
/// Stands for what could not be decoded; no UTF-8 text has it.
const UNDECODABLE: u8 = 0xff;

/// The encoding of a label such as `latin-1`, `utf-16` or `shift_jis` (those of the WHATWG Encoding Standard, and the
/// usual spellings with a dash); none if there is no such encoding.
pub fn named(label: &str) -> Option<&'static Encoding> {
    let label = label.trim().to_ascii_lowercase().replace('_', "-");
    Encoding::for_label(label.as_bytes()).or_else(|| {
        let plain = label.replace(['-', ' '], "");
        match plain.as_str() {
            "latin9" => Encoding::for_label(b"iso-8859-15"),
            _ => Encoding::for_label(plain.as_bytes()).or_else(|| {
                // `cp1252`, `windows1252`, `iso88592`: every way to write a number of a family.
                let number = plain.trim_start_matches(|c: char| !c.is_ascii_digit());
                match plain.strip_suffix(number)? {
                    "cp" | "windows" | "win" => Encoding::for_label(format!("windows-{number}").as_bytes()),
                    "iso" => Encoding::for_label(format!("iso-8859-{}", number.strip_prefix("8859")?).as_bytes()),
                    _ => None,
                }
            }),
        }
    })
}

/// `reader` as UTF-8. A byte order mark decides, then `label`, then UTF-8.
///
/// # Errors
/// An unknown label (definition); read errors.
pub fn decoded<'a>(
    mut reader: impl Read + 'a,
    label: Option<&str>,
    place: &str,
) -> Result<Box<dyn Read + 'a>, Failure> {
    let encoding = match label {
        None => UTF_8,
        Some(label) => named(label).ok_or_else(|| {
            Failure::definition(format!(
                "unknown encoding `{label}`; try `utf-8`, `latin-1`, `windows-1252` or `utf-16`"
            ))
        })?,
    };
    let mut head = Vec::new();
    (&mut reader).take(3).read_to_end(&mut head).map_err(|error| read_failure(error, place))?;
    let (encoding, mark) = match head.as_slice() {
        [0xef, 0xbb, 0xbf] => (UTF_8, 3),
        [0xff, 0xfe, ..] if encoding == UTF_8 || encoding == UTF_16BE || encoding == UTF_16LE => (UTF_16LE, 2),
        [0xfe, 0xff, ..] if encoding == UTF_8 || encoding == UTF_16BE || encoding == UTF_16LE => (UTF_16BE, 2),
        _ => (encoding, 0),
    };
    head.drain(..mark);
    let reader = io::Cursor::new(head).chain(reader);
    if encoding == UTF_8 {
        return Ok(Box::new(reader));
    }
    Ok(Box::new(Decoded {
        reader,
        decoder: encoding.new_decoder_without_bom_handling(),
        input: vec![0; BUFFER],
        taken: 0,
        filled: 0,
        ended: false,
        output: vec![0; BUFFER],
        given: 0,
        ready: 0,
    }))
}

struct Decoded<R> {
    reader: R,
    decoder: encoding_rs::Decoder,
    input: Vec<u8>,
    taken: usize,
    filled: usize,
    ended: bool,
    output: Vec<u8>,
    given: usize,
    ready: usize,
}

impl<R: Read> Decoded<R> {
    /// Decodes some more into the output, which is empty before; leaves it empty at the end.
    fn refill(&mut self) -> io::Result<()> {
        (self.given, self.ready) = (0, 0);
        while self.ready == 0 {
            if self.taken == self.filled {
                if self.ended {
                    return Ok(());
                }
                self.filled = self.reader.read(&mut self.input)?.min(self.input.len());
                self.taken = 0;
                self.ended = self.filled == 0;
            }
            let input = self.input.get(self.taken..self.filled).unwrap_or_default();
            // The last byte stays free for the mark of what cannot be decoded.
            let room = self.output.len() - 1;
            let Some(output) = self.output.get_mut(..room) else { return Ok(()) };
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(input, output, self.ended);
            self.taken += read;
            self.ready = written;
            if let DecoderResult::Malformed(..) = result
                && let Some(mark) = self.output.get_mut(written)
            {
                *mark = UNDECODABLE;
                self.ready += 1;
            } else if self.ended && written == 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready {
            self.refill()?;
        }
        let mut ready = self.output.get(self.given..self.ready).unwrap_or_default();
        let read = ready.read(into)?;
        self.given += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8], label: Option<&str>) -> Vec<u8> {
        let mut out = Vec::new();
        decoded(bytes, label, "x").unwrap().read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn labels_as_people_write_them() {
        for (label, name) in [
            ("latin-1", "windows-1252"),
            ("Latin1", "windows-1252"),
            ("ISO-8859-1", "windows-1252"),
            ("iso_8859_2", "ISO-8859-2"),
            ("latin-9", "ISO-8859-15"),
            ("cp1251", "windows-1251"),
            ("utf8", "UTF-8"),
            ("UTF-16", "UTF-16LE"),
            ("utf-16be", "UTF-16BE"),
            ("shift_jis", "Shift_JIS"),
            ("gb18030", "gb18030"),
            ("ascii", "windows-1252"),
        ] {
            assert_eq!(named(label).map(Encoding::name), Some(name), "{label}");
        }
        assert_eq!(named("klingon"), None);
        assert!(decoded(b"".as_slice(), Some("klingon"), "x").err().unwrap().message.contains("unknown encoding"));
    }

    #[test]
    fn marks_and_encodings() {
        assert_eq!(decode(b"\xef\xbb\xbfa\xff", None), b"a\xff");
        assert_eq!(decode(b"\xff\xfea\0\xe4\0", None), "aä".as_bytes());
        assert_eq!(decode(b"\xfe\xff\0a", Some("utf-16")), b"a");
        assert_eq!(decode(b"a\0b\0", Some("utf-16")), b"ab");
        assert_eq!(decode(b"\xe4\x80", Some("latin-1")), "ä€".as_bytes());
        assert_eq!(decode(b"\xef", None), b"\xef");
    }

    #[test]
    fn what_cannot_be_decoded_stays_visible() {
        // A lone surrogate, and half a code unit at the end.
        assert_eq!(decode(b"a\0\x00\xd8b\0c", Some("utf-16")), b"a\xffb\xff");
        assert_eq!(decode(b"a\x81", Some("shift_jis")), b"a\xff");
    }

    proptest! {
        // One mark at the beginning says how bytes are ordered; a second one is text.
        #[test]
        fn utf_16_comes_back(text in ".{0,400}", big in any::<bool>()) {
            let units = text.encode_utf16();
            let bytes: Vec<u8> =
                units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
            prop_assert_eq!(decode(&bytes, Some(if big { "utf-16be" } else { "utf-16le" })), text.strip_prefix('\u{feff}').unwrap_or(&text).as_bytes());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), which in 0_usize..6) {
            decode(&bytes, [None, Some("latin-1"), Some("utf-16"), Some("shift_jis"), Some("gb18030"), Some("iso-2022-jp")][which]);
        }
    }
}
