//! One file over HTTP into scratch: resumed where that is safe, verified before anybody sees it.

use std::io::SeekFrom;

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};
use url::Url;

use super::{
    Fetched, FetchedFile, Fetcher, RemoteFile, Validators,
    address::Causes,
    digest::Digests,
    html, local,
    slot::{Complete, Slot, State},
    web::{Answer, Patience, Trouble, spell},
};
use crate::ingest::{Failure, progress::Unit};

/// Bytes gathered before they are written.
const WRITE_BUFFER: usize = 256 * 1024;

/// One download under way.
pub(super) struct Download<'a> {
    fetcher: &'a Fetcher,
    file: &'a RemoteFile,
    url: Url,
    name: String,
    known: Option<&'a Validators>,
    slot: Slot,
    /// Digests of the slot's bytes, as long as this process wrote them all.
    digests: Option<(u64, Digests)>,
    /// Whether any try of ours continued what was there before.
    resumed: bool,
}

/// What the bytes of an answer have to fit.
struct Body {
    /// Bytes of the file that are there already.
    offset: u64,
    /// Bytes of the whole file, where the server says so.
    total: Option<u64>,
    beginning: Vec<u8>,
    state: State,
}

impl<'a> Download<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        file: &'a RemoteFile,
        url: Url,
        known: Option<&'a Validators>,
    ) -> Result<Self, Failure> {
        let slot = Slot::take(&fetcher.downloads, url.as_str()).map_err(|error| {
            Failure::internal(format!("{}: no room for downloads: {error}", fetcher.downloads.display()))
        })?;
        let name = super::file_name(&file.url);
        Ok(Self { fetcher, file, url, name, known, slot, digests: None, resumed: false })
    }

    /// Tries until the file is there and right, or further tries are pointless.
    pub(super) async fn run(mut self, now: DateTime<Utc>) -> Result<Fetched, Failure> {
        let mut patience = Patience::new(&self.fetcher.settings);
        let mut reached = self.slot.bytes().map_err(|error| self.disk(&error))?;
        loop {
            let trouble = match self.attempt(now).await {
                Ok(fetched) => return Ok(fetched),
                Err(trouble) => trouble,
            };
            let bytes = self.slot.bytes().map_err(|error| self.disk(&error))?;
            if bytes > reached && self.slot.state().resume.is_some() {
                reached = bytes;
                patience.progressed();
            }
            patience.after(&self.url, trouble).await?;
        }
    }

    async fn attempt(&mut self, now: DateTime<Utc>) -> Result<Fetched, Trouble> {
        let state = self.slot.state();
        let there = self.slot.bytes().map_err(|error| self.disk(&error))?;
        let headers = self.request_headers(&state, there);
        let mut answer = self.fetcher.web.ask(&self.url, &headers).await?;
        let status = answer.response.status();
        match status {
            StatusCode::OK => {
                let etag = text(answer.response.headers(), &header::ETAG);
                if self.known.is_some_and(|known| known.etag.is_some() && known.etag == etag) {
                    // The server does not answer conditional requests, but says as much.
                    return Ok(Fetched::NotModified);
                }
                let beginning = self.beginning(&mut answer).await?;
                let total = length(answer.response.headers());
                self.check_length(total)?;
                // Only now: an error page must not cost us the half that was there.
                let state = state_of(&self.url, answer.response.headers());
                self.clear()?;
                self.slot.save(&state).map_err(|error| self.disk(&error))?;
                self.receive(answer, Body { offset: 0, total, beginning, state }, now).await
            }
            StatusCode::PARTIAL_CONTENT => {
                let total = continues(answer.response.headers(), there);
                let same = text(answer.response.headers(), &header::ETAG).is_none_or(|etag| state.etag == Some(etag));
                match total {
                    Some(total) if same && headers.contains_key(header::RANGE) => {
                        self.check_length(total)?;
                        self.resumed = true;
                        self.receive(answer, Body { offset: there, total, beginning: Vec::new(), state }, now).await
                    }
                    _ => {
                        self.clear()?;
                        Err(Trouble::passing("answered with another part of the file than was asked for"))
                    }
                }
            }
            StatusCode::NOT_MODIFIED => match &state.complete {
                Some(complete) if !headers.contains_key(header::RANGE) && !self.is_known(&state) => {
                    self.reuse(&state, complete, now)
                }
                _ if self.known.is_some() => Ok(Fetched::NotModified),
                _ => Err(Trouble::upstream(format!(
                    "{}: answered 304 Not Modified to an unconditional request",
                    self.url
                ))),
            },
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                Ok(Fetched::Missing { reason: format!("{} answered {}", self.url, spell(status)) })
            }
            StatusCode::RANGE_NOT_SATISFIABLE if headers.contains_key(header::RANGE) => {
                self.clear()?;
                Err(Trouble::passing("no longer has the part that was still missing"))
            }
            _ => Err(Trouble::upstream(format!("{}: answered {}", self.url, spell(status)))),
        }
    }

    /// Continue what is there; else ask whether a whole file from a killed run, or the last snapshot's, still holds.
    fn request_headers(&self, state: &State, there: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name, text: Option<&String>| {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
                headers.insert(name, value);
            }
        };
        match (&state.complete, &state.resume) {
            (Some(complete), _) if complete.bytes == there => {
                put(header::IF_NONE_MATCH, state.etag.as_ref());
                put(header::IF_MODIFIED_SINCE, state.last_modified.as_ref());
            }
            (None, Some(validator)) if there > 0 => {
                put(header::RANGE, Some(&format!("bytes={there}-")));
                put(header::IF_RANGE, Some(validator));
            }
            _ => {
                put(header::IF_NONE_MATCH, self.known.and_then(|known| known.etag.as_ref()));
                put(header::IF_MODIFIED_SINCE, self.known.and_then(|known| known.last_modified.as_ref()));
            }
        }
        headers
    }

    /// Whether the bytes in the slot are the version of the last snapshot.
    fn is_known(&self, state: &State) -> bool {
        self.known.is_some_and(|known| match (&known.etag, &state.etag) {
            (Some(known), Some(there)) => known == there,
            _ => known.last_modified.is_some() && known.last_modified == state.last_modified,
        })
    }

    /// A whole file that a killed run left behind, and upstream says it is still the one.
    fn reuse(&self, state: &State, complete: &Complete, now: DateTime<Utc>) -> Result<Fetched, Trouble> {
        let kind = self.file.checksum.as_ref().map(|(kind, _)| *kind);
        let sums = self
            .slot
            .handle()
            .and_then(|mut file| local::sums(&mut file, complete.bytes, kind))
            .map_err(|error| self.disk(&error))?
            .finish();
        if sums.sha256 != complete.sha256 || sums.check(self.file.checksum.as_ref()).is_err() {
            self.slot.clear().map_err(|error| self.disk(&error))?;
            return Err(Trouble::passing("what an earlier run left in scratch is damaged"));
        }
        Ok(self.fetched(state.clone(), complete.clone(), now))
    }

    /// The first bytes of a body; an HTML page instead of data ends it here.
    async fn beginning(&self, answer: &mut Answer) -> Result<Vec<u8>, Trouble> {
        let mut beginning = Vec::new();
        if html::promises_html(&self.name) {
            return Ok(beginning);
        }
        while beginning.len() < html::LOOKED_AT {
            match answer.response.chunk().await {
                Ok(Some(chunk)) => beginning.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(cut(error)),
            }
        }
        let media_type = text(answer.response.headers(), &header::CONTENT_TYPE);
        if html::is_html(media_type.as_deref(), &beginning) {
            return Err(Trouble::upstream(format!(
                "{}: an HTML page came in place of {}; open the address to see what it says",
                answer.url,
                if self.name.is_empty() { "data".to_owned() } else { format!("`{}`", self.name) }
            )));
        }
        Ok(beginning)
    }

    fn check_length(&self, total: Option<u64>) -> Result<(), Trouble> {
        match (self.file.bytes, total) {
            (Some(declared), Some(total)) if declared != total => {
                self.clear_quietly();
                Err(Trouble::upstream(format!(
                    "{}: upstream's own list says {declared} bytes, its server has {total}",
                    self.url
                )))
            }
            _ => Ok(()),
        }
    }

    /// Writes the body behind what is there and verifies the whole.
    async fn receive(&mut self, mut answer: Answer, body: Body, now: DateTime<Utc>) -> Result<Fetched, Trouble> {
        let Body { offset, total, beginning, mut state } = body;
        self.fetcher.admit_bytes(total.unwrap_or(offset).saturating_sub(offset), &self.url)?;
        let mut digests = self.digests_up_to(offset)?;
        let handle = self.slot.handle().map_err(|error| self.disk(&error))?;
        let mut file = tokio::fs::File::from_std(handle);
        file.seek(SeekFrom::Start(offset)).await.map_err(|error| self.disk(&error))?;
        let mut file = BufWriter::with_capacity(WRITE_BUFFER, file);
        let stage = self.fetcher.progress.stage(format!("fetch {}", self.name), Unit::Bytes, total);
        stage.advance(offset);

        let mut written = offset;
        let mut next = Ok(Some(bytes::Bytes::from(beginning)));
        let ended = loop {
            match next {
                Ok(Some(chunk)) => {
                    self.fetcher.count_bytes(chunk.len() as u64, &self.url)?;
                    file.write_all(&chunk).await.map_err(|error| self.disk(&error))?;
                    digests.update(&chunk);
                    written += chunk.len() as u64;
                    stage.advance(chunk.len() as u64);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(cut(error)),
            }
            next = answer.response.chunk().await;
        };
        drop(answer);
        file.flush().await.map_err(|error| self.disk(&error))?;
        self.digests = Some((written, digests.clone()));
        ended?;
        if let Some(total) = total.filter(|total| *total != written) {
            return Err(Trouble::passing(format!("the body ended after {written} of {total} bytes")));
        }
        self.verify(written, &digests)?;
        state.complete = Some(Complete { bytes: written, sha256: digests.finish().sha256 });
        self.slot.save(&state).map_err(|error| self.disk(&error))?;
        let complete = state.complete.clone().unwrap_or(Complete { bytes: written, sha256: String::new() });
        Ok(self.fetched(state, complete, now))
    }

    fn verify(&mut self, bytes: u64, digests: &Digests) -> Result<(), Trouble> {
        let wrong = match self.file.bytes {
            Some(declared) if declared != bytes => {
                Some(format!("{bytes} bytes came, upstream's own list says {declared}"))
            }
            _ => digests.clone().finish().check(self.file.checksum.as_ref()).err(),
        };
        let Some(wrong) = wrong else { return Ok(()) };
        self.clear()?;
        if std::mem::take(&mut self.resumed) {
            // Perhaps two versions were glued together after all: once more, from the start.
            return Err(Trouble::passing(wrong));
        }
        Err(Trouble::upstream(format!("{}: {wrong}", self.url)))
    }

    /// The digests of the bytes that are there: kept, when this process wrote them, else read again.
    fn digests_up_to(&mut self, offset: u64) -> Result<Digests, Trouble> {
        if let Some((bytes, digests)) = self.digests.take()
            && bytes == offset
        {
            return Ok(digests);
        }
        let kind = self.file.checksum.as_ref().map(|(kind, _)| *kind);
        let read = self.slot.handle().and_then(|mut file| local::sums(&mut file, offset, kind));
        read.map_err(|error| self.disk(&error).into())
    }

    fn fetched(&self, state: State, complete: Complete, now: DateTime<Utc>) -> Fetched {
        Fetched::File(FetchedFile {
            path: self.slot.path().to_owned(),
            bytes: complete.bytes,
            sha256: complete.sha256,
            etag: state.etag,
            last_modified: state.last_modified,
            fetched: now,
            slot: Some(self.slot.clone()),
        })
    }

    fn clear(&mut self) -> Result<(), Failure> {
        self.digests = None;
        self.slot.clear().map_err(|error| self.disk(&error))
    }

    /// Clears on the way out of a failure that is the better thing to tell.
    fn clear_quietly(&self) {
        if let Err(error) = self.slot.clear() {
            tracing::warn!(path = %self.slot.path().display(), %error, "a useless download could not be removed");
        }
    }

    fn disk(&self, error: &std::io::Error) -> Failure {
        Failure::internal(format!(
            "{}: the download of {} cannot be kept: {error}",
            self.slot.path().display(),
            self.url
        ))
    }
}

