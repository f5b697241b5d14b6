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
mod export_iceberg;
mod gc;
mod index;
mod ingest;
mod new;
mod scratch;
mod serve;
mod shelf;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use openshelf::{
    catalog::{Blame, DatasetId},
    config::{DerivedSettings, ExtractSettings, IngestSettings, ScanCaps, ServeSettings, SqlCaps, SqlSettings},
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
    Ingest(IngestArguments),
    /// Serve the store over HTTP
    #[command(after_help = "Examples:
  openshelf serve                                http://127.0.0.1:8080, this machine only
  openshelf serve --listen 0.0.0.0:80 --public-url https://data.example.org
  openshelf serve --store s3://bucket/prefix     with AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …

New snapshots are served as they are published, without a restart. Datasets whose license is `personal` are served on
loopback addresses only. Logs go to standard error (RUST_LOG=debug says more); Ctrl-C lets answers end first.")]
    Serve(ServeArguments),
    /// Validate a definition, ingest its sample into memory, compare with expected/, show schema and first rows
    #[command(after_help = "Examples:
  openshelf check rivers                         every fault of the definition with line and column, or its rows
  openshelf check rivers --write                 write the rows to expected/, then read each before you commit it

Nothing is kept: the sample is ingested into memory. datasets/README.md says how to write a definition.")]
    Check(CheckArguments),
    /// Write a definition for a file or URL: format and schema are inferred from the bytes
    #[command(after_help = "Examples:
  openshelf new rivers --from ~/Downloads/rivers.csv.gz
  OPENSHELF_CONTACT=you@example.org openshelf new rivers --from https://example.org/rivers.csv.gz

Writes datasets/rivers/ with dataset.toml, a sample and golden rows, such that `openshelf check rivers` passes. The
license is `personal` until you write down the true one.")]
    New(NewArguments),
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
    Index(IndexArguments),
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
    Gc(GcArguments),
    /// Write tables' Iceberg metadata into the store, for jobs that read its bucket without a server
    #[command(after_help = "Examples:
  openshelf export-iceberg imdb                  after `openshelf ingest imdb`
  openshelf export-iceberg                       every dataset in the store
  openshelf export-iceberg --base s3a://shelf    for Spark with Hadoop's S3 client

A server's catalog at /iceberg needs none of this. What is there already is not written again; snapshots published later
are there after the next export. Another --base replaces what the one before wrote.")]
    ExportIceberg(ExportArguments),
    /// Print the JSON Schema of dataset.toml, for editors
    #[command(after_help = "Example:
  openshelf schema > datasets/dataset.schema.json
  and `#:schema ../dataset.schema.json` as the first line of a dataset.toml")]
    Schema,
}

#[derive(Debug, Args)]
struct IngestArguments {
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

#[derive(Debug, Args)]
struct Crawl {
    /// Your address or page: upstreams see it in the User-Agent and can write to you
    #[arg(long, env = "OPENSHELF_CONTACT")]
    contact: Option<String>,
    /// Disposable local space: downloads that can be resumed, sort spills
    #[arg(long, env = "OPENSHELF_SCRATCH", default_value = "scratch")]
    scratch: PathBuf,
    /// Let definitions name loopback and private addresses
    #[arg(
        long,
        env = "OPENSHELF_ALLOW_PRIVATE_SOURCES",
        value_parser = clap::builder::FalseyValueParser::new(),
        action = clap::ArgAction::SetTrue
    )]
    allow_private_sources: bool,
    /// Milliseconds between two requests to one host
    #[arg(long, env = "OPENSHELF_PAUSE_MS", default_value_t = 1000)]
    pause_ms: u64,
    /// Milliseconds before a failed request is tried again; doubles each time
    #[arg(long, env = "OPENSHELF_BACKOFF_MS", default_value_t = 1000)]
    backoff_ms: u64,
}

