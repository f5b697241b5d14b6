//! What this reader makes of a file is held against what the `parquet` crate makes of it.

#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init, reason = "tests; ranges of rows are meant")]

use std::{collections::HashMap, ops::Range, path::Path, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
        ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
    },
    buffer::{NullBuffer, OffsetBuffer},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    file::{
        metadata::{ColumnChunkMetaData, RowGroupMetaData},
        properties::{WriterProperties, WriterVersion},
    },
};
use proptest::prelude::*;

use super::{OneOf, OpenFile, shape::FileColumn};
use crate::{
    catalog::DataFile,
    config::ScanCaps,
    query::{budget::Budget, footer::Footers, reader::FileReader},
    store::{Area, Key, Store},
};

/// A column of random values: names of types as they are made below.
const KINDS: [&str; 14] = [
    "bool",
    "int32",
    "int64",
    "double",
    "date",
    "timestamp",
    "decimal9",
    "decimal18",
    "decimal38",
    "text",
    "few texts",
    "binary",
    "list",
    "struct",
];

fn nulls(rng: &mut fastrand::Rng, rows: usize, share: f64) -> Option<NullBuffer> {
    (share > 0.0).then(|| (0..rows).map(|_| rng.f64() >= share).collect())
}

fn words(rng: &mut fastrand::Rng, rows: usize, distinct: u32) -> Vec<String> {
    (0..rows).map(|_| "é".repeat(rng.usize(0..3)) + &rng.u32(0..distinct).to_string().repeat(rng.usize(0..3))).collect()
}

fn array(kind: &str, rng: &mut fastrand::Rng, rows: usize, share: f64) -> ArrayRef {
    let absent = nulls(rng, rows, share);
    // Null where there is a value below: what a null hides must not come out.
    let mask = |array: ArrayRef| -> ArrayRef {
        let data = array.to_data().into_builder().nulls(absent.clone()).build().unwrap();
        arrow::array::make_array(data)
    };
    let decimal = |rng: &mut fastrand::Rng, precision: u8| {
        let most = 10_i128.pow(precision.into()) - 1;
        let values = (0..rows).map(|_| rng.i128(-most..=most)).collect::<Vec<_>>();
        Decimal128Array::from(values).with_precision_and_scale(precision, 2).unwrap()
    };
    match kind {
        "bool" => mask(Arc::new(BooleanArray::from((0..rows).map(|_| rng.bool()).collect::<Vec<_>>()))),
        "int32" => mask(Arc::new(Int32Array::from_iter_values((0..rows).map(|_| rng.i32(..))))),
        "int64" => mask(Arc::new(Int64Array::from_iter_values((0..rows).map(|_| rng.i64(-5..5))))),
        "double" => mask(Arc::new(Float64Array::from_iter_values((0..rows).map(|_| f64::from_bits(rng.u64(..)))))),
        "date" => mask(Arc::new(Date32Array::from_iter_values((0..rows).map(|_| rng.i32(-9..9))))),
        "timestamp" => {
            let values = TimestampMicrosecondArray::from_iter_values((0..rows).map(|_| rng.i64(..)));
            mask(Arc::new(values.with_timezone("UTC")))
        }
        "decimal9" => mask(Arc::new(decimal(rng, 9))),
        "decimal18" => mask(Arc::new(decimal(rng, 18))),
        "decimal38" => mask(Arc::new(decimal(rng, 38))),
        "text" => mask(Arc::new(StringArray::from_iter_values(words(rng, rows, 9999)))),
        "few texts" => mask(Arc::new(StringArray::from_iter_values(words(rng, rows, 2)))),
        "binary" => mask(Arc::new(BinaryArray::from_iter_values(words(rng, rows, 99)))),
        "list" => {
            let lengths: Vec<usize> = (0..rows)
                .map(|at| if absent.as_ref().is_some_and(|a| a.is_null(at)) { 0 } else { rng.usize(0..4) })
                .collect();
            let items = lengths.iter().sum();
            let kind = ["text", "int32", "bool"][rng.usize(0..3)];
            let share = if rng.bool() { 0.0 } else { 0.3 };
            let items = array(kind, rng, items, share);
            let item = Arc::new(Field::new("element", items.data_type().clone(), true));
            Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), items, absent))
        }
        _ => {
            let (a, b) = (array("text", rng, rows, 0.2), array("list", rng, rows, 0.2));
            let fields =
                vec![Field::new("a", a.data_type().clone(), true), Field::new("b", b.data_type().clone(), true)];
            Arc::new(StructArray::new(fields.into(), vec![a, b], absent))
        }
    }
}

