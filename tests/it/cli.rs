//! The program's words and exit codes.

use std::{fs, process::Stdio};

use serde_json::json;

use crate::{
    origin::Origin,
    pack::gz,
    shop::{Shop, ours, table},
};

#[test]
fn help_teaches() {
    // What is set shows in the help.
    let set = ["OPENSHELF_STORE", "OPENSHELF_DATASETS", "OPENSHELF_SCRATCH", "COLUMNS"];
    let shop = set.iter().fold(Shop::new(), |shop, name| shop.env(name, None));
    let ran = shop.run(&["--help"]);
    assert_eq!(ran.code, Some(0));
    insta::assert_snapshot!("help", ran.stdout);
    for command in ["ingest", "serve", "check", "new", "datasets", "snapshots", "rollback", "index"] {
        assert!(ran.stdout.contains(&format!("\n  {command} ")), "--help does not name {command}");
        let ran = shop.run(&[command, "--help"]);
        assert_eq!(ran.code, Some(0), "{ran}");
        assert!(ran.stdout.contains("Usage: openshelf"), "{ran}");
    }
    let ingest = shop.run(&["ingest", "--help"]).stdout;
    for word in [
        "--all",
        "--sample",
        "--json",
        "OPENSHELF_STORE",
        "OPENSHELF_CONTACT",
        "OPENSHELF_SCRATCH",
        "OPENSHELF_ALLOW_PRIVATE_SOURCES",
    ] {
        assert!(ingest.contains(word), "`ingest --help` does not name {word}");
    }
    let serve = shop.run(&["serve", "--help"]).stdout;
    for word in
        ["--listen", "OPENSHELF_LISTEN", "--allow-personal", "--limits", "OPENSHELF_LIMITS", "OPENSHELF_PUBLIC_URL"]
    {
        assert!(serve.contains(word), "`serve --help` does not name {word}");
    }
}

#[test]
fn misuse_is_refused_with_the_way_forward() {
    let shop = Shop::new();
    shop.define("earthquakes", &table("t", "http://127.0.0.1:9/a", "{ type = \"csv\" }"));
    shop.run(&["ingets"]).refused(&["ingest"]);
    shop.run(&["ingest"]).refused(&["Usage"]);
    shop.run(&["ingest", "earthquake"]).refused(&["earthquake", "did you mean `earthquakes`"]);
    shop.run(&["check", "eartquakes"]).refused(&["did you mean `earthquakes`"]);
    shop.run(&["snapshots", "earthquakes"]).refused(&["earthquakes", "openshelf datasets"]);
    shop.run(&["rollback", "earthquakes", "1"]).refused(&["earthquakes", "no snapshot"]);
    shop.run(&["serve", "--listen", "nowhere"]).refused(&["nowhere"]);
    shop.run(&["serve", "--listen", "8080"]).refused(&["127.0.0.1:8080"]);
    shop.run(&["datasets", "--store", "gs://bucket"]).refused(&["gs://", "s3://bucket/prefix"]);
    shop.run(&["serve", "--public-url", "data.example.org"]).refused(&["https://data.example.org"]);
    shop.run(&["ingest", "Not-A-Slug"]).refused(&["Not-A-Slug"]);
}

#[test]
fn what_answers_would_wait_for_is_made_by_command() {
    let shop = Shop::new();
    shop.run(&["index", "nothing"]).refused(&["openshelf ingest nothing"]);
    let definition = table("t", "http://127.0.0.1:9/a.csv", "{ type = \"csv\" }")
        + "\n[[table.column]]\nname = \"id\"\ntype = \"int64\"\n[[table.column]]\nname = \"title\"\nsearch = true\n";
    shop.define("d", &definition);
    shop.beside("d", "sample/a.csv", "id,title\n1,a red house\n2,a blue house\n");
    shop.run(&["ingest", "d", "--sample", "--json"]).published_whole();
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().to_str().unwrap();
    let ran = shop.run(&["index", "--cache", cache]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stdout.contains("d.t (snapshot 1): statistics of 2 columns"), "{ran}");
    assert!(ran.stdout.contains("d.t (snapshot 1): search index over 1 columns"), "{ran}");
    let ran = shop.run(&["index", "d", "--cache", cache]);
    assert!(ran.stdout.contains("has its statistics") && ran.stdout.contains("has its search index"), "{ran}");
}

#[test]
fn a_crawl_of_the_network_needs_a_contact() {
    let shop = Shop::new().env("OPENSHELF_CONTACT", None);
    shop.define("far", &table("t", "https://data.example.org/a.csv", "{ type = \"csv\" }"));
    shop.run(&["ingest", "far"]).refused(&["far", "OPENSHELF_CONTACT", "User-Agent", "--sample"]);
    // Neither does a sample nor an origin on this machine.
    shop.beside("far", "sample/a.csv", "id\n1\n");
    let ran = shop.run(&["ingest", "far", "--sample", "--json"]);
    assert_eq!(ran.published_whole()["sample"], true);
    let origin = Origin::start();
    origin.put("/a.csv", "id\n1\n");
    shop.define("near", &table("t", &origin.url("/a.csv"), "{ type = \"csv\" }"));
    shop.ingest("near").published_whole();
}

