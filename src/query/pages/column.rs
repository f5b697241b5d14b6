//! Wanted rows of pages become one array.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Decimal128Array, ListArray, PrimitiveArray,
        StringArray,
    },
    buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};
use parquet::errors::ParquetError;

use super::{
    hybrid::Hybrid,
    page::{Dictionary, Page, damaged},
    shape::Leaf,
    values::{Cursor, Sink},
};

/// A column under way.
pub(super) struct Builder<'a> {
    leaf: &'a Leaf,
    sink: Sink,
    /// Which values are there.
    valid: BooleanBufferBuilder,
    list: Option<Lists>,
}

struct Lists {
    offsets: Vec<i32>,
    valid: BooleanBufferBuilder,
}

impl<'a> Builder<'a> {
    /// For about `rows` rows.
    pub(super) fn new(leaf: &'a Leaf, rows: usize) -> Self {
        let list = leaf.list.as_ref().map(|_| {
            let mut offsets = Vec::with_capacity(rows + 1);
            offsets.push(0);
            Lists { offsets, valid: BooleanBufferBuilder::new(rows) }
        });
        Self { leaf, sink: Sink::new(leaf.kind, rows), valid: BooleanBufferBuilder::new(rows), list }
    }

    /// Adds these rows of a page: ranges in order, within its `rows` rows.
    pub(super) fn page(
        &mut self,
        page: &Page,
        dictionary: Option<&Dictionary>,
        rows: usize,
        wanted: &[Range<usize>],
    ) -> Result<(), ParquetError> {
        let cursor = Cursor::new(page, self.leaf.kind, dictionary);
        let done = cursor.and_then(|cursor| match self.list {
            None => self.flat(page, cursor, rows, wanted),
            Some(_) => self.lists(page, cursor, rows, wanted),
        });
        done.ok_or_else(|| damaged("a page does not hold the values it promises"))
    }

    fn flat(&mut self, page: &Page, mut cursor: Cursor<'_>, rows: usize, wanted: &[Range<usize>]) -> Option<()> {
        (page.values == rows).then_some(())?;
        let valid = match self.leaf.most_defined {
            0 => None,
            _ => Some(Hybrid::new(page.definition(), 1)?.bits(rows)?).filter(BooleanBuffer::has_false),
        };
        let mut at = 0;
        for range in wanted {
            let (skipped, taken) = (range.start.checked_sub(at)?, range.end.checked_sub(range.start)?);
            match &valid {
                None => {
                    cursor.skip(skipped)?;
                    cursor.take(taken, &mut self.sink)?;
                    self.valid.append_n(taken, true);
                }
                Some(valid) => {
                    cursor.skip(valid.slice(at, skipped).count_set_bits())?;
                    let here = valid.slice(range.start, taken);
                    cursor.take_where(&here, &mut self.sink)?;
                    self.valid.append_buffer(&here);
                }
            }
            at = range.end;
        }
        Some(())
    }

    fn lists(&mut self, page: &Page, mut cursor: Cursor<'_>, rows: usize, wanted: &[Range<usize>]) -> Option<()> {
        let (lists, (_, empty)) = (self.list.as_mut()?, self.leaf.list.as_ref()?);
        let entries = page.values;
        // A row begins where nothing is repeated.
        let repeated = Hybrid::new(page.repetition(), 1)?.bits(entries)?;
        (entries == 0 || !repeated.value(0)).then_some(())?;
        (entries - repeated.count_set_bits() == rows).then_some(())?;
        let last = nth_zero(&repeated, wanted.last()?.end).unwrap_or(entries);
        let most = self.leaf.most_defined;
        let mut levels: Vec<u8> = Vec::with_capacity(last);
        Hybrid::new(page.definition(), u32::from(8 - most.leading_zeros() as u8))?.each(last, |level, times| {
            let level = u8::try_from(level).ok()?;
            levels.extend(std::iter::repeat_n(level, times));
            (level <= most).then_some(())
        })?;
        let mut at = 0;
        for range in wanted {
            let begin = nth_zero(&repeated, range.start).unwrap_or(entries);
            let end = nth_zero(&repeated, range.end).unwrap_or(entries);
            let before = levels.get(at..begin)?.iter().filter(|level| **level == most).count();
            cursor.skip(before)?;
            let (mut first, mut present) = (true, 0);
            let mut items = *lists.offsets.last()?;
            for (entry, level) in levels.get(begin..end)?.iter().enumerate() {
                if !repeated.value(begin + entry) {
                    if !first {
                        lists.offsets.push(items);
                    }
                    first = false;
                    lists.valid.append(*level >= *empty);
                }
                if level > empty {
                    items = items.checked_add(1)?;
                    let there = *level == most;
                    if there {
                        present += 1;
                    } else {
                        // What came before the null is copied first.
                        cursor.take(present, &mut self.sink)?;
                        present = 0;
                        self.sink.nulls(1)?;
                    }
                    self.valid.append(there);
                }
            }
            cursor.take(present, &mut self.sink)?;
            if !first {
                lists.offsets.push(items);
            }
            at = end;
        }
        Some(())
    }

