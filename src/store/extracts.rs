//! Extracts: each is a numbered log of what happened to it, with its files beside it; and the two lists of those that
//! something is still to be done for.
//!
//! ```text
//! _openshelf/extracts/<id>/<20 digits>.json    event n; create-only
//! _openshelf/extracts/<id>/<file>.parquet      a result's file, until it expires
//! _openshelf/extracts/queue/<ulid>-<id>.json   asked for at that time and not finished
//! _openshelf/extracts/expiry/<ulid>-<id>.json  has files until that time
//! ```
//! The lists only say where to look: what is true stands in the logs. An entry is made before its log, and removed
//! after, so that none is forgotten. Logs are never deleted; files and entries are, here and nowhere else.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::{ObjectStore, path::Path};
use ulid::Ulid;

use super::{Area, Key, Store, StoreError, log::Log};
use crate::catalog::extract::{Extract, ExtractEvent, ExtractId, ExtractState};

/// A list of extracts that something is still to be done for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agenda {
    /// Those to be run, by the time they were asked for.
    Queue,
    /// Those whose files are to be deleted, by the time for it.
    Expiry,
}

impl Agenda {
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Expiry => "expiry",
        }
    }
}

/// An entry of such a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// Its name, which begins with its time.
    name: String,
    /// When it is due.
    pub at: DateTime<Utc>,
    /// The extract.
    pub id: ExtractId,
}

impl Due {
    /// An entry for a time.
    pub fn new(at: DateTime<Utc>, id: ExtractId) -> Self {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
        // The rest of the ULID is the extract's, so that the same entry made twice is one.
        let ulid = Ulid::from_parts(millis, 0);
        Self { name: format!("{ulid}-{id}"), at, id }
    }

    fn parse(path: &Path) -> Option<Self> {
        let name = path.filename()?.strip_suffix(".json")?;
        let (ulid, id) = name.split_once('-')?;
        let millis = ulid.parse::<Ulid>().ok()?.timestamp_ms();
        let at = DateTime::<Utc>::from(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        Some(Self { name: name.to_owned(), at, id: id.parse().ok()? })
    }

    fn key(&self, agenda: Agenda) -> Key {
        Key::ExtractDue { agenda, name: self.name.clone() }
    }
}

impl Store {
    /// An extract, as the last event of its log tells it. `known`: a number that its log is known to have; 0 for none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Unavailable`].
    pub async fn extract(&self, id: &ExtractId, known: u64) -> Result<Option<Extract>, StoreError> {
        let log = self.extract_log(id);
        let number = log.last(known).await?;
        if number == 0 {
            return Ok(None);
        }
        let (last, first) = (event(&log, number).await?, event(&log, 1).await?);
        let created = first.at;
        let ExtractState::Requested(order) = first.state else {
            return Err(StoreError::corrupt(id, "its log does not begin with what was asked for"));
        };
        Ok(Some(Extract { id: id.clone(), order: *order, created, number, last }))
    }

    /// Writes event `number` of an extract.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another run has that number, [`StoreError::OutOfOrder`], [`StoreError::Unavailable`].
    pub async fn put_extract_event(&self, id: &ExtractId, number: u64, event: &ExtractEvent) -> Result<(), StoreError> {
        let body = serde_json::to_vec(event).map_err(|error| StoreError::corrupt(id, error))?;
        self.extract_log(id).create(&folder(id), number, &event.run, Bytes::from(body)).await
    }

    /// Puts a file of an extract.
    ///
    /// # Errors
    /// As [`Store::put_file`].
    pub async fn put_extract_file(
        &self,
        id: &ExtractId,
        name: &str,
        local: &std::path::Path,
    ) -> Result<(), StoreError> {
        self.put_file(&file(id, name), local).await
    }

    /// The key of an extract's file.
    pub fn extract_file(&self, id: &ExtractId, name: &str) -> String {
        file(id, name).to_string()
    }

    /// Deletes an extract's files but those named.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn sweep_extract(&self, id: &ExtractId, keep: &[String]) -> Result<(), StoreError> {
        let folder = folder(id);
        let mut found = self.0.objects.list(Some(&folder));
        let mut gone = Vec::new();
        while let Some(object) =
            found.try_next().await.map_err(|error| StoreError::from_object_store(&folder, &error))?
        {
            let name = object.location.filename().unwrap_or_default();
            if name.ends_with(".parquet") && !keep.iter().any(|kept| kept == name) {
                gone.push(object.location);
            }
        }
        drop(found);
        for path in gone {
            self.delete(&path).await?;
        }
        Ok(())
    }

    /// The entries of a list, the earliest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn agenda(&self, agenda: Agenda) -> Result<Vec<Due>, StoreError> {
        let folder: Path = [OPENSHELF, EXTRACTS, agenda.folder()].into_iter().collect();
        let found: Vec<_> = self
            .0
            .objects
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(|error| StoreError::from_object_store(&folder, &error))?;
        let mut entries: Vec<Due> = found.iter().filter_map(|object| Due::parse(&object.location)).collect();
        entries.sort_unstable();
        Ok(entries)
    }

    /// Puts an entry on a list; to do it twice changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn add_due(&self, agenda: Agenda, due: &Due) -> Result<(), StoreError> {
        let key = due.key(agenda);
        match self.create(&key.path()?, Bytes::from_static(b"{}"), key.content_type()).await {
            Ok(()) | Err(StoreError::Exists { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Takes an entry off a list.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn remove_due(&self, agenda: Agenda, due: &Due) -> Result<(), StoreError> {
        self.delete(&due.key(agenda).path()?).await
    }

    fn extract_log(&self, id: &ExtractId) -> Log<'_> {
        Log { store: self, folders: vec![folder(id)] }
    }
}

/// The prefix of what belongs to no dataset.
pub(super) const OPENSHELF: &str = "_openshelf";
/// The folder of extracts in it.
pub(super) const EXTRACTS: &str = "extracts";

/// Where an extract lies.
pub(super) fn area(id: &ExtractId) -> Area {
    if id.is_personal() { Area::Personal } else { Area::Open }
}

fn folder(id: &ExtractId) -> Path {
    area(id).folder().into_iter().chain([OPENSHELF, EXTRACTS, id.as_str()]).collect()
}

fn file(id: &ExtractId, name: &str) -> Key {
    Key::ExtractFile { id: id.clone(), file: name.to_owned() }
}

async fn event(log: &Log<'_>, number: u64) -> Result<ExtractEvent, StoreError> {
    let (path, body) = log.read(number).await?;
    serde_json::from_slice(&body)
        .map_err(|error| StoreError::corrupt(&path, format!("is no event of an extract: {error}")))
}
