//! Delimited text in its dialects.

use serde_json::json;

use super::{Foreign, both};

#[test]
fn semicolons_latin_1_and_decimals() {
    let taken = both(
        "/prices.csv",
        b"id;Name;price;when\n1;Z\xfcrich;12.50;2024-02-29\n2;\xc5s;0.05;2023-12-31\n",
        r#"{ type = "csv", delimiter = ";", encoding = "latin-1" }"#,
        r#"primary_key = ["id"]
column = [
    { name = "id", type = "int32" },
    { name = "label", from = "Name" },
    { name = "price", type = "decimal(10,2)", unit = "EUR" },
    { name = "day", from = "when", type = "date" },
]"#,
    );
    assert_eq!(
        taken.rows("named"),
        [
            json!({"id": 1, "label": "Zürich", "price": "12.50", "day": "2024-02-29"}),
            json!({"id": 2, "label": "Ås", "price": "0.05", "day": "2023-12-31"}),
        ]
    );
    assert_eq!(taken.columns("named"), "id: int32, label: utf8, price: decimal(10,2), day: date");
    let bare = taken.rows("bare");
    assert_eq!((&bare[0]["id"], &bare[0]["Name"], &bare[1]["price"]), (&json!(1), &json!("Zürich"), &json!(0.05)));
    assert!(taken.columns("bare").starts_with("id: int64, Name: utf8, price: float64, when: "));
}

#[test]
fn no_header_binds_by_order() {
    let taken = both(
        "/tracks.tsv",
        b"TR1\t\"quoted\" inside\t1.5\nTR2\t\"\t-2\n",
        r#"{ type = "csv", delimiter = "\t", quote = "none", header = false }"#,
        r#"column = [{ name = "track_id" }, { name = "title" }, { name = "loudness", type = "float64" }]"#,
    );
    assert_eq!(
        taken.rows("named"),
        [
            json!({"track_id": "TR1", "title": "\"quoted\" inside", "loudness": 1.5}),
            json!({"track_id": "TR2", "title": "\"", "loudness": -2.0}),
        ]
    );
    let bare = taken.rows("bare");
    let values: Vec<_> = bare[1].as_object().unwrap().values().cloned().collect();
    assert_eq!(values, [json!("TR2"), json!("\""), json!(-2.0)]);
}

#[test]
fn two_header_rows_are_joined() {
    let taken = both(
        "/tracks.csv",
        b",album,album,track\n,comments,id,title\n2,0,1,Food\n3,4,1,Electric Ave\n",
        r#"{ type = "csv", header = 2 }"#,
        r#"column = [
    { name = "track_id", from = 1, type = "int64" },
    { name = "album_id", type = "int64" },
    { name = "title", from = "track_title" },
]"#,
    );
    assert_eq!(taken.rows("named")[1], json!({"track_id": 3, "album_id": 1, "title": "Electric Ave"}));
    assert_eq!(taken.columns("bare"), "column_1: int64, album_comments: int64, album_id: int64, track_title: utf8");
}

#[test]
fn skipped_lines_and_comments() {
    let taken = both(
        "/report.csv",
        b"Report of the day\n\nid,value\n# a remark, with a comma\n1,#2\n2,3\n",
        r##"{ type = "csv", skip = 2, comment = "#" }"##,
        r#"column = [{ name = "id", type = "int64" }, { name = "value" }]"#,
    );
    assert_eq!(taken.rows("named"), [json!({"id": 1, "value": "#2"}), json!({"id": 2, "value": "3"})]);
    assert_eq!(taken.rows("bare").len(), 2);
}

#[test]
fn quoted_newlines_doubled_quotes_and_escapes() {
    let doubled = both(
        "/texts.csv",
        b"id,text\r\n1,\"two\r\nlines, and a \"\"quote\"\"\"\r\n2,\"\"\r\n3,\r\n",
        r#"{ type = "csv" }"#,
        r#"column = [{ name = "id", type = "int64" }, { name = "text" }]"#,
    );
    let wanted = [
        json!({"id": 1, "text": "two\r\nlines, and a \"quote\""}),
        json!({"id": 2, "text": ""}),
        json!({"id": 3, "text": null}),
    ];
    assert_eq!(doubled.rows("named"), wanted);
    assert_eq!(doubled.rows("bare"), wanted);

    let escaped = both(
        "/texts.csv",
        b"id|text\n1|'it\\'s'\n",
        r#"{ type = "csv", delimiter = "|", quote = "'", escape = "\\" }"#,
        r#"column = [{ name = "id", type = "int64" }, { name = "text" }]"#,
    );
    assert_eq!(escaped.rows("named"), [json!({"id": 1, "text": "it's"})]);
}

