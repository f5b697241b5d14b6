//! `openshelf gc` as people run it: what it says is what it does, killed at any moment it leaves the kept snapshots whole,
//! and a server reads on meanwhile.

use std::{cell::Cell, collections::BTreeSet, path::Path, time::Duration};

use serde_json::{Value, json};

use openshelf::store::{Collection, Store};

use crate::{
    iceberg::{object, records},
    origin::{Behavior, Origin},
    shelf::{TestShelf, TestSnapshot, TestTable, now},
    shop::{Server, Shop},
};

const ROWS: usize = 500;
const PARTS: usize = 4;

fn body(part: usize, version: usize) -> Vec<u8> {
    let mut text = String::from("id,part,version,title\n");
    for row in 0..ROWS {
        text.push_str(&format!("{},{part},{version},title {row}\n", part * ROWS + row));
    }
    text.into_bytes()
}

/// One part is new in each version, the others stay.
fn put(origin: &Origin, version: usize) {
    for part in 0..PARTS {
        let last = (0..=version).rev().find(|version| version % PARTS == part).unwrap_or(0);
        origin.put(&format!("/{part}.csv"), body(part, last));
    }
}

fn define(origin: &Origin, shop: &Shop, retention: &str) {
    shop.define(
        "f",
        &format!(
            "retention = \"{retention}\"\n[[table]]\nname = \"t\"\nsource = {{ url = \"{}\", each = {{ part = {{ from = 0, to = {} }} }} }}\nformat = {{ type = \"csv\" }}\nprimary_key = [\"id\"]\ncolumn = [{{ name = \"id\", type = \"int64\" }}, {{ name = \"part\", type = \"int32\" }}, {{ name = \"version\", type = \"int32\" }}, {{ name = \"title\", search = true }}]\n",
            origin.url("/{part}.csv"),
            PARTS - 1
        ),
    );
}

/// The rows of a snapshot are those of its version.
#[track_caller]
fn holds(server: &Server, snapshot: usize) {
    holds_version(server, snapshot, snapshot - 1);
}

/// The rows of a snapshot are those of that version.
#[track_caller]
fn holds_version(server: &Server, snapshot: usize, version: usize) {
    let rows = server.slice("f", "t", &format!("&snapshot={snapshot}"));
    assert_eq!(rows.len(), PARTS * ROWS, "snapshot {snapshot}");
    for row in rows {
        let part = row["part"].as_u64().unwrap() as usize;
        let last = (0..=version).rev().find(|version| version % PARTS == part).unwrap_or(0);
        assert_eq!(row["version"], last, "snapshot {snapshot}, part {part}");
    }
}

fn below(folder: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        match entry.path().is_dir() {
            true => all.extend(below(&entry.path())),
            false => drop(all.insert(entry.path().to_string_lossy().into_owned())),
        }
    }
    all
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn published(versions: usize, retention: &str) -> (Origin, Shop) {
    let (origin, shop) = (Origin::start(), Shop::new());
    define(&origin, &shop, retention);
    for version in 0..versions {
        put(&origin, version);
        shop.ingest("f").published_whole();
    }
    (origin, shop)
}

