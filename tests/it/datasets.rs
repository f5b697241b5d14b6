//! The datasets that are shipped: every definition is free of faults and says what a reader needs, samples stay small.

use std::{
    fs,
    path::{Path, PathBuf},
};

use openshelf::ingest::definition::{self, Loaded};

const LARGEST_SAMPLES: u64 = 1_000_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets")
}

fn all() -> Vec<Loaded> {
    let ids = definition::list(&folder()).expect("the folder of datasets");
    ids.iter().map(|id| definition::load(&folder(), id).unwrap_or_else(|faults| panic!("{faults}"))).collect()
}

#[test]
fn the_shipped_datasets_are_these() {
    let ids: Vec<String> = all().iter().map(|loaded| loaded.id.to_string()).collect();
    let expected = [
        "earthquakes",
        "geonames",
        "gutenberg",
        "imdb",
        "million-song",
        "musicbrainz",
        "us-flights",
        "wikidata-films",
        "wikipedia",
        "wikipedia-pageviews",
        "world-population",
    ];
    assert_eq!(ids, expected);
}

#[test]
fn definitions_say_what_a_reader_needs() {
    let mut silent = Vec::new();
    for Loaded { id, definition, .. } in all() {
        let said = [
            ("description", !definition.description.is_empty()),
            ("homepage", definition.homepage.is_some()),
            ("contact", definition.contact.is_some()),
            ("tags", !definition.tags.is_empty()),
            ("refresh", definition.refresh.is_some()),
            ("citation", definition.citation.is_some()),
            ("license.attribution", definition.license.attribution.is_some()),
        ];
        silent.extend(said.iter().filter(|(_, said)| !said).map(|(key, _)| format!("{id}: {key}")));
        for table in &definition.tables {
            let place = format!("{id}.{}", table.name);
            let said = [
                ("description", !table.description.is_empty()),
                ("primary_key", !table.primary_key.is_empty()),
                ("column", !table.columns.is_empty()),
            ];
            silent.extend(said.iter().filter(|(_, said)| !said).map(|(key, _)| format!("{place}: {key}")));
            for column in table.columns.iter().filter(|column| column.description.is_empty()) {
                silent.push(format!("{place}.{}: description", column.name));
            }
        }
    }
    assert!(silent.is_empty(), "not said:\n{}", silent.join("\n"));
}

#[test]
fn samples_are_there_and_small() {
    let mut bytes = 0;
    for Loaded { id, folder, .. } in all() {
        let files: Vec<_> = fs::read_dir(folder.join("sample"))
            .unwrap_or_else(|error| panic!("{id}: sample/: {error}"))
            .map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file"))
            .collect();
        assert!(!files.is_empty() && files.iter().all(|file| file.is_file() && file.len() > 0), "{id}: sample/");
        bytes += files.iter().map(fs::Metadata::len).sum::<u64>();
    }
    assert!(bytes < LARGEST_SAMPLES, "samples have {bytes} bytes together");
}
