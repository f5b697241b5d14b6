use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    catalog::Blame,
    ingest::extract::{
        Format,
        gathered::{Gathered, Setting, run},
    },
};

const BOOKS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE catalog SYSTEM "catalog.dtd">
<!-- books -->
<catalog xmlns:dc="http://purl.org/dc/elements/1.1/">
  <book id="b1" lang=' en '>
    <dc:title>  Tea &amp; <![CDATA[<Sugar>]]> &#x2014; a story </dc:title>
    <author born="1900"><name>Ann</name></author>
    <author><name>Bob</name><name/></author>
    <tag>one</tag><tag></tag><tag>three</tag>
    <price currency="EUR">10.50</price>
    <nothing/>
    <book id="inner"/>
  </book>
  <shelf><book id="b2">loose text</book></shelf>
</catalog>"#;

fn format(row: &str) -> Format {
    Format::Xml(Xml { row: row.into() })
}

fn read(row: &str, text: &str) -> Gathered {
    run(&format(row), text.as_bytes()).expect("rows")
}

#[test]
fn children_attributes_and_paths_are_columns() {
    let gathered = read("book", BOOKS);
    assert_eq!(
        gathered.rows(),
        [
            json!({"@id": "b1", "@lang": "en", "dc:title": "Tea & <Sugar> — a story", "author/@born": "1900",
                "author/name": ["Ann", "Bob", null], "tag": ["one", null, "three"], "price": "10.50",
                "price/@currency": "EUR", "book/@id": "inner"}),
            json!({"@id": "b2", ".": "loose text"}),
        ]
    );
    assert_eq!(gathered.positions(), [1, 2]);
}

#[test]
fn row_paths_are_suffixes_or_from_the_root() {
    let ids = |row: &str| read(row, BOOKS).texts("@id");
    assert_eq!(ids("catalog/book"), [Some("\"b1\"".into())]);
    assert_eq!(ids("shelf/book"), [Some("\"b2\"".into())]);
    assert_eq!(ids("/catalog/shelf/book"), [Some("\"b2\"".into())]);
    assert_eq!(read("title", BOOKS).count(), 1);
    let failure = run(&format("catalog/novel"), BOOKS.as_bytes()).expect_err("no such element");
    assert_eq!(failure.blame, Blame::Definition);
    assert!(failure.message.contains("`catalog/book`"), "{failure}");
    assert!(run(&format("a//b"), BOOKS.as_bytes()).is_err());
    assert_eq!(read("book", "<catalog> </catalog>").count(), 0);
}

#[test]
fn names_without_prefix_find_the_only_prefixed_one() {
    let gathered = Setting::default().wanted(&["title", "@id"]).run(&format("book"), BOOKS.as_bytes());
    assert_eq!(gathered.expect("rows").rows()[0], json!({"@id": "b1", "title": "Tea & <Sugar> — a story"}));
    let two = "<r><i><a:t>1</a:t></i><i><b:t>2</b:t></i></r>";
    let failure = Setting::default().wanted(&["t"]).run(&format("i"), two.as_bytes()).expect_err("ambiguous");
    assert!(failure.message.contains("`a:t` or `b:t`"), "{failure}");
    assert_eq!(
        Setting::default().wanted(&["a:t", "b:t"]).run(&format("i"), two.as_bytes()).expect("rows").rows(),
        [json!({"a:t": "1"}), json!({"b:t": "2"})]
    );
}

#[test]
fn entities_dtds_and_depth_are_refused() {
    let gathered = read("i", "<r><i><a>&nbsp;</a></i><i><a b='&x;'/></i><i><a>ok</a></i></r>");
    assert_eq!((gathered.rows(), gathered.broken().len()), (vec![json!({"a": "ok"})], 2));
    assert!(gathered.broken()[0].reason.contains("`&nbsp;`"));
    let bomb = r#"<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><r><i>&b;</i></r>"#;
    assert!(run(&format("i"), bomb.as_bytes()).expect_err("a DTD").message.contains("DOCTYPE"));
    let deep = format!("{}{}", "<i>".repeat(100_000), "</i>".repeat(100_000));
    assert!(run(&format("i"), deep.as_bytes()).expect_err("deep").message.contains("deeper than 128"));
    let unknown = r#"<?xml version="1.0" encoding="klingon"?><r/>"#;
    assert!(run(&format("i"), unknown.as_bytes()).expect_err("unknown").message.contains("`klingon`"));
    let mut setting = Setting::default();
    setting.caps.record_bytes = 1000;
    let long = format!("<r><i>{}</i></r>", "<a>x</a>".repeat(1000));
    assert!(setting.run(&format("i"), long.as_bytes()).expect_err("long").message.contains("1000 bytes"));
}

#[test]
fn declared_encodings_and_byte_order_marks_are_followed() {
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><r><i><a>caf\xe9</a></i></r>";
    assert_eq!(run(&format("i"), latin).expect("rows").rows(), [json!({"a": "caf\u{e9}"})]);
    let text = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-16\"?><r><i><a>caf\u{e9}</a></i></r>";
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(run(&format("i"), &wide).expect("rows").rows(), [json!({"a": "caf\u{e9}"})]);
    assert_eq!(read("i", text).rows(), [json!({"a": "caf\u{e9}"})]);
    let gathered = run(&format("i"), b"<r><i><a>\xff</a></i><i><a>ok</a></i></r>").expect("rows");
    assert_eq!((gathered.rows(), gathered.broken().len()), (vec![json!({"a": "ok"})], 1));
}

#[test]
fn a_cut_off_document_is_upstreams() {
    for cut in 0..BOOKS.len() {
        let Some(text) = BOOKS.get(..cut) else { continue };
        assert_eq!(run(&format("book"), text.as_bytes()).expect_err("cut off").blame, Blame::Upstream, "{cut}");
    }
}

proptest! {
    #[test]
    fn mutations_never_panic(at in 0..BOOKS.len(), byte in any::<u8>(), other in 0..BOOKS.len(), more in any::<u8>()) {
        let mut bytes = BOOKS.as_bytes().to_vec();
        bytes[at] = byte;
        bytes[other] = more;
        let _ = run(&format("book"), &bytes);
    }

    #[test]
    fn arbitrary_markup_never_panics(text in "[<>/a!\\[\\]&;:'\"= -]{0,60}") {
        let _ = run(&format("a"), format!("<a>{text}</a>").as_bytes());
        let _ = run(&format("a"), text.as_bytes());
    }
}
