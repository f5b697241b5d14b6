//! What every storage must do, as functions of a store.

use futures::TryStreamExt;

use super::*;

pub(super) async fn all(mut fresh: impl FnMut() -> Store) {
    snapshots_follow_each_other(&fresh()).await;
    of_racing_publishers_one_wins(&fresh()).await;
    a_new_snapshot_is_seen_at_once(&fresh()).await;
    the_personal_area_is_separate(&fresh()).await;
    a_license_may_change_class(&fresh()).await;
    broken_manifests_are_named(&fresh()).await;
    file_lists_are_shared(&fresh()).await;
    files_are_put_once_and_read_in_ranges(&fresh()).await;
    runs_are_listed_newest_first(&fresh()).await;
    what_is_derived_is_whole_or_not_there(&fresh()).await;
    of_two_that_derive_one_wins(&fresh()).await;
}

fn derived_from(area: Area, snapshot: u64) -> DerivedFrom {
    DerivedFrom { area, dataset: dataset("d"), snapshot, table: "t".parse().unwrap() }
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

async fn what_is_derived_is_whole_or_not_there(store: &Store) {
    let (one, two) = (derived_from(Area::Open, 1), derived_from(Area::Personal, 11));
    assert_eq!(store.derived(&one, "x-1").await.unwrap(), None);
    assert!(store.put_derived(&one, "x-1", "{}".into()).await.unwrap());
    assert!(!store.put_derived(&one, "x-1", "[]".into()).await.unwrap(), "the first stays");
    assert_eq!(store.derived(&one, "x-1").await.unwrap().unwrap(), "{}");

    // Files without the object that lists them are not there, whoever left them.
    let stray = Key::DerivedFile { of: two.clone(), thing: "y-1", build: "dead".into(), file: "a".into() };
    let local = folder(&[("a", b"aa"), ("b", &[7; 300_000]), ("empty", b"")]);
    store.put_file(&stray, &local.path().join("a")).await.unwrap();
    assert_eq!(store.derived_folder(&two, "y-1").await.unwrap(), None);
    let put = store.put_derived_folder(&two, "y-1", "b1", local.path()).await.unwrap();
    assert_eq!(put.bytes(), 300_002);
    assert_eq!(again(store).derived_folder(&two, "y-1").await.unwrap().as_ref(), Some(&put));
    let copy = tempfile::tempdir().unwrap();
    store.get_derived_folder(&two, "y-1", &put, copy.path()).await.unwrap();
    assert_eq!(std::fs::read(copy.path().join("b")).unwrap(), [7; 300_000]);
    assert_eq!(std::fs::read(copy.path().join("empty")).unwrap(), b"");

    // Bytes that changed, names that are paths, files that are gone: said, not used.
    let mut wrong = put.clone();
    wrong.files[1].sha256 = "0".repeat(64);
    let error = store.get_derived_folder(&two, "y-1", &wrong, copy.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    wrong.files[1].name = "../b".into();
    assert!(store.get_derived_folder(&two, "y-1", &wrong, copy.path()).await.is_err());

    let listed = |snapshot| async move { store.list_derived(&dataset("d"), snapshot).await.unwrap().len() };
    assert_eq!((listed(1).await, listed(11).await), (1, 5));
    store.drop_derived(&two, "y-1").await.unwrap();
    assert_eq!(store.derived_folder(&two, "y-1").await.unwrap(), None);
    assert_eq!((listed(1).await, listed(11).await), (1, 0));
    store.put_derived_folder(&two, "y-1", "b2", local.path()).await.unwrap();
    store.drop_derived_of(&dataset("d"), 1).await.unwrap();
    assert_eq!((listed(1).await, listed(11).await), (0, 4));
    store.drop_derived_of(&dataset("d"), 11).await.unwrap();
    store.drop_derived_of(&dataset("d"), 12).await.unwrap();
    assert_eq!(listed(11).await, 0);
}

async fn of_two_that_derive_one_wins(store: &Store) {
    let of = derived_from(Area::Open, 3);
    let folders: Vec<_> = (0..4_u8).map(|n| folder(&[("file", &[n; 10])])).collect();
    let other = again(store);
    let puts = folders.iter().enumerate().map(|(n, local)| {
        let (store, of) = (if n % 2 == 0 { store } else { &other }, of.clone());
        async move { store.put_derived_folder(&of, "y-1", &format!("b{n}"), local.path()).await.unwrap() }
    });
    let results = futures::future::join_all(puts).await;
    assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
    // The losers' files are gone.
    assert_eq!(store.list_derived(&dataset("d"), 3).await.unwrap().len(), 2);
    let copy = tempfile::tempdir().unwrap();
    store.get_derived_folder(&of, "y-1", &results[0], copy.path()).await.unwrap();
}

async fn snapshots_follow_each_other(store: &Store) {
    let id = dataset("d");
    assert!(store.head(&id).await.unwrap().is_none());
    assert!(store.manifest(&id, 1).await.unwrap().is_none());
    assert_eq!(store.snapshots(&id).await.unwrap(), Vec::<u64>::new());
    for wrong in [0, 2, 7] {
        let error = store.publish(&manifest("d", wrong, "a")).await.unwrap_err();
        assert!(matches!(error, StoreError::OutOfOrder { number, last: 0, .. } if number == wrong), "{error}");
    }
    for n in 1..=20 {
        store.publish(&manifest("d", n, &format!("run{n}"))).await.unwrap();
    }
    assert_eq!(store.snapshots(&id).await.unwrap(), (1..=20).collect::<Vec<_>>());
    assert_eq!(store.head(&id).await.unwrap().unwrap().snapshot, 20);
    assert_eq!(*store.manifest(&id, 3).await.unwrap().unwrap(), manifest("d", 3, "run3"));
    assert!(store.manifest(&id, 21).await.unwrap().is_none());
    // Again by the same run: a reply that was lost. By another: taken, also long after.
    store.publish(&manifest("d", 20, "run20")).await.unwrap();
    for n in [3, 20] {
        let error = store.publish(&manifest("d", n, "other")).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Taken { number, by, .. } if *number == n && *by == format!("run{n}")),
            "{error}"
        );
    }
    assert_eq!(store.datasets().await.unwrap(), [id]);
}

