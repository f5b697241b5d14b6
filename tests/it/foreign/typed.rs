//! Formats that bring their types: Parquet and Arrow.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
        UInt64Array,
    },
    ipc::writer::{FileWriter, StreamWriter},
};
use serde_json::json;

use super::{Foreign, both};

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut out, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    out
}

fn places() -> RecordBatch {
    batch(vec![
        ("id", Arc::new(Int32Array::from(vec![1, 2]))),
        ("name", Arc::new(StringArray::from(vec![Some("Wien"), None]))),
        ("size", Arc::new(UInt64Array::from(vec![7, u64::MAX]))),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![1_700_000_000_123, 0]).with_timezone("+01:00"))),
    ])
}

const COLUMNS: &str = r#"primary_key = ["id"]
column = [
    { name = "id", type = "int64" },
    { name = "label", from = "name" },
    { name = "size", type = "decimal(20,0)" },
    { name = "at", type = "timestamp" },
]"#;

#[track_caller]
fn assert_places(path: &str, body: &[u8], format: &str) {
    let taken = both(path, body, format, COLUMNS);
    assert_eq!(
        taken.rows("named"),
        [
            json!({"id": 1, "label": "Wien", "size": "7", "at": "2023-11-14T22:13:20.123Z"}),
            json!({"id": 2, "label": null, "size": "18446744073709551615", "at": "1970-01-01T00:00:00Z"}),
        ]
    );
    let columns = taken.columns("bare");
    assert!(columns.starts_with("id: int"), "{columns}");
    assert!(columns.ends_with("name: utf8, size: decimal(20,0), at: timestamp"), "{columns}");
    assert_eq!(taken.rows("bare")[0]["name"], "Wien");
}

#[test]
fn parquet_files() {
    assert_places("/places.parquet", &parquet(&places()), r#"{ type = "parquet" }"#);
}

#[test]
fn arrow_files_and_streams() {
    let batch = places();
    let (mut file, mut stream) = (Vec::new(), Vec::new());
    let mut writer = FileWriter::try_new(&mut file, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let mut writer = StreamWriter::try_new(&mut stream, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    assert_places("/places.arrow", &file, r#"{ type = "arrow" }"#);
    assert_places("/places.arrows", &stream, r#"{ type = "arrow" }"#);
}

#[test]
fn two_parquet_files_whose_schema_drifted() {
    let old = batch(vec![
        ("id", Arc::new(Int32Array::from(vec![1, 2]))),
        ("fare", Arc::new(Int32Array::from(vec![10, 11]))),
        ("tip", Arc::new(Float64Array::from(vec![0.5, 0.0]))),
    ]);
    let new = batch(vec![
        ("fare", Arc::new(Int64Array::from(vec![5_000_000_000, 12]))),
        ("id", Arc::new(Int64Array::from(vec![3, 4]))),
        ("airport_fee", Arc::new(Float64Array::from(vec![1.25, 0.0]))),
    ]);
    let foreign = Foreign::new(&[("/2019.parquet", &parquet(&old)), ("/2025.parquet", &parquet(&new))]);
    foreign.define(
        r#"
[[source]]
name = "trips"
url = "ORIGIN/{year}.parquet"
each = { year = ["2019", "2025"] }

[[table]]
name = "named"
source = "trips"
format = { type = "parquet" }
primary_key = ["id"]
column = [
    { name = "id", type = "int64" },
    { name = "fare", type = "int64" },
    { name = "tip", type = "float64", optional = true },
    { name = "airport_fee", type = "float64", optional = true },
    { name = "year", from = "$year", type = "int32" },
]

[[table]]
name = "bare"
source = "trips"
format = { type = "parquet" }
"#,
    );
    let taken = foreign.taken();
    assert_eq!(
        taken.rows("named"),
        [
            json!({"id": 1, "fare": 10, "tip": 0.5, "airport_fee": null, "year": 2019}),
            json!({"id": 2, "fare": 11, "tip": 0.0, "airport_fee": null, "year": 2019}),
            json!({"id": 3, "fare": 5_000_000_000_u64, "tip": null, "airport_fee": 1.25, "year": 2025}),
            json!({"id": 4, "fare": 12, "tip": null, "airport_fee": 0.0, "year": 2025}),
        ]
    );
    assert_eq!(taken.columns("bare"), "id: int64, fare: int64, tip: float64, airport_fee: float64");
    let bare = taken.rows("bare");
    assert_eq!((bare.len(), &bare[2]["tip"], &bare[2]["airport_fee"]), (4, &json!(null), &json!(1.25)));
}

#[test]
fn a_column_that_vanished_without_being_optional_fails_the_run() {
    let file = parquet(&batch(vec![("id", Arc::new(Int32Array::from(vec![1])))]));
    let foreign = Foreign::new(&[("/a.parquet", &file)]);
    foreign.define("[[table]]\nname = \"a\"\nsource = { url = \"ORIGIN/a.parquet\" }\nformat = { type = \"parquet\" }\ncolumn = [{ name = \"id\", type = \"int64\" }, { name = \"gone\" }]\n");
    foreign.ingest().failed(2, "definition", &["gone", "optional"]);
}
