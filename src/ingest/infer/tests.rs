//! Types inferred from values; and that what was inferred always holds them.
#![allow(clippy::unwrap_used)]

use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int32Array, Int64Array, NullArray, StringArray};
use proptest::prelude::*;

use super::*;
use crate::ingest::{
    definition::grammar::{Csv, Format, Xml},
    normalize::{Normalizer, Origin},
};

fn batch(names: &[&str], columns: Vec<RawColumn>, sparse: bool) -> RawBatch {
    let rows = columns.first().map_or(0, RawColumn::len);
    RawBatch {
        names: Arc::new(names.iter().map(|name| (*name).to_owned()).collect()),
        columns,
        rows,
        positions: (1..=rows as u64).collect(),
        unit: "line",
        broken: Vec::new(),
        sparse,
    }
}

fn csv() -> Format {
    Format::Csv(Csv::default())
}

fn bytes(values: &[&str]) -> BinaryArray {
    values.iter().map(|value| (*value != "∅").then_some(value.as_bytes())).collect()
}

fn text(values: &[&str]) -> RawColumn {
    RawColumn::Text(bytes(values))
}

fn json(values: &[&str]) -> RawColumn {
    RawColumn::Json(bytes(values))
}

fn kind(column: RawColumn) -> String {
    kind_in(&csv(), column)
}

fn kind_in(format: &Format, column: RawColumn) -> String {
    let raw = batch(&["a"], vec![column], false);
    let mut inference = Inference::new(None, format);
    inference.push(&raw);
    let (definitions, schema) = inference.finish();
    // Whatever was inferred must hold every value.
    let mut normalizer = Normalizer::new(&definitions, &schema, format, Origin::default()).unwrap();
    let out = normalizer.push(&raw).unwrap();
    assert!(out.rejects.is_none(), "{} rejects {raw:?}: {:?}", schema.columns[0].kind, out.rejects);
    assert_eq!(definitions[0].kind.as_deref(), Some(schema.columns[0].kind.to_string().as_str()));
    schema.columns[0].kind.to_string()
}

#[test]
fn text_is_given_the_narrowest_type_that_loses_nothing() {
    let cases: &[(&[&str], &str)] = &[
        (&["1", "-2", "∅", ""], "int64"),
        (&[" 1", "2 "], "int64"),
        (&["0", "1"], "int64"),
        (&["1", "2.5"], "float64"),
        (&["1e3", ".5", "-0"], "float64"),
        (&["40.063333333333333"], "float64"),
        (&["9223372036854775807"], "int64"),
        (&["9223372036854775808"], "utf8"),
        (&["9007199254740993", "0.5"], "utf8"),
        (&["9007199254740994", "0.5"], "float64"),
        (&["12345678901234567.89"], "utf8"),
        (&["007"], "utf8"),
        (&["-01"], "utf8"),
        (&["+5"], "utf8"),
        (&["1", "NaN"], "utf8"),
        (&["INF"], "utf8"),
        (&["1e999"], "utf8"),
        (&["1,5"], "utf8"),
        (&["-"], "utf8"),
        (&["true", "FALSE", "∅"], "bool"),
        (&["true", "1"], "utf8"),
        (&["t", "f"], "utf8"),
        (&["2024-02-29", "1999-12-31"], "date"),
        (&["2024-02-30"], "utf8"),
        (&["20240229"], "int64"),
        (&["2024-01-01T00:00:00Z", "2024-01-01 00:00:00.5+02"], "timestamp"),
        (&["2024-01-01T00:00:00", "2024-01-01 10:00"], "datetime"),
        (&["2024-01-01T00:00:00", "2024-01-01T00:00:00Z"], "utf8"),
        (&["2024-01-01", "2024-01-01T00:00:00Z"], "utf8"),
        (&["2024-01-01T00:00:00.1234567Z"], "utf8"),
        (&["2024-01-01T00:00:00.1234560Z"], "timestamp"),
        (&["2024-01-01", "5"], "utf8"),
        (&["∅", "∅"], "utf8"),
        (&["", "  "], "utf8"),
    ];
    for (values, wanted) in cases {
        assert_eq!(kind(text(values)), *wanted, "{values:?}");
    }
}

