//! Entity tags: strong, and different whenever a snapshot, a query, a format or this software differs.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Suffixes of the variants that compression makes.
pub(super) const ENCODINGS: [&str; 3] = ["gzip", "zstd", "br"];

/// An entity tag without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ETag(String);

impl ETag {
    /// The tag of an answer that depends on these parts and on this version of the software.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts.iter().chain([&env!("CARGO_PKG_VERSION").as_bytes()]) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(URL_SAFE_NO_PAD.encode(hash.finalize().get(..18).unwrap_or_default()))
    }

    /// A tag that is given, such as a file's sha256.
    pub(super) fn exactly(tag: &str) -> Self {
        Self(tag.to_owned())
    }

    /// As a header.
    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(format!("\"{}\"", self.0)).unwrap_or(HeaderValue::from_static("\"\""))
    }

    /// Whether the client already has it: the tag named in an `If-None-Match` list, or this one for `*`.
    pub(super) fn if_none_match(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let given = tags(headers, &header::IF_NONE_MATCH)?;
        given.into_iter().find_map(|tag| match tag {
            Tag::Any => Some(self.header()),
            Tag::Named { tag, .. } if tag == self.0 => Some(self.header()),
            // The client has a compressed variant: the answer names that one.
            Tag::Named { tag, .. } if without_encoding(&tag) == self.0 => {
                HeaderValue::try_from(format!("\"{tag}\"")).ok()
            }
            Tag::Named { .. } => None,
        })
    }

    /// Whether an `If-Match` holds; true without one. Quotes may be missing: Hadoop's S3 client leaves them out.
    pub(super) fn if_match(&self, headers: &HeaderMap) -> bool {
        let Some(given) = tags(headers, &header::IF_MATCH) else { return true };
        given.iter().any(|tag| match tag {
            Tag::Any => true,
            Tag::Named { tag, weak } => !weak && *tag == self.0,
        })
    }

    /// Whether one tag, such as that of `If-Range`, is strongly this one.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(parse(text).as_slice(), [Tag::Named { tag, weak: false }] if *tag == self.0)
    }
}

fn without_encoding(tag: &str) -> &str {
    ENCODINGS.iter().find_map(|encoding| tag.strip_suffix(encoding)?.strip_suffix('-')).unwrap_or(tag)
}

#[derive(Debug, PartialEq, Eq)]
enum Tag {
    Any,
    Named { tag: String, weak: bool },
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<Tag>> {
    headers
        .contains_key(name)
        .then(|| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(parse).collect())
}

/// A list of tags; commas inside quotes belong to the tag.
fn parse(list: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = list.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (weak, body) = match rest.strip_prefix("W/").or_else(|| rest.strip_prefix("w/")) {
            Some(body) => (true, body),
            None => (false, rest),
        };
        let (tag, tail) = match body.strip_prefix('"').and_then(|body| body.split_once('"')) {
            Some((tag, tail)) => (tag, tail),
            None => body.split_once(',').unwrap_or((body, "")),
        };
        let tag = tag.trim();
        tags.push(if tag == "*" && !weak { Tag::Any } else { Tag::Named { tag: tag.to_owned(), weak } });
        rest = tail.trim_start_matches([' ', '\t', ',']);
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::try_from(value).expect("a value"))])
    }

    #[test]
    fn if_none_match_takes_lists_stars_weak_and_encoded_tags() {
        let tag = ETag::exactly("abc");
        for value in ["\"abc\"", "\"x,y\", \"abc\"", "W/\"abc\"", "*", "\"abc-gzip\"", "abc"] {
            assert!(tag.if_none_match(&headers(header::IF_NONE_MATCH, value)).is_some(), "{value}");
        }
        for value in ["\"abd\"", "\"abc,d\"", "", "\"abc-x\"", "\"*\"x"] {
            let matched = tag.if_none_match(&headers(header::IF_NONE_MATCH, value));
            assert!(value == "\"*\"x" || matched.is_none(), "{value}");
        }
        assert!(tag.if_none_match(&HeaderMap::new()).is_none());
    }

    #[test]
    fn if_match_is_strong_and_forgives_missing_quotes() {
        let tag = ETag::exactly("abc");
        for value in ["\"abc\"", "abc", "*", "\"x\", abc"] {
            assert!(tag.if_match(&headers(header::IF_MATCH, value)), "{value}");
        }
        for value in ["W/\"abc\"", "\"x\"", ""] {
            assert!(!tag.if_match(&headers(header::IF_MATCH, value)), "{value}");
        }
        assert!(tag.if_match(&HeaderMap::new()));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(ETag::of(&[b"ab", b"c"]), ETag::of(&[b"a", b"bc"]));
    }
}
