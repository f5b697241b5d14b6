//! The coarse outer guard: requests by address. What a query costs in bytes and rows is another matter.
//!
//! The address is the socket's. `X-Forwarded-For` is believed only from listed proxies, and then only as far as they
//! wrote it themselves: a client that could choose its key would have a fresh allowance per value.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header, request::Parts},
    middleware::map_response,
    response::IntoResponse,
};
use governor::{
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};
use serde::Serialize;
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::KeyExtractor,
};

use utoipa::ToSchema;

use super::{
    problem::{Kind, Problem},
    state::AppState,
};
use crate::config::ServeSettings;

/// An allowance of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lane {
    name: &'static str,
    requests: u32,
    seconds: u32,
}

impl Lane {
    /// Seconds after which the whole allowance is there again: what was used comes back evenly.
    fn whole_in(self, left: u32) -> u64 {
        let used = u64::from(self.requests.saturating_sub(left));
        (used * u64::from(self.seconds)).div_ceil(u64::from(self.requests))
    }
}

impl std::fmt::Display for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} requests in {} seconds", self.name, self.requests, self.seconds)
    }
}

/// Rows, and everything that is looked up for a query.
pub(super) const QUERIES: Lane = Lane { name: "queries", requests: 500, seconds: 300 };
/// Files, file lists, manifests and pages: a cluster asks for thousands at once.
pub(super) const FILES: Lane = Lane { name: "files", requests: 100_000, seconds: 300 };

/// How often addresses whose allowance is whole again are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// The client's address, as set by the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Finds the address a request is counted under.
#[derive(Debug, Clone)]
pub(super) struct ByAddress {
    trusted: Arc<[IpAddr]>,
}

impl ByAddress {
    /// The client's address: the socket's, or the last one in `X-Forwarded-For` that no listed proxy has.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.is_trusted(client) {
            return client;
        }
        let forwarded: Vec<&str> = headers
            .get_all(HeaderName::from_static("x-forwarded-for"))
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for hop in forwarded.into_iter().rev() {
            let Some(address) = address(hop.trim()) else { break };
            client = address;
            if !self.is_trusted(client) {
                break;
            }
        }
        client
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|trusted| trusted.to_canonical() == address)
    }
}

fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let parsed = bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

/// IPv6 networks are handed out whole: one /64 is one client.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

impl KeyExtractor for ByAddress {
    type Key = IpAddr;

    fn extract<T>(&self, request: &Request<T>) -> Result<IpAddr, GovernorError> {
        let Peer(peer) = request.extensions().get::<Peer>().ok_or(GovernorError::UnableToExtractKey)?;
        Ok(network(self.client(peer.ip(), request.headers())))
    }
}

/// Who asks: an address, or a network of them that is one client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker(pub(super) IpAddr);

impl FromRequestParts<AppState> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Peer(peer) = parts.extensions.get::<Peer>().ok_or_else(|| Problem::internal("a request of nobody"))?;
        let by = ByAddress { trusted: state.settings.trusted_proxies.as_slice().into() };
        Ok(Self(network(by.client(peer.ip(), &parts.headers))))
    }
}

/// What is left of an allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Left {
    /// `queries`: rows, SQL, search and what belongs to them; `files`: files, lists of files, manifests and pages.
    lane: &'static str,
    /// Requests allowed.
    requests: u32,
    /// In so many seconds; what was used comes back evenly.
    seconds: u32,
    /// Requests left.
    left: u32,
    /// Seconds until all of them are there again; with none left, until the next one is.
    reset: u64,
}

type Config = GovernorConfig<ByAddress, StateInformationMiddleware>;

/// The allowances of all addresses, by lane; empty without limits.
#[derive(Default)]
pub(super) struct Lanes(Vec<(Lane, Arc<Config>)>);

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(lane, _)| lane)).finish()
    }
}

impl Lanes {
    /// Those of these settings.
    pub(super) fn new(settings: &ServeSettings) -> Self {
        if !settings.limits {
            return Self::default();
        }
        let lanes = [QUERIES, FILES].into_iter();
        Self(lanes.filter_map(|lane| Some((lane, Arc::new(config(lane, &settings.trusted_proxies)?)))).collect())
    }

    fn of(&self, lane: Lane) -> Option<&Arc<Config>> {
        self.0.iter().find(|(known, _)| *known == lane).map(|(_, config)| config)
    }

