//! Uploads in parts that nobody finished: S3 keeps, and charges for, their parts until somebody aborts them.
//! `object_store` neither lists nor aborts what another process began, so these two requests are made here.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::{
    ClientOptions,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider},
    client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::{Reader, events::Event};

use super::StoreError;

/// Bytes of one page of the listing at most: a thousand uploads with the longest keys.
const MOST_BYTES: usize = 4 << 20;
/// What needs no escape in a query or path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The uploads of a bucket, below a prefix.
#[derive(Debug)]
pub(super) struct Uploads {
    client: HttpClient,
    credentials: Option<AwsCredentialProvider>,
    region: String,
    /// Address of the bucket, without a slash at its end.
    bucket: String,
    prefix: String,
}

/// One that is not finished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Upload {
    /// Key in the bucket.
    key: String,
    id: String,
    initiated: String,
}

impl Upload {
    /// When it was begun; `None` when the storage does not say so.
    pub(super) fn begun(&self) -> Option<DateTime<Utc>> {
        Some(DateTime::parse_from_rfc3339(&self.initiated).ok()?.to_utc())
    }
}

/// A page of them, and where the next one begins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    uploads: Vec<Upload>,
    next: Option<(String, String)>,
}

impl Uploads {
    /// Of the bucket that `builder` describes and `built` is.
    pub(super) fn new(builder: &AmazonS3Builder, built: &AmazonS3, bucket: &str, prefix: &str) -> Option<Self> {
        let value = |key: &AmazonS3ConfigKey| builder.get_config_value(key);
        let is_set = |key| value(&key).is_some_and(|value| matches!(value.as_str(), "true" | "1" | "on" | "yes"));
        let region = value(&AmazonS3ConfigKey::Region)
            .or_else(|| value(&AmazonS3ConfigKey::DefaultRegion))
            .unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = value(&AmazonS3ConfigKey::S3Endpoint).or_else(|| value(&AmazonS3ConfigKey::Endpoint));
        let virtual_hosted = is_set(AmazonS3ConfigKey::VirtualHostedStyleRequest);
        let address = match (&endpoint, virtual_hosted) {
            (Some(endpoint), true) => endpoint.trim_end_matches('/').to_owned(),
            (Some(endpoint), false) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            (None, true) => format!("https://{bucket}.s3.{region}.amazonaws.com"),
            (None, false) => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        };
        let options = ClientOptions::new().with_allow_http(address.starts_with("http://"));
        let client = ReqwestConnector::default().connect(&options).ok()?;
        let signed = !is_set(AmazonS3ConfigKey::SkipSignature);
        let credentials = signed.then(|| built.credentials().clone());
        Some(Self { client, credentials, region, bucket: address, prefix: prefix.to_owned() })
    }

    /// All of them, a page at a time.
    pub(super) async fn list(&self) -> Result<Vec<Upload>, StoreError> {
        let (mut all, mut after) = (Vec::new(), None::<(String, String)>);
        loop {
            // In the order of their names, as the signature wants them.
            let mut query = Vec::new();
            if let Some((key, id)) = &after {
                query.extend([("key-marker", key.as_str()), ("upload-id-marker", id.as_str())]);
            }
            let prefix = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
            query.extend([("max-uploads", "1000"), ("prefix", prefix.as_str()), ("uploads", "")]);
            let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
            let body = self.send("GET", &format!("{}?{}", self.bucket, query.join("&"))).await?;
            let page = parse(&body).ok_or_else(|| StoreError::corrupt("the list of uploads", "is no such list"))?;
            all.extend(page.uploads);
            match page.next {
                // A page that leads to itself leads nowhere.
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(all),
            }
        }
    }

