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
                partition: file.partition,
                row_groups: file.row_groups,
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
    let number = parent.map_or(1, |parent| parent.snapshot + 1);
    let mut published = Vec::with_capacity(tables.len());
    for mut table in tables {
        let (area, id) = (table.area, &loaded.id);
        let before = parent.and_then(|parent| {
            parent.table(&table.snapshot.name).filter(|before| Area::of_table(parent, before) == area)
        });
        let (files, rejects) = before.map_or((&[][..], &[][..]), |b| (&b.segments[..], &b.reject_segments[..]));
        let listed = before.map_or(&[][..], |before| &before.listed_segments[..]);
        let added = table.files.iter().filter(|file| file.added_in == number).count();
        table.snapshot.added_files = Some(added as u64);
        table.snapshot.segments = store.put_segments_after(area, id, files, &table.files).await?;
        table.snapshot.reject_segments = store.put_segments_after(area, id, rejects, &table.rejects).await?;
        table.snapshot.listed_segments = store.put_listed_after(area, id, listed, &table.files).await?;
        published.push(table.snapshot);
    }
    let area = Area::of(&loaded.definition.license);
    let before = parent.filter(|parent| Area::of(&parent.license) == area);
    let (sources, gaps) = before.map_or((&[][..], &[][..]), |b| (&b.source_segments[..], &b.gap_segments[..]));
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        dataset: loaded.id.to_string(),
        snapshot: number,
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
        source_segments: store.put_segments_after(area, &loaded.id, sources, &findings.sources).await?,
        source_bytes: findings.sources.iter().map(|source| source.bytes).sum(),
        gap_segments: store.put_segments_after(area, &loaded.id, gaps, &findings.gaps).await?,
        tables: published,
    };
    if store.is_passed(&loaded.id, manifest.snapshot, now).await? {
        return Err(outlived(&loaded.id));
    }
    store.publish(&manifest).await?;
    // A collection that began between the two may take what was uploaded: it did not know of this snapshot.
    if store.is_passed(&loaded.id, manifest.snapshot, now).await? {
        let Some(parent) = parent else { return Err(outlived(&loaded.id)) };
        let again = Manifest {
            snapshot: manifest.snapshot + 1,
            parent: Some(manifest.snapshot),
            run: run.to_owned(),
            created: now,
            software: software(),
            rollback_to: Some(parent.snapshot),
            tables: tables_again(parent, &manifest),
            ..parent.clone()
        };
        store.publish(&again).await?;
        return Err(outlived(&loaded.id));
    }
    Ok(manifest)
}

fn outlived(dataset: &DatasetId) -> Failure {
    Failure::internal(format!(
        "the run took longer than the grace period of a garbage collection, which may have removed what it had uploaded for `{dataset}`; nothing was published. Run it again, and give `openshelf gc` a `--grace` longer than the longest run"
    ))
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
    if !store.pin(dataset, to, head.snapshot + 1, run, now).await? {
        return Err(Failure::definition(format!(
            "snapshot {to} of `{dataset}` is no longer kept: `openshelf gc` has collected its files; `openshelf snapshots {dataset}` lists what there is"
        )));
    }
    let manifest = Manifest {
        tables: tables_again(&target, &head),
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

/// The tables of an older snapshot, to be published on top of `head`.
fn tables_again(target: &Manifest, head: &Manifest) -> Vec<TableSnapshot> {
    let mut tables = target.tables.clone();
    for table in &mut tables {
        // Which of its files `head` has, nobody counted.
        table.added_files = None;
        // What came in between has had its ids for good.
        let last = head.table(&table.name).map_or(0, TableSnapshot::last_field);
        table.last_field_id =
            if last > table.schema.last_field() { last.max(table.last_field_id) } else { table.last_field_id };
    }
    tables
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