#[test]
fn what_it_says_is_what_it_does() {
    let (_origin, shop) = published(7, "0s");
    let server = shop.serve();
    // Seen before they go: what a server remembers of them.
    for snapshot in 1..=7 {
        holds(&server, snapshot);
    }
    for n in [1, 2] {
        shop.beside("../store/f/data/t", &format!("{n}.parquet#12{n}"), "half");
    }
    shop.beside("../store/f/data/t", "01jorphan.parquet", "left by a killed run");
    let nothing = shop.run(&["gc"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(0), "nothing to remove\n"), "all of it is too new");

    let before = below(&shop.path("store"));
    let said = shop.run(&["gc", "--grace", "0s", "--dry-run"]);
    assert_eq!(said.code, Some(0), "{said}");
    for word in [
        "f: snapshots 1 to 4 would be collected, replaced more than 0s ago; snapshots 5 to 7 are kept",
        "no longer kept: 4 data files",
        "left by what did not come to its end: 1 data file (20 B)",
        "2 half-written files (8 B)",
        "nothing was (--dry-run)",
    ] {
        assert!(said.stdout.contains(word), "`{word}` is missing from: {said}");
    }
    let would = shop.run(&["gc", "--grace", "0s", "--dry-run", "--list", "--json"]);
    assert_eq!(below(&shop.path("store")), before, "a dry run removes nothing and writes nothing");
    let did = shop.run(&["gc", "--grace", "0s", "--list", "--json"]);
    assert_eq!(did.code, Some(0), "{did}");
    let (would, did) = (lines(&would.stdout), lines(&did.stdout));
    let keys = |lines: &[Value]| -> BTreeSet<String> {
        lines.iter().filter_map(|line| Some(line["key"].as_str()?.to_owned())).collect()
    };
    assert_eq!(keys(&would), keys(&did));
    let root = shop.path("store");
    let gone: BTreeSet<String> = before
        .difference(&below(&root))
        .map(|path| path.chars().skip(root.to_string_lossy().len() + 1).collect())
        .collect();
    assert_eq!(gone, keys(&did));
    let about = did.iter().find(|line| line["dataset"] == "f").unwrap();
    assert_eq!((&about["collected_to"], &about["snapshot"], &about["dry_run"]), (&json!(4), &json!(7), &json!(false)));
    assert_eq!(about["newly_collected"], json!([1, 2, 3, 4]));
    let count = |why: &str, kind: &str| {
        let removed = about["removed"].as_array().unwrap();
        removed
            .iter()
            .find(|part| part["why"] == why && part["kind"] == kind)
            .map_or(0, |part| part["objects"].as_u64().unwrap())
    };
    assert_eq!((count("expired", "data"), count("orphaned", "data")), (4, 1), "{about}");

    for (server, what) in [(&server, "one that knew them"), (&shop.serve(), "a new one")] {
        for snapshot in 5..=7 {
            holds(server, snapshot);
        }
        for snapshot in 1..=4 {
            let answer =
                server.get(&format!("/v1/datasets/f/tables/t/rows?snapshot={snapshot}&where=version<9&format=csv"));
            // One that has all of it in memory still answers, and right.
            match (answer.status, what) {
                (410, _) => {}
                (200, "one that knew them") => holds(server, snapshot),
                (status, _) => panic!("snapshot {snapshot}, {what}: {status}"),
            }
            let record = server.json(&format!("/v1/datasets/f/snapshots/{snapshot}"));
            assert_eq!(record["source_count"], PARTS, "{record}");
            assert_eq!(record["sources"].as_array().unwrap().len(), PARTS, "where it came from stays known");
        }
    }
    let listed = shop.run(&["snapshots", "f"]);
    assert_eq!(listed.stdout.matches("(no longer kept)").count(), 4, "{listed}");
    shop.run(&["rollback", "f", "4"]).refused(&["snapshot 4", "no longer kept"]);
    assert_eq!(shop.run(&["rollback", "f", "5"]).code, Some(0));
    let ran = shop.ingest("f");
    assert_eq!(ran.code, Some(0), "on top of what was gone back to: {ran}");
    assert_eq!(shop.run(&["gc", "--grace", "0s"]).code, Some(0));
    assert_eq!(server.rows("f", "t").len(), PARTS * ROWS);
    shop.run(&["gc", "nowhere"]).refused(&[]);
}

#[test]
fn a_retention_keeps_what_it_says() {
    let (_origin, shop) = published(5, "90d");
    let kept = shop.run(&["gc", "--grace", "0s"]);
    assert_eq!((kept.code, kept.stdout.as_str()), (Some(0), "nothing to remove\n"), "{kept}");
    let server = shop.serve();
    for snapshot in 1..=5 {
        holds(&server, snapshot);
    }
    shop.run(&["gc", "--grace", "soon"]).refused(&["2d"]);
}

