//! Changes between snapshots: applied to the older one they give the newer one, whatever the tables.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::{Float64Array, Int64Array, RecordBatch};
use openshelf::catalog::{DataFile, Redistribution};
use serde_json::{Value, json};

use crate::shelf::{TestShelf, TestSnapshot, TestTable, arrow_rows, header};

const CHANGES: &str = "/v1/datasets/d/tables/t/changes";

/// Rows as texts, and how often each is there.
type Multiset = BTreeMap<String, i64>;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn ndjson(shelf: &TestShelf, path: &str) -> Vec<Value> {
    let response = shelf.get(path).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{path}: {text}");
    lines(&text)
}

/// The table as a snapshot has it, with these columns only.
async fn table(shelf: &TestShelf, snapshot: u64, columns: &[&str]) -> Multiset {
    let mut rows = Multiset::new();
    for row in ndjson(shelf, &format!("/v1/datasets/d/tables/t/rows?format=ndjson&snapshot={snapshot}")).await {
        *rows.entry(only(&row, columns)).or_default() += 1;
    }
    rows
}

fn only(row: &Value, columns: &[&str]) -> String {
    columns.iter().map(|name| row[*name].to_string()).collect::<Vec<_>>().join("|")
}

/// Applies a feed; what is taken away must be there.
fn apply(rows: &mut Multiset, feed: &[Value], columns: &[&str]) {
    for change in feed {
        let row = only(change, columns);
        let by = match change["_change_type"].as_str().unwrap() {
            "insert" | "update_postimage" => 1,
            "delete" | "update_preimage" => -1,
            other => panic!("{other}"),
        };
        let count = rows.entry(row.clone()).or_default();
        *count += by;
        assert!(*count >= 0, "{row} is taken away and was not there");
    }
    rows.retain(|_, count| *count > 0);
}

async fn files(shelf: &TestShelf) -> Vec<DataFile> {
    let head = shelf.store.head(&"d".parse().unwrap()).await.unwrap().unwrap();
    shelf.store.files(&head, &head.tables[0]).await.unwrap().to_vec()
}

const COLUMNS: [(&str, &str); 5] =
    [("id", "int64"), ("name", "utf8"), ("score", "float64"), ("tags", "list<utf8>"), ("n", "int32")];
const NAMES: [&str; 5] = ["id", "name", "score", "tags", "n"];

fn random_row(random: &mut fastrand::Rng, keys: i64) -> Value {
    let id = match random.u8(0..30) {
        0 => Value::Null,
        _ => json!(random.i64(0..keys)),
    };
    let maybe = |random: &mut fastrand::Rng, value: Value| if random.u8(0..4) == 0 { Value::Null } else { value };
    let (name, score) = (json!(format!("name {}", random.u8(0..4))), json!(f64::from(random.u8(0..4)) / 2.0));
    let tags = json!(vec!["a"; random.usize(0..3)]);
    json!({
        "id": id,
        "name": maybe(random, name),
        "score": maybe(random, score),
        "tags": maybe(random, tags),
        "n": random.i32(0..2),
    })
}

/// The next version of some rows: some go, some change, some come.
fn mutate(random: &mut fastrand::Rng, rows: &mut Vec<Value>, keys: i64, unique: bool) {
    rows.retain(|_| random.u8(0..10) > 0);
    for row in rows.iter_mut() {
        if random.u8(0..6) == 0 {
            let id = row["id"].clone();
            *row = random_row(random, keys);
            row["id"] = id;
        }
    }
    for _ in 0..random.usize(0..20) {
        let row = random_row(random, keys);
        if !unique || !rows.iter().any(|known| known["id"] == row["id"]) {
            rows.push(row);
        }
    }
    if random.bool() {
        random.shuffle(rows);
    }
}

