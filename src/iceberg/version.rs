//! A table of one snapshot, as its Iceberg objects need it; and what a history needs to know of each.

use std::sync::Arc;

use serde_json::Value;

use super::{IcebergError, ObjectName, partition::Spec, schema};
use crate::{
    catalog::{DatasetId, Manifest, TableId, TableSnapshot},
    store::Area,
};

/// A table of a snapshot.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) dataset: DatasetId,
    pub(super) id: TableId,
    pub(super) manifest: Arc<Manifest>,
    pub(super) table: TableSnapshot,
    pub(super) area: Area,
}

impl Version {
    /// The table of that name, if the snapshot has it.
    pub(super) fn new(dataset: &DatasetId, id: &TableId, manifest: &Arc<Manifest>) -> Option<Self> {
        let table = manifest.table(id.as_str())?;
        let area = Area::of_table(manifest, table);
        Some(Self {
            dataset: dataset.clone(),
            id: id.clone(),
            manifest: Arc::clone(manifest),
            table: table.clone(),
            area,
        })
    }

    pub(super) fn snapshot(&self) -> u64 {
        self.manifest.snapshot
    }

    /// Whether the list of files of the snapshot before says something about this one's: it is there, and may be shown
    /// to the same people.
    pub(super) fn follows(&self, before: &Self) -> bool {
        self.area == before.area
    }
}

/// What a snapshot did to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Files came, none went.
    Append,
    /// Files went, and perhaps others came.
    Overwrite,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Overwrite => "overwrite",
        }
    }
}

/// One line of a table's history: small, since there may be thousands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) snapshot: u64,
    /// The snapshot before, where it has the table.
    pub(super) parent: Option<u64>,
    pub(super) area: Area,
    /// Milliseconds since 1970.
    pub(super) created: i64,
    pub(super) operation: Operation,
    pub(super) rows: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Ids of its schema and of its order of rows; 0 for none.
    pub(super) schema: i32,
    pub(super) order: i32,
    /// Id of its partition spec; 0 for none.
    pub(super) spec: i32,
}

impl Facts {
    /// `before`: the snapshot before, with what is known of it, if it has the table.
    ///
    /// # Errors
    /// For a type that cannot be written.
    pub(super) fn new(version: &Version, before: Option<(&Version, Option<&Self>)>) -> Result<Self, IcebergError> {
        let table = &version.table;
        let before = before.filter(|(before, _)| version.follows(before));
        // Most snapshots have the columns of the one before.
        let alike = before.and_then(|(before, facts)| {
            let old = &before.table;
            let same = old.schema == table.schema
                && old.primary_key == table.primary_key
                && old.sort_key == table.sort_key
                && old.partition_by == table.partition_by;
            facts.filter(|_| same)
        });
        let (schema, order, spec) = match alike {
            Some(facts) => (facts.schema, facts.order, facts.spec),
            None => {
                let order = schema::order(table).map_or(0, |(id, _): (i32, Value)| id);
                (schema::schema(table)?.id, order, Spec::new(table)?.id)
            }
        };
        Ok(Self {
            snapshot: version.snapshot(),
            parent: before.map(|(before, _)| before.snapshot()),
            area: version.area,
            created: version.manifest.created.timestamp_millis(),
            operation: before.map_or(Operation::Append, |(before, _)| operation(&before.table, table)),
            rows: table.rows,
            files: table.file_count(),
            bytes: table.bytes,
            schema,
            order,
            spec,
        })
    }
}

impl Facts {
    /// The name of its manifest list. `first`: whether the history begins here.
    pub(super) fn list(&self, first: bool) -> ObjectName {
        ObjectName::List { snapshot: self.snapshot, first: first && self.parent.is_some() }
    }
}

/// Nothing went when all files of the snapshot before are still there: as many as it had were kept, or all its segments.
fn operation(before: &TableSnapshot, now: &TableSnapshot) -> Operation {
    let there = |hash: &str| now.segments.iter().any(|segment| segment.hash == hash);
    let kept = match now.added_files {
        // A list that grows is cut anew at its end: its segments tell nothing of its files.
        Some(added) => now.file_count().saturating_sub(added) >= before.file_count(),
        // Segments share an order, so what is kept is mostly found where it was.
        None => {
            before.segments.iter().zip(&now.segments).all(|(old, new)| old.hash == new.hash || there(&old.hash))
                && before.segments.iter().skip(now.segments.len()).all(|old| there(&old.hash))
        }
    };
    if kept { Operation::Append } else { Operation::Overwrite }
}
