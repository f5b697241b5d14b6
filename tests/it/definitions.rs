//! Our own definitions are sound, and the schema that editors use is the grammar's.

use std::{fs, path::PathBuf};

use openshelf::ingest::definition;

fn datasets() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("datasets")
}

#[test]
fn every_definition_is_sound_and_says_what_its_columns_mean() {
    let ids = definition::list(&datasets()).expect("the definitions");
    assert!(ids.len() >= 11, "{ids:?}");
    for id in ids {
        let loaded = definition::load(&datasets(), &id).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(!loaded.definition.description.is_empty(), "{id}: no description");
        for table in &loaded.definition.tables {
            for column in &table.columns {
                assert!(!column.description.is_empty(), "{id}.{}.{}: no description", table.name, column.name);
            }
        }
    }
}

#[test]
fn the_schema_for_editors_is_the_grammars() {
    let path = datasets().join("dataset.schema.json");
    let now = format!("{:#}\n", definition::schema());
    if std::env::var_os("OPENSHELF_UPDATE_SCHEMA").is_some() {
        fs::write(&path, &now).expect("the schema is written");
    }
    let written = fs::read_to_string(&path).expect("datasets/dataset.schema.json");
    assert!(written == now, "the grammar has changed: run openshelf schema > datasets/dataset.schema.json");
}
