//! `openshelf serve`: binds the address, says where it listens, serves until told to stop.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use openshelf::{
    config::{DerivedSettings, ExtractSettings, ScanCaps, ServeSettings, SqlCaps, SqlSettings},
    http,
};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use super::{CommandError, Places, asked_to_end, scratch::Scratch};

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Limits {
    On,
    Off,
}

/// An address to listen on, as people write it.
fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    numeric
        .parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:80".to_owned())
}

/// The base of URLs in answers.
fn base(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        Some(url) if url.query().is_none() && url.fragment().is_none() => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("write an http(s) address such as https://data.example.org, without a query".to_owned()),
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

pub(super) async fn run(places: &Places, arguments: &ServeArguments) -> Result<u8, CommandError> {
    log();
    let store = places.open()?;
    let scratch = Scratch::claim(&arguments.scratch).map_err(|error| {
        let folder = arguments.scratch.display();
        CommandError::usage(format!(
            "scratch folder {folder}: {error}; choose another with --scratch (OPENSHELF_SCRATCH)"
        ))
    })?;
    let settings = arguments.settings(scratch.folder());
    let listener = TcpListener::bind(settings.listen).await.map_err(|error| {
        CommandError::usage(format!("{} can't be listened on: {error}; choose another with --listen", settings.listen))
    })?;
    let address = listener.local_addr().map_err(|error| CommandError::internal(error.to_string()))?;
    let shutdown = asked_to_end()?;
    say!("listening on http://{address}");
    // Whoever started us may be waiting for this line.
    std::io::stdout().flush().unwrap_or_default();
    http::serve(listener, store, settings, chrono::Utc::now, shutdown)
        .await
        .map_err(|error| CommandError::internal(format!("the server ended: {error}")))?;
    Ok(0)
}

/// Logs go to standard error: for people on a terminal, as JSON lines elsewhere. `RUST_LOG` sets what is told.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,openshelf=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if std::io::stderr().is_terminal() { log.try_init() } else { log.json().flatten_event(true).try_init() };
    // Only a second subscriber in one process fails here, and then the first one logs.
    set.unwrap_or_default();
}
