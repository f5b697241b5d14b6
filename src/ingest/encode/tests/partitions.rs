//! Files hold one partition each, and together the rows a table without partitions has.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Rows of few values in `a` and `b`.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (proptest::option::of(0..4_i64), proptest::option::of("[ab]{0,1}"));
    proptest::collection::vec(row, 0..300).prop_map(|rows| {
        rows.into_iter().zip(0..).map(|((a, b), n)| Row { a, b, text: Some(format!("t{}", n % 40)), n }).collect()
    })
}

/// The values of a file's rows, each once.
fn values(file: &EncodedFile) -> Vec<(Option<i64>, Option<String>)> {
    let opened = std::fs::File::open(&file.path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(opened).unwrap().build().unwrap();
    let mut found: Vec<_> = reader.flat_map(|batch| rows_of(&batch.unwrap())).map(|row| (row.a, row.b)).collect();
    found.dedup();
    found
}

fn told(file: &EncodedFile) -> Vec<(Option<i64>, Option<String>)> {
    vec![(file.partition["a"].as_i64(), file.partition["b"].as_str().map(str::to_owned))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_file_is_of_one_partition_and_no_row_is_elsewhere(
        rows in rows(),
        length in 1..90_usize,
        primary in prop_oneof![Just(&[][..]), Just(&["text"][..]), Just(&["a", "b", "text"][..])],
        memory in prop_oneof![Just(1), Just(10_000_000)],
    ) {
        let keys = Keys { primary, sort: &["a", "b", "text"], on_duplicate: OnDuplicate::First };
        let whole = encode(&rows, &[length], &keys, &settings(memory));
        let parted = encode_parted(&rows, &[length], &keys, &["a", "b"], &settings(memory)).unwrap();
        prop_assert_eq!(read(&whole), read(&parted));
        prop_assert_eq!(whole.duplicate_rows, parted.duplicate_rows);
        if !rows.is_empty() {
            let mut seen: Vec<_> = parted.files.iter().map(|file| {
                assert_eq!(values(file), told(file));
                told(file)
            }).collect();
            // Each once, but where a file was full.
            seen.dedup();
            let distinct: BTreeSet<_> = seen.iter().collect();
            prop_assert_eq!(distinct.len(), seen.len());
        }
    }
}

fn one(a: i64, n: i64) -> Row {
    Row { a: Some(a), b: None, text: None, n }
}

const BY_A: Keys<'_> = Keys { primary: &[], sort: &["a"], on_duplicate: OnDuplicate::First };

#[test]
fn values_are_as_the_api_shows_them_and_never_cut() {
    let table = TableSchema {
        columns: [("text", "utf8"), ("large", "int64"), ("is", "bool"), ("day", "date"), ("n", "int32")]
            .map(|(name, kind)| column(name, kind))
            .into(),
    };
    let long = "é".repeat(120);
    let batch = RecordBatch::try_new(
        table.to_arrow(),
        vec![
            Arc::new(StringArray::from(vec![long.as_str(); 2])),
            Arc::new(Int64Array::from(vec![1 << 60; 2])),
            Arc::new(arrow::array::BooleanArray::from(vec![false; 2])),
            Arc::new(arrow::array::Date32Array::from(vec![-1; 2])),
            Arc::new(arrow::array::Int32Array::from(vec![Some(7), None])),
        ],
    )
    .unwrap();
    let by = names(&["text", "large", "is", "day", "n"]);
    let shape = || TableShape {
        schema: &table,
        primary_key: &[],
        sort_key: &by,
        partition_by: &by,
        on_duplicate: OnDuplicate::First,
        metadata: Vec::new(),
    };
    let mut encoder = Encoder::new(shape(), &EncodeSettings::default(), &std::env::temp_dir()).unwrap();
    encoder.push(batch, &[], "row", "x").unwrap();
    let found: Vec<Value> = encoder.finish().unwrap().files.iter().map(|file| json!(file.partition)).collect();
    let value =
        |n: Value| json!({"text": long, "large": "1152921504606846976", "is": false, "day": "1969-12-31", "n": n});
    assert_eq!(found, [value(json!(7)), value(Value::Null)]);
    // A part without rows has a file all the same.
    let empty = Encoder::new(shape(), &EncodeSettings::default(), &std::env::temp_dir()).unwrap().finish().unwrap();
    assert_eq!(empty.files.len(), 1);
    assert!(empty.files[0].partition.len() == 5 && empty.files[0].partition.values().all(Value::is_null));
}

#[test]
fn too_many_partitions_and_long_values_are_refused_with_the_way_forward() {
    let rows: Vec<Row> = (0..40).map(|n| one(n / 2, n)).collect();
    let capped = |partitions| EncodeSettings { partitions, ..settings(1) };
    assert_eq!(encode_parted(&rows, &[7], &BY_A, &["a"], &capped(20)).unwrap().files.len(), 20);
    let failure = encode_parted(&rows, &[7], &BY_A, &["a"], &capped(19)).unwrap_err();
    for word in ["by `a` one part falls into more than 19 partitions", "coarser", "let `sort_key` begin with `a`"] {
        assert!(failure.message.contains(word), "{failure}");
    }
    let keys = Keys { sort: &["b"], ..BY_A };
    let long = [Row { b: Some("x".repeat(300)), ..one(1, 1) }];
    let failure = encode_parted(&long, &[1], &keys, &["b"], &settings(1)).unwrap_err();
    assert!(failure.message.contains("`b` has a value of 300 bytes"), "{failure}");
    // It is the encoder's rows that are sorted by the partition first.
    assert!(encode_parted(&rows, &[7], &BY_A, &["b"], &settings(1)).is_err());
}
