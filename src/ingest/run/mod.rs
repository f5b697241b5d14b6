//! One ingest run: everything from asking upstream to the run record, whatever comes of it.

mod ask;
mod source_run;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use chrono::{DateTime, Utc};
use ulid::Ulid;

use self::source_run::SourceRun;
use super::{
    Failure,
    definition::{self, Loaded},
    fetch::Fetcher,
    part::{Pipeline, ScriptOutput},
    plan,
    progress::Progress,
    publish::{self, Findings, ReadyTable},
};
use crate::{
    catalog::{Manifest, Outcome, RunRecord, SourceRecord, run::TableCount},
    config::IngestSettings,
    store::{Area, Store},
};

/// What a run works with.
#[derive(Debug, Clone, Copy)]
pub struct Ingest<'a> {
    /// Where snapshots go.
    pub store: &'a Store,
    /// Caps and manners.
    pub settings: &'a IngestSettings,
    /// Who is told.
    pub progress: &'a Progress,
    /// Read `sample/` instead of upstream.
    pub sample: bool,
    /// The time at which the run begins.
    pub now: DateTime<Utc>,
}

/// What came of a run: its record, and the failure if it failed.
#[derive(Debug)]
pub struct Ended {
    /// The record, as it was written to the store.
    pub record: RunRecord,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// Runs one dataset's ingest to its end and writes the run record.
pub async fn run(ingest: Ingest<'_>, loaded: &Loaded) -> Ended {
    run_until(ingest, loaded, std::future::pending()).await
}

/// As [`run`], but ends early when `stop` is ready (a signal); the run record says so.
pub async fn run_until(ingest: Ingest<'_>, loaded: &Loaded, stop: impl Future<Output = ()>) -> Ended {
    let began = Instant::now();
    let run = Ulid::from_datetime(ingest.now.into()).to_string().to_lowercase();
    let mut settings = ingest.settings.clone();
    let own = &loaded.definition.limits;
    settings.caps.fetch_bytes = own.bytes.map_or(settings.caps.fetch_bytes, |own| own.min(settings.caps.fetch_bytes));
    let own_time = own.time.as_deref().and_then(definition::duration);
    settings.caps.run_time = own_time.map_or(settings.caps.run_time, |own| own.min(settings.caps.run_time));
    let limit = settings.caps.run_time;
    let pipeline = Pipeline {
        folder: loaded.folder.clone(),
        scratch: settings.scratch.join("runs").join(&run),
        settings,
        progress: ingest.progress.clone(),
        cancelled: Arc::new(AtomicBool::new(false)),
        script_output: ScriptOutput::default(),
    };
    let told = Told {
        counts: BTreeMap::new(),
        fetcher: None,
        unchanged: "upstream has nothing new; the current snapshot stays".into(),
    };
    let mut work = Work { ingest, loaded, run: &run, pipeline: &pipeline, told };
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(limit, work.go()) => outcome.unwrap_or_else(|_| {
            Err(Failure::internal(format!(
                "the run took longer than {} and was ended; `limits.time` in the definition sets this",
                indicatif::HumanDuration(limit)
            )))
        }),
        () = stop => Err(Failure::internal("the run was stopped by a signal; the next one takes up its downloads")),
    };
    let told = work.told;
    pipeline.cancelled.store(true, Ordering::Relaxed);
    // Scratch is disposable: what stays behind costs space, not truth.
    tokio::fs::remove_dir_all(&pipeline.scratch).await.unwrap_or_default();

    let mut record = RunRecord {
        run,
        started: ingest.now,
        ended: ingest.now + began.elapsed(),
        outcome: Outcome::Failed,
        blame: None,
        message: String::new(),
        snapshot: None,
        sample: ingest.sample,
        tables: told.counts.into_values().collect(),
        script_output: pipeline.script_output.take(),
        fetched_bytes: told.fetcher.map_or(0, |fetcher| fetcher.fetched_bytes()),
        software: publish::software(),
    };
    let mut failure = None;
    match outcome {
        Ok(Some(manifest)) => {
            record.outcome = Outcome::Published;
            record.snapshot = Some(manifest.snapshot);
            record.message = published_message(&manifest);
        }
        Ok(None) => {
            record.outcome = Outcome::Unchanged;
            record.message = told.unchanged;
        }
        Err(error) => {
            record.blame = Some(error.blame);
            record.message.clone_from(&error.message);
            failure = Some(error);
        }
    }
    let area = Area::of(&loaded.definition.license);
    if let Err(error) = ingest.store.put_run(area, &loaded.id, &record).await {
        ingest.progress.say(format!("{}: the run record could not be written: {error}", loaded.id));
        failure = failure.or(Some(error.into()));
    }
    Ended { record, failure }
}

/// What the run record tells beside the outcome.
#[derive(Debug)]
struct Told {
    counts: BTreeMap<usize, TableCount>,
    /// Asked for its count at the end, however the run ended.
    fetcher: Option<Arc<Fetcher>>,
    /// Why nothing was published, if nothing is.
    unchanged: String,
}

