//! Partitioned tables from the definition to the list of files: one partition a file, kept parts keep theirs.

use std::fmt::Write as _;

use openshelf::{
    config::IngestSettings,
    ingest::{definition, progress::Progress, run},
    store::Store,
};
use serde_json::{Value, json};

use crate::{origin::Origin, shelf::now, shop::Shop};

/// Rows of a part: years and carriers mixed, some years missing.
fn part(number: u64, version: u64) -> String {
    let mut text = "id,year,carrier,version\n".to_owned();
    for n in 0..60 {
        let id = number * 1000 + (n * 37) % 60;
        let year = if n % 10 == 9 { String::new() } else { (2000 + number + n % 3).to_string() };
        writeln!(text, "{id},{year},{},{version}", ["ÖA", "UA", "WN"][n as usize % 3]).unwrap();
    }
    text
}

fn definition(origin: &Origin, keys: &str) -> String {
    format!(
        r#"[[table]]
name = "t"
source = {{ url = "{}", each = {{ n = ["0", "1", "2"] }} }}
format = {{ type = "csv" }}
{keys}
column = [
    {{ name = "id", type = "int64" }},
    {{ name = "year", type = "int32" }},
    {{ name = "carrier" }},
    {{ name = "version", type = "int32" }},
]
"#,
        origin.url("/{n}.csv")
    )
}

/// The partitions of the files, in their order, with the part each is of.
fn partitions(files: &[Value]) -> Vec<Value> {
    files.iter().map(|file| file["partition"].clone()).collect()
}

