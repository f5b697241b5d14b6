//! Durable writes to a local disk, which `object_store` does not do: what is acknowledged here survives a power cut.
//!
//! A file is written beside its name, fsynced, linked to its name (which fails if that is taken) and its folder is
//! fsynced. A writer killed on the way leaves only a file named `…#<digits>`, which no listing shows.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::StoreError;

/// Creates `name` with these bytes.
///
/// # Errors
/// [`StoreError::Exists`] if it is there already; then nothing was changed.
pub(super) fn create(name: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = Temporary::write(name, |file| file.write_all(bytes))?;
    temporary.link_to(name)
}

/// Puts these bytes at `name`, whatever was there.
pub(super) fn replace(name: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = Temporary::write(name, |file| file.write_all(bytes))?;
    fs::rename(&temporary.0, name).map_err(|error| StoreError::from_io(name, "rename it into place", &error))?;
    sync_folder(name)
}

/// Creates `name` from a local file: by a link where both are on one file system, else by a copy. The local file is only
/// read; it must not be written to afterwards.
///
/// # Errors
/// [`StoreError::Exists`] if it is there already; then nothing was changed.
pub(super) fn adopt(name: &Path, local: &Path) -> Result<(), StoreError> {
    File::open(local)
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::from_io(local, "read it into the store", &error))?;
    create_folder(name.parent().unwrap_or(name))?;
    match fs::hard_link(local, name) {
        Ok(()) => sync_folder(name),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(StoreError::from_io(name, "", &error)),
        // Another file system, or one without links: copy.
        Err(_) => {
            let temporary = Temporary::write(name, |to| {
                File::open(local).and_then(|mut from| io::copy(&mut from, to)).map(|_| ())
            })?;
            temporary.link_to(name)
        }
    }
}

/// Creates a folder and those above it, each durably.
pub(super) fn create_folder(folder: &Path) -> Result<(), StoreError> {
    // The folder above a relative name such as `store` is spelled "": the working folder, which is there.
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => sync_folder(folder),
        // Another writer made it meanwhile.
        Err(_) if folder.is_dir() => Ok(()),
        Err(error) => Err(match StoreError::from_io(folder, "create this folder", &error) {
            StoreError::Exists { path } => {
                StoreError::Unusable { path, why: "is a file where the store needs a folder".into() }
            }
            other => other,
        }),
    }
}

/// Makes the entry `name` of its folder durable.
fn sync_folder(name: &Path) -> Result<(), StoreError> {
    let folder = match name.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StoreError::from_io(folder, "fsync this folder", &error))
}

/// Whether a file is one that never became an object, by its name.
pub(super) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mark = name.rsplit_once('#').map_or("", |(_, mark)| mark);
    !mark.is_empty() && mark.bytes().all(|byte| byte.is_ascii_digit())
}

/// A file that is not yet an object; removed when dropped.
struct Temporary(PathBuf);

impl Temporary {
    /// Writes and fsyncs a new file beside `name`.
    fn write(name: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<Self, StoreError> {
        create_folder(name.parent().unwrap_or(name))?;
        let mut path = name.as_os_str().to_owned();
        // Listings pass over `#` and digits (object_store's own mark for unfinished uploads).
        path.push(format!("#{}", ulid::Ulid::generate().random()));
        let path = PathBuf::from(path);
        let fail = |error| StoreError::from_io(&path, "write this file", &error);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(fail)?;
        let temporary = Self(path.clone());
        fill(&mut file).and_then(|()| file.sync_all()).map_err(fail)?;
        Ok(temporary)
    }

    /// Gives the file its name, unless that is taken.
    fn link_to(self, name: &Path) -> Result<(), StoreError> {
        fs::hard_link(&self.0, name).map_err(|error| {
            StoreError::from_io(name, "link it to its name (the store needs a file system with hard links)", &error)
        })?;
        sync_folder(name)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Already renamed, or left for the next writer: either way no listing shows it.
        fs::remove_file(&self.0).unwrap_or_default();
    }
}