#[test]
fn killed_at_many_moments_while_a_server_reads() {
    let (origin, shop) = published(4, "0s");
    let server = shop.serve();
    let mut killed = 0;
    for round in 0..12 {
        let version = 4 + round;
        put(&origin, version);
        shop.ingest("f").published_whole();
        let collects = shop.start(&["gc", "--grace", "0s"]);
        std::thread::sleep(Duration::from_millis(5 + 4 * round as u64));
        killed += usize::from(collects.kill());
        for snapshot in version - 1..=version + 1 {
            holds(&server, snapshot);
        }
    }
    assert!(killed > 0, "none was killed at work");
    let last = shop.run(&["gc", "--grace", "0s"]);
    assert_eq!(last.code, Some(0), "{last}");
    for snapshot in 14..=16 {
        holds(&server, snapshot);
    }
    // Three snapshots of four parts, each of which has one that the one before does not.
    let files = below(&shop.path("store/f/data")).len();
    assert_eq!(files, PARTS + 2, "nothing else is left");
}

#[test]
fn beside_ingests_and_another_collection() {
    let (origin, shop) = published(4, "0s");
    let server = shop.serve();
    let outlived = Cell::new(0);
    // Snapshots with their versions: an ingest that finds its own snapshot wanting publishes the one before once more.
    let mut published: Vec<(usize, usize)> = (0..4).map(|version| (version + 1, version)).collect();
    // Until an ingest has met a collection, which a busy machine may make rare.
    for round in (0..30).take_while(|round| *round < 6 || outlived.get() == 0) {
        let version = 4 + round;
        put(&origin, version);
        let before = server.snapshot("f") as usize;
        // Slow enough to be at work while the others are.
        for part in 0..PARTS {
            let last = (0..=version).rev().find(|version| version % PARTS == part).unwrap_or(0);
            let bytes = body(part, last);
            let pieces = bytes.len() / 4;
            origin.put_with(&format!("/{part}.csv"), Behavior::file(bytes).drip(pieces, Duration::from_millis(10)));
        }
        let ingest = shop.start(&["ingest", "f", "--json"]);
        let mut collections = 0;
        let ran = loop {
            let two: Vec<_> = (0..2).map(|_| shop.start(&["gc", "--grace", "0s"])).collect();
            for collection in two {
                let ended = collection.wait();
                assert_eq!(ended.code, Some(0), "{ended}");
                collections += 1;
            }
            if server.snapshot("f") as usize > before || collections >= 8 {
                break ingest.wait();
            }
        };
        // With no grace at all what it writes may be taken for left behind. Then it says so and publishes nothing.
        if ran.code != Some(0) {
            ran.failed(5, "internal", &[]);
            outlived.set(outlived.get() + 1);
            shop.ingest("f").published_whole();
        }
        let head = server.snapshot("f") as usize;
        published.push((head, version));
        for (snapshot, version) in published.iter().filter(|(snapshot, _)| snapshot + 3 > head) {
            holds_version(&server, *snapshot, *version);
        }
    }
    assert!(outlived.get() > 0, "no ingest met a collection");
    assert_eq!(server.get("/v1/datasets/f/tables/t/rows?snapshot=1").status, 410);
}

/// Every snapshot that Iceberg's metadata names is read to its files, before a collection and after.
#[tokio::test]
async fn iceberg_begins_with_the_oldest_snapshot_that_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path().to_str().unwrap()).unwrap();
    let shelf = TestShelf::builder().store(open()).serve().await;
    for number in 1..=6 {
        let table = TestTable::new("t", &[("id", "int64")]).file(&[json!({"id": number})]);
        let created = now() + chrono::Duration::days(number);
        TestSnapshot::new("d", vec![table]).at(created).publish(&shelf.store).await;
    }
    let read = async |oldest: u64| {
        let loaded = shelf.json("/iceberg/v1/namespaces/d/tables/t").await;
        let snapshots = loaded["metadata"]["snapshots"].as_array().unwrap().clone();
        assert_eq!((snapshots.len() as u64, &snapshots[0]["snapshot-id"]), (7 - oldest, &json!(oldest)));
        for snapshot in snapshots {
            let mut live = 0;
            let list = shelf.get(&object(&snapshot["manifest-list"])).await;
            assert_eq!(list.status(), 200, "{snapshot}");
            for manifest in records(&list.bytes().await.unwrap()) {
                let manifest = shelf.get(&object(&manifest["manifest_path"])).await;
                assert_eq!(manifest.status(), 200, "{snapshot}");
                for entry in records(&manifest.bytes().await.unwrap()).iter().filter(|entry| entry["status"] != 2) {
                    live += 1;
                    assert_eq!(shelf.get(&object(&entry["data_file"]["file_path"])).await.status(), 200, "{snapshot}");
                }
            }
            assert_eq!(live, 1, "{snapshot}");
        }
    };
    read(1).await;
    let later = now() + chrono::Duration::days(1000);
    let collection = Collection { now: later, grace: Duration::ZERO, dry_run: false };
    let id = "d".parse().unwrap();
    let collected = open().collect(&id, "run", collection, &mut |_| {}).await.unwrap();
    assert_eq!((collected.collected_to, collected.head), (3, 6));
    read(4).await;
}

