//! Manifests: the files of one segment of a file list, each with its status, counts and bounds.

use bytes::Bytes;
use serde::Serialize;

use super::{
    IcebergError,
    avro::{Binary, container},
    bounds::{Side, single_value},
    partition::{FieldSummary, Spec, Values},
    place::Place,
    schema,
    version::Version,
};
use crate::catalog::DataFile;

/// What a snapshot did with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Existing = 0,
    Added = 1,
    Deleted = 2,
}

/// A manifest, and what the list of manifests says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) bytes: Bytes,
    pub(super) summary: Summary,
}

/// What the list of manifests says of a manifest, beside its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) length: u64,
    /// The snapshot it belongs to, and its sequence number.
    pub(super) snapshot: u64,
    /// The least sequence number of a file in it.
    pub(super) oldest: u64,
    /// Files and rows by status, as [`Status`] counts.
    pub(super) files: [u64; 3],
    pub(super) rows: [u64; 3],
    /// The partition spec of its files, and what there is in each of its fields.
    pub(super) spec: i32,
    pub(super) partitions: Vec<FieldSummary>,
}

impl Summary {
    /// Files in it.
    pub(super) fn count(&self) -> u64 {
        self.files.iter().sum()
    }
}

/// A manifest that belongs to `snapshot`, of files with their status. Columns are those of `version`.
///
/// # Errors
/// For what cannot be written: a bug of ours.
pub(super) fn manifest<'a>(
    place: &Place,
    version: &Version,
    snapshot: u64,
    files: impl Iterator<Item = (&'a DataFile, Status)>,
) -> Result<Manifest, IcebergError> {
    let schema = schema::schema(&version.table)?;
    let columns = Columns::new(place, version);
    let spec = Spec::new(&version.table)?;
    let partitions = spec.summaries();
    let mut summary = Summary { snapshot, oldest: u64::MAX, spec: spec.id, partitions, ..Summary::default() };
    let mut entries = Vec::new();
    for (file, status) in files {
        // A file that is added has the sequence number of its manifest, whenever it was made.
        let sequence = if status == Status::Added { snapshot } else { file.added_in };
        summary.oldest = summary.oldest.min(sequence);
        let at = status as usize;
        if let (Some(files), Some(rows)) = (summary.files.get_mut(at), summary.rows.get_mut(at)) {
            *files += 1;
            *rows += file.rows;
        }
        let partition = spec.values(file)?;
        partition.join(&mut summary.partitions);
        let inherited = (status != Status::Added).then_some(signed(sequence));
        entries.push(Entry {
            status: status as i32,
            snapshot_id: Some(signed(if status == Status::Existing { file.added_in } else { snapshot })),
            sequence_number: inherited,
            file_sequence_number: inherited,
            data_file: columns.record(file, partition),
        });
    }
    summary.oldest = summary.oldest.min(snapshot);
    let metadata = [
        ("schema", schema.json.to_string()),
        ("schema-id", schema.id.to_string()),
        ("partition-spec", spec.json_fields().to_string()),
        ("partition-spec-id", spec.id.to_string()),
        ("format-version", "2".to_owned()),
        ("content", "data".to_owned()),
    ];
    let entry = ENTRY.replacen(PARTITION_FIELDS, &spec.avro_fields().to_string(), 1);
    let bytes = container(&entry, &metadata, &entries)?;
    summary.length = bytes.len() as u64;
    Ok(Manifest { bytes, summary })
}

/// Iceberg counts in signed numbers; ours never come near their end.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The columns that have bounds, with their field ids.
struct Columns<'a> {
    place: &'a Place,
    version: &'a Version,
    ids: Vec<i32>,
    order: i32,
}

impl<'a> Columns<'a> {
    fn new(place: &'a Place, version: &'a Version) -> Self {
        let ids = schema::field_ids(&version.table.schema);
        let order = schema::order(&version.table).map_or(0, |(id, _)| id);
        Self { place, version, ids, order }
    }

    fn record(&self, file: &DataFile, partition: Values) -> DataFileRecord {
        let (mut values, mut nulls) = (Vec::new(), Vec::new());
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        let columns = self.version.table.schema.columns.iter().zip(&self.ids);
        for (column, key) in columns.filter(|(column, _)| !column.kind.is_nested()) {
            values.push(Pair { key: *key, value: signed(file.rows) });
            let Some(bounds) = file.columns.get(&column.name) else { continue };
            nulls.extend(bounds.nulls.map(|nulls| Pair { key: *key, value: signed(nulls) }));
            let bound = |value: &Option<serde_json::Value>, side| {
                let value = single_value(&column.kind, value.as_ref()?, side)?;
                Some(Pair { key: *key, value: Binary(value) })
            };
            lower.extend(bound(&bounds.min, Side::Lower));
            upper.extend(bound(&bounds.max, Side::Upper));
        }
        DataFileRecord {
            content: 0,
            file_path: self.place.file(&self.version.dataset, &self.version.id, file),
            file_format: "PARQUET",
            partition,
            record_count: signed(file.rows),
            file_size_in_bytes: signed(file.bytes),
            // Empty, not absent: some readers expect a map.
            column_sizes: Some(Vec::new()),
            value_counts: Some(values),
            null_value_counts: Some(nulls),
            nan_value_counts: Some(Vec::new()),
            lower_bounds: Some(lower),
            upper_bounds: Some(upper),
            key_metadata: None,
            // A file of one row group need not be told where that begins, nor can it be split.
            split_offsets: (!file.row_groups.is_empty()).then(|| file.row_groups.clone()),
            equality_ids: None,
            sort_order_id: Some(self.order),
        }
    }
}

