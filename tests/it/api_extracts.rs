//! Extracts: from the request to the files, over restarts, takeovers and expiry.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use chrono::{DateTime, TimeDelta, Utc};
use openshelf::{
    catalog::{
        Redistribution,
        extract::{ExtractEvent, ExtractId, ExtractProgress, ExtractState},
    },
    config::{EncodeSettings, ServeSettings},
    http::Clock,
    store::{Agenda, Store},
};
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, file::reader::FileReader};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::shelf::{TestShelf, TestSnapshot, TestTable, films, header, now, problem, shelf};

const EXTRACTS: &str = "/v1/extracts";

async fn post(shelf: &TestShelf, body: &Value) -> Response {
    let request = shelf.client.post(shelf.url(EXTRACTS)).header("content-type", "application/json");
    request.body(body.to_string()).send().await.unwrap()
}

async fn body(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Asks for an extract; the address where it stands.
async fn ask(shelf: &TestShelf, wanted: &Value) -> String {
    let response = post(shelf, wanted).await;
    let location = header(&response, "location");
    assert!(matches!(response.status().as_u16(), 200 | 202), "{}", response.text().await.unwrap());
    location.unwrap()
}

/// Waits until an extract is in one of these states.
async fn until(shelf: &TestShelf, address: &str, states: &[&str]) -> Value {
    for _ in 0..1500 {
        let detail = shelf.json(address).await;
        if states.contains(&detail["state"].as_str().unwrap()) {
            return detail;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{address} never was {states:?}: {}", shelf.json(address).await);
}

/// The rows of all files of an extract that is done.
async fn rows(shelf: &TestShelf, detail: &Value) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for file in detail["files"].as_array().unwrap() {
        let response = shelf.get(file["url"].as_str().unwrap()).await;
        assert_eq!(response.status(), 200);
        let bytes = response.bytes().await.unwrap();
        assert_eq!(json!(bytes.len()), file["bytes"]);
        assert_eq!(json!(hex::encode(Sha256::digest(&bytes))), file["sha256"]);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        batches.extend(reader.map(|batch| batch.unwrap()));
    }
    assert_eq!(json!(batches.iter().map(RecordBatch::num_rows).sum::<usize>()), detail["rows"]);
    batches
}

fn wanted() -> Value {
    json!({"dataset": "films", "table": "titles", "select": ["id", "title"], "where": "id>=100"})
}

#[tokio::test]
async fn a_slice_becomes_files_that_can_be_cited() {
    let shelf = shelf().await;
    let asked = post(&shelf, &wanted()).await;
    assert_eq!(asked.status(), 202);
    assert_eq!(header(&asked, "cache-control").as_deref(), Some("no-store"));
    assert!(header(&asked, "retry-after").is_some());
    let address = header(&asked, "location").unwrap();
    let queued = body(asked).await;
    assert_eq!(queued["url"], json!(address));
    let done = until(&shelf, &address, &["done"]).await;
    assert_eq!(done["id"], queued["id"]);
    assert_eq!((done["rows"].clone(), done["snapshots"].clone()), (json!(150), json!({"films": 1})));
    assert_eq!(done["columns"], json!([{"name": "id", "type": "int64"}, {"name": "Title", "type": "utf8"}]));
    assert_eq!(done["licenses"][0]["id"], "CC0-1.0");
    assert_eq!(done["licenses"][0]["tables"], json!(["films.titles"]));
    assert_eq!(done["request"]["parameters"], json!({"select": "id,Title", "where": "\"id\" >= 100"}));
    assert_eq!(done["expires"], json!("2026-11-28T12:00:00Z"));
    let cited = done["cite_as"].as_str().unwrap();
    assert!(cited.contains(done["id"].as_str().unwrap()) && cited.contains("Example, 2026"), "{cited}");
    assert!(done["bibtex"].as_str().unwrap().starts_with("@misc{openshelf-x"));
    assert!(done["redo"].is_null() && done["queue"].is_null());
    let batches = rows(&shelf, &done).await;
    assert_eq!(batches[0].schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["id", "Title"]);

    let response = shelf.get(&address).await;
    assert_eq!(header(&response, "openshelf-snapshot").as_deref(), Some("films=1"));
    assert!(header(&response, "cache-control").unwrap().contains("max-age=0"));
    let tag = header(&response, "etag").unwrap();
    assert_eq!(shelf.get_with(&address, &[("if-none-match", &tag)]).await.status(), 304);
    assert_eq!(shelf.send(Method::HEAD, &address, &[]).await.status(), 200);

    // Files are files: ranges, conditions, HEAD.
    let url = done["files"][0]["url"].as_str().unwrap();
    let part = shelf.get_with(url, &[("range", "bytes=0-3")]).await;
    assert_eq!(part.status(), 206);
    assert_eq!(header(&part, "cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
    assert_eq!(part.text().await.unwrap(), "PAR1");
    let head = shelf.send(Method::HEAD, url, &[]).await;
    assert_eq!(header(&head, "content-length"), Some(done["files"][0]["bytes"].to_string()));
    let bytes = shelf.get(url).await.bytes().await.unwrap();
    let file = parquet::file::serialized_reader::SerializedFileReader::new(bytes).unwrap();
    let metadata: BTreeMap<String, String> = file
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap()
        .iter()
        .map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default()))
        .collect();
    assert_eq!(metadata["openshelf.snapshots"], r#"{"films":1}"#);
    assert!(metadata["openshelf.request"].contains(">= 100") && metadata["openshelf.licenses"].contains("CC0-1.0"));
    assert!(metadata["openshelf.extract"].ends_with(done["id"].as_str().unwrap()));
    for missing in ["/v1/extracts/x00000000000000000000", "/v1/extracts/nothing", &format!("{address}/other.parquet")] {
        assert_eq!(shelf.problem(missing).await.0, 404, "{missing}");
    }
}

#[tokio::test]
async fn the_same_request_is_the_same_extract() {
    let shelf = shelf().await;
    let address = ask(&shelf, &wanted()).await;
    let same =
        json!({"table": "titles", "dataset": "films", "where": "ID  >= 100", "select": "ID, Title", "snapshot": 1});
    assert_eq!(ask(&shelf, &same).await, address);
    until(&shelf, &address, &["done"]).await;
    let again = post(&shelf, &same).await;
    assert_eq!((again.status().as_u16(), header(&again, "location")), (200, Some(address.clone())));
    for other in [
        json!({"dataset": "films", "table": "titles", "select": "title,id", "where": "id >= 100"}),
        json!({"dataset": "films", "table": "titles", "select": "id,title", "where": "id >= 100", "limit": 5}),
        json!({"dataset": "films", "table": "titles", "select": "id,title", "where": "id >= 100", "offset": 5}),
    ] {
        assert_ne!(ask(&shelf, &other).await, address, "{other}");
    }
    TestSnapshot::new("films", vec![films()]).publish(&shelf.store).await;
    assert_ne!(ask(&shelf, &wanted()).await, address, "another snapshot");
    // Ten at once are one.
    let wanted = json!({"dataset": "films", "table": "titles", "where": "id = 7"});
    let asked = futures::future::join_all((0..10).map(|_| ask(&shelf, &wanted))).await;
    assert!(asked.iter().all(|address| *address == asked[0]), "{asked:?}");
    assert_eq!(until(&shelf, &asked[0], &["done"]).await["rows"], 1);
    for _ in 0..500 {
        if shelf.store.agenda(Agenda::Queue).await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(shelf.store.agenda(Agenda::Expiry).await.unwrap().len(), 6);
}

#[tokio::test]
async fn wrong_requests_are_refused_before_they_wait() {
    let shelf = shelf().await;
    for (wanted, status) in [
        (json!({}), 400),
        (json!({"dataset": "films"}), 400),
        (json!({"dataset": "filmz", "table": "titles"}), 404),
        (json!({"dataset": "films", "table": "title"}), 404),
        (json!({"dataset": "films", "table": "titles", "snapshot": 9}), 404),
        (json!({"dataset": "films", "table": "titles", "where": "idd > 1"}), 400),
        (json!({"dataset": "films", "table": "titles", "selekt": "id"}), 400),
        (json!({"dataset": "films", "table": "titles", "format": "csv"}), 400),
        (json!({"dataset": "films", "table": "titles", "limit": -1}), 400),
        (json!({"dataset": ["films"], "table": "titles"}), 400),
    ] {
        let (found, body) = problem(post(&shelf, &wanted).await).await;
        assert_eq!(found, status, "{wanted}: {body}");
    }
    let text = shelf.client.post(shelf.url(EXTRACTS)).body("x").send().await.unwrap();
    assert_eq!(problem(text).await.0, 415);
    assert_eq!(problem(shelf.get(EXTRACTS).await).await.0, 405);
    assert!(shelf.store.agenda(Agenda::Queue).await.unwrap().is_empty());
}

/// A table that takes a while.
fn long() -> TestTable {
    let mut table = TestTable::new("t", &[("id", "int64"), ("text", "utf8")]).settings(EncodeSettings::default());
    let schema = table.schema.to_arrow();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..6 {
        let id = Int64Array::from_iter_values((0..50_000).map(|_| random.i64(..)));
        let text = StringArray::from_iter_values((0..50_000).map(|_| format!("{:x}", random.u128(..))));
        table = table.batch(RecordBatch::try_new(schema.clone(), vec![Arc::new(id), Arc::new(text)]).unwrap());
    }
    table
}

fn workers(count: usize) -> impl FnOnce(&mut ServeSettings) {
    move |settings| settings.extracts.workers = count
}

#[tokio::test]
async fn what_is_queued_outlives_its_server() {
    let shelf = TestShelf::builder().publish("films", films()).settings(workers(0)).serve().await;
    let store = shelf.store.clone();
    let first = ask(&shelf, &wanted()).await;
    let second = ask(&shelf, &json!({"dataset": "films", "table": "titles"})).await;
    let detail = shelf.json(&second).await;
    assert_eq!(detail["state"], "queued");
    assert!(matches!(detail["queue"]["position"].as_u64(), Some(1 | 2)), "{detail}");
    let cached = header(&shelf.get(&second).await, "cache-control");
    assert_eq!(cached.as_deref(), Some("no-store"));
    shelf.stop().await;
    let shelf = TestShelf::builder().store(store).serve().await;
    for (address, rows) in [(first, 150), (second, 250)] {
        assert_eq!(until(&shelf, &address, &["done"]).await["rows"], rows);
    }
    assert!(shelf.store.agenda(Agenda::Queue).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_running_is_given_back_when_its_server_ends() {
    let shelf = TestShelf::builder().publish("d", long()).serve().await;
    let store = shelf.store.clone();
    let address = ask(&shelf, &json!({"dataset": "d", "table": "t"})).await;
    until(&shelf, &address, &["running", "done"]).await;
    shelf.stop().await;
    let id: ExtractId = address.rsplit('/').next().unwrap().parse().unwrap();
    let left = store.extract(&id, 0).await.unwrap().unwrap();
    assert!(matches!(left.last.state, ExtractState::Released { .. } | ExtractState::Done(_)), "{:?}", left.last.state);
    let shelf = TestShelf::builder().store(store).serve().await;
    let done = until(&shelf, &address, &["done"]).await;
    assert_eq!(done["rows"], 300_000);
    let batches = rows(&shelf, &done).await;
    assert_eq!(batches[0].num_columns(), 2);
}

static KILLED: AtomicI64 = AtomicI64::new(0);

fn after_the_kill() -> DateTime<Utc> {
    now() + TimeDelta::seconds(KILLED.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_server_that_was_killed_loses_its_lease() {
    let store = Store::in_memory();
    let (held, clock) = (store.clone(), after_the_kill as Clock);
    // A runtime of its own: when it goes, all the server did is gone in that moment.
    let thread = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let address = runtime.block_on(async {
            let shelf = TestShelf::builder().store(held).clock(clock).publish("d", long()).serve().await;
            let address = ask(&shelf, &json!({"dataset": "d", "table": "t"})).await;
            until(&shelf, &address, &["running", "done"]).await;
            std::mem::forget(shelf);
            address
        });
        runtime.shutdown_background();
        address
    });
    let address = thread.await.unwrap();
    let id: ExtractId = address.rsplit('/').next().unwrap().parse().unwrap();
    let shelf = TestShelf::builder().store(store).clock(clock).serve().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = shelf.store.extract(&id, 0).await.unwrap().unwrap();
    let was_running = matches!(before.last.state, ExtractState::Running { attempt: 1, .. });
    if was_running {
        assert_eq!(shelf.json(&address).await["state"], "running", "its lease has not run out");
    }
    KILLED.store(31, Ordering::Relaxed);
    let done = until(&shelf, &address, &["done"]).await;
    assert_eq!(done["rows"], 300_000);
    rows(&shelf, &done).await;
    assert!(was_running, "the job was over before its server was killed");
}

#[tokio::test]
async fn what_ends_every_server_is_given_up() {
    let shelf = TestShelf::builder().publish("films", films()).settings(workers(0)).serve().await;
    let address = ask(&shelf, &wanted()).await;
    let id: ExtractId = address.rsplit('/').next().unwrap().parse().unwrap();
    let state = ExtractState::Running { attempt: 3, progress: ExtractProgress { rows: 5, ..Default::default() } };
    let event = ExtractEvent { run: "gone".into(), at: now() - TimeDelta::minutes(5), state };
    shelf.store.put_extract_event(&id, 2, &event).await.unwrap();
    let running = shelf.json(&address).await;
    assert_eq!((running["state"].clone(), running["progress"]["rows"].clone()), (json!("running"), json!(5)));
    let worker = TestShelf::builder().store(shelf.store.clone()).serve().await;
    let failed = until(&worker, &address, &["failed"]).await;
    assert!(failed["message"].as_str().unwrap().contains("3 servers"), "{failed}");
    assert!(failed["redo"].as_str().unwrap().contains("curl -X POST"));
    // Asked for again, it begins anew.
    assert_eq!(ask(&worker, &wanted()).await, address);
    until(&worker, &address, &["done"]).await;
}

#[tokio::test]
async fn two_servers_share_the_work() {
    let shelf = TestShelf::builder().publish("films", films()).serve().await;
    let other = TestShelf::builder().store(shelf.store.clone()).serve().await;
    let mut addresses = Vec::new();
    for at in 0..10 {
        let on = if at % 2 == 0 { &shelf } else { &other };
        addresses.push(ask(on, &json!({"dataset": "films", "table": "titles", "where": format!("id < {at}")})).await);
    }
    for (at, address) in addresses.iter().enumerate() {
        let on = if at % 2 == 0 { &other } else { &shelf };
        assert_eq!(until(on, address, &["done"]).await["rows"], at);
        let id: ExtractId = address.rsplit('/').next().unwrap().parse().unwrap();
        let log = shelf.store.extract(&id, 0).await.unwrap().unwrap();
        assert_eq!(log.number, 3, "requested, running, done: {log:?}");
    }
}

static DAYS: AtomicI64 = AtomicI64::new(0);

fn days_later() -> DateTime<Utc> {
    now() + TimeDelta::days(DAYS.load(Ordering::Relaxed))
}

#[tokio::test]
async fn files_expire_and_their_record_stays() {
    let shelf = TestShelf::builder().publish("films", films()).clock(days_later).serve().await;
    let address = ask(&shelf, &wanted()).await;
    let done = until(&shelf, &address, &["done"]).await;
    let url = done["files"][0]["url"].as_str().unwrap();
    DAYS.store(8, Ordering::Relaxed);
    let (status, gone) = shelf.problem(url).await;
    assert_eq!((status, gone["type"].as_str().unwrap()), (410, "/problems/extract-expired"));
    assert!(gone["detail"].as_str().unwrap().contains(&address), "{gone}");
    assert!(gone["hint"].as_str().unwrap().contains(r#""snapshot":1"#), "{gone}");
    let expired = until(&shelf, &address, &["expired"]).await;
    for kept in ["files", "cite_as", "licenses", "snapshots", "request", "rows"] {
        assert_eq!(expired[kept], done[kept], "{kept}");
    }
    assert!(expired["redo"].as_str().unwrap().starts_with("curl"));
    let id: ExtractId = address.rsplit('/').next().unwrap().parse().unwrap();
    let name = url.rsplit('/').next().unwrap();
    for _ in 0..500 {
        if shelf.store.agenda(Agenda::Expiry).await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(shelf.store.object(&shelf.store.extract_file(&id, name)).await.unwrap().is_none(), "deleted");
    assert_eq!(shelf.problem(url).await.0, 410);
    // Made again from the same snapshots, under the same id.
    assert_eq!(ask(&shelf, &wanted()).await, address);
    let again = until(&shelf, &address, &["done"]).await;
    assert_eq!(rows(&shelf, &again).await[0].num_rows(), 150);
    assert_eq!(again["created"], done["created"]);
}

#[tokio::test]
async fn personal_tables_are_extracted_on_ones_own_machine_only() {
    let snapshot = || TestSnapshot::new("films", vec![films()]).class(Redistribution::Personal);
    let own = TestShelf::builder().snapshot(snapshot()).serve().await;
    let address = ask(&own, &wanted()).await;
    assert!(address.contains("/p"), "{address}");
    let done = until(&own, &address, &["done"]).await;
    let file = done["files"][0]["url"].as_str().unwrap();
    let response = own.get(file).await;
    assert!(header(&response, "cache-control").unwrap().starts_with("private"));
    let everywhere = |settings: &mut ServeSettings| settings.listen = ([0, 0, 0, 0], 0).into();
    let public = TestShelf::builder().store(own.store.clone()).settings(everywhere).serve().await;
    let (status, refused) = problem(post(&public, &wanted()).await).await;
    assert_eq!(status, 451, "{refused}");
    assert_eq!(refused["hint"], "openshelf ingest films && openshelf serve");
    for path in [address.as_str(), file] {
        assert_eq!(public.problem(path).await.0, 451, "{path}");
    }
}

#[tokio::test]
async fn caps_are_said() {
    let shelf = TestShelf::builder()
        .publish("films", films())
        .settings(|settings| settings.extracts.anonymous.bytes = 100)
        .serve()
        .await;
    let address = ask(&shelf, &wanted()).await;
    let failed = until(&shelf, &address, &["failed"]).await;
    assert!(failed["message"].as_str().unwrap().contains("more than 100 bytes"), "{failed}");
    assert!(failed["files"].as_array().unwrap().is_empty());

    let shelf = TestShelf::builder()
        .publish("films", films())
        .settings(|settings| settings.extracts.anonymous.result = 100)
        .serve()
        .await;
    let address = ask(&shelf, &json!({"dataset": "films", "table": "titles"})).await;
    let failed = until(&shelf, &address, &["failed"]).await;
    assert!(failed["message"].as_str().unwrap().contains("longer than 100 bytes"), "{failed}");

    let shelf = TestShelf::builder()
        .publish("films", films())
        .settings(|settings| {
            settings.limits = true;
            settings.extracts.workers = 0;
            settings.extracts.waiting = 4;
        })
        .serve()
        .await;
    let numbered = |at: u64| json!({"dataset": "films", "table": "titles", "where": format!("id = {at}")});
    for at in 0..3 {
        ask(&shelf, &numbered(at)).await;
    }
    let refused = post(&shelf, &numbered(3)).await;
    assert!(header(&refused, "retry-after").is_some());
    let (status, refused) = problem(refused).await;
    assert_eq!((status, refused["type"].as_str().unwrap()), (429, "/problems/too-many-extracts"));
    assert_eq!(post(&shelf, &numbered(0)).await.status(), 202, "what is asked for already is no more work");
    let others = TestShelf::builder()
        .store(shelf.store.clone())
        .settings(workers(0))
        .settings(|settings| settings.extracts.waiting = 3);
    let (status, _) = problem(post(&others.serve().await, &numbered(9)).await).await;
    assert_eq!(status, 429);
}

#[tokio::test]
async fn a_long_result_keeps_its_order() {
    let shelf =
        TestShelf::builder().publish("d", long()).settings(|settings| settings.extracts.file_bytes = 1).serve().await;
    let address = ask(&shelf, &json!({"dataset": "d", "table": "t", "select": "id"})).await;
    let done = until(&shelf, &address, &["done"]).await;
    assert!(!done["files"].as_array().unwrap().is_empty());
    let batches = rows(&shelf, &done).await;
    let ids = |batch: &RecordBatch| batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
    let found: Vec<i64> = batches.iter().flat_map(ids).collect();
    let expected: Vec<i64> = long().batches.iter().flat_map(ids).collect();
    assert_eq!(found, expected, "rows in order, none lost between files");
}

#[tokio::test]
async fn a_select_over_several_datasets_is_extracted_with_all_their_licenses() {
    let shelf = shelf().await;
    let ratings = TestTable::new("ratings", &[("film", "int64"), ("stars", "int32")]);
    let rows_of: Vec<Value> = (0..100).map(|n| json!({"film": n, "stars": n % 5})).collect();
    TestSnapshot::new("star-ratings", vec![ratings.file(&rows_of).license(Redistribution::ShareAlike)])
        .publish(&shelf.store)
        .await;
    let query = "select t.id, t.Title, r.stars from films.titles t join star_ratings.ratings r on t.id = r.film \
                 where r.stars >= 3 order by t.id";
    let address = ask(&shelf, &json!({"query": query})).await;
    let spelled = query.replace("select", "SELECT").replace("  ", " ");
    assert_eq!(ask(&shelf, &json!({"query": spelled, "snapshots": {"films": 1}})).await, address);
    let done = until(&shelf, &address, &["done", "failed"]).await;
    assert_eq!((done["state"].clone(), done["rows"].clone()), (json!("done"), json!(40)), "{done}");
    assert_eq!(done["snapshots"], json!({"films": 1, "star-ratings": 1}));
    assert!(done["request"]["query"].as_str().unwrap().contains("JOIN"));
    let licenses = done["licenses"].as_array().unwrap();
    assert_eq!(licenses.len(), 2, "{licenses:?}");
    assert!(licenses.iter().any(|license| license["redistribution"] == "share-alike"));
    assert!(done["cite_as"].as_str().unwrap().contains("snapshot 1 of star-ratings"));
    let batches = rows(&shelf, &done).await;
    let ids = batches[0].column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
    assert!(ids.is_sorted() && ids.len() == 40);
    let response = shelf.get(&address).await;
    assert_eq!(header(&response, "openshelf-snapshot").as_deref(), Some("films=1, star-ratings=1"));

    for (wanted, status) in [
        (json!({"query": "select nope from films.titles"}), 400),
        (json!({"query": "select * from films.title"}), 400),
        (json!({"query": "drop table films.titles"}), 400),
        (json!({"query": "select 1; select 2"}), 400),
        (json!({"query": ""}), 400),
        (json!({"query": "select id from films.titles", "snapshots": {"films": 9}}), 404),
        (json!({"query": "select id from films.titles", "format": "csv"}), 400),
    ] {
        let (found, body) = problem(post(&shelf, &wanted).await).await;
        assert_eq!(found, status, "{wanted}: {body}");
    }
    // What only shows while it runs.
    let late = json!({"query": "select cast(Title as int) from films.titles"});
    let failed = until(&shelf, &ask(&shelf, &late).await, &["failed"]).await;
    assert!(failed["message"].as_str().unwrap().contains("cannot be read as int32"), "{failed}");
    assert!(failed["redo"].as_str().unwrap().contains("curl"));
}

#[tokio::test]
async fn an_order_and_a_sample_hold_in_files_too() {
    let shelf = shelf().await;
    let ids = |batches: &[RecordBatch]| -> Vec<i64> {
        let column =
            |batch: &RecordBatch| batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
        batches.iter().flat_map(column).collect()
    };
    let wanted = json!({"dataset": "films", "table": "titles", "select": "id", "order_by": "-id", "limit": 200});
    let done = until(&shelf, &ask(&shelf, &wanted).await, &["done", "failed"]).await;
    assert_eq!(ids(&rows(&shelf, &done).await), (50..250).rev().collect::<Vec<i64>>());
    // Without a limit everything is sorted.
    let wanted = json!({"dataset": "films", "table": "titles", "select": "id", "order_by": "-id", "where": "id < 240", "offset": 9});
    let done = until(&shelf, &ask(&shelf, &wanted).await, &["done", "failed"]).await;
    assert_eq!(ids(&rows(&shelf, &done).await), (0..231).rev().collect::<Vec<i64>>());
    let wanted = json!({"dataset": "films", "table": "titles", "select": "id", "sample": 20, "seed": 7});
    let done = until(&shelf, &ask(&shelf, &wanted).await, &["done", "failed"]).await;
    let answer = shelf.json("/v1/datasets/films/tables/titles/rows?select=id&sample=20&seed=7").await;
    let expected: Vec<i64> = answer["rows"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
    assert_eq!(ids(&rows(&shelf, &done).await), expected);
    assert_eq!(done["request"]["parameters"]["seed"], "7");
}
