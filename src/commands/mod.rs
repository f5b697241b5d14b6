//! The subcommands: flags and environment in, words for people out. The only place that prints.

#![allow(clippy::print_stderr)]

/// A line on standard output. A reader that went away (`| head`) is no reason to fail.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($line)*).unwrap_or_default();
    }};
}

mod check;
mod crawl;
mod export_iceberg;
mod gc;
mod index;
mod ingest;
mod new;
mod scratch;
mod serve;
mod shelf;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Parser, Subcommand};
use openshelf::{
    catalog::{Blame, DatasetId, Manifest},
    ingest::{Failure, definition::Faults},
    store::{Store, StoreError},
};
use tokio::signal::unix::{SignalKind, signal};

/// Openshelf mirrors public datasets: it fetches what upstreams publish, turns it into Parquet snapshots and serves any
/// slice of them over HTTP.
#[derive(Debug, Parser)]
#[command(
    name = "openshelf",
    version,
    after_help = "Examples:
  openshelf ingest --all --sample        fill the store from the samples beside the definitions
  openshelf serve                        serve it on http://127.0.0.1:8080
  openshelf new rivers --from data.csv   write a definition for a file or URL
  openshelf check rivers                 hold a definition against its sample

Exit codes: 0 published or unchanged, 2 usage or definition, 3 upstream, 4 another run won, 5 ours."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    places: Places,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Places {
    /// Where snapshots are kept: a path, file://, s3://bucket/prefix (with the usual AWS_… variables), or memory:
    #[arg(long, env = "OPENSHELF_STORE", default_value = "store", global = true)]
    store: String,
    /// The folder of definitions
    #[arg(long, env = "OPENSHELF_DATASETS", default_value = "datasets", global = true)]
    datasets: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch datasets from upstream and publish new snapshots
    #[command(after_help = "Examples:
  openshelf ingest geonames --sample             no network: what lies in sample/ beside the definition
  OPENSHELF_CONTACT=you@example.org openshelf ingest geonames
  openshelf ingest --all --json                  one line of JSON a run, for programs

Run it again whenever you like: what upstream has not changed is not fetched twice, and a run that was killed is
finished by the next one. Each run leaves a record: curl http://127.0.0.1:8080/v1/datasets/geonames/runs

Exit codes: 0 published or unchanged, 2 usage or definition, 3 upstream, 4 another run won, 5 ours.
Of several datasets the gravest counts.")]
    Ingest(ingest::IngestArguments),
    /// Serve the store over HTTP
    #[command(after_help = "Examples:
  openshelf serve                                http://127.0.0.1:8080, this machine only
  openshelf serve --listen 0.0.0.0:80 --public-url https://data.example.org
  openshelf serve --store s3://bucket/prefix     with AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …

New snapshots are served as they are published, without a restart. Datasets whose license is `personal` are served on
loopback addresses only. Logs go to standard error (RUST_LOG=debug says more); Ctrl-C lets answers end first.")]
    Serve(serve::ServeArguments),
    /// Validate a definition, ingest its sample into memory, compare with expected/, show schema and first rows
    #[command(after_help = "Examples:
  openshelf check rivers                         every fault of the definition with line and column, or its rows
  openshelf check rivers --write                 write the rows to expected/, then read each before you commit it

Nothing is kept: the sample is ingested into memory. datasets/README.md says how to write a definition.")]
    Check(check::CheckArguments),
    /// Write a definition for a file or URL: format and schema are inferred from the bytes
    #[command(after_help = "Examples:
  openshelf new rivers --from ~/Downloads/rivers.csv.gz
  OPENSHELF_CONTACT=you@example.org openshelf new rivers --from https://example.org/rivers.csv.gz

Writes datasets/rivers/ with dataset.toml, a sample and golden rows, such that `openshelf check rivers` passes. The
license is `personal` until you write down the true one.")]
    New(new::NewArguments),
    /// List the definitions and what the store holds of them
    Datasets,
    /// List a dataset's snapshots, newest first
    #[command(after_help = "The numbers are those of `?snapshot=` in the API and of `openshelf rollback`.")]
    Snapshots {
        /// The dataset
        dataset: DatasetId,
    },
    /// Publish an older snapshot again, under the next number
    #[command(after_help = "Example:
  openshelf rollback rivers 3                    what snapshot 3 held is served again, as the newest snapshot

Nothing is deleted: the way back is another rollback. The next `ingest` publishes what upstream has then.")]
    Rollback {
        /// The dataset
        dataset: DatasetId,
        /// The snapshot to go back to
        snapshot: u64,
    },
    /// Make the statistics and search indexes of the current snapshots, so that no answer waits for them
    #[command(after_help = "Examples:
  openshelf index imdb                           after `openshelf ingest imdb`, before anybody asks
  openshelf index                                every dataset in the store

