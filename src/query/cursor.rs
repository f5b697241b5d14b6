//! `cursor`: where a page ended, so that the next one goes on there and not from the beginning.
//!
//! A cursor names its snapshot, a fingerprint of what was asked, and one physical row; rows never move within a snapshot,
//! so it is valid as long as that is kept. It is opaque to clients and holds nothing secret: one that was made by hand can
//! only name another row.

use std::hash::Hasher;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use twox_hash::XxHash64;

use super::SliceError;

/// First byte of every cursor.
const VERSION: u8 = 1;
/// Version, four numbers, check.
const LENGTH: usize = 1 + 4 * 8 + 4;

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The snapshot it goes on in.
    pub snapshot: u64,
    /// See [`fingerprint`].
    pub query: u64,
    /// Rows on the pages before.
    pub offset: u64,
    /// In physical order: the first row of the next page, or one before it. In another order: the last row shown.
    pub row: u64,
}

/// What a cursor is bound to: the rows asked for and their order, as text in one normal form.
pub fn fingerprint(parts: &[&str]) -> u64 {
    let mut hasher = XxHash64::with_seed(0);
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part.as_bytes());
    }
    hasher.finish()
}

fn check(bytes: &[u8]) -> [u8; 4] {
    let mut hasher = XxHash64::with_seed(u64::from(VERSION));
    hasher.write(bytes);
    let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
    [a, b, c, d]
}

impl Cursor {
    /// As text for URLs.
    pub fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        for number in [self.snapshot, self.query, self.offset, self.row] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&check(&bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads one back.
    ///
    /// # Errors
    /// When it was not made by [`Self::encode`].
    pub fn decode(text: &str) -> Result<Self, SliceError> {
        let fault = || {
            SliceError::new(
                "cursor",
                "is not one that `next` of an answer gave; they are opaque and cannot be made or shortened",
            )
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| fault())?;
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(fault)?;
        if bytes.len() != LENGTH || body.first() != Some(&VERSION) || check(body) != *sum {
            return Err(fault());
        }
        let mut numbers =
            body.get(1..).unwrap_or_default().chunks_exact(8).filter_map(|c| c.try_into().ok()).map(u64::from_le_bytes);
        let mut next = || numbers.next().ok_or_else(fault);
        Ok(Self { snapshot: next()?, query: next()?, offset: next()?, row: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is() {
        let cursor = Cursor { snapshot: 7, query: fingerprint(&["a", "b"]), offset: 200, row: u64::MAX };
        let text = cursor.encode();
        assert_eq!(Cursor::decode(&text), Ok(cursor));
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["ab", ""]));
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert!(Cursor::decode(&String::from_utf8(other).expect("text")).is_err(), "{at}");
        }
        for wrong in ["", "abc", "====", "é", &format!("{text}A"), text.get(1..).unwrap_or_default()] {
            assert!(Cursor::decode(wrong).is_err(), "{wrong}");
        }
    }
}
