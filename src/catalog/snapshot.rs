//! A snapshot is an immutable published version of a whole dataset; the manifest is the object that *is* it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DatasetInfo, License, TableSchema};

/// Snapshot number `n` of a dataset. Created once, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// Dataset name.
    pub dataset: String,
    /// Snapshot number, from 1.
    pub snapshot: u64,
    /// The snapshot it was made from.
    pub parent: Option<u64>,
    /// The run that published it: read back to tell a lost reply from a lost race.
    pub run: String,
    /// When it was published.
    pub created: DateTime<Utc>,
    /// Upstream's own name of this version, where it has one.
    pub upstream_version: Option<String>,
    /// sha256 of the definition's text.
    pub definition: String,
    /// Openshelf's version.
    pub software: String,
    /// True when it was made from the sample instead of upstream.
    #[serde(default)]
    pub sample: bool,
    /// If this is a rollback: the snapshot whose contents it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<u64>,
    /// What the dataset says about itself.
    pub info: DatasetInfo,
    /// License of the dataset.
    pub license: License,
    /// Segments of the list of upstream files it was made from ([`SourceRecord`]), in the order of the parts.
    #[serde(default)]
    pub source_segments: Vec<SegmentRef>,
    /// Bytes of those files as fetched.
    #[serde(default)]
    pub source_bytes: u64,
    /// Segments of the list of parts upstream does not have ([`Gap`]).
    #[serde(default)]
    pub gap_segments: Vec<SegmentRef>,
    /// The tables, in the definition's order.
    pub tables: Vec<TableSnapshot>,
}

impl Manifest {
    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&TableSnapshot> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Bytes of all tables' files.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }

    /// Upstream files it was made from.
    pub fn source_count(&self) -> u64 {
        self.source_segments.iter().map(|segment| segment.files).sum()
    }

    /// Parts upstream does not have.
    pub fn gap_count(&self) -> u64 {
        self.gap_segments.iter().map(|segment| segment.files).sum()
    }

    /// The license that holds for a table: its own, else the dataset's.
    pub fn license_of<'a>(&'a self, table: &'a TableSnapshot) -> &'a License {
        table.license.as_ref().unwrap_or(&self.license)
    }
}

/// One upstream file as it was when fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceRecord {
    /// The source's identity inside the definition (its name, or a hash of what it says).
    pub source: String,
    /// The part's address: its identity across snapshots.
    pub url: String,
    /// The part this file belongs to; equal to `url` unless several files form one part.
    pub part: String,
    /// Variables bound for this part (`each`, named captures, `latest`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Upstream's validator.
    pub etag: Option<String>,
    /// Upstream's Last-Modified, verbatim.
    pub last_modified: Option<String>,
    /// Bytes as fetched (compressed).
    pub bytes: u64,
    /// sha256 of the bytes as fetched.
    pub sha256: String,
    /// When it was fetched.
    pub fetched: DateTime<Utc>,
}

/// A part that upstream does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// The source it belongs to.
    pub source: String,
    /// The address that was asked.
    pub url: String,
    /// What upstream answered.
    pub reason: String,
}

/// One table in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableSnapshot {
    /// Table name.
    pub name: String,
    /// What it holds.
    #[serde(default)]
    pub description: String,
    /// Its own license, where it differs from the dataset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<License>,
    /// sha256 of the part of the definition that shapes this table.
    pub definition: String,
    /// The source it is read from ([`SourceRecord::source`]).
    pub source: String,
    /// Columns.
    pub schema: TableSchema,
    /// The highest Iceberg field id that any snapshot of the table had: no other field gets an id again. 0: the highest
    /// one in `schema`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub last_field_id: i32,
    /// Column names whose values are unique together.
    pub primary_key: Vec<String>,
    /// Column names the rows are sorted by (within a part).
    pub sort_key: Vec<String>,
    /// Columns of which no file holds two values: the first of `sort_key`. Empty in manifests older than partitions, as
    /// where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// Published rows.
    pub rows: u64,
    /// Rejected rows, those of `on_duplicate` included.
    pub rejected: u64,
    /// Bytes of the data files.
    pub bytes: u64,
    /// Data files that this snapshot added: the others are its parent's. Absent in manifests older than this, and where an
    /// older snapshot came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_files: Option<u64>,
    /// Segments of the file list, in row order.
    pub segments: Vec<SegmentRef>,
    /// Segments of the list of reject files.
    #[serde(default)]
    pub reject_segments: Vec<SegmentRef>,
    /// Segments of the data files by name ([`ListedFile`]), for whoever asks by name or lists a bucket; empty in manifests
    /// older than this list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listed_segments: Vec<SegmentRef>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form serde asks for")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl TableSnapshot {
    /// Its data files.
    pub fn file_count(&self) -> u64 {
        self.segments.iter().map(|segment| segment.files).sum()
    }

    /// The highest Iceberg field id so far.
    pub fn last_field(&self) -> i32 {
        self.schema.last_field().max(self.last_field_id)
    }
}

