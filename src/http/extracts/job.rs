//! One extract from its claim to its files.
//!
//! Whoever creates the next event of its log has it, and keeps it by writing one every few seconds. A server that finds
//! the next number taken has lost it and stops without another word.

use std::{path::Path, sync::Arc, sync::atomic::Ordering};

use super::{Held, Live, find};
use crate::{
    catalog::extract::{
        Extract, ExtractEvent, ExtractFile, ExtractId, ExtractOrder, ExtractProgress, ExtractResult, ExtractState,
    },
    http::{api::extracts::order, state::AppState},
    query::{
        QueryError,
        batches::Batches,
        extract::{ExtractError, Part, PartWriter, Shape},
    },
    store::{Agenda, Due, StoreError},
};

/// Servers that may begin an extract: one that ends all of them is not for us.
const ATTEMPTS: u32 = 3;
/// Entries without a log that are this old were never finished by whoever made them.
const FORGOTTEN: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

/// Why a job did not end well.
enum Failure {
    /// For people.
    Said(String),
    /// Ours: the cause is for the log.
    Ours(String),
    /// This server is ending: another one goes on.
    Cut,
}

/// Whether somebody has to begin it. Entries that are done with are taken off the list.
pub(super) async fn is_open(state: &AppState, due: &Due, found: Option<&Extract>) -> Result<bool, StoreError> {
    let now = (state.clock)();
    let Some(extract) = found else {
        if now - due.at > FORGOTTEN {
            state.store.remove_due(Agenda::Queue, due).await?;
        }
        return Ok(false);
    };
    match &extract.last.state {
        ExtractState::Requested(_) | ExtractState::Released { .. } => Ok(true),
        // Its own server may be slow; one that is silent for so long has ended.
        ExtractState::Running { .. } => {
            let silence = (now - extract.last.at).to_std().unwrap_or_default();
            Ok(silence > state.settings.extracts.lease && state.extracts.live(&due.id).is_none())
        }
        ExtractState::Done(_) | ExtractState::Failed { .. } | ExtractState::Expired(_) => {
            state.store.remove_due(Agenda::Queue, due).await?;
            Ok(false)
        }
    }
}

/// Claims an extract and does it.
pub(super) async fn work(state: AppState, due: Due) -> Result<(), StoreError> {
    let Some(extract) = find(&state, &due.id).await? else { return Ok(()) };
    if !is_open(&state, &due, Some(&extract)).await? {
        return Ok(());
    }
    let attempt = 1 + match extract.last.state {
        ExtractState::Running { attempt, .. } | ExtractState::Released { attempt } => attempt,
        _ => 0,
    };
    let live = Arc::new(Live::default());
    live.to_scan.store(extract.order.bytes_to_scan, Ordering::Relaxed);
    let run = ulid::Ulid::generate().to_string();
    let mut lease = Lease { state: &state, id: &extract.id, run, number: extract.number, attempt };
    if attempt > ATTEMPTS {
        let message = format!("{ATTEMPTS} servers began it and none came to its end; ask for less of it at a time.");
        lease.write(ExtractState::Failed { message }).await?;
        return state.store.remove_due(Agenda::Queue, &due).await;
    }
    if !lease.write(ExtractState::Running { attempt, progress: live.progress() }).await? {
        return Ok(());
    }
    state.extracts.known().live.insert(extract.id.clone(), Arc::clone(&live));
    let ended = hold(&mut lease, &extract, &live).await;
    state.extracts.ended(&extract.id);
    if ended? {
        state.store.remove_due(Agenda::Queue, &due).await?;
    }
    state.extracts.wake.notify_one();
    Ok(())
}

