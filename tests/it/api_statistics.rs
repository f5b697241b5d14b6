//! Statistics of columns: what they say against the rows themselves, when they are there, and that they can be lost.

use std::{collections::BTreeMap, path::Path, time::Duration};

use openshelf::{
    config::{IngestSettings, ServeSettings},
    ingest::{definition, progress::Progress, publish, run},
    store::{DerivedFrom, Store},
};
use serde_json::{Value, json};

use crate::shelf::{TestShelf, TestSnapshot, films, header, now, shelf};

const TABLE: &str = "/v1/datasets/films/tables/titles";
/// The name statistics have in the store.
const THING: &str = "statistics-1";

fn impatient(settings: &mut ServeSettings) {
    settings.derived.patience = Duration::ZERO;
}

/// A store with the samples of these datasets.
pub(crate) async fn samples(datasets: &[&str]) -> Store {
    let store = Store::in_memory();
    let scratch = tempfile::tempdir().unwrap();
    let settings = IngestSettings::new(scratch.path().to_owned());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
    for dataset in datasets {
        let loaded = definition::load(&folder, &dataset.parse().unwrap()).unwrap();
        let progress = Progress::silent();
        let ingest = run::Ingest { store: &store, settings: &settings, progress: &progress, sample: true, now: now() };
        let ended = run::run(ingest, &loaded).await;
        assert!(ended.failure.is_none(), "{dataset}: {:?}", ended.failure);
    }
    store
}

