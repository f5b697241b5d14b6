//! Settings: plain data, read once from flags and environment, handed to every part. Nothing else reads the environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// What an ingest run may do and take.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Disposable local space: downloads that can be resumed, sort spills.
    pub scratch: PathBuf,
    /// Goes into the User-Agent; a crawl of the network without it is refused.
    pub contact: Option<String>,
    /// Lets definitions name loopback and private addresses.
    pub allow_private_sources: bool,
    /// Fetching.
    pub fetch: FetchSettings,
    /// Caps on foreign bytes.
    pub caps: Caps,
    /// Shape of the Parquet files.
    pub encode: EncodeSettings,
}

/// Manners and patience towards upstreams.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// Least time between two requests to one host.
    pub pause: Duration,
    /// Connections to one host at a time.
    pub connections: usize,
    /// Tries of one request before it counts as failed.
    pub attempts: u32,
    /// First wait between tries; doubles each time.
    pub backoff: Duration,
    /// Longest wait that a Retry-After may ask for.
    pub longest_wait: Duration,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Longest silence while a body is read.
    pub read_timeout: Duration,
}

/// Caps on what foreign bytes may make us do.
#[derive(Debug, Clone)]
pub struct Caps {
    /// Most bytes fetched in one run.
    pub fetch_bytes: u64,
    /// Longest run.
    pub run_time: Duration,
    /// Most bytes one file may decompress to.
    pub decompressed_bytes: u64,
    /// Most decompressed bytes per compressed byte (checked beyond the first 64 MiB).
    pub decompress_ratio: u64,
    /// Longest line, record or JSON value.
    pub record_bytes: usize,
    /// Deepest nesting of JSON and XML.
    pub depth: usize,
    /// Longest run of a transform script over one member.
    pub script_time: Duration,
    /// Most memory of a transform script.
    pub script_memory: u64,
    /// Most bytes a transform script may write.
    pub script_output: u64,
}

/// Rows in a data page at most, as files are written here: the reasons stand at [`EncodeSettings::page_rows`].
pub const PAGE_ROWS: usize = 1000;

/// Shape of the Parquet files.
#[derive(Debug, Clone)]
pub struct EncodeSettings {
    /// Rows in a data page at most. Smaller ones make slices cheaper, files and page indexes larger.
    ///
    /// Measured with `examples/layout.rs` on two million rows of the bench's titles, nine columns (2 cores, 2026-11-22):
    ///
    /// | page rows | bytes a row | 100 rows, µs | bytes read for them | one row, µs | all rows, million a second |
    /// |---|---|---|---|---|---|
    /// | 500 | 36.4 | 84 | 19 710 | 70 | 5.2 |
    /// | 1 000 | 34.8 | 103 | 34 788 | 92 | 5.8 |
    /// | 2 000 | 33.0 | 155 | 63 034 | 144 | 6.1 |
    /// | 4 000 | 31.6 | 261 | 116 679 | 246 | 6.2 |
    /// | 8 000 | 30.4 | 514 | 220 053 | 506 | 6.0 |
    ///
    /// Below 1 000 the page index, which is in memory for every file in use, doubles for a sixth of the time.
    pub page_rows: usize,
    /// Uncompressed bytes in a row group, about.
    pub row_group_bytes: usize,
    /// Rows in a row group at most.
    pub row_group_rows: usize,
    /// Bytes of a file, about.
    pub file_bytes: u64,
    /// Memory a sort may hold before it spills.
    pub sort_memory: usize,
    /// Partitions of one part at most: each is a file at least.
    pub partitions: usize,
    /// Files at most that a table has only because it is partitioned: partitions beyond the first one of each part.
    pub partition_files: usize,
}

/// What a server needs to know.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Base of absolute URLs in answers.
    pub public_url: Option<String>,
    /// Serve `personal` datasets beyond loopback.
    pub allow_personal: bool,
    /// Whether requests are limited.
    pub limits: bool,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// What one scan may take.
    pub scan: ScanCaps,
    /// Bytes of decompressed pages kept in memory.
    pub page_cache: u64,
    /// SQL.
    pub sql: SqlSettings,
    /// Statistics and search.
    pub derived: DerivedSettings,
    /// Extracts.
    pub extracts: ExtractSettings,
}

/// Queries that are run as jobs.
#[derive(Debug, Clone)]
pub struct ExtractSettings {
    /// Jobs of this server at one time; 0 leaves them to others.
    pub workers: usize,
    /// Extracts that may wait or be under way in all.
    pub waiting: usize,
    /// What one extract of somebody without a key may take.
    pub anonymous: ExtractCaps,
    /// Bytes of a file, about.
    pub file_bytes: u64,
    /// How long files are kept.
    pub keep: Duration,
    /// A server at work on one that says nothing for so long has lost it; it says something three times as often.
    pub lease: Duration,
    /// How often the store is asked what is to be done.
    pub look_every: Duration,
    /// Disposable local space for files before they are in the store.
    pub scratch: PathBuf,
}

/// Caps on one extract.
#[derive(Debug, Clone, Copy)]
pub struct ExtractCaps {
    /// Extracts of one address that may wait or be under way.
    pub waiting: usize,
    /// Longest work.
    pub time: Duration,
    /// Most bytes read from the store.
    pub bytes: u64,
    /// Most bytes of intermediate results on disk.
    pub spill: u64,
    /// Most bytes of the result.
    pub result: u64,
}