/// Does the work and says so again and again; false when the lease was lost.
async fn hold(lease: &mut Lease<'_>, extract: &Extract, live: &Arc<Live>) -> Result<bool, StoreError> {
    let state = lease.state;
    let began = std::time::Instant::now();
    // What an earlier attempt left.
    state.store.sweep_extract(&extract.id, &[]).await?;
    let mut files = Box::pin(write(state, extract, lease.number, live));
    let beat = state.settings.extracts.lease / 3;
    let done = loop {
        tokio::select! {
            done = &mut files => break done,
            () = tokio::time::sleep(beat) => {
                let event = ExtractState::Running { attempt: lease.attempt, progress: live.progress() };
                match lease.write(event).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    // The next beat may get through; another server may take over meanwhile.
                    Err(error) => tracing::warn!(extract.id = %extract.id, cause = %error, "no beat"),
                }
            }
        }
    };
    drop(files);
    let event = match done {
        Ok(result) => {
            // Before the event, so that no files are forgotten.
            state.store.add_due(Agenda::Expiry, &Due::new(result.expires, extract.id.clone())).await?;
            tracing::info!(
                extract.id = %extract.id,
                rows = result.rows,
                size_bytes = result.files.iter().map(|file| file.bytes).sum::<u64>(),
                duration_ms = began.elapsed().as_millis() as u64,
                "extract done"
            );
            ExtractState::Done(Box::new(result))
        }
        Err(Failure::Cut) => return Ok(false),
        Err(Failure::Said(message)) => ExtractState::Failed { message },
        Err(Failure::Ours(cause)) => {
            tracing::error!(extract.id = %extract.id, %cause, "extract failed");
            let message = "Something went wrong on this server, which is not your fault. Ask for it again; if that \
                           fails, tell whoever runs this server its id.";
            ExtractState::Failed { message: message.to_owned() }
        }
    };
    let failed = matches!(event, ExtractState::Failed { .. });
    let written = lease.write(event).await?;
    if written && failed {
        state.store.sweep_extract(&extract.id, &[]).await?;
    }
    Ok(written)
}

/// The right to write an extract's next event.
struct Lease<'a> {
    state: &'a AppState,
    id: &'a ExtractId,
    run: String,
    /// The last number, ours or the one that was taken over.
    number: u64,
    attempt: u32,
}