struct Work<'a> {
    ingest: Ingest<'a>,
    loaded: &'a Loaded,
    run: &'a str,
    pipeline: &'a Pipeline,
    told: Told,
}

impl Work<'_> {
    /// `None` when upstream has nothing new.
    async fn go(&mut self) -> Result<Option<Manifest>, Failure> {
        let parent = self.ingest.store.head(&self.loaded.id).await?;
        let parent = parent.as_deref();
        if let Some(parent) = parent.filter(|parent| self.ingest.sample && !parent.sample) {
            self.told.unchanged = format!(
                "snapshot {} was made from upstream, and a sample does not take its place (use another --store for samples)",
                parent.snapshot
            );
            return Ok(None);
        }
        let scratch = &self.pipeline.scratch;
        tokio::fs::create_dir_all(scratch).await.map_err(|error| {
            Failure::internal(format!("scratch folder {}: {error}; set OPENSHELF_SCRATCH", scratch.display()))
        })?;
        let fetcher = Fetcher::new(&self.pipeline.settings, self.ingest.progress.clone())?;
        let fetcher = Arc::new(fetcher);
        self.told.fetcher = Some(fetcher.clone());
        self.sources(&fetcher, parent).await
    }

    async fn sources(&mut self, fetcher: &Fetcher, parent: Option<&Manifest>) -> Result<Option<Manifest>, Failure> {
        let (ingest, loaded, pipeline) = (self.ingest, self.loaded, self.pipeline);
        // A snapshot of the sample says nothing about upstream.
        let basis = parent.filter(|parent| parent.sample == ingest.sample);
        let snapshot = parent.map_or(1, |parent| parent.snapshot + 1);
        let mut findings = Findings { upstream_version: None, sources: vec![], gaps: vec![], sample: ingest.sample };
        let mut ready: BTreeMap<usize, ReadyTable> = BTreeMap::new();
        let mut anything_new = basis.is_none_or(|basis| basis.definition != loaded.sha256);
        let plans = plan::plan(loaded)?;
        let mut known = known(ingest.store, basis).await?;
        let mut sources = Vec::with_capacity(plans.len());
        for plan in &plans {
            let known = known.remove(&plan.id).unwrap_or_default();
            let mut source = SourceRun::new(ingest, loaded, pipeline, plan, fetcher, basis, parent, known, snapshot);
            anything_new |= source.go(&mut findings, &mut self.told.counts).await?;
            sources.push(source);
        }
        if !anything_new {
            return Ok(None);
        }
        // Only now: it reads the parent's file lists, which a run without news can do without.
        for source in sources {
            source.assemble(&mut findings, &mut ready).await?;
        }
        hold_against_parent(basis, &ready)?;
        let tables = ready.into_values().collect();
        publish::publish(ingest.store, loaded, parent, self.run, ingest.now, findings, tables).await.map(Some)
    }
}

/// Upstream's files of one source as a snapshot has them, by part.
type KnownParts = HashMap<String, Vec<SourceRecord>>;

/// Upstream's files as a snapshot has them, by source and part.
async fn known(store: &Store, basis: Option<&Manifest>) -> Result<HashMap<String, KnownParts>, Failure> {
    let mut known: HashMap<String, KnownParts> = HashMap::new();
    let Some(basis) = basis else { return Ok(known) };
    for record in store.sources(basis).await? {
        // Most have their source already: no copy of its name for each.
        if !known.contains_key(&record.source) {
            known.insert(record.source.clone(), KnownParts::new());
        }
        let Some(parts) = known.get_mut(&record.source) else { continue };
        parts.entry(record.part.clone()).or_default().push(record);
    }
    Ok(known)
}

/// A table that had rows and now has none is upstream's accident, not news.
fn hold_against_parent(basis: Option<&Manifest>, ready: &BTreeMap<usize, ReadyTable>) -> Result<(), Failure> {
    for table in ready.values() {
        let name = &table.snapshot.name;
        let before = basis.and_then(|basis| basis.table(name)).map_or(0, |before| before.rows);
        if before > 0 && table.snapshot.rows == 0 {
            return Err(Failure::upstream(format!(
                "table `{name}` came out empty, the current snapshot has {before} rows; upstream has probably published an empty file by accident"
            )));
        }
    }
    Ok(())
}

/// Runs a stage on a blocking thread; a panic over foreign bytes ends the run, not the process.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Failure::internal(format!("a stage of the pipeline panicked: {error}; this is a bug of ours")))
    })
}

fn published_message(manifest: &Manifest) -> String {
    let rejected: u64 = manifest.tables.iter().map(|table| table.rejected).sum();
    let mut message = format!(
        "snapshot {}: {} in {}",
        manifest.snapshot,
        amount(manifest.rows(), "row"),
        amount(manifest.tables.len() as u64, "table")
    );
    if rejected > 0 {
        message.push_str(&format!(", {} rejected", amount(rejected, "row")));
    }
    if manifest.gap_count() > 0 {
        message.push_str(&format!(", {} missing upstream", amount(manifest.gap_count(), "part")));
    }
    message
}

fn amount(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", indicatif::HumanCount(n), if n == 1 { "" } else { "s" })
}
