//! Listings read to their end, their links held against `match`.

use std::collections::BTreeSet;

use regex::Regex;
use url::Url;

use super::{
    links::{self, Link},
    order::natural,
    template::Bindings,
    value::Value,
};
use crate::ingest::{
    Failure,
    fetch::{Fetcher, Found},
};

/// Most pages of one bucket's list: ten million keys.
const MOST_PAGES: usize = 10_000;

/// Most links of one listing that may match.
const MOST_LINKS: usize = 1_000_000;

/// A link that matched, and what its named captures bind.
#[derive(Debug, Clone)]
pub(super) struct Matched {
    pub(super) link: Link,
    pub(super) captures: Bindings,
}

/// Reads a listing and keeps the links that match, each address once, in natural order. An error string is the reason
/// why the listing itself is not there.
pub(super) async fn read(
    fetcher: &Fetcher,
    listing: &str,
    pattern: &str,
) -> Result<Result<Vec<Matched>, String>, Failure> {
    let regex = compile(pattern)?;
    let mut page = listing.to_owned();
    let (mut matched, mut addresses, mut seen) = (Vec::new(), BTreeSet::new(), 0);
    for _ in 0..MOST_PAGES {
        let document = match fetcher.document(&page).await? {
            Found::Document(document) => document,
            Found::Missing { reason } => return Ok(Err(reason)),
        };
        let at = Url::parse(&document.url).map_err(|error| Failure::upstream(format!("{page}: {error}")))?;
        let read = links::read(&document, &at).map_err(|message| Failure::upstream(format!("{page}: {message}")))?;
        seen += read.links.len();
        for link in read.links {
            if let Some(captures) = captures(&regex, &link, &at)
                && addresses.insert(link.url.to_string())
            {
                matched.push(Matched { link, captures });
            }
        }
        if matched.len() > MOST_LINKS {
            return Err(Failure::definition(format!("{listing}: more than {MOST_LINKS} links match `{pattern}`")));
        }
        match read.next {
            Some(next) if next.as_str() != page => page = next.into(),
            Some(_) => return Err(Failure::upstream(format!("{page}: its next page is itself"))),
            None => return finish(listing, pattern, matched, seen).map(Ok),
        }
    }
    Err(Failure::upstream(format!("{listing}: does not end after {MOST_PAGES} pages")))
}

fn finish(listing: &str, pattern: &str, mut matched: Vec<Matched>, seen: usize) -> Result<Vec<Matched>, Failure> {
    if matched.is_empty() && seen == 0 {
        return Err(Failure::upstream(format!("{listing}: has no links at all")));
    }
    if matched.is_empty() {
        return Err(Failure::definition(format!(
            "{listing}: none of its {seen} links matches `{pattern}`; the expression is held against each link as \
             written, its path below the listing and its whole address"
        )));
    }
    matched.sort_by(|a, b| natural(a.link.url.as_str(), b.link.url.as_str()));
    Ok(matched)
}

/// Compiles a regular expression of a definition.
pub(super) fn compile(pattern: &str) -> Result<Regex, Failure> {
    Regex::new(pattern).map_err(|error| Failure::definition(format!("`{pattern}` is no regular expression: {error}")))
}

/// Holds a link against the expression: its path below the listing, as written, and its whole address (beyond the
/// listing's own, which all links share).
fn captures(regex: &Regex, link: &Link, at: &Url) -> Option<Bindings> {
    let folder = at.join(".").ok()?;
    let address = link.url.as_str();
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let below = address.strip_prefix(folder.as_str()).map(decode);
    let shared = if below.is_some() { folder.as_str().len() } else { link.url.origin().ascii_serialization().len() };
    below
        .as_deref()
        .and_then(|below| bind(regex, below))
        .or_else(|| bind(regex, &link.href))
        .or_else(|| regex.find_iter(address).any(|found| found.end() > shared).then(|| bind(regex, address)).flatten())
}

/// The named captures of the first match.
pub(super) fn bind(regex: &Regex, text: &str) -> Option<Bindings> {
    let captures = regex.captures(text)?;
    let named = regex.capture_names().flatten();
    Some(named.filter_map(|name| Some((name.to_owned(), Value::Text(captures.name(name)?.as_str().into())))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(pattern: &str, href: &str) -> Option<Vec<String>> {
        let at: Url = "https://data.example.org/pub/data/".parse().expect("a url");
        let link = Link { href: href.into(), url: at.join(href).expect("a url"), bytes: None, checksum: None };
        let bindings = captures(&Regex::new(pattern).expect("a pattern"), &link, &at)?;
        Some(bindings.values().map(Value::text).collect())
    }

    #[test]
    fn links_match_in_each_way_people_think_of_them() {
        let found = |text: &str| Some(vec![text.to_owned()]);
        assert_eq!(bound(r"^(?<x>\d+)\.csv$", "12.csv"), found("12"));
        assert_eq!(bound(r"^(?<x>\d+)\.csv$", "/pub/data/12.csv"), found("12"));
        assert_eq!(bound(r"^/pub/data/(?<x>\d+)\.csv$", "/pub/data/12.csv"), found("12"));
        assert_eq!(bound(r"^https://data\.example\.org/pub/data/(?<x>\d+)\.csv$", "12.csv"), found("12"));
        assert_eq!(bound(r"(?<x>a b)\.csv", "a%20b.csv"), found("a b"));
        assert_eq!(bound("data", "12.csv"), None, "what all links share says nothing");
        assert_eq!(bound("data", "data.csv"), Some(vec![]));
    }
}
