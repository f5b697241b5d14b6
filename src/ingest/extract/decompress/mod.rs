//! Compressed bytes to plain ones: gzip, bzip2, xz and zstd, told by their first bytes and nested if need be.
//!
//! This is the only place that names a decoder (a lint holds that), because every decoder needs the same three things:
//! all members, streams and frames of a file are read to the end; output is capped in bytes and in ratio; and a cut-off
//! or damaged file is upstream's fault, named with the byte at which it happened.
#![expect(clippy::disallowed_types, reason = "the one place where decoders are made")]

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use crate::{config::Caps, ingest::Failure};

use super::{failure_within, read_failure};

/// Bytes read at a time.
pub(super) const BUFFER: usize = 256 << 10;
/// First bytes that are looked at; a tar header is 512 bytes long.
const HEAD: usize = 1024;
/// Compressions inside one another.
const MOST_LAYERS: usize = 4;
/// Output below this may have any ratio: small files of one repeated byte are no bombs.
const RATIO_FREE: u64 = 64 << 20;
/// Most memory an xz file may ask for (the highest preset needs 65 MiB).
const XZ_MEMORY: u64 = 1 << 30;
/// Largest window of a zstd file, as a power of two: what `zstd --ultra --long=31` writes.
const ZSTD_WINDOW: u32 = 31;

/// A compression, told by its magic bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// The .xz container.
    Xz,
    /// RFC 8878, frames and skippable frames.
    Zstd,
}

impl Compression {
    /// The compression that bytes beginning like this have.
    pub fn of(head: &[u8]) -> Option<Self> {
        // A bzip2 stream begins with the digits of pi (a block) or of its square root (the end), byte-aligned; the three
        // letters alone could be text.
        let bzip2_mark =
            |mark: &[u8]| mark == [0x31, 0x41, 0x59, 0x26, 0x53, 0x59] || mark == [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', mark @ ..] if mark.get(..6).is_some_and(bzip2_mark) => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }
}

/// Plain bytes with their beginning at hand.
pub(super) struct Plain<'a> {
    pub(super) reader: Peeked<'a>,
    /// Whether there was a compression around them.
    pub(super) compressed: bool,
}

/// Takes every compression off `reader`. `origin` counts the bytes that were read of the file (or are in the archive's
/// member): the ratio is measured against it, so that nesting does not multiply it.
///
/// # Errors
/// Bytes that are compressed but damaged or cut off at the very beginning; too many layers.
pub(super) fn plain<'a>(
    reader: Box<dyn BufRead + 'a>,
    label: &str,
    origin: &Rc<Cell<u64>>,
    caps: &Caps,
) -> Result<Plain<'a>, Failure> {
    let mut reader = Peeked::new(reader).map_err(|error| read_failure(error, label))?;
    for layer in 0..=MOST_LAYERS {
        let Some(compression) = Compression::of(reader.head()) else {
            return Ok(Plain { reader, compressed: layer > 0 });
        };
        if layer == MOST_LAYERS {
            break;
        }
        let input = Rc::new(Cell::new(0));
        let counted = Counted { inner: Box::new(reader), consumed: Rc::clone(&input) };
        let decoder = decoder(compression, counted).map_err(|error| read_failure(error, label))?;
        let guarded = Guarded::new(decoder, label, compression.name(), input, Rc::clone(origin), caps);
        let buffered: Box<dyn BufRead + 'a> = Box::new(BufReader::with_capacity(BUFFER, guarded));
        reader = Peeked::new(buffered).map_err(|error| read_failure(error, label))?;
    }
    Err(Failure::upstream(format!("{label}: compressed more than {MOST_LAYERS} times over; that is no data file")))
}

fn decoder<'a>(compression: Compression, input: Counted<'a>) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::Gzip | Compression::Bzip2 => {
            Box::new(Concatenated { compression, state: State::Between(input), first: true })
        }
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    })
}

/// gzip members or bzip2 streams one after another, zero bytes behind them allowed (tapes and blocks are padded so).
struct Concatenated<'a> {
    compression: Compression,
    state: State<'a>,
    first: bool,
}

enum State<'a> {
    Gzip(Box<flate2::bufread::GzDecoder<Counted<'a>>>),
    Bzip2(bzip2::bufread::BzDecoder<Counted<'a>>),
    Between(Counted<'a>),
    End,
}

impl Read for Concatenated<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let read = match &mut self.state {
                State::Gzip(decoder) => decoder.read(into)?,
                State::Bzip2(decoder) => decoder.read(into)?,
                State::Between(_) => 0,
                State::End => return Ok(0),
            };
            if read > 0 {
                return Ok(read);
            }
            let mut input = match std::mem::replace(&mut self.state, State::End) {
                State::Gzip(decoder) => decoder.into_inner(),
                State::Bzip2(decoder) => decoder.into_inner(),
                State::Between(input) => input,
                State::End => return Ok(0),
            };
            if !std::mem::take(&mut self.first) && !another(&mut input, self.compression)? {
                return Ok(0);
            }
            self.state = match self.compression {
                Compression::Bzip2 => State::Bzip2(bzip2::bufread::BzDecoder::new(input)),
                _ => State::Gzip(Box::new(flate2::bufread::GzDecoder::new(input))),
            };
        }
    }
}

