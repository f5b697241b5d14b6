//! One column's values as they flow by, whatever its type: nested types are accumulators inside accumulators.

use std::collections::HashMap;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array, StringArray,
    },
    array::{BooleanArray, Int32Array, Int64Array, TimestampMicrosecondArray},
    compute::{filter, is_not_null},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    },
};
use serde_json::Value;
use twox_hash::XxHash64;

use super::{
    ColumnStatistics, Distinct, Exactness, FieldStatistics, Frequent, Histogram, Lengths, MostFrequent,
    numbers::{Floats, Integers},
    tally::{KEPT, Seen, TRACKED, Tally, mixed},
};
use crate::query::encode;

/// Bytes of a text that is told whole.
const TOLD_BYTES: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) enum Accumulator {
    Leaf(Box<Leaf>),
    List { nulls: u64, lengths: Sizes, elements: Box<Accumulator> },
    Struct { nulls: u64, fields: Vec<(String, Accumulator)> },
    Map { nulls: u64, lengths: Sizes, keys: Box<Accumulator>, values: Box<Accumulator> },
}

/// Values that are not nested.
#[derive(Debug)]
pub(super) struct Leaf {
    kind: DataType,
    nulls: u64,
    nan: u64,
    infinite: u64,
    numbers: Numbers,
    /// The least and the greatest text.
    texts: Option<(Box<str>, Box<str>)>,
    lengths: Sizes,
    tally: Tally,
}

#[derive(Debug)]
enum Numbers {
    None,
    Integers(Integers),
    Floats(Floats),
}

/// Lengths: nearly always few different ones.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    integers: Integers,
    /// Each length with its count, until there are too many different ones.
    all: Option<HashMap<u64, u64>>,
    lost: bool,
}

impl Sizes {
    fn add(&mut self, length: usize) {
        let length = length as u64;
        self.integers.add(i128::from(length));
        if !self.lost {
            let all = self.all.get_or_insert_default();
            *all.entry(length).or_default() += 1;
            if all.len() > TRACKED {
                self.all = None;
                self.lost = true;
            }
        }
    }

    fn prepare_again(&mut self) -> bool {
        self.integers.make_ranges();
        for (length, times) in self.all.take().unwrap_or_default() {
            self.integers.range(i128::from(length), times);
        }
        self.lost
    }

    fn add_again(&mut self, length: usize) {
        if self.lost {
            self.integers.range(length as i128, 1);
        }
    }

    fn finish(&self, unit: &str) -> Option<Lengths> {
        let (min, max) = self.integers.extremes()?;
        let (first, mean) = self.integers.mean()?;
        let ranges = self.integers.ranges()?;
        let number = |length: i128| u64::try_from(length).unwrap_or(0);
        Some(Lengths {
            unit: unit.to_owned(),
            min: number(min),
            max: number(max),
            mean: first as f64 + mean,
            histogram: Histogram {
                edges: ranges.edges().into_iter().map(|edge| Value::from(number(edge))).collect(),
                counts: ranges.counts.clone(),
            },
        })
    }
}

/// The values of an array that are not null.
fn valid(array: &dyn Array) -> ArrayRef {
    let whole = array.slice(0, array.len());
    if array.null_count() == 0 {
        return whole;
    }
    // Filtering by a mask of the same length cannot fail.
    is_not_null(array).and_then(|mask| filter(array, &mask)).unwrap_or(whole)
}

impl Accumulator {
    pub(super) fn new(kind: &DataType) -> Self {
        match kind {
            DataType::List(item) => {
                Self::List { nulls: 0, lengths: Sizes::default(), elements: Box::new(Self::new(item.data_type())) }
            }
            DataType::Struct(fields) => Self::Struct {
                nulls: 0,
                fields: fields.iter().map(|field| (field.name().clone(), Self::new(field.data_type()))).collect(),
            },
            DataType::Map(entries, _) => {
                let of = |at: usize| match entries.data_type() {
                    DataType::Struct(fields) => {
                        fields.get(at).map_or(DataType::Null, |field| field.data_type().clone())
                    }
                    _ => DataType::Null,
                };
                Self::Map {
                    nulls: 0,
                    lengths: Sizes::default(),
                    keys: Box::new(Self::new(&of(0))),
                    values: Box::new(Self::new(&of(1))),
                }
            }
            kind => Self::Leaf(Box::new(Leaf::new(kind))),
        }
    }

