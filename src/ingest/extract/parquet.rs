//! Parquet files of others. Their parser may panic on malformed files, so it runs guarded, and what a file claims about
//! its own size is checked before it is believed.

use std::fs::File;

use arrow::array::{RecordBatch, RecordBatchReader};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    errors::ParquetError,
    file::metadata::ParquetMetaData,
};

use super::{
    Extraction, Member, Sink,
    spool::Spooled,
    typed::{BATCH_BYTES, TypedRows, guarded, rows_in},
};
use crate::ingest::Failure;

/// The schema is parsed recursively, however deep the file says it is.
const METADATA_STACK: usize = 256 << 20;

/// Reads all row groups, only the wanted columns of them.
///
/// # Errors
/// A malformed or cut-off file (upstream), a column of a type we have none for (definition), or the sink's.
pub(super) fn extract(extraction: &Extraction<'_>, mut input: Member<'_>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let place = extraction.place();
    let spooled = Spooled::new(extraction, &mut input)?;
    let file = spooled.open()?;
    let fault = |error: ParquetError| Failure::upstream(format!("{place}: Parquet: {error}"));
    let metadata = load(&file, extraction, &place)?.map_err(fault)?;
    let mut rows = TypedRows::new(metadata.schema(), extraction)?;
    let mask = ProjectionMask::roots(metadata.parquet_schema(), rows.columns());
    let row_bytes = check_sizes(metadata.metadata(), &mask, &file, &place)?;
    rows.projected();
    let mut reader = guarded(&place, || {
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_projection(mask)
            .with_batch_size(rows_in(BATCH_BYTES, row_bytes))
            .build()
    })?
    .map_err(fault)?;
    let mut any = false;
    while let Some(batch) = guarded(&place, || reader.next())? {
        let batch = batch.map_err(|error| Failure::upstream(format!("{place}: Parquet: {error}")))?;
        rows.push(&batch, sink)?;
        any = true;
    }
    if !any {
        rows.push(&RecordBatch::new_empty(reader.schema()), sink)?;
    }
    Ok(())
}

fn load(
    file: &File,
    extraction: &Extraction<'_>,
    place: &str,
) -> Result<Result<ArrowReaderMetadata, ParquetError>, Failure> {
    let deepest = extraction.caps.depth;
    let parse = || {
        let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
        let schema = metadata.parquet_schema();
        let depth = schema.columns().iter().map(|column| column.path().parts().len()).max().unwrap_or_default();
        if depth > deepest {
            return Err(ParquetError::General(format!("nested deeper than {deepest} levels (cap `depth`)")));
        }
        Ok(metadata)
    };
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().stack_size(METADATA_STACK).spawn_scoped(scope, || guarded(place, parse));
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(metadata)) => metadata,
            Ok(Err(_)) => Err(Failure::upstream(format!("{place}: Parquet: its parser gave up"))),
            Err(error) => Err(Failure::internal(format!("cannot start a thread: {error}"))),
        }
    })
}

