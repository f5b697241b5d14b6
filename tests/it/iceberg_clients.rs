//! Real readers of the Iceberg catalog: pyiceberg, DuckDB, polars and Daft over every table of every dataset, and over one
//! whose files, columns and snapshots changed in every way.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    origin::Origin,
    shop::{Server, Shop, ours},
};

/// A folder whose address must stand in metadata as it is: no reader takes `%20` for a space.
const STORE: &str = "a store";

/// Rows `from..to` of a part; `version` is in each of them.
fn part(number: u32, version: u32, more: bool) -> String {
    let head = if more { "id,part,added,score,at,words\n" } else { "id,part,name,score,at,words\n" };
    let row = |n: u32| {
        format!(
            "{},{number},v{version}-{n},{}.1{n},2024-01-{:02}T00:00:00.{n:06}Z,a b{n}\n",
            number * 1000 + n,
            n,
            n % 28 + 1
        )
    };
    std::iter::once(head.to_owned()).chain((0..1000).map(row)).collect()
}

/// The definition; `column` stands between the first and the others.
fn definition(origin: &Origin, column: &str) -> String {
    format!(
        r#"[[table]]
name = "t"
source = {{ url = "{}", each = {{ n = ["0", "1", "2"] }} }}
format = {{ type = "csv" }}
sort_key = ["id"]
column = [
    {{ name = "id", type = "int64" }},
    {column}
    {{ name = "part", type = "int32" }},
    {{ name = "score", type = "float64" }},
    {{ name = "at", type = "timestamp" }},
    {{ name = "words", type = "list<utf8>", split = " " }},
]
"#,
        origin.url("/{n}.csv")
    )
}

