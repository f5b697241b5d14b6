//! What was made from a table of a snapshot and can be made again at any time: statistics, search indexes.
//!
//! A thing is one small JSON object, or a folder of files with a JSON object beside it that lists them. That object is
//! created last and only once, so a half-written thing is never seen, and of two servers that make the same thing one
//! wins and the other uses what the winner made. Everything lies under its snapshot's number and goes with it.

use std::path::Path as LocalPath;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::{
    Area, DerivedFrom, Key, Store, StoreError,
    key::{self, AREAS},
    put::blocking,
};
use crate::catalog::{DatasetId, Manifest, TableSnapshot};

/// Objects deleted side by side.
const DELETES_AT_ONCE: usize = 8;
/// Bytes hashed at a time.
const CHUNK: usize = 256 << 10;

/// The files of a thing that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedFolder {
    /// The attempt that made it.
    pub build: String,
    /// Its files.
    pub files: Vec<DerivedFile>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedFile {
    /// Its name in the folder.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// sha256, hex.
    pub sha256: String,
}

impl DerivedFolder {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl DerivedFrom {
    /// A table of a snapshot.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the manifest holds a name that is none.
    pub fn new(manifest: &Manifest, table: &TableSnapshot) -> Result<Self, StoreError> {
        let dataset = manifest.dataset.parse().map_err(|error| StoreError::corrupt(&manifest.dataset, error))?;
        let name = table.name.parse().map_err(|error| StoreError::corrupt(&manifest.dataset, error))?;
        Ok(Self { area: Area::of_table(manifest, table), dataset, snapshot: manifest.snapshot, table: name })
    }
}

impl Store {
    /// A thing that is one JSON object, if it was made.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn derived(&self, of: &DerivedFrom, thing: &'static str) -> Result<Option<Bytes>, StoreError> {
        match self.get(&Key::Derived { of: of.clone(), thing }.path()?).await {
            Ok(body) => Ok(Some(body)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a thing that is one JSON object; false when another made it meanwhile, which then stays.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_derived(&self, of: &DerivedFrom, thing: &'static str, body: Bytes) -> Result<bool, StoreError> {
        let key = Key::Derived { of: of.clone(), thing };
        match self.create(&key.path()?, body, key.content_type()).await {
            Ok(()) => Ok(true),
            Err(StoreError::Exists { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The files of a thing that is a folder, if it is whole.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the list cannot be read, [`StoreError::Unavailable`].
    pub async fn derived_folder(
        &self,
        of: &DerivedFrom,
        thing: &'static str,
    ) -> Result<Option<DerivedFolder>, StoreError> {
        let Some(body) = self.derived(of, thing).await? else { return Ok(None) };
        let key = Key::Derived { of: of.clone(), thing };
        serde_json::from_slice(&body).map(Some).map_err(|error| StoreError::corrupt(key, error))
    }

    /// Puts all files of a local folder, which has no folders in it and is not written to again, as a thing. Gives what is
    /// there afterwards: this, or what another put first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then the thing is as it was.
    pub async fn put_derived_folder(
        &self,
        of: &DerivedFrom,
        thing: &'static str,
        build: &str,
        local: &LocalPath,
    ) -> Result<DerivedFolder, StoreError> {
        let folder = local.to_owned();
        let names = blocking(move || {
            let read = |error| StoreError::from_io(&folder, "read it into the store", &error);
            let mut names = Vec::new();
            for entry in std::fs::read_dir(&folder).map_err(read)? {
                names.push(entry.map_err(read)?.file_name().to_string_lossy().into_owned());
            }
            names.sort_unstable();
            Ok(names)
        })
        .await?;
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            let path = local.join(&name);
            let (bytes, sha256) = digest(path.clone()).await?;
            let (of, build) = (of.clone(), build.to_owned());
            self.put_file(&Key::DerivedFile { of, thing, build, file: name.clone() }, &path).await?;
            files.push(DerivedFile { name, bytes, sha256 });
        }
        let folder = DerivedFolder { build: build.to_owned(), files };
        let body = serde_json::to_vec(&folder).map_err(|error| StoreError::corrupt(build, error))?;
        if self.put_derived(of, thing, body.into()).await? {
            return Ok(folder);
        }
        // A create whose reply was lost looks like a conflict to its own retry: then the winner is this one.
        let winner = self.derived_folder(of, thing).await?;
        if winner.as_ref().is_none_or(|winner| winner.build != build) {
            self.delete_below(&self.folder_of(of, &[thing, build])).await?;
        }
        winner.ok_or_else(|| StoreError::NotFound { path: Key::Derived { of: of.clone(), thing }.to_string() })
    }

    /// Copies all files of a thing into a local folder that is there, and checks each.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] and [`StoreError::Corrupt`] when it must be made again, [`StoreError::Unavailable`].
    pub async fn get_derived_folder(
        &self,
        of: &DerivedFrom,
        thing: &'static str,
        folder: &DerivedFolder,
        local: &LocalPath,
    ) -> Result<(), StoreError> {
        for file in &folder.files {
            let (of, build) = (of.clone(), folder.build.clone());
            let key = Key::DerivedFile { of, thing, build, file: file.name.clone() }.to_string();
            // A name from the store becomes one of the local disk: it must be no more than a name.
            let plain = LocalPath::new(&file.name).file_name().is_some_and(|name| name == file.name.as_str());
            if !plain {
                return Err(StoreError::corrupt(key, "is no name of a file"));
            }
            let path = local.join(&file.name);
            let fail = |error| StoreError::from_io(&path, "write this file", &error);
            let mut stream = self.stream(&key, 0..file.bytes).await?;
            let mut out = tokio::fs::File::create(&path).await.map_err(fail)?;
            let mut hash = Sha256::new();
            while let Some(chunk) = stream.try_next().await? {
                hash.update(&chunk);
                out.write_all(&chunk).await.map_err(fail)?;
            }
            out.flush().await.map_err(fail)?;
            if hex::encode(hash.finalize()) != file.sha256 {
                return Err(StoreError::corrupt(key, "its bytes are not those that were written"));
            }
        }
        Ok(())
    }

    /// Forgets a thing, so that it is made again: first what says that it is whole, then its files.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn drop_derived(&self, of: &DerivedFrom, thing: &'static str) -> Result<(), StoreError> {
        self.delete(&Key::Derived { of: of.clone(), thing }.path()?).await?;
        self.delete_below(&self.folder_of(of, &[thing])).await
    }

    /// Deletes everything derived from a snapshot, with what unfinished attempts left.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn drop_derived_of(&self, dataset: &DatasetId, snapshot: u64) -> Result<(), StoreError> {
        for area in AREAS {
            self.delete_below(&key::derived(area, dataset, snapshot, &[])).await?;
        }
        Ok(())
    }

    /// The keys and sizes of everything derived from a snapshot.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn list_derived(&self, dataset: &DatasetId, snapshot: u64) -> Result<Vec<(String, u64)>, StoreError> {
        let mut all = Vec::new();
        for area in AREAS {
            let folder = key::derived(area, dataset, snapshot, &[]);
            let found = self.0.objects.list(Some(&folder)).map_ok(|found| (found.location.to_string(), found.size));
            let found: Vec<_> =
                found.try_collect().await.map_err(|error| StoreError::from_object_store(&folder, &error))?;
            all.extend(found);
        }
        all.sort_unstable();
        Ok(all)
    }

    fn folder_of(&self, of: &DerivedFrom, below: &[&str]) -> Path {
        let names: Vec<&str> = [of.table.as_str()].into_iter().chain(below.iter().copied()).collect();
        key::derived(of.area, &of.dataset, of.snapshot, &names)
    }

    async fn delete_below(&self, folder: &Path) -> Result<(), StoreError> {
        let fail = |error| StoreError::from_object_store(folder, &error);
        let found = self.0.objects.list(Some(folder)).map_ok(|found| found.location);
        let found: Vec<Path> = found.try_collect().await.map_err(fail)?;
        let deletes = futures::stream::iter(found).map(|path| async move { self.delete(&path).await });
        deletes.buffer_unordered(DELETES_AT_ONCE).try_collect::<()>().await
    }

    pub(super) async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        match self.0.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::from_object_store(path, &error)),
        }
    }
}

/// Size and sha256 of a local file.
async fn digest(path: std::path::PathBuf) -> Result<(u64, String), StoreError> {
    blocking(move || {
        use std::io::Read;
        let read = |error| StoreError::from_io(&path, "read it into the store", &error);
        let mut file = std::fs::File::open(&path).map_err(read)?;
        let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0_u64, vec![0; CHUNK]);
        loop {
            let count = file.read(&mut chunk).map_err(read)?;
            if count == 0 {
                return Ok((bytes, hex::encode(hash.finalize())));
            }
            bytes += count as u64;
            hash.update(chunk.get(..count).unwrap_or_default());
        }
    })
    .await
}