/// Refuses column chunks outside of the file; says how many bytes a row has, about.
fn check_sizes(metadata: &ParquetMetaData, mask: &ProjectionMask, file: &File, place: &str) -> Result<usize, Failure> {
    let length = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
    let (mut rows, mut bytes) = (0_i64, 0_i64);
    for group in metadata.row_groups() {
        rows = rows.saturating_add(group.num_rows().max(0));
        for (leaf, chunk) in group.columns().iter().enumerate() {
            let start =
                chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset()).min(chunk.data_page_offset());
            let end = start.checked_add(chunk.compressed_size());
            let inside = start >= 0 && chunk.compressed_size() >= 0 && end.is_some_and(|end| end as u64 <= length);
            if !inside {
                return Err(Failure::upstream(format!(
                    "{place}: Parquet: column `{}` lies outside of the file of {length} bytes: it is cut off or malformed",
                    chunk.column_path()
                )));
            }
            if mask.leaf_included(leaf) {
                bytes = bytes.saturating_add(chunk.uncompressed_size().max(0));
            }
        }
    }
    Ok(usize::try_from(bytes / rows.max(1)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, DictionaryArray, Int64Array, ListArray, StringArray, UInt64Array},
        datatypes::Int32Type,
    };
    use parquet::{
        arrow::ArrowWriter,
        basic::Compression,
        data_type::{Int96, Int96Type},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
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

    const FORMAT: Format = Format::Parquet {};

    fn file(rows: i64) -> Vec<u8> {
        let words: DictionaryArray<Int32Type> = (0..rows).map(|i| Some(["a", "b"][i as usize % 2])).collect();
        let lists =
            ListArray::from_iter_primitive::<Int32Type, _, _>((0..rows).map(|i| Some(vec![Some(i as i32), None])));
        let columns: [(&str, ArrayRef); 5] = [
            ("n", Arc::new(Int64Array::from_iter_values(0..rows))),
            ("word", Arc::new(words)),
            ("text", Arc::new(StringArray::from_iter((0..rows).map(|i| (i % 3 > 0).then(|| format!("t{i}")))))),
            ("list", Arc::new(lists)),
            ("big", Arc::new(UInt64Array::from_iter_values((0..rows).map(|i| u64::MAX - i as u64)))),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)));
        let batch = batch.expect("a batch");
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(7000))
            .build();
        let mut out = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).expect("a writer");
        writer.write(&batch).expect("rows");
        writer.close().expect("a file");
        out
    }

    #[test]
    fn rows_come_with_their_types_and_dictionaries_decoded() {
        let gathered = run(&FORMAT, &file(20_000)).expect("rows");
        assert_eq!(
            gathered.rows()[1],
            json!({"n": "1", "word": "b", "text": "t1", "list": "[1, ]", "big": (u64::MAX - 1).to_string()})
        );
        assert_eq!(gathered.positions(), (1..=20_000).collect::<Vec<_>>());
        let RawColumn::Typed(words) = &gathered.batches[0].columns[1] else { panic!("typed") };
        assert_eq!(*words.data_type(), arrow::datatypes::DataType::Utf8);
        let gathered = Setting::default().wanted(&["list", "n"]).run(&FORMAT, &file(3)).expect("rows");
        assert_eq!(*gathered.batches[0].names, ["n", "list"]);
        assert_eq!(Setting::default().wanted(&["zzz"]).run(&FORMAT, &file(3)).expect("rows").count(), 3);
        let gathered = run(&FORMAT, &file(0)).expect("rows");
        assert_eq!((gathered.count(), gathered.batches[0].names.len()), (0, 5));
    }

    #[test]
    fn a_file_on_disk_is_read_in_place() {
        let setting = Setting::default();
        let path = setting.scratch.path().join("x.parquet");
        std::fs::write(&path, file(5)).expect("a file");
        assert_eq!(setting.run_file(&FORMAT, &path).expect("rows").count(), 5);
        assert_eq!(std::fs::read_dir(setting.scratch.path()).expect("scratch").count(), 1);
    }

    #[test]
    fn int96_is_an_instant() {
        let schema = Arc::new(parse_message_type("message m { optional int96 t; }").expect("a schema"));
        let mut out = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut out, schema, Arc::default()).expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        let mut column = group.next_column().expect("a column").expect("a column");
        let mut value = Int96::new();
        value.set_data(1_000_000_000, 0, 2_440_588); // one second into the Julian day of 1970-01-01
        column.typed::<Int96Type>().write_batch(&[value], Some(&[1]), None).expect("a value");
        column.close().expect("closed");
        group.close().expect("closed");
        writer.close().expect("closed");
        assert_eq!(run(&FORMAT, &out).expect("rows").rows(), [json!({"t": "1970-01-01T00:00:01"})]);
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_upstreams() {
        let bytes = file(10);
        for cut in (0..bytes.len()).step_by(7) {
            let failure = run(&FORMAT, &bytes[..cut]).expect_err("cut off");
            assert_eq!(failure.blame, Blame::Upstream, "{failure}");
        }
        assert!(run(&FORMAT, b"<html>not found</html>").is_err());
    }

    #[test]
    fn a_schema_nested_without_end_is_refused() {
        let mut text = "message m {".to_owned();
        (0..300).for_each(|i| text.push_str(&format!("optional group g{i} {{")));
        text.push_str("optional int32 x;");
        text.push_str(&"}".repeat(301));
        let schema = Arc::new(parse_message_type(&text).expect("a schema"));
        let mut out = Vec::new();
        SerializedFileWriter::new(&mut out, schema, Arc::default()).expect("a writer").close().expect("closed");
        let failure = run(&FORMAT, &out).expect_err("too deep");
        assert!(failure.message.contains("deeper than 128"), "{failure}");
    }

    proptest! {
        #[test]
        fn mutations_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = file(10);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = run(&FORMAT, &bytes);
            let _ = run(&FORMAT, &bytes[cut.index(bytes.len())..]);
        }
    }
}
