//! Accumulators against the same numbers worked out naively over all values.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    datatypes::{DataType, Field, Schema, TimeUnit},
    json::ReaderBuilder,
};
use serde_json::{Value, json};

use super::{accumulate::Accumulator, *};

/// The statistics of these values, which flow in batches of a hundred.
fn of(kind: &DataType, values: &[Value]) -> ColumnStatistics {
    let schema = Arc::new(Schema::new(vec![Field::new("x", kind.clone(), true)]));
    let rows: Vec<Value> = values.iter().map(|value| json!({ "x": value })).collect();
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(values.len().max(1)).build_decoder();
    let decoder = decoder.as_mut().expect("a decoder");
    decoder.serialize(&rows).expect("rows");
    let batch = decoder.flush().expect("a batch").unwrap_or_else(|| RecordBatch::new_empty(schema));
    of_array(batch.column(0))
}

fn of_array(array: &ArrayRef) -> ColumnStatistics {
    let mut accumulator = Accumulator::new(array.data_type());
    let batches = || (0..array.len()).step_by(100).map(|at| array.slice(at, 100.min(array.len() - at)));
    batches().for_each(|batch| accumulator.add(&batch));
    if accumulator.prepare_again() {
        batches().for_each(|batch| accumulator.add_again(&batch));
    }
    accumulator.finish(false)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

/// Histogram, mean and deviation of numbers, naively.
fn hold(statistics: &ColumnStatistics, numbers: &[f64], number: impl Fn(&Value) -> f64) {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let std = (numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
    assert!(close(number(statistics.mean.as_ref().expect("a mean")), mean), "{:?} {mean}", statistics.mean);
    assert!(close(statistics.std.expect("a deviation"), std), "{:?} {std}", statistics.std);
    let Histogram { edges, counts } = statistics.histogram.as_ref().expect("a histogram");
    let edges: Vec<f64> = edges.iter().map(&number).collect();
    assert_eq!(edges.len(), counts.len() + 1);
    for (at, counted) in counts.iter().enumerate() {
        let last = at + 1 == counts.len();
        let inside = |x: &&f64| **x >= edges[at] && (**x < edges[at + 1] || last);
        assert_eq!(*counted, numbers.iter().filter(inside).count() as u64, "range {at} of {edges:?}");
    }
    assert!(close(number(statistics.min.as_ref().expect("a minimum")), edges[0]));
    assert!(close(number(statistics.max.as_ref().expect("a maximum")), edges[counts.len()]));
}

fn frequencies<'a>(values: impl Iterator<Item = &'a Value>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for value in values.filter(|value| !value.is_null()) {
        *counts.entry(value.to_string()).or_default() += 1;
    }
    counts
}

/// Distinct and frequent values, naively.
fn hold_frequent<'a>(statistics: &ColumnStatistics, values: impl Iterator<Item = &'a Value>) {
    let counts = frequencies(values);
    let distinct = statistics.distinct.expect("a number");
    match distinct.kind {
        Exactness::Exact => assert_eq!(distinct.value, counts.len() as u64),
        Exactness::Estimate => {
            assert!((distinct.value as f64 / counts.len() as f64 - 1.0).abs() < 0.03, "{distinct:?}");
        }
    }
    let told = statistics.most_frequent.as_ref().expect("frequent values");
    let mut rest = counts.clone();
    for frequent in &told.values {
        assert_eq!(rest.remove(&frequent.value.to_string()), Some(frequent.count), "{frequent:?}");
    }
    assert!(rest.values().all(|count| *count <= told.others_at_most));
    assert!(told.values.windows(2).all(|pair| pair[0].count >= pair[1].count));
    assert!(told.values.iter().all(|frequent| frequent.count >= told.others_at_most));
}

/// Numbers that look random, the same in every run.
fn numbers(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|n| tally::mixed(n) >> 11)
}