    /// Adds values.
    pub(super) fn add(&mut self, array: &dyn Array) {
        match self {
            Self::Leaf(leaf) => leaf.add(array),
            Self::List { nulls, .. } | Self::Struct { nulls, .. } | Self::Map { nulls, .. } => {
                *nulls += array.null_count() as u64;
                self.below(array, Sizes::add, Self::add);
            }
        }
    }

    /// Gets ready for the values to come again; false when there is no need.
    pub(super) fn prepare_again(&mut self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.prepare_again(),
            Self::List { lengths, elements, .. } => lengths.prepare_again() | elements.prepare_again(),
            Self::Struct { fields, .. } => fields.iter_mut().fold(false, |any, (_, field)| field.prepare_again() | any),
            Self::Map { lengths, keys, values, .. } => {
                lengths.prepare_again() | keys.prepare_again() | values.prepare_again()
            }
        }
    }

    /// Adds values the second time.
    pub(super) fn add_again(&mut self, array: &dyn Array) {
        match self {
            Self::Leaf(leaf) => leaf.add_again(array),
            _ => self.below(array, Sizes::add_again, Self::add_again),
        }
    }

    /// Nested values to the accumulators below.
    fn below(&mut self, array: &dyn Array, size: fn(&mut Sizes, usize), add: fn(&mut Self, &dyn Array)) {
        let array = valid(array);
        match self {
            Self::Leaf(_) => {}
            Self::List { lengths, elements, .. } => {
                let Some(list) = array.as_list_opt::<i32>() else { return };
                (0..list.len()).for_each(|at| size(lengths, list.value_length(at).max(0) as usize));
                let offsets = list.value_offsets();
                if let (Some(from), Some(to)) = (offsets.first(), offsets.last()) {
                    add(elements, &list.values().slice(*from as usize, (to - from).max(0) as usize));
                }
            }
            Self::Struct { fields, .. } => {
                let Some(array) = array.as_struct_opt() else { return };
                for ((_, field), column) in fields.iter_mut().zip(array.columns()) {
                    add(field, column);
                }
            }
            Self::Map { lengths, keys, values, .. } => {
                let Some(map) = array.as_map_opt() else { return };
                (0..map.len()).for_each(|at| size(lengths, map.value_length(at).max(0) as usize));
                let offsets = map.value_offsets();
                if let (Some(from), Some(to)) = (offsets.first(), offsets.last()) {
                    let (from, count) = (*from as usize, (to - from).max(0) as usize);
                    add(keys, &map.keys().slice(from, count));
                    add(values, &map.values().slice(from, count));
                }
            }
        }
    }

    /// What it comes to. `wide`: integers are told as text.
    pub(super) fn finish(self, wide: bool) -> ColumnStatistics {
        match self {
            Self::Leaf(leaf) => leaf.finish(wide),
            Self::List { nulls, lengths, elements } => ColumnStatistics {
                nulls: Some(nulls),
                lengths: lengths.finish("elements"),
                elements: Some(Box::new(elements.finish(false))),
                ..ColumnStatistics::default()
            },
            Self::Struct { nulls, fields } => ColumnStatistics {
                nulls: Some(nulls),
                fields: fields
                    .into_iter()
                    .map(|(name, field)| FieldStatistics { name, statistics: field.finish(false) })
                    .collect(),
                ..ColumnStatistics::default()
            },
            Self::Map { nulls, lengths, keys, values } => ColumnStatistics {
                nulls: Some(nulls),
                lengths: lengths.finish("entries"),
                keys: Some(Box::new(keys.finish(false))),
                values: Some(Box::new(values.finish(false))),
                ..ColumnStatistics::default()
            },
        }
    }
}

/// Calls `$integer`, `$float`, `$text` or `$bytes` with each value of an array that is not null.
macro_rules! each {
    ($array:expr, $integer:expr, $float:expr, $text:expr, $bytes:expr) => {{
        let array = $array;
        match array.data_type() {
            DataType::Boolean => array.as_boolean().iter().flatten().for_each(|value| $integer(i128::from(value))),
            DataType::Int32 => each!(array, Int32Type, $integer),
            DataType::Int64 => each!(array, Int64Type, $integer),
            DataType::Date32 => each!(array, Date32Type, $integer),
            DataType::Timestamp(..) => each!(array, TimestampMicrosecondType, $integer),
            DataType::Decimal128(..) => each!(array, Decimal128Type, $integer),
            DataType::Float32 => each!(array, Float32Type, $float),
            DataType::Float64 => each!(array, Float64Type, $float),
            DataType::Utf8 => array.as_string_opt::<i32>().into_iter().flatten().flatten().for_each($text),
            DataType::Binary => array.as_binary_opt::<i32>().into_iter().flatten().flatten().for_each($bytes),
            _ => {}
        }
    }};
    ($array:expr, $type:ty, $each:expr) => {
        $array.as_primitive_opt::<$type>().into_iter().flatten().flatten().for_each(|value| $each(value.into()))
    };
}

