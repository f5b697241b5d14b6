//! The layout of the files: pages, statistics, checksums, filters, bounds.

use parquet::{
    bloom_filter::Sbbf,
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        properties::ReaderProperties,
        reader::{FileReader, SerializedFileReader},
        serialized_reader::ReadOptionsBuilder,
    },
};
use serde_json::json;

use super::*;
use crate::ingest::encode::checksum::read_checksum;

fn wide(n: i64) -> Row {
    Row { a: Some(n), b: Some(format!("group {}", n % 7)), text: Some(format!("text {:x}", n * 7919 % 10_007)), n }
}

fn metadata(file: &EncodedFile) -> ParquetMetaData {
    let opened = std::fs::File::open(&file.path).unwrap();
    ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required).parse_and_finish(&opened).unwrap()
}

fn encode_table(table: &TableSchema, batches: Vec<RecordBatch>, settings: &EncodeSettings) -> Encoded {
    let shape = TableShape {
        schema: table,
        primary_key: &[],
        sort_key: &[],
        partition_by: &[],
        on_duplicate: OnDuplicate::First,
        metadata: vec![("license".into(), "CC0-1.0".into())],
    };
    let mut encoder = Encoder::new(shape, settings, &std::env::temp_dir()).unwrap();
    for batch in batches {
        encoder.push(batch, &[], "line", "x").unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn pages_are_small_indexed_and_checked() {
    use sha2::Digest;
    let rows: Vec<Row> = (0..30_000).map(wide).collect();
    let batches: Vec<RecordBatch> = rows.chunks(4096).map(batch).collect();
    let settings = EncodeSettings { row_group_rows: 12_345, ..EncodeSettings::default() };
    let encoded = encode_table(&table(), batches, &settings);
    let [file] = &encoded.files[..] else { panic!("{} files", encoded.files.len()) };
    assert_rows(&encoded, &rows);
    let bytes = std::fs::read(&file.path).unwrap();
    assert_eq!((bytes.len() as u64, hex::encode(sha2::Sha256::digest(&bytes))), (file.bytes, file.sha256.clone()));

    let metadata = metadata(file);
    let groups: Vec<i64> = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(groups, [12_345, 12_345, 5_310]);
    // Where each begins, one after the other; right after the magic number, and where the pages of the one before end.
    assert_eq!(file.row_groups.len(), 3);
    assert!(file.row_groups[0] == 4 && file.row_groups.is_sorted());
    for (at, group) in metadata.row_groups().iter().enumerate() {
        let ends = group.columns().iter().map(|column| (column.byte_range().0 + column.byte_range().1) as i64);
        assert_eq!(group.columns().iter().map(|column| column.byte_range().0 as i64).min(), Some(file.row_groups[at]));
        assert!(file.row_groups.get(at + 1).is_none_or(|next| ends.max() == Some(*next)));
    }
    let offsets = metadata.offset_index().unwrap();
    let mut dictionaries = 0;
    for (group, offsets) in metadata.row_groups().iter().zip(offsets) {
        for (column, offsets) in group.columns().iter().zip(offsets) {
            let mut firsts: Vec<i64> = offsets.page_locations().iter().map(|page| page.first_row_index).collect();
            firsts.push(group.num_rows());
            let longest = firsts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            assert!(longest <= 1000, "{} rows in a page of {}", longest, column.column_path());
            assert!(firsts.len() as i64 - 1 <= group.num_rows() / 750 + 1, "too many pages");
            assert!(column.statistics().is_some() && column.column_index_length().is_some());
            // Every page, the dictionary's too: header with checksum, then the body it is of.
            let dictionary = column.dictionary_page_offset().map(|offset| {
                dictionaries += 1;
                (offset, column.data_page_offset() - offset)
            });
            let pages = offsets.page_locations().iter().map(|page| (page.offset, page.compressed_page_size.into()));
            let mut end = None;
            for (offset, length) in dictionary.into_iter().chain(pages) {
                assert!(end.is_none_or(|end| end == offset), "pages lie side by side");
                end = Some(offset + length);
                let page = &bytes[offset as usize..(offset + length) as usize];
                let (crc, body) = read_checksum(page).unwrap();
                assert_eq!(crc32fast::hash(&page[page.len() - body..]), crc);
            }
            assert_eq!(end.unwrap(), column.byte_range().0 as i64 + column.byte_range().1 as i64);
        }
    }
    // `b` has seven values, `text` has thousands.
    let dictionary = |leaf: usize| metadata.row_group(0).column(leaf).dictionary_page_offset().is_some();
    assert!(dictionaries > 0 && dictionary(1) && !dictionary(2) && !dictionary(3));
    let file_metadata = metadata.file_metadata();
    assert!(file_metadata.created_by().unwrap().starts_with("openshelf version "));
    let entry = |key: &str| file_metadata.key_value_metadata().unwrap().iter().find(|entry| entry.key == key);
    assert_eq!(entry("license").unwrap().value.as_deref(), Some("CC0-1.0"));
    assert!(entry("ARROW:schema").is_some());
    let ids: Vec<i32> = file_metadata
        .schema_descr()
        .root_schema()
        .get_fields()
        .iter()
        .map(|field| field.get_basic_info().id())
        .collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7]);
    let leaf_ids: Vec<i32> =
        file_metadata.schema_descr().columns().iter().map(|leaf| leaf.self_type().get_basic_info().id()).collect();
    assert_eq!(leaf_ids, [1, 2, 3, 4, 8, 9, 10, 11, 12]);
}

