use std::sync::Arc;

use arrow::{
    array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Int32Type},
    ipc::{
        CompressionType,
        writer::{FileWriter, IpcWriteOptions, StreamWriter},
    },
};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    catalog::Blame,
    ingest::extract::{
        Format, RawColumn,
        gathered::{Setting, run},
    },
};

const FORMAT: Format = Format::Arrow {};

fn batch(from: i64, rows: i64) -> RecordBatch {
    let words: DictionaryArray<Int32Type> = (from..from + rows).map(|i| Some(["a", "b"][i as usize % 2])).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("n", Arc::new(Int64Array::from_iter_values(from..from + rows))),
        ("word", Arc::new(words)),
        ("text", Arc::new(StringArray::from_iter((0..rows).map(|i| (i % 3 > 0).then(|| format!("t{i}")))))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch")
}

fn file(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).expect("options");
    let mut out = Vec::new();
    let mut writer = FileWriter::try_new_with_options(&mut out, &batches[0].schema(), options).expect("a writer");
    batches.iter().for_each(|batch| writer.write(batch).expect("a batch"));
    writer.finish().expect("a file");
    drop(writer);
    out
}

fn stream(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).expect("options");
    let mut out = Vec::new();
    let mut writer = StreamWriter::try_new_with_options(&mut out, &batches[0].schema(), options).expect("a writer");
    batches.iter().for_each(|batch| writer.write(batch).expect("a batch"));
    writer.finish().expect("a stream");
    drop(writer);
    out
}

#[test]
fn files_and_streams_compressed_or_not_give_the_same_rows() {
    let batches = [batch(0, 4), batch(4, 20_000)];
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        for bytes in [file(&batches, compression), stream(&batches, compression)] {
            let gathered = run(&FORMAT, &bytes).expect("rows");
            assert_eq!(
                gathered.rows()[..3],
                [
                    json!({"n": "0", "word": "a"}),
                    json!({"n": "1", "word": "b", "text": "t1"}),
                    json!({"n": "2", "word": "a", "text": "t2"}),
                ]
            );
            assert_eq!(gathered.positions(), (1..=20_004).collect::<Vec<_>>());
            assert!(gathered.batches.iter().all(|batch| batch.rows <= 8192 && !batch.sparse));
            let RawColumn::Typed(words) = &gathered.batches[0].columns[1] else { panic!("typed") };
            assert_eq!(*words.data_type(), DataType::Utf8);
        }
    }
}

#[test]
fn only_wanted_columns_and_no_rows_at_all() {
    let bytes = file(&[batch(0, 2)], None);
    let gathered = Setting::default().wanted(&["text", "n", "zzz"]).run(&FORMAT, &bytes).expect("rows");
    assert_eq!(*gathered.batches[0].names, ["n", "text"]);
    for bytes in [file(&[batch(0, 0)], None), stream(&[batch(0, 0)], None)] {
        let gathered = run(&FORMAT, &bytes).expect("rows");
        assert_eq!((gathered.count(), gathered.batches[0].names.len()), (0, 3));
    }
}

#[test]
fn types_we_do_not_have_and_names_twice_are_the_definitions() {
    let intervals = arrow::array::DurationSecondArray::from(vec![1]);
    let unknown = RecordBatch::try_from_iter([
        ("wait", Arc::new(intervals) as ArrayRef),
        ("n", Arc::new(Int64Array::from(vec![1]))),
    ]);
    let bytes = stream(&[unknown.expect("a batch")], None);
    let failure = run(&FORMAT, &bytes).expect_err("no type");
    assert!(failure.blame == Blame::Definition && failure.message.contains("`wait`"), "{failure}");
    assert_eq!(Setting::default().wanted(&["n"]).run(&FORMAT, &bytes).expect("rows").count(), 1);
    let schema = Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("n", DataType::Int64, true)]);
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let twice = RecordBatch::try_new(schema.into(), vec![column.clone(), column]).expect("a batch");
    assert!(run(&FORMAT, &stream(&[twice], None)).expect_err("twice").message.contains("two columns are called `n`"));
}

#[test]
fn cut_off_files_are_upstreams() {
    let bytes = file(&[batch(0, 10)], None);
    for cut in 0..bytes.len() {
        let failure = run(&FORMAT, &bytes[..cut]).expect_err("cut off");
        assert_eq!(failure.blame, Blame::Upstream, "{cut}: {failure}");
    }
    let bytes = stream(&[batch(0, 10)], None);
    assert!(run(&FORMAT, &bytes[..bytes.len() - 20]).expect_err("cut off").message.contains("cut off"));
    assert!(run(&FORMAT, b"{\"a\": 1}\n").is_err());
}

#[test]
fn claimed_lengths_are_not_believed() {
    let mut bytes = stream(&[batch(0, 100)], Some(CompressionType::ZSTD));
    let claim = bytes.windows(8).rposition(|window| window == 800_i64.to_le_bytes()).expect("a compressed buffer");
    bytes[claim..claim + 8].copy_from_slice(&(1_i64 << 45).to_le_bytes());
    let failure = run(&FORMAT, &bytes).expect_err("a bomb");
    assert!(failure.message.contains("claims to decompress"), "{failure}");
    let huge = [&CONTINUATION[..], &u32::MAX.to_le_bytes()].concat();
    assert!(run(&FORMAT, &huge).expect_err("huge").message.contains("claims"));
}

proptest! {
    #[test]
    fn mutations_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), zstd in any::<bool>()) {
        let compression = zstd.then_some(CompressionType::ZSTD);
        for mut bytes in [file(&[batch(0, 10)], compression), stream(&[batch(0, 10)], compression)] {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = run(&FORMAT, &bytes);
        }
    }
}