async fn of_racing_publishers_one_wins(store: &Store) {
    let id = dataset("race");
    for n in 1..=5 {
        let runs: Vec<String> = (0..8).map(|run| format!("{n}-{run}")).collect();
        let manifests: Vec<Manifest> = runs.iter().map(|run| manifest("race", n, run)).collect();
        let results = futures::future::join_all(manifests.iter().map(|m| store.publish(m))).await;
        let winners: Vec<&String> = runs.iter().zip(&results).filter_map(|(run, r)| r.is_ok().then_some(run)).collect();
        let [winner] = winners[..] else { panic!("{} winners of snapshot {n}", winners.len()) };
        assert_eq!(store.head(&id).await.unwrap().unwrap().run, *winner);
        for error in results.into_iter().filter_map(Result::err) {
            assert!(matches!(&error, StoreError::Taken { by, .. } if by == winner), "{error}");
        }
    }
}

async fn a_new_snapshot_is_seen_at_once(store: &Store) {
    let (id, writer) = (dataset("d"), again(store));
    assert!(store.head(&id).await.unwrap().is_none());
    for n in 1..=60 {
        writer.publish(&manifest("d", n, "w")).await.unwrap();
        // Both a reader that follows each one and one that has missed many.
        if n < 5 || n == 60 {
            assert_eq!(store.head(&id).await.unwrap().unwrap().snapshot, n);
        }
    }
}

async fn the_personal_area_is_separate(store: &Store) {
    store.publish(&manifest("open", 1, "a")).await.unwrap();
    store.publish(&personal(manifest("mine", 1, "b"))).await.unwrap();
    assert_eq!(store.datasets().await.unwrap(), [dataset("mine"), dataset("open")]);
    let key = |area, name| Key::Manifest { area, dataset: dataset(name), snapshot: 1 }.to_string();
    assert!(store.object(&key(Area::Personal, "mine")).await.unwrap().is_some());
    assert!(store.object(&key(Area::Open, "mine")).await.unwrap().is_none());
    assert!(store.object(&key(Area::Personal, "open")).await.unwrap().is_none());
    // A personal table of an open dataset.
    let m = manifest("open", 2, "c");
    let mut t = table(store.put_segments(Area::Personal, &dataset("open"), &[file(1)]).await.unwrap());
    assert!(store.files(&m, &t).await.unwrap_err().is_not_found());
    t.license = Some(personal(m.clone()).license);
    assert_eq!(store.files(&m, &t).await.unwrap().len(), 1);
}