A server makes them by itself when they are first asked for. They are kept in the store: all servers over it use them.")]
    Index(index::IndexArguments),
    /// Remove what no kept snapshot needs: old snapshots' files, and what runs that were killed left behind
    #[command(after_help = "Examples:
  openshelf gc --dry-run                         says what would go, how much it is, and why
  openshelf gc                                   removes it
  openshelf gc imdb --list                       one dataset, every object by its name

A snapshot is kept for the dataset's `retention` from the day it was replaced, and the last
three always are. After that, and after the grace period, its files go; what it was is still
known, and who asks for its rows is told which snapshot is current. What no snapshot names goes
when it is older than the grace period, which must be longer than your longest ingest.

It may run at any time, beside servers, ingests and other collections, and may be killed: the
next one goes on.")]
    Gc(gc::GcArguments),
    /// Write tables' Iceberg metadata into the store, for jobs that read its bucket without a server
    #[command(after_help = "Examples:
  openshelf export-iceberg imdb                  after `openshelf ingest imdb`
  openshelf export-iceberg                       every dataset in the store
  openshelf export-iceberg --base s3a://shelf    for Spark with Hadoop's S3 client

A server's catalog at /iceberg needs none of this. What is there already is not written again; snapshots published later
are there after the next export. Another --base replaces what the one before wrote.")]
    ExportIceberg(export_iceberg::ExportArguments),
    /// Print the JSON Schema of dataset.toml, for editors
    #[command(after_help = "Example:
  openshelf schema > datasets/dataset.schema.json
  and `#:schema ../dataset.schema.json` as the first line of a dataset.toml")]
    Schema,
}

/// Runs the command; the answer is the program's exit code.
pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let places = arguments.places;
    let result = match arguments.command {
        Command::Ingest(arguments) => ingest::run(&places, &arguments).await,
        Command::Serve(arguments) => serve::run(&places, &arguments).await,
        Command::Check(arguments) => check::run(&places, &arguments).await,
        Command::New(arguments) => new::run(&places, &arguments).await,
        Command::Datasets => shelf::datasets(&places).await,
        Command::Snapshots { dataset } => shelf::snapshots(&places, &dataset).await,
        Command::Rollback { dataset, snapshot } => shelf::rollback(&places, &dataset, snapshot).await,
        Command::Index(arguments) => index::run(&places, &arguments).await,
        Command::Gc(arguments) => gc::run(&places, &arguments).await,
        Command::ExportIceberg(arguments) => export_iceberg::run(&places, &arguments).await,
        Command::Schema => {
            say!("{:#}", openshelf::ingest::definition::schema());
            Ok(0)
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(error.code, &error.message),
    }
}

/// Says why on standard error.
pub(crate) fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("openshelf: {message}");
    ExitCode::from(code)
}

/// A command that could not do what it was asked.
#[derive(Debug)]
struct CommandError {
    code: u8,
    message: String,
}

impl CommandError {
    fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    fn internal(message: impl Into<String>) -> Self {
        Self { code: 5, message: message.into() }
    }
}

/// Exit codes: 0 published or unchanged, 2 usage or definition, 3 upstream, 4 another run won, 5 ours.
fn exit_code(failure: &Failure) -> u8 {
    match failure.blame {
        _ if failure.lost_race => 4,
        Blame::Definition => 2,
        Blame::Upstream => 3,
        Blame::Internal => 5,
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        Self { code: exit_code(&failure), message: failure.message }
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Failure::from(error).into()
    }
}

impl From<Faults> for CommandError {
    fn from(faults: Faults) -> Self {
        let count = faults.0.len();
        let noun = if count == 1 { "fault" } else { "faults" };
        Self::usage(format!("{count} {noun} in the definition\n{faults}"))
    }
}

/// The datasets that were named; without any, all there are.
async fn chosen(store: &Store, named: &[DatasetId]) -> Result<Vec<DatasetId>, CommandError> {
    match named {
        [] => Ok(store.datasets().await?),
        some => Ok(some.to_vec()),
    }
}

/// A dataset's newest snapshot.
async fn head(store: &Store, dataset: &DatasetId) -> Result<Arc<Manifest>, CommandError> {
    let head = store.head(dataset).await?;
    head.ok_or_else(|| CommandError::usage(format!("`{dataset}` has no snapshot yet: openshelf ingest {dataset}")))
}

/// Ready when someone asks the program to end: Ctrl-C, or SIGTERM as service managers send it.
fn asked_to_end() -> Result<impl Future<Output = ()>, CommandError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| CommandError::internal(error.to_string()))?;
    Ok(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    })
}

impl Places {
    fn open(&self) -> Result<Store, CommandError> {
        Store::open(&self.store).map_err(|error| match error {
            StoreError::Unusable { .. } => CommandError::usage(format!("{error} (--store, OPENSHELF_STORE)")),
            error => error.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_fit_together() {
        super::Arguments::command().debug_assert();
    }
}