#[derive(Serialize)]
struct Entry {
    status: i32,
    snapshot_id: Option<i64>,
    sequence_number: Option<i64>,
    file_sequence_number: Option<i64>,
    data_file: DataFileRecord,
}

#[derive(Serialize)]
struct DataFileRecord {
    content: i32,
    file_path: String,
    file_format: &'static str,
    partition: Values,
    record_count: i64,
    file_size_in_bytes: i64,
    column_sizes: Option<Vec<Pair<i64>>>,
    value_counts: Option<Vec<Pair<i64>>>,
    null_value_counts: Option<Vec<Pair<i64>>>,
    nan_value_counts: Option<Vec<Pair<i64>>>,
    lower_bounds: Option<Vec<Pair<Binary>>>,
    upper_bounds: Option<Vec<Pair<Binary>>>,
    key_metadata: Option<Binary>,
    split_offsets: Option<Vec<i64>>,
    equality_ids: Option<Vec<i32>>,
    sort_order_id: Option<i32>,
}

/// One entry of a map by field id.
#[derive(Serialize)]
struct Pair<V> {
    key: i32,
    value: V,
}

/// Stands in [`ENTRY`] for the fields of the table's partition spec.
const PARTITION_FIELDS: &str = "@partition";

/// `manifest_entry` of the specification.
const ENTRY: &str = r#"{"type":"record","name":"manifest_entry","fields":[
{"name":"status","type":"int","field-id":0},
{"name":"snapshot_id","type":["null","long"],"default":null,"field-id":1},
{"name":"sequence_number","type":["null","long"],"default":null,"field-id":3},
{"name":"file_sequence_number","type":["null","long"],"default":null,"field-id":4},
{"name":"data_file","field-id":2,"type":{"type":"record","name":"r2","fields":[
{"name":"content","type":"int","field-id":134},
{"name":"file_path","type":"string","field-id":100},
{"name":"file_format","type":"string","field-id":101},
{"name":"partition","type":{"type":"record","name":"r102","fields":@partition},"field-id":102},
{"name":"record_count","type":"long","field-id":103},
{"name":"file_size_in_bytes","type":"long","field-id":104},
{"name":"column_sizes","type":["null",{"type":"array","logicalType":"map","items":{"type":"record","name":"k117_v118","fields":[{"name":"key","type":"int","field-id":117},{"name":"value","type":"long","field-id":118}]}}],"default":null,"field-id":108},
{"name":"value_counts","type":["null",{"type":"array","logicalType":"map","items":{"type":"record","name":"k119_v120","fields":[{"name":"key","type":"int","field-id":119},{"name":"value","type":"long","field-id":120}]}}],"default":null,"field-id":109},
{"name":"null_value_counts","type":["null",{"type":"array","logicalType":"map","items":{"type":"record","name":"k121_v122","fields":[{"name":"key","type":"int","field-id":121},{"name":"value","type":"long","field-id":122}]}}],"default":null,"field-id":110},
{"name":"nan_value_counts","type":["null",{"type":"array","logicalType":"map","items":{"type":"record","name":"k138_v139","fields":[{"name":"key","type":"int","field-id":138},{"name":"value","type":"long","field-id":139}]}}],"default":null,"field-id":137},
{"name":"lower_bounds","type":["null",{"type":"array","logicalType":"map","items":{"type":"record","name":"k126_v127","fields":[{"name":"key","type":"int","field-id":126},{"name":"value","type":"bytes","field-id":127}]}}],"default":null,"field-id":125},
{"name":"upper_bounds","type":["null",{"type":"array","logicalType":"map","items":{"type":"record","name":"k129_v130","fields":[{"name":"key","type":"int","field-id":129},{"name":"value","type":"bytes","field-id":130}]}}],"default":null,"field-id":128},
{"name":"key_metadata","type":["null","bytes"],"default":null,"field-id":131},
{"name":"split_offsets","type":["null",{"type":"array","items":"long","element-id":133}],"default":null,"field-id":132},
{"name":"equality_ids","type":["null",{"type":"array","items":"int","element-id":136}],"default":null,"field-id":135},
{"name":"sort_order_id","type":["null","int"],"default":null,"field-id":140}
]}}]}"#;
