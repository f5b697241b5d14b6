//! Numbers for operators, in the OpenMetrics text form at `/metrics`.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::query::PageCounts;

/// What a request is counted under. `route` is the pattern, never the address: addresses are without number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) method: &'static str,
    pub(super) route: String,
    pub(super) status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub(super) route: String,
}

type Histograms = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// All counters of a server.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    duration: Histograms,
    sent: Family<RouteLabels, Counter>,
    pub(super) rows: Counter,
    pub(super) scanned: Counter,
    pub(super) broken: Counter,
    pub(super) connections: Gauge,
    page_hits: Counter,
    page_misses: Counter,
    page_bytes: Gauge,
    working: Gauge,
    waiting: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("openshelf");
        let requests = Family::default();
        // 1 ms to about 65 s.
        let duration: Histograms = Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 17)));
        let sent = Family::default();
        let (rows, scanned, broken) = (Counter::default(), Counter::default(), Counter::default());
        let (connections, working, waiting) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time to the last byte of an answer",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register_with_unit("sent", "Bytes of answers, before compression", Unit::Bytes, sent.clone());
        registry.register("rows", "Rows sent", rows.clone());
        registry.register_with_unit("scanned", "Bytes read from the store for rows", Unit::Bytes, scanned.clone());
        registry.register("broken_answers", "Answers cut off by an error after their first byte", broken.clone());
        registry.register("connections", "Open connections", connections.clone());
        let (page_hits, page_misses, page_bytes) = (Counter::default(), Counter::default(), Gauge::default());
        registry.register("page_cache_hits", "Pages of slices found decompressed in memory", page_hits.clone());
        registry.register("page_cache_misses", "Pages of slices read from the store", page_misses.clone());
        registry.register_with_unit("page_cache", "Pages and dictionaries in memory", Unit::Bytes, page_bytes.clone());
        registry.register("background_working", "Statistics and search indexes being made", working.clone());
        registry.register("background_waiting", "Statistics and search indexes waiting to be made", waiting.clone());
        Self {
            registry,
            requests,
            duration,
            sent,
            rows,
            scanned,
            broken,
            connections,
            page_hits,
            page_misses,
            page_bytes,
            working,
            waiting,
        }
    }
}

impl Metrics {
    /// Counts one finished request.
    pub(super) fn request(&self, labels: &RequestLabels, seconds: f64, bytes: u64) {
        let route = RouteLabels { route: labels.route.clone() };
        self.requests.get_or_create(labels).inc();
        self.duration.get_or_create(&route).observe(seconds);
        self.sent.get_or_create(&route).inc_by(bytes);
    }

    /// Notes how much background work there is.
    pub(super) fn background(&self, (working, waiting): (usize, usize)) {
        self.working.set(i64::try_from(working).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Notes how often decompressed pages were kept when they were wanted.
    pub(super) fn pages(&self, counts: PageCounts) {
        self.page_hits.inc_by(counts.hits.saturating_sub(self.page_hits.get()));
        self.page_misses.inc_by(counts.misses.saturating_sub(self.page_misses.get()));
        self.page_bytes.set(i64::try_from(counts.bytes).unwrap_or(i64::MAX));
    }

    /// The text of `/metrics`.
    pub(super) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