fn of_integer(value: i128) -> u64 {
    let low = mixed(value as u64);
    // Only decimals of more than 18 digits have a high half of their own.
    if i128::from(value as i64) == value { low } else { mixed(low ^ ((value >> 64) as u64)) }
}

fn of_float(value: f64) -> u64 {
    // Zero has one sign here.
    mixed((value + 0.0).to_bits())
}

fn of_bytes(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}

fn kept(bytes: &[u8]) -> Seen {
    Seen::Bytes(bytes.get(..KEPT).unwrap_or(bytes).into(), bytes.len() as u64)
}

impl Leaf {
    fn new(kind: &DataType) -> Self {
        let numbers = match kind {
            DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Timestamp(..)
            | DataType::Decimal128(..) => Numbers::Integers(Integers::default()),
            // Their extremes only.
            DataType::Boolean => Numbers::Integers(Integers::default()),
            DataType::Float32 | DataType::Float64 => Numbers::Floats(Floats::default()),
            _ => Numbers::None,
        };
        Self {
            kind: kind.clone(),
            nulls: 0,
            nan: 0,
            infinite: 0,
            numbers,
            texts: None,
            lengths: Sizes::default(),
            tally: Tally::default(),
        }
    }

    fn add(&mut self, array: &dyn Array) {
        self.nulls += array.null_count() as u64;
        let Self { nan, infinite, numbers, texts, lengths, tally, .. } = self;
        each!(
            array,
            |value: i128| {
                if let Numbers::Integers(integers) = numbers {
                    integers.add(value);
                }
                tally.add(of_integer(value), || Seen::Integer(value));
            },
            |value: f64| {
                if value.is_nan() {
                    *nan += 1;
                } else if value.is_infinite() {
                    *infinite += 1;
                } else {
                    if let Numbers::Floats(floats) = numbers {
                        floats.add(value);
                    }
                    tally.add(of_float(value), || Seen::Float(value + 0.0));
                }
            },
            |text: &str| {
                match texts {
                    None => *texts = Some((text.into(), text.into())),
                    Some((min, _)) if text < &**min => *min = text.into(),
                    Some((_, max)) if text > &**max => *max = text.into(),
                    Some(_) => {}
                }
                lengths.add(text.chars().count());
                tally.add(of_bytes(text.as_bytes()), || kept(text.as_bytes()));
            },
            |bytes: &[u8]| {
                lengths.add(bytes.len());
                tally.add(of_bytes(bytes), || kept(bytes));
            }
        );
    }

    fn prepare_again(&mut self) -> bool {
        match &mut self.numbers {
            Numbers::None => {}
            Numbers::Integers(integers) => {
                integers.make_ranges();
                for (seen, times) in self.tally.all().into_iter().flatten() {
                    if let Seen::Integer(value) = seen {
                        integers.range(*value, times);
                    }
                }
            }
            Numbers::Floats(floats) => {
                floats.make_ranges();
                for (seen, times) in self.tally.all().into_iter().flatten() {
                    if let Seen::Float(value) = seen {
                        floats.range(*value, times);
                    }
                }
            }
        }
        self.lengths.prepare_again() | self.tally.prepare_again()
    }

    fn add_again(&mut self, array: &dyn Array) {
        let Self { numbers, lengths, tally, .. } = self;
        // Either every value was counted the first time, or none.
        let ranges = tally.all().is_none();
        each!(
            array,
            |value: i128| {
                if let (true, Numbers::Integers(integers)) = (ranges, &mut *numbers) {
                    integers.range(value, 1);
                }
                tally.add_again(of_integer(value), || Seen::Integer(value));
            },
            |value: f64| {
                if value.is_finite() {
                    if let (true, Numbers::Floats(floats)) = (ranges, &mut *numbers) {
                        floats.range(value, 1);
                    }
                    tally.add_again(of_float(value), || Seen::Float(value + 0.0));
                }
            },
            |text: &str| {
                lengths.add_again(text.chars().count());
                tally.add_again(of_bytes(text.as_bytes()), || kept(text.as_bytes()));
            },
            |bytes: &[u8]| {
                lengths.add_again(bytes.len());
                tally.add_again(of_bytes(bytes), || kept(bytes));
            }
        );
    }