    /// Gives up an upload, so that its parts go.
    pub(super) async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        let key: Vec<_> = upload.key.split('/').map(escaped).collect();
        let url = format!("{}/{}?uploadId={}", self.bucket, key.join("/"), escaped(&upload.id));
        self.send("DELETE", &url).await.map(drop)
    }

    /// The upload's key inside the store.
    pub(super) fn key<'u>(&self, upload: &'u Upload) -> &'u str {
        upload.key.strip_prefix(&self.prefix).unwrap_or(&upload.key).trim_start_matches('/')
    }

    async fn send(&self, method: &str, url: &str) -> Result<Bytes, StoreError> {
        let request = http::Request::builder().method(method).uri(url).body(HttpRequestBody::empty());
        let mut request: HttpRequest = request.map_err(|error| StoreError::unavailable(&self.bucket, error))?;
        let fail = |error: &dyn std::fmt::Display| StoreError::unavailable(&self.bucket, error);
        if let Some(credentials) = &self.credentials {
            let credential = credentials.get_credential().await.map_err(|error| fail(&error))?;
            AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        }
        let response = self.client.execute(request).await.map_err(|error| fail(&error))?;
        let status = response.status();
        let mut chunks = response.into_body().bytes_stream();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.try_next().await.map_err(|error| fail(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                return Err(fail(&"the answer is too long"));
            }
        }
        // One that is gone already is gone.
        if status.is_success() || (method == "DELETE" && status.as_u16() == 404) {
            return Ok(body.into());
        }
        let said = String::from_utf8_lossy(&body);
        Err(fail(&format!(
            "unfinished uploads: the storage says {status}: {}",
            said.chars().take(300).collect::<String>()
        )))
    }
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// `ListMultipartUploadsResult`.
fn parse(body: &[u8]) -> Option<Page> {
    let mut reader = Reader::from_reader(body);
    let (mut page, mut upload, mut name, mut text) = (Page::default(), None::<Upload>, String::new(), String::new());
    let (mut more, mut key, mut id, mut known) = (false, String::new(), String::new(), false);
    loop {
        match reader.read_event().ok()? {
            Event::Empty(empty) => known |= empty.local_name().as_ref() == b"ListMultipartUploadsResult",
            Event::Start(start) => {
                name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                text.clear();
                match name.as_str() {
                    "ListMultipartUploadsResult" => known = true,
                    "Upload" => upload = Some(Upload::default()),
                    _ => {}
                }
            }
            Event::Text(part) => text.push_str(&part.decode().ok()?),
            Event::GeneralRef(part) => {
                text.push_str(quick_xml::escape::unescape(&format!("&{};", part.decode().ok()?)).ok()?.as_ref());
            }
            Event::End(end) if end.local_name().as_ref() == b"Upload" => page.uploads.extend(upload.take()),
            Event::End(end) if end.local_name().as_ref() == name.as_bytes() => {
                let text = text.trim().to_owned();
                match (name.as_str(), upload.as_mut()) {
                    ("Key", Some(upload)) => upload.key = text,
                    ("UploadId", Some(upload)) => upload.id = text,
                    ("Initiated", Some(upload)) => upload.initiated = text,
                    ("IsTruncated", None) => more = text == "true",
                    ("NextKeyMarker", None) => key = text,
                    ("NextUploadIdMarker", None) => id = text,
                    _ => {}
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    page.next = more.then_some((key, id));
    known.then_some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_uploads_are_read() {
        let body = br#"<?xml version="1.0"?><ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Bucket>b</Bucket><NextKeyMarker>k&amp;1</NextKeyMarker><NextUploadIdMarker>u1</NextUploadIdMarker><IsTruncated>true</IsTruncated>
            <Upload><Key>p/d/data/t/1.parquet</Key><UploadId>u1</UploadId><Initiator><ID>x</ID></Initiator><Initiated>2026-11-22T07:00:00.000Z</Initiated></Upload>
            </ListMultipartUploadsResult>"#;
        let page = parse(body).expect("a page");
        assert_eq!(page.next, Some(("k&1".into(), "u1".into())));
        let [upload] = &page.uploads[..] else { panic!("{page:?}") };
        assert_eq!((upload.key.as_str(), upload.id.as_str()), ("p/d/data/t/1.parquet", "u1"));
        assert_eq!(upload.begun().expect("a time").timestamp(), 1_795_330_800);
        assert_eq!(parse(b"<ListMultipartUploadsResult/>"), Some(Page::default()));
        assert_eq!(parse(b"<ListMultipartUploadsResult></ListMultipartUploadsResult>"), Some(Page::default()));
        for other in [&b"<Error><Code>NoSuchBucket</Code></Error>"[..], b"", b"<html>", b"\xff<"] {
            assert_eq!(parse(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
