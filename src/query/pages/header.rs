//! Headers of pages and of bloom filters, the Thrift structures that stand outside a footer.
//!
//! Compact protocol (parquet-format, `PageHeader` and `BloomFilterHeader`); fields that are not needed are skipped.

use parquet::{basic::Encoding, errors::ParquetError};

/// Deepest nesting that is skipped; the format's own is two.
const DEEPEST: u32 = 8;
/// No page of ours is near this size: what says so is damaged.
const LARGEST_PAGE: i64 = 1 << 30;

/// What kind of page it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageKind {
    /// Levels and values are compressed together.
    One,
    /// Levels lie before the values, uncompressed: their bytes, and whether the values are compressed.
    Two { definition: usize, repetition: usize, compressed: bool },
    /// A dictionary.
    Dictionary,
}

/// What a page says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) kind: PageKind,
    /// Values, nulls included; entries of lists, not rows.
    pub(super) values: usize,
    pub(super) encoding: Encoding,
    /// Bytes of the body once decompressed.
    pub(super) bytes: usize,
    /// Bytes of the body as stored.
    pub(super) stored: usize,
    /// CRC-32 of the body as stored.
    pub(super) checksum: Option<u32>,
    /// Bytes of this header.
    pub(super) length: usize,
}

impl PageHeader {
    /// The header that `bytes` begin with.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ParquetError> {
        Self::parse(bytes).ok_or_else(|| ParquetError::General("a page's header cannot be read".into()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut thrift = Thrift { bytes, at: 0 };
        let (mut page, mut sizes, mut checksum) = (None, [None; 2], None);
        let mut kind = None;
        let (mut values, mut encoding) = (None, None);
        let mut field = 0;
        while let Some(wire) = thrift.field(&mut field)? {
            match (field, wire) {
                (1, I32) => page = Some(thrift.number()?),
                (2 | 3, I32) => {
                    let size = thrift.number().filter(|size| (0..=LARGEST_PAGE).contains(size))?;
                    *sizes.get_mut(field as usize - 2)? = usize::try_from(size).ok();
                }
                (4, I32) => checksum = Some(thrift.number()? as i32 as u32),
                (5 | 7 | 8, STRUCT) => {
                    let outer = field;
                    let mut inner = 0;
                    let (mut definition, mut repetition, mut compressed) = (0, 0, true);
                    while let Some(wire) = thrift.field(&mut inner)? {
                        match (outer, inner, wire) {
                            (_, 1, I32) => values = thrift.size(),
                            (5 | 7, 2, I32) | (8, 4, I32) => encoding = thrift.number(),
                            (8, 5, I32) => definition = thrift.size()?,
                            (8, 6, I32) => repetition = thrift.size()?,
                            (8, 7, TRUE | FALSE) => compressed = wire == TRUE,
                            _ => thrift.skip(wire, DEEPEST)?,
                        }
                    }
                    kind = Some(match outer {
                        5 => PageKind::One,
                        7 => PageKind::Dictionary,
                        _ => PageKind::Two { definition, repetition, compressed },
                    });
                }
                _ => thrift.skip(wire, DEEPEST)?,
            }
        }
        let kind = kind?;
        let said = match kind {
            PageKind::One => 0,
            PageKind::Dictionary => 2,
            PageKind::Two { .. } => 3,
        };
        (page == Some(said)).then_some(())?;
        let [bytes, stored] = sizes;
        Some(Self {
            kind,
            values: values?,
            encoding: encoding_of(encoding?)?,
            bytes: bytes?,
            stored: stored?,
            checksum,
            length: thrift.at,
        })
    }
}

/// Bytes of a bloom filter's bits, and of the header before them. `None` when it is not the one kind there is.
pub(super) fn bloom_filter(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut thrift = Thrift { bytes, at: 0 };
    let mut size = None;
    let mut field = 0;
    while let Some(wire) = thrift.field(&mut field)? {
        match (field, wire) {
            (1, I32) => size = thrift.size(),
            // Algorithm, hash and compression are unions with one known member each, the first.
            (2..=4, STRUCT) => {
                let mut member = 0;
                let wire = thrift.field(&mut member)??;
                (member == 1).then_some(())?;
                thrift.skip(wire, DEEPEST)?;
                thrift.field(&mut member)?.is_none().then_some(())?;
            }
            _ => thrift.skip(wire, DEEPEST)?,
        }
    }
    size.filter(|size| *size > 0 && size.is_multiple_of(32)).map(|size| (size, thrift.at))
}

fn encoding_of(number: i64) -> Option<Encoding> {
    Some(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        8 => Encoding::RLE_DICTIONARY,
        // Chunks with others are not read here.
        _ => return None,
    })
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;

/// A cursor over compact Thrift; `None` where the bytes are none.
struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at)?;
        self.at += 1;
        Some(*byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn number(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn size(&mut self) -> Option<usize> {
        self.number().filter(|size| *size <= LARGEST_PAGE).and_then(|size| usize::try_from(size).ok())
    }

    /// The wire type of the next field, whose number is put into `field`; inside, `None` at the end of the structure.
    #[allow(clippy::option_option, reason = "the outer one is damage, as everywhere here")]
    fn field(&mut self, field: &mut i64) -> Option<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Some(None);
        }
        *field = match head >> 4 {
            0 => self.number()?,
            step => field.checked_add(i64::from(step))?,
        };
        Some(Some(head & 0x0f))
    }

    fn skip(&mut self, wire: u8, deep: u32) -> Option<()> {
        let deep = deep.checked_sub(1)?;
        match wire {
            TRUE | FALSE => {}
            BYTE => self.at += 1,
            I16 | I32 | I64 => {
                self.varint()?;
            }
            DOUBLE => self.at += 8,
            BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.at = self.at.checked_add(length)?;
            }
            LIST | SET => {
                let head = self.byte()?;
                let items = match head >> 4 {
                    15 => self.varint()?,
                    items => u64::from(items),
                };
                let wire = head & 0x0f;
                // Booleans in lists take a byte each.
                let wire = if matches!(wire, TRUE | FALSE) { BYTE } else { wire };
                for _ in 0..items {
                    self.skip(wire, deep)?;
                    (self.at <= self.bytes.len()).then_some(())?;
                }
            }
            STRUCT => {
                let mut field = 0;
                while let Some(wire) = self.field(&mut field)? {
                    self.skip(wire, deep)?;
                }
            }
            _ => return None,
        }
        (self.at <= self.bytes.len()).then_some(())
    }
}