#[test]
fn files_hold_one_partition_and_a_new_part_replaces_its_own_files_only() {
    let (origin, shop) = (Origin::start(), Shop::new());
    (0..3).for_each(|number| origin.put(&format!("/{number}.csv"), part(number, 1)));
    shop.define("d", &definition(&origin, "primary_key = [\"id\"]\npartition_by = [\"year\"]"));
    shop.ingest("d").published_whole();
    let server = shop.serve();

    let about = server.json("/v1/datasets/d/tables/t");
    assert_eq!(about["partition_by"], json!(["year"]));
    assert_eq!(about["sort_key"], json!(["year", "id"]));
    assert_eq!(about["primary_key"], json!(["id"]));
    // Three years and none, part by part.
    let first = server.files("d", "t");
    let years = |from: u64| {
        [json!({"year": from}), json!({"year": from + 1}), json!({"year": from + 2}), json!({"year": null})]
    };
    let expected: Vec<Value> = (2000..2003).flat_map(years).collect();
    assert_eq!(partitions(&first), expected);
    for file in &first {
        let (bounds, year) = (&file["columns"]["year"], &file["partition"]["year"]);
        assert_eq!(bounds["nulls"], if year.is_null() { file["rows"].clone() } else { json!(0) }, "{file}");
        assert!(year.is_null() || (bounds["min"] == *year && bounds["max"] == *year), "{file}");
    }
    let rows = server.rows("d", "t");
    let ids = |rows: &[Value]| rows.iter().map(|row| row["id"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(rows.len(), 180);
    let order: Vec<(u64, i64, u64)> = rows
        .iter()
        .map(|row| {
            let id = row["id"].as_u64().unwrap();
            (id / 1000, row["year"].as_i64().unwrap_or(i64::MAX), id)
        })
        .collect();
    assert!(order.is_sorted(), "part, then partition with nulls last, then key");
    let of = server.slice("d", "t", "&where=year=2001");
    assert_eq!(
        ids(&of),
        rows.iter().filter(|row| row["year"] == 2001).map(|row| row["id"].as_u64().unwrap()).collect::<Vec<_>>()
    );

    // One part anew: the others keep their files.
    origin.put("/1.csv", part(1, 2));
    shop.ingest("d").published_whole();
    let second = server.files("d", "t");
    assert_eq!(partitions(&second), expected);
    for (at, (old, new)) in first.iter().zip(&second).enumerate() {
        let same = old["url"] == new["url"];
        assert_eq!(same, !(4..8).contains(&at), "file {at}");
        assert_eq!(new["added_in"], if same { json!(1) } else { json!(2) });
    }
    shop.ingest("d").unchanged();

    // Partitioned by something else, or by nothing: all files are made anew.
    shop.define("d", &definition(&origin, "primary_key = [\"id\"]\npartition_by = [\"carrier\", \"year\"]"));
    shop.ingest("d").published_whole();
    let third = server.files("d", "t");
    assert_eq!(third[0]["partition"], json!({"carrier": "UA", "year": 2001}));
    assert!(third.iter().all(|file| file["added_in"] == 3));
    shop.define("d", &definition(&origin, "primary_key = [\"id\"]"));
    shop.ingest("d").published_whole();
    let fourth = server.files("d", "t");
    assert_eq!(fourth.len(), 3);
    assert!(fourth.iter().all(|file| file.get("partition").is_none()));
    assert_eq!(server.json("/v1/datasets/d/tables/t")["partition_by"], json!([]));
    let mut sorted = ids(&rows);
    sorted.sort_unstable();
    assert_eq!(ids(&server.rows("d", "t")), sorted, "the same rows, by their key");
    // What was published stays as it was.
    let old = server.json("/v1/datasets/d/tables/t/files?snapshot=3");
    assert_eq!(old["files"].as_array().unwrap(), &third);
}

#[test]
fn columns_taken_from_the_data_make_partitions_if_they_can() {
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/a.csv", "day,score,n\n2024-01-02,1.5,1\n2024-01-01,2.5,2\n2024-01-02,3.5,3\n");
    let define = |keys: &str| {
        shop.define("d", &format!("{}{keys}\n", crate::shop::table("t", &origin.url("/a.csv"), "{ type = \"csv\" }")));
    };
    define("partition_by = [\"scor\"]");
    shop.ingest("d").failed(2, "definition", &["`scor`", "day, score, n"]);
    define("partition_by = [\"score\"]");
    shop.ingest("d").failed(2, "definition", &["table `t`", "`score` is float64", "date"]);
    define("partition_by = [\"day\"]");
    shop.ingest("d").published_whole();
    let server = shop.serve();
    assert_eq!(partitions(&server.files("d", "t")), [json!({"day": "2024-01-01"}), json!({"day": "2024-01-02"})]);
    // Without another key, upstream's order within each.
    let n: Vec<Value> = server.rows("d", "t").iter().map(|row| row["n"].clone()).collect();
    assert_eq!(n, [2, 1, 3]);
}

#[tokio::test]
async fn a_file_for_each_row_is_refused_before_it_is_made() {
    let (shop, store) = (Shop::new(), Store::in_memory());
    let table = crate::shop::table("t", "https://example.org/{n}.csv", "{ type = \"csv\" }")
        .replace(".csv\" }", ".csv\", each = { n = [\"0\", \"1\", \"2\"] } }");
    shop.define("d", &format!("{table}partition_by = [\"id\"]\ncolumn = [{{ name = \"id\", type = \"int64\" }}]\n"));
    for part in 0..3 {
        let text = (0..5).fold("id\n".to_owned(), |text, n| format!("{text}{}\n", part * 2 + n));
        shop.beside("d", &format!("sample/{part}.csv"), text);
    }
    let loaded = definition::load(&shop.path("datasets"), &"d".parse().unwrap()).unwrap();
    let progress = Progress::silent();
    let mut settings = IngestSettings::new(shop.path("scratch"));
    assert_eq!((settings.encode.partitions, settings.encode.partition_files), (1000, 10_000));
    // Five in a part; four more files in each of three parts than there would be.
    for (partitions, partition_files, words) in [
        (4, 12, Some("by `id` one part falls into more than 4 partitions")),
        (5, 11, Some("by `id` the table falls into more than 11 partitions beyond one for each part")),
        (5, 12, None),
    ] {
        (settings.encode.partitions, settings.encode.partition_files) = (partitions, partition_files);
        let ingest = run::Ingest { store: &store, settings: &settings, progress: &progress, sample: true, now: now() };
        let ended = run::run(ingest, &loaded).await;
        let said = ended.failure.map(|failure| failure.to_string());
        match words {
            Some(words) => {
                let said = said.unwrap();
                for word in ["table `t`", words, "something coarser", "let `sort_key` begin with `id`"] {
                    assert!(said.contains(word), "{said}");
                }
            }
            None => assert_eq!(said, None),
        }
    }
}
