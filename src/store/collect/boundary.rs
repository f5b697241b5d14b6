//! The durable boundary: one numbered log for each dataset, written to by collections before they remove anything and by
//! rollbacks before they publish. Of two that write at once one has to look again, so each knows what the other decided.

use std::sync::PoisonError;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Boundary, Collection};
use crate::{
    catalog::{DatasetId, retention::Pin},
    store::{Store, StoreError, key, log::Log},
};

/// The shortest time that a pin holds, so that no setting takes a rollback's snapshot away under its hands.
const PINNED: TimeDelta = TimeDelta::hours(1);
/// Times that a rollback tries to write its pin.
const TRIES: u32 = 16;

impl Store {
    /// What was decided last about a dataset, and its number in the log. Asks the storage for one number when nothing is new.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Unavailable`].
    pub async fn boundary(&self, dataset: &DatasetId) -> Result<Option<(u64, Boundary)>, StoreError> {
        let log = self.boundary_log(dataset);
        let known = self.0.boundaries.lock().unwrap_or_else(PoisonError::into_inner).get(dataset).cloned();
        let number = log.last(known.as_ref().map_or(0, |(number, _)| *number)).await?;
        if number == 0 {
            return Ok(None);
        }
        if let Some(known) = known.filter(|(known, _)| *known == number) {
            return Ok(Some(known));
        }
        let (path, body) = log.read(number).await?;
        let boundary: Boundary = serde_json::from_slice(&body)
            .map_err(|error| StoreError::corrupt(&path, format!("is no record of a collection: {error}")))?;
        let mut boundaries = self.0.boundaries.lock().unwrap_or_else(PoisonError::into_inner);
        boundaries.insert(dataset.clone(), (number, boundary.clone()));
        Ok(Some((number, boundary)))
    }

    /// Whether a collection may have removed what a run that began at `since` has uploaded for snapshot `number`, because
    /// it took longer than the grace period. Asked before publishing, and again after.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Unavailable`].
    pub async fn is_passed(&self, dataset: &DatasetId, number: u64, since: DateTime<Utc>) -> Result<bool, StoreError> {
        let Some((_, boundary)) = self.boundary(dataset).await? else { return Ok(false) };
        Ok(boundary.head < number && boundary.orphans_before.is_some_and(|before| before > since))
    }

    /// Keeps a snapshot for a rollback to it, which is about to publish it again as `number`. False when it was collected.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when collections leave no room, [`StoreError::Corrupt`], [`StoreError::Unavailable`].
    pub async fn pin(
        &self,
        dataset: &DatasetId,
        snapshot: u64,
        number: u64,
        run: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        for tried in 1.. {
            let (last, mut boundary) = match self.boundary(dataset).await? {
                Some(last) => last,
                None => {
                    let none = Boundary {
                        run: String::new(),
                        at: now,
                        head: 0,
                        collected_to: 0,
                        orphans_before: None,
                        pins: Vec::new(),
                    };
                    (0, none)
                }
            };
            if snapshot <= boundary.collected_to {
                return Ok(false);
            }
            boundary.pins.retain(|pin| holds(pin, number - 1, now, PINNED));
            boundary.pins.push(Pin { snapshot, number, at: now });
            (boundary.run, boundary.at) = (run.to_owned(), now);
            match self.put_boundary(dataset, last + 1, &boundary).await {
                Err(StoreError::Taken { .. }) if tried < TRIES => {}
                written => return written.map(|()| true),
            }
        }
        Ok(false)
    }

    pub(super) async fn put_boundary(
        &self,
        dataset: &DatasetId,
        number: u64,
        boundary: &Boundary,
    ) -> Result<(), StoreError> {
        let body = serde_json::to_vec(boundary).map_err(|error| StoreError::corrupt(dataset, error))?;
        self.boundary_log(dataset).create(&key::boundaries(dataset), number, &boundary.run, Bytes::from(body)).await
    }

    fn boundary_log(&self, dataset: &DatasetId) -> Log<'_> {
        Log { store: self, folders: vec![key::boundaries(dataset)] }
    }
}

impl Collection {
    /// The pins that still hold while `head` is the newest snapshot.
    pub(super) fn pins(&self, before: Option<&Boundary>, head: u64) -> Vec<Pin> {
        let longest = TimeDelta::from_std(self.grace).unwrap_or(TimeDelta::MAX).max(PINNED);
        let pins = before.map(|before| before.pins.iter()).into_iter().flatten();
        pins.filter(|pin| holds(pin, head, self.now, longest)).cloned().collect()
    }
}

fn holds(pin: &Pin, head: u64, now: DateTime<Utc>, longest: TimeDelta) -> bool {
    head < pin.number && now.signed_duration_since(pin.at) < longest
}
