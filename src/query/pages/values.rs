//! Values out of pages: cursors over what a page holds, and the buffers they are copied to.
//!
//! `None` is damage everywhere here: a page that ends before the values it promises.

use arrow::{
    array::BooleanBufferBuilder,
    buffer::{BooleanBuffer, MutableBuffer},
};

use super::{
    hybrid::Hybrid,
    page::{Dictionary, Page, Values, length_at},
    shape::Kind,
};

/// Values that are not null, from the first one of a page on.
pub(super) enum Cursor<'a> {
    Bits { bits: &'a [u8], at: usize },
    Runs(Hybrid<'a>),
    Fixed { bytes: &'a [u8], width: usize, at: usize },
    Bytes { bytes: &'a [u8], at: usize },
    Indices { indices: Hybrid<'a>, dictionary: &'a Dictionary },
}

impl<'a> Cursor<'a> {
    pub(super) fn new(page: &'a Page, kind: Kind, dictionary: Option<&'a Dictionary>) -> Option<Self> {
        let bytes = page.data();
        Some(match (page.encoding, kind) {
            (Values::Plain, Kind::Boolean) => Self::Bits { bits: bytes, at: 0 },
            (Values::Plain, Kind::Fixed(width)) => Self::Fixed { bytes, width, at: 0 },
            (Values::Plain, Kind::Bytes) => Self::Bytes { bytes, at: 0 },
            (Values::Runs, _) => Self::Runs(Hybrid::new(bytes.get(4..)?, 1)?),
            (Values::Indices, _) => {
                let dictionary = dictionary?;
                // A page of nulls only may lack even the width of indices.
                let (width, rest) = bytes.split_first().unwrap_or((&0, &[]));
                Self::Indices { indices: Hybrid::new(rest, u32::from(*width))?, dictionary }
            }
        })
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        match self {
            Self::Bits { at, .. } => *at += count,
            Self::Fixed { width, at, .. } => *at = at.checked_add(count.checked_mul(*width)?)?,
            Self::Bytes { bytes, at } => {
                for _ in 0..count {
                    *at = length_at(bytes, *at)?.checked_add(*at + 4)?;
                }
            }
            Self::Runs(numbers) | Self::Indices { indices: numbers, .. } => numbers.skip(count)?,
        }
        Some(())
    }

    /// Copies the next `count` values.
    pub(super) fn take(&mut self, count: usize, sink: &mut Sink) -> Option<()> {
        match (self, sink) {
            (Self::Bits { bits, at }, Sink::Boolean(out)) => {
                (*at + count <= bits.len() * 8).then_some(())?;
                out.append_packed_range(*at..*at + count, bits);
                *at += count;
            }
            (Self::Runs(runs), Sink::Boolean(out)) => out.append_buffer(&runs.bits(count)?),
            (Self::Fixed { bytes, width, at }, Sink::Fixed { out, .. }) => {
                let end = at.checked_add(count.checked_mul(*width)?)?;
                out.extend_from_slice(bytes.get(*at..end)?);
                *at = end;
            }
            (Self::Bytes { bytes, at }, Sink::Bytes { offsets, out }) => {
                for _ in 0..count {
                    let begin = *at + 4;
                    let end = begin.checked_add(length_at(bytes, *at)?)?;
                    out.extend_from_slice(bytes.get(begin..end)?);
                    offsets.push(i32::try_from(out.len()).ok()?);
                    *at = end;
                }
            }
            (Self::Indices { indices, dictionary }, Sink::Fixed { out, .. }) => {
                indices.each(count, |index, times| {
                    let value = dictionary.fixed(index)?;
                    (0..times).for_each(|_| out.extend_from_slice(value));
                    Some(())
                })?;
            }
            (Self::Indices { indices, dictionary }, Sink::Bytes { offsets, out }) => {
                indices.each(count, |index, times| {
                    let value = dictionary.bytes(index)?;
                    for _ in 0..times {
                        out.extend_from_slice(value);
                        offsets.push(i32::try_from(out.len()).ok()?);
                    }
                    Some(())
                })?;
            }
            _ => return None,
        }
        Some(())
    }

    /// Copies as many values as `valid` has set bits, with nulls where it has none.
    pub(super) fn take_where(&mut self, valid: &BooleanBuffer, sink: &mut Sink) -> Option<()> {
        let mut done = 0;
        for (begin, end) in valid.set_slices() {
            sink.nulls(begin - done)?;
            self.take(end - begin, sink)?;
            done = end;
        }
        sink.nulls(valid.len() - done)
    }
}

/// Where values of a column are gathered; nulls take the room of a value.
pub(super) enum Sink {
    Boolean(BooleanBufferBuilder),
    Fixed { width: usize, out: MutableBuffer },
    Bytes { offsets: Vec<i32>, out: MutableBuffer },
}

impl Sink {
    /// Room for about `rows` values.
    pub(super) fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Boolean => Self::Boolean(BooleanBufferBuilder::new(rows)),
            Kind::Fixed(width) => Self::Fixed { width, out: MutableBuffer::new(rows.saturating_mul(width)) },
            Kind::Bytes => {
                let mut offsets = Vec::with_capacity(rows + 1);
                offsets.push(0);
                Self::Bytes { offsets, out: MutableBuffer::new(rows.saturating_mul(8)) }
            }
        }
    }

    pub(super) fn nulls(&mut self, count: usize) -> Option<()> {
        match self {
            Self::Boolean(out) => out.append_n(count, false),
            Self::Fixed { width, out } => out.extend_zeros(count * *width),
            Self::Bytes { offsets, .. } => {
                let end = *offsets.last()?;
                offsets.extend(std::iter::repeat_n(end, count));
            }
        }
        Some(())
    }
}
