//! Pages and dictionaries as they are kept: decompressed, checked against their checksums, their parts found.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
};

use parquet::{
    basic::{Compression, Encoding},
    errors::ParquetError,
};
use zstd::bulk::Decompressor;

use super::{
    header::{PageHeader, PageKind},
    shape::{Kind, Leaf},
};

thread_local! {
    /// A context takes longer to make than a page to decompress.
    static ZSTD: RefCell<Decompressor<'static>> = RefCell::default();
    /// Room for a page that is not kept.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes of scratch that a thread holds on to.
const SCRATCH_BYTES: usize = 1 << 20;

/// How the values of a page are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// One after the other.
    Plain,
    /// As indices into the chunk's dictionary.
    Indices,
    /// Booleans as runs.
    Runs,
}

/// A data page.
#[derive(Debug)]
pub(super) struct Page {
    bytes: Vec<u8>,
    /// Values, nulls included; entries of lists, not rows.
    pub(super) values: usize,
    pub(super) encoding: Values,
    repetition: Range<usize>,
    definition: Range<usize>,
    data: usize,
}

/// The distinct values of a column chunk.
#[derive(Debug)]
pub(super) struct Dictionary {
    bytes: Vec<u8>,
    /// Where values of no fixed width begin and end, without their lengths before them.
    places: Vec<(u32, u32)>,
    width: usize,
}

pub(super) fn damaged(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

impl Page {
    /// The page that `stored`, header included, is. One that is not `kept` borrows room of this thread: hand it back
    /// with [`Self::recycle`].
    pub(super) fn read(stored: &[u8], leaf: &Leaf, compression: Compression, kept: bool) -> Result<Self, ParquetError> {
        let header = PageHeader::read(stored)?;
        let body = body(stored, &header)?;
        let mut bytes = if kept { Vec::new() } else { SCRATCH.take() };
        bytes.clear();
        let encoding = match (header.encoding, leaf.kind) {
            (Encoding::PLAIN, _) => Values::Plain,
            (Encoding::RLE, Kind::Boolean) => Values::Runs,
            (Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, Kind::Fixed(_) | Kind::Bytes) => Values::Indices,
            _ => return Err(damaged("a page is encoded otherwise than its chunk says")),
        };
        let page = match header.kind {
            PageKind::One => {
                decompress(body, header.bytes, compression, &mut bytes)?;
                let mut at = 0;
                let repetition = levels(&bytes, &mut at, leaf.most_repeated)?;
                let definition = levels(&bytes, &mut at, leaf.most_defined)?;
                Self { bytes, values: header.values, encoding, repetition, definition, data: at }
            }
            PageKind::Two { definition, repetition, compressed } => {
                let at = definition + repetition;
                let (levels, values) =
                    body.split_at_checked(at).ok_or_else(|| damaged("a page is shorter than its levels"))?;
                let most = header.bytes.checked_sub(at).ok_or_else(|| damaged("a page's sizes contradict"))?;
                if compressed {
                    let mut plain = Vec::new();
                    decompress(values, most, compression, &mut plain)?;
                    bytes.extend_from_slice(levels);
                    bytes.append(&mut plain);
                } else {
                    bytes.extend_from_slice(body);
                }
                let (repetition, definition) = (0..repetition, repetition..at);
                Self { bytes, values: header.values, encoding, repetition, definition, data: at }
            }
            PageKind::Dictionary => return Err(damaged("a dictionary stands where values should")),
        };
        Ok(page)
    }

    /// Gives its room back to this thread.
    pub(super) fn recycle(self) {
        if self.bytes.capacity() <= SCRATCH_BYTES {
            SCRATCH.set(self.bytes);
        }
    }

    /// Repetition levels.
    pub(super) fn repetition(&self) -> &[u8] {
        self.bytes.get(self.repetition.clone()).unwrap_or_default()
    }

    /// Definition levels.
    pub(super) fn definition(&self) -> &[u8] {
        self.bytes.get(self.definition.clone()).unwrap_or_default()
    }

    /// Values that are not null.
    pub(super) fn data(&self) -> &[u8] {
        self.bytes.get(self.data..).unwrap_or_default()
    }

    /// Bytes it takes in memory.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity()
    }
}

