//! Casts value by value, binding, rejects; and that nothing is lost on the way.
#![allow(clippy::unwrap_used)]

use arrow::array::{
    AsArray, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray, StructArray, TimestampNanosecondArray,
    UInt64Array,
};
use arrow::datatypes::{Field, Fields, Int32Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ingest::{
    definition::grammar::{Csv, Header, Json},
    extract::{BrokenRow, RawColumn},
};

fn definitions(text: &str) -> Vec<ColumnDefinition> {
    #[derive(serde::Deserialize)]
    struct Columns {
        column: Vec<ColumnDefinition>,
    }
    toml::from_str::<Columns>(text).expect("columns").column
}

fn table(columns: Vec<ColumnDefinition>, primary_key: &[&str], format: Format) -> Table {
    let mut table: Table = serde_json::from_value(json!({
        "name": "t", "source": "s", "format": {"type": "ndjson"}, "primary_key": primary_key
    }))
    .expect("a table");
    table.columns = columns;
    table.format = format;
    table
}

fn normalizer(table: &Table) -> Result<Normalizer, Failure> {
    let origin = Origin {
        source: "http://x/y.csv".into(),
        variables: BTreeMap::from([("hour".into(), "2024-01-01-5".into()), ("file".into(), "y.csv".into())]),
    };
    Normalizer::new(&table.columns, &schema_of(table)?, &table.format, origin)
}

fn csv() -> Format {
    Format::Csv(Csv::default())
}

fn batch(names: &[&str], columns: Vec<RawColumn>, sparse: bool) -> RawBatch {
    let rows = columns.first().map_or(0, RawColumn::len);
    RawBatch {
        names: Arc::new(names.iter().map(|name| (*name).to_owned()).collect()),
        columns,
        rows,
        positions: (2..rows as u64 + 2).collect(),
        unit: "line",
        broken: Vec::new(),
        sparse,
    }
}

fn text(values: &[Option<&str>]) -> RawColumn {
    RawColumn::Text(values.iter().map(|value| value.map(str::as_bytes)).collect())
}

fn json_cells(values: &[Option<&str>]) -> RawColumn {
    RawColumn::Json(values.iter().map(|value| value.map(str::as_bytes)).collect())
}

fn display(array: &dyn Array, row: usize) -> Option<String> {
    let options = FormatOptions::default();
    array.is_valid(row).then(|| ArrayFormatter::try_new(array, &options).unwrap().value(row).to_string())
}

/// Casts one cell; `Ok(None)` is null.
fn cast_one(column: &str, cell: RawColumn) -> Result<Option<String>, String> {
    let columns = definitions(&format!("[[column]]\nname = \"a\"\n{column}"));
    let table = table(columns, &[], csv());
    let out = normalizer(&table).expect("a definition").push(&batch(&["a"], vec![cell], false)).expect("a batch");
    assert_eq!(out.rows.schema(), schema_of(&table).unwrap().to_arrow());
    match out.rejects {
        None => Ok(display(out.rows.column(0), 0)),
        Some(rejects) => Err(rejects.column_by_name("reason").unwrap().as_string::<i32>().value(0).to_owned()),
    }
}

const REJECT: &str = "\u{0}";
const NULL: &str = "\u{1}";

fn holds(column: &str, cell: RawColumn, wanted: &str) {
    let told = format!("{column} {cell:?}");
    match (cast_one(column, cell), wanted) {
        (Err(_), REJECT) | (Ok(None), NULL) => {}
        (Ok(Some(value)), wanted) if value == wanted => {}
        (got, wanted) => panic!("{told}: wanted {wanted:?}, got {got:?}"),
    }
}

#[test]
fn text_is_cast_to_each_type_exactly_or_not_at_all() {
    let cases: &[(&str, &str, &str)] = &[
        ("int32", "12", "12"),
        ("int32", " 12 ", "12"),
        ("int32", "-0", "0"),
        ("int32", "+5", "5"),
        ("int32", "007", "7"),
        ("int32", "3.0", "3"),
        ("int32", "3.5", REJECT),
        ("int32", "1e3", "1000"),
        ("int32", "2147483648", REJECT),
        ("int32", "-2147483648", "-2147483648"),
        ("int32", "", NULL),
        ("int32", "  ", NULL),
        ("int32", "1_000", REJECT),
        ("int32", "0x10", REJECT),
        ("int32", "-", REJECT),
        ("int32", ".", REJECT),
        ("int32", "1e", REJECT),
        ("int32", "１２", REJECT),
        ("int64", "9223372036854775807", "9223372036854775807"),
        ("int64", "-9223372036854775808", "-9223372036854775808"),
        ("int64", "9223372036854775808", REJECT),
        ("int64", "000000000000000000000000000001", "1"),
        ("int64", "1e999999999999", REJECT),
        ("int64", "NaN", REJECT),
        ("float64", "1e-3", "0.001"),
        ("float64", ".5", "0.5"),
        ("float64", "nan", "NaN"),
        ("float64", "-inf", "-inf"),
        ("float64", "1e999", REJECT),
        ("float64", "1,5", REJECT),
        ("float64", "9007199254740993", "9007199254740992.0"),
        ("float32", "1e39", REJECT),
        ("float32", "0.1", "0.1"),
        ("decimal(5,2)", "123.4", "123.40"),
        ("decimal(5,2)", "-123.450", "-123.45"),
        ("decimal(5,2)", "1.005", REJECT),
        ("decimal(5,2)", "1000", REJECT),
        ("decimal(5,2)", "1.5e1", "15.00"),
        ("decimal(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ("decimal(38,0)", "100000000000000000000000000000000000000", REJECT),
        ("bool", "TRUE", "true"),
        ("bool", "f", "false"),
        ("bool", "1", "true"),
        ("bool", "yes", REJECT),
        ("bool", "2", REJECT),
        ("date", "2024-02-29", "2024-02-29"),
        ("date", "2023-02-29", REJECT),
        ("date", "20240229", "2024-02-29"),
        ("date", "2024-1-1", REJECT),
        ("date", "0001-01-01", "0001-01-01"),
        ("date", "1969-12-31", "1969-12-31"),
        ("date", "2024-01-01T00:00:00Z", "2024-01-01"),
        ("date", "2024-01-01T10:00:00Z", REJECT),
        ("timestamp", "2024-04-01T10:26:27Z", "2024-04-01T10:26:27Z"),
        ("timestamp", "2024-04-01 10:26:27.337", "2024-04-01T10:26:27.337Z"),
        ("timestamp", "2014-06-06 12:43:54.273108+00", "2014-06-06T12:43:54.273108Z"),
        ("timestamp", "2014-06-06 12:43:54+02:30", "2014-06-06T10:13:54Z"),
        ("timestamp", "2014-06-06 12:43:54 +0200", "2014-06-06T10:43:54Z"),
        ("timestamp", "2014-06-06T12:43Z", "2014-06-06T12:43:00Z"),
        ("timestamp", "2014-06-06T12:43:54.123456789Z", "2014-06-06T12:43:54.123456Z"),
        ("timestamp", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("timestamp", "20141026045023", "2014-10-26T04:50:23Z"),
        ("timestamp", "2024-04-01", "2024-04-01T00:00:00Z"),
        ("timestamp", "2024-04-01T24:00:00Z", REJECT),
        ("timestamp", "2024-04-01T10:26:27X", REJECT),
        ("timestamp", "2024-04-01T10:26:27.", REJECT),
        ("timestamp", "1712000000", REJECT),
        ("timestamp", "", NULL),
        ("datetime", "2024-04-01 10:26:27", "2024-04-01T10:26:27"),
        ("datetime", "2024-04-01 10:26:27+02", REJECT),
        ("utf8", " a ", " a "),
        ("utf8", "", ""),
        ("json", "{\"a\": [1, 2.50]}", "{\"a\": [1, 2.50]}"),
        ("json", "{a}", REJECT),
        ("list<int32>", "[1, null, 3]", "[1, , 3]"),
        ("list<int32>", "[1, \"x\"]", REJECT),
        ("list<int32>", "[]", "[]"),
        ("list<int32>", "1,2", REJECT),
        ("list<list<float32>>", "[[1],[2.5]]", "[[1.0], [2.5]]"),
        ("struct<a: int32, b: utf8>", "{\"b\":\"x\",\"c\":[]}", "{a: , b: x}"),
        ("map<utf8, int32>", "{\"b\":1,\"c\":2,\"b\":3}", "{c: 2, b: 3}"),
        ("map<utf8, int32>", "[]", REJECT),
        ("binary", "\u{7f}a", "7f61"),
    ];
    for (kind, value, wanted) in cases {
        holds(&format!("type = \"{kind}\""), text(&[Some(value)]), wanted);
    }
    for kind in ["utf8", "int64", "list<utf8>", "struct<a: date>", "map<utf8, bool>", "json", "binary", "bool"] {
        holds(&format!("type = \"{kind}\""), text(&[None]), NULL);
        holds(&format!("type = \"{kind}\""), json_cells(&[None]), NULL);
    }
}

#[test]
fn json_cells_are_cast_by_their_text() {
    let cases: &[(&str, &str, &str)] = &[
        ("utf8", r#""a\u00e9\n""#, "aé\n"),
        ("utf8", "12.50", "12.50"),
        ("utf8", "[1, 2]", "[1, 2]"),
        ("utf8", r#""\ud800""#, REJECT),
        ("int64", r#""12""#, "12"),
        ("int64", "12.0", "12"),
        ("int64", "true", REJECT),
        ("int64", "[1]", REJECT),
        ("bool", "true", "true"),
        ("bool", "1", "true"),
        ("float64", "1", "1.0"),
        ("json", r#""a""#, r#""a""#),
        ("json", r#"{ "a" : 1.10 }"#, r#"{ "a" : 1.10 }"#),
        ("timestamp", r#""2024-01-01T00:00:00Z""#, "2024-01-01T00:00:00Z"),
        ("list<utf8>", r#"["a", null, 1]"#, "[a, , 1]"),
        ("list<int32>", r#""[1,2]""#, "[1, 2]"),
        ("list<struct<a: list<int32>>>", r#"[{"a":[1]},{"a":null},null]"#, "[{a: [1]}, {a: }, ]"),
        ("struct<a: struct<b: int32>>", r#"{"a":{"b":"7"}}"#, "{a: {b: 7}}"),
        ("struct<a: struct<b: int32>>", r#"{"a":{"b":"x"}}"#, REJECT),
        ("map<utf8, list<int32>>", r#"{"k\n":[1]}"#, "{k\n: [1]}"),
        ("binary", r#""a\n""#, "610a"),
    ];
    for (kind, value, wanted) in cases {
        holds(&format!("type = \"{kind}\""), json_cells(&[Some(value)]), wanted);
    }
}

#[test]
fn column_rules_are_followed() {
    let cases: &[(&str, &str, &str)] = &[
        ("type = 'timestamp'\nparse = 'epoch_s'", "1712000000.25", "2024-04-01T19:33:20.250Z"),
        ("type = 'timestamp'\nparse = 'epoch_ms'", "1712000000250", "2024-04-01T19:33:20.250Z"),
        ("type = 'timestamp'\nparse = 'epoch_ms'", "-1", "1969-12-31T23:59:59.999Z"),
        ("type = 'date'\nparse = 'epoch_s'", "-1", "1969-12-31"),
        ("type = 'timestamp'\nparse = 'epoch_s'", "soon", REJECT),
        ("type = 'timestamp'\nparse = '%d/%m/%Y %H:%M'", "01/04/2024 10:26", "2024-04-01T10:26:00Z"),
        ("type = 'timestamp'\nparse = '%Y-%m-%d-%-H'", "2024-04-01-5", "2024-04-01T05:00:00Z"),
        (
            "type = 'timestamp'\nparse = '%Y-%m-%dT%H:%M:%S.%f%z'",
            "2024-04-01T05:00:00.25+0100",
            "2024-04-01T04:00:00.250Z",
        ),
        (
            "type = 'timestamp'\nparse = '%a %b %d %H:%M:%S %z %Y'",
            "Wed Aug 27 13:08:45 +0000 2008",
            "2008-08-27T13:08:45Z",
        ),
        ("type = 'date'\nparse = '%Y-%m'", "2024-04", "2024-04-01"),
        ("type = 'date'\nparse = '%Y'", "2024", "2024-01-01"),
        ("type = 'date'\nparse = '%d.%m.%Y'", "1.4.2024", "2024-04-01"),
        ("type = 'date'\nparse = '%d.%m.%Y'", "32.4.2024", REJECT),
        ("type = 'timestamp'\ntimezone = 'America/New_York'", "2024-07-01 12:00:00", "2024-07-01T16:00:00Z"),
        ("type = 'timestamp'\ntimezone = 'America/New_York'", "2024-07-01 12:00:00Z", "2024-07-01T12:00:00Z"),
        ("type = 'timestamp'\ntimezone = 'America/New_York'", "2024-11-03 01:30:00", "2024-11-03T05:30:00Z"),
        ("type = 'timestamp'\ntimezone = 'America/New_York'", "2024-03-10 02:30:00", REJECT),
        ("type = 'list<utf8>'\nsplit = ','", "a,,b", "[a, , b]"),
        ("type = 'list<utf8>'\nsplit = ','", "", "[]"),
        ("type = 'list<utf8>'\nsplit = '<SEP>'", "a<SEP>b", "[a, b]"),
        ("type = 'list<float32>'\nsplit = ','", "1,nan, 2", "[1.0, NaN, 2.0]"),
        ("type = 'list<float32>'\nsplit = ','\nnull = 'nan'", "1,nan", "[1.0, ]"),
        ("type = 'list<float32>'\nsplit = ','\nnull = 'nan'", "nan", NULL),
        ("type = 'list<int32>'\nsplit = ','", "1,x", REJECT),
        ("type = 'float64'\nnull = ['NA', 'nan']", "nan", NULL),
        ("type = 'utf8'\nnull = 'NA'", "NA", NULL),
        ("type = 'utf8'\nnull = 'NA'", "NAN", "NAN"),
        ("type = 'json'\nnull = 'NA'", "NA", NULL),
        ("type = 'binary'\nnull = 'NA'", "NA", NULL),
    ];
    for (column, value, wanted) in cases {
        holds(column, text(&[Some(value)]), wanted);
    }
    holds("type = 'list<utf8>'\nsplit = ','", json_cells(&[Some("\"a,\\\"b\"")]), "[a, \"b]");
    holds("type = 'list<utf8>'\nsplit = ','", json_cells(&[Some("[\"a,b\"]")]), "[a,b]");
    holds("type = 'utf8'\nnull = 'NA'", json_cells(&[Some("\"NA\"")]), NULL);
}

#[test]
fn definitions_that_cannot_be_followed_are_refused() {
    for (column, word) in [
        ("type = 'timestamp'\nparse = '%Q'", "strptime"),
        ("type = 'timestamp'\nparse = 'iso'", "field"),
        ("type = 'timestamp'\nparse = '%S%f'", "%6f"),
        ("type = 'timestamp'\ntimezone = 'Mars'", "IANA"),
        ("type = 'list<utf8>'\nsplit = ''", "separator"),
        ("type = 'int16'", "int16"),
    ] {
        let columns = definitions(&format!("[[column]]\nname = \"a\"\n{column}"));
        let failure = normalizer(&table(columns, &[], csv())).expect_err(column);
        assert!(failure.message.contains(word) && failure.message.contains("`a`"), "{}", failure.message);
    }
}

#[test]
fn typed_values_widen_freely_and_narrow_only_exactly() {
    let typed = |array: ArrayRef| RawColumn::Typed(array);
    let int = |value: i64| typed(Arc::new(Int64Array::from(vec![value])));
    let float = |value: f64| typed(Arc::new(Float64Array::from(vec![value])));
    let word = |value: &str| typed(Arc::new(StringArray::from(vec![value])));
    let cases: Vec<(&str, RawColumn, &str)> = vec![
        ("int64", typed(Arc::new(Int32Array::from(vec![7]))), "7"),
        ("int32", int(7), "7"),
        ("int32", int(1 << 40), REJECT),
        ("float64", int(7), "7.0"),
        ("utf8", int(7), "7"),
        ("decimal(20,0)", typed(Arc::new(UInt64Array::from(vec![u64::MAX]))), "18446744073709551615"),
        ("int64", typed(Arc::new(UInt64Array::from(vec![u64::MAX]))), REJECT),
        ("int32", float(3.0), "3"),
        ("int32", float(3.5), REJECT),
        ("float32", float(1e300), REJECT),
        ("float32", float(f64::INFINITY), "inf"),
        ("decimal(4,1)", float(0.1), "0.1"),
        ("decimal(4,1)", float(0.15), REJECT),
        ("bool", int(1), "true"),
        ("bool", int(2), REJECT),
        ("int64", word("12"), "12"),
        ("int64", word("x"), REJECT),
        ("json", word("[1]"), "[1]"),
        ("timestamp", int(7), REJECT),
        ("date", word("2024-01-01"), "2024-01-01"),
        ("timestamp", typed(Arc::new(TimestampNanosecondArray::from(vec![1_000]))), "1970-01-01T00:00:00.000001Z"),
        (
            "datetime",
            typed(Arc::new(TimestampNanosecondArray::from(vec![1_000]).with_timezone("Europe/Berlin"))),
            "1970-01-01T00:00:00.000001",
        ),
        ("date", typed(Arc::new(TimestampNanosecondArray::from(vec![86_400_000_000_000]))), "1970-01-02"),
        ("date", typed(Arc::new(TimestampNanosecondArray::from(vec![1]))), REJECT),
        ("utf8", typed(Arc::new(vec!["a"].into_iter().collect::<DictionaryArray<Int32Type>>())), "a"),
    ];
    for (kind, cell, wanted) in cases {
        holds(&format!("type = '{kind}'"), cell, wanted);
    }
    holds("type = 'timestamp'\nparse = 'epoch_s'", int(1_712_000_000), "2024-04-01T19:33:20Z");
    holds(
        "type = 'timestamp'\ntimezone = 'America/New_York'",
        typed(Arc::new(TimestampNanosecondArray::from(vec![0]))),
        "1970-01-01T05:00:00Z",
    );
    holds("type = 'int64'\nnull = '-999'", int(-999), NULL);

    let fields = Fields::from(vec![Field::new("x", arrow::datatypes::DataType::Int64, true)]);
    let pair: ArrayRef = Arc::new(StructArray::new(fields, vec![Arc::new(Int64Array::from(vec![5]))], None));
    holds("type = 'struct<y: utf8, x: int32>'", typed(pair.clone()), "{y: , x: 5}");
    holds("type = 'utf8'", typed(pair.clone()), r#"{"x":5}"#);
    holds("type = 'json'", typed(pair.clone()), r#"{"x":5}"#);
    holds("type = 'int32'\nfrom = '/a/x'", typed(pair.clone()), "5");
    holds("type = 'int32'", typed(pair), REJECT);
    let list: ArrayRef =
        Arc::new(arrow::array::LargeListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some([
            Some(1),
            None,
        ])]));
    holds("type = 'list<int32>'", typed(list.clone()), "[1, ]");
    holds("type = 'json'", typed(list), "[1,null]");
}

#[test]
fn columns_bind_by_name_position_pointer_and_variable() {
    let names = ["id", "doc", "Title", "/odd"];
    let cells = || {
        vec![
            text(&[Some("1")]),
            text(&[Some(r#"{"a":{"b/c":[10,{"d":"x"}]},"s":"{\"t\":5}"}"#)]),
            text(&[Some("T")]),
            text(&[Some("odd")]),
        ]
    };
    for (from, wanted) in [
        ("'id'", "1"),
        ("3", "T"),
        ("'title'", "T"),
        ("'/odd'", "odd"),
        ("'doc#/a/b~1c/0'", "10"),
        ("'doc#/a/b~1c/1/d'", "x"),
        ("'/doc/a/b~1c/1'", "{\"d\":\"x\"}"),
        ("'doc#/s/t'", "5"),
        ("'$file'", "y.csv"),
        ("['none', '$none', 'Title']", "T"),
    ] {
        let table = table(definitions(&format!("[[column]]\nname = 'a'\nfrom = {from}")), &[], csv());
        let out = normalizer(&table).unwrap().push(&batch(&names, cells(), false)).expect(from);
        assert_eq!(display(out.rows.column(0), 0).as_deref(), Some(wanted), "{from}");
    }
    let columns = definitions("[[column]]\nname = 'h'\nfrom = '$hour'\ntype = 'timestamp'\nparse = '%Y-%m-%d-%-H'");
    let out = normalizer(&table(columns, &["h"], csv())).unwrap().push(&batch(&names, cells(), false)).unwrap();
    assert_eq!(display(out.rows.column(0), 0).as_deref(), Some("2024-01-01T05:00:00Z"));
    for from in ["'nope'", "9", "'$nope'", "'nope#/a'"] {
        let table = table(definitions(&format!("[[column]]\nname = 'titel'\nfrom = {from}")), &[], csv());
        let failure = normalizer(&table).unwrap().push(&batch(&names, cells(), false)).expect_err(from);
        assert!(failure.message.contains("`titel`") && failure.message.contains("`Title`"), "{}", failure.message);
        let mut lenient = table.clone();
        lenient.columns[0].optional = true;
        let out = normalizer(&lenient).unwrap().push(&batch(&names, cells(), false)).unwrap();
        assert_eq!(display(out.rows.column(0), 0), None);
    }
}

#[test]
fn columns_without_names_bind_by_their_order() {
    let format = Format::Csv(Csv { header: Header::Flag(false), ..Csv::default() });
    let columns = definitions(
        "[[column]]\nname = 'f'\nfrom = '$file'\n[[column]]\nname = 'a'\n[[column]]\nname = 'b'\n\
         [[column]]\nname = 'in_b'\nfrom = '2#/x'\n[[column]]\nname = 'c'\n[[column]]\nname = 'e'\nfrom = '5'",
    );
    let needed: Vec<String> = wanted(&columns, &format).unwrap().into_iter().collect();
    assert_eq!(needed, ["$file", "1", "2", "2#/x", "3", "5"]);
    let table = table(columns, &[], format);
    let raw = batch(
        &["1", "2", "3", "5"],
        vec![text(&[Some("A")]), text(&[Some("{\"x\":9}")]), text(&[Some("C")]), text(&[Some("E")])],
        false,
    );
    let out = normalizer(&table).unwrap().push(&raw).unwrap();
    let row: Vec<_> = out.rows.columns().iter().map(|column| display(column, 0).unwrap()).collect();
    assert_eq!(row, ["y.csv", "A", "{\"x\":9}", "9", "C", "E"]);
}

#[test]
fn properties_of_geojson_are_found_where_its_extractor_puts_them() {
    let columns = definitions(
        "[[column]]\nname = 'mag'\nfrom = '/properties/mag'\n[[column]]\nname = 'x'\nfrom = '/properties/p/x'",
    );
    let table = table(columns, &[], Format::Json(Json::default()));
    assert!(wanted(&table.columns, &table.format).unwrap().contains("mag"));
    let raw = batch(
        &["id", "mag", "p"],
        vec![json_cells(&[Some("1")]), json_cells(&[Some("2.5")]), json_cells(&[Some("{\"x\":3}")])],
        true,
    );
    let out = normalizer(&table).unwrap().push(&raw).unwrap();
    assert_eq!(display(out.rows.column(0), 0).as_deref(), Some("2.5"));
    assert_eq!(display(out.rows.column(1), 0).as_deref(), Some("3"));
}

#[test]
fn a_lone_value_of_xml_is_a_list_of_one() {
    let columns = definitions("[[column]]\nname = 'a'\ntype = 'list<int32>'");
    let raw = batch(&["a"], vec![json_cells(&[Some("\"1\""), Some("[\"2\",\"3\"]"), None])], true);
    let format = Format::Xml(crate::ingest::definition::grammar::Xml { row: "r".into() });
    let out = normalizer(&table(columns.clone(), &[], format)).unwrap().push(&raw).unwrap();
    let lists: Vec<_> = (0..3).map(|row| display(out.rows.column(0), row)).collect();
    assert_eq!(lists, [Some("[1]".into()), Some("[2, 3]".into()), None]);
    let strict = normalizer(&table(columns, &[], Format::Ndjson {})).unwrap().push(&raw).unwrap();
    assert_eq!(strict.rejects.unwrap().num_rows(), 1);
}

#[test]
fn what_must_be_read_is_known_before() {
    let names = |text: &str, format: &Format| wanted(&definitions(text), format);
    let json = Format::Json(Json::default());
    let found = names("[[column]]\nname = 'a'\nfrom = ['/x/y', 'z#/q']\n[[column]]\nname = 'b'", &json).unwrap();
    assert!(["x", "z", "b"].iter().all(|name| found.contains(*name)));
    assert_eq!(names("[[column]]\nname = 'a'\nfrom = 3", &csv()), None);
    assert_eq!(wanted(&[], &json), None);
}

#[test]
fn sparse_rows_take_the_first_cell_that_is_there() {
    let columns = definitions(
        "[[column]]\nname = 'who'\nfrom = ['/actor/login', 'user', '$file']\n[[column]]\nname = 'gone'\noptional = true\n\
         [[column]]\nname = 'late'\n[[column]]\nname = 'deep'\nfrom = '/actor/none'",
    );
    let table = table(columns, &[], Format::Ndjson {});
    let mut normalizer = normalizer(&table).unwrap();
    let raw = batch(
        &["actor", "user"],
        vec![
            json_cells(&[Some("{\"login\":\"a\"}"), None, None, Some("{\"login\":null}")]),
            json_cells(&[Some("\"u\""), Some("\"u\""), None, Some("7")]),
        ],
        true,
    );
    let out = normalizer.push(&raw).unwrap();
    let who: Vec<_> = (0..4).map(|row| display(out.rows.column(0), row).unwrap()).collect();
    assert_eq!(who, ["a", "u", "y.csv", "7"]);
    let failure = normalizer.seen().check(&table.columns).expect_err("two columns were never there");
    assert!(failure.message.contains("`late`, `deep`") && !failure.message.contains("`gone`"), "{}", failure.message);

    let mut other = super::tests::normalizer(&table).unwrap();
    other
        .push(&batch(&["late", "actor"], vec![json_cells(&[None]), json_cells(&[Some("{\"none\":null}")])], true))
        .unwrap();
    let mut seen = normalizer.seen().clone();
    seen.join(other.seen());
    seen.check(&table.columns).expect("all were somewhere");
    Seen::default().check(&table.columns).expect("without rows nothing is known to be missing");
}

#[test]
fn rows_that_do_not_fit_become_rejects_with_everything_known() {
    let columns = definitions(
        "[[column]]\nname = 'id'\ntype = 'int32'\n[[column]]\nname = 'n'\nfrom = 'N'\ntype = 'int32'\n[[column]]\nname = 't'",
    );
    let table = table(columns, &["id"], csv());
    let mut raw = batch(
        &["id", "N", "t"],
        vec![
            text(&[Some("1"), Some("x"), None, Some("4")]),
            text(&[Some("1"), Some("y"), Some("3"), Some("4")]),
            RawColumn::Text(vec![Some(&b"a"[..]), Some(b"b"), Some(b"c"), Some(b"d\xff")].into_iter().collect()),
        ],
        false,
    );
    raw.broken.push(BrokenRow { position: 3, reason: "4 fields, the header has 3".into(), text: "a,b,c,d".into() });
    raw.positions = vec![2, 4, 5, 6];
    let out = normalizer(&table).unwrap().push(&raw).unwrap();
    assert_eq!((out.read, out.positions.as_slice(), out.rows.num_rows()), (5, &[2][..], 1));
    let rejects = out.rejects.unwrap();
    let cell = |row: usize, name: &str| display(rejects.column_by_name(name).unwrap(), row);
    assert_eq!(rejects.num_rows(), 4);
    assert_eq!(cell(0, "position").unwrap(), "line 3");
    assert_eq!(cell(0, "reason").unwrap(), "4 fields, the header has 3");
    assert_eq!(cell(0, "column"), None);
    assert_eq!((cell(1, "column").unwrap(), cell(1, "value").unwrap()), ("id".into(), "x".into()));
    assert!(cell(1, "reason").unwrap().ends_with("; n: `y` is no int32: not a whole number"));
    assert_eq!(
        serde_json::from_str::<Value>(&cell(1, "row").unwrap()).unwrap(),
        json!({"id": "x", "N": "y", "t": "b"})
    );
    assert!(cell(2, "reason").unwrap().contains("primary key"));
    assert_eq!(cell(2, "value"), None);
    assert!(cell(3, "reason").unwrap().contains("byte 1") && cell(3, "reason").unwrap().contains("encoding"));
    assert_eq!(cell(3, "source").unwrap(), "http://x/y.csv");
}

#[test]
fn text_is_not_copied() {
    let table = table(definitions("[[column]]\nname = 'a'"), &[], csv());
    let cells = text(&[Some("aé"), None, Some("b")]);
    let RawColumn::Text(array) = &cells else { panic!("text") };
    let before = array.value_data().as_ptr();
    let out = normalizer(&table).unwrap().push(&batch(&["a"], vec![cells.clone()], false)).unwrap();
    assert_eq!(out.rows.column(0).as_string::<i32>().value_data().as_ptr(), before);
}

#[test]
fn batches_of_uneven_columns_are_refused() {
    let table = table(definitions("[[column]]\nname = 'a'"), &[], csv());
    let mut raw = batch(&["a"], vec![text(&[Some("a")])], false);
    raw.rows = 2;
    assert_eq!(normalizer(&table).unwrap().push(&raw).unwrap_err().blame, crate::catalog::Blame::Internal);
}

const KINDS: [&str; 20] = [
    "utf8",
    "bool",
    "int32",
    "int64",
    "float32",
    "float64",
    "decimal(9,3)",
    "date",
    "timestamp",
    "datetime",
    "binary",
    "json",
    "list<utf8>",
    "list<int64>",
    "struct<a: int32, b: list<date>>",
    "map<utf8, json>",
    "list<map<utf8, bool>>",
    "decimal(38,38)",
    "list<list<float64>>",
    "struct<\"\": json>",
];

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_panics(
        cells in proptest::collection::vec(proptest::option::of(prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "[-+0-9.eEtfnul\\[\\]{}\":, TZ]{0,24}".prop_map(String::into_bytes),
        ]), 1..20),
        kind in 0..KINDS.len(), form in 0..3, rules in 0..4_usize, key: bool,
    ) {
        let rules = ["", "split = ','", "parse = '%Y-%m-%d'", "null = ['', '0']"][rules];
        let columns = definitions(&format!("[[column]]\nname = 'a'\ntype = '{}'\n{rules}", KINDS[kind]));
        let table = table(columns, if key { &["a"] } else { &[] }, csv());
        let array: arrow::array::BinaryArray = cells.iter().map(|cell| cell.as_deref()).collect();
        let cell = match form {
            0 => RawColumn::Text(array),
            1 => RawColumn::Json(array),
            _ => RawColumn::Typed(Arc::new(array)),
        };
        let out = normalizer(&table).unwrap().push(&batch(&["a"], vec![cell], false)).unwrap();
        let rejected = out.rejects.as_ref().map_or(0, RecordBatch::num_rows);
        prop_assert_eq!(out.rows.num_rows() + rejected, cells.len());
        prop_assert_eq!(out.positions.len(), out.rows.num_rows());
        prop_assert_eq!(out.read, cells.len() as u64);
    }

    #[test]
    fn values_written_as_text_come_back(int: i64, float in any::<f64>().prop_filter("finite", |f| f.is_finite()), micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000, days in -719_162..2_932_896_i32, word: String) {
        let instant = chrono::DateTime::from_timestamp_micros(micros).unwrap();
        let day = chrono::NaiveDate::from_num_days_from_ce_opt(days + 719_163).unwrap();
        prop_assert_eq!(number::int64(int.to_string().as_bytes()), Ok(int));
        prop_assert_eq!(number::float64(float.to_string().as_bytes()), Ok(float));
        prop_assert_eq!(number::decimal(int.to_string().as_bytes(), 38, 3), Ok(i128::from(int) * 1000));
        let rules = time::TimeRules::default();
        prop_assert_eq!(rules.instant(instant.to_rfc3339().as_bytes()), Ok(micros));
        prop_assert_eq!(rules.wall(instant.naive_utc().to_string().as_bytes()), Ok(micros));
        prop_assert_eq!(rules.day(day.to_string().as_bytes()), Ok(days));
        let quoted = json!(word).to_string();
        prop_assert_eq!(json::unescape(quoted.as_bytes()).unwrap(), word.as_str());
        holds("type = 'utf8'", json_cells(&[Some(&quoted)]), &word);
    }

    #[test]
    fn times_read_by_hand_are_those_that_chrono_reads(text in "(19|20)[0-9]{2}-[0-3][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])") {
        let chrono = chrono::DateTime::parse_from_rfc3339(&text).ok();
        // chrono takes second 60 in any minute.
        if !text.contains(":60") {
            let ours = time::TimeRules::default().instant(text.as_bytes()).ok();
            prop_assert_eq!(ours, chrono.map(|time| time.timestamp_micros()));
        }
    }
}
