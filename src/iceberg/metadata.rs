//! Table metadata: schemas, orders and the history of snapshots, as one JSON document.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    IcebergError,
    partition::Spec,
    place::Place,
    schema::{self, IcebergSchema},
    version::{Facts, Version},
};

/// What the document is made from.
pub(super) struct Document<'a> {
    pub(super) place: &'a Place,
    /// The current snapshot.
    pub(super) head: &'a Version,
    /// The snapshots, oldest first, the current one last.
    pub(super) history: &'a [Facts],
    /// One version for each schema, order and partition spec that the history names.
    pub(super) shapes: &'a [Version],
}

impl Document<'_> {
    /// The document. `json` has no other object than what follows from its parts.
    ///
    /// # Errors
    /// For a type that cannot be written: a bug of ours.
    pub(super) fn render(&self) -> Result<Bytes, IcebergError> {
        let head = self.head;
        let (mut schemas, mut orders): (Vec<IcebergSchema>, Vec<(i32, Value)>) = (Vec::new(), Vec::new());
        let mut specs: Vec<Spec> = Vec::new();
        for version in self.shapes {
            let schema = schema::schema(&version.table)?;
            if schemas.iter().all(|known| known.id != schema.id) {
                schemas.push(schema);
            }
            if let Some(order) = schema::order(&version.table)
                && orders.iter().all(|known| known.0 != order.0)
            {
                orders.push(order);
            }
            let spec = Spec::new(&version.table)?;
            if specs.iter().all(|known| known.id != spec.id) {
                specs.push(spec);
            }
        }
        let mut last_time = i64::MIN;
        let (mut snapshots, mut log) = (Vec::new(), Vec::new());
        for (at, facts) in self.history.iter().enumerate() {
            // Clocks may step back; a history may not.
            last_time = facts.created.max(last_time);
            snapshots.push(self.snapshot(facts, at == 0, last_time));
            log.push(json!({"timestamp-ms": last_time, "snapshot-id": facts.snapshot}));
        }
        let unsorted = json!({"order-id": 0, "fields": []});
        let current = schema::schema(&head.table)?.id;
        let document = json!({
            "format-version": 2,
            "table-uuid": self.uuid(),
            "location": self.place.table(&head.dataset, &head.id, head.area),
            "last-sequence-number": head.snapshot(),
            "last-updated-ms": last_time,
            "last-column-id": schemas.iter().map(|schema| schema.last_field).max().unwrap_or_default(),
            "current-schema-id": current,
            "schemas": schemas.into_iter().map(|schema| schema.json).collect::<Vec<_>>(),
            "default-spec-id": Spec::new(&head.table)?.id,
            "partition-specs": specs.iter().map(Spec::json).collect::<Vec<_>>(),
            "last-partition-id": specs.iter().map(Spec::last_field).max().unwrap_or_default(),
            "default-sort-order-id": schema::order(&head.table).map_or(0, |(id, _)| id),
            "sort-orders": std::iter::once(unsorted).chain(orders.into_iter().map(|(_, order)| order)).collect::<Vec<_>>(),
            "properties": self.properties(),
            "current-snapshot-id": head.snapshot(),
            "refs": {"main": {"snapshot-id": head.snapshot(), "type": "branch"}},
            "snapshots": snapshots,
            "snapshot-log": log,
            "metadata-log": [],
            "statistics": [],
            "partition-statistics": []
        });
        Ok(document.to_string().into())
    }

    fn snapshot(&self, facts: &Facts, first: bool, time: i64) -> Value {
        let address = self.place.object(&self.head.dataset, &self.head.id, facts.area, &facts.list(first));
        let mut snapshot = Map::new();
        snapshot.insert("snapshot-id".into(), facts.snapshot.into());
        if let Some(parent) = facts.parent.filter(|_| !first) {
            snapshot.insert("parent-snapshot-id".into(), parent.into());
        }
        snapshot.insert("sequence-number".into(), facts.snapshot.into());
        snapshot.insert("timestamp-ms".into(), time.into());
        snapshot.insert("manifest-list".into(), address.into());
        // The rest of a summary is text.
        let summary = json!({
            "operation": facts.operation.name(),
            "total-records": facts.rows.to_string(),
            "total-data-files": facts.files.to_string(),
            "total-files-size": facts.bytes.to_string(),
            "total-delete-files": "0",
            "total-position-deletes": "0",
            "total-equality-deletes": "0"
        });
        snapshot.insert("summary".into(), summary);
        snapshot.insert("schema-id".into(), facts.schema.into());
        Value::Object(snapshot)
    }

    /// The same for a table of that name wherever it is served: made from its name.
    fn uuid(&self) -> String {
        let digest = Sha256::digest(format!("openshelf table {}/{}", self.head.dataset, self.head.id));
        let mut bytes = [0_u8; 16];
        bytes.iter_mut().zip(digest).for_each(|(byte, of)| *byte = of);
        // Version 8 of RFC 9562: bits of one's own.
        if let Some(byte) = bytes.get_mut(6) {
            *byte = (*byte & 0x0f) | 0x80;
        }
        if let Some(byte) = bytes.get_mut(8) {
            *byte = (*byte & 0x3f) | 0x80;
        }
        let hex = hex::encode(bytes);
        let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().to_owned();
        [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
    }

    fn properties(&self) -> Value {
        let (manifest, table) = (&self.head.manifest, &self.head.table);
        let license = manifest.license_of(table);
        let mut properties = Map::new();
        let mut set = |key: &str, value: &str| {
            if !value.is_empty() {
                properties.insert(key.to_owned(), value.into());
            }
        };
        set("comment", &table.description);
        set("openshelf.dataset", &manifest.dataset);
        set("openshelf.table", &table.name);
        set("openshelf.title", &manifest.info.title);
        set("openshelf.license", &license.id);
        set("openshelf.license-url", &license.url);
        set("openshelf.attribution", license.attribution.as_deref().unwrap_or_default());
        set("write.format.default", "parquet");
        // Bounds prune; they are no answers: text may be cut short in them, and numbers moved outwards.
        set("write.metadata.metrics.default", "counts");
        Value::Object(properties)
    }
}
