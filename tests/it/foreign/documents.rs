//! JSON in its forms, XML, MediaWiki exports.

use serde_json::json;

use super::{Foreign, both};

#[test]
fn ndjson_with_nested_values() {
    let taken = both(
        "/events.ndjson",
        br#"{"id": 1, "actor": {"login": "ada", "score": 1.5}, "tags": ["x"], "sizes": {"a": 1}}
{"id": 9007199254740993, "actor": {"login": "bo"}, "tags": [], "extra": null}
"#,
        r#"{ type = "ndjson" }"#,
        r#"column = [
    { name = "id", type = "int64" },
    { name = "login", from = "/actor/login" },
    { name = "actor", type = "struct<login: utf8, score: float64>" },
    { name = "tags", type = "list<utf8>" },
    { name = "sizes", type = "map<utf8, int64>", optional = true },
    { name = "never", type = "utf8", optional = true },
]"#,
    );
    let rows = taken.rows("named");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["login"], "ada");
    assert_eq!(rows[0]["actor"], json!({"login": "ada", "score": 1.5}));
    assert_eq!(rows[1]["actor"], json!({"login": "bo", "score": null}));
    assert_eq!((&rows[0]["tags"], &rows[1]["tags"]), (&json!(["x"]), &json!([])));
    assert_eq!(
        (&rows[0]["sizes"], &rows[1]["sizes"], &rows[0]["never"]),
        (&json!({"a": 1}), &json!(null), &json!(null))
    );
    // Beyond 2^53 a number would lose digits in many readers: text in all rows.
    assert_eq!((&rows[0]["id"], &rows[1]["id"]), (&json!("1"), &json!("9007199254740993")));
    let bare = taken.rows("bare");
    assert_eq!(bare.len(), 2);
    assert_eq!(bare[0]["tags"], json!(["x"]));
}

#[test]
fn a_json_document_with_its_rows_at_a_pointer() {
    let taken = both(
        "/answer.json",
        br#"{"meta": {"n": 2, "rows": [0]}, "data": {"rows": [{"lat": "1.5", "name": "a"}, {"name": "b", "lat": "-2"}]}}"#,
        r#"{ type = "json", pointer = "/data/rows" }"#,
        r#"column = [{ name = "name" }, { name = "latitude", from = "lat", type = "float64" }]"#,
    );
    assert_eq!(taken.rows("named"), [json!({"name": "a", "latitude": 1.5}), json!({"name": "b", "latitude": -2.0})]);
    assert_eq!(taken.rows("bare")[1]["name"], "b");
}

#[test]
fn an_object_of_objects_gives_its_keys() {
    let taken = both(
        "/codes.json",
        br#"{"AT": {"name": "Austria", "eu": true}, "CH": {"name": "Switzerland", "eu": false}}"#,
        r#"{ type = "json" }"#,
        r#"primary_key = ["code"]
column = [{ name = "code", from = "$key" }, { name = "name" }, { name = "eu", type = "bool" }]"#,
    );
    assert_eq!(
        taken.rows("named"),
        [
            json!({"code": "AT", "name": "Austria", "eu": true}),
            json!({"code": "CH", "name": "Switzerland", "eu": false}),
        ]
    );
    let bare = taken.rows("bare");
    assert!(bare[1].as_object().unwrap().values().any(|value| value == "CH"), "the key is lost: {bare:?}");
}

#[test]
fn geojson_features() {
    let taken = both(
        "/quakes.geojson",
        br#"{"type": "FeatureCollection", "metadata": {"count": 2}, "features": [
{"type": "Feature", "id": "u1", "properties": {"mag": 1.2, "time": 1700000000123}, "geometry": {"type": "Point", "coordinates": [16.4, 48.2, 10.5]}},
{"type": "Feature", "properties": {"mag": null, "time": 1700000001000}, "geometry": {"type": "Point", "coordinates": [-70, -33, 3]}, "id": "u2"}]}"#,
        r#"{ type = "json" }"#,
        r#"column = [
    { name = "id" },
    { name = "mag", type = "float64" },
    { name = "at", from = "time", type = "timestamp", parse = "epoch_ms" },
    { name = "longitude", type = "float64" },
    { name = "latitude", type = "float64" },
    { name = "depth", type = "float64" },
]"#,
    );
    assert_eq!(
        taken.rows("named"),
        [
            json!({"id": "u1", "mag": 1.2, "at": "2023-11-14T22:13:20.123Z", "longitude": 16.4, "latitude": 48.2, "depth": 10.5}),
            json!({"id": "u2", "mag": null, "at": "2023-11-14T22:13:21Z", "longitude": -70.0, "latitude": -33.0, "depth": 3.0}),
        ]
    );
    let bare = &taken.rows("bare")[0];
    assert_eq!((&bare["id"], &bare["mag"], &bare["latitude"]), (&json!("u1"), &json!(1.2), &json!(48.2)));
}

