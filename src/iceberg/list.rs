//! Manifest lists: the manifests of one snapshot.

use bytes::Bytes;
use serde::Serialize;

use super::{
    IcebergError,
    avro::{Binary, container},
    manifest::{Status, Summary, signed},
    partition,
};

/// The list of a snapshot's manifests, each with its address.
///
/// # Errors
/// For what cannot be written: a bug of ours.
pub(super) fn list(snapshot: u64, parent: Option<u64>, manifests: &[(String, Summary)]) -> Result<Bytes, IcebergError> {
    let files = |summary: &Summary, status: Status| {
        signed(summary.files.get(status as usize).copied().unwrap_or_default()).try_into().unwrap_or(i32::MAX)
    };
    let rows =
        |summary: &Summary, status: Status| signed(summary.rows.get(status as usize).copied().unwrap_or_default());
    let records: Vec<ManifestFile<'_>> = manifests
        .iter()
        .map(|(path, summary)| ManifestFile {
            manifest_path: path,
            manifest_length: signed(summary.length),
            partition_spec_id: summary.spec,
            content: 0,
            sequence_number: signed(summary.snapshot),
            min_sequence_number: signed(summary.oldest),
            added_snapshot_id: signed(summary.snapshot),
            added_files_count: files(summary, Status::Added),
            existing_files_count: files(summary, Status::Existing),
            deleted_files_count: files(summary, Status::Deleted),
            added_rows_count: rows(summary, Status::Added),
            existing_rows_count: rows(summary, Status::Existing),
            deleted_rows_count: rows(summary, Status::Deleted),
            partitions: Some(summary.partitions.iter().map(FieldSummary::new).collect()),
        })
        .collect();
    let metadata = [
        ("snapshot-id", snapshot.to_string()),
        ("parent-snapshot-id", parent.map_or_else(|| "null".to_owned(), |parent| parent.to_string())),
        ("sequence-number", snapshot.to_string()),
        ("format-version", "2".to_owned()),
    ];
    container(MANIFEST_FILE, &metadata, &records)
}

#[derive(Serialize)]
struct ManifestFile<'a> {
    manifest_path: &'a str,
    manifest_length: i64,
    partition_spec_id: i32,
    content: i32,
    sequence_number: i64,
    min_sequence_number: i64,
    added_snapshot_id: i64,
    added_files_count: i32,
    existing_files_count: i32,
    deleted_files_count: i32,
    added_rows_count: i64,
    existing_rows_count: i64,
    deleted_rows_count: i64,
    partitions: Option<Vec<FieldSummary>>,
}

/// Of a partition's field.
#[derive(Serialize)]
struct FieldSummary {
    contains_null: bool,
    contains_nan: Option<bool>,
    lower_bound: Option<Binary>,
    upper_bound: Option<Binary>,
}

impl FieldSummary {
    fn new(summary: &partition::FieldSummary) -> Self {
        let (least, greatest) =
            summary.extremes.as_ref().map(|(least, greatest)| (least.bytes(), greatest.bytes())).unzip();
        Self {
            contains_null: summary.contains_null,
            // No column of floats makes partitions.
            contains_nan: Some(false),
            lower_bound: least.map(Binary),
            upper_bound: greatest.map(Binary),
        }
    }
}

/// `manifest_file` of the specification.
const MANIFEST_FILE: &str = r#"{"type":"record","name":"manifest_file","fields":[
{"name":"manifest_path","type":"string","field-id":500},
{"name":"manifest_length","type":"long","field-id":501},
{"name":"partition_spec_id","type":"int","field-id":502},
{"name":"content","type":"int","field-id":517},
{"name":"sequence_number","type":"long","field-id":515},
{"name":"min_sequence_number","type":"long","field-id":516},
{"name":"added_snapshot_id","type":"long","field-id":503},
{"name":"added_files_count","type":"int","field-id":504},
{"name":"existing_files_count","type":"int","field-id":505},
{"name":"deleted_files_count","type":"int","field-id":506},
{"name":"added_rows_count","type":"long","field-id":512},
{"name":"existing_rows_count","type":"long","field-id":513},
{"name":"deleted_rows_count","type":"long","field-id":514},
{"name":"partitions","type":["null",{"type":"array","element-id":508,"items":{"type":"record","name":"r508","fields":[{"name":"contains_null","type":"boolean","field-id":509},{"name":"contains_nan","type":["null","boolean"],"default":null,"field-id":518},{"name":"lower_bound","type":["null","bytes"],"default":null,"field-id":510},{"name":"upper_bound","type":["null","bytes"],"default":null,"field-id":511}]}}],"default":null,"field-id":507}
]}"#;
