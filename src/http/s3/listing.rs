//! A page of a listing: keys, and what a delimiter makes of them.

use axum::response::Response;
use chrono::SecondsFormat;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    BUCKET,
    asked::ListAsked,
    bucket,
    token::Token,
    walk::{Object, Walk, past},
    xml::Xml,
};
use crate::http::{file, problem::Problem, state::AppState};

/// What `encoding-type=url` leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

#[derive(Debug, Default)]
struct Page {
    objects: Vec<(String, Object)>,
    prefixes: Vec<String>,
    /// Where the next page begins.
    next: Option<Token>,
    /// The last thing listed: the first version's way to go on.
    last: String,
}

/// A page of keys.
///
/// # Errors
/// 403 for what may not be served, 410 for what is no longer kept.
pub(super) async fn list(state: &AppState, asked: &ListAsked) -> Result<Response, Problem> {
    let page = page(state, asked).await?;
    Ok(write(asked, &page).answer())
}

/// The part of a key up to the first delimiter after the prefix.
fn common<'k>(asked: &ListAsked, key: &'k str) -> Option<&'k str> {
    let delimiter = asked.delimiter.as_deref()?;
    let rest = key.get(asked.prefix.len()..)?;
    let end = asked.prefix.len() + rest.find(delimiter)? + delimiter.len();
    key.get(..end)
}

/// Where a page begins.
fn begin(asked: &ListAsked) -> Vec<u8> {
    let after = match (&asked.token, &asked.after) {
        (Some(token), _) => token.from.clone(),
        // The first version goes on after a common prefix by naming it.
        (None, Some(marker)) if !asked.second && marker.starts_with(&asked.prefix) => {
            common(asked, marker).map_or_else(|| just_after(marker), past)
        }
        (None, Some(after)) => just_after(after),
        (None, None) => Vec::new(),
    };
    after.max(asked.prefix.as_bytes().to_vec())
}

fn just_after(key: &str) -> Vec<u8> {
    [key.as_bytes(), b"\0"].concat()
}

async fn page(state: &AppState, asked: &ListAsked) -> Result<Page, Problem> {
    let mut walk = Walk::new(state, &asked.prefix, asked.token.as_ref()).await?;
    let mut page = Page::default();
    let mut from = begin(asked);
    if asked.max_keys == 0 {
        return Ok(page);
    }
    loop {
        let Some(found) = walk.seek(&from).await?.filter(|found| found.key.starts_with(&asked.prefix)) else {
            return Ok(page);
        };
        if page.objects.len() + page.prefixes.len() == asked.max_keys {
            let (dataset, snapshot) = walk.place().unwrap_or_default();
            page.next = Some(Token { dataset: dataset.to_owned(), snapshot, from });
            return Ok(page);
        }
        if let Some(common) = common(asked, &found.key) {
            from = past(common);
            common.clone_into(&mut page.last);
            page.prefixes.push(common.to_owned());
        } else {
            from = just_after(&found.key);
            found.key.clone_into(&mut page.last);
            if let Some(object) = walk.object(&found).await? {
                page.objects.push((found.key, object));
            }
        }
    }
}

fn write(asked: &ListAsked, page: &Page) -> Xml {
    let name = |text: &str| match asked.encoded {
        true => utf8_percent_encode(text, ENCODED).to_string(),
        false => text.to_owned(),
    };
    let mut xml = Xml::new().root("ListBucketResult");
    xml.text("Name", BUCKET);
    // Clients of the first version decode everything but this.
    xml.text("Prefix", &if asked.second { name(&asked.prefix) } else { asked.prefix.clone() });
    if let Some(delimiter) = &asked.delimiter {
        xml.text("Delimiter", &name(delimiter));
    }
    xml.text("MaxKeys", &asked.max_keys.to_string());
    if asked.encoded {
        xml.text("EncodingType", "url");
    }
    if asked.second {
        xml.text("KeyCount", &(page.objects.len() + page.prefixes.len()).to_string());
        if let Some(sent) = &asked.continuation {
            xml.text("ContinuationToken", sent);
        }
        if let Some(after) = &asked.after {
            xml.text("StartAfter", &name(after));
        }
        if let Some(next) = &page.next {
            xml.text("NextContinuationToken", &next.encode());
        }
    } else {
        xml.text("Marker", &name(asked.after.as_deref().unwrap_or_default()));
        if page.next.is_some() && asked.delimiter.is_some() {
            xml.text("NextMarker", &name(&page.last));
        }
    }
    xml.text("IsTruncated", if page.next.is_some() { "true" } else { "false" });
    for (key, object) in &page.objects {
        xml.open("Contents");
        xml.text("Key", &name(key));
        xml.text("LastModified", &object.modified.to_rfc3339_opts(SecondsFormat::Millis, true));
        xml.text("ETag", &format!("\"{}\"", file::tag(&object.sha256)));
        xml.text("Size", &object.bytes.to_string());
        if asked.fetch_owner {
            bucket::owner(&mut xml);
        }
        xml.text("StorageClass", "STANDARD");
        xml.close("Contents");
    }
    for prefix in &page.prefixes {
        xml.open("CommonPrefixes");
        xml.text("Prefix", &name(prefix));
        xml.close("CommonPrefixes");
    }
    xml.close("ListBucketResult");
    xml
}
