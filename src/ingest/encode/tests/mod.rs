//! Encoding against models in memory, and the layout of the files.

#![allow(clippy::unwrap_used)]

mod duplicates;
mod layout;
mod memory;
mod partitions;
mod sorting;

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
        StructArray, TimestampMicrosecondArray,
    },
    compute::concat_batches,
    datatypes::{DataType, Int64Type},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::{
    catalog::Column,
    ingest::progress::{Progress, Unit},
};

/// A row of the table the tests use: two key columns, text, a running number, and a list and a struct made from it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    a: Option<i64>,
    b: Option<String>,
    text: Option<String>,
    n: i64,
}

fn column(name: &str, kind: &str) -> Column {
    Column::new(name, kind.parse().unwrap())
}

fn table() -> TableSchema {
    let columns = [
        ("a", "int64"),
        ("b", "utf8"),
        ("text", "utf8"),
        ("n", "int64"),
        ("tags", "list<utf8>"),
        ("pair", "struct<x: float64, y: timestamp>"),
        ("notes", "map<utf8, int64>"),
    ];
    TableSchema { columns: columns.map(|(name, kind)| column(name, kind)).into() }
}

fn batch(rows: &[Row]) -> RecordBatch {
    let schema = table().to_arrow();
    let numbers = || rows.iter().map(|row| row.n);
    let DataType::List(element) = schema.field(4).data_type() else { panic!() };
    let mut tags = ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(element));
    for n in numbers() {
        for tag in 0..n.rem_euclid(4) {
            tags.values().append_value(format!("tag {}", n + tag));
        }
        tags.append(n % 5 != 0);
    }
    let DataType::Struct(fields) = schema.field(5).data_type() else { panic!() };
    let x: ArrayRef = Arc::new(numbers().map(|n| (n % 3 != 0).then_some(n as f64 / 2.0)).collect::<Float64Array>());
    let y: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(numbers()).with_timezone("UTC"));
    let pair = StructArray::new(fields.clone(), vec![x, y], None);
    let DataType::Map(entries, _) = schema.field(6).data_type() else { panic!() };
    let DataType::Struct(fields) = entries.data_type() else { panic!() };
    let keys: ArrayRef = Arc::new(numbers().map(|n| Some(format!("key {n}"))).collect::<StringArray>());
    let values: ArrayRef = Arc::new(numbers().map(Some).collect::<Int64Array>());
    let notes = arrow::array::MapArray::new(
        Arc::clone(entries),
        arrow::buffer::OffsetBuffer::from_lengths(vec![1; rows.len()]),
        StructArray::new(fields.clone(), vec![keys, values], None),
        None,
        false,
    );
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.a).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.b.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.text.clone()).collect::<StringArray>()),
        Arc::new(numbers().map(Some).collect::<Int64Array>()),
        Arc::new(tags.finish()),
        Arc::new(pair),
        Arc::new(notes),
    ];
    RecordBatch::try_new(schema, columns).unwrap()
}

/// Everything about a row follows from these columns; the others are compared as arrays.
fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let text = |at: usize, row: usize| {
        let column = batch.column(at).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let number = |at: usize, row: usize| {
        let column = batch.column(at).as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    (0..batch.num_rows())
        .map(|row| Row { a: number(0, row), b: text(1, row), text: text(2, row), n: number(3, row).unwrap() })
        .collect()
}

fn settings(sort_memory: usize) -> EncodeSettings {
    EncodeSettings { page_rows: 8, row_group_rows: 50, file_bytes: 20_000, sort_memory, ..EncodeSettings::default() }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

struct Keys<'a> {
    primary: &'a [&'a str],
    sort: &'a [&'a str],
    on_duplicate: OnDuplicate,
}

/// Encodes rows in batches of these lengths, again and again.
fn encode(rows: &[Row], lengths: &[usize], keys: &Keys<'_>, settings: &EncodeSettings) -> Encoded {
    encode_parted(rows, lengths, keys, &[], settings).unwrap()
}

/// The same, with files of one partition each.
fn encode_parted(
    rows: &[Row],
    lengths: &[usize],
    keys: &Keys<'_>,
    partition_by: &[&str],
    settings: &EncodeSettings,
) -> Result<Encoded, Failure> {
    let partition_by = names(partition_by);
    let (primary_key, sort_key, table) = (names(keys.primary), names(keys.sort), table());
    let shape = TableShape {
        schema: &table,
        primary_key: &primary_key,
        sort_key: &sort_key,
        partition_by: &partition_by,
        on_duplicate: keys.on_duplicate,
        metadata: vec![("license".into(), "CC0-1.0".into())],
    };
    let mut encoder = Encoder::new(shape, settings, &std::env::temp_dir())?;
    let (mut rest, mut lengths) = (rows, lengths.iter().cycle());
    while !rest.is_empty() {
        let (now, then) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
        let positions: Vec<u64> = now.iter().map(|row| row.n as u64).collect();
        encoder.push(batch(now), &positions, "line", if now[0].n % 2 == 0 { "even" } else { "odd" })?;
        rest = then;
    }
    let waiting = encoder.waiting();
    let sorting = Progress::silent().stage("sort", Unit::Rows, Some(waiting));
    if waiting > 0 {
        encoder.tell(std::sync::Arc::clone(&sorting));
    }
    let encoded = encoder.finish()?;
    assert_eq!(sorting.done(), waiting, "not all rows that waited were told of");
    assert_eq!(encoded.files.iter().map(|file| file.rows).sum::<u64>(), encoded.rows);
    assert_eq!(encoded.rows + encoded.duplicate_rows, rows.len() as u64);
    Ok(encoded)
}

/// All rows of the files, as one batch of the table's schema.
fn read(encoded: &Encoded) -> RecordBatch {
    let schema = table().to_arrow();
    let mut batches = Vec::new();
    for file in &encoded.files {
        let opened = std::fs::File::open(&file.path).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(opened).unwrap();
        assert_eq!(builder.schema().fields(), schema.fields());
        for batch in builder.build().unwrap() {
            batches.push(RecordBatch::try_new(schema.clone(), batch.unwrap().columns().to_vec()).unwrap());
        }
    }
    concat_batches(&schema, &batches).unwrap()
}

/// What the rest of the row must be, too.
fn assert_rows(encoded: &Encoded, expected: &[Row]) {
    let found = read(encoded);
    assert_eq!(rows_of(&found), expected);
    assert_eq!(found, batch(expected));
}
