//! A dataset of 138 000 hourly parts, republished every hour: what one more hour costs.

use futures::TryStreamExt;

use super::*;
use crate::catalog::{Gap, SourceRecord, snapshot::ColumnBounds};

const HOURS: u64 = 138_000;

fn hash(hour: u64) -> String {
    format!("{hour:064x}")
}

fn address(hour: u64) -> String {
    format!("https://dumps.example.org/pageviews/2010/2010-01/pageviews-20100101-{hour:06}.gz")
}

fn source(hour: u64) -> SourceRecord {
    SourceRecord {
        source: "hourly".into(),
        url: address(hour),
        part: address(hour),
        variables: BTreeMap::from([("hour".into(), "2020-01-01T00:00:00Z".into())]),
        etag: Some("\"5e0bd0a2-2f5c1d3\"".into()),
        last_modified: Some("Wed, 01 Jan 2020 00:50:42 GMT".into()),
        bytes: 50_000_000,
        sha256: hash(hour),
        fetched: chrono::DateTime::UNIX_EPOCH,
    }
}

fn hourly(hour: u64) -> DataFile {
    let bounds = ColumnBounds { min: Some("Aachen".into()), max: Some("Zürich_Hauptbahnhof".into()), nulls: Some(0) };
    DataFile {
        key: format!("d/data/t/{}.parquet", ulid::Ulid::from_parts(hour, u128::from(hour))).to_lowercase(),
        bytes: 40_000_000,
        rows: 5_000_000,
        sha256: hash(hour),
        part: address(hour),
        added_in: hour,
        columns: ["hour", "title"].map(|name| (name.to_owned(), bounds.clone())).into(),
        ..DataFile::default()
    }
}

async fn objects(store: &Store) -> BTreeMap<String, u64> {
    let listed = store.0.objects.list(None).map_ok(|object| (object.location.to_string(), object.size));
    listed.try_collect().await.unwrap()
}

async fn publish(store: &Store, snapshot: u64, files: &[DataFile], sources: &[SourceRecord]) -> Manifest {
    let id = dataset("d");
    let mut manifest = manifest("d", snapshot, "r");
    let before = store.head(&id).await.unwrap();
    let (lists, upstream) =
        before.as_deref().map_or((&[][..], &[][..]), |b| (&b.tables[0].segments[..], &b.source_segments[..]));
    manifest.tables = vec![table(store.put_segments_after(Area::Open, &id, lists, files).await.unwrap())];
    manifest.source_segments = store.put_segments_after(Area::Open, &id, upstream, sources).await.unwrap();
    store.publish(&manifest).await.unwrap();
    manifest
}

#[tokio::test]
async fn one_hour_more_is_one_small_manifest_and_two_segments() {
    let store = Store::in_memory();
    let mut files: Vec<DataFile> = (0..HOURS).map(hourly).collect();
    let mut sources: Vec<SourceRecord> = (0..HOURS).map(source).collect();
    publish(&store, 1, &files, &sources).await;
    let before = objects(&store).await;

    files.push(hourly(HOURS));
    sources.push(source(HOURS));
    let second = publish(&store, 2, &files, &sources).await;
    let mut fresh = objects(&store).await;
    fresh.retain(|key, _| !before.contains_key(key));
    let written: u64 = fresh.values().sum();
    assert!(fresh.len() <= 3 && written < 1_000_000, "{written} bytes: {fresh:?}");
    let manifest = fresh.iter().find(|(key, _)| key.contains("/manifests/")).map(|(_, bytes)| *bytes).unwrap();
    assert!(manifest < 100_000, "{manifest} bytes");

    assert_eq!(second.source_count(), HOURS + 1);
    assert_eq!(store.some_sources(&second, HOURS - 1, 10).await.unwrap(), sources[HOURS as usize - 1..]);
    assert_eq!(second.tables[0].segments.iter().map(|segment| segment.files).sum::<u64>(), HOURS + 1);
}

#[tokio::test]
async fn lists_of_a_dataset_are_read_by_page() {
    let store = Store::in_memory();
    let mut m = personal(manifest("d", 1, "r"));
    let gap = |hour| Gap { source: "hourly".into(), url: address(hour), reason: "404".into() };
    let gaps: Vec<Gap> = (0..5000).map(gap).collect();
    m.gap_segments = store.put_segments(Area::Personal, &dataset("d"), &gaps).await.unwrap();
    assert_eq!(m.gap_count(), 5000);
    assert!(m.gap_segments.len() > 2);
    for (offset, limit) in
        [(0, 10), (0, 5000), (1, 4998), (255, 2), (2049, 1500), (4999, 10), (5000, 10), (u64::MAX, 1)]
    {
        let page = store.some_gaps(&m, offset, limit).await.unwrap();
        let expected: Vec<Gap> = gaps.iter().skip(offset.min(5000) as usize).take(limit).cloned().collect();
        assert_eq!(page, expected, "{offset} {limit}");
    }
    assert!(store.some_sources(&m, 0, 10).await.unwrap().is_empty());
    let sources: Vec<SourceRecord> = (0..5000).map(source).collect();
    m.source_segments = store.put_segments(Area::Personal, &dataset("d"), &sources).await.unwrap();
    assert!(store.sources(&m).await.unwrap() == sources);
    // Each list knows its own kind of record.
    m.source_segments = m.gap_segments.clone();
    let error = contract::again(&store).sources(&m).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(matches!(store.some_sources(&m, 0, 10).await.unwrap_err(), StoreError::Corrupt { .. }));
}