#[test]
fn the_contact_is_what_upstream_sees() {
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/a.csv", "id\n1\n");
    shop.define("a", &table("t", &origin.url("/a.csv"), "{ type = \"csv\" }"));
    shop.ingest("a").published_whole();
    let requests = origin.requests();
    assert!(requests.iter().any(|request| request.path == "/robots.txt"));
    for request in requests {
        let agent = request.header("user-agent").unwrap();
        assert!(agent.starts_with("openshelf/") && agent.contains("tests@example.org"), "{agent}");
    }
}

#[test]
fn robots_txt_is_heeded() {
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/robots.txt", "User-agent: *\nDisallow: /private/\n");
    origin.put("/private/a.csv", "id\n1\n");
    shop.define("a", &table("t", &origin.url("/private/a.csv"), "{ type = \"csv\" }"));
    let ran = shop.ingest("a");
    assert!(matches!(ran.code, Some(2 | 3)), "{ran}");
    assert!(ran.record()["message"].as_str().unwrap().contains("robots.txt"), "{ran}");
    assert_eq!(origin.count("/private/a.csv"), 0);
}

#[test]
fn every_dataset_of_ours_passes_its_check() {
    let shop = Shop::new().env("OPENSHELF_CONTACT", None).env("OPENSHELF_DATASETS", ours().to_str());
    let mut slugs: Vec<String> = fs::read_dir(ours())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("dataset.toml").is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    slugs.sort();
    assert!(slugs.len() >= 11);
    for slug in &slugs {
        let ran = shop.run(&["check", slug]);
        assert_eq!(ran.code, Some(0), "{ran}");
        assert!(ran.stdout.contains(&format!("{slug}: fine")), "{ran}");
    }
}