#[test]
fn json_keeps_strings_and_numbers_apart() {
    let cases: &[(&[&str], &str)] = &[
        (&["1", "2"], "int64"),
        (&["1", "2.0"], "float64"),
        (&["12345678901234567890"], "utf8"),
        (&["\"12\""], "utf8"),
        (&["\"12\"", "12"], "json"),
        (&["\"\"", "12"], "int64"),
        (&["true", "∅"], "bool"),
        (&["true", "\"true\""], "json"),
        (&["\"2024-01-01\""], "date"),
        (&["\"2024-01-01T00:00:00Z\"", "\"x\""], "utf8"),
        (&["\"2024-01-01T00:00:00Z\""], "timestamp"),
        (&["[]", "[1]", "[2.5, null]"], "list<float64>"),
        (&["[]"], "list<utf8>"),
        (&["[1]", "1"], "json"),
        (&["[1, \"a\"]"], "list<json>"),
        (&["{\"a\": 1}", "{\"b\": [\"x\"]}"], "struct<a: int64, b: list<utf8>>"),
        (&["{\"b c\": {\"d\": null}}"], "struct<\"b c\": struct<d: utf8>>"),
        (&["{}"], "json"),
        (&["{}", "{\"a\":true}"], "struct<a: bool>"),
        (&["{\"a\":1}", "[1]"], "json"),
        (&["[[1],[2]]"], "list<list<int64>>"),
    ];
    for (values, wanted) in cases {
        assert_eq!(kind(json(values)), *wanted, "{values:?}");
    }
    let keys: Vec<String> = (0..65).map(|key| format!("{{\"k{key}\": 1}}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(kind(json(&keys)), "json");
    assert!(kind(json(&keys[..64])).starts_with("struct<"));
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let deep = kind(json(&[&deep]));
    assert!(deep.ends_with(&format!("json{}", ">".repeat(12))), "{deep}");
}

#[test]
fn xml_has_words_and_lists_of_them() {
    let cases: &[(&[&str], &str)] = &[
        (&["\"1\"", "\"2\""], "int64"),
        (&["\"1\"", "\"x\""], "utf8"),
        (&["\"1\"", "[\"2\",\"3\"]"], "list<int64>"),
        (&["\"a\"", "[\"2\",\"3\"]"], "list<utf8>"),
        (&["[\"2.5\",null]", "∅"], "list<float64>"),
    ];
    for (values, wanted) in cases {
        assert_eq!(kind_in(&Format::Xml(Xml { row: "a".into() }), json(values)), *wanted, "{values:?}");
    }
}

#[test]
fn formats_without_names_or_with_fixed_types_are_known() {
    let raw = batch(&["1", "2"], vec![text(&["5"]), text(&["x"])], false);
    let mut inference = Inference::new(None, &Format::Pgcopy {});
    inference.push(&raw);
    let (definitions, schema) = inference.finish();
    assert_eq!((schema.columns[0].name.as_str(), schema.columns[1].name.as_str()), ("column_1", "column_2"));
    let out =
        Normalizer::new(&definitions, &schema, &Format::Pgcopy {}, Origin::default()).unwrap().push(&raw).unwrap();
    assert_eq!(arrow::util::display::array_value_to_string(out.rows.column(1), 0).unwrap(), "x");

    let mut inference = Inference::new(None, &Format::MediawikiXml {});
    inference.push(&batch(&["page_id", "title"], vec![text(&["5"]), text(&["1984"])], false));
    let kinds: Vec<String> = inference.finish().1.columns.iter().map(|column| column.kind.to_string()).collect();
    assert_eq!(kinds, ["int64", "utf8"]);
}

#[test]
fn drifting_files_widen() {
    let infer = |arrays: Vec<ArrayRef>| {
        let mut inference = Inference::new(None, &csv());
        for array in arrays {
            inference.push(&batch(&["a"], vec![RawColumn::Typed(array)], false));
        }
        inference.finish().1.columns[0].kind.to_string()
    };
    let int32: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let int64: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let float: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let word: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let none: ArrayRef = Arc::new(NullArray::new(1));
    assert_eq!(infer(vec![int32.clone()]), "int32");
    assert_eq!(infer(vec![int32.clone(), int64.clone()]), "int64");
    assert_eq!(infer(vec![int64.clone(), float.clone()]), "float64");
    assert_eq!(infer(vec![none, int64.clone()]), "int64");
    assert_eq!(infer(vec![int64, word]), "utf8");
    for (a, b, wanted) in [
        ("decimal(20,0)", "int64", "decimal(20,0)"),
        ("decimal(5,2)", "decimal(4,3)", "decimal(6,3)"),
        ("decimal(38,0)", "decimal(38,38)", "utf8"),
        ("date", "timestamp", "utf8"),
        ("list<int32>", "list<int64>", "list<int64>"),
        ("struct<a: int32>", "struct<b: date, a: float32>", "struct<a: float64, b: date>"),
        ("struct<a: int32>", "int32", "utf8"),
    ] {
        let widened = widen(&a.parse().unwrap(), &b.parse().unwrap(), false).to_string();
        assert_eq!(widened, wanted, "{a} {b}");
    }
}

#[test]
fn columns_come_in_the_order_in_which_they_are_seen() {
    let mut inference = Inference::new(None, &csv());
    inference.push(&batch(&["b", "a"], vec![json(&["1"]), json(&["2"])], true));
    inference.push(&batch(&["c", "b"], vec![json(&["1"]), json(&["2.5"])], true));
    let (definitions, schema) = inference.finish();
    let columns: Vec<String> = schema.columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
    assert_eq!(columns, ["b float64", "a int64", "c int64"]);
    assert!(schema.columns.iter().all(|column| column.nullable));
    assert!(definitions.iter().all(|column| column.optional && column.from.is_none()));
}

#[test]
fn repeated_and_empty_names_are_bound_by_position() {
    let raw = batch(&["a", "a", "", "a_2"], vec![text(&["1"]), text(&["x"]), text(&["y"]), text(&["z"])], false);
    let mut inference = Inference::new(None, &csv());
    inference.push(&raw);
    let (definitions, schema) = inference.finish();
    let names: Vec<&str> = definitions.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["a", "a_3", "column_3", "a_2"]);
    let mut normalizer =
        Normalizer::new(&definitions, &schema, &Format::Csv(Csv::default()), Origin::default()).unwrap();
    let rows = normalizer.push(&raw).unwrap().rows;
    let row: Vec<String> =
        rows.columns().iter().map(|column| arrow::util::display::array_value_to_string(column, 0).unwrap()).collect();
    assert_eq!(row, ["1", "x", "y", "z"]);
}

#[test]
fn the_previous_schema_is_only_widened() {
    let mut first = Inference::new(None, &csv());
    first.push(&batch(&["a", "b", "c"], vec![text(&["1"]), text(&["x"]), text(&["∅"])], false));
    let (_, previous) = first.finish();
    let again = |names: &[&str], columns| {
        let mut inference = Inference::new(Some(&previous), &csv());
        inference.push(&batch(names, columns, false));
        inference.finish().1
    };
    assert_eq!(again(&["b", "a"], vec![text(&["y"]), text(&["2"])]), previous);
    let wider = again(&["a", "d"], vec![text(&["2.5"]), text(&["true"])]);
    let columns: Vec<String> = wider.columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
    assert_eq!(columns, ["a float64", "b utf8", "c utf8", "d bool"]);
}

proptest! {
    #[test]
    fn what_is_inferred_holds_every_value(values in proptest::collection::vec("[-+0-9.eETZ: truefalsnN]{0,12}|[0-9]{1,20}|20[0-9]{2}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9])?", 1..5)) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        kind(text(&values));
    }

    #[test]
    fn json_that_is_inferred_holds_every_value(values in proptest::collection::vec(json_value(), 1..5)) {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        kind(json(&values));
    }

    #[test]
    fn foreign_bytes_never_panic(cells in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..5)) {
        let array: BinaryArray = cells.iter().map(|cell| Some(cell.as_slice())).collect();
        for column in [RawColumn::Text(array.clone()), RawColumn::Json(array.clone()), RawColumn::Typed(Arc::new(array) as ArrayRef)] {
            let mut inference = Inference::new(None, &csv());
            inference.push(&batch(&["a"], vec![column], false));
            prop_assert_eq!(inference.finish().1.columns.len(), 1);
        }
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        "[0-9a-z]{0,3}|2024-01-0[1-9]|\\PC{0,3}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::hash_map("[ab]{1,2}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