const BOOKS: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE catalog>
<catalog>
  <info><title>not a book</title></info>
  <book id=\"b1\" lang='en'><title>One &amp; two</title><author><name>Ada</name></author><year>1815</year></book>
  <book id=\"b2\"><title><![CDATA[<Three>]]></title><author><name>Bo &#233;</name></author><year/></book>
</catalog>
";

#[test]
fn xml_rows_with_children_attributes_and_paths() {
    let taken = both(
        "/books.xml",
        BOOKS,
        r#"{ type = "xml", row = "catalog/book" }"#,
        r#"column = [
    { name = "id", from = "@id" },
    { name = "language", from = "@lang", optional = true },
    { name = "title" },
    { name = "author", from = "author/name" },
    { name = "year", type = "int32" },
]"#,
    );
    assert_eq!(
        taken.rows("named"),
        [
            json!({"id": "b1", "language": "en", "title": "One & two", "author": "Ada", "year": 1815}),
            json!({"id": "b2", "language": null, "title": "<Three>", "author": "Bo é", "year": null}),
        ]
    );
    let bare = taken.rows("bare");
    assert_eq!(bare.len(), 2);
    assert_eq!((&bare[0]["title"], &bare[0]["year"]), (&json!("One & two"), &json!(1815)));
}

#[test]
fn entities_of_a_document_type_are_not_expanded() {
    let bomb = b"<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>
<r><row><v>&b;</v></row></r>";
    let foreign = Foreign::new(&[("/r.xml", bomb)]);
    foreign.define("[[table]]\nname = \"r\"\nsource = { url = \"ORIGIN/r.xml\" }\nformat = { type = \"xml\", row = \"row\" }\ncolumn = [{ name = \"v\" }]\n");
    let ran = foreign.ingest();
    assert!(matches!(ran.code, Some(2 | 3)), "an entity of the document's own came through: {ran}");
}

const WIKI: &str = r#"<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
  <siteinfo><sitename>Test</sitename><dbname>testwiki</dbname></siteinfo>
  <page>
    <title>Apple</title><ns>0</ns><id>1</id>
    <revision><id>10</id><parentid>9</parentid><timestamp>2024-05-01T10:00:00Z</timestamp>
      <contributor><username>Ada</username><id>7</id></contributor><minor /><comment>first</comment><origin>10</origin>
      <model>wikitext</model><format>text/x-wiki</format><text bytes="14" sha1="abc" xml:space="preserve">An &lt;b&gt;apple.</text><sha1>abc</sha1></revision>
  </page>
  <page>
    <title>Talk:Pear</title><ns>1</ns><id>2</id><redirect title="Apple" />
    <revision><id>11</id><timestamp>2024-05-02T10:00:00Z</timestamp>
      <contributor><ip>192.0.2.1</ip></contributor><comment deleted="deleted" /><model>wikitext</model><format>text/x-wiki</format>
      <text bytes="0" deleted="deleted" /><sha1 /></revision>
  </page>
</mediawiki>
"#;

#[test]
fn a_mediawiki_export() {
    let taken = both(
        "/pages.xml",
        WIKI.as_bytes(),
        r#"{ type = "mediawiki-xml" }"#,
        r#"primary_key = ["page_id"]
column = [
    { name = "page_id", type = "int64" },
    { name = "ns", type = "int32" },
    { name = "title" },
    { name = "redirect", from = "redirect_title" },
    { name = "parent_id", type = "int64" },
    { name = "saved", from = "timestamp", type = "timestamp" },
    { name = "contributor_name" },
    { name = "contributor_ip" },
    { name = "minor", type = "bool" },
    { name = "comment" },
    { name = "wikitext" },
]"#,
    );
    assert_eq!(
        taken.rows("named"),
        [
            json!({"page_id": 1, "ns": 0, "title": "Apple", "redirect": null, "parent_id": 9, "saved": "2024-05-01T10:00:00Z",
                "contributor_name": "Ada", "contributor_ip": null, "minor": true, "comment": "first", "wikitext": "An <b>apple."}),
            json!({"page_id": 2, "ns": 1, "title": "Talk:Pear", "redirect": "Apple", "parent_id": null, "saved": "2024-05-02T10:00:00Z",
                "contributor_name": null, "contributor_ip": "192.0.2.1", "minor": false, "comment": null, "wikitext": null}),
        ]
    );
    let bare = taken.rows("bare");
    assert_eq!(bare.len(), 2);
    assert_eq!((&bare[0]["page_id"], &bare[0]["title"], &bare[0]["rev_id"]), (&json!(1), &json!("Apple"), &json!(10)));
    assert_eq!(taken.columns("bare").split(", ").count(), 17);
}
