//! From encoded files to the next snapshot: upload the data, write the segments of the file lists, create the manifest.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ulid::Ulid;

use super::{Failure, definition::Loaded, encode::EncodedFile};
use crate::{
    catalog::{DataFile, DatasetId, DatasetInfo, Gap, Manifest, SourceRecord, TableId, TableSnapshot},
    store::{Area, Key, MANIFEST_FORMAT, Store, StoreError},
};

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken { .. } => Self::lost_race(format!("another run published first: {error}")),
            error => Self::internal(error.to_string()),
        }
    }
}

/// Where the files of one table go.
#[derive(Debug, Clone)]
pub(super) struct Shelf<'a> {
    pub(super) store: &'a Store,
    pub(super) dataset: &'a DatasetId,
    pub(super) table: &'a TableId,
    pub(super) area: Area,
    /// The snapshot being made.
    pub(super) snapshot: u64,
}

impl Shelf<'_> {
    /// Uploads encoded files and removes them from scratch.
    pub(super) async fn upload(
        &self,
        part: &str,
        files: Vec<EncodedFile>,
        rejects: bool,
    ) -> Result<Vec<DataFile>, Failure> {
        let mut uploaded = Vec::with_capacity(files.len());
        for file in files {
            let name = format!("{}.parquet", Ulid::generate().to_string().to_lowercase());
            let (area, dataset, table) = (self.area, self.dataset.clone(), self.table.clone());
            let key = if rejects {
                Key::Rejects { area, dataset, table, file: name }
            } else {
                Key::Data { area, dataset, table, file: name }
            };
            self.store.put_file(&key, &file.path).await?;
            // Scratch is disposable: a file that stays behind costs space, not truth.
            tokio::fs::remove_file(&file.path).await.unwrap_or_default();
            uploaded.push(DataFile {
                key: key.to_string(),
                bytes: file.bytes,
                rows: file.rows,
                sha256: file.sha256,
                part: part.to_owned(),
                added_in: self.snapshot,
                columns: file.columns,
            });
        }
        Ok(uploaded)
    }
}

/// A table ready to be published.
#[derive(Debug)]
pub(super) struct ReadyTable {
    /// Everything but its segments.
    pub(super) snapshot: TableSnapshot,
    pub(super) area: Area,
    pub(super) files: Vec<DataFile>,
    pub(super) rejects: Vec<DataFile>,
}

/// What a run found out, beside the tables.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) upstream_version: Option<String>,
    pub(super) sources: Vec<SourceRecord>,
    pub(super) gaps: Vec<Gap>,
    pub(super) sample: bool,
}

/// Writes the segments and creates the manifest: the moment of publication.
pub(super) async fn publish(
    store: &Store,
    loaded: &Loaded,
    parent: Option<&Manifest>,
    run: &str,
    now: DateTime<Utc>,
    findings: Findings,
    tables: Vec<ReadyTable>,
) -> Result<Manifest, Failure> {
    let mut published = Vec::with_capacity(tables.len());
    for mut table in tables {
        table.snapshot.segments = store.put_segments(table.area, &loaded.id, &table.files).await?;
        table.snapshot.reject_segments = store.put_segments(table.area, &loaded.id, &table.rejects).await?;
        table.snapshot.listed_segments = store.put_listed(table.area, &loaded.id, &table.files).await?;
        published.push(table.snapshot);
    }
    let area = Area::of(&loaded.definition.license);
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        dataset: loaded.id.to_string(),
        snapshot: parent.map_or(1, |parent| parent.snapshot + 1),
        parent: parent.map(|parent| parent.snapshot),
        run: run.to_owned(),
        created: now,
        upstream_version: findings.upstream_version,
        definition: loaded.sha256.clone(),
        software: software(),
        sample: findings.sample,
        rollback_to: None,
        info: info(loaded),
        license: loaded.definition.license.clone(),
        source_segments: store.put_segments(area, &loaded.id, &findings.sources).await?,
        source_bytes: findings.sources.iter().map(|source| source.bytes).sum(),
        gap_segments: store.put_segments(area, &loaded.id, &findings.gaps).await?,
        tables: published,
    };
    store.publish(&manifest).await?;
    Ok(manifest)
}

/// Publishes snapshot `to` again under the next number: rollback is a new manifest.
///
/// # Errors
/// When there is no such snapshot, or another run publishes at the same time.
pub async fn rollback(
    store: &Store,
    dataset: &DatasetId,
    to: u64,
    run: &str,
    now: DateTime<Utc>,
) -> Result<Manifest, Failure> {
    let head = store.head(dataset).await?;
    let head = head.ok_or_else(|| Failure::definition(format!("`{dataset}` has no snapshot; ingest it first")))?;
    let target = store.manifest(dataset, to).await?;
    let target = target.ok_or_else(|| {
        Failure::definition(format!("`{dataset}` has no snapshot {to}; it has 1 to {}", head.snapshot))
    })?;
    let mut tables = target.tables.clone();
    for table in &mut tables {
        // What came in between has had its ids for good.
        let last = head.table(&table.name).map_or(0, TableSnapshot::last_field);
        table.last_field_id =
            if last > table.schema.last_field() { last.max(table.last_field_id) } else { table.last_field_id };
    }
    let manifest = Manifest {
        tables,
        snapshot: head.snapshot + 1,
        parent: Some(head.snapshot),
        run: run.to_owned(),
        created: now,
        software: software(),
        rollback_to: Some(to),
        ..(*target).clone()
    };
    store.publish(&manifest).await?;
    Ok(manifest)
}

/// Name and version of this program, as manifests and runs record it.
pub(super) fn software() -> String {
    concat!("openshelf ", env!("CARGO_PKG_VERSION")).to_owned()
}

fn info(loaded: &Loaded) -> DatasetInfo {
    let definition = &loaded.definition;
    DatasetInfo {
        title: definition.title.clone(),
        description: definition.description.clone(),
        homepage: definition.homepage.clone(),
        contact: definition.contact.clone(),
        tags: definition.tags.clone(),
        refresh: definition.refresh.clone(),
        citation: definition.citation.clone(),
        retention: definition.retention.clone(),
    }
}

/// The files of a list by the part they were made from.
pub(super) fn by_part(files: Vec<DataFile>) -> HashMap<String, Vec<DataFile>> {
    let mut parts: HashMap<String, Vec<DataFile>> = HashMap::new();
    for file in files {
        parts.entry(file.part.clone()).or_default().push(file);
    }
    parts
}
