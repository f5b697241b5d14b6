//! Values of a column as answers show them.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
        Int64Array, StringArray, TimestampMicrosecondArray,
    },
    datatypes::DataType,
};
use serde_json::Value;

use super::{Frequent, tally::Seen};
use crate::query::encode;

/// Bytes of a text that is told whole.
const TOLD_BYTES: usize = 256;

/// The mean of values with that first one and that mean difference from it.
pub(super) fn mean(kind: &DataType, first: i128, rest: f64) -> Option<Value> {
    match kind {
        DataType::Date32 | DataType::Timestamp(..) => Some(integer(kind, first + rest.round() as i128, false)),
        _ => serde_json::Number::from_f64((first as f64 + rest) / unit(kind)).map(Value::Number),
    }
}

/// The integer that stands for one.
pub(super) fn unit(kind: &DataType) -> f64 {
    match kind {
        DataType::Decimal128(_, scale) => 10_f64.powi(i32::from(*scale)),
        DataType::Timestamp(..) => 1e6,
        _ => 1.0,
    }
}

/// An integer as a value of that type.
pub(super) fn integer(kind: &DataType, value: i128, wide: bool) -> Value {
    let (narrow, small) = (value as i64, value as i32);
    let array: ArrayRef = match kind {
        DataType::Boolean => Arc::new(BooleanArray::from(vec![value != 0])),
        DataType::Int32 => Arc::new(Int32Array::from(vec![small])),
        DataType::Date32 => Arc::new(Date32Array::from(vec![small])),
        DataType::Timestamp(_, zone) => {
            Arc::new(TimestampMicrosecondArray::from(vec![narrow]).with_timezone_opt(zone.clone()))
        }
        DataType::Decimal128(precision, scale) => {
            match Decimal128Array::from(vec![value]).with_precision_and_scale(*precision, *scale) {
                Ok(array) => Arc::new(array),
                Err(_) => return Value::Null,
            }
        }
        _ => Arc::new(Int64Array::from(vec![narrow])),
    };
    encode::value(&array, 0, wide)
}

/// A float as a value of that type.
pub(super) fn float(kind: &DataType, value: f64) -> Value {
    match kind {
        DataType::Float32 => encode::value(&Float32Array::from(vec![value as f32]), 0, false),
        _ => encode::value(&Float64Array::from(vec![value]), 0, false),
    }
}

pub(super) fn frequent(kind: &DataType, seen: &Seen, count: u64, wide: bool) -> Frequent {
    let (value, bytes) = match seen {
        Seen::Integer(value) => (integer(kind, *value, wide), None),
        Seen::Float(value) => (float(kind, *value), None),
        Seen::Bytes(kept, length) => {
            let cut = *length > TOLD_BYTES as u64;
            let mut shown = if cut { kept.get(..TOLD_BYTES).unwrap_or(kept) } else { kept };
            let value = if *kind == DataType::Binary {
                encode::value(&BinaryArray::from_vec(vec![shown]), 0, false)
            } else {
                // A cut may fall inside a character: what is before it is shown.
                if let Err(error) = std::str::from_utf8(shown) {
                    shown = shown.get(..error.valid_up_to()).unwrap_or_default();
                }
                encode::value(&StringArray::from(vec![std::str::from_utf8(shown).unwrap_or_default()]), 0, false)
            };
            (value, cut.then_some(*length))
        }
    };
    Frequent { value, count, bytes }
}
