//! What a table's metadata tells of its snapshots, remembered as it grows: a new snapshot costs one manifest.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    IcebergError,
    making::Making,
    renderings::History,
    version::{Facts, Version},
};
use crate::store::Area;

/// Snapshots in a history: those of a year, published every hour.
const MOST_SNAPSHOTS: u64 = 10_000;
/// Manifests of the store read at once.
const AT_ONCE: usize = 64;

/// The oldest snapshot in the history of one.
pub(super) fn oldest(snapshot: u64) -> u64 {
    snapshot.saturating_sub(MOST_SNAPSHOTS - 1).max(1)
}

impl Making<'_> {
    /// The oldest snapshot in the history of one that is still kept: what older ones held, nobody can say any more.
    pub(super) async fn kept_from(&self, snapshot: u64) -> Result<u64, IcebergError> {
        let boundary = self.store.boundary(&self.subject.dataset).await?;
        let collected_to = boundary.map_or(0, |(_, boundary)| boundary.collected_to);
        Ok(oldest(snapshot).max(collected_to.saturating_add(1).min(snapshot)))
    }

    /// The snapshots from `oldest` to `newest` that have the table in that area.
    pub(super) async fn history(&self, oldest: u64, newest: u64, area: Area) -> Result<Vec<Facts>, IcebergError> {
        let address = (self.subject.dataset.clone(), self.subject.table.clone());
        let known = self.renderings.histories.get(&address).unwrap_or_default();
        let covers = |number: u64| known.binary_search_by_key(&number, |(known, _)| *known).is_ok();
        let lines = if covers(oldest) && covers(newest) {
            known
        } else {
            // What is known ends where new snapshots begin; whatever else is missing is read again.
            let (from, mut lines) = match known.last() {
                Some((last, _)) if covers(oldest) => (last + 1, known.to_vec()),
                _ => (oldest, Vec::new()),
            };
            self.extend(&mut lines, from, newest).await?;
            let lines = Arc::new(lines);
            self.renderings.histories.insert(address, Arc::clone(&lines));
            lines
        };
        let wanted = lines.iter().filter(|(number, _)| (oldest..=newest).contains(number));
        Ok(wanted.filter_map(|(_, facts)| facts.clone()).filter(|facts| facts.area == area).collect())
    }

    /// Adds the snapshots `from..=to` to a history that ends just before.
    async fn extend(&self, lines: &mut History, from: u64, to: u64) -> Result<(), IcebergError> {
        let begin = from.saturating_sub(1).max(1);
        let mut manifests =
            stream::iter(begin..=to)
                .map(|number| async move {
                    self.store.manifest(&self.subject.dataset, number).await.map(|read| (number, read))
                })
                .buffered(AT_ONCE);
        let mut before: Option<(Version, Option<Facts>)> = None;
        while let Some((number, manifest)) = manifests.try_next().await? {
            let version = manifest.and_then(|read| Version::new(&self.subject.dataset, &self.subject.table, &read));
            if number < from {
                let facts = lines.last().and_then(|(_, facts)| facts.clone());
                before = version.map(|version| (version, facts));
                continue;
            }
            let facts = match &version {
                Some(version) => {
                    let before = before.as_ref().map(|(before, facts)| (before, facts.as_ref()));
                    Some(Facts::new(version, before)?)
                }
                None => None,
            };
            lines.push((number, facts.clone()));
            before = version.map(|version| (version, facts));
        }
        Ok(())
    }
}