/// What is made from snapshots behind the answers: statistics, search indexes.
#[derive(Debug, Clone)]
pub struct DerivedSettings {
    /// Disposable local space for search indexes in use.
    pub cache: PathBuf,
    /// Bytes of it, about.
    pub cache_bytes: u64,
    /// How long an answer waits for what is not made yet, before it says so.
    pub patience: Duration,
}

/// SQL and whatever else the engine computes.
#[derive(Debug, Clone)]
pub struct SqlSettings {
    /// What one query of somebody without a key may take.
    pub anonymous: SqlCaps,
    /// What one query of somebody with a key may take.
    pub key: SqlCaps,
    /// Bytes of memory that all queries may hold together.
    pub memory: u64,
    /// Queries that run at one time.
    pub running: usize,
    /// Queries that wait for their turn; more are told to come back.
    pub waiting: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Disposable local space for what does not fit in memory.
    pub scratch: PathBuf,
}

/// Caps on one query of the engine.
#[derive(Debug, Clone, Copy)]
pub struct SqlCaps {
    /// Longest work, planning included. Time in which the client does not read is not work.
    pub time: Duration,
    /// Most bytes of memory that sorting, grouping and joining may hold.
    pub memory: u64,
    /// Most bytes of intermediate results on disk.
    pub spill: u64,
    /// Most bytes read from the store.
    pub bytes: u64,
    /// Most rows of a result.
    pub rows: u64,
}

/// Caps on the work for one answer.
#[derive(Debug, Clone, Copy)]
pub struct ScanCaps {
    /// Longest work until an answer's first byte; for JSON, on the whole answer.
    pub time: Duration,
    /// Longest work on an answer that has begun. Time in which the client does not read is not work.
    pub stream_time: Duration,
    /// Most bytes read from the store.
    pub bytes: u64,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl IngestSettings {
    /// The defaults over a scratch folder.
    pub fn new(scratch: PathBuf) -> Self {
        Self {
            scratch,
            contact: None,
            allow_private_sources: false,
            fetch: FetchSettings::default(),
            caps: Caps::default(),
            encode: EncodeSettings::default(),
        }
    }
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            pause: Duration::from_secs(1),
            connections: 1,
            attempts: 5,
            backoff: Duration::from_secs(1),
            longest_wait: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(60),
        }
    }
}

impl ScanCaps {
    /// For scans that one's own machine does for oneself.
    pub fn none() -> Self {
        Self { time: Duration::MAX, stream_time: Duration::MAX, bytes: u64::MAX }
    }
}

impl Default for ScanCaps {
    fn default() -> Self {
        Self { time: Duration::from_secs(30), stream_time: Duration::from_secs(600), bytes: 4_000_000_000 }
    }
}

impl DerivedSettings {
    /// The defaults, over a cache folder.
    pub fn new(cache: PathBuf) -> Self {
        Self { cache, cache_bytes: 10_000_000_000, patience: Duration::from_millis(400) }
    }
}

impl SqlCaps {
    /// What somebody without a key gets.
    pub fn anonymous() -> Self {
        Self { time: Duration::from_secs(10), memory: 128 * MIB, spill: GIB, bytes: 4_000_000_000, rows: 10_000_000 }
    }

    /// What somebody with a key gets.
    pub fn key() -> Self {
        Self { time: Duration::from_secs(60), spill: 4 * GIB, bytes: 30_000_000_000, ..Self::anonymous() }
    }
}

impl SqlSettings {
    /// The defaults, over a scratch folder and as many threads as there are cores.
    pub fn new(scratch: PathBuf) -> Self {
        Self {
            anonymous: SqlCaps::anonymous(),
            key: SqlCaps::key(),
            memory: 192 * MIB,
            running: 4,
            waiting: 32,
            threads: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            scratch,
        }
    }
}

impl ExtractCaps {
    /// What somebody without a key gets.
    pub fn anonymous() -> Self {
        Self {
            waiting: 3,
            time: Duration::from_secs(600),
            bytes: 40_000_000_000,
            spill: 20 * GIB,
            result: 10_000_000_000,
        }
    }
}

impl ExtractSettings {
    /// The defaults over a scratch folder.
    pub fn new(scratch: PathBuf) -> Self {
        Self {
            workers: 1,
            waiting: 100,
            anonymous: ExtractCaps::anonymous(),
            file_bytes: 256 * MIB,
            keep: Duration::from_secs(7 * 24 * 3600),
            lease: Duration::from_secs(30),
            look_every: Duration::from_secs(5),
            scratch,
        }
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            fetch_bytes: 500 * GIB,
            run_time: Duration::from_secs(24 * 3600),
            decompressed_bytes: 4096 * GIB,
            decompress_ratio: 1000,
            record_bytes: (256 * MIB) as usize,
            depth: 128,
            script_time: Duration::from_secs(6 * 3600),
            script_memory: 4 * GIB,
            script_output: 1024 * GIB,
        }
    }
}

impl Default for EncodeSettings {
    fn default() -> Self {
        Self {
            page_rows: PAGE_ROWS,
            row_group_bytes: (96 * MIB) as usize,
            row_group_rows: 1_000_000,
            file_bytes: 512 * MIB,
            sort_memory: (256 * MIB) as usize,
            partitions: 1000,
            partition_files: 10_000,
        }
    }
}
