//! Upstream bytes into scratch, verified: the only part of ingest that calls out.
//!
//! It knows addresses, HTTP and checksums, and nothing of formats, tables or datasets. `web` makes one polite request
//! (robots.txt, per-host gate, address checks, redirects), `download` one file out of as many requests as it takes,
//! `local` reads files that are here already.

mod address;
mod digest;
mod document;
mod download;
mod gate;
mod html;
mod local;
mod retry;
mod robots;
mod slot;
mod web;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{sync::OnceCell, time::Instant};
use url::Url;

pub use document::{Document, Found};

use self::{download::Download, slot::Slot, web::Web};
use crate::{
    config::{FetchSettings, IngestSettings},
    ingest::{Failure, definition::grammar::ChecksumKind, progress::Progress},
};

/// Downloads that nobody came back for in this time are removed from scratch.
const KEPT_IN_SCRATCH: Duration = Duration::from_secs(14 * 24 * 3600);

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its address (http, https); for `path` sources the path as the definition writes it.
    pub url: String,
    /// Size, where upstream says it elsewhere (a status document, a listing).
    pub bytes: Option<u64>,
    /// Checksum in hex, where upstream publishes one.
    pub checksum: Option<(ChecksumKind, String)>,
    /// Set when it is on this machine (`path` sources, samples): read in place.
    pub local: Option<PathBuf>,
}

impl RemoteFile {
    /// The last segment of the address, decoded: the file's name.
    pub fn name(&self) -> String {
        file_name(&self.url)
    }
}

/// What an answer said about its version; sent back to ask whether there is a newer one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, verbatim.
    pub etag: Option<String>,
    /// `Last-Modified`, verbatim.
    pub last_modified: Option<String>,
}

/// What came of fetching a file.
#[derive(Debug)]
pub enum Fetched {
    /// It is here, whole and right.
    File(FetchedFile),
    /// Upstream still has the version that is known.
    NotModified,
    /// Upstream does not have it (404, 410, no such local file).
    Missing {
        /// What it answered, with the address.
        reason: String,
    },
}

/// A fetched file. A download belongs to this value alone while it lives; it stays in scratch, for the next run, until
/// [`FetchedFile::discard`].
#[derive(Debug, Clone)]
pub struct FetchedFile {
    /// Where its bytes are.
    pub path: PathBuf,
    /// Size as fetched.
    pub bytes: u64,
    /// sha256 of the bytes as fetched, hex.
    pub sha256: String,
    /// `ETag`, verbatim; for local files made of size and time of change.
    pub etag: Option<String>,
    /// `Last-Modified`, verbatim.
    pub last_modified: Option<String>,
    /// When it was fetched.
    pub fetched: DateTime<Utc>,
    slot: Option<Slot>,
}

impl FetchedFile {
    /// Removes a download from scratch, once nobody needs it any more. Local files stay.
    pub fn discard(self) {
        if let Some(slot) = self.slot
            && let Err(error) = slot.discard()
        {
            tracing::warn!(path = %slot.path().display(), %error, "a download could not be removed from scratch");
        }
    }
}

/// Fetches for one run: shares its gates, its robots.txt, its documents and its caps. Make one per run.
#[derive(Debug)]
pub struct Fetcher {
    web: Web,
    settings: FetchSettings,
    allow_private: bool,
    downloads: PathBuf,
    progress: Progress,
    documents: Mutex<HashMap<String, Arc<OnceCell<Found>>>>,
    bytes: AtomicU64,
    most_bytes: u64,
    deadline: Option<Instant>,
    time: Duration,
    sweep: Once,
}

impl Fetcher {
    /// A fetcher whose run begins now. Fails when the HTTP client cannot be set up.
    pub fn new(settings: &IngestSettings, progress: Progress) -> Result<Self, Failure> {
        Ok(Self {
            web: Web::new(settings)?,
            settings: settings.fetch.clone(),
            allow_private: settings.allow_private_sources,
            downloads: settings.scratch.join("downloads"),
            progress,
            documents: Mutex::default(),
            bytes: AtomicU64::new(0),
            most_bytes: settings.caps.fetch_bytes,
            deadline: Instant::now().checked_add(settings.caps.run_time),
            time: settings.caps.run_time,
            sweep: Once::new(),
        })
    }