    fn finish(self, wide: bool) -> ColumnStatistics {
        let kind = &self.kind;
        let whole = |value: i128| integer(kind, value, wide);
        let mut statistics = ColumnStatistics {
            nulls: Some(self.nulls),
            nan: (self.nan > 0).then_some(self.nan),
            infinite: (self.infinite > 0).then_some(self.infinite),
            lengths: self.lengths.finish(if *kind == DataType::Binary { "bytes" } else { "characters" }),
            ..ColumnStatistics::default()
        };
        match &self.numbers {
            Numbers::None => {}
            Numbers::Integers(integers) => {
                statistics.min = integers.extremes().map(|(min, _)| whole(min));
                statistics.max = integers.extremes().map(|(_, max)| whole(max));
                if *kind != DataType::Boolean {
                    statistics.mean = integers.mean().and_then(|(first, rest)| mean(kind, first, rest));
                    statistics.std = integers.std().map(|std| std / unit(kind));
                    statistics.histogram = integers.ranges().map(|ranges| Histogram {
                        edges: ranges.edges().into_iter().map(whole).collect(),
                        counts: ranges.counts.clone(),
                    });
                }
            }
            Numbers::Floats(floats) => {
                let edge = |value: f64| float(kind, value);
                statistics.min = floats.extremes().map(|(min, _)| edge(min));
                statistics.max = floats.extremes().map(|(_, max)| edge(max));
                statistics.mean = floats.mean().map(Value::from);
                statistics.std = floats.std().filter(|std| std.is_finite());
                statistics.histogram = floats.counts().map(|counts| Histogram {
                    edges: floats.edges().into_iter().map(Value::from).collect(),
                    counts: counts.into(),
                });
            }
        }
        if let Some((min, max)) = self.texts {
            // Longer ones are left to the bounds that manifests hold.
            let short = |text: Box<str>| (text.len() <= KEPT).then(|| Value::from(&*text));
            (statistics.min, statistics.max) = (short(min), short(max));
        }
        let counted = self.tally.finish();
        let kind_of = if counted.exact { Exactness::Exact } else { Exactness::Estimate };
        statistics.distinct = Some(Distinct { value: counted.distinct, kind: kind_of });
        statistics.most_frequent = Some(MostFrequent {
            values: counted.most.iter().map(|(seen, count)| frequent(kind, seen, *count, wide)).collect(),
            others_at_most: counted.others_at_most,
        });
        statistics
    }
}

/// The mean of values with that first one and that mean difference from it.
fn mean(kind: &DataType, first: i128, rest: f64) -> Option<Value> {
    match kind {
        DataType::Date32 | DataType::Timestamp(..) => Some(integer(kind, first + rest.round() as i128, false)),
        _ => serde_json::Number::from_f64((first as f64 + rest) / unit(kind)).map(Value::Number),
    }
}

/// The integer that stands for one.
fn unit(kind: &DataType) -> f64 {
    match kind {
        DataType::Decimal128(_, scale) => 10_f64.powi(i32::from(*scale)),
        DataType::Timestamp(..) => 1e6,
        _ => 1.0,
    }
}

/// An integer as a value of that type.
fn integer(kind: &DataType, value: i128, wide: bool) -> Value {
    let (narrow, small) = (value as i64, value as i32);
    let array: ArrayRef = match kind {
        DataType::Boolean => std::sync::Arc::new(BooleanArray::from(vec![value != 0])),
        DataType::Int32 => std::sync::Arc::new(Int32Array::from(vec![small])),
        DataType::Date32 => std::sync::Arc::new(Date32Array::from(vec![small])),
        DataType::Timestamp(_, zone) => {
            std::sync::Arc::new(TimestampMicrosecondArray::from(vec![narrow]).with_timezone_opt(zone.clone()))
        }
        DataType::Decimal128(precision, scale) => {
            match Decimal128Array::from(vec![value]).with_precision_and_scale(*precision, *scale) {
                Ok(array) => std::sync::Arc::new(array),
                Err(_) => return Value::Null,
            }
        }
        _ => std::sync::Arc::new(Int64Array::from(vec![narrow])),
    };
    encode::value(&array, 0, wide)
}

/// A float as a value of that type.
fn float(kind: &DataType, value: f64) -> Value {
    match kind {
        DataType::Float32 => encode::value(&Float32Array::from(vec![value as f32]), 0, false),
        _ => encode::value(&Float64Array::from(vec![value]), 0, false),
    }
}

fn frequent(kind: &DataType, seen: &Seen, count: u64, wide: bool) -> Frequent {
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
