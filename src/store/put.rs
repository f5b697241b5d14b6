//! Writes: small objects whole, files by stream. On a local disk both go through [`super::disk`].

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use object_store::{
    Attribute, Attributes, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, WriteMultipart,
    local::LocalFileSystem, path::Path,
};
use tokio::io::AsyncReadExt;

use super::{Key, Store, StoreError, disk};

/// Bytes of a part of an upload; S3 takes at most 10 000 parts of one object.
const PART: usize = 16 << 20;
/// Parts under way at once.
const PARTS_AT_ONCE: usize = 4;

impl Store {
    /// Puts a local file into the store: durable when this returns. On one file system it is linked, not copied, so the
    /// local file may be removed afterwards but not written to.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the key is in use, [`StoreError::Unavailable`].
    pub async fn put_file(&self, key: &Key, local: &std::path::Path) -> Result<(), StoreError> {
        let path = key.path()?;
        if let Some(disk) = self.0.disk.clone() {
            let local = local.to_owned();
            return blocking(move || disk::adopt(&on_disk(&disk, &path)?, &local)).await;
        }
        if self.object(path.as_ref()).await?.is_some() {
            return Err(StoreError::Exists { path: path.to_string() });
        }
        let read = |error| StoreError::from_io(local, "read it into the store", &error);
        let mut file = tokio::fs::File::open(local).await.map_err(read)?;
        let fail = |error: object_store::Error| StoreError::from_object_store(&path, &error);
        let mut part = next_part(&mut file).await.map_err(read)?;
        if part.len() < PART {
            return self
                .0
                .objects
                .put_opts(&path, part.into(), options(key, PutMode::Overwrite))
                .await
                .map_err(fail)
                .map(drop);
        }
        let attributes = PutMultipartOptions { attributes: attributes(key.content_type()), ..Default::default() };
        let upload = self.0.objects.put_multipart_opts(&path, attributes).await.map_err(fail)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        while !part.is_empty() {
            if let Err(error) = upload.wait_for_capacity(PARTS_AT_ONCE).await {
                // Without this the parts would be stored, and paid for, until a rule of the bucket removes them.
                upload.abort().await.unwrap_or_default();
                return Err(fail(error));
            }
            upload.put(part);
            part = match next_part(&mut file).await {
                Ok(part) => part,
                Err(error) => {
                    upload.abort().await.unwrap_or_default();
                    return Err(read(error));
                }
            };
        }
        upload.finish().await.map_err(fail).map(drop)
    }

    /// Creates an object with these bytes.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; after [`StoreError::Unavailable`] it may or may not be there.
    pub(super) async fn create(&self, path: &Path, body: Bytes, content_type: &'static str) -> Result<(), StoreError> {
        if let Some(disk) = self.0.disk.clone() {
            let path = path.clone();
            return blocking(move || disk::create(&on_disk(&disk, &path)?, &body)).await;
        }
        let options = PutOptions { mode: PutMode::Create, attributes: attributes(content_type), ..Default::default() };
        let put = self.0.objects.put_opts(path, body.into(), options).await;
        put.map(drop).map_err(|error| StoreError::from_object_store(path, &error))
    }

    /// Puts an object with these bytes, whatever was there.
    pub(super) async fn replace(&self, path: &Path, body: Bytes, content_type: &'static str) -> Result<(), StoreError> {
        if let Some(disk) = self.0.disk.clone() {
            let path = path.clone();
            return blocking(move || disk::replace(&on_disk(&disk, &path)?, &body)).await;
        }
        let options = PutOptions { attributes: attributes(content_type), ..Default::default() };
        let put = self.0.objects.put_opts(path, body.into(), options).await;
        put.map(drop).map_err(|error| StoreError::from_object_store(path, &error))
    }

    /// Puts an object that may be made anew, unless it is there with just these bytes; whether it was written.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn renew(&self, key: &Key, body: Bytes) -> Result<bool, StoreError> {
        let path = key.path()?;
        let there = self.object(path.as_ref()).await?.is_some_and(|object| object.bytes == body.len() as u64);
        if there && self.get(&path).await? == body {
            return Ok(false);
        }
        self.replace(&path, body, key.content_type()).await?;
        Ok(true)
    }

    /// What [`Self::renew`] put there, if anything did.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn renewed(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        match self.get(&key.path()?).await {
            Ok(body) => Ok(Some(body)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// A whole, small object.
    pub(super) async fn get(&self, path: &Path) -> Result<Bytes, StoreError> {
        let fail = |error| StoreError::from_object_store(path, &error);
        self.0.objects.get(path).await.map_err(fail)?.bytes().await.map_err(fail)
    }
}

fn options(key: &Key, mode: PutMode) -> PutOptions {
    PutOptions { mode, attributes: attributes(key.content_type()), ..Default::default() }
}

fn attributes(content_type: &'static str) -> Attributes {
    Attributes::from_iter([(Attribute::ContentType, content_type)])
}

/// The next bytes of a file; fewer than a part only at its end.
async fn next_part(file: &mut tokio::fs::File) -> std::io::Result<Bytes> {
    let mut part = Vec::with_capacity(PART);
    file.take(PART as u64).read_to_end(&mut part).await?;
    Ok(part.into())
}

/// Where an object lies on the disk.
pub(super) fn on_disk(disk: &Arc<LocalFileSystem>, path: &Path) -> Result<PathBuf, StoreError> {
    disk.path_to_filesystem(path).map_err(|error| StoreError::from_object_store(path, &error))
}

/// Runs file system calls where they may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(StoreError::unavailable("the store", format!("a file operation ended early: {error}")))
    })
}