#[test]
fn integers_few_and_many() {
    for (count, below) in [(1, 5), (700, 13), (50_000, 300), (60_000, 40_000), (30_000, 1 << 50)] {
        let mut values: Vec<Value> = numbers(count).map(|n| json!((n % below) as i64 - below as i64 / 3)).collect();
        values.extend([Value::Null, Value::Null]);
        // One value is heavy among very many.
        values.extend(std::iter::repeat_n(json!(7), count as usize / 10));
        let statistics = of(&DataType::Int64, &values);
        assert_eq!(statistics.nulls, Some(2));
        let plain: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
        hold(&statistics, &plain, |value| value.as_f64().expect("a number"));
        hold_frequent(&statistics, values.iter());
        if count > 5 {
            assert_eq!(statistics.most_frequent.expect("values").values[0].value, json!(7), "{count} below {below}");
        }
    }
}

#[test]
fn floats_with_what_is_no_number() {
    let values: Vec<f64> = numbers(40_000).map(|n| (n % 1_000_003) as f64 / 7.0 - 5e4).collect();
    let with_odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 0.0];
    let array: ArrayRef =
        Arc::new(arrow::array::Float64Array::from_iter_values(values.iter().copied().chain(with_odd)));
    let statistics = of_array(&array);
    assert_eq!((statistics.nulls, statistics.nan, statistics.infinite), (Some(0), Some(2), Some(2)));
    let plain: Vec<f64> = values.iter().copied().chain([0.0, 0.0]).collect();
    hold(&statistics, &plain, |value| value.as_f64().expect("a number"));
    let nothing: ArrayRef = Arc::new(arrow::array::Float32Array::from(vec![f32::NAN]));
    let statistics = of_array(&nothing);
    assert_eq!((statistics.min, statistics.mean, statistics.histogram), (None, None, None));
    let single: ArrayRef = Arc::new(arrow::array::Float32Array::from(vec![0.1, 0.1]));
    assert_eq!(of_array(&single).min, Some(json!(0.1)), "as rows show it");
}

#[test]
fn decimals_dates_and_times_are_told_as_rows_tell_them() {
    let values: Vec<Value> = numbers(30_000).map(|n| json!(format!("{}.{:02}", n % 90_000, n % 100))).collect();
    let statistics = of(&DataType::Decimal128(12, 2), &values);
    let number = |value: &Value| value.as_str().map_or_else(|| value.as_f64(), |text| text.parse().ok());
    let plain: Vec<f64> = values.iter().filter_map(number).collect();
    hold(&statistics, &plain, |value| number(value).expect("a number"));
    assert!(statistics.max.as_ref().is_some_and(Value::is_string));

    let statistics =
        of(&DataType::Date32, &[json!("2020-02-28"), json!("2020-03-01"), json!("2020-03-01"), Value::Null]);
    assert_eq!((statistics.min, statistics.max), (Some(json!("2020-02-28")), Some(json!("2020-03-01"))));
    assert_eq!(statistics.mean, Some(json!("2020-02-29")));
    assert!(close(statistics.std.expect("days"), (8.0_f64 / 9.0).sqrt()));
    let edges = statistics.histogram.expect("a histogram").edges;
    assert_eq!(edges.first().zip(edges.last()), Some((&json!("2020-02-28"), &json!("2020-03-01"))));

    let kind = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let statistics = of(&kind, &[json!("2020-01-01T00:00:00Z"), json!("2020-01-01T00:00:03Z")]);
    assert_eq!(statistics.mean, Some(json!("2020-01-01T00:00:01.500Z")));
    assert!(close(statistics.std.expect("seconds"), 1.5));
}