#[derive(Debug, Args)]
struct ServeArguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env = "OPENSHELF_LISTEN", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// Base of the URLs in answers, such as https://data.example.org; default: relative URLs
    #[arg(long, env = "OPENSHELF_PUBLIC_URL", value_parser = base)]
    public_url: Option<String>,
    /// Serve datasets whose license is `personal` beyond loopback too: only where everyone who reaches you may have them
    #[arg(long)]
    allow_personal: bool,
    /// Fair limits per address
    #[arg(long, env = "OPENSHELF_LIMITS", value_enum, default_value_t = Limits::On)]
    limits: Limits,
    /// Proxies whose X-Forwarded-For is believed: addresses, comma-separated
    #[arg(long, env = "OPENSHELF_TRUSTED_PROXIES", value_delimiter = ',')]
    trusted_proxies: Vec<std::net::IpAddr>,
    /// Seconds of work on one query before its answer begins, and on a JSON answer as a whole
    #[arg(long, env = "OPENSHELF_SCAN_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    scan_seconds: u64,
    /// Seconds of work on one streamed answer; the time a slow client takes to read it does not count
    #[arg(long, env = "OPENSHELF_STREAM_SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    stream_seconds: u64,
    /// Bytes one query may read from the store
    #[arg(long, env = "OPENSHELF_SCAN_BYTES", default_value_t = 4_000_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    scan_bytes: u64,
    /// Bytes of decompressed pages kept in memory for slices that are asked for again
    #[arg(long, env = "OPENSHELF_PAGE_CACHE", default_value_t = 67_108_864)]
    page_cache: u64,
    /// Seconds of work on one SQL query
    #[arg(long, env = "OPENSHELF_SQL_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    sql_seconds: u64,
    /// Bytes of memory that one SQL query may hold for sorting, grouping and joining
    #[arg(long, env = "OPENSHELF_SQL_MEMORY", default_value_t = 134_217_728)]
    sql_memory: u64,
    /// Bytes of memory that all of them may hold together
    #[arg(long, env = "OPENSHELF_SQL_POOL", default_value_t = 201_326_592)]
    sql_pool: u64,
    /// Bytes of scratch space that one SQL query, or one sort of a whole table, may take
    #[arg(long, env = "OPENSHELF_SQL_SPILL", default_value_t = 1_073_741_824)]
    sql_spill: u64,
    /// Bytes one SQL query may read from the store
    #[arg(long, env = "OPENSHELF_SQL_BYTES", default_value_t = 4_000_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    sql_bytes: u64,
    /// Rows one SQL query may give
    #[arg(long, env = "OPENSHELF_SQL_ROWS", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    sql_rows: u64,
    /// SQL queries and sorts of whole tables that run at one time
    #[arg(long, env = "OPENSHELF_SQL_RUNNING", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    sql_running: u16,
    /// SQL queries that may wait for their turn; more are told to come back
    #[arg(long, env = "OPENSHELF_SQL_WAITING", default_value_t = 32)]
    sql_waiting: u16,
    /// Disposable local space: what queries and sorts do not hold in memory, files of extracts before they are in the store
    #[arg(long, env = "OPENSHELF_SCRATCH", default_value = "scratch")]
    scratch: PathBuf,
    /// Extracts run at one time; 0 leaves them to other servers over the same store
    #[arg(long, env = "OPENSHELF_EXTRACT_WORKERS", default_value_t = 1)]
    extract_workers: usize,
    /// Days that the files of an extract are kept; its record stays
    #[arg(long, env = "OPENSHELF_EXTRACT_DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=36500))]
    extract_days: u64,
    /// Disposable local space for search indexes in use
    #[arg(long, env = "OPENSHELF_CACHE", default_value = "cache")]
    cache: PathBuf,
    /// Bytes of it, about
    #[arg(long, env = "OPENSHELF_CACHE_BYTES", default_value_t = 10_000_000_000)]
    cache_bytes: u64,
}

#[derive(Debug, Args)]
struct IndexArguments {
    /// The datasets; none: all there are
    dataset: Vec<DatasetId>,
    /// Disposable local space, as for `serve`
    #[arg(long, env = "OPENSHELF_CACHE", default_value = "cache")]
    cache: PathBuf,
}

