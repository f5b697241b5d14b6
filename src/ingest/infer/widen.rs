//! The narrowest type that holds the values of two.

use crate::catalog::ColumnType;

/// Digits of the largest whole numbers.
const INT32_DIGITS: u8 = 10;
const INT64_DIGITS: u8 = 19;
const MOST_DIGITS: u8 = 38;

/// The type that holds what either holds; `utf8` where only text does. `json` tells that the values are JSON, so that
/// nested beside plain ones stay JSON.
pub fn widen(a: &ColumnType, b: &ColumnType, json: bool) -> ColumnType {
    use ColumnType as T;
    match (a, b) {
        _ if a == b => a.clone(),
        (T::Int32 | T::Int64, T::Int32 | T::Int64) => T::Int64,
        (T::Int32 | T::Int64 | T::Float32 | T::Float64, T::Float32 | T::Float64)
        | (T::Float32 | T::Float64, T::Int32 | T::Int64) => T::Float64,
        (T::Decimal(..) | T::Int32 | T::Int64, T::Decimal(..) | T::Int32 | T::Int64) => decimal(a, b),
        (T::List(a), T::List(b)) => T::List(Box::new(widen(a, b, json))),
        (T::Map(a), T::Map(b)) => T::Map(Box::new(widen(a, b, json))),
        (T::Struct(a), T::Struct(b)) => T::Struct(fields(a, b, json)),
        (T::Json, _) | (_, T::Json) if json => T::Json,
        _ if json && (a.is_nested() || b.is_nested()) => T::Json,
        _ => T::Utf8,
    }
}

fn decimal(a: &ColumnType, b: &ColumnType) -> ColumnType {
    let places = |kind: &ColumnType| match kind {
        ColumnType::Decimal(precision, scale) => {
            let scale = u8::try_from(*scale).unwrap_or_default();
            (precision.saturating_sub(scale), scale)
        }
        ColumnType::Int32 => (INT32_DIGITS, 0),
        _ => (INT64_DIGITS, 0),
    };
    let ((whole_a, scale_a), (whole_b, scale_b)) = (places(a), places(b));
    let scale = scale_a.max(scale_b);
    let precision = whole_a.max(whole_b) + scale;
    if precision > MOST_DIGITS {
        return ColumnType::Utf8;
    }
    ColumnType::Decimal(precision, i8::try_from(scale).unwrap_or_default())
}

fn fields(a: &[(String, ColumnType)], b: &[(String, ColumnType)], json: bool) -> Vec<(String, ColumnType)> {
    let mut joined = a.to_vec();
    for (name, kind) in b {
        match joined.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = widen(known, kind, json),
            None => joined.push((name.clone(), kind.clone())),
        }
    }
    joined
}