    /// Brings a file here, or says that the known version still holds or that there is none.
    ///
    /// Blames upstream for what does not come, comes wrong or comes as a web page.
    pub async fn fetch(
        &self,
        file: &RemoteFile,
        known: Option<&Validators>,
        now: DateTime<Utc>,
    ) -> Result<Fetched, Failure> {
        if let Some(path) = self.local_path(file)? {
            let (file, known) = (file.clone(), known.cloned());
            let read = tokio::task::spawn_blocking(move || local::fetch(&path, &file, known.as_ref(), now));
            return read
                .await
                .map_err(|error| Failure::internal(format!("reading a local file broke off: {error}")))?;
        }
        let url = parse(&file.url)?;
        self.sweep.call_once(|| {
            if let Some(before) = std::time::SystemTime::from(now).checked_sub(KEPT_IN_SCRATCH)
                && let Err(error) = slot::sweep(&self.downloads, before)
            {
                tracing::warn!(path = %self.downloads.display(), %error, "old downloads could not be removed");
            }
        });
        let download = Download::new(self, file, url, known)?;
        self.in_time(&file.url, download.run(now)).await
    }

    /// Bytes that came over the network so far.
    pub fn fetched_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Where things said to people go.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The path of a file that is on this machine.
    fn local_path(&self, file: &RemoteFile) -> Result<Option<PathBuf>, Failure> {
        if let Some(path) = &file.local {
            return Ok(Some(path.clone()));
        }
        if !file.url.starts_with("file:") {
            return Ok(None);
        }
        if !self.allow_private {
            return Err(Failure::definition(format!(
                "{}: files of this machine are named by `path`; file: addresses need private sources to be allowed \
                 (OPENSHELF_ALLOW_PRIVATE_SOURCES=1)",
                file.url
            )));
        }
        let path = parse(&file.url)?.to_file_path();
        path.map(Some).map_err(|()| Failure::definition(format!("{}: is no path of this machine", file.url)))
    }

    /// Counts bytes that came; fails when they are more than this run may fetch.
    fn count_bytes(&self, bytes: u64, url: &Url) -> Result<(), Failure> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.within_cap(before.saturating_add(bytes), url)
    }

    /// Fails beforehand when a body of this size is more than the run may still fetch.
    fn admit_bytes(&self, bytes: u64, url: &Url) -> Result<(), Failure> {
        self.within_cap(self.fetched_bytes().saturating_add(bytes), url)
    }

    fn within_cap(&self, bytes: u64, url: &Url) -> Result<(), Failure> {
        if bytes <= self.most_bytes {
            return Ok(());
        }
        Err(Failure::definition(format!(
            "{url}: with it this run fetches more than {} bytes, its cap; raise `limits.bytes`, or name fewer sources",
            self.most_bytes
        )))
    }

    /// Ends what takes longer than the run may.
    async fn in_time<T>(&self, url: &str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let Some(deadline) = self.deadline else { return work.await };
        tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| {
            Err(Failure::definition(format!(
                "{url}: not here after {} s, the longest this run may take; raise `limits.time`. The next run continues \
                 the download",
                self.time.as_secs()
            )))
        })
    }
}

fn parse(url: &str) -> Result<Url, Failure> {
    Url::parse(url).map_err(|error| Failure::definition(format!("`{url}` is no address: {error}")))
}

/// The last segment of an address or path, decoded; empty when there is none.
pub fn file_name(url: &str) -> String {
    let path = match Url::parse(url) {
        Ok(url) if !url.cannot_be_a_base() => url.path().to_owned(),
        _ => url.to_owned(),
    };
    let last = path.rsplit('/').next().unwrap_or_default();
    percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned()
}
