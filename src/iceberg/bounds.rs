//! Bounds of columns as Iceberg's manifests hold them: single values in binary form (specification, Appendix D), made from
//! the bounds in our file lists.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::Value;

use crate::catalog::ColumnType;

/// Which end of a range a bound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// No value is less.
    Lower,
    /// No value is greater.
    Upper,
}

/// A bound in binary; `None` where the type has none, or where it cannot be told.
pub fn single_value(kind: &ColumnType, value: &Value, side: Side) -> Option<Vec<u8>> {
    Some(match kind {
        ColumnType::Bool => vec![u8::from(value.as_bool()?)],
        ColumnType::Int32 => i32::try_from(integer(value)?).ok()?.to_le_bytes().to_vec(),
        ColumnType::Int64 => integer(value)?.to_le_bytes().to_vec(),
        ColumnType::Float32 => float32(value.as_f64()?, side).to_le_bytes().to_vec(),
        ColumnType::Float64 => float64(value.as_f64()?, side).to_le_bytes().to_vec(),
        ColumnType::Decimal(_, scale) => decimal(&text(value)?, *scale).map(minimal)?,
        ColumnType::Date => {
            let day = NaiveDate::parse_from_str(value.as_str()?, "%Y-%m-%d").ok()?;
            let days = day.signed_duration_since(NaiveDate::default()).num_days();
            i32::try_from(days).ok()?.to_le_bytes().to_vec()
        }
        ColumnType::Timestamp => {
            let time = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
            time.timestamp_micros().to_le_bytes().to_vec()
        }
        ColumnType::Datetime => {
            let time = NaiveDateTime::parse_from_str(value.as_str()?, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
            time.and_utc().timestamp_micros().to_le_bytes().to_vec()
        }
        ColumnType::Utf8 => value.as_str()?.as_bytes().to_vec(),
        ColumnType::Binary | ColumnType::Json | ColumnType::List(_) | ColumnType::Struct(_) | ColumnType::Map(_) => {
            return None;
        }
    })
}

/// Wide integers are text in all bounds of a column.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Some readers tell -0 from 0, and our bounds do not: the lower one is -0.
fn zero(side: Side) -> f64 {
    match side {
        Side::Lower => -0.0,
        Side::Upper => 0.0,
    }
}

fn float32(value: f64, side: Side) -> f32 {
    if value == 0.0 { zero(side) as f32 } else { value as f32 }
}

fn float64(value: f64, side: Side) -> f64 {
    if value == 0.0 { zero(side) } else { value }
}

/// The unscaled number of a decimal; `None` when it has more digits than the scale has room for.
fn decimal(text: &str, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let padding = scale.checked_sub(fraction.len())?;
    let all = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', padding));
    let mut number = 0_i128;
    for digit in all {
        let digit = i128::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    Some(if negative { -number } else { number })
}

/// Big-endian two's complement in as few bytes as hold it.
fn minimal(number: i128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let sign: u8 = if number < 0 { 0xff } else { 0 };
    let redundant = |pair: &[u8]| matches!(pair, [first, next] if *first == sign && (next ^ sign) & 0x80 == 0);
    let skipped = bytes.windows(2).take_while(|pair| redundant(pair)).count();
    bytes.get(skipped..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(kind: &str, value: &Value, side: Side) -> Option<String> {
        single_value(&kind.parse().expect("a type"), value, side).map(hex::encode)
    }

    #[test]
    fn values_have_the_binary_form_of_the_specification() {
        for (kind, json, expected) in [
            ("bool", json!(true), "01"),
            ("int32", json!(-2), "feffffff"),
            ("int64", json!(34), "2200000000000000"),
            ("int64", json!("9007199254740993"), "0100000000002000"),
            ("float32", json!(-4.5), "000090c0"),
            ("float64", json!(6.0), "0000000000001840"),
            ("decimal(9,2)", json!("14.20"), "058c"),
            ("decimal(9,2)", json!("1.28"), "0080"),
            ("decimal(9,2)", json!("-1.28"), "80"),
            ("decimal(38,0)", json!("-99999999999999999999999999999999999999"), "b4c4b357a5793b85f675ddc000000001"),
            ("decimal(9,2)", json!("0.00"), "00"),
            ("date", json!("1970-01-02"), "01000000"),
            ("date", json!("1969-12-31"), "ffffffff"),
            ("timestamp", json!("1970-01-01T00:00:00.000001Z"), "0100000000000000"),
            ("datetime", json!("1970-01-01T00:00:01"), "40420f0000000000"),
            ("utf8", json!("ÿx"), "c3bf78"),
        ] {
            assert_eq!(value(kind, &json, Side::Lower).as_deref(), Some(expected), "{kind} {json}");
        }
    }

    #[test]
    fn bounds_of_floats_are_the_floats_that_were_written() {
        let of = |json: &Value, side| {
            let bytes = single_value(&ColumnType::Float64, json, side).expect("a bound");
            f64::from_le_bytes(bytes.try_into().expect("eight bytes"))
        };
        assert!(of(&json!(0.0), Side::Lower).is_sign_negative() && of(&json!(-0.0), Side::Upper).is_sign_positive());
        let mut seed = 1_u64;
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let written = f64::from_bits(seed);
            if !written.is_finite() {
                continue;
            }
            let read: Value = serde_json::from_str(&json!(written).to_string()).expect("JSON");
            for side in [Side::Lower, Side::Upper] {
                assert_eq!(of(&read, side).to_bits(), written.to_bits(), "{written:e}");
            }
        }
    }

    #[test]
    fn what_cannot_be_told_has_no_bound() {
        for (kind, json) in [
            ("int32", json!(1_i64 << 40)),
            ("int64", json!(null)),
            ("float64", json!("NaN")),
            ("decimal(9,2)", json!("1.234")),
            ("decimal(9,2)", json!("1e5")),
            ("date", json!("yesterday")),
            ("timestamp", json!("2024-01-01T00:00:00")),
            ("json", json!("{}")),
            ("list<int32>", json!(1)),
        ] {
            assert_eq!(value(kind, &json, Side::Upper), None, "{kind} {json}");
        }
    }
}
