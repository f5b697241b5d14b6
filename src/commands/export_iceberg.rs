//! `openshelf export-iceberg`: the metadata that a server's Iceberg catalog renders, written beside the data.
//!
//! Laid out as Hadoop tables are (`v12.metadata.json`, `version-hint.text`), so that engines open a table by its folder. The
//! metadata is written last: what it names is there.

use std::collections::HashSet;

use bytes::Bytes;
use clap::Args;
use openshelf::{
    catalog::{DatasetId, Manifest, TableId, TableSnapshot},
    iceberg::{IcebergError, Place, Renderings},
    store::{Area, Exported, Key, Store},
};
use serde_json::Value;

use super::{CommandError, Places, chosen, head};

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The datasets; none: all there are
    dataset: Vec<DatasetId>,
    /// The store's address as its readers spell it, such as s3a://bucket/prefix; default: the store's own
    #[arg(long, value_parser = absolute)]
    base: Option<String>,
}

/// An address that means the same everywhere.
fn absolute(text: &str) -> Result<String, String> {
    match url::Url::parse(text) {
        Ok(url) if text.contains("://") && url.query().is_none() && url.fragment().is_none() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("write an address with its scheme, such as s3://bucket/prefix or file:///folder".to_owned()),
    }
}

pub(super) async fn run(places: &Places, arguments: &ExportArguments) -> Result<u8, CommandError> {
    let store = places.open()?;
    let place = Place::Stored(match &arguments.base {
        Some(base) => base.clone(),
        None => base_of(&store)?,
    });
    let ids = chosen(&store, &arguments.dataset).await?;
    let renderings = Renderings::default();
    let mut example = None;
    for dataset in &ids {
        let head = head(&store, dataset).await?;
        for table in &head.tables {
            let Ok(id) = table.name.parse::<TableId>() else { continue };
            let export = Export { store: &store, renderings: &renderings, place: &place, dataset, id: &id };
            let written = export.table(&head, table).await.map_err(|error| {
                CommandError::internal(format!("{dataset}.{id} (snapshot {}): {error}", head.snapshot))
            })?;
            let location = place.table(dataset, &id, Area::of_table(&head, table));
            let said = match written {
                0 => "is there already".to_owned(),
                1 => "1 object written".to_owned(),
                some => format!("{some} objects written"),
            };
            say!("{dataset}.{id} (snapshot {}): {said}: {location}", head.snapshot);
            example.get_or_insert((location, head.snapshot));
        }
    }
    if let Some((location, snapshot)) = example {
        say!("Open a table by its folder or its metadata:");
        say!("  DuckDB     select * from iceberg_scan('{location}/metadata/v{snapshot}.metadata.json')");
        say!("  pyiceberg  StaticTable.from_metadata('{location}/metadata/v{snapshot}.metadata.json')");
        say!("  Spark      spark.read.format('iceberg').load('{location}')");
        if location.starts_with("s3://") {
            say!(
                "             with spark.hadoop.fs.s3.impl=org.apache.hadoop.fs.s3a.S3AFileSystem, or exported with --base s3a://…"
            );
        }
    }
    Ok(0)
}

/// The store's address as readers of the bucket or folder spell it.
fn base_of(store: &Store) -> Result<String, CommandError> {
    let address = store.address().trim_end_matches('/');
    if address.contains("://") {
        return Ok(address.to_owned());
    }
    let folder = std::fs::canonicalize(address).ok().and_then(|folder| folder.into_os_string().into_string().ok());
    let folder = folder.ok_or_else(|| {
        CommandError::usage(format!("nobody reads {address} from outside; name the address with --base"))
    })?;
    // As it stands: no reader takes `%20` for a space.
    Ok(format!("file://{}", folder.trim_end_matches('/')))
}

/// One table on its way.
struct Export<'a> {
    store: &'a Store,
    renderings: &'a Renderings,
    place: &'a Place,
    dataset: &'a DatasetId,
    id: &'a TableId,
}

impl Export<'_> {
    /// Writes what is not there; how many objects those were.
    async fn table(&self, head: &Manifest, table: &TableSnapshot) -> Result<u64, IcebergError> {
        let Self { store, renderings, place, dataset, id } = self;
        let area = Area::of_table(head, table);
        let key = |object: Exported| Key::Iceberg { area, dataset: (*dataset).clone(), table: (*id).clone(), object };
        let there = self.exported(&key).await?;
        let objects = renderings.of(store, place, dataset, id);
        let (mut done, mut written) = (HashSet::new(), 0);
        for list in objects.lists(head.snapshot).await? {
            // Metadata is written after all that it names.
            if there.contains(&place.object(dataset, id, area, &list)) {
                continue;
            }
            let mut names = objects.reached(&list).await?;
            names.push(list);
            for name in names {
                if done.insert(name.clone()) {
                    let object = objects.object(&name).await?;
                    written += u64::from(store.renew(&key(Exported::Object(name)), object.bytes.clone()).await?);
                }
            }
        }
        let (_, metadata) = objects.current(head.snapshot).await?;
        let newest = key(Exported::Version(head.snapshot));
        written += u64::from(store.renew(&newest, metadata.bytes.clone()).await?);
        let hint = Bytes::from(head.snapshot.to_string());
        written += u64::from(store.renew(&key(Exported::Hint), hint).await?);
        Ok(written)
    }

    /// Addresses of the manifest lists that the last export wrote.
    async fn exported(&self, key: &impl Fn(Exported) -> Key) -> Result<HashSet<String>, IcebergError> {
        let Some(hint) = self.store.renewed(&key(Exported::Hint)).await? else { return Ok(HashSet::new()) };
        let hint = String::from_utf8_lossy(&hint).trim().parse::<u64>().unwrap_or_default();
        let metadata = self.store.renewed(&key(Exported::Version(hint))).await?.unwrap_or_default();
        let metadata: Value = serde_json::from_slice(&metadata).unwrap_or_default();
        let snapshots = metadata.get("snapshots").and_then(Value::as_array).into_iter().flatten();
        let lists = snapshots.filter_map(|snapshot| snapshot.get("manifest-list")?.as_str().map(str::to_owned));
        Ok(lists.collect())
    }
}
