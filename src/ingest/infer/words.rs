//! What a single piece of text could be: the narrowest of our types that holds it without losing anything.

use crate::ingest::normalize::time;

/// A set of things values were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Words(u16);

impl Words {
    /// true or false.
    pub(crate) const BOOL: Self = Self(1);
    /// A whole number of 64 bits.
    pub(crate) const INT: Self = Self(2);
    /// One of those that a float of 64 bits does not hold exactly.
    pub(crate) const INEXACT: Self = Self(4);
    /// A number that a float of 64 bits holds as well as text can say it.
    pub(crate) const FLOAT: Self = Self(8);
    /// A number whose digits neither of them holds.
    pub(crate) const LONG: Self = Self(16);
    /// A day.
    pub(crate) const DATE: Self = Self(32);
    /// A time with a zone.
    pub(crate) const INSTANT: Self = Self(64);
    /// A time without one.
    pub(crate) const WALL: Self = Self(128);
    /// Anything else.
    pub(crate) const TEXT: Self = Self(256);

    pub(crate) const NONE: Self = Self(0);
    pub(crate) const NUMBERS: Self = Self(2 | 4 | 8 | 16);
    pub(crate) const STRINGS: Self = Self(32 | 64 | 128 | 256);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a text could be. Nothing, if it is blank: that is null in every column that is not text.
pub(crate) fn word(text: &[u8]) -> Words {
    let text = text.trim_ascii();
    match text.first() {
        None => Words::NONE,
        Some(b'0'..=b'9' | b'-' | b'.') => match number(text) {
            Some(Words::LONG) => Words::TEXT,
            Some(words) => words,
            None => moment(text),
        },
        Some(b't' | b'T' | b'f' | b'F')
            if text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"false") =>
        {
            Words::BOOL
        }
        Some(_) => Words::TEXT,
    }
}

/// A day, a time, or just text.
pub(crate) fn moment(text: &[u8]) -> Words {
    // Compact forms such as 20240401 are numbers first.
    if text.get(4) != Some(&b'-') {
        return Words::TEXT;
    }
    match time::iso(text) {
        Some(moment) if moment.cut => Words::TEXT,
        Some(moment) => match (moment.micros, moment.offset) {
            (None, _) => Words::DATE,
            (Some(_), Some(_)) => Words::INSTANT,
            (Some(_), None) => Words::WALL,
        },
        None => Words::TEXT,
    }
}

/// Digits beyond this many before the point, a fraction behind them is not safe in a float.
const SAFE_DIGITS: usize = 15;

/// A number in the form JSON and most programs write: no leading zeros, no plus sign. `None` if it is none.
pub(crate) fn number(text: &[u8]) -> Option<Words> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let whole = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if whole > 1 && unsigned.first() == Some(&b'0') {
        return None;
    }
    let mut rest = unsigned.get(whole..)?;
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix(b".") {
        fraction = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = after.get(fraction..)?;
    }
    if whole + fraction == 0 {
        return None;
    }
    let exponent = !rest.is_empty();
    if let [b'e' | b'E', digits @ ..] = rest {
        let digits = digits.strip_prefix(b"-").or(digits.strip_prefix(b"+")).unwrap_or(digits);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
    } else if exponent {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    if whole == text.trim_start_matches('-').len() {
        if text == "-0" {
            return Some(Words::FLOAT);
        }
        return Some(match text.parse::<i64>() {
            Ok(value) if is_exact(value) => Words::INT,
            Ok(_) => Words::INT.and(Words::INEXACT),
            Err(_) => Words::LONG,
        });
    }
    let value: f64 = text.parse().ok()?;
    Some(if value.is_finite() && (whole <= SAFE_DIGITS || exponent) { Words::FLOAT } else { Words::LONG })
}

fn is_exact(value: i64) -> bool {
    // Beyond 2^53 only multiples of two (four, eight …) are floats.
    i128::from(value) == (value as f64) as i128
}
