//! Snapshots whose files are no longer kept: 410 with what they were and the one to ask instead, wherever they are asked for.

use std::path::Path;

use openshelf::store::Store;
use reqwest::Response;
use serde_json::{Value, json};

use crate::shelf::{TestShelf, TestSnapshot, TestTable};

fn table(first: u64) -> TestTable {
    let rows: Vec<Value> = (first..first + 50).map(|id| json!({"id": id, "word": format!("word{id}")})).collect();
    let reject = json!({"source": "s", "position": "line 1", "reason": "r"});
    let mut table = TestTable::new("t", &[("id", "int64"), ("word", "utf8")]).primary_key(&["id"]).file(&rows);
    table.schema.columns[1].search = true;
    table.reject(&[reject])
}

/// Three snapshots; the first one's files are deleted as a collector would, its manifest stays. Nothing was read before.
async fn shelf(folder: &Path) -> (TestShelf, String) {
    let store = Store::open(folder.to_str().unwrap()).unwrap();
    let mut first = Vec::new();
    for number in 1..=3 {
        TestSnapshot::new("d", vec![table(number * 10)]).publish(&store).await;
        if number == 1 {
            first = parquet_below(folder);
        }
    }
    assert_eq!(first.len(), 2, "rows and rejects: {first:?}");
    let name = first.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).next().unwrap();
    for file in &first {
        std::fs::remove_file(file).unwrap();
    }
    (TestShelf::builder().store(Store::open(folder.to_str().unwrap()).unwrap()).serve().await, name)
}

fn parquet_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "parquet") {
                found.push(path);
            }
        }
    }
    found
}

async fn is_gone(shelf: &TestShelf, what: &str, response: Response) -> Value {
    let links: Vec<String> =
        response.headers().get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect();
    let (status, told) = crate::shelf::problem(response).await;
    assert_eq!((status, &told["type"]), (410, &json!("/problems/snapshot-collected")), "{what}: {told}");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("Snapshot 1 of `d`") && detail.contains("current one is 3"), "{detail}");
    let record = links.iter().find(|link| link.contains("describedby")).expect("a link to what it was");
    let record = record.trim_start_matches('<').split('>').next().unwrap();
    assert_eq!(shelf.json(record).await["snapshot"], 1);
    let hint = told["hint"].as_str().unwrap();
    assert!(hint.starts_with("/v1/"), "{hint}");
    told
}

#[tokio::test]
async fn what_is_no_longer_kept_says_so_and_names_the_current_one() {
    let folder = tempfile::tempdir().unwrap();
    let (shelf, name) = shelf(folder.path()).await;
    let table = "/v1/datasets/d/tables/t";
    for (path, hint) in [
        (format!("{table}/rows?snapshot=1&limit=5"), format!("{table}/rows?limit=5")),
        (format!("{table}/rows?snapshot=1&where=word='word12'"), format!("{table}/rows?where=word%3D%27word12%27")),
        (format!("{table}/rows?snapshot=1&order_by=word&format=csv"), format!("{table}/rows?order_by=word&format=csv")),
        (
            format!("{table}/rows?snapshot=1&where=length(word)=1&count=exact"),
            format!("{table}/rows?where=length%28word%29%3D1&count=exact"),
        ),
        (format!("{table}/rejects?snapshot=1"), format!("{table}/rejects")),
        (
            "/v1/sql?query=select+max(word)+from+d.t&snapshots=d=1".into(),
            "/v1/sql?query=select+max%28word%29+from+d.t".into(),
        ),
        (format!("{table}/changes?from=1&to=2"), "/v1/datasets/d/snapshots/3".into()),
    ] {
        let told = is_gone(&shelf, &path, shelf.get(&path).await).await;
        assert_eq!(told["hint"], hint, "{path}");
        assert_eq!(shelf.get(&hint).await.status(), 200, "{hint}");
    }
    for path in [format!("/data/d@1/t/{name}"), "/data?list-type=2&prefix=d@1/".into()] {
        let (status, code, message) = crate::shelf::s3_error(shelf.get(&path).await).await;
        assert_eq!((status, code.as_str()), (410, "NoSuchKey"), "{path}");
        assert!(message.contains("Snapshot 1 of `d`") && message.ends_with("/v1/datasets/d/snapshots/3"), "{message}");
    }
    // What is known from the manifest alone is still told, and the others are read as before.
    let kept = shelf.json(&format!("{table}/files?snapshot=1")).await;
    assert_eq!(kept["files"].as_array().unwrap().len(), 1);
    assert_eq!(shelf.json(&format!("{table}/rows?snapshot=2&limit=1")).await["rows"][0]["id"], 20);
    assert_eq!(shelf.json(&format!("{table}/changes?from=2&count=exact")).await["changes"]["added"], 10);
    // What never was is another matter.
    for number in [0, 4] {
        let (status, told) = shelf.problem(&format!("{table}/rows?snapshot={number}")).await;
        assert_eq!((status, &told["type"]), (404, &json!("/problems/snapshot-not-found")));
    }
}

#[tokio::test]
async fn the_current_snapshot_is_never_called_collected() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    TestSnapshot::new("d", vec![table(1)]).publish(&store).await;
    for file in parquet_below(folder.path()) {
        std::fs::remove_file(file).unwrap();
    }
    let shelf = TestShelf::builder().store(store).serve().await;
    assert_eq!(shelf.get("/v1/datasets/d/tables/t/rows").await.status(), 500);
}

#[tokio::test]
async fn a_file_that_was_read_a_moment_ago_and_is_collected_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    TestSnapshot::new("d", vec![table(1)]).publish(&store).await;
    let files = parquet_below(folder.path());
    TestSnapshot::new("d", vec![table(2)]).publish(&store).await;
    let shelf = TestShelf::builder().store(store).serve().await;
    let listed = shelf.get("/data?list-type=2&prefix=d@1/").await.text().await.unwrap();
    let key = crate::shelf::elements(&listed, "Key").pop().unwrap();
    assert_eq!(shelf.get(&format!("/data/{key}")).await.status(), 200);
    for file in &files {
        std::fs::remove_file(file).unwrap();
    }
    let (status, code, message) = crate::shelf::s3_error(shelf.get(&format!("/data/{key}")).await).await;
    assert_eq!((status, code.as_str()), (410, "NoSuchKey"), "{message}");
}