impl Lease<'_> {
    /// Writes the next event; false when somebody else did.
    async fn write(&mut self, event: ExtractState) -> Result<bool, StoreError> {
        let store = &self.state.store;
        // A write of ours whose answer was lost is there all the same, and its number must not be used twice.
        match store.extract(self.id, self.number).await? {
            Some(now) if now.number > self.number && now.last.run == self.run => self.number = now.number,
            Some(now) if now.number > self.number => return Ok(false),
            _ => {}
        }
        let event = ExtractEvent { run: self.run.clone(), at: (self.state.clock)(), state: event };
        match store.put_extract_event(self.id, self.number + 1, &event).await {
            Ok(()) => {
                self.number += 1;
                let held = Held { run: self.run.clone(), number: self.number, attempt: self.attempt };
                self.state.extracts.known().held.insert(self.id.clone(), held);
                Ok(true)
            }
            Err(StoreError::Taken { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Runs the query and puts its result into the store, a file at a time.
async fn write(state: &AppState, extract: &Extract, attempt: u64, live: &Arc<Live>) -> Result<ExtractResult, Failure> {
    let settings = &state.settings.extracts;
    let order::Planned { batches, columns } =
        order::plan(state, &extract.order).await.map_err(|problem| match problem.cause() {
            Some(cause) => Failure::Ours(cause.to_owned()),
            None => Failure::Said(problem.detail().to_owned()),
        })?;
    std::fs::create_dir_all(&settings.scratch).map_err(ours)?;
    let folder = tempfile::Builder::new().prefix("extract-").tempdir_in(&settings.scratch).map_err(ours)?;
    let shape = Shape {
        schema: Arc::clone(batches.schema()),
        metadata: metadata(state, extract),
        file_bytes: settings.file_bytes,
        most_bytes: settings.anonymous.result,
        columns: columns.clone(),
    };
    let mut step = Step { batches, writer: PartWriter::new(shape, folder.path()) };
    let mut files = Vec::new();
    loop {
        let (rest, stepped) = step.next(live).await.map_err(said)?;
        if let Stepped::Part(part) | Stepped::End(Some(part)) = &stepped {
            files.push(put(state, &extract.id, attempt, files.len(), part).await?);
        }
        match (stepped, rest) {
            (Stepped::Part(_) | Stepped::More, Some(rest)) => step = rest,
            _ => break,
        }
    }
    let progress: ExtractProgress = live.progress();
    state.metrics.scanned.inc_by(progress.bytes_scanned);
    let now = (state.clock)();
    Ok(ExtractResult {
        rows: files.iter().map(|file| file.rows).sum(),
        files,
        columns: columns.iter().map(|column| (column.name.clone(), column.kind.to_string())).collect(),
        bytes_scanned: progress.bytes_scanned,
        finished: now,
        expires: now + settings.keep,
        software: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

async fn put(
    state: &AppState,
    id: &ExtractId,
    attempt: u64,
    number: usize,
    part: &Part,
) -> Result<ExtractFile, Failure> {
    // The number of the event it was begun with is nobody else's.
    let name = format!("{attempt}-{number:05}.parquet");
    state.store.put_extract_file(id, &name, &part.path).await.map_err(ours)?;
    // A copy of it is in the store; on one disk this only takes away its second name.
    remove(&part.path);
    Ok(ExtractFile { name, bytes: part.bytes, rows: part.rows, sha256: part.sha256.clone() })
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), cause = %error, "a scratch file stays until the folder goes");
    }
}

/// A query at work and its writer.
struct Step {
    batches: Batches,
    writer: PartWriter,
}

enum Stepped {
    More,
    Part(Part),
    End(Option<Part>),
}

impl Step {
    /// One batch, on a thread made for blocking.
    async fn next(mut self, live: &Arc<Live>) -> Result<(Option<Self>, Stepped), ExtractError> {
        let (runtime, live) = (tokio::runtime::Handle::current(), Arc::clone(live));
        let step = tokio::task::spawn_blocking(move || {
            let batch = runtime.block_on(self.batches.next())?;
            live.scanned.store(self.batches.budget().read(), Ordering::Relaxed);
            let Some(batch) = batch else { return Ok((None, Stepped::End(self.writer.finish()?))) };
            let part = self.writer.push(&batch)?;
            live.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            Ok((Some(self), part.map_or(Stepped::More, Stepped::Part)))
        });
        step.await.unwrap_or_else(|error| Err(QueryError::Cut(error.to_string()).into()))
    }
}

/// What each file says about itself.
fn metadata(state: &AppState, extract: &Extract) -> Vec<(String, String)> {
    let ExtractOrder { request, snapshots, licenses, .. } = &extract.order;
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    vec![
        ("openshelf.extract".to_owned(), state.url(&format!("/v1/extracts/{}", extract.id))),
        ("openshelf.request".to_owned(), json(serde_json::to_string(request))),
        ("openshelf.snapshots".to_owned(), json(serde_json::to_string(snapshots))),
        ("openshelf.licenses".to_owned(), json(serde_json::to_string(licenses))),
        ("openshelf.created".to_owned(), extract.created.to_rfc3339()),
    ]
}

#[allow(clippy::needless_pass_by_value, reason = "made to be named in `map_err`")]
fn ours(error: impl std::fmt::Display) -> Failure {
    Failure::Ours(error.to_string())
}

fn said(error: ExtractError) -> Failure {
    match error {
        ExtractError::Query(QueryError::OverCap(over)) => {
            Failure::Said(format!("It was stopped: {over}. Ask for less of it at a time, or read the tables' files."))
        }
        ExtractError::Query(QueryError::Slice(fault)) => Failure::Said(fault.to_string()),
        ExtractError::Query(QueryError::Cut(_)) => Failure::Cut,
        ExtractError::TooLong(_) => Failure::Said(format!("It was stopped: {error}. Ask for less of it at a time.")),
        error => ours(error),
    }
}
