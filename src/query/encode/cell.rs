//! One value as text. Used by JSON for everything and by CSV for what is not plain text.

use std::{fmt::Write as _, io::Write as _};

use arrow::{
    array::{Array, AsArray},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
        TimestampMicrosecondType,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, NaiveDate, SecondsFormat};

/// Days from 0001-01-01 to 1970-01-01.
const EPOCH_DAYS: i32 = 719_163;

/// Appends the value as JSON. `wide` writes integers as text.
pub(super) fn json(out: &mut Vec<u8>, array: &dyn Array, row: usize, wide: bool) {
    if array.is_null(row) {
        out.extend_from_slice(b"null");
        return;
    }
    match array.data_type() {
        DataType::Utf8 => string(out, array.as_string::<i32>().value(row)),
        DataType::Boolean => out.extend_from_slice(if array.as_boolean().value(row) { b"true" } else { b"false" }),
        DataType::Int32 => number(out, array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => {
            let value = array.as_primitive::<Int64Type>().value(row);
            if wide {
                out.push(b'"');
                number(out, value);
                out.push(b'"');
            } else {
                number(out, value);
            }
        }
        // serde_json writes NaN and the infinities as null, and everything else as the shortest text that reads back.
        DataType::Float32 => value(out, &array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => value(out, &array.as_primitive::<Float64Type>().value(row)),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            out.push(b'[');
            for at in 0..items.len() {
                comma(out, at);
                json(out, &items, at, false);
            }
            out.push(b']');
        }
        DataType::Struct(fields) => {
            let array = array.as_struct();
            out.push(b'{');
            for (at, (field, column)) in fields.iter().zip(array.columns()).enumerate() {
                comma(out, at);
                string(out, field.name());
                out.push(b':');
                json(out, column, row, false);
            }
            out.push(b'}');
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            out.push(b'{');
            if let [keys, values, ..] = entries.columns() {
                for at in 0..entries.len() {
                    comma(out, at);
                    let mut key = String::new();
                    text(&mut key, keys, at);
                    string(out, &key);
                    out.push(b':');
                    json(out, values, at, false);
                }
            }
            out.push(b'}');
        }
        // Dates, times, decimals and binary are text.
        _ => {
            let mut plain = String::new();
            text(&mut plain, array, row);
            string(out, &plain);
        }
    }
}

/// Appends the value as plain text: what CSV shows, and what JSON shows in quotes. Nothing for null.
pub(super) fn text(out: &mut String, array: &dyn Array, row: usize) {
    if array.is_null(row) {
        return;
    }
    // Writing to a String cannot fail.
    let _written = match array.data_type() {
        DataType::Utf8 => out.write_str(array.as_string::<i32>().value(row)),
        DataType::Boolean => write!(out, "{}", array.as_boolean().value(row)),
        DataType::Int32 => write!(out, "{}", array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => write!(out, "{}", array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => float(out, &array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float(out, &array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => out.write_str(&array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            match days.checked_add(EPOCH_DAYS).and_then(NaiveDate::from_num_days_from_ce_opt) {
                Some(date) => write!(out, "{date}"),
                None => write!(out, "{days} days after 1970-01-01"),
            }
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            match (DateTime::from_timestamp_micros(micros), zone) {
                (Some(time), Some(_)) => out.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
                (Some(time), None) => write!(out, "{:?}", time.naive_utc()),
                (None, _) => write!(out, "{micros} microseconds after 1970-01-01"),
            }
        }
        DataType::Binary => {
            STANDARD.encode_string(array.as_binary::<i32>().value(row), out);
            Ok(())
        }
        _ => {
            let mut nested = Vec::new();
            json(&mut nested, array, row, false);
            out.write_str(&String::from_utf8_lossy(&nested))
        }
    };
}

/// A JSON string.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    value(out, text);
}

fn value<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let before = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(before);
        out.extend_from_slice(b"null");
    }
}

fn number(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a Vec cannot fail.
    let _written = write!(out, "{value}");
}

fn float<T: serde::Serialize + Copy + Into<f64>>(out: &mut String, number: &T) -> std::fmt::Result {
    let wide: f64 = (*number).into();
    if wide.is_nan() {
        out.write_str("NaN")
    } else if wide.is_infinite() {
        out.write_str(if wide > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        let mut bytes = Vec::new();
        value(&mut bytes, number);
        out.write_str(&String::from_utf8_lossy(&bytes))
    }
}

fn comma(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.push(b',');
    }
}
