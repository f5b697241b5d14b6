//! One polite request at a time: who we are, which hosts may be asked and how often, robots.txt, redirects followed by
//! hand so that every hop is checked. Knows nothing of files; [`super::download`] does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Client, Response, redirect};
use tokio::sync::OnceCell;
use url::Url;

use super::{
    address::{self, Causes, Forbidden, Resolver},
    gate::{Gate, Passage},
    retry,
    robots::{self, Rules},
};
use crate::{
    config::{FetchSettings, IngestSettings},
    ingest::Failure,
};

/// Most redirects followed for one request.
const MOST_REDIRECTS: usize = 10;

/// Why a request brought nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another try may do: what happened, and the wait that upstream asked for.
    Passing { message: String, wait: Option<Duration> },
    /// It will not.
    Lasting(Failure),
}

impl Trouble {
    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self::Passing { message: message.into(), wait: None }
    }

    pub(super) fn upstream(message: impl Into<String>) -> Self {
        Self::Lasting(Failure::upstream(message))
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Lasting(failure)
    }
}

/// An answer that is no redirect and no passing trouble, with the connection it holds until dropped.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response,
    /// Where it came from in the end.
    pub(super) url: Url,
    _passage: Passage,
}

/// The hosts asked in this run.
#[derive(Debug)]
pub(super) struct Web {
    client: Client,
    settings: FetchSettings,
    allow_private: bool,
    has_contact: bool,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

#[derive(Debug)]
struct Host {
    gate: Gate,
    rules: OnceCell<Rules>,
}

impl Web {
    pub(super) fn new(settings: &IngestSettings) -> Result<Self, Failure> {
        let contact = settings.contact.as_deref().map(str::trim).filter(|contact| !contact.is_empty());
        let agent = match contact {
            Some(contact) => format!("openshelf/{} (+{contact})", env!("CARGO_PKG_VERSION")),
            None => format!("openshelf/{}", env!("CARGO_PKG_VERSION")),
        };
        let agent = HeaderValue::from_str(&agent).map_err(|_| {
            Failure::internal("OPENSHELF_CONTACT goes into a header: write a mail address or URL in plain ASCII")
        })?;
        // Whatever upstream publishes stays as published: no encoding is asked for and none is undone, and no proxy
        // of the environment comes between us and the addresses that were checked.
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let client = Client::builder()
            .user_agent(agent)
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .dns_resolver(Arc::new(Resolver { allow_private: settings.allow_private_sources }))
            .connect_timeout(settings.fetch.connect_timeout)
            .read_timeout(settings.fetch.read_timeout)
            .pool_max_idle_per_host(settings.fetch.connections)
            .build()
            .map_err(|error| Failure::internal(format!("the HTTP client cannot be set up: {}", Causes(&error))))?;
        Ok(Self {
            client,
            settings: settings.fetch.clone(),
            allow_private: settings.allow_private_sources,
            has_contact: contact.is_some(),
            hosts: Mutex::default(),
        })
    }

    /// Asks for `url` once, as robots.txt allows, and follows redirects.
    pub(super) async fn ask(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, Trouble> {
        let mut at = url.clone();
        for hops in 0..=MOST_REDIRECTS {
            let host = self.admit(&at, hops > 0)?;
            let rules = host.rules.get_or_try_init(|| self.read_rules(&at)).await?;
            if !rules.allow(&at) {
                return Err(Trouble::upstream(format!(
                    "{at}: robots.txt of {} asks crawlers to leave it alone; ask the publisher for leave, or use a mirror",
                    authority(&at)
                )));
            }
            if let Some(pause) = rules.pause() {
                host.gate.slow_down(pause);
            }
            let answer = self.hop(&host, &at, headers, hops > 0).await?;
            match answer.leads_to()? {
                Some(next) => at = next,
                None => return passable(answer, &host.gate, self.settings.longest_wait),
            }
        }
        Err(Trouble::upstream(format!("{url}: more than {MOST_REDIRECTS} redirects")))
    }

    /// The host of a URL that may be asked at all.
    fn admit(&self, url: &Url, redirected: bool) -> Result<Arc<Host>, Trouble> {
        let blame = if redirected { Failure::upstream } else { Failure::definition };
        let Some(host) = url.host().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            return Err(blame(format!("{url}: only http and https addresses are fetched")).into());
        };
        address::check_literal(&host, self.allow_private).map_err(|error| blame(format!("{url}: {error}")))?;
        if !self.has_contact && !address::is_loopback(&host) {
            return Err(Failure::internal(format!(
                "{url}: a crawl says who is crawling, and nobody is named: set OPENSHELF_CONTACT=you@example.org \
                 (a mail address or URL; it goes into the User-Agent)"
            ))
            .into());
        }
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(authority(url)).or_insert_with(|| {
            Arc::new(Host { gate: Gate::new(self.settings.connections, self.settings.pause), rules: OnceCell::new() })
        });
        Ok(Arc::clone(host))
    }

    /// One request, no redirect followed.
    async fn hop(&self, host: &Host, url: &Url, headers: &HeaderMap, redirected: bool) -> Result<Answer, Trouble> {
        let passage = host.gate.pass().await;
        let sent = self.client.get(url.clone()).headers(headers.clone()).send().await;
        match sent {
            Ok(response) => Ok(Answer { response, url: url.clone(), _passage: passage }),
            Err(error) => {
                let message = match Forbidden::cause_of(&error) {
                    Some(forbidden) if redirected => return Err(Trouble::upstream(format!("{url}: {forbidden}"))),
                    Some(forbidden) => return Err(Failure::definition(format!("{url}: {forbidden}")).into()),
                    None => Causes(&error.without_url()).to_string(),
                };
                Err(Trouble::passing(message))
            }
        }
    }

