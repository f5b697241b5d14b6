//! Where a download lives in scratch: its bytes, and beside them the validators of the answer they came with, so that a
//! killed process's download is picked up by the next run and two versions are never glued together.
//!
//! The bytes' file is locked while in use: two runs that want one URL do not write over each other.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is known of the bytes in a slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The address they came from, for people who look into scratch.
    pub(super) url: String,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    /// The strong validator for `If-Range`; without one there is no resuming.
    pub(super) resume: Option<String>,
    /// Set when all bytes are there and were found right.
    pub(super) complete: Option<Complete>,
}

/// A whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Complete {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// A download's place, held by a lock until the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    file: Arc<File>,
    path: PathBuf,
}

impl Slot {
    /// Takes the slot of a URL. When another run has it, a slot that nobody else will ever want.
    pub(super) fn take(folder: &Path, url: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let hash = Sha256::digest(url.as_bytes());
        let name = hex::encode(hash.get(..16).unwrap_or(&hash));
        if let Some(slot) = Self::lock(folder.join(&name))? {
            return Ok(slot);
        }
        loop {
            if let Some(slot) = Self::lock(folder.join(format!("{name}-{:016x}", fastrand::u64(..))))? {
                return Ok(slot);
            }
        }
    }

    fn lock(path: PathBuf) -> io::Result<Option<Self>> {
        loop {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Whoever had it may have removed it between our opening and our lock: then this is nobody's file.
            match fs::metadata(&path) {
                Ok(there) if there.ino() == file.metadata()?.ino() => {
                    return Ok(Some(Self { file: Arc::new(file), path }));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn state_path(&self) -> PathBuf {
        self.path.with_extension("json")
    }

    /// Another handle on the bytes, positioned by its user.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Bytes there.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// What is known of them; nothing, when that cannot be read.
    pub(super) fn state(&self) -> State {
        fs::read(self.state_path()).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Writes down what is known of the bytes.
    pub(super) fn save(&self, state: &State) -> io::Result<()> {
        let text = serde_json::to_vec(state)?;
        let draft = self.path.with_extension("draft");
        fs::write(&draft, text)?;
        fs::rename(draft, self.state_path())
    }

    /// Forgets the bytes and what was known of them.
    pub(super) fn clear(&self) -> io::Result<()> {
        match fs::remove_file(self.state_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.file.set_len(0)
    }

    /// Removes the slot from scratch.
    pub(super) fn discard(&self) -> io::Result<()> {
        self.clear()?;
        fs::remove_file(&self.path)
    }
}

/// Removes slots that nobody uses and nobody wrote to since `before` (a time of the file system's clock).
pub(super) fn sweep(folder: &Path, before: std::time::SystemTime) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let old = entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|modified| modified < before);
        if old
            && entry.path().extension().is_none()
            && let Some(slot) = Slot::lock(entry.path())?
        {
            slot.discard()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_keeps_bytes_and_validators_and_belongs_to_one_run_at_a_time() {
        let scratch = tempfile::tempdir().expect("a folder");
        let first = Slot::take(scratch.path(), "https://example.org/a").expect("free");
        fs::write(first.path(), b"half").expect("written");
        let state = State { etag: Some("\"1\"".into()), resume: Some("\"1\"".into()), ..State::default() };
        first.save(&state).expect("saved");

        let second = Slot::take(scratch.path(), "https://example.org/a").expect("another");
        assert_ne!(first.path(), second.path(), "two runs write to one file");
        assert_eq!(second.state(), State::default());
        second.discard().expect("removed");

        let path = first.path().to_owned();
        drop(first);
        let again = Slot::take(scratch.path(), "https://example.org/a").expect("free again");
        assert_eq!(again.path(), path);
        assert_eq!((again.bytes().expect("bytes"), again.state()), (4, state));
        again.clear().expect("cleared");
        assert_eq!((again.bytes().expect("bytes"), again.state()), (0, State::default()));
    }

    #[test]
    fn only_old_and_unused_slots_are_swept() {
        let scratch = tempfile::tempdir().expect("a folder");
        let used = Slot::take(scratch.path(), "used").expect("free");
        let unused = Slot::take(scratch.path(), "unused").expect("free").path().to_owned();
        let long_ago = std::time::UNIX_EPOCH;
        sweep(scratch.path(), long_ago).expect("swept");
        assert!(unused.exists());
        let ages_hence =
            fs::metadata(&unused).and_then(|m| m.modified()).expect("a time") + std::time::Duration::from_secs(9);
        sweep(scratch.path(), ages_hence).expect("swept");
        assert!(used.path().exists() && !unused.exists());
        sweep(&scratch.path().join("none"), ages_hence).expect("nothing to sweep");
    }
}
