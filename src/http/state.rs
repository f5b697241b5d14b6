//! What every handler may use.

use std::sync::{Arc, atomic::AtomicU64};

use super::{
    background::Background, decoders::Decoders, extracts::Extracts, limits::Lanes, listing::Listing,
    locations::Locations, metrics::Metrics, statistics::Known,
};
use crate::{
    config::ServeSettings,
    iceberg::Renderings,
    query::{engine::Engine, footer::Footers, search::Indexes, table::Tables},
    store::Store,
};
use chrono::{DateTime, Utc};

/// Where the time comes from.
pub type Clock = fn() -> DateTime<Utc>;

/// Batches decoded at one time where reading is waiting for a network.
const DECODERS: usize = 16;
/// Search indexes copied from the store at one time.
const FETCHES: usize = 4;

/// Batches decoded at one time: from a local disk more than there are cores only fills memory and switches threads.
fn decoders(store: &Store) -> usize {
    match std::thread::available_parallelism() {
        Ok(cores) if store.is_local() => DECODERS.min(2 * cores.get()),
        _ => DECODERS,
    }
}

/// Shared by all requests; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct AppState(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) settings: ServeSettings,
    pub(super) footers: Arc<Footers>,
    pub(super) tables: Tables,
    pub(super) listing: Listing,
    pub(super) locations: Locations,
    pub(super) metrics: Metrics,
    pub(super) decoders: Decoders,
    /// Work that no answer waits for.
    pub(super) background: Background,
    /// Copies of indexes from the store to here: they never wait for what is made.
    pub(super) fetches: Background,
    pub(super) extracts: Extracts,
    /// What is left to each address.
    pub(super) lanes: Lanes,
    pub(super) statistics: Known,
    /// Computes what is more than a slice.
    pub(super) engine: Engine,
    pub(super) indexes: Indexes,
    /// Iceberg metadata made so far.
    pub(super) iceberg: Renderings,
    pub(super) clock: Clock,
    /// Whether personal datasets may be served.
    pub(super) serves_personal: bool,
    /// Part of request ids, so that those of one millisecond differ.
    pub(super) requests: AtomicU64,
}

impl std::ops::Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl AppState {
    /// `loopback`: whether only this machine can connect.
    pub(super) fn new(store: Store, settings: ServeSettings, engine: Engine, clock: Clock, loopback: bool) -> Self {
        // Behind a proxy, loopback is how the whole world connects.
        let alone = loopback && settings.trusted_proxies.is_empty();
        let decoders = Decoders::new(decoders(&store));
        let footers = Arc::new(Footers::new(settings.page_cache));
        let extracts = Extracts::new(settings.extracts.workers);
        Self(Arc::new(Inner {
            serves_personal: settings.allow_personal || alone,
            lanes: Lanes::new(&settings),
            indexes: Indexes::new(settings.derived.cache.clone(), settings.derived.cache_bytes),
            store,
            settings,
            footers,
            tables: Tables::default(),
            listing: Listing::default(),
            locations: Locations::default(),
            metrics: Metrics::default(),
            decoders,
            background: Background::default(),
            fetches: Background::new(FETCHES),
            extracts,
            statistics: Known::default(),
            engine,
            iceberg: Renderings::default(),
            clock,
            requests: AtomicU64::default(),
        }))
    }

    /// An address on this server: absolute when a public one is configured.
    pub(super) fn url(&self, path: &str) -> String {
        match &self.settings.public_url {
            Some(base) => format!("{}{path}", base.trim_end_matches('/')),
            None => path.to_owned(),
        }
    }
}
