use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
        MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray,
    },
    buffer::OffsetBuffer,
    datatypes::DataType,
};
use serde_json::{Value, json};

use super::{Encoder, Format, OutputColumn, json as answer, ndjson};
use crate::catalog::{Column, TableSchema};

fn schema(columns: &[(&str, &str)]) -> TableSchema {
    let column = |(name, kind): &(&str, &str)| Column::new(*name, kind.parse().expect("a type"));
    TableSchema { columns: columns.iter().map(column).collect() }
}

fn everything() -> (TableSchema, RecordBatch) {
    let schema = schema(&[
        ("text", "utf8"),
        ("yes", "bool"),
        ("big", "int64"),
        ("ratio", "float64"),
        ("price", "decimal(5,2)"),
        ("day", "date"),
        ("at", "timestamp"),
        ("local", "datetime"),
        ("raw", "binary"),
        ("list", "list<int64>"),
        ("pair", "struct<a: int64>"),
        ("map", "map<utf8, utf8>"),
    ]);
    let arrow = schema.to_arrow();
    let DataType::List(item) = arrow.field(9).data_type() else { panic!("a list") };
    let DataType::Struct(fields) = arrow.field(10).data_type() else { panic!("a struct") };
    let DataType::Map(entries, _) = arrow.field(11).data_type() else { panic!("a map") };
    let DataType::Struct(entry) = entries.data_type() else { panic!("entries") };
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new())
        .with_keys_field(entry[0].clone())
        .with_values_field(entry[1].clone());
    map.keys().append_value("k\"");
    map.values().append_null();
    map.append(true).expect("an entry");
    map.append(false).expect("a null");
    let map = map.finish();
    let map = arrow::compute::cast(&map, arrow.field(11).data_type()).expect("the same type");
    let list = ListArray::new(
        item.clone(),
        OffsetBuffer::from_lengths([2, 0]),
        Arc::new(Int64Array::from(vec![Some(1), None])),
        Some(vec![true, false].into()),
    );
    let pair = StructArray::new(fields.clone(), vec![Arc::new(Int64Array::from(vec![Some(1), None]))], None);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("a,\"b\"\nc"), Some("")])),
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(Int64Array::from(vec![Some(9_007_199_254_740_993), None])),
        Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(0.1)])),
        Arc::new(Decimal128Array::from(vec![Some(-12_30), None]).with_precision_and_scale(5, 2).expect("fits")),
        Arc::new(Date32Array::from(vec![Some(19_782), Some(-719_162)])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None]).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None])),
        Arc::new(BinaryArray::from_opt_vec(vec![Some(&[0xff, 0x00][..]), None])),
        Arc::new(list),
        Arc::new(pair),
        Arc::new(map),
    ];
    let batch = RecordBatch::try_new(arrow, columns).expect("a batch");
    (schema, batch)
}

#[test]
fn json_shows_every_type_as_the_contract_says() {
    let (schema, batch) = everything();
    let text = String::from_utf8(ndjson(&batch, &schema)).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            concat!(
                r#"{"text":"a,\"b\"\nc","yes":true,"big":9007199254740993,"ratio":null,"price":"-12.30","#,
                r#""day":"2024-02-29","at":"1970-01-01T00:00:01.500Z","local":"1970-01-01T00:00:00","raw":"/wA=","#,
                r#""list":[1,null],"pair":{"a":1},"map":{"k\"":null}}"#
            ),
            concat!(
                r#"{"text":"","yes":null,"big":null,"ratio":0.1,"price":null,"day":"0001-01-01","at":null,"#,
                r#""local":null,"raw":null,"list":null,"pair":{"a":null},"map":null}"#
            ),
        ]
    );
}

