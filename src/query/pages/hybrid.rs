//! Parquet's mixture of run-length and bit-packed numbers: levels, dictionary indices and booleans.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;

/// A cursor over such numbers. `None` of its functions is damage: fewer numbers than were promised.
#[derive(Debug)]
pub(super) struct Hybrid<'a> {
    bytes: &'a [u8],
    /// Bits of a number.
    width: u32,
    run: Run<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Run<'a> {
    Repeated {
        value: u32,
        left: usize,
    },
    /// Numbers from bit `at` of the bytes on.
    Packed {
        bytes: &'a [u8],
        at: usize,
        left: usize,
    },
}

/// Numbers that stand side by side: one value so often, or bits.
enum Piece<'a> {
    Repeated { value: u32, count: usize },
    Packed { bytes: &'a [u8], at: usize, count: usize },
}

impl<'a> Hybrid<'a> {
    /// Numbers of `width` bits; `None` when no number has so many.
    pub(super) fn new(bytes: &'a [u8], width: u32) -> Option<Self> {
        (width <= 32).then_some(Self { bytes, width, run: Run::Repeated { value: 0, left: 0 } })
    }

    fn begin_run(&mut self) -> Option<()> {
        let mut header = 0_u64;
        let mut shift = 0;
        loop {
            let (byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            header |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            (shift < 35).then_some(())?;
        }
        let count = usize::try_from(header >> 1).ok()?;
        if header & 1 == 0 {
            let bytes = self.width.div_ceil(8) as usize;
            let (value, rest) = self.bytes.split_at_checked(bytes)?;
            self.bytes = rest;
            let value = value.iter().rev().fold(0, |all, byte| (all << 8) | u32::from(*byte));
            self.run = Run::Repeated { value, left: count };
        } else {
            let left = count.checked_mul(8)?;
            let bytes = count.checked_mul(self.width as usize)?;
            // The last run may be cut short where its padding would be.
            let (bytes, rest) = self.bytes.split_at(bytes.min(self.bytes.len()));
            self.bytes = rest;
            self.run = Run::Packed { bytes, at: 0, left };
        }
        Some(())
    }

    /// The next numbers, at most `most` (not 0) of them.
    fn piece(&mut self, most: usize) -> Option<Piece<'a>> {
        loop {
            match &mut self.run {
                Run::Repeated { left: 0, .. } | Run::Packed { left: 0, .. } => self.begin_run()?,
                Run::Repeated { value, left } => {
                    let count = most.min(*left);
                    *left -= count;
                    return Some(Piece::Repeated { value: *value, count });
                }
                Run::Packed { bytes, at, left } => {
                    let (count, from) = (most.min(*left), *at);
                    *left -= count;
                    *at += count * self.width as usize;
                    (*at <= bytes.len() * 8).then_some(())?;
                    return Some(Piece::Packed { bytes, at: from, count });
                }
            }
        }
    }

    /// Leaves out `count` numbers.
    pub(super) fn skip(&mut self, mut count: usize) -> Option<()> {
        while count > 0 {
            count -= match self.piece(count)? {
                Piece::Repeated { count, .. } | Piece::Packed { count, .. } => count,
            };
        }
        Some(())
    }

    /// Hands `count` numbers to `each`, in order; repeated ones at once.
    pub(super) fn each(&mut self, mut count: usize, mut each: impl FnMut(u32, usize) -> Option<()>) -> Option<()> {
        while count > 0 {
            match self.piece(count)? {
                Piece::Repeated { value, count: taken } => {
                    each(value, taken)?;
                    count -= taken;
                }
                Piece::Packed { bytes, at, count: taken } => {
                    let width = self.width as usize;
                    let mask = (1_u64 << self.width) - 1;
                    for number in 0..taken {
                        let bit = at + number * width;
                        let value = (word(bytes, bit / 8) >> (bit % 8)) & mask;
                        each(value as u32, 1)?;
                    }
                    count -= taken;
                }
            }
        }
        Some(())
    }

    /// The next `count` numbers of one bit.
    pub(super) fn bits(&mut self, mut count: usize) -> Option<BooleanBuffer> {
        (self.width == 1).then_some(())?;
        let mut bits = BooleanBufferBuilder::new(count);
        while count > 0 {
            match self.piece(count)? {
                Piece::Repeated { value, count: taken } => {
                    bits.append_n(taken, value != 0);
                    count -= taken;
                }
                Piece::Packed { bytes, at, count: taken } => {
                    bits.append_packed_range(at..at + taken, bytes);
                    count -= taken;
                }
            }
        }
        Some(bits.finish())
    }
}

/// Eight bytes from `at` on as a number, zeros behind the end: enough for any number of at most 32 bits.
fn word(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => bytes.iter().skip(at).take(8).rev().fold(0, |all, byte| (all << 8) | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(bytes: &[u8], width: u32, skip: usize, count: usize) -> Option<Vec<u32>> {
        let mut hybrid = Hybrid::new(bytes, width)?;
        hybrid.skip(skip)?;
        let mut all = Vec::new();
        hybrid.each(count, |value, times| {
            all.extend(std::iter::repeat_n(value, times));
            Some(())
        })?;
        Some(all)
    }

    #[test]
    fn runs_and_packed_numbers_are_read_from_anywhere() {
        // Five times 3, then the eight numbers 0 to 7 of three bits (the format's own example).
        let bytes = [5 << 1, 3, 1 << 1 | 1, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        let all = [3, 3, 3, 3, 3, 0, 1, 2, 3, 4, 5, 6, 7];
        for skip in 0..all.len() {
            for count in 0..=all.len() - skip {
                assert_eq!(numbers(&bytes, 3, skip, count).as_deref(), all.get(skip..skip + count));
            }
        }
        assert_eq!(numbers(&bytes, 3, 0, 14), None);
        assert_eq!(numbers(&[], 3, 0, 1), None);
        assert_eq!(numbers(&[0xff; 9], 3, 0, 1), None);
    }

    #[test]
    fn numbers_without_bits_are_zeros() {
        assert_eq!(numbers(&[4 << 1], 0, 1, 3), Some(vec![0; 3]));
    }
}