async fn a_license_may_change_class(store: &Store) {
    let id = dataset("d");
    store.publish(&manifest("d", 1, "a")).await.unwrap();
    store.publish(&personal(manifest("d", 2, "b"))).await.unwrap();
    let error = store.publish(&manifest("d", 2, "c")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Taken { by, .. } if by == "b"), "{error}");
    store.publish(&personal(manifest("d", 3, "c"))).await.unwrap();
    for store in [store.clone(), again(store)] {
        assert_eq!(store.head(&id).await.unwrap().unwrap().run, "c");
        assert_eq!(store.snapshots(&id).await.unwrap(), [1, 2, 3]);
        assert_eq!(store.datasets().await.unwrap(), std::slice::from_ref(&id));
    }
}

async fn broken_manifests_are_named(store: &Store) {
    let other = serde_json::to_vec(&manifest("d", 4, "a")).unwrap();
    let newer = serde_json::to_vec(&Manifest { format: 99, ..manifest("newer", 1, "a") }).unwrap();
    let cases: [(&str, &[u8], &str); 4] = [
        ("torn", b"{\"format\":1,\"data", "is no manifest"),
        ("d", &other, "calls itself snapshot 4"),
        ("e", &other, "is a manifest of `d`"),
        ("newer", &newer, "newer Openshelf"),
    ];
    for (name, body, why) in cases {
        let key = Key::Manifest { area: Area::Open, dataset: dataset(name), snapshot: 1 };
        store.replace(&key.path().unwrap(), body.to_vec().into(), "application/json").await.unwrap();
        let error = store.head(&dataset(name)).await.unwrap_err();
        let StoreError::Corrupt { path, why: said } = &error else { panic!("{error}") };
        assert!(*path == key.to_string() && said.contains(why), "{error}");
    }
    // One that cannot even be told whose it is does not let its number go.
    let error = store.publish(&manifest("torn", 1, "x")).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

async fn file_lists_are_shared(store: &Store) {
    let id = dataset("d");
    let m = manifest("d", 1, "a");
    let files: Vec<DataFile> = (0..9000).map(file).collect();
    let first = store.put_segments(Area::Open, &id, &files).await.unwrap();
    assert_eq!(first.iter().map(|s| s.files).sum::<u64>(), 9000);
    assert_eq!(first.iter().map(|s| s.rows).sum::<u64>(), (0..9000).sum::<u64>());
    let mut more = files.clone();
    more.push(file(9000));
    let second = store.put_segments_after(Area::Open, &id, &first, &more).await.unwrap();
    let shared = first.iter().filter(|segment| second.contains(segment)).count();
    assert!(first.len() > 2 && shared + 1 >= first.len(), "{shared} of {}", first.len());
    // Not the parent's: the same list under names of its own, so that a name that was collected never comes back.
    let apart = store.put_segments(Area::Open, &id, &files).await.unwrap();
    assert!(apart.iter().zip(&first).all(|(new, old)| new.hash != old.hash && new.content == old.content));
    for (segments, expected) in [(first, files.clone()), (second, more), (apart, files)] {
        let t = table(segments);
        assert_eq!(*again(store).files(&m, &t).await.unwrap(), expected);
        assert_eq!(*store.files(&m, &t).await.unwrap(), expected);
        assert!(store.reject_files(&m, &t).await.unwrap().is_empty());
    }
    // A segment that is not what its name says.
    let segments = store.put_segments(Area::Open, &id, &[file(1)]).await.unwrap();
    let key = Key::Segment { area: Area::Open, dataset: id.clone(), hash: segments[0].hash.clone() };
    store.replace(&key.path().unwrap(), "{\"files\":[]}".into(), "application/json").await.unwrap();
    let error = again(store).files(&m, &table(segments)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { path, .. } if *path == key.to_string()), "{error}");
}

