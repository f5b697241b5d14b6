//! Publishes one file of any bytes as the dataset `file` with the table `t`, for `scripts/bench files`: how fast bytes are
//! served does not depend on what they mean.
//!
//! `cargo run --example file -- STORE FILE`
#![allow(clippy::print_stdout, reason = "a program for the bench")]

use std::{io::Read, path::Path};

use openshelf::{
    catalog::{
        Column, ColumnType, DataFile, DatasetInfo, License, Manifest, Redistribution, TableSchema, TableSnapshot,
    },
    store::{Area, Key, MANIFEST_FORMAT, Store},
};
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (store, path) = arguments.next().zip(arguments.next()).ok_or("file STORE FILE")?;
    let (store, path) = (Store::open(&store)?, Path::new(&path).to_owned());
    let (dataset, table) = ("file".parse()?, "t".parse()?);
    let file = format!("{}.parquet", ulid::Ulid::generate().to_string().to_lowercase());
    let key = Key::Data { area: Area::Open, dataset, table, file };
    let (sha256, bytes) = digest(&path)?;
    store.put_file(&key, &path).await?;
    let dataset = "file".parse()?;
    let files = [DataFile {
        key: key.to_string(),
        bytes,
        rows: 1,
        sha256,
        part: "file".into(),
        added_in: 1,
        ..DataFile::default()
    }];
    let table = TableSnapshot {
        name: "t".into(),
        description: "Bytes.".into(),
        license: None,
        definition: "0".repeat(64),
        source: "bench".into(),
        schema: TableSchema { columns: vec![Column::new("bytes", ColumnType::Binary)] },
        last_field_id: 0,
        added_files: None,
        primary_key: Vec::new(),
        sort_key: Vec::new(),
        partition_by: Vec::new(),
        rows: 1,
        rejected: 0,
        bytes,
        segments: store.put_segments(Area::Open, &dataset, &files).await?,
        reject_segments: Vec::new(),
        listed_segments: store.put_listed(Area::Open, &dataset, &files).await?,
    };
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        dataset: dataset.to_string(),
        snapshot: 1,
        parent: None,
        run: ulid::Ulid::generate().to_string(),
        created: chrono::DateTime::UNIX_EPOCH,
        upstream_version: None,
        definition: "0".repeat(64),
        software: "bench".into(),
        sample: false,
        rollback_to: None,
        info: DatasetInfo {
            title: "One file".into(),
            description: "For the bench.".into(),
            homepage: None,
            contact: None,
            tags: Vec::new(),
            refresh: None,
            citation: None,
            retention: "90d".into(),
        },
        license: License {
            id: "CC0-1.0".into(),
            url: "https://creativecommons.org/publicdomain/zero/1.0/".into(),
            redistribution: Redistribution::Open,
            attribution: None,
        },
        source_segments: Vec::new(),
        source_bytes: 0,
        gap_segments: Vec::new(),
        tables: vec![table],
    };
    store.publish(&manifest).await?;
    println!("{key}: {bytes} bytes");
    Ok(())
}

fn digest(path: &Path) -> Result<(String, u64)> {
    let (mut file, mut hash, mut bytes) = (std::fs::File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hex::encode(hash.finalize()), bytes));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
}
