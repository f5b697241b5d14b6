//! What a host's robots.txt says to us (RFC 9309); the reading of it is `robotxt`'s.

use std::time::Duration;

use robotxt::Robots;
use url::Url;

/// The name we go by in robots.txt.
const AGENT: &str = "openshelf";

/// Longest pause between two requests that a robots.txt gets: with more, a crawl would never end.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Most redirects from robots.txt to robots.txt (RFC 9309 §2.3.1.2).
pub(super) const MOST_REDIRECTS: usize = 5;

/// The rules of one host.
#[derive(Debug)]
pub(super) struct Rules(Robots);

impl Rules {
    /// Everything is allowed.
    pub(super) fn open() -> Self {
        Self(Robots::allow_all())
    }

    pub(super) fn parse(text: &[u8]) -> Self {
        Self(Robots::parse(text, AGENT))
    }

    pub(super) fn allow(&self, url: &Url) -> bool {
        self.0.is_url_allowed(url)
    }

    /// The pause between two requests it asks for.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.0.crawl_delay().map(|delay| delay.min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_counts_before_everybodys() {
        let rules = Rules::parse(
            b"User-agent: *\nDisallow: /\n\nUser-agent: Openshelf\nCrawl-delay: 600\nDisallow: /private/\n",
        );
        let allow = |path: &str| rules.allow(&format!("https://example.org{path}").parse().expect("a url"));
        assert!(allow("/data/a.csv") && !allow("/private/a.csv"));
        assert_eq!(rules.pause(), Some(LONGEST_PAUSE));
        assert!(Rules::open().pause().is_none());
    }
}