/// Whether another member follows; what follows and is neither one nor zero bytes is an error.
fn another(input: &mut Counted<'_>, compression: Compression) -> io::Result<bool> {
    let first = match compression {
        Compression::Bzip2 => b'B',
        _ => 0x1f,
    };
    loop {
        let waiting = input.fill_buf()?;
        let Some(&byte) = waiting.first() else { return Ok(false) };
        if byte == first {
            return Ok(true);
        }
        let zeros = waiting.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "other bytes follow the end of the compressed data",
            ));
        }
        input.consume(zeros);
    }
}

/// Counts what is consumed, which is what the decoder has taken, not what a buffer has read ahead.
pub(super) struct Counted<'a> {
    pub(super) inner: Box<dyn BufRead + 'a>,
    pub(super) consumed: Rc<Cell<u64>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.consumed.set(self.consumed.get() + read as u64);
        Ok(read)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.consumed.set(self.consumed.get() + amount as u64);
        self.inner.consume(amount);
    }
}

/// A decoder's output under the caps, and its errors as failures that name file and byte.
pub(super) struct Guarded<'a> {
    inner: Box<dyn Read + 'a>,
    label: String,
    kind: &'static str,
    /// Bytes the decoder has taken.
    input: Rc<Cell<u64>>,
    /// Bytes of the file on disk behind all this.
    origin: Rc<Cell<u64>>,
    produced: u64,
    most: u64,
    ratio: u64,
}

impl<'a> Guarded<'a> {
    pub(super) fn new(
        inner: Box<dyn Read + 'a>,
        label: &str,
        kind: &'static str,
        input: Rc<Cell<u64>>,
        origin: Rc<Cell<u64>>,
        caps: &Caps,
    ) -> Self {
        let (most, ratio) = (caps.decompressed_bytes, caps.decompress_ratio);
        Self { inner, label: label.to_owned(), kind, input, origin, produced: 0, most, ratio }
    }

    fn check(&self) -> Result<(), Failure> {
        let Self { label, produced, most, ratio, .. } = self;
        if produced > most {
            return Err(Failure::upstream(format!(
                "{label}: decompresses to more than {most} bytes, the most that is taken (cap `decompressed_bytes`)"
            )));
        }
        let origin = self.origin.get().max(1);
        if *produced > RATIO_FREE && produced / origin >= *ratio {
            return Err(Failure::upstream(format!(
                "{label}: {origin} bytes decompress to more than {produced}, over {ratio} times as many \
                 (cap `decompress_ratio`): a decompression bomb?"
            )));
        }
        Ok(())
    }
}

impl Read for Guarded<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(into) {
            Ok(read) => {
                self.produced += read as u64;
                self.check().map_err(io::Error::other)?;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) if failure_within(&error).is_some() => Err(error),
            Err(error) => {
                let what = match error.kind() {
                    io::ErrorKind::UnexpectedEof => "cut off",
                    _ => "damaged",
                };
                Err(io::Error::other(Failure::upstream(format!(
                    "{}: {} data is {what} at byte {}: {error}",
                    self.label,
                    self.kind,
                    self.input.get()
                ))))
            }
        }
    }
}

/// A reader whose first bytes can be looked at.
pub(super) struct Peeked<'a> {
    head: Vec<u8>,
    given: usize,
    inner: Box<dyn BufRead + 'a>,
}

impl<'a> Peeked<'a> {
    pub(super) fn new(mut inner: Box<dyn BufRead + 'a>) -> io::Result<Self> {
        let mut head = Vec::with_capacity(HEAD);
        (&mut inner).take(HEAD as u64).read_to_end(&mut head)?;
        Ok(Self { head, given: 0, inner })
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }
}

impl Read for Peeked<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.head.get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            return self.inner.read(into);
        }
        let read = rest.read(into)?;
        self.given += read;
        Ok(read)
    }
}

impl BufRead for Peeked<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.head.get(self.given..) {
            Some(rest) if !rest.is_empty() => Ok(rest),
            _ => self.inner.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        if self.given < self.head.len() {
            self.given = (self.given + amount).min(self.head.len());
        } else {
            self.inner.consume(amount);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