fn cut(error: reqwest::Error) -> Trouble {
    Trouble::passing(format!("the body was cut off: {}", Causes(&error.without_url())))
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, &header::CONTENT_LENGTH)?.trim().parse().ok()
}

/// What is kept of an answer's headers.
fn state_of(url: &Url, headers: &HeaderMap) -> State {
    let etag = text(headers, &header::ETAG);
    let last_modified = text(headers, &header::LAST_MODIFIED);
    let resume = strong(etag.as_deref(), last_modified.as_deref(), text(headers, &header::DATE).as_deref());
    State { url: url.to_string(), etag, last_modified, resume, complete: None }
}

/// The validator that may stand in `If-Range` (RFC 9110 §13.1.5): a strong ETag, or a Last-Modified that lies at least a
/// second before the answer, so that no second change can hide behind it (§8.8.2.2).
fn strong(etag: Option<&str>, last_modified: Option<&str>, date: Option<&str>) -> Option<String> {
    if let Some(etag) = etag {
        return (!etag.starts_with("W/")).then(|| etag.to_owned());
    }
    let last_modified = last_modified?;
    let changed = httpdate::parse_http_date(last_modified).ok()?;
    let answered = httpdate::parse_http_date(date?).ok()?;
    let age = answered.duration_since(changed).ok()?;
    (age.as_secs() >= 1).then(|| last_modified.to_owned())
}

