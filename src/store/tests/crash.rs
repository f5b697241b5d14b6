//! Writers killed on the way, on a disk.

use std::process::{Command, Stdio};

use super::*;

/// Set in the child process: the folder to publish into until it is killed.
const VICTIM: &str = "OPENSHELF_TEST_CRASH_FOLDER";

#[tokio::test]
async fn what_a_killed_writer_leaves_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(&folder);
    let id = dataset("d");
    store.publish(&manifest("d", 1, "a")).await.unwrap();
    let manifests = folder.path().join("d/manifests");
    std::fs::write(manifests.join("00000000000000000002.json#1234567"), "{\"form").unwrap();
    std::fs::write(manifests.join("note.txt"), "not ours").unwrap();
    std::fs::create_dir_all(folder.path().join("d/runs")).unwrap();
    std::fs::write(folder.path().join("d/runs/01J.json#99"), "{").unwrap();
    assert_eq!(store.snapshots(&id).await.unwrap(), [1]);
    assert_eq!(store.head(&id).await.unwrap().unwrap().snapshot, 1);
    assert!(store.runs(&id, 9).await.unwrap().is_empty());
    store.publish(&manifest("d", 2, "b")).await.unwrap();
    assert_eq!(on_disk(&folder).head(&id).await.unwrap().unwrap().snapshot, 2);
}

/// Not a test of its own: what the killed process below does.
#[tokio::test]
async fn victim() {
    let Ok(folder) = std::env::var(VICTIM) else { return };
    let store = Store::open(&folder).unwrap();
    let local = std::path::Path::new(&folder).with_extension("local");
    for n in 0.. {
        std::fs::write(&local, vec![7; 100_000]).unwrap();
        let file = format!("{}.parquet", ulid::Ulid::generate());
        let key = Key::Data { area: Area::Open, dataset: dataset("d"), table: "t".parse().unwrap(), file };
        store.put_file(&key, &local).await.unwrap();
        std::fs::remove_file(&local).unwrap();
        let data = DataFile { key: key.to_string(), bytes: 100_000, ..super::file(n) };
        let segments = store.put_segments(Area::Open, &dataset("d"), &[data]).await.unwrap();
        let next = store.head(&dataset("d")).await.unwrap().map_or(1, |head| head.snapshot + 1);
        let mut next = manifest("d", next, &ulid::Ulid::generate().to_string());
        next.tables.push(table(segments));
        store.publish(&next).await.unwrap();
    }
}

#[tokio::test]
async fn killed_at_any_moment_every_snapshot_is_whole() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let id = dataset("d");
    let mut last = 0;
    for round in 0..6_u64 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::crash::victim", "--test-threads=1"])
            .env(VICTIM, &folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Let it get to work, then kill it at an odd moment of it.
        let began = std::time::Instant::now();
        loop {
            let reader = Store::open(folder.to_str().unwrap()).unwrap();
            let head = reader.head(&id).await.unwrap().map_or(0, |head| head.snapshot);
            if head >= last + 2 {
                break;
            }
            assert!(began.elapsed().as_secs() < 60 && victim.try_wait().unwrap().is_none(), "the writer does nothing");
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
        tokio::time::sleep(std::time::Duration::from_micros(round * 700)).await;
        victim.kill().unwrap();
        victim.wait().unwrap();
        let store = Store::open(folder.to_str().unwrap()).unwrap();
        let numbers = store.snapshots(&id).await.unwrap();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "no gaps");
        for n in numbers {
            let m = store.manifest(&id, n).await.unwrap().unwrap();
            for file in store.files(&m, &m.tables[0]).await.unwrap().iter() {
                assert_eq!(store.object(&file.key).await.unwrap().unwrap().bytes, file.bytes);
            }
            last = n;
        }
    }
}
