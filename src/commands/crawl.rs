//! What every command that fetches can be told: who asks, where downloads lie, how patient to be.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use openshelf::config::IngestSettings;

#[derive(Debug, Args)]
pub(super) struct Crawl {
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

impl Crawl {
    pub(super) fn settings(&self) -> IngestSettings {
        let mut settings = IngestSettings::new(self.scratch.clone());
        settings.contact = self.contact.clone().filter(|contact| !contact.trim().is_empty());
        settings.allow_private_sources = self.allow_private_sources;
        settings.fetch.pause = Duration::from_millis(self.pause_ms);
        settings.fetch.backoff = Duration::from_millis(self.backoff_ms);
        settings
    }
}