/// Reads `Content-Range`: the whole file's size, if it is stated, of an answer that begins where we stopped.
fn continues(headers: &HeaderMap, there: u64) -> Option<Option<u64>> {
    let range = text(headers, &header::CONTENT_RANGE)?;
    let (range, total) = range.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total: Option<u64> = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    let to_the_end = total.is_none_or(|total| last.checked_add(1) == Some(total));
    (first == there && to_the_end).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strong_validators_resume() {
        let date = Some("Fri, 07 Nov 2025 10:00:00 GMT");
        assert_eq!(strong(Some("\"a\""), None, None).as_deref(), Some("\"a\""));
        assert_eq!(strong(Some("W/\"a\""), Some("Fri, 07 Nov 2025 09:00:00 GMT"), date), None);
        assert_eq!(strong(None, Some("Fri, 07 Nov 2025 10:00:00 GMT"), date), None, "changed within the second");
        assert_eq!(strong(None, Some("Fri, 07 Nov 2025 09:00:00 GMT"), None), None, "without a Date nobody knows");
        assert!(strong(None, Some("Fri, 07 Nov 2025 09:00:00 GMT"), date).is_some());
    }

    #[test]
    fn a_continuation_begins_where_we_stopped_and_goes_to_the_end() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_RANGE, value.parse().expect("a header value"));
            continues(&headers, 10)
        };
        assert_eq!(with("bytes 10-99/100"), Some(Some(100)));
        assert_eq!(with("bytes 10-99/*"), Some(None));
        assert_eq!(with("bytes 0-99/100"), None);
        assert_eq!(with("bytes 10-50/100"), None);
        assert_eq!(with("bytes */100"), None);
        assert_eq!(with("bytes 10-18446744073709551615/1"), None);
    }
}