#[test]
fn csv_tells_null_from_empty_and_quotes_what_it_must() {
    let (schema, batch) = everything();
    let columns: Vec<_> = schema.columns.iter().map(OutputColumn::plain).collect();
    let mut encoder = Encoder::new(Format::Csv, &columns, &batch.schema(), vec![]).expect("an encoder");
    let mut out = Vec::new();
    encoder.push(&batch, &mut out).expect("rows");
    encoder.finish(&mut out).expect("the end");
    assert_eq!(
        String::from_utf8(out).expect("text"),
        concat!(
            "text,yes,big,ratio,price,day,at,local,raw,list,pair,map\r\n",
            "\"a,\"\"b\"\"\nc\",true,9007199254740993,NaN,-12.30,2024-02-29,1970-01-01T00:00:01.500Z,",
            "1970-01-01T00:00:00,/wA=,\"[1,null]\",\"{\"\"a\"\":1}\",\"{\"\"k\\\"\"\"\":null}\"\r\n",
            "\"\",,,0.1,,0001-01-01,,,,,\"{\"\"a\"\":null}\",\r\n",
        )
    );
}

#[test]
fn an_answer_without_rows_still_has_its_frame() {
    let (schema, batch) = everything();
    let columns: Vec<_> = schema.columns.iter().map(OutputColumn::plain).collect();
    for format in [Format::Csv, Format::Arrow, Format::Parquet] {
        let encoder = Encoder::new(format, &columns, &batch.schema(), vec![]).expect("an encoder");
        let mut out = Vec::new();
        encoder.finish(&mut out).expect("the end");
        assert!(!out.is_empty(), "{format:?}");
    }
}

fn answered(batch: &RecordBatch, schema: &TableSchema, truncate: bool, wide: bool) -> Value {
    let columns: Vec<_> = schema
        .columns
        .iter()
        .map(|column| OutputColumn {
            wide: wide && column.kind == crate::catalog::ColumnType::Int64,
            ..OutputColumn::plain(column)
        })
        .collect();
    let head = [("dataset", json!("d")), ("table", json!("t")), ("snapshot", json!(3))];
    let head = head.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut out = Vec::new();
    let mut rows = answer::Answer::begin(&head, &columns, truncate, &mut out);
    rows.push(batch, &mut out);
    rows.finish(answer::Tail { offset: 7, ..answer::Tail::default() }, &mut out);
    serde_json::from_slice(&out).expect("JSON")
}

#[test]
fn an_answer_has_the_keys_of_the_contract() {
    let (schema, batch) = everything();
    let answer = answered(&batch, &schema, true, true);
    let keys: Vec<&String> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        ["dataset", "table", "snapshot", "columns", "rows", "offset", "row_count", "next", "truncated", "seed"]
    );
    assert_eq!(answer["rows"][0]["big"], json!("9007199254740993"));
    assert_eq!(answer["columns"][2], json!({"name": "big", "type": "int64", "encoding": "string"}));
    assert_eq!(answer["columns"][3], json!({"name": "ratio", "type": "float64", "non_finite": "null"}));
    assert_eq!(answer["offset"], json!(7));
}

#[test]
fn long_cells_are_cut_and_listed_or_whole() {
    let schema = schema(&[("id", "int64"), ("text", "utf8"), ("list", "list<int64>")]);
    let DataType::List(item) = schema.to_arrow().field(2).data_type().clone() else { panic!("a list") };
    let long = format!("x{}", "é".repeat(50_000));
    let list = ListArray::new(
        item,
        OffsetBuffer::from_lengths([0, 60_000]),
        Arc::new(Int64Array::from(vec![7; 60_000])),
        None,
    );
    let batch = RecordBatch::try_new(
        schema.to_arrow(),
        vec![
            Arc::new(Int64Array::from(vec![1, 2])),
            Arc::new(StringArray::from(vec!["short", long.as_str()])),
            Arc::new(list),
        ],
    )
    .expect("a batch");
    let cut = answered(&batch, &schema, true, false);
    let kept = cut["rows"][1]["text"].as_str().expect("text");
    assert_eq!(kept.len(), 65_535);
    assert!(long.starts_with(kept));
    assert_eq!(cut["rows"][1]["list"], Value::Null);
    assert_eq!(
        cut["truncated"],
        json!([
            {"row": 1, "column": "text", "bytes": 100_001, "kept": 65_535},
            {"row": 1, "column": "list", "bytes": 120_001, "kept": 0},
        ])
    );
    let whole = answered(&batch, &schema, false, false);
    assert_eq!(whole["rows"][1]["text"], json!(long));
    assert_eq!(whole["truncated"], json!([]));
}
