//! Numbers from text, exactly or not at all: integers, decimals and floats, with spaces around them ignored.

use std::borrow::Cow;

/// Why a value does not fit.
pub(crate) type Reason = Cow<'static, str>;

const NO_NUMBER: Reason = Cow::Borrowed("not a number");
const OUT_OF_RANGE: Reason = Cow::Borrowed("out of range");
const FRACTION: Reason = Cow::Borrowed("has a fraction");

/// A whole number; `3.0` and `1e3` are whole, `3.5` is not.
pub(crate) fn int64(text: &[u8]) -> Result<i64, Reason> {
    if let Some(value) = digits(text) {
        return Ok(value);
    }
    let value = scaled(text, 0).map_err(|error| match error {
        Misfit::Inexact => FRACTION,
        Misfit::TooLarge => OUT_OF_RANGE,
        Misfit::NoNumber => Cow::Borrowed("not a whole number"),
    })?;
    i64::try_from(value).map_err(|_| OUT_OF_RANGE)
}

/// A whole number of 32 bits.
pub(crate) fn int32(text: &[u8]) -> Result<i32, Reason> {
    int64(text)?.try_into().map_err(|_| OUT_OF_RANGE)
}

/// The common case: an optional sign and at most 18 digits.
fn digits(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// A float of 64 bits: the nearest one. `NaN`, `inf` and `infinity` in any case are floats; what overflows is not.
pub(crate) fn float64(text: &[u8]) -> Result<f64, Reason> {
    let text = std::str::from_utf8(text).map_err(|_| NO_NUMBER)?.trim_ascii();
    let value: f64 = text.parse().map_err(|_| NO_NUMBER)?;
    if value.is_infinite() && has_digit(text) { Err(OUT_OF_RANGE) } else { Ok(value) }
}

/// A float of 32 bits.
pub(crate) fn float32(text: &[u8]) -> Result<f32, Reason> {
    let text = std::str::from_utf8(text).map_err(|_| NO_NUMBER)?.trim_ascii();
    let value: f32 = text.parse().map_err(|_| NO_NUMBER)?;
    if value.is_infinite() && has_digit(text) { Err(OUT_OF_RANGE) } else { Ok(value) }
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// A decimal of that precision and scale, as its unscaled integer.
pub(crate) fn decimal(text: &[u8], precision: u8, scale: i8) -> Result<i128, Reason> {
    let value = scaled(text, i32::from(scale)).map_err(|error| match error {
        Misfit::Inexact => Cow::Owned(format!("has more than {scale} decimal places")),
        Misfit::TooLarge => OUT_OF_RANGE,
        Misfit::NoNumber => NO_NUMBER,
    })?;
    let limit = 10_i128.checked_pow(precision.into()).unwrap_or(i128::MAX);
    if value.checked_abs().is_none_or(|value| value >= limit) { Err(OUT_OF_RANGE) } else { Ok(value) }
}

/// Why a number has no exact scaled form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// The text is no number.
    NoNumber,
    /// It does not fit 128 bits.
    TooLarge,
    /// Digits other than zero would be lost.
    Inexact,
}

/// `text × 10^scale`, if that is a whole number.
pub(crate) fn scaled(text: &[u8], scale: i32) -> Result<i128, Misfit> {
    let (value, lost) = cut(text, scale)?;
    if lost { Err(Misfit::Inexact) } else { Ok(value) }
}

/// `text × 10^scale` rounded towards zero, and whether digits other than zero were lost by that.
pub(crate) fn cut(text: &[u8], scale: i32) -> Result<(i128, bool), Misfit> {
    let text = text.trim_ascii();
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = match at {
        None => (text, 0),
        Some(at) => (text.get(..at).unwrap_or_default(), exponent(text.get(at + 1..).unwrap_or_default())?),
    };
    let point = mantissa.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        None => (mantissa, &[][..]),
        Some(at) => (mantissa.get(..at).unwrap_or_default(), mantissa.get(at + 1..).unwrap_or_default()),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(Misfit::NoNumber);
    }
    // Digits before this place count, those after it are lost.
    let keep = whole.len() as i64 + i64::from(exponent) + i64::from(scale);
    let (mut value, mut lost, mut seen) = (0_i128, false, 0_i64);
    for byte in whole.iter().chain(fraction) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Misfit::NoNumber);
        }
        if seen < keep {
            value = times_ten(value).and_then(|value| value.checked_add(digit.into())).ok_or(Misfit::TooLarge)?;
        } else {
            lost |= digit != 0;
        }
        seen += 1;
    }
    while value != 0 && seen < keep {
        value = times_ten(value).ok_or(Misfit::TooLarge)?;
        seen += 1;
    }
    Ok((if negative { -value } else { value }, lost))
}

fn times_ten(value: i128) -> Option<i128> {
    value.checked_mul(10)
}

fn exponent(text: &[u8]) -> Result<i32, Misfit> {
    let text = std::str::from_utf8(text).map_err(|_| Misfit::NoNumber)?;
    if text.len() > 9 && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+')) {
        return Err(Misfit::TooLarge);
    }
    text.parse().map_err(|_| Misfit::NoNumber)
}

/// true/false, t/f, 0/1 in any case.
pub(crate) fn boolean(text: &[u8]) -> Result<bool, Reason> {
    let text = text.trim_ascii();
    match text {
        b"1" => Ok(true),
        b"0" => Ok(false),
        _ if text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"t") => Ok(true),
        _ if text.eq_ignore_ascii_case(b"false") || text.eq_ignore_ascii_case(b"f") => Ok(false),
        _ => Err(Cow::Borrowed("not one of true/false, t/f, 0/1")),
    }
}
