//! The links of a listing: an HTML page, an S3 bucket's list, a checksum file, or plain lines. Foreign text: whatever
//! cannot be read as a link is none.

use html5gum::{Token, Tokenizer};
use quick_xml::{Reader, events::Event};
use url::Url;

use super::sums;
use crate::ingest::{definition::grammar::ChecksumKind, fetch::Document};

/// A link in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// As it is written.
    pub(super) href: String,
    /// Where it leads.
    pub(super) url: Url,
    pub(super) bytes: Option<u64>,
    pub(super) checksum: Option<(ChecksumKind, String)>,
}

/// A listing's links, and where it goes on.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) links: Vec<Link>,
    pub(super) next: Option<Url>,
}

/// Reads a listing. `at` is the address it came from.
pub(super) fn read(document: &Document, at: &Url) -> Result<Links, String> {
    let text = document.text.trim_start_matches('\u{feff}').trim_start();
    let beginning: String = text.chars().take(2048).collect();
    if text.starts_with('<') && beginning.contains("<ListBucketResult") {
        return bucket(text, at);
    }
    let links = if document.is_html() || beginning.contains('<') { html(text, at) } else { lines(text, at) };
    Ok(Links { links, next: None })
}

fn html(text: &str, at: &Url) -> Vec<Link> {
    let mut base = at.clone();
    let mut links = Vec::new();
    for Ok(token) in Tokenizer::new(text) {
        let Token::StartTag(tag) = token else { continue };
        let Some(href) = tag.attributes.get(&b"href"[..]) else { continue };
        let href = String::from_utf8_lossy(href).trim().to_owned();
        match tag.name.as_slice() {
            b"base" => base = at.join(&href).unwrap_or(base),
            b"a" | b"area" if !href.starts_with(['#', '?']) => links.extend(link(href, &base, at)),
            _ => {}
        }
    }
    links
}

/// A link that leads somewhere else than to the listing itself or above it, by the listing's own kind of address.
fn link(href: String, base: &Url, at: &Url) -> Option<Link> {
    let mut url = base.join(&href).ok()?;
    url.set_fragment(None);
    // A page on the network never names files of this machine.
    let fetchable = matches!(url.scheme(), "http" | "https") || (url.scheme() == "file" && at.scheme() == "file");
    let above = url.origin() == at.origin() && url.query().is_none() && at.path().starts_with(url.path());
    (fetchable && !above).then_some(Link { href, url, bytes: None, checksum: None })
}

/// Checksum lines, else the last word of each line, with a checksum in the words before it.
fn lines(text: &str, at: &Url) -> Vec<Link> {
    let read = |line: &str| {
        let (href, checksum) = match sums::read_line(line) {
            Some(sum) => (sum.name?, Some((sum.kind, sum.hash))),
            None => {
                let mut words: Vec<&str> = line.split_whitespace().collect();
                let last = words.pop()?;
                let sum = words.iter().find_map(|word| Some((sums::kind_of(word)?, word.to_ascii_lowercase())));
                (last.to_owned(), sum)
            }
        };
        // A colon in a name would be read as a scheme; names in such files are paths.
        let named = if href.contains("://") { href.clone() } else { format!("./{}", href.trim_start_matches('/')) };
        Some(Link { href, checksum, ..link(named, at, at)? })
    };
    text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(read).collect()
}

