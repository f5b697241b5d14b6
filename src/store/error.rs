//! What can go wrong with the store, by what a caller does about it.

use std::fmt;

use object_store::path::Path;

/// A failed store operation. Each variant names the object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such object.
    #[error("{path}: there is no such object in the store")]
    NotFound {
        /// Its key.
        path: String,
    },
    /// Another run created that number first; nothing was changed. Begin again from the new head, or give way.
    #[error("{path}: number {number} was taken by run {by}")]
    Taken {
        /// Key of the number.
        path: String,
        /// The number.
        number: u64,
        /// The run that has it.
        by: String,
    },
    /// A number that does not follow the last one: numbers have no gaps.
    #[error("{path}: number {number} does not follow {last}, the last one there")]
    OutOfOrder {
        /// Key of the number.
        path: String,
        /// The number asked for.
        number: u64,
        /// The last one there.
        last: u64,
    },
    /// An object of that name is there already; objects are never overwritten.
    #[error("{path}: is there already, and objects are never overwritten")]
    Exists {
        /// Its key.
        path: String,
    },
    /// What is stored there is not what should be there. No retry helps: restore it from a backup.
    #[error("{path}: {why}")]
    Corrupt {
        /// Its key.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The address of the store, or a key, cannot be used as written.
    #[error("{path}: {why}")]
    Unusable {
        /// The address or key.
        path: String,
        /// What is wrong with it, and what would work.
        why: String,
    },
    /// The storage did not do it: unreachable, full, or not permitted. Trying again later may help.
    #[error("{path}: {why}")]
    Unavailable {
        /// The key.
        path: String,
        /// What the storage said.
        why: String,
    },
}

impl StoreError {
    /// Whether it only says that the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    #[allow(clippy::needless_pass_by_value)] // texts and errors alike, made into text here
    pub(super) fn corrupt(path: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Corrupt { path: path.to_string(), why: why.to_string() }
    }

    #[allow(clippy::needless_pass_by_value)] // as above
    pub(super) fn unavailable(path: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Unavailable { path: path.to_string(), why: why.to_string() }
    }

    /// What an object store said about `path`.
    pub(super) fn from_object_store(path: &Path, error: &object_store::Error) -> Self {
        let path = if path.as_ref().is_empty() { "the store".to_owned() } else { path.to_string() };
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound { path },
            object_store::Error::AlreadyExists { .. } => Self::Exists { path },
            object_store::Error::InvalidPath { .. } => Self::Unusable { path, why: chain(error) },
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                Self::Unavailable {
                    path,
                    why: format!("the store does not permit it; check its credentials: {}", chain(error)),
                }
            }
            _ => Self::Unavailable { path, why: chain(error) },
        }
    }

    /// What the file system said about `path`.
    pub(super) fn from_io(path: &std::path::Path, doing: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{AlreadyExists, PermissionDenied, ReadOnlyFilesystem, StorageFull};
        let path = path.display().to_string();
        match error.kind() {
            AlreadyExists => Self::Exists { path },
            PermissionDenied | ReadOnlyFilesystem => Self::Unavailable {
                path,
                why: format!("cannot {doing}: {error}; the store's folder must be writable for the user this runs as"),
            },
            StorageFull => {
                Self::Unavailable { path, why: format!("cannot {doing}: {error}; make room on the store's disk") }
            }
            _ => Self::Unavailable { path, why: format!("cannot {doing}: {error}") },
        }
    }
}

/// An error with all its causes on one line, without saying one thing twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        cause = error.source();
    }
    text
}