#[test]
fn a_sample_that_gives_other_rows_fails_its_check() {
    let shop = Shop::new();
    shop.define(
        "a",
        &(table("t", "https://data.example.org/a.csv", "{ type = \"csv\" }")
            + "column = [{ name = \"id\", type = \"int64\" }]\n"),
    );
    shop.beside("a", "sample/a.csv", "id\n1\n2\n");
    shop.run(&["check", "a"]).refused(&["expected", "openshelf check a --write"]);
    let ran = shop.run(&["check", "a", "--write"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(fs::read_to_string(shop.path("datasets/a/expected/t.ndjson")).unwrap(), "{\"id\":1}\n{\"id\":2}\n");
    assert_eq!(shop.run(&["check", "a"]).code, Some(0));
    shop.beside("a", "sample/a.csv", "id\n1\n3\n");
    shop.run(&["check", "a"]).refused(&["t.ndjson:2", "{\"id\":2}", "{\"id\":3}"]);
    shop.beside("a", "sample/a.csv", "id\n1\n");
    shop.run(&["check", "a"]).refused(&["2 rows", "1"]);
    assert!(!shop.path("store/a").exists(), "a check left something in the store");
}

#[test]
fn a_new_definition_passes_its_check() {
    let (origin, shop) = (Origin::start(), Shop::new());
    fs::write(shop.path("rivers.csv"), "id;name;length km\n1;Donau;2850\n2;Rhein;1230.5\n").unwrap();
    fs::write(
        shop.path("events.ndjson.gz"),
        gz("{\"id\": 1, \"at\": \"2024-01-01T00:00:00Z\", \"tags\": [\"a\"]}\n{\"id\": 2, \"at\": null}\n"),
    )
    .unwrap();
    fs::write(shop.path("answer.json"), r#"{"count": 2, "results": [{"id": "a", "n": 1}, {"id": "b", "n": 2}]}"#)
        .unwrap();
    let mut parquet = Vec::new();
    let column = std::sync::Arc::new(arrow::array::Int32Array::from(vec![1, 2])) as arrow::array::ArrayRef;
    let batch = arrow::array::RecordBatch::try_from_iter([("id", column)]).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut parquet, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    origin.put("/numbers.parquet", parquet);
    for (slug, from) in [
        ("rivers", "rivers.csv".to_owned()),
        ("events", "events.ndjson.gz".to_owned()),
        ("answer", "answer.json".to_owned()),
        ("numbers", origin.url("/numbers.parquet")),
    ] {
        let ran = shop.run(&["new", slug, "--from", &from]);
        assert_eq!(ran.code, Some(0), "{ran}");
        let text = fs::read_to_string(shop.path(&format!("datasets/{slug}/dataset.toml"))).unwrap();
        let ran = shop.run(&["check", slug]);
        assert_eq!(ran.code, Some(0), "{ran}\n{text}");
        // It is never written over.
        let again = shop.run(&["new", slug, "--from", &from]);
        assert_eq!(again.code, Some(2), "{again}");
        assert_eq!(fs::read_to_string(shop.path(&format!("datasets/{slug}/dataset.toml"))).unwrap(), text);
    }
    let rivers = fs::read_to_string(shop.path("datasets/rivers/dataset.toml")).unwrap();
    assert!(rivers.contains("delimiter = \";\"") && rivers.contains("length_km"), "{rivers}");
    shop.run(&["new", "none", "--from", "nothing-there.csv"]).refused(&["nothing-there.csv"]);
    shop.run(&["new", "none", "--from", "ftp://example.org/a.csv"]).refused(&["ftp://", "http(s)"]);
    let shop = shop.env("OPENSHELF_CONTACT", None);
    shop.run(&["new", "none", "--from", "https://example.org/a.csv"]).refused(&["OPENSHELF_CONTACT"]);
}

#[test]
fn snapshots_rollback_and_datasets() {
    let (origin, shop) = (Origin::start(), Shop::new());
    shop.define("a", &table("t", &origin.url("/a.csv"), "{ type = \"csv\" }"));
    let ran = shop.run(&["datasets"]);
    assert!(ran.stdout.contains("not ingested yet") && ran.stdout.contains("openshelf ingest a"), "{ran}");
    for version in 1..=3 {
        origin.put("/a.csv", format!("id\n{version}\n"));
        shop.ingest("a").published_whole();
    }
    let server = shop.serve();
    assert_eq!(server.rows("a", "t"), [json!({"id": 3})]);
    let ran = shop.run(&["rollback", "a", "1"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!((server.snapshot("a"), server.rows("a", "t")), (4, vec![json!({"id": 1})]));
    let ran = shop.run(&["snapshots", "a"]);
    let numbers: Vec<&str> = ran.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!((ran.code, numbers), (Some(0), vec!["4", "3", "2", "1"]), "{}", ran.stdout);
    shop.run(&["rollback", "a", "9"]).refused(&["no snapshot 9"]);
    let ran = shop.run(&["datasets"]);
    assert!(ran.stdout.lines().any(|line| line.starts_with("a ") && line.contains("snapshot 4")), "{ran}");
    // What upstream has now is not what the rollback holds: the next run takes it again.
    shop.ingest("a").published_whole();
    assert_eq!(server.rows("a", "t"), [json!({"id": 3})]);
}

#[test]
fn all_of_them_the_worst_code_wins() {
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/a.csv", "id\n1\n");
    shop.define("a", &table("t", &origin.url("/a.csv"), "{ type = \"csv\" }"));
    shop.define("b", &table("t", &origin.url("/gone.csv"), "{ type = \"csv\" }"));
    shop.define("c", &table("t", &origin.url("/a.csv"), "{ type = \"csv\" }"));
    let ran = shop.run(&["ingest", "--all", "--json"]);
    assert_eq!(ran.code, Some(3), "{ran}");
    let outcomes: Vec<String> = ran
        .stdout
        .lines()
        .map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{} {}", record["dataset"].as_str().unwrap(), record["outcome"].as_str().unwrap())
        })
        .collect();
    assert_eq!(outcomes, ["a published", "b failed", "c published"], "one that fails does not stop the others");
    // For people: plain lines, no bars, where standard output is no terminal.
    let ran = shop.run(&["ingest", "a", "b"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stdout.contains("a: unchanged") && ran.stdout.contains("b: nothing published"), "{ran}");
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{ran}");
}

#[test]
fn places_are_named_as_one_would_from_the_working_folder() {
    let shop = Shop::new().env("OPENSHELF_STORE", None).env("OPENSHELF_DATASETS", None).env("OPENSHELF_SCRATCH", None);
    shop.define("a", &table("t", "https://data.example.org/a.csv", "{ type = \"csv\" }"));
    shop.beside("a", "sample/a.csv", "id\n1\n");
    fs::remove_dir(shop.path("store")).unwrap();
    for (store, folder) in [(None, "store"), (Some("shelf"), "shelf"), (Some("./deep/shelf/"), "deep/shelf")] {
        let mut command = vec!["ingest", "a", "--sample", "--json"];
        command.extend(store.iter().flat_map(|store| ["--store", *store]));
        shop.run(&command).published_whole();
        assert!(shop.path(folder).join("a/manifests").is_dir(), "nothing in {folder}");
    }
    assert_eq!(shop.rows("a", "t"), [json!({"id": 1})]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let shop = Shop::new().env("OPENSHELF_DATASETS", ours().to_str());
    let mut child = shop.command(&["check", "imdb"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}
