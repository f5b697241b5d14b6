//! The datasets that are shipped: every definition is free of faults and says what a reader needs, samples stay small.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
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

fn guide() -> String {
    fs::read_to_string(folder().join("README.md")).expect("the guide")
}

/// The fenced blocks of the guide in one language.
fn blocks(guide: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let tails = guide.split(&fence).skip(1);
    tails.map(|tail| tail.split("\n```").next().unwrap_or_default().to_owned() + "\n").collect()
}

#[test]
fn the_guide_explains_every_key_of_the_grammar() {
    fn keys(schema: &serde_json::Value, into: &mut Vec<String>) {
        match schema {
            serde_json::Value::Object(object) => {
                if let Some(properties) = object.get("properties").and_then(|properties| properties.as_object()) {
                    into.extend(properties.keys().cloned());
                }
                let constants = object
                    .get("const")
                    .into_iter()
                    .chain(object.get("enum").and_then(|e| e.as_array()).into_iter().flatten());
                into.extend(constants.filter_map(|constant| constant.as_str().map(str::to_owned)));
                object.values().for_each(|value| keys(value, into));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, into)),
            _ => {}
        }
    }
    let (guide, mut words) = (guide(), Vec::new());
    keys(&definition::schema(), &mut words);
    assert!(words.iter().any(|word| word == "redistribution") && words.iter().any(|word| word == "mediawiki-xml"));
    words.retain(|word| !guide.contains(&format!("`{word}`")) && !guide.contains(&format!("`\"{word}\"`")));
    words.sort();
    words.dedup();
    assert!(words.is_empty(), "datasets/README.md does not explain {words:?}");
}

#[test]
fn the_guides_definitions_are_sound() {
    let (guide, beside) = (guide(), tempfile::tempdir().expect("a folder"));
    let scripts = blocks(&guide, "python");
    fs::write(beside.path().join("transform.py"), &scripts[0]).expect("the script");
    let definitions = blocks(&guide, "toml");
    assert_eq!((definitions.len(), scripts.len()), (2, 1));
    for text in definitions {
        definition::parse(&text, "datasets/README.md", beside.path())
            .unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    }
}

/// Runs `openshelf check`; what it printed, and whether it was content.
fn check(id: &str, datasets: &Path) -> (bool, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_openshelf"))
        .args(["check", id, "--datasets"])
        .arg(datasets)
        .output()
        .expect("openshelf starts");
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn samples_give_the_golden_rows() {
    for Loaded { id, .. } in all() {
        let (fine, said) = check(id.as_str(), &folder());
        assert!(fine, "{id}:\n{said}");
    }
}

#[test]
fn the_guides_script_works_as_it_says() {
    let (guide, datasets) = (guide(), tempfile::tempdir().expect("a folder"));
    let gauges = datasets.path().join("gauges");
    for beside in ["sample", "expected"] {
        fs::create_dir_all(gauges.join(beside)).expect("a folder");
    }
    let definition =
        blocks(&guide, "toml").into_iter().find(|text| text.contains("./transform.py")).expect("its definition");
    fs::write(gauges.join("dataset.toml"), definition).expect("the definition");
    let script = gauges.join("transform.py");
    fs::write(&script, &blocks(&guide, "python")[0]).expect("the script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("an executable script");
    let file = fs::File::create(gauges.join("sample/gauges.txt.gz")).expect("the sample");
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    gzip.write_all(blocks(&guide, "text")[0].as_bytes()).and_then(|()| gzip.finish()).expect("the sample");
    fs::write(gauges.join("expected/gauges.ndjson"), &blocks(&guide, "json")[0]).expect("the golden rows");
    let (fine, said) = check("gauges", datasets.path());
    assert!(fine, "{said}");
}

#[test]
fn the_guide_lists_every_dataset() {
    let guide = guide();
    for Loaded { id, .. } in all() {
        assert!(guide.contains(&format!("| [{id}]({id}/dataset.toml) |")), "datasets/README.md does not list {id}");
    }
}