#[tokio::test]
async fn a_feed_applied_to_the_older_snapshot_gives_the_newer_one() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let unique = random.bool();
        let keys = random.i64(10..200);
        let sort_key: &[&str] = [&[][..], &["id"], &["id", "n"], &["n"]][random.usize(0..4)];
        let shelf = TestShelf::builder().serve().await;
        let mut rows: Vec<Value> = Vec::new();
        let versions = 4;
        for _ in 0..versions {
            mutate(&mut random, &mut rows, keys, unique);
            let mut test = TestTable::new("t", &COLUMNS).primary_key(&["id"]).sort_key(sort_key);
            let parts = random.usize(1..4);
            for part in rows.chunks(rows.len().div_ceil(parts).max(1)) {
                test = test.file(part);
            }
            TestSnapshot::new("d", vec![test]).publish(&shelf.store).await;
        }
        for from in 0..versions {
            for to in from + 1..=versions {
                let feed = ndjson(&shelf, &format!("{CHANGES}?from={from}&to={to}&format=ndjson")).await;
                let mut state = if from == 0 { Multiset::new() } else { table(&shelf, from, &NAMES).await };
                let mut at = from;
                let mut counts = [0_u64; 3];
                for version in from + 1..=to {
                    let step: Vec<Value> =
                        feed.iter().filter(|row| row["_commit_version"] == version).cloned().collect();
                    apply(&mut state, &step, &NAMES);
                    assert_eq!(state, table(&shelf, version, &NAMES).await, "seed {seed}, {from}..{to} at {version}");
                    at = version;
                    for row in &step {
                        match row["_change_type"].as_str().unwrap() {
                            "insert" => counts[0] += 1,
                            "delete" => counts[1] += 1,
                            "update_postimage" => counts[2] += 1,
                            _ => {}
                        }
                    }
                }
                assert_eq!(at, to);
                let versions: Vec<u64> = feed.iter().map(|row| row["_commit_version"].as_u64().unwrap()).collect();
                assert!(versions.is_sorted());
                for pair in feed.windows(2).filter(|pair| pair[0]["_change_type"] == "update_preimage") {
                    assert_eq!(pair[1]["_change_type"], "update_postimage");
                    assert_eq!(pair[0]["id"], pair[1]["id"]);
                    assert_ne!(only(&pair[0], &NAMES), only(&pair[1], &NAMES));
                }
                let numbers = shelf.json(&format!("{CHANGES}?from={from}&to={to}&count=exact")).await;
                let expected = json!({"added": counts[0], "removed": counts[1], "changed": counts[2]});
                assert_eq!(numbers["changes"], expected, "seed {seed}");
                assert_eq!(numbers["versions"].as_array().unwrap().len() as u64, to - from);
            }
        }
    }
}

/// Two snapshots of five rows: one went, one changed, one came, one moved to another file, one stayed.
async fn small() -> TestShelf {
    let row = |id: i64, name: &str| json!({"id": id, "name": name});
    let columns = [("id", "int64"), ("name", "utf8")];
    let keyed = |table: TestTable| table.primary_key(&["id"]).sort_key(&["id"]);
    let shelf = TestShelf::builder()
        .publish(
            "d",
            keyed(TestTable::new("t", &columns))
                .file(&[row(1, "one"), row(2, "two")])
                .file(&[row(3, "three"), row(4, "four")]),
        )
        .serve()
        .await;
    let kept = files(&shelf).await;
    let table = keyed(TestTable::new("t", &columns)).keep(&kept[..1]);
    let table = table.file(&[row(4, "four"), row(5, "five")]).file(&[row(3, "drei")]);
    TestSnapshot::new("d", vec![table]).publish(&shelf.store).await;
    shelf
}