    /// What is left to whoever asks; to ask takes one of each.
    pub(super) fn left(&self, asker: Asker) -> Vec<Left> {
        let left = |(lane, config): &(Lane, Arc<Config>)| {
            let (left, reset) = match config.limiter().check_key(&asker.0) {
                Ok(state) => {
                    let left = state.remaining_burst_capacity();
                    (left, lane.whole_in(left))
                }
                Err(not_yet) => (0, not_yet.wait_time_from(DefaultClock::default().now()).as_secs() + 1),
            };
            Left { lane: lane.name, requests: lane.requests, seconds: lane.seconds, left, reset }
        };
        self.0.iter().map(left).collect()
    }
}

/// Puts a lane's limit around routes; without limits, the routes as they are.
pub(super) fn limited(router: Router<AppState>, lane: Lane, state: &AppState) -> Router<AppState> {
    let Some(config) = state.lanes.of(lane).map(Arc::clone) else { return router };
    forget_in_time(&config);
    let refuse = state.clone();
    let governor = GovernorLayer::new(config).error_handler(move |error| refused(&refuse, lane, error));
    router.layer(governor).layer(map_response(move |mut response: Response<Body>| async move {
        describe(lane, response.headers_mut());
        response
    }))
}

fn config(lane: Lane, trusted: &[IpAddr]) -> Option<Config> {
    let period = Duration::from_secs(lane.seconds.into()) / lane.requests;
    GovernorConfigBuilder::default()
        .period(period)
        .burst_size(lane.requests)
        .key_extractor(ByAddress { trusted: trusted.into() })
        .use_headers()
        .finish()
}

/// Ends by itself when the server is gone.
fn forget_in_time(config: &Arc<Config>) {
    let config = Arc::downgrade(config);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(FORGET_EVERY).await;
            let Some(config) = config.upgrade() else { return };
            config.limiter().retain_recent();
            config.limiter().shrink_to_fit();
        }
    });
}

fn refused(state: &AppState, lane: Lane, error: GovernorError) -> Response<Body> {
    match error {
        GovernorError::TooManyRequests { wait_time, headers } => {
            // The wait is rounded down: an answer of 0 would be refused again at once.
            let wait = wait_time + 1;
            let detail = format!(
                "{} requests in {} s are allowed from one address in the lane `{}`; the next one will pass in {wait} s.",
                lane.requests, lane.seconds, lane.name
            );
            let mut response = Problem::new(Kind::TooManyRequests, detail)
                .hint(state.url("/docs#limits"))
                .header(header::RETRY_AFTER, wait)
                .into_response();
            for (name, value) in headers.into_iter().flatten() {
                if let Some(name) = name.filter(|name| name.as_str().starts_with("x-ratelimit-")) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        other => Problem::internal(other).into_response(),
    }
}

/// The headers of the IETF's draft in place of the governor's.
fn describe(lane: Lane, headers: &mut HeaderMap) {
    let number = |value: Option<HeaderValue>| value?.to_str().ok()?.parse::<u32>().ok();
    headers.remove("x-ratelimit-limit");
    let after = number(headers.remove("x-ratelimit-after"));
    let Some(left) = number(headers.remove("x-ratelimit-remaining")) else { return };
    let reset = after.map_or(lane.whole_in(left), |after| u64::from(after) + 1);
    let policy = format!("\"{}\";q={};w={}", lane.name, lane.requests, lane.seconds);
    let limit = format!("\"{}\";r={left};t={reset}", lane.name);
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", limit)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted = trusted.iter().map(|address| address.parse().expect("an address")).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::try_from(*value).expect("a value"));
        }
        ByAddress { trusted }.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn forwarded_addresses_count_only_from_listed_proxies() {
        assert_eq!(client(&[], "198.51.100.7", &["203.0.113.9"]), "198.51.100.7");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["6.6.6.6, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["6.6.6.6", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1", "10.0.0.1"], "127.0.0.1", &["203.0.113.9, 10.0.0.1"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["203.0.113.9, junk"]), "127.0.0.1");
        assert_eq!(client(&["127.0.0.1"], "::ffff:127.0.0.1", &["203.0.113.9:55"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let net = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(net("2001:db8:1:2:3:4:5:6"), net("2001:db8:1:2::9"));
        assert_ne!(net("2001:db8:1:2::1"), net("2001:db8:1:3::1"));
        assert_ne!(net("192.0.2.1"), net("192.0.2.2"));
    }
}
