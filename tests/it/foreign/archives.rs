//! Compressed files and archives: by their bytes, whatever their names.

use serde_json::json;

use super::Foreign;
use crate::pack::{bz2, gz, tar, xz, zip, zst};

const TEXT: &[u8] = b"id,name\n1,one\n2,two\n";

#[test]
fn every_compression_is_known_by_its_bytes() {
    let mut members = gz("id,name\n1,one\n");
    members.extend(gz("2,two\n"));
    let mut streams = bz2("id,name\n1,one\n");
    streams.extend(bz2("2,two\n"));
    let files: [(&str, Vec<u8>); 8] = [
        ("gz", gz(TEXT)),
        ("bz2", bz2(TEXT)),
        ("xz", xz(TEXT)),
        ("zst", zst(TEXT)),
        ("members", members),
        ("streams", streams),
        ("tgz", gz(tar(&[("x/a.csv", TEXT)]))),
        ("zip", zip(&[("a.csv", TEXT)])),
    ];
    let foreign = Foreign::new(&[]);
    let mut text = String::new();
    for (name, body) in &files {
        // No name says what it is.
        foreign.origin.put(&format!("/{name}/data"), body.clone());
        text += &format!(
            "[[table]]\nname = \"t_{name}\"\nsource = {{ url = \"ORIGIN/{name}/data\" }}\nformat = {{ type = \"csv\" }}\n"
        );
    }
    foreign.define(&text);
    let taken = foreign.taken();
    for (name, _) in &files {
        let rows = taken.rows(&format!("t_{name}"));
        assert_eq!(rows, [json!({"id": 1, "name": "one"}), json!({"id": 2, "name": "two"})], "{name}");
    }
}

#[test]
fn tars_in_every_compression() {
    let archive = tar(&[("top/README", b"no csv"), ("top/data/a.csv", TEXT)]);
    let foreign = Foreign::new(&[]);
    let mut text = String::new();
    for (name, body) in
        [("bz2", bz2(&archive)), ("xz", xz(&archive)), ("zst", zst(&archive)), ("plain", archive.clone())]
    {
        foreign.origin.put(&format!("/{name}.bin"), body);
        text += &format!(
            "[[table]]\nname = \"t_{name}\"\nsource = {{ url = \"ORIGIN/{name}.bin\", member = \"top/data/a.csv\" }}\nformat = {{ type = \"csv\" }}\n"
        );
    }
    foreign.define(&text);
    let taken = foreign.taken();
    for name in ["bz2", "xz", "zst", "plain"] {
        assert_eq!(taken.rows(&format!("t_{name}")).len(), 2, "{name}");
    }
}

#[test]
fn a_zip_with_several_csvs() {
    let archive = zip(&[
        ("gtfs/stops.txt", b"stop_id,stop_name\nS1,Main\nS2,Oak\n"),
        ("gtfs/routes.txt", b"route_id\nR1\n"),
        ("gtfs/readme.md", b"# hello"),
        ("days/1.csv", b"n\n10\n"),
        ("days/2.csv", b"n\n20\n21\n"),
    ]);
    let foreign = Foreign::new(&[("/feed.zip", &archive)]);
    foreign.define(
        r#"
[[source]]
name = "feed"
url = "ORIGIN/feed.zip"

[[table]]
name = "stops"
source = { name = "feed", member = "gtfs/stops.txt" }
format = { type = "csv" }
primary_key = ["stop_id"]
column = [{ name = "stop_id" }, { name = "stop_name" }]

[[table]]
name = "routes"
source = { name = "feed", member = "gtfs/routes.txt" }
format = { type = "csv" }

[[table]]
name = "days"
source = { name = "feed", member = "days/*.csv" }
format = { type = "csv" }
column = [{ name = "day", from = "$member" }, { name = "n", type = "int64" }]
"#,
    );
    let taken = foreign.taken();
    assert_eq!(taken.rows("stops").len(), 2);
    assert_eq!(taken.rows("routes"), [json!({"route_id": "R1"})]);
    assert_eq!(
        taken.rows("days"),
        [
            json!({"day": "days/1.csv", "n": 10}),
            json!({"day": "days/2.csv", "n": 20}),
            json!({"day": "days/2.csv", "n": 21}),
        ]
    );
    assert_eq!(taken.foreign.origin.count("/feed.zip"), 1);
}

#[test]
fn a_member_that_is_not_there_is_named() {
    let foreign = Foreign::new(&[("/feed.zip", &zip(&[("a.csv", TEXT)]))]);
    foreign.define("[[table]]\nname = \"b\"\nsource = { url = \"ORIGIN/feed.zip\", member = \"b.csv\" }\nformat = { type = \"csv\" }\n");
    let ran = foreign.ingest();
    assert!(matches!(ran.code, Some(2 | 3)), "{ran}");
    assert!(ran.record()["message"].as_str().unwrap().contains("b.csv"), "{ran}");
}
