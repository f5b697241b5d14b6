//! A server's disposable local space: a folder of its own, locked for as long as it runs and gone with it. What one that was
//! killed left behind goes when the next one starts.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Begins the names of folders that are locked by whoever uses them.
const OWNED: &str = "serve-";
/// Begins the names of folders that are not locked yet.
const COMING: &str = "coming-";
/// Such a folder of this age was left by somebody who is gone.
const ABANDONED: Duration = Duration::from_secs(3600);
const LOCK: &str = "lock";

/// See the module.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    /// Released with the process, however it ends.
    _lock: File,
}

impl Scratch {
    /// A folder of its own in `parent`, where others may have theirs.
    pub(super) fn claim(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        sweep(parent)?;
        let id = ulid::Ulid::generate().to_string().to_lowercase();
        let coming = parent.join(format!("{COMING}{id}"));
        fs::create_dir(&coming)?;
        let lock = File::create(coming.join(LOCK))?;
        lock.lock()?;
        // Under this name it is only ever seen locked.
        let folder = parent.join(format!("{OWNED}{id}"));
        fs::rename(&coming, &folder)?;
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next one to start removes what stays.
        fs::remove_dir_all(&self.folder).unwrap_or_default();
    }
}

/// Removes the folders of servers that are gone, and nothing else.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let gone = if name.starts_with(OWNED) {
            // One without a lock is being removed by its owner; what stays of it has no owner.
            File::open(entry.path().join(LOCK)).map_or(true, |lock| lock.try_lock().is_ok())
        } else if name.starts_with(COMING) {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            modified.is_ok_and(|at| SystemTime::elapsed(&at).unwrap_or_default() > ABANDONED)
        } else {
            false
        };
        if gone {
            // Another server may be at it, too.
            fs::remove_dir_all(entry.path()).unwrap_or_default();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_server_left_goes_and_what_others_use_stays() {
        let parent = tempfile::tempdir().expect("a folder");
        let left = parent.path().join("serve-01left");
        fs::create_dir(&left).expect("a folder");
        fs::write(left.join(LOCK), "").expect("a file");
        fs::write(left.join("spill"), "x").expect("a file");
        fs::create_dir(parent.path().join("downloads")).expect("a folder");
        let first = Scratch::claim(parent.path()).expect("a folder");
        fs::write(first.folder().join("spill"), "x").expect("a file");
        let second = Scratch::claim(parent.path()).expect("a folder");
        assert!(!left.exists() && first.folder().join("spill").exists() && second.folder().is_dir());
        let (one, two) = (first.folder().to_owned(), second.folder().to_owned());
        drop((first, second));
        assert!(!one.exists() && !two.exists() && parent.path().join("downloads").is_dir());
    }
}
