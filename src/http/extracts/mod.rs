//! Extracts at work: what was asked for is run by whichever server comes first, a few at a time, behind the answers.
//!
//! The store's lists say what is due, the logs what is true: a server may end at any moment, and another one, or the same
//! one started again, goes on. What is kept here only spares questions to the store.
//!
//! - `job`: one extract from its claim to its files
//! - `expiry`: files that are no longer kept

mod expiry;
mod job;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::{background::Background, state::AppState};
use crate::{
    catalog::extract::{Extract, ExtractEvent, ExtractId, ExtractProgress, ExtractState},
    store::{Agenda, StoreError},
};

/// Extracts whose numbers are remembered; they only spare questions to the store.
const REMEMBERED: usize = 10_000;

/// How far a job of this server is.
#[derive(Debug, Default)]
pub(super) struct Live {
    scanned: AtomicU64,
    to_scan: AtomicU64,
    rows: AtomicU64,
}

impl Live {
    fn progress(&self) -> ExtractProgress {
        ExtractProgress {
            bytes_scanned: self.scanned.load(Ordering::Relaxed),
            bytes_to_scan: self.to_scan.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
        }
    }
}

/// A lease of this server: what it must write to give it back.
#[derive(Debug, Clone)]
struct Held {
    run: String,
    number: u64,
    attempt: u32,
}

/// What this server knows of extracts.
#[derive(Debug)]
pub(super) struct Extracts {
    background: Background,
    wake: Notify,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    live: HashMap<ExtractId, Arc<Live>>,
    held: HashMap<ExtractId, Held>,
    /// Last numbers seen.
    numbers: HashMap<ExtractId, u64>,
    /// Who asked for what is not finished.
    askers: HashMap<ExtractId, IpAddr>,
}

impl Extracts {
    /// So many jobs at a time.
    pub(super) fn new(workers: usize) -> Self {
        Self { background: Background::new(workers.max(1)), wake: Notify::new(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a job is, if this server is at work on it.
    pub(super) fn live(&self, id: &ExtractId) -> Option<ExtractProgress> {
        self.known().live.get(id).map(|live| live.progress())
    }

    /// How many unfinished extracts an address has asked this server for.
    pub(super) fn asked_by(&self, address: IpAddr) -> usize {
        self.known().askers.values().filter(|asker| **asker == address).count()
    }

    /// A job of this server ended, however it did.
    fn ended(&self, id: &ExtractId) {
        let mut known = self.known();
        known.live.remove(id);
        known.held.remove(id);
        known.askers.remove(id);
    }

    /// Something new is to be done.
    pub(super) fn added(&self, id: &ExtractId, asker: IpAddr) {
        self.known().askers.insert(id.clone(), asker);
        self.wake.notify_one();
    }
}

/// An extract as it stands.
///
/// # Errors
/// When the store does not say.
pub(super) async fn find(state: &AppState, id: &ExtractId) -> Result<Option<Extract>, StoreError> {
    let known = state.extracts.known().numbers.get(id).copied().unwrap_or_default();
    let found = state.store.extract(id, known).await?;
    if let Some(found) = &found {
        let mut known = state.extracts.known();
        if known.numbers.len() >= REMEMBERED {
            known.numbers.clear();
        }
        known.numbers.insert(id.clone(), found.number);
        if !found.is_pending() {
            known.askers.remove(id);
        }
    }
    Ok(found)
}

/// Looks after extracts until the server ends.
pub(super) async fn look_after(state: AppState) {
    if state.settings.extracts.workers == 0 {
        return;
    }
    loop {
        // What fails now is tried again at the next look.
        if let Err(error) = look(&state).await {
            tracing::warn!(cause = %error, "extracts could not be looked after");
        }
        tokio::select! {
            () = state.extracts.wake.notified() => {}
            () = tokio::time::sleep(state.settings.extracts.look_every) => {}
        }
    }
}

/// One look at what is due.
async fn look(state: &AppState) -> Result<(), StoreError> {
    let workers = state.settings.extracts.workers;
    for due in state.store.agenda(Agenda::Queue).await? {
        let (working, waiting) = state.extracts.background.load();
        if working + waiting >= workers {
            break;
        }
        let found = find(state, &due.id).await?;
        if job::is_open(state, &due, found.as_ref()).await? {
            let (state, id) = (state.clone(), due.id.to_string());
            let background = state.extracts.background.clone();
            background.ask(&id, |_| job::work(state, due));
        }
    }
    expiry::look(state).await
}

/// Ends all jobs, and gives back what was begun, so that another server need not wait for it.
pub(super) async fn end(state: &AppState) {
    state.extracts.background.end();
    let held: Vec<_> = state.extracts.known().held.drain().collect();
    for (id, held) in held {
        let event = ExtractEvent {
            run: held.run,
            at: (state.clock)(),
            state: ExtractState::Released { attempt: held.attempt.saturating_sub(1) },
        };
        if let Err(error) = state.store.put_extract_event(&id, held.number + 1, &event).await {
            tracing::warn!(extract.id = %id, cause = %error, "an extract was not given back; its lease runs out by itself");
        }
    }
}