#[derive(Debug, Args)]
struct GcArguments {
    /// The datasets; none: all there are, and extracts
    dataset: Vec<DatasetId>,
    /// Remove nothing; say what would go
    #[arg(long)]
    dry_run: bool,
    /// How long files stay beyond their snapshot's retention, and what belongs to no snapshot beyond its writing: `90m`, `12h`, `2d`
    #[arg(long, env = "OPENSHELF_GC_GRACE", default_value = "2d", value_parser = span)]
    grace: Duration,
    /// Name every object
    #[arg(long)]
    list: bool,
    /// Print lines of JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ExportArguments {
    /// The datasets; none: all there are
    dataset: Vec<DatasetId>,
    /// The store's address as its readers spell it, such as s3a://bucket/prefix; default: the store's own
    #[arg(long, value_parser = absolute)]
    base: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Limits {
    On,
    Off,
}

#[derive(Debug, Args)]
struct CheckArguments {
    /// The dataset
    dataset: DatasetId,
    /// Write what the sample gives to expected/ instead of comparing; read every row before you commit it
    #[arg(long)]
    write: bool,
}

#[derive(Debug, Args)]
struct NewArguments {
    /// Its name: lower-case letters, digits, `-`
    dataset: DatasetId,
    /// A file or an http(s) URL
    #[arg(long)]
    from: String,
    #[command(flatten)]
    crawl: Crawl,
}

impl Crawl {
    fn settings(&self) -> IngestSettings {
        let mut settings = IngestSettings::new(self.scratch.clone());
        settings.contact = self.contact.clone().filter(|contact| !contact.trim().is_empty());
        settings.allow_private_sources = self.allow_private_sources;
        settings.fetch.pause = Duration::from_millis(self.pause_ms);
        settings.fetch.backoff = Duration::from_millis(self.backoff_ms);
        settings
    }
}

/// An address to listen on, as people write it.
fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    numeric
        .parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:80".to_owned())
}

/// A span of time.
fn span(text: &str) -> Result<Duration, String> {
    openshelf::catalog::retention::duration(text)
        .ok_or_else(|| "write a number and s, m, h, d or w, such as 90m, 12h or 2d".to_owned())
}

/// The base of URLs in answers.
fn base(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        Some(url) if url.query().is_none() && url.fragment().is_none() => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("write an http(s) address such as https://data.example.org, without a query".to_owned()),
    }
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

impl ServeArguments {
    /// With local space in `scratch`, which is this server's own.
    fn settings(&self, scratch: &Path) -> ServeSettings {
        ServeSettings {
            listen: self.listen,
            public_url: self.public_url.clone(),
            allow_personal: self.allow_personal,
            limits: self.limits == Limits::On,
            trusted_proxies: self.trusted_proxies.clone(),
            scan: ScanCaps {
                time: Duration::from_secs(self.scan_seconds),
                stream_time: Duration::from_secs(self.stream_seconds),
                bytes: self.scan_bytes,
            },
            page_cache: self.page_cache,
            sql: SqlSettings {
                anonymous: SqlCaps {
                    time: Duration::from_secs(self.sql_seconds),
                    memory: self.sql_memory,
                    spill: self.sql_spill,
                    bytes: self.sql_bytes,
                    rows: self.sql_rows,
                },
                memory: self.sql_pool,
                running: self.sql_running.into(),
                waiting: self.sql_waiting.into(),
                ..SqlSettings::new(scratch.join("sql"))
            },
            extracts: ExtractSettings {
                workers: self.extract_workers,
                keep: Duration::from_secs(self.extract_days * 24 * 3600),
                ..ExtractSettings::new(scratch.join("extracts"))
            },
            derived: DerivedSettings { cache_bytes: self.cache_bytes, ..DerivedSettings::new(self.cache.clone()) },
        }
    }
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