#[test]
fn exported_metadata_of_collected_snapshots_goes_with_them() {
    let (origin, shop) = (Origin::start(), Shop::new());
    define(&origin, &shop, "0s");
    for version in 0..7 {
        put(&origin, version);
        shop.ingest("f").published_whole();
        assert_eq!(shop.run(&["export-iceberg"]).code, Some(0));
    }
    let folder = shop.path("store/f/iceberg/t/metadata");
    let names = || -> BTreeSet<String> {
        below(&folder).iter().filter_map(|path| Some(path.rsplit('/').next()?.to_owned())).collect()
    };
    let before = names();
    let said = shop.run(&["gc", "--grace", "0s", "--dry-run"]);
    assert!(said.stdout.contains("files of exported metadata"), "{said}");
    assert_eq!(names(), before);
    assert_eq!(shop.run(&["gc", "--grace", "0s"]).code, Some(0));
    let left = names();
    for snapshot in 1..=7 {
        let kept = snapshot > 4;
        for name in [format!("v{snapshot}.metadata.json"), format!("snap-{snapshot:05}.avro")] {
            assert!(before.contains(&name), "{before:?}");
            assert_eq!(left.contains(&name), kept, "{name}: {left:?}");
        }
    }
    assert!(left.contains("version-hint.text"));
    // What the next export writes is whole: nothing it names is missing, and nothing else is left but what older ones name.
    assert_eq!(shop.run(&["export-iceberg"]).code, Some(0));
    let metadata: Value = serde_json::from_slice(&std::fs::read(folder.join("v7.metadata.json")).unwrap()).unwrap();
    let name = |address: &Value| address.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let numbers: Vec<_> = metadata["snapshots"].as_array().unwrap().iter().map(|one| &one["snapshot-id"]).collect();
    assert_eq!(numbers, [5, 6, 7]);
    let mut reached = BTreeSet::new();
    let rendered = folder.join(env!("CARGO_PKG_VERSION"));
    for snapshot in metadata["snapshots"].as_array().unwrap() {
        let list = name(&snapshot["manifest-list"]);
        for manifest in records(&std::fs::read(rendered.join(&list)).unwrap()) {
            let manifest = name(&manifest["manifest_path"]);
            for entry in records(&std::fs::read(rendered.join(&manifest)).unwrap()) {
                let file = entry["data_file"]["file_path"].as_str().unwrap().trim_start_matches("file://");
                assert!(entry["status"] == 2 || Path::new(file).exists(), "{manifest} names {file}");
            }
            reached.insert(manifest);
        }
        reached.insert(list);
    }
    let of = |kind: &str, names: &BTreeSet<String>| names.iter().filter(|name| name.starts_with(kind)).count();
    assert_eq!((of("kept-", &reached), of("added-", &reached)), (1, 2), "{reached:?}");
    assert_eq!(shop.run(&["gc", "--grace", "0s"]).stdout, "nothing to remove\n");

    // The files that the oldest one kept go once no snapshot names their list.
    put(&origin, 7);
    shop.ingest("f").published_whole();
    assert_eq!(of("kept-00005-", &names()), 1);
    assert_eq!(shop.run(&["gc", "--grace", "0s"]).code, Some(0));
    assert_eq!(of("kept-00005-", &names()), 0);
}
