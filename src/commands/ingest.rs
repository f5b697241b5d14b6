//! `openshelf ingest`: one run after another, each told as it goes.

use std::{io::IsTerminal, pin::pin};

use clap::Args;
use futures::{FutureExt, future::FusedFuture};
use openshelf::{
    catalog::{Blame, DatasetId, Outcome},
    ingest::{
        definition::{self, Fault, Faults, Loaded},
        progress::Progress,
        run::{Ended, Ingest},
    },
};

use super::{CommandError, Places, asked_to_end, crawl::Crawl, exit_code};

#[derive(Debug, Args)]
pub(super) struct IngestArguments {
    /// The datasets, by the names of their folders
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    dataset: Vec<DatasetId>,
    /// Every dataset that has a definition
    #[arg(long)]
    all: bool,
    /// Read each source from sample/ beside the definition instead of the network
    #[arg(long)]
    sample: bool,
    /// Print each run record as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    crawl: Crawl,
}

pub(super) async fn run(places: &Places, arguments: &IngestArguments) -> Result<u8, CommandError> {
    let settings = arguments.crawl.settings();
    let folder = places.datasets.display();
    let ids = if arguments.all {
        definition::list(&places.datasets).map_err(|error| {
            CommandError::usage(format!("{folder}: {error}; name the folder of definitions with --datasets"))
        })?
    } else {
        arguments.dataset.clone()
    };
    // All definitions are read before the first is run: a fault is said at once, not an hour later.
    let (loaded, faults): (Vec<_>, Vec<_>) =
        ids.iter().map(|id| definition::load(&places.datasets, id)).partition(Result::is_ok);
    let faults: Vec<Fault> = faults.into_iter().filter_map(Result::err).flat_map(|faults| faults.0).collect();
    if !faults.is_empty() {
        return Err(Faults(faults).into());
    }
    let loaded: Vec<Loaded> = loaded.into_iter().flatten().collect();
    if loaded.is_empty() {
        return Err(CommandError::usage(format!("there is no definition in {folder}")));
    }
    if !arguments.sample
        && settings.contact.is_none()
        && let Some(remote) = loaded.iter().find(|loaded| loaded.definition.names_public_hosts())
    {
        return Err(CommandError::usage(format!(
            "`{}` is fetched over the network, and upstreams want to know who asks: set OPENSHELF_CONTACT=you@example.org (it goes into the User-Agent), or use --sample",
            remote.id
        )));
    }
    let store = places.open()?;
    let progress = if arguments.json {
        Progress::silent()
    } else if std::io::stdout().is_terminal() {
        Progress::bars()
    } else {
        Progress::lines()
    };
    let mut stop = pin!(asked_to_end()?.fuse());
    let mut worst = 0;
    for loaded in &loaded {
        if stop.is_terminated() {
            break;
        }
        let (sample, now) = (arguments.sample, chrono::Utc::now());
        let ingest = Ingest { store: &store, settings: &settings, progress: &progress, sample, now };
        let ended = openshelf::ingest::run::run_until(ingest, loaded, &mut stop).await;
        report(arguments.json, loaded, &ended)?;
        worst = worse(worst, ended.failure.as_ref().map_or(0, exit_code));
    }
    Ok(worst)
}

fn report(json: bool, loaded: &Loaded, ended: &Ended) -> Result<(), CommandError> {
    let record = &ended.record;
    if json {
        let mut line = serde_json::to_value(record).map_err(|error| CommandError::internal(error.to_string()))?;
        if let Some(line) = line.as_object_mut() {
            line.shift_insert(0, "dataset".into(), loaded.id.as_str().into());
        }
        say!("{line}");
        return Ok(());
    }
    let (id, message) = (&loaded.id, &record.message);
    match (record.outcome, &ended.failure) {
        (Outcome::Published, _) => say!("{id}: published {message}"),
        (Outcome::Unchanged, _) => say!("{id}: unchanged, {message}"),
        (Outcome::Failed, Some(failure)) if failure.lost_race => say!("{id}: nothing published, {message}"),
        (Outcome::Failed, _) => {
            let who = match record.blame {
                Some(Blame::Upstream) => "upstream",
                Some(Blame::Definition) => "the definition",
                Some(Blame::Internal) | None => "Openshelf or this machine",
            };
            say!("{id}: nothing published, the fault lies with {who}: {message}");
            for output in &record.script_output {
                say!("  script: {}", output.trim_end());
            }
        }
    }
    Ok(())
}

/// Of several failures the one that someone here must act on first: ours, upstream's, the definition's, a lost race.
fn worse(a: u8, b: u8) -> u8 {
    let weight = |code| match code {
        5 => 4,
        3 => 3,
        2 => 2,
        4 => 1,
        _ => 0,
    };
    if weight(b) > weight(a) { b } else { a }
}