impl Dictionary {
    /// The dictionary that `stored`, header included, is.
    pub(super) fn read(stored: &[u8], leaf: &Leaf, compression: Compression) -> Result<Self, ParquetError> {
        let header = PageHeader::read(stored)?;
        if header.kind != PageKind::Dictionary {
            return Err(damaged("values stand where a dictionary should"));
        }
        let mut bytes = Vec::new();
        decompress(body(stored, &header)?, header.bytes, compression, &mut bytes)?;
        let short = || damaged("a dictionary is shorter than it says");
        let (mut places, mut width) = (Vec::new(), 0);
        match leaf.kind {
            Kind::Fixed(each) => {
                width = each;
                if header.values.checked_mul(each).is_none_or(|all| all > bytes.len()) {
                    return Err(short());
                }
            }
            Kind::Bytes => {
                let mut at = 0_usize;
                // Each takes four bytes at least, so that what is promised cannot take more memory than there is.
                places.reserve(header.values.min(bytes.len() / 4));
                for _ in 0..header.values {
                    let length = length_at(&bytes, at).ok_or_else(short)?;
                    let (begin, end) = (at + 4, (at + 4).checked_add(length).ok_or_else(short)?);
                    bytes.get(begin..end).ok_or_else(short)?;
                    places.push((begin as u32, end as u32));
                    at = end;
                }
            }
            Kind::Boolean => return Err(damaged("booleans have no dictionaries")),
        }
        Ok(Self { bytes, places, width })
    }

    /// A value of fixed width.
    pub(super) fn fixed(&self, index: u32) -> Option<&[u8]> {
        let begin = (index as usize).checked_mul(self.width)?;
        self.bytes.get(begin..begin + self.width)
    }

    /// A value of its own length.
    pub(super) fn bytes(&self, index: u32) -> Option<&[u8]> {
        let (begin, end) = self.places.get(index as usize)?;
        self.bytes.get(*begin as usize..*end as usize)
    }

    /// Bytes it takes in memory.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity() + self.places.capacity() * size_of::<(u32, u32)>()
    }
}

/// The length that stands before a value.
pub(super) fn length_at(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*length) as usize)
}

/// The stored bytes behind a header, if they are what was written.
fn body<'a>(stored: &'a [u8], header: &PageHeader) -> Result<&'a [u8], ParquetError> {
    let body = stored
        .get(header.length..header.length + header.stored)
        .ok_or_else(|| damaged("a page is longer than the page index says"))?;
    match header.checksum {
        Some(checksum) if crc32fast::hash(body) != checksum => Err(damaged("a page does not have its checksum")),
        _ => Ok(body),
    }
}

/// Puts the plain bytes of `stored` into an empty buffer.
fn decompress(stored: &[u8], most: usize, compression: Compression, bytes: &mut Vec<u8>) -> Result<(), ParquetError> {
    match compression {
        Compression::UNCOMPRESSED => {
            bytes.extend_from_slice(stored);
            Ok(())
        }
        // Nothing may be stored as nothing.
        _ if stored.is_empty() && most == 0 => Ok(()),
        _ => {
            bytes.reserve_exact(most);
            let done = ZSTD.with_borrow_mut(|zstd| zstd.decompress_to_buffer(stored, bytes));
            match done {
                Ok(_) if bytes.len() == most => Ok(()),
                Ok(_) => Err(damaged("a page is not as long as it says")),
                Err(error) => Err(ParquetError::General(format!("a page cannot be decompressed: {error}"))),
            }
        }
    }
}

/// The levels that stand before the values, with their length before them; none where there is but one level.
fn levels(bytes: &[u8], at: &mut usize, most: u8) -> Result<Range<usize>, ParquetError> {
    if most == 0 {
        return Ok(0..0);
    }
    let short = || damaged("a page is shorter than its levels");
    let begin = *at + 4;
    let end = length_at(bytes, *at).and_then(|length| begin.checked_add(length)).ok_or_else(short)?;
    if end > bytes.len() {
        return Err(short());
    }
    *at = end;
    Ok(begin..end)
}