#[test]
fn null_tokens_lists_and_flags() {
    let foreign = Foreign::new(&[(
        "/akas.tsv",
        "id\ttypes\tnumbers\tflag\tn\n1\talternative\u{2}dvd\t1,2,3\t1\t-99\n2\t\\N\t\\N\tf\tNA\n".as_bytes(),
    )]);
    foreign.define(
        r#"
[[table]]
name = "akas"
source = { url = "ORIGIN/akas.tsv" }
format = { type = "csv", delimiter = "\t", quote = "none", null = ["\\N", "NA"] }
column = [
    { name = "id", type = "int32" },
    { name = "types", type = "list<utf8>", split = "\u0002" },
    { name = "numbers", type = "list<int32>", split = "," },
    { name = "flag", type = "bool" },
    { name = "n", type = "int64", null = ["-99", "NA"] },
]
"#,
    );
    assert_eq!(
        foreign.taken().rows("akas"),
        [
            json!({"id": 1, "types": ["alternative", "dvd"], "numbers": [1, 2, 3], "flag": true, "n": null}),
            json!({"id": 2, "types": null, "numbers": null, "flag": false, "n": null}),
        ]
    );
}

#[test]
fn utf_16_with_a_byte_order_mark() {
    let mut body = vec![0xff, 0xfe];
    for unit in "id,name\n1,東京\n".encode_utf16() {
        body.extend(unit.to_le_bytes());
    }
    let taken = both(
        "/places.csv",
        &body,
        r#"{ type = "csv", encoding = "utf-16" }"#,
        r#"column = [{ name = "id", type = "int64" }, { name = "name" }]"#,
    );
    assert_eq!(taken.rows("named"), [json!({"id": 1, "name": "東京"})]);
    assert_eq!(taken.rows("bare"), [json!({"id": 1, "name": "東京"})]);
}

#[test]
fn json_inside_a_tsv_column() {
    let foreign = Foreign::new(&[(
        "/events.tsv",
        b"id\tpayload\n1\t{\"a\": {\"b\": 7, \"c\": [\"x\", \"y\"]}, \"ok\": true}\n2\t{\"a\": {\"b\": 8}, \"ok\": false}\n",
    )]);
    foreign.define(
        r#"
[[table]]
name = "events"
source = { url = "ORIGIN/events.tsv" }
format = { type = "csv", delimiter = "\t", quote = "none" }
column = [
    { name = "id", type = "int64" },
    { name = "b", from = "payload#/a/b", type = "int64" },
    { name = "c", from = "payload#/a/c", type = "list<utf8>", optional = true },
    { name = "ok", from = ["payload#/fine", "payload#/ok"], type = "bool" },
    { name = "payload", type = "json" },
]
"#,
    );
    let rows = foreign.taken().rows("events");
    assert_eq!((&rows[0]["b"], &rows[0]["c"], &rows[0]["ok"]), (&json!(7), &json!(["x", "y"]), &json!(true)));
    assert_eq!((&rows[1]["b"], &rows[1]["c"], &rows[1]["ok"]), (&json!(8), &json!(null), &json!(false)));
    assert!(rows[0]["payload"].as_str().is_some_and(|text| text.contains("\"b\": 7")), "{}", rows[0]["payload"]);
}

#[test]
fn types_are_inferred_over_all_values_by_widening() {
    let mut body = String::from("whole,mixed,flag,zeros,odd,empty,time\n");
    for at in 0..20_000 {
        body.push_str(&format!("{at},{at},true,007,1.5,,2024-01-01T00:00:00Z\n"));
    }
    body.push_str("20000,0.5,false,008,NaN,,2024-01-01T00:00:00+02:00\n");
    let foreign = Foreign::new(&[("/wide.csv", body.as_bytes())]);
    foreign.define("[[table]]\nname = \"wide\"\nsource = { url = \"ORIGIN/wide.csv\" }\nformat = { type = \"csv\" }\n");
    let taken = foreign.taken();
    let columns = taken.columns("wide");
    assert!(columns.starts_with("whole: int64, mixed: float64, flag: bool, zeros: utf8, odd: utf8, "), "{columns}");
    assert!(columns.ends_with("time: timestamp"), "{columns}");
    let last = taken.server.slice("f", "wide", "&offset=20000");
    assert_eq!(last.len(), 1);
    assert_eq!((&last[0]["mixed"], &last[0]["odd"]), (&json!(0.5), &json!("NaN")));
    assert_eq!(last[0]["time"], "2023-12-31T22:00:00Z");
}
