//! One column's values that are not nested.

use arrow::{
    array::{Array, AsArray},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    },
};
use serde_json::Value;
use twox_hash::XxHash64;

use super::{
    ColumnStatistics, Distinct, Exactness, Histogram, MostFrequent,
    numbers::{Floats, Integers},
    sizes::Sizes,
    tally::{KEPT, Seen, Tally, mixed},
    values::{float, frequent, integer, mean, unit},
};

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
    pub(super) fn new(kind: &DataType) -> Self {
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

    pub(super) fn add(&mut self, array: &dyn Array) {
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

    pub(super) fn prepare_again(&mut self) -> bool {
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

    pub(super) fn add_again(&mut self, array: &dyn Array) {
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

    pub(super) fn finish(self, wide: bool) -> ColumnStatistics {
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