#[tokio::test]
async fn every_format_says_what_happened() {
    let shelf = small().await;
    let expected = json!([
        {"id": 3, "name": "three", "_change_type": "update_preimage", "_commit_version": 2},
        {"id": 3, "name": "drei", "_change_type": "update_postimage", "_commit_version": 2},
        {"id": 5, "name": "five", "_change_type": "insert", "_commit_version": 2},
    ]);
    let answer = shelf.get(&format!("{CHANGES}?from=1")).await;
    assert_eq!(header(&answer, "openshelf-snapshot").as_deref(), Some("2"));
    assert!(header(&answer, "openshelf-scanned-bytes").unwrap().parse::<u64>().unwrap() > 0);
    assert!(header(&answer, "cache-control").unwrap().contains("max-age=0"));
    let tag = header(&answer, "etag").unwrap();
    let json: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(json["rows"], expected);
    assert_eq!((json["from"].clone(), json["to"].clone(), json["next"].clone()), (json!(1), json!(2), Value::Null));
    assert_eq!(shelf.get_with(&format!("{CHANGES}?from=1"), &[("if-none-match", &tag)]).await.status(), 304);
    let pinned = shelf.get(&format!("{CHANGES}?from=1&to=2&format=csv")).await;
    assert!(header(&pinned, "cache-control").unwrap().contains("immutable"));
    assert_eq!(
        pinned.text().await.unwrap(),
        "id,name,_change_type,_commit_version\r\n3,three,update_preimage,2\r\n3,drei,update_postimage,2\r\n5,five,insert,2\r\n"
    );
    assert_eq!(json!(ndjson(&shelf, &format!("{CHANGES}?from=1&format=ndjson")).await), expected);
    let arrow = shelf.get(&format!("{CHANGES}?from=1&format=arrow")).await.bytes().await.unwrap();
    assert_eq!(arrow_rows(&arrow).iter().map(|batch| batch.num_rows()).sum::<usize>(), 3);
    let parquet = shelf.get(&format!("{CHANGES}?from=1&format=parquet")).await.bytes().await.unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(parquet, 100).unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 3);
    let posted = shelf.client.post(shelf.url(CHANGES)).header("content-type", "application/json");
    let posted = posted.body(json!({"from": 1}).to_string()).send().await.unwrap();
    let posted: Value = serde_json::from_str(&posted.text().await.unwrap()).unwrap();
    assert_eq!(posted["rows"], expected);
}