#[test]
fn pages_stay_small_whatever_their_bytes_and_nesting() {
    // Long texts end pages by bytes, at odd rows; nulls and lists come in stretches.
    let rows: Vec<Row> = (0..9_000)
        .map(|n| {
            let long = if n % 13 == 0 { 40_000 } else { 3 };
            let text = (n / 3000 != 1).then(|| format!("{n} {}", "x".repeat(if n < 3000 { long } else { 10 })));
            Row { a: (n / 1000 != 2).then_some(n), b: None, text, n: if n < 4000 { n * 5 } else { n * 4 + 3 } }
        })
        .collect();
    let batches: Vec<RecordBatch> = rows.chunks(777).map(batch).collect();
    let encoded = encode_table(&table(), batches, &EncodeSettings::default());
    assert_rows(&encoded, &rows);
    for file in &encoded.files {
        let metadata = metadata(file);
        for (group, offsets) in metadata.row_groups().iter().zip(metadata.offset_index().unwrap()) {
            for (leaf, offsets) in offsets.iter().enumerate() {
                let mut firsts: Vec<i64> = offsets.page_locations().iter().map(|page| page.first_row_index).collect();
                firsts.push(group.num_rows());
                let longest = firsts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
                assert!(longest <= 1000, "{longest} rows in a page of leaf {leaf}");
            }
        }
    }
}

#[test]
fn sorted_files_say_so_and_are_cut_where_they_are_full() {
    let rows: Vec<Row> = (0..20_000).map(wide).collect();
    let keys = Keys { primary: &["a"], sort: &["a"], on_duplicate: OnDuplicate::First };
    let settings = EncodeSettings { file_bytes: 20_000, row_group_bytes: 300_000, ..EncodeSettings::default() };
    let encoded = encode(&rows, &[1000], &keys, &settings);
    assert!(
        (3..40).contains(&encoded.files.len()),
        "{:?}",
        encoded.files.iter().map(|file| (file.bytes, file.rows)).collect::<Vec<_>>()
    );
    for file in &encoded.files {
        assert!(file.bytes < 60_000, "{} bytes", file.bytes);
        let sorting = metadata(file).row_group(0).sorting_columns().unwrap().clone();
        assert_eq!((sorting.len(), sorting[0].column_idx, sorting[0].nulls_first), (1, 0, false));
    }
    // Files follow each other in the order of the key.
    let bound = |file: &EncodedFile, max: bool| {
        let bounds = &file.columns["a"];
        if max { bounds.max.clone() } else { bounds.min.clone() }.unwrap().as_i64().unwrap()
    };
    assert!(encoded.files.windows(2).all(|pair| bound(&pair[0], true) < bound(&pair[1], false)));
}

#[test]
fn bloom_filters_answer_and_are_small() {
    let mut table = table();
    table.columns[2].bloom = true;
    let rows: Vec<Row> = (0..20_000).map(|n| Row { text: Some(format!("id{n}")), ..wide(n) }).collect();
    let encoded = encode_table(&table, rows.chunks(8192).map(batch).collect(), &EncodeSettings::default());
    let opened = std::fs::File::open(&encoded.files[0].path).unwrap();
    let properties = ReaderProperties::builder().set_read_bloom_filter(true).build();
    let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
    let reader = SerializedFileReader::new_with_options(opened, options).unwrap();
    let group = reader.get_row_group(0).unwrap();
    let filter: &Sbbf = group.get_column_bloom_filter(2).unwrap();
    assert!(group.get_column_bloom_filter(0).is_none());
    assert!((0..20_000).all(|n| filter.check(&format!("id{n}").as_str())));
    let let_through = (0..10_000).filter(|n| filter.check(&format!("no{n}").as_str())).count();
    assert!(let_through < 300, "{let_through} of 10000");
    let length = group.metadata().column(2).bloom_filter_length().unwrap();
    assert!(length <= 40_000, "{length} bytes");
}

#[test]
fn an_empty_table_is_one_file_with_its_schema() {
    let encoded = encode_table(&table(), Vec::new(), &EncodeSettings::default());
    assert_eq!((encoded.files.len(), encoded.rows, encoded.duplicate_rows), (1, 0, 0));
    assert_rows(&encoded, &[]);
}

