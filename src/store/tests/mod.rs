//! The contract of a store, held against memory, local disk, and storage that loses replies.

#![allow(clippy::unwrap_used)]

mod clock;
mod collect;
mod contract;
mod crash;
mod large;
mod listed;
pub(crate) mod lossy;

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::catalog::{DataFile, DatasetInfo, License, Outcome, Redistribution, RunRecord, TableSchema, TableSnapshot};

fn dataset(name: &str) -> DatasetId {
    name.parse().unwrap()
}

fn manifest(name: &str, snapshot: u64, run: &str) -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT,
        dataset: name.into(),
        snapshot,
        parent: snapshot.checked_sub(1),
        run: run.into(),
        created: chrono::DateTime::UNIX_EPOCH,
        upstream_version: None,
        definition: String::new(),
        software: "0".into(),
        sample: false,
        rollback_to: None,
        info: DatasetInfo {
            title: name.into(),
            description: String::new(),
            homepage: None,
            contact: None,
            tags: Vec::new(),
            refresh: None,
            citation: None,
            retention: "90d".into(),
        },
        license: License {
            id: "CC0-1.0".into(),
            url: String::new(),
            redistribution: Redistribution::Open,
            attribution: None,
        },
        source_segments: Vec::new(),
        source_bytes: 0,
        gap_segments: Vec::new(),
        tables: Vec::new(),
    }
}

fn personal(mut manifest: Manifest) -> Manifest {
    manifest.license.redistribution = Redistribution::Personal;
    manifest
}

fn file(n: u64) -> DataFile {
    use sha2::Digest;
    DataFile {
        key: format!("d/data/t/{n}.parquet"),
        bytes: 10,
        rows: n,
        sha256: hex::encode(sha2::Sha256::digest(n.to_le_bytes())),
        part: "p".into(),
        added_in: 1,
        ..DataFile::default()
    }
}

/// A data file of that name in a table `t` of `d`.
pub(crate) fn named(name: &str) -> DataFile {
    DataFile { key: format!("d/data/t/{name}"), ..file(0) }
}

/// The first manifest of a dataset.
pub(crate) fn manifest_of(name: &str, tables: Vec<TableSnapshot>) -> Manifest {
    Manifest { tables, ..manifest(name, 1, "r") }
}

pub(crate) fn table(segments: Vec<crate::catalog::SegmentRef>) -> TableSnapshot {
    TableSnapshot {
        name: "t".into(),
        description: String::new(),
        license: None,
        definition: String::new(),
        source: String::new(),
        schema: TableSchema::default(),
        last_field_id: 0,
        primary_key: Vec::new(),
        sort_key: Vec::new(),
        partition_by: Vec::new(),
        rows: 0,
        rejected: 0,
        bytes: 0,
        added_files: None,
        segments,
        reject_segments: Vec::new(),
        listed_segments: Vec::new(),
    }
}

fn run(id: &str) -> RunRecord {
    RunRecord {
        run: id.into(),
        started: chrono::DateTime::UNIX_EPOCH,
        ended: chrono::DateTime::UNIX_EPOCH,
        outcome: Outcome::Unchanged,
        blame: None,
        message: String::new(),
        snapshot: None,
        sample: false,
        tables: Vec::new(),
        script_output: Vec::new(),
        fetched_bytes: 0,
        software: String::new(),
    }
}

fn on_disk(folder: &tempfile::TempDir) -> Store {
    Store::open(folder.path().to_str().unwrap()).unwrap()
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::all(Store::in_memory).await;
}

#[tokio::test]
async fn disk_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let mut n = 0;
    contract::all(|| {
        n += 1;
        Store::open(&format!("{}/deep/er {n}", folder.path().display())).unwrap()
    })
    .await;
}

/// Against a real S3: `OPENSHELF_TEST_S3=s3://bucket/prefix` and the usual AWS variables.
#[tokio::test]
async fn s3_keeps_the_contract_where_there_is_one() {
    let Ok(base) = std::env::var("OPENSHELF_TEST_S3") else { return };
    contract::all(|| Store::open(&format!("{base}/{}", ulid::Ulid::generate())).unwrap()).await;
}

#[test]
fn addresses_say_what_is_wrong_with_them() {
    for (address, word) in [
        ("", "memory:"),
        ("gs://bucket", "s3://bucket/prefix"),
        ("s3:///x", "names no bucket"),
        ("file:store", "file:///absolute/path"),
        ("/proc/self/cmdline/store", "is a file where the store needs a folder"),
        ("/proc/openshelf-store", "cannot create this folder"),
    ] {
        let error = Store::open(address).expect_err(address).to_string();
        assert!(error.contains(word), "{address}: {error}");
    }
    assert_eq!(Store::open("memory:").unwrap().to_string(), "memory:");
    let folder = tempfile::tempdir().unwrap();
    let url = url::Url::from_directory_path(folder.path().join("a b")).unwrap();
    Store::open(url.as_str()).unwrap();
    assert!(folder.path().join("a b").is_dir());
}