#[tokio::test]
async fn slices_of_a_feed_are_slices_of_its_rows() {
    let shelf = small().await;
    let rows = |query: &str| {
        let path = format!("{CHANGES}?from=1&{query}");
        let shelf = &shelf;
        async move { shelf.json(&path).await }
    };
    let page = rows("limit=2").await;
    assert_eq!(page["rows"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    assert!(next.contains("to=2"), "{next}");
    let rest = shelf.json(next).await;
    assert_eq!((rest["rows"].as_array().unwrap().len(), rest["next"].clone()), (1, Value::Null));
    assert_eq!(rest["offset"], 2);
    assert_eq!(rows("select=_change_type,id&offset=2").await["rows"], json!([{"_change_type": "insert", "id": 5}]));
    assert_eq!(rows("where=_change_type='insert'&select=name").await["rows"], json!([{"name": "five"}]));
    assert_eq!(rows("id__gt=4&select=id").await["rows"], json!([{"id": 5}]));
    assert_eq!(rows("offset=100").await["rows"], json!([]));
    let counted = rows("count=exact&limit=1").await;
    assert_eq!(counted["row_count"], json!({"value": 3, "kind": "exact"}));
    assert_eq!(counted["changes"], json!({"added": 1, "removed": 0, "changed": 1}));
    let numbers = rows("count=exact&where=id<5").await;
    assert_eq!(numbers["changes"], json!({"added": 0, "removed": 0, "changed": 1}));
    assert_eq!(numbers["versions"], json!([{"snapshot": 2, "added": 0, "removed": 0, "changed": 1}]));
    // From the very beginning, and nothing new.
    let all = shelf.json(&format!("{CHANGES}?from=0&to=1")).await;
    assert!(all["rows"].as_array().unwrap().iter().all(|row| row["_change_type"] == "insert"));
    assert_eq!(all["rows"].as_array().unwrap().len(), 4);
    assert_eq!(rows("to=2&where=false").await["rows"], json!([]));
    assert_eq!(shelf.json(&format!("{CHANGES}?from=2")).await["rows"], json!([]));
    let back = TestSnapshot::new(
        "d",
        vec![
            TestTable::new("t", &[("id", "int64"), ("name", "utf8")])
                .primary_key(&["id"])
                .sort_key(&["id"])
                .keep(&files(&shelf).await),
        ],
    );
    back.publish(&shelf.store).await;
    let same = shelf.get(&format!("{CHANGES}?from=2&to=3")).await;
    assert_eq!(header(&same, "openshelf-scanned-bytes").as_deref(), Some("0"), "shared files are not read");
    assert_eq!(shelf.json(&format!("{CHANGES}?from=2&to=3")).await["rows"], json!([]));
}

#[tokio::test]
async fn wrong_ranges_are_told_what_works() {
    let shelf = small().await;
    for (query, status) in [
        ("", 400),
        ("?from=2&to=1", 400),
        ("?from=1&to=1", 400),
        ("?from=x", 400),
        ("?from=-1", 400),
        ("?from=9", 404),
        ("?from=1&to=9", 404),
        ("?from=1&from=1", 400),
        ("?from=1&order_by=id", 400),
        ("?from=1&snapshot=2", 400),
        ("?from=1&where=nme='one'", 400),
        ("?from=1&select=nme", 400),
        ("?from=1&format=xml", 406),
        ("?form=1", 400),
        ("?from=1&where=1/(id-id)>0", 400),
    ] {
        let (found, body) = shelf.problem(&format!("{CHANGES}{query}")).await;
        assert_eq!(found, status, "{query}: {body}");
        let hint = body["hint"].as_str().unwrap();
        assert_eq!(shelf.get(hint).await.status(), 200, "{query}: {hint}");
    }
    // What is wrong is called by its name.
    for (query, said) in [("?from=x", "`from` is `x`"), ("?from=1&to=x", "`to` is `x`")] {
        let (_, body) = shelf.problem(&format!("{CHANGES}{query}")).await;
        assert!(body["detail"].as_str().unwrap().contains(said), "{body}");
    }
    let (_, body) = shelf.problem(&format!("{CHANGES}?from=1&snapshot=2")).await;
    assert_eq!(body["hint"], format!("{CHANGES}?from=1&to=2"));
}

#[tokio::test]
async fn bytes_read_to_count_are_bytes_of_the_answer() {
    // Each on a server that has read nothing yet.
    let scanned = async |query: &str| -> u64 {
        let response = small().await.get(&format!("{CHANGES}?from=1&limit=1{query}")).await;
        header(&response, "openshelf-scanned-bytes").unwrap().parse().unwrap()
    };
    let plain = scanned("").await;
    let counted = scanned("&count=exact").await;
    assert!(plain > 0 && counted >= plain, "{plain}, {counted}");
}

#[tokio::test]
async fn without_a_primary_key_there_are_files_only() {
    let table = || TestTable::new("t", &[("id", "int64")]);
    let shelf = TestShelf::builder().publish("d", table().file(&[json!({"id": 1})])).serve().await;
    TestSnapshot::new("d", vec![table().file(&[json!({"id": 2})])]).publish(&shelf.store).await;
    let answer = shelf.json(&format!("{CHANGES}?from=1")).await;
    assert_eq!(answer["kind"], "files");
    assert!(answer["detail"].as_str().unwrap().contains("no primary key"));
    let added = answer["added"][0]["url"].as_str().unwrap();
    assert_eq!(shelf.get(added).await.status(), 200);
    assert_eq!(answer["removed"].as_array().unwrap().len(), 1);
    let (status, body) = shelf.problem(&format!("{CHANGES}?from=1&format=csv")).await;
    assert_eq!(status, 406);
    assert_eq!(shelf.get(body["hint"].as_str().unwrap()).await.status(), 200);
}

#[tokio::test]
async fn columns_that_came_went_or_became_another_type_are_no_changes() {
    let old = TestTable::new("t", &[("id", "int64"), ("a", "utf8"), ("b", "int32")]).primary_key(&["id"]);
    let rows: Vec<Value> = (0..10).map(|id| json!({"id": id, "a": "x", "b": id})).collect();
    let shelf = TestShelf::builder().publish("d", old.file(&rows)).serve().await;
    let new =
        TestTable::new("t", &[("id", "int64"), ("b", "int64"), ("c", "utf8")]).primary_key(&["id"]).sort_key(&["id"]);
    let rows: Vec<Value> =
        (0..11).map(|id| json!({"id": id, "b": if id == 3 { 33 } else { id }, "c": "new"})).collect();
    TestSnapshot::new("d", vec![new.file(&rows)]).publish(&shelf.store).await;
    let answer = shelf.json(&format!("{CHANGES}?from=1")).await;
    assert_eq!(
        answer["rows"],
        json!([
            {"id": 3, "b": 3, "c": null, "_change_type": "update_preimage", "_commit_version": 2},
            {"id": 3, "b": 33, "c": "new", "_change_type": "update_postimage", "_commit_version": 2},
            {"id": 10, "b": 10, "c": "new", "_change_type": "insert", "_commit_version": 2},
        ])
    );
    let note = answer["note"].as_str().unwrap();
    assert!(note.contains("`a`, `b`, `c`"), "{note}");
    // Another key: nothing can be paired.
    let other =
        TestTable::new("t", &[("id", "int64"), ("b", "int64")]).primary_key(&["b"]).file(&[json!({"id": 1, "b": 1})]);
    TestSnapshot::new("d", vec![other]).publish(&shelf.store).await;
    let numbers = shelf.json(&format!("{CHANGES}?from=2&count=exact")).await;
    assert_eq!(numbers["changes"], json!({"added": 1, "removed": 11, "changed": 0}));
}

#[tokio::test]
async fn nan_is_nan_and_null_is_null() {
    let shelf = TestShelf::builder().serve().await;
    for nan in [f64::NAN, -f64::NAN] {
        let table = TestTable::new("t", &[("id", "int64"), ("x", "float64")]).primary_key(&["id"]);
        let arrow = table.schema.to_arrow();
        let x = Float64Array::from(vec![Some(nan), None, Some(0.0 * nan.signum()), Some(1.0)]);
        let batch = RecordBatch::try_new(arrow, vec![Arc::new(Int64Array::from(vec![1, 2, 3, 4])), Arc::new(x)]);
        TestSnapshot::new("d", vec![table.batch(batch.unwrap())]).publish(&shelf.store).await;
    }
    assert_eq!(shelf.json(&format!("{CHANGES}?from=1")).await["rows"], json!([]));
}

#[tokio::test]
async fn many_rows_are_sorted_on_disk_and_caps_name_the_files() {
    let random = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut rows: Vec<Value> =
            (0..30_000).map(|id| json!({"id": id, "name": format!("name {}", id % 7)})).collect();
        random.shuffle(&mut rows);
        rows
    };
    let columns = [("id", "int64"), ("name", "utf8")];
    let table = |rows: &[Value]| {
        let mut table = TestTable::new("t", &columns).primary_key(&["id"]);
        for part in rows.chunks(5000) {
            table = table.file(part);
        }
        table
    };
    let shelf = TestShelf::builder().publish("d", table(&random(1))).serve().await;
    let mut rows = random(2);
    rows[17]["name"] = json!("changed");
    TestSnapshot::new("d", vec![table(&rows)]).publish(&shelf.store).await;
    let feed = ndjson(&shelf, &format!("{CHANGES}?from=1&format=ndjson")).await;
    assert_eq!(feed.len(), 2);
    assert_eq!(feed[1]["name"], "changed");
    let strict = TestShelf::builder().store(shelf.store.clone()).settings(|settings| settings.scan.bytes = 10_000);
    let (status, body) = strict.serve().await.problem(&format!("{CHANGES}?from=1")).await;
    assert_eq!(status, 422, "{body}");
    let hint = body["hint"].as_str().unwrap();
    let files = shelf.json(hint).await;
    assert_eq!((files["added"].as_array().unwrap().len(), files["removed"].as_array().unwrap().len()), (6, 6));
}

#[tokio::test]
async fn personal_tables_have_no_changes_for_the_public() {
    let table = || TestTable::new("t", &[("id", "int64")]).primary_key(&["id"]).file(&[json!({"id": 1})]);
    let snapshot = |class| TestSnapshot::new("d", vec![table()]).class(class);
    let shelf = TestShelf::builder()
        .snapshot(snapshot(Redistribution::Personal))
        .snapshot(snapshot(Redistribution::Open))
        .settings(|settings| settings.listen = ([0, 0, 0, 0], 0).into())
        .serve()
        .await;
    assert_eq!(shelf.problem(&format!("{CHANGES}?from=1")).await.0, 451, "what was before is not open");
}