/// The table's answer once its statistics are complete, and the answers before.
async fn complete(shelf: &TestShelf, path: &str) -> (Value, usize) {
    for before in 0..200 {
        let response = shelf.get(path).await;
        assert_eq!(response.status(), 200);
        let again = header(&response, "retry-after");
        let kept = header(&response, "cache-control").unwrap();
        let table: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        if table["statistics_state"] == "complete" {
            assert_eq!(again, None);
            return (table, before);
        }
        assert_eq!(table["statistics_state"], "computing");
        assert!(again.unwrap().parse::<u64>().unwrap() >= 1);
        assert_eq!(kept, "no-store", "what is not final is not kept");
        // What the manifest says is there at once.
        assert!(!table["columns"][0]["statistics"]["nulls"].is_null());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{path}: never complete");
}

/// Numbers of a value, as far as they are one.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// Holds a column's statistics against its values.
fn hold(place: &str, kind: &str, statistics: &Value, values: &[&Value]) {
    let there: Vec<&&Value> = values.iter().filter(|value| !value.is_null()).collect();
    let missing = values.len() - there.len();
    let odd = ["nan", "infinite"].iter().filter_map(|key| statistics[key].as_u64()).sum::<u64>();
    assert_eq!(statistics["nulls"].as_u64().unwrap() + odd, missing as u64, "{place}: nulls");
    if let Some(lengths) = statistics.get("lengths").filter(|_| kind == "utf8") {
        let counted: Vec<usize> = there.iter().map(|text| text.as_str().unwrap().chars().count()).collect();
        assert_eq!(lengths["max"], json!(counted.iter().max().unwrap()), "{place}");
        assert_eq!(lengths["min"], json!(counted.iter().min().unwrap()), "{place}");
    }
    if kind.starts_with("list<") {
        let items: Vec<&Value> = there.iter().flat_map(|list| list.as_array().unwrap()).collect();
        let item = kind.trim_start_matches("list<").trim_end_matches('>');
        return hold(&format!("{place}[]"), item, &statistics["elements"], &items);
    }
    if kind.starts_with("struct<") || kind.starts_with("map<") {
        return;
    }
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for value in &there {
        *counts.entry(value.to_string()).or_default() += 1;
    }
    assert_eq!(statistics["distinct"], json!({"value": counts.len(), "kind": "exact"}), "{place}");
    let told = statistics["most_frequent"]["values"].as_array().unwrap();
    let mut rest = counts.clone();
    for value in told.iter().filter(|value| value["bytes"].is_null()) {
        let count = rest.remove(&value["value"].to_string());
        assert_eq!(count.map(Value::from).as_ref(), Some(&value["count"]), "{place}: {value}");
    }
    let others = statistics["most_frequent"]["others_at_most"].as_u64().unwrap();
    let cut = told.iter().any(|value| !value["bytes"].is_null());
    assert!(cut || rest.values().all(|count| *count <= others), "{place}: {others}");
    let numeric = ["int32", "int64", "float32", "float64"].contains(&kind) || kind.starts_with("decimal");
    if numeric && !there.is_empty() {
        let numbers: Vec<f64> = there.iter().filter_map(|value| number(value)).collect();
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let std = (numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / numbers.len() as f64).sqrt();
        for (key, expected) in [
            ("mean", mean),
            ("std", std),
            ("min", numbers.iter().copied().fold(f64::INFINITY, f64::min)),
            ("max", numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        ] {
            let said = number(&statistics[key]).unwrap();
            let near = (said - expected).abs() <= 1e-6 * expected.abs().max(1.0);
            assert!(near, "{place}: {key} is {said}, not {expected}");
        }
        let counts = statistics["histogram"]["counts"].as_array().unwrap();
        assert_eq!(counts.iter().filter_map(Value::as_u64).sum::<u64>(), numbers.len() as u64, "{place}");
    }
}

#[tokio::test]
async fn statistics_are_those_of_the_rows() {
    let datasets = ["imdb", "geonames", "earthquakes", "gutenberg"];
    let shelf = TestShelf::builder().store(samples(&datasets).await).serve().await;
    let mut columns = 0;
    for dataset in datasets {
        let about = shelf.json(&format!("/v1/datasets/{dataset}")).await;
        for table in about["tables"].as_array().unwrap() {
            let path = format!("/v1/datasets/{dataset}/tables/{}", table["name"].as_str().unwrap());
            let (table, _) = complete(&shelf, &path).await;
            let rows = shelf.json(&format!("{path}/rows?limit=10000&truncate=0")).await;
            let rows = rows["rows"].as_array().unwrap();
            assert_eq!(json!(rows.len()), table["rows"], "{path}: the sample fits one answer");
            for column in table["columns"].as_array().unwrap() {
                let (name, kind) = (column["name"].as_str().unwrap(), column["type"].as_str().unwrap());
                let values: Vec<&Value> = rows.iter().map(|row| &row[name]).collect();
                hold(&format!("{path}.{name}"), kind, &column["statistics"], &values);
                columns += 1;
            }
        }
    }
    assert!(columns > 60, "{columns}");
}

#[tokio::test]
async fn until_they_are_complete_the_answer_says_so() {
    let shelf = TestShelf::builder().publish("films", films()).settings(impatient).serve().await;
    let pinned = format!("{TABLE}?snapshot=1");
    let first = shelf.get(&pinned).await;
    let early = header(&first, "etag");
    assert!(first.text().await.unwrap().contains("\"statistics_state\":\"computing\""));
    let (table, before) = complete(&shelf, &pinned).await;
    assert!(before < 200);
    assert_eq!(table["columns"][0]["statistics"]["distinct"], json!({"value": 250, "kind": "exact"}));
    let whole = shelf.get(&pinned).await;
    assert_ne!(header(&whole, "etag"), early);
    assert_eq!(header(&whole, "cache-control").unwrap(), "public, max-age=31536000, immutable");
    let tag = header(&whole, "etag").unwrap();
    assert_eq!(shelf.get_with(&pinned, &[("if-none-match", &tag)]).await.status(), 304);
    let metrics = shelf.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("openshelf_background_working 0"), "{metrics}");
}

#[tokio::test]
async fn what_is_kept_serves_every_server_and_what_is_lost_is_made_again() {
    let first = shelf().await;
    complete(&first, TABLE).await;
    let of = {
        let manifest = first.store.head(&"films".parse().unwrap()).await.unwrap().unwrap();
        DerivedFrom::new(&manifest, &manifest.tables[0]).unwrap()
    };
    let store = first.store.clone();
    first.stop().await;
    let again = || async { TestShelf::builder().store(store.clone()).settings(impatient).serve().await };
    assert_eq!(complete(&again().await, TABLE).await.1, 0, "kept over a restart");
    // A rollback holds the same files.
    let number = publish::rollback(&store, &of.dataset, 1, "r", now()).await.unwrap().snapshot;
    let rolled = format!("{TABLE}?snapshot={number}");
    assert_eq!(complete(&again().await, &rolled).await.1, 0, "taken over");
    for body in [None, Some("{"), Some("{\"rows\":1}")] {
        store.drop_derived_of(&of.dataset, 1).await.unwrap();
        if let Some(body) = body {
            assert!(store.put_derived(&of, THING, body.into()).await.unwrap());
        }
        let shelf = again().await;
        let (table, before) = complete(&shelf, &format!("{TABLE}?snapshot=1")).await;
        assert!(before > 0, "made again");
        assert_eq!(table["columns"][0]["statistics"]["max"], 249);
    }
}

#[tokio::test]
async fn two_servers_over_one_store_agree_and_many_tables_wait_their_turn() {
    let store = Store::in_memory();
    for n in 0..6 {
        TestSnapshot::new(&format!("d{n}"), vec![films()]).publish(&store).await;
    }
    let server = || TestShelf::builder().store(store.clone()).settings(impatient).serve();
    let (one, two) = (server().await, server().await);
    let paths: Vec<String> = (0..6).map(|n| format!("/v1/datasets/d{n}/tables/titles")).collect();
    let ask = |shelf, path| async move { complete(shelf, path).await.0 };
    let all = futures::future::join_all(paths.iter().flat_map(|path| [ask(&one, path), ask(&two, path)])).await;
    for pair in all.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
}