#[derive(Debug, Clone)]
struct Sheet {
    kinds: Vec<(usize, u8)>,
    rows: usize,
    seed: u64,
    page_rows: usize,
    group_rows: usize,
    dictionary: usize,
    two: bool,
    compressed: bool,
}

fn sheets() -> impl Strategy<Value = Sheet> {
    let kinds = prop::collection::vec((0..KINDS.len(), 0..4_u8), 1..5);
    let shape = (1..40_usize, 1..90_usize, prop::sample::select(vec![0_usize, 40, 4000]), any::<bool>(), any::<bool>());
    (kinds, 0..200_usize, any::<u64>(), shape).prop_map(|(kinds, rows, seed, shape)| {
        let (page_rows, group_rows, dictionary, two, compressed) = shape;
        Sheet { kinds, rows, seed, page_rows, group_rows, dictionary, two, compressed }
    })
}

fn rows_of(sheet: &Sheet) -> RecordBatch {
    let mut rng = fastrand::Rng::with_seed(sheet.seed);
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (at, (kind, share)) in sheet.kinds.iter().enumerate() {
        // None, few, many and only nulls.
        let share = [0.0, 0.1, 0.9, 1.0][usize::from(*share)];
        let column = array(KINDS[*kind], &mut rng, sheet.rows, share);
        fields.push(Field::new(format!("c{at}"), column.data_type().clone(), share > 0.0 || at % 2 == 0));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn write(batch: &RecordBatch, sheet: &Sheet) -> Vec<u8> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(if sheet.compressed { zstd } else { Compression::UNCOMPRESSED })
        .set_writer_version(if sheet.two { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 })
        .set_data_page_row_count_limit(sheet.page_rows)
        .set_write_batch_size(sheet.page_rows.div_ceil(2))
        .set_max_row_group_row_count(Some(sheet.group_rows))
        .set_dictionary_enabled(sheet.dictionary > 0)
        .set_dictionary_page_size_limit(sheet.dictionary.max(1))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A file in a store; on disk if there is a folder.
async fn stored(bytes: &[u8], rows: usize, folder: Option<&Path>) -> FileReader {
    let scratch = tempfile::tempdir().unwrap();
    let local = scratch.path().join("x");
    std::fs::write(&local, bytes).unwrap();
    let store = folder.map_or_else(Store::in_memory, |folder| Store::open(folder.to_str().unwrap()).unwrap());
    let key = Key::Data {
        area: Area::Open,
        dataset: "d".parse().unwrap(),
        table: "t".parse().unwrap(),
        file: "x.parquet".to_owned(),
    };
    store.put_file(&key, &local).await.unwrap();
    let file = DataFile {
        key: key.to_string(),
        bytes: bytes.len() as u64,
        rows: rows as u64,
        added_in: 1,
        ..DataFile::default()
    };
    FileReader::new(&store, &file, &Budget::new(ScanCaps::none()))
}

/// Sorted ranges out of random numbers.
fn ranges(marks: &[usize], rows: usize) -> Vec<Range<u64>> {
    let mut marks: Vec<u64> = marks.iter().map(|mark| (mark % (rows + 1)) as u64).collect();
    marks.sort_unstable();
    marks.chunks_exact(2).map(|pair| pair[0]..pair[1]).filter(|range| !range.is_empty()).collect()
}

fn naively(bytes: &[u8], ranges: &[Range<u64>]) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
    let schema = Arc::clone(builder.schema());
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    let all = concat_batches(&schema, &batches).unwrap();
    let parts: Vec<_> =
        ranges.iter().map(|range| all.slice(range.start as usize, (range.end - range.start) as usize)).collect();
    concat_batches(&schema, &parts).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rows_are_those_of_the_parquet_crate(sheet in sheets(), marks in prop::collection::vec(any::<usize>(), 0..12), disk: bool, batch_rows in 1_u64..200) {
        let batch = rows_of(&sheet);
        let bytes = write(&batch, &sheet);
        let ranges = ranges(&marks, sheet.rows);
        let folder = tempfile::tempdir().unwrap();
        let mine = runtime().block_on(async {
            let reader = stored(&bytes, sheet.rows, disk.then_some(folder.path())).await;
            let footers = Arc::new(Footers::new(1 << 20));
            let footer = footers.footer(&reader).await.unwrap();
            let file = OpenFile::new(reader.clone(), Arc::clone(&footers), Arc::clone(&footer));
            let first = file.read(&batch.schema(), &ranges).await.unwrap();
            // Now pages are put aside, and then they are found there.
            for _ in 0..2 {
                let again = file.read(&batch.schema(), &ranges).await.unwrap();
                assert_eq!(first, again);
            }
            let pieces = file.clone().stream(batch.schema(), ranges.clone(), batch_rows).try_collect::<Vec<_>>().await;
            let pieces = pieces.unwrap();
            assert!(pieces.iter().all(|piece| piece.batch.num_rows() as u64 <= batch_rows));
            assert!(pieces.iter().flat_map(|piece| piece.rows.clone().into_iter().flatten()).eq(ranges.iter().cloned().flatten()));
            let streamed = concat_batches(&batch.schema(), pieces.iter().map(|piece| &piece.batch)).unwrap();
            assert_eq!(first, streamed);
            first
        });
        prop_assert_eq!(mine, naively(&bytes, &ranges));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic(sheet in sheets(), hits in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let batch = rows_of(&sheet);
        let mut bytes = write(&batch, &sheet);
        runtime().block_on(async {
            let footers = Arc::new(Footers::new(1 << 20));
            // The footer as it was written, the pages not.
            let whole = stored(&bytes, sheet.rows, None).await;
            let footer = footers.footer(&whole).await.unwrap();
            let pages = footer.metadata.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns);
            let end = pages.map(ColumnChunkMetaData::byte_range).map(|(begin, length)| begin + length).max().unwrap_or(4) as usize;
            for (at, bits) in hits {
                bytes[4 + at % (end - 3)] ^= bits;
            }
            let damaged = stored(&bytes, sheet.rows, None).await;
            let rows = 0..sheet.rows as u64;
            let _either = OpenFile::new(damaged, footers, footer).read(&batch.schema(), &[rows]).await;
        });
    }
}

fn only(kind: &str, rows: usize) -> (RecordBatch, Sheet) {
    let kind = KINDS.iter().position(|known| *known == kind).unwrap();
    let sheet = Sheet {
        kinds: vec![(kind, 1)],
        rows,
        seed: 1,
        page_rows: 20,
        group_rows: 100,
        dictionary: 4000,
        two: false,
        compressed: true,
    };
    (rows_of(&sheet), sheet)
}

#[tokio::test]
async fn what_we_write_is_read_here_and_structs_elsewhere() {
    for kind in KINDS {
        let (batch, sheet) = only(kind, 150);
        let reader = stored(&write(&batch, &sheet), sheet.rows, None).await;
        let footer = Footers::default().footer(&reader).await.unwrap();
        let native = matches!(footer.layout.columns.as_slice(), [FileColumn::Native(_)]);
        assert_eq!(native, kind != "struct", "{kind}");
    }
}

#[tokio::test]
async fn a_column_the_file_lacks_is_null_and_another_type_is_cast() {
    let (batch, sheet) = only("int32", 30);
    let reader = stored(&write(&batch, &sheet), sheet.rows, None).await;
    let footers = Arc::new(Footers::default());
    let footer = footers.footer(&reader).await.unwrap();
    let file = OpenFile::new(reader.clone(), Arc::clone(&footers), Arc::clone(&footer));
    let fields = vec![Field::new("new", DataType::Utf8, true), Field::new("c0", DataType::Int64, true)];
    let wanted: SchemaRef = Arc::new(Schema::new_with_metadata(fields, HashMap::new()));
    let read = file.read(&wanted, &[7..9, 20..21]).await.unwrap();
    assert_eq!((read.num_rows(), read.column(0).null_count()), (3, 3));
    assert_eq!(read.column(1).data_type(), &DataType::Int64);
}

proptest! {
    #[test]
    fn a_page_of_rows_is_one_read_per_column_chunk(sheet in sheets(), from: usize, wanted in 1_usize..100) {
        let batch = rows_of(&sheet);
        let bytes = write(&batch, &sheet);
        let rows = (from % sheet.rows.max(1)) as u64..(from % sheet.rows.max(1) + wanted).min(sheet.rows) as u64;
        let reads = runtime().block_on(async {
            let reader = stored(&bytes, sheet.rows, None).await;
            let footers = Arc::new(Footers::new(0));
            let footer = footers.footer(&reader).await.unwrap();
            let file = OpenFile::new(reader, Arc::clone(&footers), Arc::clone(&footer));
            // Dictionaries are kept from the first time on.
            file.read(&batch.schema(), std::slice::from_ref(&(0..sheet.rows as u64))).await.unwrap();
            let mut fetch = Vec::new();
            file.plans(&batch.schema(), std::slice::from_ref(&rows), Some(&footers.pages), &mut fetch).unwrap();
            1 + fetch.windows(2).filter(|two| two[0].end != two[1].start).count()
        });
        let groups = rows.end.div_ceil(sheet.group_rows as u64) - rows.start / sheet.group_rows as u64;
        prop_assert!(reads <= (batch.num_columns() as u64 * groups.max(1)) as usize, "{reads} reads of {groups} groups");
    }
}

#[tokio::test]
async fn pages_that_are_kept_are_not_read_again() {
    let (batch, sheet) = only("text", 150);
    let reader = stored(&write(&batch, &sheet), sheet.rows, None).await;
    let footers = Arc::new(Footers::default());
    let footer = footers.footer(&reader).await.unwrap();
    let file = OpenFile::new(reader.clone(), Arc::clone(&footers), Arc::clone(&footer));
    file.read(&batch.schema(), &[5..7]).await.unwrap();
    let counts = || (footers.page_counts().hits, footers.page_counts().misses);
    assert_eq!(counts(), (0, 1));
    // What was read once may never be wanted again.
    file.read(&batch.schema(), &[8..9]).await.unwrap();
    assert_eq!(counts(), (0, 2));
    file.read(&batch.schema(), &[9..12]).await.unwrap();
    assert_eq!(counts(), (1, 2));
    let too_far = file.read(&batch.schema(), &[149..151]).await;
    assert!(too_far.is_err());
}

#[tokio::test]
async fn a_bloom_filter_knows_every_value_and_few_others() {
    for kind in ["int32", "int64", "text"] {
        let (batch, sheet) = only(kind, 150);
        let properties = WriterProperties::builder()
            .set_bloom_filter_enabled(true)
            .set_bloom_filter_max_ndv(1000)
            .set_max_row_group_row_count(Some(sheet.group_rows))
            .build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let reader = stored(&bytes, sheet.rows, None).await;
        let footers = Arc::new(Footers::default());
        let footer = footers.footer(&reader).await.unwrap();
        let file = OpenFile::new(reader.clone(), Arc::clone(&footers), Arc::clone(&footer));
        let read = reader.budget().read();
        let (mut present, mut absent) = (0, 0);
        for row in 0..sheet.rows {
            let value = ScalarValue::try_from_array(batch.column(0), row).unwrap();
            let Some(known) = OneOf::new("c0", &[value]) else { continue };
            assert!(known.may_be_in(&file, row / sheet.group_rows).await.unwrap());
            present += 1;
            let other = match kind {
                "int32" => ScalarValue::Int32(Some(7 + row as i32)),
                "int64" => ScalarValue::Int64(Some(7 + row as i64)),
                _ => ScalarValue::Utf8(Some(format!("not there {row}"))),
            };
            let other = OneOf::new("c0", &[other]).unwrap();
            absent += usize::from(!other.may_be_in(&file, 0).await.unwrap());
        }
        assert!(present > 100 && absent * 10 > present * 9, "{kind}: {absent} of {present}");
        assert_eq!(reader.budget().read(), read, "no row was scanned");
    }
}
