//! What the store holds: `datasets`, `snapshots`, `rollback`.

use std::collections::BTreeSet;

use indicatif::{HumanBytes, HumanCount};
use openshelf::{
    catalog::DatasetId,
    ingest::{definition, publish},
};

use super::{CommandError, Places};

pub(super) async fn datasets(places: &Places) -> Result<u8, CommandError> {
    let store = places.open()?;
    let mut ids: BTreeSet<DatasetId> = store.datasets().await?.into_iter().collect();
    ids.extend(definition::list(&places.datasets).unwrap_or_default());
    // Padding is text's: names write themselves whole.
    let widest = ids.iter().map(|id| id.as_str().len()).max().unwrap_or_default();
    for id in &ids {
        let name = id.as_str();
        match store.head(id).await? {
            Some(head) => say!(
                "{name:widest$}  snapshot {:<4} {}  {:>15} rows  {:>11}{}",
                head.snapshot,
                head.created.format("%Y-%m-%d %H:%M"),
                HumanCount(head.rows()).to_string(),
                HumanBytes(head.bytes()).to_string(),
                if head.sample { "  (sample)" } else { "" }
            ),
            None => say!("{name:widest$}  not ingested yet: openshelf ingest {id}"),
        }
    }
    if ids.is_empty() {
        let folder = places.datasets.display();
        say!("no datasets: neither definitions in {folder} nor snapshots in {}", places.store);
    }
    Ok(0)
}

pub(super) async fn snapshots(places: &Places, dataset: &DatasetId) -> Result<u8, CommandError> {
    let store = places.open()?;
    let numbers = store.snapshots(dataset).await?;
    if numbers.is_empty() {
        let message =
            format!("`{dataset}` has no snapshot in {}; `openshelf datasets` lists what there is", places.store);
        return Err(CommandError::usage(message));
    }
    let collected_to = store.boundary(dataset).await?.map_or(0, |(_, boundary)| boundary.collected_to);
    for number in numbers.iter().rev() {
        let Some(manifest) = store.manifest(dataset, *number).await? else { continue };
        let mut from = manifest.rollback_to.map(|to| format!("  = snapshot {to}")).unwrap_or_default();
        if *number <= collected_to {
            from.push_str("  (no longer kept)");
        }
        say!(
            "{number:>6}  {}  {:>15} rows  {:>11}  {}{from}",
            manifest.created.format("%Y-%m-%d %H:%M"),
            HumanCount(manifest.rows()).to_string(),
            HumanBytes(manifest.bytes()).to_string(),
            manifest.upstream_version.as_deref().unwrap_or(if manifest.sample { "sample" } else { "-" })
        );
    }
    Ok(0)
}

pub(super) async fn rollback(places: &Places, dataset: &DatasetId, snapshot: u64) -> Result<u8, CommandError> {
    let store = places.open()?;
    let run = ulid::Ulid::generate().to_string().to_lowercase();
    let manifest = publish::rollback(&store, dataset, snapshot, &run, chrono::Utc::now()).await?;
    say!("{dataset}: snapshot {} is snapshot {snapshot} again", manifest.snapshot);
    Ok(0)
}
