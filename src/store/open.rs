//! What an address of a store means: a path, `file://`, `s3://bucket/prefix` or `memory:`.

use std::{path::Path, sync::Arc, time::Duration};

use object_store::{
    ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut},
    local::LocalFileSystem,
    memory::InMemory,
    prefix::PrefixStore,
};

use super::{Store, StoreError, disk, uploads::Uploads};

/// Longest time one request to S3 is tried again: a server must answer 503 before its client gives up.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

impl Store {
    /// Opens a store. A local folder is created if it is not there; S3 takes the usual `AWS_…` variables
    /// (`AWS_ENDPOINT_URL` may be `http://`).
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where the address means nothing, [`StoreError::Unavailable`] where the folder cannot be
    /// created. S3 is not asked yet.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let unusable = |why: String| StoreError::Unusable { path: url.to_owned(), why };
        match url.split_once(':') {
            _ if url.is_empty() => {
                Err(unusable("an empty store address; give a folder, s3://bucket/prefix or memory:".into()))
            }
            Some(("memory", "" | "//")) => Ok(Self::in_memory()),
            Some(("file", rest)) => {
                let path = url::Url::parse(url)
                    .ok()
                    .filter(|_| rest.starts_with('/'))
                    .and_then(|url| url.to_file_path().ok())
                    .ok_or_else(|| unusable("is no file URL; write file:///absolute/path".into()))?;
                Self::on_disk(url, &path)
            }
            Some(("s3" | "s3a", rest)) => {
                let rest = rest.strip_prefix("//").unwrap_or_default();
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(unusable("names no bucket; write s3://bucket/prefix".into()));
                }
                Self::on_s3(url, bucket, prefix)
            }
            Some((scheme, rest)) if rest.starts_with("//") => Err(unusable(format!(
                "stores at `{scheme}://` are not known; give a folder, file:///folder, s3://bucket/prefix or memory:"
            ))),
            _ => Self::on_disk(url, Path::new(url)),
        }
    }

    /// A store that lives as long as its last clone.
    pub fn in_memory() -> Self {
        Self::over("memory:".into(), Arc::new(InMemory::new()), None)
    }

    fn on_disk(url: &str, folder: &Path) -> Result<Self, StoreError> {
        disk::create_folder(folder)?;
        let files = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| StoreError::unavailable(url, format!("cannot be opened: {error}")))?;
        let files = Arc::new(files);
        Ok(Self::over(url.to_owned(), files.clone(), Some(files)))
    }

    fn on_s3(url: &str, bucket: &str, prefix: &str) -> Result<Self, StoreError> {
        let builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(RetryConfig { max_retries: 6, retry_timeout: LONGEST_RETRY, ..RetryConfig::default() });
        let plain = [AmazonS3ConfigKey::Endpoint, AmazonS3ConfigKey::S3Endpoint]
            .iter()
            .filter_map(|key| builder.get_config_value(key))
            .any(|endpoint| endpoint.starts_with("http://"));
        let builder = if plain { builder.with_allow_http(true) } else { builder };
        let unusable = |why: String| StoreError::Unusable { path: url.to_owned(), why };
        let built = builder.clone().build().map_err(|error| unusable(format!("cannot be used: {error}")))?;
        let prefix = prefix.trim_matches('/');
        let uploads = Uploads::new(&builder, &built, bucket, prefix);
        let objects: Arc<dyn ObjectStore> = if prefix.is_empty() {
            Arc::new(built)
        } else {
            Arc::new(PrefixStore::new(built, super::key::parse(prefix)?))
        };
        Ok(Self::with_uploads(url.to_owned(), objects, None, uploads))
    }
}