/// Publishes snapshots: new; one part replaced; nothing but a part more; other columns; as it was; other columns again.
fn evolve(origin: &Origin, shop: &Shop) {
    let put =
        |number: u32, version: u32, more: bool| origin.put(&format!("/{number}.csv"), part(number, version, more));
    let named = definition(origin, r#"{ name = "name", type = "utf8" },"#);
    shop.define("evolving", &named);
    (0..3).for_each(|number| put(number, 1, false));
    shop.ingest("evolving").published();
    put(1, 2, false);
    shop.ingest("evolving").published();
    (0..3).for_each(|number| put(number, 3, true));
    shop.define(
        "evolving",
        &definition(origin, r#"{ name = "added", type = "utf8" }, { name = "kind", from = "words", type = "utf8" },"#),
    );
    shop.ingest("evolving").published();
    let back = shop.run(&["rollback", "evolving", "2"]);
    assert_eq!(back.code, Some(0), "{back}");
    put(2, 4, true);
    shop.define(
        "evolving",
        &definition(
            origin,
            r#"{ name = "part_text", from = "part", type = "utf8" }, { name = "added", type = "utf8" },"#,
        ),
    );
    shop.ingest("evolving").published();
}

/// Publishes snapshots of a table that is partitioned by a column; with one part replaced; by three others, one with a name
/// that Avro has not; not at all; by the first column again, which has become wider; by one that was, another that was being gone.
pub(crate) fn part_again(origin: &Origin, shop: &Shop) {
    let part = |number: u32, version: u32| {
        let row = |n: u32| {
            let id = number * 1000 + n;
            // Every hundredth row is of no year.
            let year = if n % 100 == 99 { String::new() } else { (2000 + number + n / 400).to_string() };
            format!(
                "{id},{year},2024-0{}-01,{},{},{version}\n",
                n % 2 + 1,
                ["ä", "b"][n as usize % 2],
                n.is_multiple_of(3)
            )
        };
        let text = std::iter::once("id,year,day,code,flag,version\n".to_owned()).chain((0..1000).map(row));
        origin.put(&format!("/parted/{number}.csv"), text.collect::<String>());
    };
    let publish = |keys: &str, kind: &str, day: &str| {
        let definition = format!(
            r#"[[table]]
name = "t"
source = {{ url = "{}", each = {{ n = ["0", "1", "2"] }} }}
format = {{ type = "csv" }}
primary_key = ["id"]
{keys}
column = [
    {{ name = "id", type = "int64" }},
    {{ name = "year", type = "{kind}" }},
    {day}
    {{ name = "code" }},
    {{ name = "flag", type = "bool" }},
    {{ name = "version", type = "int32" }},
]
"#,
            origin.url("/parted/{n}.csv")
        );
        shop.define("parted", &definition);
        shop.ingest("parted").published_whole();
    };
    (0..3).for_each(|number| part(number, 1));
    let day = r#"{ name = "the day", from = "day", type = "date" },"#;
    publish("partition_by = [\"year\"]", "int32", day);
    part(1, 2);
    publish("partition_by = [\"year\"]", "int32", day);
    publish("partition_by = [\"code\", \"the day\", \"flag\"]", "int32", day);
    publish("", "int32", day);
    publish("partition_by = [\"year\"]", "int64", day);
    publish("partition_by = [\"code\"]", "int64", "");
}

/// The ids of a snapshot's columns by name.
fn ids(metadata: &Value, snapshot: usize) -> Vec<(String, i64)> {
    let id = &metadata["snapshots"][snapshot]["schema-id"];
    let schema = metadata["schemas"].as_array().unwrap().iter().find(|schema| schema["schema-id"] == *id).unwrap();
    let fields = schema["fields"].as_array().unwrap().iter();
    fields.map(|field| (field["name"].as_str().unwrap().to_owned(), field["id"].as_i64().unwrap())).collect()
}

/// The ids that the first file of a snapshot carries.
fn ids_in_file(server: &Server, snapshot: usize) -> Vec<(String, i64)> {
    let files = server.json(&format!("/v1/datasets/evolving/tables/t/files?snapshot={snapshot}"));
    let body = server.body(files["files"][0]["url"].as_str().unwrap());
    let reader = parquet::file::reader::SerializedFileReader::new(bytes::Bytes::from(body)).unwrap();
    let schema = parquet::file::reader::FileReader::metadata(&reader).file_metadata().schema().clone();
    let fields = schema.get_fields().iter();
    fields.map(|field| (field.name().to_owned(), field.get_basic_info().id().into())).collect()
}

#[test]
fn field_ids_stay_with_columns_and_are_never_used_again() {
    let (origin, shop) = (Origin::start(), Shop::new());
    evolve(&origin, &shop);
    let server = shop.serve();
    let metadata = server.json("/iceberg/v1/namespaces/evolving/tables/t")["metadata"].clone();
    let named =
        |columns: &[(&str, i64)]| columns.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect::<Vec<_>>();
    let first = named(&[("id", 1), ("name", 2), ("part", 3), ("score", 4), ("at", 5), ("words", 6)]);
    // 7 is what is in `words`.
    let third = named(&[("id", 1), ("added", 8), ("kind", 9), ("part", 3), ("score", 4), ("at", 5), ("words", 6)]);
    // After the rollback nothing has the ids that came in between.
    let fifth =
        named(&[("id", 1), ("part_text", 10), ("added", 11), ("part", 3), ("score", 4), ("at", 5), ("words", 6)]);
    for (at, expected) in [&first, &first, &third, &first, &fifth].into_iter().enumerate() {
        assert_eq!(ids(&metadata, at), *expected, "snapshot {}", at + 1);
        assert_eq!(ids_in_file(&server, at + 1), *expected, "a file of snapshot {}", at + 1);
    }
    assert_eq!(metadata["last-column-id"], json!(11));
    let operations = metadata["snapshots"].as_array().unwrap().iter().map(|one| one["summary"]["operation"].clone());
    assert_eq!(operations.collect::<Vec<_>>(), ["append", "overwrite", "overwrite", "overwrite", "overwrite"]);
    // Upstream has nothing new: the columns are those they were, and nothing is made again.
    shop.ingest("evolving").unchanged();
}

#[test]
fn exported_metadata_is_written_once_and_grows_with_the_history() {
    let (origin, shop) = (Origin::start(), Shop::new().env("OPENSHELF_STORE", Some(STORE)));
    evolve(&origin, &shop);
    let first = shop.run(&["export-iceberg", "evolving"]);
    assert_eq!(first.code, Some(0), "{first}");
    let folder = shop.path(&format!("{STORE}/evolving/iceberg/t/metadata"));
    let listed = || {
        let rendered = folder.join(env!("CARGO_PKG_VERSION"));
        let names = [&folder, &rendered].into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
        let paths = names.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let read = |path: std::path::PathBuf| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
        };
        paths.map(read).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = listed();
    assert_eq!(before["version-hint.text"], b"5");
    assert!(first.stdout.contains(&format!("{} objects written", before.len())), "{first}");
    let metadata: Value = serde_json::from_slice(&before["v5.metadata.json"]).unwrap();
    let address = format!("file://{}", shop.path(STORE).canonicalize().unwrap().display());
    assert_eq!(metadata["location"], json!(format!("{address}/evolving/iceberg/t")));
    for snapshot in metadata["snapshots"].as_array().unwrap() {
        let list = snapshot["manifest-list"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let text = String::from_utf8_lossy(&before[&list]).into_owned();
        assert!(text.contains(&format!("{address}/evolving/iceberg/t/metadata/")), "{list}");
    }

    let again = shop.run(&["export-iceberg"]);
    assert!(again.stdout.contains("is there already"), "{again}");
    assert_eq!(listed(), before);
    // One snapshot more adds its own objects and changes none but the hint.
    let back = shop.run(&["rollback", "evolving", "1"]);
    assert_eq!(back.code, Some(0), "{back}");
    assert_eq!(shop.run(&["export-iceberg", "evolving"]).code, Some(0));
    let after = listed();
    assert_eq!(after["version-hint.text"], b"6");
    assert!(before.iter().all(|(name, bytes)| name == "version-hint.text" || after[name] == *bytes));
    assert!(after.contains_key("v6.metadata.json") && after.contains_key("snap-00006.avro"));

    let elsewhere = shop.run(&["export-iceberg", "evolving", "--base", "s3a://shelf/all/"]);
    assert_eq!(elsewhere.code, Some(0), "{elsewhere}");
    let metadata: Value = serde_json::from_slice(&listed()["v6.metadata.json"]).unwrap();
    assert_eq!(metadata["location"], "s3a://shelf/all/evolving/iceberg/t");
    assert_eq!(shop.run(&["export-iceberg", "--base", "shelf"]).code, Some(2));
    assert_eq!(shop.run(&["export-iceberg", "nothing"]).code, Some(2));
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was not run says so")]
fn readers_of_iceberg_agree_with_the_api() {
    let Some(python) = std::env::var_os("OPENSHELF_TEST_ICEBERG_PYTHON") else {
        if std::env::var_os("OPENSHELF_TEST_FAST").is_some_and(|value| value == "1") {
            eprintln!("iceberg_clients: not run, OPENSHELF_TEST_FAST=1 is set");
            return;
        }
        panic!(
            "OPENSHELF_TEST_ICEBERG_PYTHON is not set: run `scripts/tools iceberg` first, then \
             OPENSHELF_TEST_ICEBERG_PYTHON=$PWD/.venv-iceberg/bin/python cargo test (scripts/test does both); \
             OPENSHELF_TEST_FAST=1 leaves this test out"
        );
    };
    let (origin, shop) = (Origin::start(), Shop::new().env("OPENSHELF_STORE", Some(STORE)));
    evolve(&origin, &shop);
    part_again(&origin, &shop);
    let samples =
        shop.command(&["ingest", "--all", "--sample", "--json"]).env("OPENSHELF_DATASETS", ours()).output().unwrap();
    assert!(samples.status.success(), "{}", String::from_utf8_lossy(&samples.stderr));
    let exported = shop.run(&["export-iceberg"]);
    assert_eq!(exported.code, Some(0), "{exported}");
    let server = shop.serve();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/iceberg/read.py");
    let output = Command::new(&python)
        .arg(script)
        .arg(&server.url)
        .arg(shop.path(STORE))
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("no_proxy", "127.0.0.1,localhost")
        .env("HOME", shop.path(""))
        .env("DAFT_ANALYTICS_ENABLED", "0")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for said in
        ["tables agree", "5 snapshots agree", "filters agree", "partitions agree in 6 snapshots", "exports agree"]
    {
        assert!(text.contains(said), "{text}");
    }
}