/// `ListBucketResult` of S3 and of what speaks like it, versions 1 and 2.
fn bucket(text: &str, at: &Url) -> Result<Links, String> {
    let mut reader = Reader::from_str(text);
    let (mut path, mut value) = (Vec::<String>::new(), String::new());
    let (mut name, mut token, mut marker, mut truncated, mut encoded) = (None, None, None, false, false);
    let mut entries: Vec<(String, Option<u64>)> = Vec::new();
    let (mut key, mut bytes) = (None, None);
    loop {
        let event = reader.read_event().map_err(|error| format!("its XML breaks off: {error}"))?;
        match event {
            Event::Start(tag) => {
                path.push(String::from_utf8_lossy(tag.local_name().as_ref()).into_owned());
                value.clear();
                if path.len() > 8 {
                    return Err("its XML is nested too deeply".into());
                }
            }
            Event::Text(text) => value.push_str(&text.decode().map_err(|error| error.to_string())?),
            Event::CData(text) => value.push_str(&text.decode().map_err(|error| error.to_string())?),
            Event::GeneralRef(reference) => {
                if let Ok(Some(letter)) = reference.resolve_char_ref() {
                    value.push(letter);
                } else if let Ok(name) = reference.decode()
                    && let Some(text) = quick_xml::escape::resolve_predefined_entity(&name)
                {
                    value.push_str(text);
                }
            }
            Event::End(_) => {
                let inner: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
                let text = || value.clone();
                match inner.as_slice() {
                    ["Name"] => name = Some(text()),
                    ["NextContinuationToken"] => token = Some(text()),
                    ["NextMarker"] => marker = Some(text()),
                    ["IsTruncated"] => truncated = value.trim().eq_ignore_ascii_case("true"),
                    ["EncodingType"] => encoded = value.trim().eq_ignore_ascii_case("url"),
                    ["Contents", "Key"] => key = Some(text()),
                    ["Contents", "Size"] => bytes = value.trim().parse().ok(),
                    ["Contents"] => entries.extend(key.take().map(|key| (key, bytes.take()))),
                    ["CommonPrefixes", "Prefix"] => entries.push((text(), None)),
                    _ => {}
                }
                path.pop();
                value.clear();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if !path.is_empty() {
        return Err("its XML breaks off".into());
    }
    let decode = |text: &str| {
        if !encoded {
            return text.to_owned();
        }
        percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
    };
    let root = bucket_root(at, name.as_deref());
    let links = entries
        .iter()
        .filter_map(|(key, bytes)| {
            let key = decode(key);
            let mut url = root.clone();
            url.path_segments_mut().ok()?.pop_if_empty().extend(key.split('/'));
            // A key with dots for segments would lead somewhere else.
            let whole = url.path().len() >= root.path().len() + key.len();
            whole.then_some(Link { href: key, url, bytes: *bytes, checksum: None })
        })
        .collect();
    let next = truncated.then(|| match (token, marker.or_else(|| entries.last().map(|(key, _)| key.clone()))) {
        (Some(token), _) => Some(with_query(at, "continuation-token", &token)),
        (None, Some(marker)) => Some(with_query(at, "marker", &decode(&marker))),
        (None, None) => None,
    });
    Ok(Links { links, next: next.flatten() })
}

/// Where a bucket's keys begin: the host, or `/bucket/` where the address names the bucket in its path.
fn bucket_root(at: &Url, name: Option<&str>) -> Url {
    let mut root = at.clone();
    root.set_query(None);
    root.set_fragment(None);
    let first = at.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    match name {
        Some(name) if !name.is_empty() && first == name => root.set_path(&format!("/{name}/")),
        _ => root.set_path("/"),
    }
    root
}

fn with_query(at: &Url, key: &str, value: &str) -> Url {
    let mut next = at.clone();
    let kept: Vec<(String, String)> =
        at.query_pairs().filter(|(name, _)| name != key).map(|(k, v)| (k.into(), v.into())).collect();
    next.query_pairs_mut().clear().extend_pairs(kept).append_pair(key, value);
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(<a href='|<ListBucketResult>|<Contents>|<Key>|</Key>|&amp;|&#|[0-9a-f]{32}  |.){0,12}") {
            let at: Url = "https://x.org/d/".parse().expect("a url");
            for content_type in ["text/html", "text/plain"] {
                let found = read(&document(&text, content_type), &at);
                let links = found.map(|links| links.links).unwrap_or_default();
                prop_assert!(links.iter().all(|link| matches!(link.url.scheme(), "http" | "https")));
            }
        }
    }

    fn document(text: &str, content_type: &str) -> Document {
        Document { url: String::new(), text: text.into(), content_type: Some(content_type.into()) }
    }

    fn urls(text: &str, content_type: &str, at: &str) -> Vec<String> {
        let links = read(&document(text, content_type), &at.parse().expect("a url")).expect("a listing");
        links.links.iter().map(|link| link.url.to_string()).collect()
    }

    #[test]
    fn html_links_are_resolved_and_ways_up_and_out_are_left() {
        let page = r##"<!DOCTYPE html><A HREF='../'>up</a><a href="?C=M;O=D">sort</a><a href="#top">top</a>
            <a href=20240101/>x</a> <a href="/pub/b%20c.csv?v=1&amp;w=2#part">b</a> <a href="mailto:x@y.z">m</a>
            <!-- <a href="hidden.csv"> --><a href="file:///etc/passwd">p</a><a href="https://other.org/d.csv">d</a><a name=x>"##;
        assert_eq!(
            urls(page, "text/html", "https://x.org/pub/list/"),
            ["https://x.org/pub/list/20240101/", "https://x.org/pub/b%20c.csv?v=1&w=2", "https://other.org/d.csv"]
        );
        let based = r#"<base href="/elsewhere/"><a href="a.csv">a</a>"#;
        assert_eq!(urls(based, "text/html", "https://x.org/pub/"), ["https://x.org/elsewhere/a.csv"]);
    }

    #[test]
    fn a_bucket_is_read_page_by_page() {
        let xml = r#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3"><Name>data</Name><IsTruncated>true</IsTruncated>
            <NextContinuationToken>a+b=</NextContinuationToken>
            <Contents><Key>y/a &amp; b.csv</Key><Size>12</Size></Contents><Contents><Key>y/c.csv</Key></Contents>
            <Contents><Key>../../x</Key></Contents>
            <CommonPrefixes><Prefix>y/2024/</Prefix></CommonPrefixes></ListBucketResult>"#;
        let at: Url = "https://s3.example.org/data?list-type=2&prefix=y".parse().expect("a url");
        let links = read(&document(xml, "application/xml"), &at).expect("a listing");
        let found: Vec<_> =
            links.links.iter().map(|link| (link.url.as_str(), link.href.as_str(), link.bytes)).collect();
        assert_eq!(
            found,
            [
                ("https://s3.example.org/data/y/a%20&%20b.csv", "y/a & b.csv", Some(12)),
                ("https://s3.example.org/data/y/c.csv", "y/c.csv", None),
                ("https://s3.example.org/data/y/2024/", "y/2024/", None),
            ]
        );
        let next = links.next.expect("a next page");
        assert_eq!(next.query(), Some("list-type=2&prefix=y&continuation-token=a%2Bb%3D"));

        let old = r#"<ListBucketResult><Name>data</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
            <Contents><Key>a%2Bb+c.csv</Key><Size>1</Size></Contents></ListBucketResult>"#;
        let at: Url = "http://data.s3.example.org/?marker=a".parse().expect("a url");
        let links = read(&document(old, "application/xml"), &at).expect("a listing");
        assert_eq!(links.links.first().map(|link| link.url.as_str()), Some("http://data.s3.example.org/a+b%20c.csv"));
        assert_eq!(links.next.expect("more").query(), Some("marker=a%2Bb+c.csv"));

        for broken in ["<ListBucketResult><Contents><Key>a", "<ListBucketResult></Contents>"] {
            assert!(read(&document(broken, "application/xml"), &at).is_err(), "{broken}");
        }
    }

    #[test]
    fn checksum_files_and_plain_lists_are_listings_too() {
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        let text = format!("# files\n{md5}  x-1.bz2\n{md5} */x-2.bz2\n150 {md5} http://y.org/3.zip\nplain.csv\n\n");
        let at = "https://x.org/d/SUMS".parse().expect("a url");
        let links = read(&document(&text, "text/plain"), &at).expect("a listing").links;
        let found: Vec<_> = links.iter().map(|link| (link.url.as_str(), link.checksum.is_some())).collect();
        assert_eq!(
            found,
            [
                ("https://x.org/d/x-1.bz2", true),
                ("https://x.org/d/x-2.bz2", true),
                ("http://y.org/3.zip", true),
                ("https://x.org/d/plain.csv", false),
            ]
        );
    }
}