    /// Fetches the robots.txt that holds for a URL. RFC 9309: not there means everything is allowed, a server in trouble
    /// means nothing is.
    async fn read_rules(&self, url: &Url) -> Result<Rules, Failure> {
        let place = robotxt::robots_url(url).map_err(|error| Failure::definition(format!("{url}: {error}")))?;
        let mut patience = Patience::new(&self.settings);
        loop {
            match self.read_rules_once(&place).await {
                Ok(rules) => return Ok(rules),
                Err(trouble) => patience.after(&place, trouble).await.map_err(|failure| {
                    failure
                        .context(format!("nothing is fetched from {}, its robots.txt cannot be read", authority(url)))
                })?,
            }
        }
    }

    async fn read_rules_once(&self, place: &Url) -> Result<Rules, Trouble> {
        let mut at = place.clone();
        for hops in 0..=robots::MOST_REDIRECTS {
            let host = self.admit(&at, hops > 0)?;
            let answer = self.hop(&host, &at, &HeaderMap::new(), hops > 0).await?;
            if let Some(next) = answer.leads_to()? {
                at = next;
                continue;
            }
            let mut answer = passable(answer, &host.gate, self.settings.longest_wait)?;
            if !answer.response.status().is_success() {
                return Ok(Rules::open());
            }
            let mut text = Vec::new();
            while text.len() <= robotxt::BYTE_LIMIT {
                match answer.response.chunk().await {
                    Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                    Ok(None) => break,
                    Err(error) => return Err(Trouble::passing(Causes(&error.without_url()).to_string())),
                }
            }
            return Ok(Rules::parse(&text));
        }
        Ok(Rules::open())
    }
}

/// Scheme, host and port: what a robots.txt and a gate hold for.
fn authority(url: &Url) -> String {
    url.origin().ascii_serialization()
}

impl Answer {
    /// Where it leads, if it is a redirect.
    fn leads_to(&self) -> Result<Option<Url>, Trouble> {
        redirect_of(&self.url, self.response.status(), self.response.headers()).map_err(Trouble::upstream)
    }
}

fn redirect_of(at: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, String> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location else {
        return Err(format!("{at}: answered {} without saying where to", spell(status)));
    };
    let next =
        at.join(location).map_err(|error| format!("{at}: redirects to `{location}`, which is no address: {error}"))?;
    if at.scheme() == "https" && next.scheme() != "https" {
        return Err(format!("{at}: redirects from https to {next}, which is refused"));
    }
    Ok(Some(next))
}

/// Turns answers that may be different in a while into passing trouble, and leaves the host alone for as long as it asks.
fn passable(answer: Answer, gate: &Gate, longest: Duration) -> Result<Answer, Trouble> {
    let status = answer.response.status();
    if !retry::may_pass(status) {
        return Ok(answer);
    }
    let wait = retry::asked_for(answer.response.headers());
    if let Some(wait) = wait {
        gate.close_for(wait.min(longest));
    }
    Err(Trouble::Passing { message: format!("answered {}", spell(status)), wait })
}

/// A status as people read it.
pub(super) fn spell(status: StatusCode) -> String {
    status
        .canonical_reason()
        .map_or_else(|| status.as_u16().to_string(), |reason| format!("{} {reason}", status.as_u16()))
}

/// Counts the tries of one request.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    settings: &'a FetchSettings,
    failures: u32,
}

impl<'a> Patience<'a> {
    pub(super) fn new(settings: &'a FetchSettings) -> Self {
        Self { settings, failures: 0 }
    }

    /// A try that failed but brought us nearer: the count begins anew.
    pub(super) fn progressed(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next try, or says why there is none.
    pub(super) async fn after(&mut self, url: &Url, trouble: Trouble) -> Result<(), Failure> {
        let (message, wait) = match trouble {
            Trouble::Lasting(failure) => return Err(failure),
            Trouble::Passing { message, wait } => (message, wait),
        };
        self.failures += 1;
        if self.failures >= self.settings.attempts.max(1) {
            let tries = if self.failures == 1 { "one try".into() } else { format!("{} tries", self.failures) };
            return Err(Failure::upstream(format!("{url}: {message}; given up after {tries}")));
        }
        let wait = retry::wait(self.settings, self.failures, wait);
        tracing::warn!(url = %url, reason = %message, wait_ms = wait.as_millis() as u64, "fetching again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved_and_never_lead_from_https_to_http() {
        let at: Url = "https://x.org/a/b.csv".parse().expect("a url");
        let leads = |location: Option<&str>, status| {
            let mut headers = HeaderMap::new();
            if let Some(location) = location {
                headers.insert(header::LOCATION, location.parse().expect("a header value"));
            }
            redirect_of(&at, status, &headers).map(|next| next.map(String::from))
        };
        assert_eq!(leads(Some("../c.csv?x=1"), StatusCode::FOUND), Ok(Some("https://x.org/c.csv?x=1".into())));
        assert_eq!(leads(Some("//y.org/d"), StatusCode::PERMANENT_REDIRECT), Ok(Some("https://y.org/d".into())));
        assert_eq!(leads(Some("/c.csv"), StatusCode::OK), Ok(None));
        assert!(leads(Some("http://x.org/a/b.csv"), StatusCode::FOUND).expect_err("refused").contains("from https"));
        assert!(leads(Some("http://["), StatusCode::FOUND).expect_err("refused").contains("no address"));
        assert!(leads(None, StatusCode::FOUND).expect_err("refused").contains("302 Found"));
    }
}
