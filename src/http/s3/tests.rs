//! What a page of a listing reads, counted.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::{asked::Asked, listing};
use crate::{
    catalog::DataFile,
    config::{DerivedSettings, ExtractSettings, ScanCaps, ServeSettings, SqlSettings},
    http::{params::Params, state::AppState},
    query::engine::Engine,
    store::{Area, Store, tests as stores},
};

fn state(store: Store) -> AppState {
    let scratch = std::env::temp_dir();
    let settings = ServeSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        public_url: None,
        allow_personal: false,
        limits: false,
        trusted_proxies: Vec::new(),
        scan: ScanCaps::default(),
        page_cache: 0,
        sql: SqlSettings::new(scratch.clone()),
        derived: DerivedSettings { patience: Duration::ZERO, ..DerivedSettings::new(scratch.clone()) },
        extracts: ExtractSettings::new(scratch),
    };
    let engine = Engine::new(&settings.sql).unwrap();
    AppState::new(store, settings, engine, || chrono::DateTime::UNIX_EPOCH, true)
}

#[tokio::test]
async fn a_page_of_a_hundred_thousand_objects_reads_what_it_shows() {
    const FILES: u64 = 100_000;
    let (store, reads) = stores::lossy::counted();
    let id = "d".parse().unwrap();
    // In no order of rows, as after many refreshes.
    let names = (0..FILES).map(|n| format!("{:06}.parquet", n * 7919 % FILES));
    let files: Vec<DataFile> = names.map(|name| stores::named(&name)).collect();
    let mut table = stores::table(store.put_segments(Area::Open, &id, &files).await.unwrap());
    table.listed_segments = store.put_listed(Area::Open, &id, &files).await.unwrap();
    let segments = table.listed_segments.len();
    assert!(segments > 50, "{segments}");
    store.publish(&stores::manifest_of("d", vec![table])).await.unwrap();

    let state = state(store);
    for (query, most) in [
        // The manifest and its number beside the segments that a page touches.
        ("list-type=2&prefix=d/t/", 12),
        ("list-type=2&prefix=d/t/&max-keys=1&start-after=d/t/05", 5),
        ("list-type=2&prefix=d/t/0777", 5),
        // Folders are known from the manifest.
        ("list-type=2&prefix=d/&delimiter=/", 3),
        ("list-type=2&prefix=d/t/&delimiter=.parquet&max-keys=1", 5),
    ] {
        let before = reads();
        let Asked::List(asked) = Asked::of(&state, &Params::of_query(query).unwrap()).unwrap() else { panic!() };
        assert_eq!(listing::list(&state, &asked).await.unwrap().status(), 200);
        let read = reads() - before;
        assert!(read <= most, "{query}: {read} objects were read");
    }
}