#[test]
fn bounds_are_shown_as_the_api_shows_values() {
    use arrow::array::*;
    let columns = [
        ("bool", "bool"),
        ("int32", "int32"),
        ("small", "int64"),
        ("large", "int64"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("nan", "float64"),
        ("infinite", "float64"),
        ("decimal", "decimal(10,2)"),
        ("date", "date"),
        ("timestamp", "timestamp"),
        ("datetime", "datetime"),
        ("text", "utf8"),
        ("long", "utf8"),
        ("null", "utf8"),
        ("bytes", "binary"),
        ("json", "json"),
        ("list", "list<int32>"),
    ];
    let table = TableSchema { columns: columns.map(|(name, kind)| column(name, kind)).into() };
    let schema = table.to_arrow();
    let micros = [Some(1_704_067_200_000_000), None, Some(1_704_067_200_000_001)];
    let mut list = ListBuilder::new(Int32Builder::new());
    if let DataType::List(element) = schema.field(17).data_type() {
        list = list.with_field(element.clone());
    }
    (0..3).for_each(|_| list.append(true));
    let long = "é".repeat(500);
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![Some(false), None, Some(true)])),
        Arc::new(Int32Array::from(vec![Some(-3), None, Some(i32::MAX)])),
        Arc::new(Int64Array::from(vec![Some(-(1 << 53)), None, Some(5)])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(5)])),
        Arc::new(Float32Array::from(vec![Some(-0.5), None, Some(0.25)])),
        Arc::new(Float64Array::from(vec![Some(-0.0), None, Some(1e300)])),
        Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::NAN), Some(2.5)])),
        Arc::new(Float64Array::from(vec![Some(f64::NEG_INFINITY), None, Some(7.0)])),
        Arc::new(Decimal128Array::from(vec![Some(-12345), None, Some(100)]).with_precision_and_scale(10, 2).unwrap()),
        Arc::new(Date32Array::from(vec![Some(-1), None, Some(19_723)])),
        Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from(micros.to_vec())),
        Arc::new(StringArray::from(vec![Some("b"), None, Some("a\"")])),
        Arc::new(StringArray::from(vec![Some(long.as_str()), None, Some("z")])),
        Arc::new(StringArray::from(vec![None::<&str>, None, None])),
        Arc::new(BinaryArray::from(vec![Some(b"x" as &[u8]), None, Some(b"y")])),
        Arc::new(StringArray::from(vec![Some("{}"), None, Some("[]")])),
        Arc::new(list.finish()),
    ];
    let batch = RecordBatch::try_new(schema, arrays).unwrap();
    // Three row groups, so that bounds are joined, one of them all null.
    let settings = EncodeSettings { row_group_rows: 1, ..EncodeSettings::default() };
    let encoded = encode_table(&table, vec![batch.clone()], &settings);
    let bounds = &encoded.files[0].columns;
    // In one row group, 1.5 is least; NaN comes after every number.
    let together = encode_table(&table, vec![batch], &EncodeSettings::default());
    let nan = &together.files[0].columns["nan"];
    assert_eq!((nan.min.clone(), nan.max.clone()), (Some(json!(1.5)), None));
    let long_bound = bounds["long"].max.clone().unwrap();
    assert_eq!(long_bound, json!("é".repeat(31) + "ê"));
    let expected = json!({
        "bool": {"min": false, "max": true, "nulls": 1},
        "int32": {"min": -3, "max": i32::MAX, "nulls": 1},
        "small": {"min": -9_007_199_254_740_992_i64, "max": 5, "nulls": 1},
        "large": {"min": "-9223372036854775808", "max": "5", "nulls": 1},
        "float32": {"min": -0.5, "max": 0.25, "nulls": 1},
        "float64": {"min": 0.0, "max": 1e300, "nulls": 1},
        "nan": {"nulls": 0},
        "infinite": {"max": 7.0, "nulls": 1},
        "decimal": {"min": "-123.45", "max": "1.00", "nulls": 1},
        "date": {"min": "1969-12-31", "max": "2024-01-01", "nulls": 1},
        "timestamp": {"min": "2024-01-01T00:00:00Z", "max": "2024-01-01T00:00:00.000001Z", "nulls": 1},
        "datetime": {"min": "2024-01-01T00:00:00", "max": "2024-01-01T00:00:00.000001", "nulls": 1},
        "text": {"min": "a\"", "max": "b", "nulls": 1},
        "long": {"min": "z", "max": long_bound, "nulls": 1},
        "null": {"nulls": 3},
        "bytes": {"nulls": 1},
        "json": {"nulls": 1},
    });
    let found = serde_json::to_value(bounds).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        assert_eq!(found[name], *expected, "{name}");
    }
    assert_eq!(found.as_object().unwrap().len(), columns.len() - 1, "all but the list");
}