async fn files_are_put_once_and_read_in_ranges(store: &Store) {
    // More than one part of an upload, not a multiple of anything.
    let bytes: Vec<u8> = (0..40_000_003_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("x.parquet");
    std::fs::write(&local, &bytes).unwrap();
    let table = "t".parse().unwrap();
    let key = Key::Data { area: Area::Open, dataset: dataset("d"), table, file: "x.parquet".into() };
    store.put_file(&key, &local).await.unwrap();
    let error = store.put_file(&key, &local).await.unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    std::fs::remove_file(&local).unwrap();
    let name = key.to_string();
    assert_eq!(store.object(&name).await.unwrap().unwrap().bytes, bytes.len() as u64);
    assert_eq!(store.range(&name, 5..17).await.unwrap(), bytes[5..17]);
    let ranges = [30_000_000..30_000_100, 0..4, 100..200, 150..300, 7..7, 39_999_999..40_000_003];
    let read = store.ranges(&name, &ranges).await.unwrap();
    for (range, read) in ranges.iter().zip(&read) {
        assert_eq!(*read, bytes[range.start as usize..range.end as usize], "{range:?}");
    }
    for range in [0..bytes.len() as u64, 1_000_001..3_000_000, 9..9] {
        let chunks: Vec<bytes::Bytes> = store.stream(&name, range.clone()).await.unwrap().try_collect().await.unwrap();
        assert!(chunks.concat() == bytes[range.start as usize..range.end as usize], "{range:?}");
    }
    // Past the end: an error, never fewer bytes.
    for range in [39_999_999..40_000_004, 50_000_000..50_000_001] {
        store.range(&name, range.clone()).await.unwrap_err();
        store.ranges(&name, &[0..1, range.clone()]).await.unwrap_err();
        let streamed = match store.stream(&name, range).await {
            Ok(stream) => stream.try_collect::<Vec<_>>().await.map(drop),
            Err(error) => Err(error),
        };
        streamed.unwrap_err();
    }
    for missing in ["d/data/t/y.parquet", "d/data/t", "no/such"] {
        assert!(store.object(missing).await.unwrap().is_none(), "{missing}");
        assert!(store.range(missing, 0..1).await.unwrap_err().is_not_found(), "{missing}");
    }
    assert!(store.stream("d/data/t/y.parquet", 0..1).await.err().unwrap().is_not_found());
    assert!(store.object("../d").await.unwrap().is_none());
    assert!(matches!(store.range("../d", 0..1).await.unwrap_err(), StoreError::Unusable { .. }));
    let gone = Key::Data { area: Area::Open, dataset: dataset("d"), table: "t".parse().unwrap(), file: "z".into() };
    assert!(store.put_file(&gone, &local).await.is_err());
    assert!(store.object(&gone.to_string()).await.unwrap().is_none());
}

async fn runs_are_listed_newest_first(store: &Store) {
    let id = dataset("d");
    assert!(store.runs(&id, 10).await.unwrap().is_empty());
    for n in 0..30 {
        let area = if n % 2 == 0 { Area::Open } else { Area::Personal };
        store.put_run(area, &id, &run(&format!("01J{n:023}"))).await.unwrap();
    }
    let bad = Key::Run { area: Area::Open, dataset: id.clone(), run: "01Z".into() };
    store.replace(&bad.path().unwrap(), "{".into(), "application/json").await.unwrap();
    let listed: Vec<String> = store.runs(&id, 5).await.unwrap().into_iter().map(|run| run.run).collect();
    assert_eq!(listed, (26..30).rev().map(|n| format!("01J{n:023}")).collect::<Vec<_>>());
    // A dataset with runs and no snapshot has nothing to show.
    assert!(store.datasets().await.unwrap().is_empty());
}

/// The same storage, with nothing remembered.
pub(super) fn again(store: &Store) -> Store {
    Store::over(store.0.address.clone(), store.0.objects.clone(), store.0.disk.clone())
}
