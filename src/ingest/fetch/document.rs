//! Small documents that say where the data is: listings, status documents, pointer and checksum files. Each is read once
//! per run and held in memory.

use std::sync::{Arc, PoisonError};

use http::{HeaderMap, header};
use url::Url;

use super::{
    Fetcher, RemoteFile,
    address::Causes,
    html, parse,
    web::{Patience, Trouble, spell},
};
use crate::ingest::Failure;

/// Longest document; the largest public listings have a few tens of megabytes.
const LONGEST: usize = 64 << 20;

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it came from in the end: what relative addresses in it are resolved against.
    pub url: String,
    /// Its text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Its media type, as served.
    pub content_type: Option<String>,
}

/// What came of asking for a document.
#[derive(Debug, Clone)]
pub enum Found {
    /// It is there.
    Document(Arc<Document>),
    /// Upstream does not have it.
    Missing {
        /// What it answered, with the address.
        reason: String,
    },
}

impl Document {
    /// Whether it is a web page, by media type or by how it begins.
    pub fn is_html(&self) -> bool {
        html::is_html(self.content_type.as_deref(), self.text.as_bytes())
    }
}

impl Fetcher {
    /// Reads a document that has to be there; once per run.
    pub async fn text(&self, url: &str) -> Result<Arc<Document>, Failure> {
        match self.document(url).await? {
            Found::Document(document) => Ok(document),
            Found::Missing { reason } => Err(Failure::upstream(reason)),
        }
    }

    /// Reads a document that may not be there; once per run.
    pub async fn document(&self, url: &str) -> Result<Found, Failure> {
        let cell = {
            let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(documents.entry(url.to_owned()).or_default())
        };
        cell.get_or_try_init(|| self.in_time(url, self.read(url))).await.cloned()
    }

    async fn read(&self, url: &str) -> Result<Found, Failure> {
        let asked = RemoteFile { url: url.to_owned(), bytes: None, checksum: None, local: None };
        if let Some(path) = self.local_path(&asked)? {
            return match tokio::fs::read(&path).await {
                Ok(bytes) => Ok(found(url, &bytes, None)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    Ok(Found::Missing { reason: format!("{url}: no such file") })
                }
                Err(error) => Err(Failure::internal(format!("{url}: {error}"))),
            };
        }
        let address = parse(url)?;
        let mut patience = Patience::new(&self.settings);
        loop {
            match self.read_once(&address).await {
                Ok(found) => return Ok(found),
                Err(trouble) => patience.after(&address, trouble).await?,
            }
        }
    }

    async fn read_once(&self, url: &Url) -> Result<Found, Trouble> {
        let mut answer = self.web.ask(url, &HeaderMap::new()).await?;
        let status = answer.response.status();
        match status.as_u16() {
            200 => {}
            404 | 410 => return Ok(Found::Missing { reason: format!("{url} answered {}", spell(status)) }),
            _ => return Err(Trouble::upstream(format!("{url}: answered {}", spell(status)))),
        }
        let mut body = Vec::new();
        loop {
            match answer.response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) => {
                    self.count_bytes(chunk.len() as u64, url)?;
                    body.extend_from_slice(&chunk);
                    if body.len() > LONGEST {
                        return Err(Trouble::upstream(format!(
                            "{url}: longer than {LONGEST} bytes, which no listing is"
                        )));
                    }
                }
                Err(error) => {
                    return Err(Trouble::passing(format!("the body was cut off: {}", Causes(&error.without_url()))));
                }
            }
        }
        let media_type = answer.response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(found(answer.url.as_str(), &body, media_type))
    }
}

fn found(url: &str, body: &[u8], media_type: Option<&str>) -> Found {
    Found::Document(Arc::new(Document {
        url: url.to_owned(),
        text: String::from_utf8_lossy(body).into_owned(),
        content_type: media_type.map(str::to_owned),
    }))
}
