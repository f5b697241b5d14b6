//! Readers of files, of the bucket and of the Iceberg catalog while snapshots are replaced under them: none sees a file that
//! is missing or cut short, and what one listing or one load names is of one snapshot.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use openshelf::store::Store;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    iceberg::{object, records},
    shelf::{TestShelf, TestSnapshot, TestTable, elements},
};

const SNAPSHOTS: u64 = 500;
const READERS: usize = 16;
const FILES: u64 = 3;

/// Every file is new in every snapshot, and its name begins with the snapshot's number.
fn snapshot(number: u64) -> TestSnapshot {
    let table = TestTable::new("t", &[("id", "int64"), ("version", "int64")]);
    let file = |at: u64| (0..20).map(|row| json!({"id": at * 20 + row, "version": number})).collect::<Vec<Value>>();
    TestSnapshot::new("d", vec![(0..FILES).fold(table, |table, at| table.file(&file(at)))])
}

/// The snapshot that a file's name tells of.
#[track_caller]
fn number(key: &str) -> u64 {
    let name = key.rsplit('/').next().unwrap();
    name.strip_prefix('n').and_then(|name| name.split_once('-')?.0.parse().ok()).unwrap_or_else(|| panic!("{key}"))
}

async fn body(shelf: &TestShelf, path: &str) -> Vec<u8> {
    let response = shelf.get(path).await;
    let (status, length) = (response.status(), response.content_length());
    let body = response.bytes().await.unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    assert!(length.is_none_or(|length| length == body.len() as u64), "{path}: cut short");
    body.into()
}

async fn over_http(shelf: &TestShelf) -> u64 {
    let list = shelf.json("/v1/datasets/d/tables/t/files").await;
    let of = list["snapshot"].as_u64().unwrap();
    let files = list["files"].as_array().unwrap();
    assert_eq!(files.len() as u64, FILES);
    for file in files {
        let url = file["url"].as_str().unwrap();
        assert_eq!(number(url), of, "a list of two snapshots");
        assert_eq!(json!(hex::encode(Sha256::digest(body(shelf, url).await))), file["sha256"], "{url}");
    }
    let rows = shelf.json("/v1/datasets/d/tables/t/rows?limit=100").await;
    for row in rows["rows"].as_array().unwrap() {
        assert_eq!(row["version"], rows["snapshot"], "rows of two snapshots");
    }
    of
}

/// `at`: `d`, or `d@n` for one snapshot.
async fn over_s3(shelf: &TestShelf, at: &str) -> u64 {
    let (mut keys, mut sizes, mut token) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let more = token.map(|token| format!("&continuation-token={token}")).unwrap_or_default();
        let page = body(shelf, &format!("/data?list-type=2&max-keys=2&encoding-type=url&prefix={at}/t/{more}")).await;
        let page = String::from_utf8(page).unwrap();
        keys.extend(elements(&page, "Key"));
        sizes.extend(elements(&page, "Size"));
        token = elements(&page, "NextContinuationToken").pop();
        if token.is_none() {
            break;
        }
    }
    assert_eq!(keys.len() as u64, FILES, "{keys:?}");
    for (key, size) in keys.iter().zip(&sizes) {
        assert_eq!(number(key), number(&keys[0]), "a listing of two snapshots: {keys:?}");
        assert_eq!(body(shelf, &format!("/data/{key}")).await.len().to_string(), *size);
    }
    number(&keys[0])
}

async fn over_iceberg(shelf: &TestShelf) -> u64 {
    let loaded = shelf.json("/iceberg/v1/namespaces/d/tables/t").await;
    let metadata = &loaded["metadata"];
    let current = metadata["current-snapshot-id"].as_u64().unwrap();
    let snapshots = metadata["snapshots"].as_array().unwrap();
    let snapshot = snapshots.iter().find(|snapshot| snapshot["snapshot-id"] == current).unwrap();
    let mut live = 0;
    for manifest in records(&body(shelf, &object(&snapshot["manifest-list"])).await) {
        for entry in records(&body(shelf, &object(&manifest["manifest_path"])).await) {
            let file = &entry["data_file"];
            if entry["status"] == 2 {
                continue;
            }
            live += 1;
            let path = object(&file["file_path"]);
            assert_eq!(number(&path), current, "a load of two snapshots");
            assert_eq!(json!(body(shelf, &path).await.len()), file["file_size_in_bytes"]);
        }
    }
    assert_eq!(live, FILES);
    current
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_readers_while_snapshots_are_replaced_five_hundred_times() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path().to_str().unwrap()).unwrap();
    let writes = open();
    snapshot(1).publish(&writes).await;
    let shelf = Arc::new(TestShelf::builder().store(open()).serve().await);
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::new([const { AtomicUsize::new(0) }; 4]);
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (shelf, done, seen) = (Arc::clone(&shelf), Arc::clone(&done), Arc::clone(&seen));
            tokio::spawn(async move {
                let mut last = 1;
                while !done.load(Ordering::SeqCst) {
                    let kind = reader % 4;
                    let now = match kind {
                        0 => over_http(&shelf).await,
                        1 => over_s3(&shelf, "d").await,
                        2 => over_iceberg(&shelf).await,
                        _ => {
                            let pinned = over_s3(&shelf, &format!("d@{last}")).await;
                            assert_eq!(pinned, last, "another snapshot than the one named");
                            over_http(&shelf).await
                        }
                    };
                    assert!(now >= last, "{now} after {last}: time went back");
                    last = now;
                    seen[kind].fetch_add(1, Ordering::SeqCst);
                }
                last
            })
        })
        .collect();
    for number in 2..=SNAPSHOTS + 1 {
        assert_eq!(snapshot(number).publish(&writes).await, number);
        assert!(readers.iter().all(|reader| !reader.is_finished()), "a reader gave up");
    }
    // All of them come to see the last one.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > SNAPSHOTS / 2);
    }
    assert!(seen.iter().all(|count| count.load(Ordering::SeqCst) >= 20), "{seen:?}");
    assert_eq!(over_iceberg(&shelf).await, SNAPSHOTS + 1);
}