    /// The array.
    pub(super) fn finish(mut self) -> Result<ArrayRef, ParquetError> {
        let values = array(self.sink, &self.leaf.values, nulls(&mut self.valid))?;
        let (Some(mut lists), Some((item, _))) = (self.list, &self.leaf.list) else { return Ok(values) };
        let offsets = OffsetBuffer::new(ScalarBuffer::from(lists.offsets));
        Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls(&mut lists.valid))?))
    }
}

fn nulls(valid: &mut BooleanBufferBuilder) -> Option<NullBuffer> {
    Some(NullBuffer::new(valid.finish())).filter(|nulls| nulls.null_count() > 0)
}

/// The place of the `n`th zero, counted from 0.
fn nth_zero(bits: &BooleanBuffer, mut n: usize) -> Option<usize> {
    let chunks = bits.bit_chunks();
    let rest =
        std::iter::once(chunks.remainder_bits() | u64::MAX.checked_shl(chunks.remainder_len() as u32).unwrap_or(0));
    for (at, word) in chunks.iter().chain(rest).enumerate() {
        let zeros = word.count_zeros() as usize;
        if n < zeros {
            let mut free = !word;
            for _ in 0..n {
                free &= free - 1;
            }
            return Some(at * 64 + free.trailing_zeros() as usize);
        }
        n -= zeros;
    }
    None
}

fn array(sink: Sink, kind: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef, ParquetError> {
    Ok(match (sink, kind) {
        (Sink::Boolean(mut bits), DataType::Boolean) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
        (Sink::Fixed { out, width }, kind) => match kind {
            DataType::Int32 => primitive::<Int32Type>(out.into(), nulls)?,
            DataType::Date32 => primitive::<Date32Type>(out.into(), nulls)?,
            DataType::Float32 => primitive::<Float32Type>(out.into(), nulls)?,
            DataType::Int64 => primitive::<Int64Type>(out.into(), nulls)?,
            DataType::Float64 => primitive::<Float64Type>(out.into(), nulls)?,
            DataType::Timestamp(_, zone) => {
                let array =
                    PrimitiveArray::<TimestampMicrosecondType>::try_new(ScalarBuffer::from(Buffer::from(out)), nulls)?;
                Arc::new(array.with_timezone_opt(zone.clone()))
            }
            DataType::Decimal128(precision, scale) => {
                let values: Vec<i128> = match (width, Buffer::from(out)) {
                    (4, bytes) => bytes.typed_data::<i32>().iter().map(|value| i128::from(*value)).collect(),
                    (8, bytes) => bytes.typed_data::<i64>().iter().map(|value| i128::from(*value)).collect(),
                    (width, bytes) => bytes.chunks_exact(width).map(big_endian).collect(),
                };
                let array = Decimal128Array::try_new(values.into(), nulls)?;
                Arc::new(array.with_precision_and_scale(*precision, *scale)?)
            }
            _ => return Err(damaged("a column of no known type")),
        },
        (Sink::Bytes { offsets, out }, DataType::Utf8) => {
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            Arc::new(StringArray::try_new(offsets, out.into(), nulls)?)
        }
        (Sink::Bytes { offsets, out }, DataType::Binary) => {
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            Arc::new(BinaryArray::try_new(offsets, out.into(), nulls)?)
        }
        _ => return Err(damaged("a column of no known type")),
    })
}

fn primitive<T: ArrowPrimitiveType>(bytes: Buffer, nulls: Option<NullBuffer>) -> Result<ArrayRef, ParquetError> {
    Ok(Arc::new(PrimitiveArray::<T>::try_new(ScalarBuffer::from(bytes), nulls)?))
}

fn big_endian(bytes: &[u8]) -> i128 {
    let sign = bytes.first().map_or(0, |first| if first & 0x80 == 0 { 0 } else { -1 });
    bytes.iter().fold(sign, |value, byte| (value << 8) | i128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_counted_through_words() {
        let bits = BooleanBuffer::collect_bool(200, |at| at % 3 == 0);
        let zeros: Vec<usize> = (0..200).filter(|at| at % 3 != 0).collect();
        for (n, at) in zeros.iter().enumerate() {
            assert_eq!(nth_zero(&bits, n), Some(*at));
            assert_eq!(
                nth_zero(&bits.slice(65, 135), n),
                zeros.iter().filter(|at| **at >= 65).nth(n).map(|at| at - 65)
            );
        }
        assert_eq!(nth_zero(&bits, zeros.len()), None);
    }

    #[test]
    fn big_endian_numbers_keep_their_sign() {
        assert_eq!(big_endian(&[0xff, 0xfe]), -2);
        assert_eq!(big_endian(&[0x7f, 0x01]), 0x7f01);
    }
}
