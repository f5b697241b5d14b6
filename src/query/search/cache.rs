//! Indexes in use: copied from the store into a local folder of bounded size, opened once, shared by all searches.
//!
//! The folder holds nothing that is not in the store, and may be shared: each index lies under the name of the attempt
//! that made it, and gets that name when it is whole.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tantivy::{Index, ReloadPolicy, Searcher, schema::Field};
use tempfile::TempDir;

use super::{THING, broken, build, declared, fields, words};
use crate::{
    query::{QueryError, progress::Progress, table::TableSource},
    store::{DerivedFolder, DerivedFrom, Store, StoreError},
};

/// Begins the names of folders that are not whole yet.
const UNFINISHED: &str = "unfinished-";
/// Such a folder of this age was left by somebody who is gone.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// An index, open.
pub struct Opened {
    pub(super) searcher: Searcher,
    /// One for each column that is searched.
    pub(super) fields: Vec<Field>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("rows", &self.searcher.num_docs()).finish_non_exhaustive()
    }
}

/// Where an index is.
#[derive(Debug)]
pub enum Kept {
    /// Open.
    Open(Arc<Opened>),
    /// In the store: [`Indexes::fetch`] opens it.
    Stored(DerivedFolder),
    /// Nowhere: [`Indexes::make`] makes it.
    Nowhere,
}

/// See the module.
#[derive(Debug)]
pub struct Indexes {
    folder: PathBuf,
    most: u64,
    open: Arc<Open>,
}

type Open = Mutex<HashMap<DerivedFrom, Entry>>;

#[derive(Debug)]
struct Entry {
    index: Arc<Opened>,
    build: String,
    used: Instant,
}