/// A piece of a list of files (data, rejects, upstream's, missing ones), shared by a manifest and its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// sha256 of the segment's bytes: its name in the store, used once and never again.
    pub hash: String,
    /// sha256 of what it lists, by which the next snapshot knows it again; absent where `hash` is just that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Files in it.
    pub files: u64,
    /// Rows in those files; 0 where upstream's files are listed.
    pub rows: u64,
    /// In a list by name: the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

/// A data file as a listing of its bucket shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// Full object key inside the store.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// sha256 of the file, hex.
    pub sha256: String,
    /// The snapshot that added it.
    pub added_in: u64,
}

impl ListedFile {
    /// The file's own name: the last segment of its key.
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(&self.key)
    }
}

impl From<&DataFile> for ListedFile {
    fn from(file: &DataFile) -> Self {
        Self { key: file.key.clone(), bytes: file.bytes, sha256: file.sha256.clone(), added_in: file.added_in }
    }
}

/// One immutable Parquet file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// Full object key inside the store.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// sha256 of the file, hex.
    pub sha256: String,
    /// The source part it was made from ([`SourceRecord::part`]).
    pub part: String,
    /// The snapshot that added it.
    pub added_in: u64,
    /// The value of each partition column in all its rows, as the API shows values; null where they are null, or where
    /// there are no rows. Not told by bounds, which cut long text short.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partition: BTreeMap<String, serde_json::Value>,
    /// Where its row groups begin (the first page of each), where it has several: what a file may be cut at for several
    /// readers. Empty in lists older than this, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_groups: Vec<i64>,
    /// Bounds of top-level columns with statistics, by name.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnBounds>,
}

impl DataFile {
    /// The file's own name: the last segment of its key.
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(&self.key)
    }
}

/// Bounds of one column in one file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ColumnBounds {
    /// A lower bound, as the API shows values of this type; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<serde_json::Value>,
    /// An upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<serde_json::Value>,
    /// Nulls, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nulls: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_older_than_partitions_are_read_and_written_as_they_were() {
        let file =
            r#"{"key":"d/data/t/a.parquet","bytes":1,"rows":2,"sha256":"0","part":"p","added_in":3,"columns":{}}"#;
        let read: DataFile = serde_json::from_str(file).expect("a file");
        assert!(read.partition.is_empty() && read.row_groups.is_empty());
        assert_eq!(serde_json::to_string(&read).expect("JSON"), file);
        let table = r#"{"name":"t","description":"","definition":"0","source":"s","schema":[],"primary_key":[],"sort_key":[],"rows":0,"rejected":0,"bytes":0,"segments":[],"reject_segments":[]}"#;
        let read: TableSnapshot = serde_json::from_str(table).expect("a table");
        assert!(read.partition_by.is_empty());
        assert_eq!(serde_json::to_string(&read).expect("JSON"), table);
        let new = DataFile {
            partition: BTreeMap::from([("year".into(), 2001.into())]),
            row_groups: vec![4, 99],
            ..DataFile::default()
        };
        let text = serde_json::to_string(&new).expect("JSON");
        assert!(text.contains(r#""partition":{"year":2001},"row_groups":[4,99]"#), "{text}");
        assert_eq!(serde_json::from_str::<DataFile>(&text).expect("a file"), new);
    }
}