#[test]
fn texts_have_lengths_and_extremes() {
    let values: Vec<Value> = numbers(60_000)
        .map(|n| match n % 10 {
            0 => Value::Null,
            1..4 => json!("häufig"),
            4 => json!(""),
            _ => json!(format!("wort-{}", n % 1_000_003)),
        })
        .chain([json!("ß".repeat(3000))])
        .collect();
    let statistics = of(&DataType::Utf8, &values);
    let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
    assert_eq!(statistics.nulls, Some((values.len() - texts.len()) as u64));
    hold_frequent(&statistics, values.iter());
    assert_eq!(statistics.min, Some(json!("")));
    assert_eq!(statistics.max, None, "6000 bytes are left to the manifest's bound");
    let lengths = statistics.lengths.expect("lengths");
    assert_eq!((lengths.unit.as_str(), lengths.min, lengths.max), ("characters", 0, 3000));
    let mean = texts.iter().map(|text| text.chars().count()).sum::<usize>() as f64 / texts.len() as f64;
    assert!(close(lengths.mean, mean));
    assert_eq!(lengths.histogram.counts.iter().sum::<u64>(), texts.len() as u64);

    let long = json!("é".repeat(200));
    let statistics = of(&DataType::Utf8, &[long.clone(), long]);
    let most = statistics.most_frequent.expect("values");
    assert_eq!(most.values[0].bytes, Some(400));
    assert_eq!(most.values[0].value, json!("é".repeat(128)));
}

#[test]
fn nested_values_are_told_by_their_parts() {
    let list = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
    let values = [
        json!(["a", "b"]),
        Value::Null,
        json!([]),
        json!(["a", null, "c"]),
        json!(["a"]),
        json!(["b"]),
        json!(["b", "a"]),
    ];
    let statistics = of(&list, &values);
    assert_eq!(statistics.nulls, Some(1));
    let lengths = statistics.lengths.expect("lengths");
    assert_eq!((lengths.unit.as_str(), lengths.min, lengths.max), ("elements", 0, 3));
    let elements = statistics.elements.expect("elements");
    assert_eq!(elements.nulls, Some(1));
    let most: Vec<_> = elements.most_frequent.expect("values").values.into_iter().map(|f| (f.value, f.count)).collect();
    assert_eq!(most, [(json!("a"), 4), (json!("b"), 3), (json!("c"), 1)]);

    let fields = vec![Field::new("n", DataType::Int32, true), Field::new("l", list, true)];
    let statistics = of(
        &DataType::Struct(fields.into()),
        &[json!({"n": 1, "l": ["x"]}), Value::Null, json!({"n": null}), json!({"n": 3, "l": []})],
    );
    assert_eq!(statistics.nulls, Some(1));
    let [n, l] = &statistics.fields[..] else { panic!("two fields") };
    assert_eq!((n.name.as_str(), n.statistics.nulls, n.statistics.max.clone()), ("n", Some(1), Some(json!(3))));
    assert_eq!((l.statistics.nulls, l.statistics.lengths.as_ref().map(|l| l.max)), (Some(1), Some(1)));

    let entries = DataType::Struct(
        vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)].into(),
    );
    let map = DataType::Map(Arc::new(Field::new("key_value", entries, false)), false);
    let statistics = of(&map, &[json!({"a": 1, "b": 2}), Value::Null, json!({"a": 5})]);
    let keys = statistics.keys.expect("keys").most_frequent.expect("values");
    assert_eq!(keys.values[0], Frequent { value: json!("a"), count: 2, bytes: None });
    assert_eq!(statistics.values.expect("values").max, Some(json!(5)));
}

#[test]
fn booleans_and_nothing_at_all() {
    let statistics = of(&DataType::Boolean, &[json!(true), json!(false), json!(true), Value::Null]);
    let most = statistics.most_frequent.expect("values");
    assert_eq!(
        most.values.iter().map(|f| (f.value.clone(), f.count)).collect::<Vec<_>>(),
        [(json!(true), 2), (json!(false), 1)]
    );
    assert_eq!((statistics.mean, statistics.min, statistics.max), (None, Some(json!(false)), Some(json!(true))));
    let statistics = of(&DataType::Int32, &[]);
    assert_eq!((statistics.nulls, statistics.min, statistics.histogram), (Some(0), None, None));
    assert_eq!(statistics.distinct, Some(Distinct { value: 0, kind: Exactness::Exact }));
}
