//! Garbage collection against random histories, kills at every step, and everything at once.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use object_store::{PutOptions, path::Path};

use super::{clock::Storage, *};
use crate::catalog::SourceRecord;

const DAY: i64 = 86_400;

/// What a run uploads, and what it publishes if it comes to that.
async fn run(store: &Store, now: DateTime<Utc>, random: &mut fastrand::Rng, publishes: bool) -> Option<u64> {
    let id = dataset("d");
    let parent = store.head(&id).await.unwrap();
    let number = parent.as_ref().map_or(1, |parent| parent.snapshot + 1);
    let mut files: Vec<DataFile> = match &parent {
        Some(parent) => store.files(parent, &parent.tables[0]).await.unwrap().to_vec(),
        None => Vec::new(),
    };
    files.retain(|_| random.u8(..3) > 0);
    for _ in 0..random.usize(1..4) {
        let name = format!("{}.parquet", random.u64(..));
        let key = Key::Data { area: Area::Open, dataset: id.clone(), table: "t".parse().unwrap(), file: name };
        store.replace(&key.path().unwrap(), key.to_string().into(), "x").await.unwrap();
        files.push(DataFile { key: key.to_string(), ..file(number) });
    }
    let before = parent.as_ref().map_or(&[][..], |parent| &parent.tables[0].segments);
    let mut next = manifest("d", number, &format!("run {}", random.u64(..)));
    next.created = now;
    next.info.retention = "10d".into();
    next.tables = vec![table(store.put_segments_after(Area::Open, &id, before, &files).await.unwrap())];
    let before = parent.as_ref().map_or(&[][..], |parent| &parent.tables[0].listed_segments);
    next.tables[0].listed_segments = store.put_listed_after(Area::Open, &id, before, &files).await.unwrap();
    let source = |n: u64| SourceRecord {
        source: "s".into(),
        url: format!("http://x/{}", n % 3),
        part: "p".into(),
        variables: BTreeMap::new(),
        etag: None,
        last_modified: None,
        bytes: 1,
        sha256: String::new(),
        fetched: DateTime::UNIX_EPOCH,
    };
    let upstream = parent.as_ref().map_or(&[][..], |parent| &parent.source_segments);
    next.source_segments = store.put_segments_after(Area::Open, &id, upstream, &[source(number)]).await.unwrap();
    if !publishes || store.is_passed(&id, number, now).await.unwrap() {
        return None;
    }
    match store.publish(&next).await {
        Ok(()) => Some(number),
        Err(StoreError::Taken { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

async fn roll_back(store: &Store, now: DateTime<Utc>, random: &mut fastrand::Rng) -> bool {
    let id = dataset("d");
    let Some(head) = store.head(&id).await.unwrap() else { return false };
    let to = random.u64(1..=head.snapshot);
    let target = store.manifest(&id, to).await.unwrap().unwrap();
    let (number, run) = (head.snapshot + 1, format!("back {}", random.u64(..)));
    if !store.pin(&id, to, number, &run, now).await.unwrap() {
        return false;
    }
    let next = Manifest { snapshot: number, created: now, run, rollback_to: Some(to), ..(*target).clone() };
    match store.publish(&next).await {
        Ok(()) => true,
        Err(StoreError::Taken { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Every kept snapshot's every file, as it was written; and what all of them need.
async fn whole(storage: &Arc<Storage>) -> BTreeSet<String> {
    let (store, id) = (storage.store(), dataset("d"));
    let head = store.head(&id).await.unwrap().map_or(0, |head| head.snapshot);
    let collected_to = store.boundary(&id).await.unwrap().map_or(0, |(_, boundary)| boundary.collected_to);
    assert!(head == 0 || collected_to + 3 <= head || collected_to == 0, "{collected_to} of {head}");
    let mut needed = BTreeSet::new();
    for number in 1..=head {
        let manifest = store.manifest(&id, number).await.unwrap().expect("numbers have no gaps");
        needed.insert(Key::Manifest { area: Area::Open, dataset: id.clone(), snapshot: number }.to_string());
        assert_eq!(store.sources(&manifest).await.unwrap().len(), 1, "where it came from stays known");
        let mut lists = manifest.source_segments.clone();
        if number > collected_to {
            lists.extend(manifest.tables[0].segments.iter().cloned());
            lists.extend(manifest.tables[0].listed_segments.iter().cloned());
            let listed = store.listed(&manifest, &manifest.tables[0], b"").await.expect("the list by name");
            assert_eq!(listed.files().len() as u64, manifest.tables[0].segments[0].files);
            for file in store.files(&manifest, &manifest.tables[0]).await.unwrap().iter() {
                let read = store.get(&Path::from(file.key.as_str())).await;
                assert_eq!(read.expect("a file of a kept snapshot"), file.key);
                needed.insert(file.key.clone());
            }
        }
        let key = |hash| Key::Segment { area: Area::Open, dataset: id.clone(), hash }.to_string();
        needed.extend(lists.into_iter().map(|list| key(list.hash)));
    }
    needed
}

fn collection(storage: &Storage, dry_run: bool) -> Collection {
    Collection { now: storage.now(), grace: Duration::from_secs(2 * DAY as u64), dry_run }
}

async fn collect(storage: &Arc<Storage>, dry_run: bool) -> std::result::Result<(Collected, Vec<Doomed>), StoreError> {
    let mut gone = Vec::new();
    let run = ulid::Ulid::generate().to_string();
    let collected = storage
        .store()
        .collect(&dataset("d"), &run, collection(storage, dry_run), &mut |doomed| gone.push(doomed.clone()))
        .await?;
    gone.sort_by(|a, b| a.key.cmp(&b.key));
    Ok((collected, gone))
}

/// After any history, and collections killed anywhere in it, the kept snapshots are whole; a last collection, long after,
/// leaves what they need and nothing else.
#[tokio::test]
async fn random_histories_keep_what_is_kept_and_nothing_else() {
    let (mut killed, mut removed, mut refused) = (0, 0, 0);
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let storage = Storage::new(None);
        for _ in 0..40 {
            let (store, now) = (storage.store(), storage.now());
            match random.u8(..10) {
                0..4 => {
                    run(&store, now, &mut random, true).await;
                }
                4 => {
                    run(&store, now, &mut random, false).await;
                }
                5 => refused += usize::from(!roll_back(&store, now, &mut random).await),
                6 => {
                    storage.left.store(random.i64(0..6), Ordering::SeqCst);
                    killed += usize::from(collect(&storage, false).await.is_err());
                    storage.left.store(i64::MAX, Ordering::SeqCst);
                }
                7 => {
                    let (said, would) = collect(&storage, true).await.unwrap();
                    let before = storage.keys().await;
                    let (did, went) = collect(&storage, false).await.unwrap();
                    assert_eq!((said, &would), (did, &went), "what was said is what is done");
                    let gone: BTreeSet<String> = went.into_iter().map(|doomed| doomed.key).collect();
                    let mut after = storage.keys().await;
                    after.retain(|key| !key.contains("/gc/"));
                    let expected: BTreeSet<_> =
                        before.difference(&gone).filter(|key| !key.contains("/gc/")).cloned().collect();
                    assert_eq!(after, expected);
                    removed += gone.len();
                }
                _ => storage.wait(random.i64(0..6 * DAY)),
            }
            whole(&storage).await;
        }
        storage.wait(3 * DAY);
        collect(&storage, false).await.unwrap();
        let needed = whole(&storage).await;
        let mut left = storage.keys().await;
        left.retain(|key| !key.contains("/gc/"));
        assert_eq!(left, needed, "seed {seed}");
        assert!(collect(&storage, false).await.unwrap().1.is_empty());
    }
    assert!(killed > 10 && removed > 100 && refused > 5, "{killed} {removed} {refused}");
}

/// With a grace shorter than a run, a collection takes the list of what the run is about to publish. The run sees it and publishes
/// the snapshot before once more; a collection that comes in between waits for that, and later ones do not miss the list.
#[tokio::test]
async fn a_snapshot_that_was_taken_back_needs_nothing() {
    let (id, mut random) = (dataset("d"), fastrand::Rng::with_seed(3));
    let storage = Storage::new(None);
    let (store, now) = (storage.store(), storage.now());
    for _ in 0..2 {
        run(&store, now, &mut random, true).await.unwrap();
    }
    let lost = store.manifest(&id, 2).await.unwrap().unwrap();
    for segment in &lost.tables[0].segments {
        let key = Key::Segment { area: Area::Open, dataset: id.clone(), hash: segment.hash.clone() };
        object_store::ObjectStoreExt::delete(&*storage.inner, &key.path().unwrap()).await.unwrap();
    }
    let before = store.manifest(&id, 1).await.unwrap().unwrap();
    let again = Manifest {
        snapshot: 3,
        parent: Some(2),
        run: lost.run.clone(),
        created: now,
        rollback_to: Some(1),
        ..(*before).clone()
    };
    let takes_back = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        store.publish(&again).await.unwrap();
    };
    let (waited, ()) = futures::join!(collect(&storage, false), takes_back);
    waited.expect("it begins anew");
    collect(&storage, false).await.expect("the lost list is needed by nobody");
    assert!(!store.files(&again, &again.tables[0]).await.unwrap().is_empty());
    // What is missing for another reason is said, once nobody can be about to mend it.
    for segment in &again.tables[0].segments {
        let key = Key::Segment { area: Area::Open, dataset: id.clone(), hash: segment.hash.clone() };
        object_store::ObjectStoreExt::delete(&*storage.inner, &key.path().unwrap()).await.unwrap();
    }
    storage.wait(DAY);
    assert!(matches!(collect(&storage, false).await, Err(StoreError::NotFound { .. })));
}

/// Killed at each single step; the next one comes to the same end.
#[tokio::test]
async fn killed_at_each_step() {
    let history = || async {
        let storage = Storage::new(None);
        let mut random = fastrand::Rng::with_seed(7);
        for step in 0..8 {
            run(&storage.store(), storage.now(), &mut random, step % 3 > 0).await;
            storage.wait(5 * DAY);
        }
        storage.wait(30 * DAY);
        storage
    };
    let clean = history().await;
    let (_, went) = collect(&clean, false).await.unwrap();
    assert!(went.len() > 8, "{went:?}");
    for step in 0.. {
        let storage = history().await;
        storage.left.store(step, Ordering::SeqCst);
        let ended = collect(&storage, false).await;
        storage.left.store(i64::MAX, Ordering::SeqCst);
        whole(&storage).await;
        if ended.is_ok() {
            assert!(step > 8);
            break;
        }
        collect(&storage, false).await.unwrap();
        let needed = whole(&storage).await;
        let mut left = storage.keys().await;
        left.retain(|key| !key.contains("/gc/"));
        assert_eq!(left.len(), needed.len(), "step {step}");
    }
}

/// Two collections, two ingests and a rollback over the same storage, each going first at random.
#[tokio::test]
async fn all_at_once() {
    let (mut published, mut back, mut gone) = (0, 0, 0);
    for seed in 0..150 {
        let storage = Storage::new(Some(seed));
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..6 {
            run(&storage.store(), storage.now(), &mut random, true).await;
            storage.wait(2 * DAY);
        }
        storage.wait(random.i64(4..14) * DAY);
        let (mut one, mut two, mut three) = (random.fork(), random.fork(), random.fork());
        let (a, b, c) = (storage.store(), storage.store(), storage.store());
        let now = storage.now();
        let ended = tokio::join!(
            collect(&storage, false),
            collect(&storage, false),
            run(&a, now, &mut one, true),
            run(&b, now, &mut two, true),
            roll_back(&c, now, &mut three),
        );
        for collected in [ended.0, ended.1] {
            match collected {
                Ok((_, went)) => gone += went.len(),
                Err(StoreError::Taken { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        published += ended.2.into_iter().chain(ended.3).count();
        back += usize::from(ended.4);
        whole(&storage).await;
    }
    assert!(published > 50 && back > 10 && gone > 500, "{published} {back} {gone}");
}

#[tokio::test]
async fn a_run_that_outlives_the_grace_period_does_not_publish() {
    let storage = Storage::new(None);
    let (store, id) = (storage.store(), dataset("d"));
    let mut random = fastrand::Rng::with_seed(1);
    run(&store, storage.now(), &mut random, true).await;
    let began = storage.now();
    run(&store, began, &mut random, false).await;
    storage.wait(3 * DAY);
    assert!(!store.is_passed(&id, 2, began).await.unwrap());
    let (collected, went) = collect(&storage, false).await.unwrap();
    assert!(!went.is_empty() && collected.tallies.keys().all(|(why, _)| *why == Why::Orphaned), "{collected:?}");
    assert!(store.is_passed(&id, 2, began).await.unwrap());
    assert!(!store.is_passed(&id, 2, storage.now()).await.unwrap(), "one that begins now is none of those");
    // A pin carries on what was decided before it.
    assert!(store.pin(&id, 1, 2, "r", storage.now()).await.unwrap());
    assert!(store.is_passed(&id, 2, began).await.unwrap());
}

#[tokio::test]
async fn what_cannot_be_read_keeps_everything() {
    let storage = Storage::new(None);
    let (store, id) = (storage.store(), dataset("d"));
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..6 {
        run(&store, storage.now(), &mut random, true).await;
        storage.wait(20 * DAY);
    }
    let head = store.head(&id).await.unwrap().unwrap();
    let list = head.tables[0].segments[0].hash.clone();
    store.delete(&Key::Segment { area: Area::Open, dataset: id, hash: list }.path().unwrap()).await.unwrap();
    let before = storage.keys().await;
    assert!(collect(&storage, false).await.unwrap_err().is_not_found());
    assert_eq!(storage.keys().await, before);
}

/// Derived things go with their snapshot; of kept ones, only attempts that nobody finished.
#[tokio::test]
async fn derived_things_go_with_their_snapshot() {
    let storage = Storage::new(None);
    let (store, id) = (storage.store(), dataset("d"));
    let mut random = fastrand::Rng::with_seed(3);
    let local = tempfile::tempdir().unwrap();
    std::fs::write(local.path().join("a"), "a").unwrap();
    for n in 1..=5 {
        run(&store, storage.now(), &mut random, true).await;
        let of = DerivedFrom { area: Area::Open, dataset: id.clone(), snapshot: n, table: "t".parse().unwrap() };
        store.put_derived(&of, "x-1", "{}".into()).await.unwrap();
        store.put_derived_folder(&of, "y-1", "good", local.path()).await.unwrap();
        let stray = Key::DerivedFile { of, thing: "y-1", build: "dead".into(), file: "a".into() };
        store.put_file(&stray, &local.path().join("a")).await.unwrap();
        storage.wait(DAY);
    }
    storage.wait(12 * DAY);
    let (collected, _) = collect(&storage, false).await.unwrap();
    assert_eq!(collected.collected_to, 2, "{collected:?}");
    assert_eq!(collected.tallies[&(Why::Expired, Kind::Derived)].objects, 8);
    assert_eq!(collected.tallies[&(Why::Orphaned, Kind::Derived)].objects, 3);
    let left = storage.keys().await.into_iter().filter(|key| key.contains("/derived/")).count();
    assert_eq!(left, 9, "x-1, y-1 and its file, three times");
}

#[tokio::test]
async fn half_written_files_go_when_they_are_old() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(&folder);
    let place = folder.path().join("d/data/t");
    std::fs::create_dir_all(&place).unwrap();
    for name in ["a.parquet#123", "b.parquet#x", "#5", "c.parquet"] {
        std::fs::write(place.join(name), "12345").unwrap();
    }
    let now = DateTime::<Utc>::from(std::fs::metadata(place.join("c.parquet")).unwrap().modified().unwrap());
    let collection = |seconds, dry_run| Collection {
        now: now + TimeDelta::seconds(seconds),
        grace: Duration::from_secs(DAY as u64),
        dry_run,
    };
    let tally = |collected: Collected| collected.total();
    let some = Tally { objects: 2, bytes: 10 };
    assert_eq!(tally(store.collect_unfinished(collection(0, false), &mut |_| {}).await.unwrap()), Tally::default());
    assert_eq!(tally(store.collect_unfinished(collection(2 * DAY, true), &mut |_| {}).await.unwrap()), some);
    assert_eq!(tally(store.collect_unfinished(collection(2 * DAY, false), &mut |_| {}).await.unwrap()), some);
    let left: BTreeSet<_> = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["b.parquet#x", "c.parquet"].map(Into::into).into());
}

/// A hundred thousand files: what stays is known by eight bytes each.
#[tokio::test]
async fn a_hundred_thousand_files() {
    let storage = Storage::new(None);
    let (store, id) = (storage.store(), dataset("d"));
    let mut all: Vec<DataFile> = Vec::new();
    for snapshot in 1..=5_u64 {
        all.drain(..if snapshot > 1 { 20_000 } else { 0 });
        for n in 0..if snapshot > 1 { 20_000 } else { 100_000 } {
            let key = format!("d/data/t/{snapshot}-{n}.parquet");
            storage.inner.put_opts(&Path::from(key.as_str()), "x".into(), PutOptions::default()).await.unwrap();
            all.push(DataFile { key, ..file(1) });
        }
        let mut next = manifest("d", snapshot, &snapshot.to_string());
        next.created = storage.now();
        next.info.retention = "1d".into();
        next.tables = vec![table(store.put_segments(Area::Open, &id, &all).await.unwrap())];
        store.publish(&next).await.unwrap();
        storage.wait(5 * DAY);
    }
    let began = std::time::Instant::now();
    let (collected, _) = collect(&storage, false).await.unwrap();
    let data = collected.tallies[&(Why::Expired, Kind::Data)];
    assert_eq!((collected.collected_to, data.objects), (2, 40_000));
    let left = storage.keys().await.into_iter().filter(|key| key.ends_with(".parquet")).count();
    assert_eq!(left, 140_000);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
