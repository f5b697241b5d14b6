//! From one run to the next: what changes upstream or in the definition is read again, everything else keeps its files.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Foreign, Taken};

const PARTS: &str = r#"
[[table]]
name = "t"
source = { url = "ORIGIN/{n}.csv", each = { n = { from = 1, to = 2 } }, missing = "gap" }
format = { type = "csv" }
"#;

fn files(taken: &Taken) -> BTreeSet<String> {
    taken.server.files("f", "t").iter().map(|file| file["url"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_later_conflict_widens_and_never_rejects() {
    let foreign = Foreign::new(&[("/1.csv", b"id,v\n1,10\n2,20\n"), ("/2.csv", b"id,v\n3,30\n")]);
    foreign.define(PARTS);
    let taken = foreign.taken();
    assert_eq!(taken.columns("t"), "id: int64, v: int64");
    let first = files(&taken);

    // The same types: only what is new is read.
    taken.foreign.origin.put("/2.csv", "id,v\n3,31\n");
    let record = taken.foreign.ingest().published_whole();
    assert_eq!(record["tables"][0]["read"], 1);
    let second = files(&taken);
    assert_eq!(second.intersection(&first).count(), 1);

    // A fraction, then text and a new column: wider, and all files are written anew as one table.
    taken.foreign.origin.put("/2.csv", "id,v\n3,31.5\n");
    taken.foreign.ingest().published_whole();
    assert_eq!(taken.columns("t"), "id: int64, v: float64");
    assert_eq!(
        taken.rows("t"),
        [json!({"id": 1, "v": 10.0}), json!({"id": 2, "v": 20.0}), json!({"id": 3, "v": 31.5})]
    );
    taken.foreign.origin.put("/2.csv", "id,v,w\n3,many,true\n");
    taken.foreign.ingest().published_whole();
    assert_eq!(taken.columns("t"), "id: int64, v: utf8, w: bool");
    assert_eq!(
        taken.rows("t"),
        [
            json!({"id": 1, "v": "10", "w": null}),
            json!({"id": 2, "v": "20", "w": null}),
            json!({"id": 3, "v": "many", "w": true}),
        ]
    );
    // Snapshots of before are what they were.
    assert_eq!(taken.server.slice("f", "t", "&snapshot=1")[2], json!({"id": 3, "v": 30}));
    taken.foreign.ingest().unchanged();
}

#[test]
fn what_upstream_has_lost_is_kept_and_shown_as_a_gap() {
    let foreign = Foreign::new(&[("/1.csv", b"id,v\n1,10\n"), ("/2.csv", b"id,v\n3,30\n")]);
    foreign.define(PARTS);
    let taken = foreign.taken();
    let before = files(&taken);
    taken.foreign.origin.remove("/1.csv");
    let ran = taken.foreign.ingest();
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(files(&taken), before);
    taken.foreign.origin.put("/2.csv", "id,v\n3,31\n");
    taken.foreign.ingest().published_whole();
    assert_eq!(taken.rows("t"), [json!({"id": 1, "v": 10}), json!({"id": 3, "v": 31})]);
    let gaps = taken.server.json("/v1/datasets/f")["gaps"].to_string();
    assert!(gaps.contains("/1.csv"), "{gaps}");
}

#[test]
fn a_changed_definition_reads_again_what_it_shapes() {
    let foreign = Foreign::new(&[("/a.csv", b"id,v\n1,10\n"), ("/b.csv", b"id\n7\n")]);
    let table = |name: &str, columns: &str| {
        format!(
            "[[table]]\nname = \"{name}\"\nsource = {{ url = \"ORIGIN/{name}.csv\" }}\nformat = {{ type = \"csv\" }}\n{columns}\n"
        )
    };
    let a = r#"column = [{ name = "id", type = "int64" }, { name = "v", type = "int64" }]"#;
    foreign.define(&(table("a", a) + &table("b", "")));
    let taken = foreign.taken();
    let files = |table: &str| taken.server.files("f", table)[0]["url"].clone();
    let (first_a, first_b) = (files("a"), files("b"));

    // Words about the dataset are a new snapshot of the same files.
    taken.foreign.define(&("description = \"Now with words.\"\n".to_owned() + &table("a", a) + &table("b", "")));
    let record = taken.foreign.ingest().published();
    assert_eq!(record["tables"], json!([]), "nothing had to be read");
    assert_eq!((files("a"), files("b")), (first_a.clone(), first_b.clone()));
    assert_eq!(taken.server.json("/v1/datasets/f")["description"], "Now with words.");

    // Another type is another table.
    let record = taken
        .foreign
        .define(&(table("a", &a.replace("\"v\", type = \"int64\"", "\"v\", type = \"float64\"")) + &table("b", "")))
        .ingest()
        .published_whole();
    assert_eq!(record["tables"].as_array().unwrap().len(), 1, "{record}");
    assert_eq!(taken.rows("a"), [json!({"id": 1, "v": 10.0})]);
    assert!(files("a") != first_a && files("b") == first_b);

    // A table that is no longer there is gone from the next snapshot, and still in the one before.
    taken.foreign.define(&table("b", "")).ingest().published();
    assert_eq!(taken.server.get("/v1/datasets/f/tables/a").status, 404);
    assert_eq!(taken.server.slice("f", "a", "&snapshot=1"), [json!({"id": 1, "v": 10})]);
    taken.foreign.ingest().unchanged();
}

#[test]
fn the_sample_and_upstream_are_told_apart() {
    let foreign = Foreign::new(&[("/a.csv", b"id\n1\n2\n3\n")]);
    foreign.define("[[table]]\nname = \"t\"\nsource = { url = \"ORIGIN/a.csv\" }\nformat = { type = \"csv\" }\n");
    foreign.shop.beside("f", "sample/a.csv", "id\n1\n");
    let sample = ["ingest", "f", "--sample", "--json"];
    assert_eq!(foreign.shop.run(&sample).published_whole()["sample"], true);
    foreign.shop.run(&sample).unchanged();
    assert_eq!(foreign.origin.requests().len(), 0, "a sample asks nobody");
    let taken = foreign.taken();
    assert_eq!(taken.rows("t").len(), 3);
    let snapshots = taken.server.json("/v1/datasets/f/snapshots");
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 2);
    taken.foreign.ingest().unchanged();
}

#[test]
fn limits_of_a_definition_are_kept() {
    let foreign = Foreign::new(&[("/a.csv", &b"id\n1\n".repeat(1000))]);
    foreign.define("limits = { bytes = 100 }\n[[table]]\nname = \"t\"\nsource = { url = \"ORIGIN/a.csv\" }\nformat = { type = \"csv\" }\n");
    foreign.ingest().failed(2, "definition", &["limits.bytes"]);
}

#[test]
fn many_rows_are_sorted_by_the_key_and_sliced_at_any_depth() {
    // A permutation of 0..50 000, in four parts of an archive and back in order by the key.
    let rows = 50_000_u64;
    let text = |part: u64| -> String {
        (0..rows / 4)
            .map(|at| (part * rows / 4 + at) * 7919 % rows)
            .fold("id,word\n".to_owned(), |text, id| text + &format!("{id},w{id}\n"))
    };
    let parts: Vec<String> = (0..4).map(text).collect();
    let names = ["0.csv", "1.csv", "2.csv", "3.csv"];
    let members: Vec<(&str, &[u8])> = names.into_iter().zip(parts.iter().map(String::as_bytes)).collect();
    let foreign = Foreign::new(&[("/all.zip", &crate::pack::zip(&members))]);
    foreign.define("[[table]]\nname = \"t\"\nsource = { url = \"ORIGIN/all.zip\", member = \"*.csv\" }\nformat = { type = \"csv\" }\nprimary_key = [\"id\"]\ncolumn = [{ name = \"id\", type = \"int64\" }, { name = \"word\" }]\n");
    let taken = foreign.taken();
    let all = taken.rows("t");
    assert_eq!(all.len() as u64, rows);
    assert!(all.iter().enumerate().all(|(at, row)| row["id"] == at && row["word"] == format!("w{at}")));
    let deep = taken.server.slice("f", "t", "&offset=49990&limit=5&select=word,id");
    assert_eq!(deep[0], json!({"word": "w49990", "id": 49990}));
    let found = taken.server.slice("f", "t", "&where=id%20between%20777%20and%20779%20or%20word%20%3D%20%27w40000%27");
    assert_eq!(found.iter().map(|row| row["id"].as_u64().unwrap()).collect::<Vec<_>>(), [777, 778, 779, 40_000]);
}