impl Indexes {
    /// Over a folder, which is made when it is needed, and about so many bytes in it.
    pub fn new(folder: PathBuf, most: u64) -> Self {
        Self { folder, most, open: Arc::default() }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<DerivedFrom, Entry>> {
        locked(&self.open)
    }

    /// Where the index of a table of a snapshot is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn kept(&self, store: &Store, of: &DerivedFrom) -> Result<Kept, StoreError> {
        if let Some(entry) = self.entries().get_mut(of) {
            entry.used = Instant::now();
            return Ok(Kept::Open(Arc::clone(&entry.index)));
        }
        match store.derived_folder(of, THING).await {
            Ok(Some(folder)) => Ok(Kept::Stored(folder)),
            Ok(None) => Ok(Kept::Nowhere),
            Err(error @ StoreError::Corrupt { .. }) => {
                self.forget(store, of, &error).await?;
                Ok(Kept::Nowhere)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens an index that is in the store; what is damaged there is forgotten, and must be made again.
    ///
    /// # Errors
    /// When it cannot be fetched. False when it was damaged.
    pub async fn fetch(
        &self,
        source: &TableSource,
        of: &DerivedFrom,
        folder: &DerivedFolder,
        progress: &Progress,
    ) -> Result<bool, QueryError> {
        let columns = declared(&source.table.schema).len();
        let whole = self.folder.join(&folder.build);
        // Names from the store become names here: no more than names.
        if folder.build.parse::<ulid::Ulid>().is_err() {
            self.forget(&source.store, of, &"a name that is none").await?;
            return Ok(false);
        }
        progress.set_total(folder.bytes());
        if whole.is_dir() {
            // Left by an earlier run, perhaps by one that a power cut ended.
            let path = whole.clone();
            let opened = blocking(move || {
                let opened = open(&path, columns, true);
                // Another process that shares the folder may have removed it as well.
                if opened.is_err() && path.is_dir() {
                    fs::remove_dir_all(&path).map_err(broken)?;
                }
                Ok(opened.ok())
            });
            if let Some(index) = opened.await? {
                self.insert(of, &folder.build, index).await;
                return Ok(true);
            }
        }
        let unfinished = self.unfinished()?;
        let fetched = source.store.get_derived_folder(of, THING, folder, unfinished.path()).await;
        progress.advance(folder.bytes());
        match fetched {
            Ok(()) => {}
            Err(error @ (StoreError::Corrupt { .. } | StoreError::NotFound { .. })) => {
                self.forget(&source.store, of, &error).await?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        match self.adopt(of, &folder.build, unfinished, columns).await {
            Ok(()) => Ok(true),
            Err(error @ QueryError::Search(_)) => {
                self.forget(&source.store, of, &error).await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the index of a table of a snapshot, puts it into the store and opens it. Where another made it meanwhile,
    /// that one is used.
    ///
    /// # Errors
    /// When the table cannot be read or the index not be written.
    pub async fn make(&self, source: &TableSource, of: &DerivedFrom, progress: &Progress) -> Result<(), QueryError> {
        let columns = declared(&source.table.schema);
        let unfinished = self.unfinished()?;
        build::build(source, &columns, unfinished.path(), progress).await?;
        let build = ulid::Ulid::generate().to_string().to_lowercase();
        let put = source.store.put_derived_folder(of, THING, &build, unfinished.path()).await?;
        if put.build == build {
            return self.adopt(of, &build, unfinished, columns.len()).await;
        }
        drop(unfinished);
        match self.fetch(source, of, &put, &Progress::default()).await? {
            true => Ok(()),
            false => Err(broken("another server made the index, and it is damaged")),
        }
    }

    /// A whole index that lies in a folder of its own, into use.
    async fn adopt(
        &self,
        of: &DerivedFrom,
        build: &str,
        unfinished: TempDir,
        columns: usize,
    ) -> Result<(), QueryError> {
        let whole = self.folder.join(build);
        let index = blocking(move || {
            let from = unfinished.keep();
            match fs::rename(&from, &whole) {
                Ok(()) => {}
                // Another process that shares the folder was faster.
                Err(_) if whole.is_dir() => fs::remove_dir_all(&from).map_err(broken)?,
                Err(error) => return Err(broken(error)),
            }
            open(&whole, columns, false)
        });
        let index = index.await?;
        self.insert(of, build, index).await;
        Ok(())
    }

    async fn insert(&self, of: &DerivedFrom, build: &str, index: Opened) {
        let entry = Entry { index: Arc::new(index), build: build.to_owned(), used: Instant::now() };
        self.entries().insert(of.clone(), entry);
        let (folder, most, open, keep) = (self.folder.clone(), self.most, Arc::clone(&self.open), build.to_owned());
        if let Err(error) = blocking(move || evict(&folder, most, &open, &keep).map_err(broken)).await {
            tracing::warn!(folder = %self.folder.display(), %error, "the cache of search indexes cannot be tidied");
        }
    }

    /// Forgets what is in the store, so that it is made again.
    async fn forget(
        &self,
        store: &Store,
        of: &DerivedFrom,
        why: &(dyn std::fmt::Display + Sync),
    ) -> Result<(), StoreError> {
        tracing::warn!(dataset = %of.dataset, snapshot = of.snapshot, table = %of.table, %why, "a search index is damaged and made anew");
        store.drop_derived(of, THING).await
    }

    fn unfinished(&self) -> Result<TempDir, QueryError> {
        fs::create_dir_all(&self.folder)
            .and_then(|()| tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.folder))
            .map_err(|error| broken(format!("{}: {error}", self.folder.display())))
    }
}

fn locked(open: &Open) -> MutexGuard<'_, HashMap<DerivedFrom, Entry>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On a thread made for what takes its time.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| QueryError::Cut(error.to_string()))?
}

/// Removes what was not used for longest until the rest fits. What is open stays readable to those who read it.
fn evict(folder: &Path, most: u64, open: &Open, keep: &str) -> io::Result<()> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let metadata = entry.metadata()?;
        let age = SystemTime::elapsed(&metadata.modified()?).unwrap_or_default();
        if name.starts_with(UNFINISHED) {
            if age > ABANDONED {
                fs::remove_dir_all(entry.path())?;
            }
        } else if metadata.is_dir() && name.parse::<ulid::Ulid>().is_ok() {
            let used = locked(open).values().find(|entry| entry.build == name).map(|entry| entry.used.elapsed());
            folders.push((used.unwrap_or(age.max(Duration::from_secs(60))), name, size(&entry.path())?));
        }
    }
    folders.sort_unstable();
    let mut total = 0_u64;
    for (_, name, bytes) in folders {
        total = total.saturating_add(bytes);
        if total > most && name != keep {
            locked(open).retain(|_, entry| entry.build != name);
            fs::remove_dir_all(folder.join(&name))?;
            total -= bytes;
        }
    }
    Ok(())
}

fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

fn open(folder: &Path, columns: usize, check: bool) -> Result<Opened, QueryError> {
    let mut index = Index::open_in_dir(folder).map_err(broken)?;
    index.set_tokenizers(words::manager());
    let (schema, fields, _) = fields(columns);
    if index.schema() != schema {
        return Err(broken("the index is of other columns"));
    }
    if check && !index.validate_checksum().map_err(broken)?.is_empty() {
        return Err(broken("a file's checksum is wrong"));
    }
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(broken)?;
    Ok(Opened { searcher: tantivy::IndexReader::searcher(&reader), fields })
}
