//! Files that are on this machine already: read in place, never copied.

use std::{
    fs::File,
    io::{ErrorKind, Read, Seek},
    path::Path,
    time::UNIX_EPOCH,
};

use chrono::{DateTime, Utc};

use super::{
    Fetched, FetchedFile, RemoteFile, Validators,
    digest::{Digests, Sums},
};
use crate::ingest::{Failure, definition::grammar::ChecksumKind};

/// Reads a local file's checksum; not modified when size and time of its last change are those of the last snapshot.
pub(super) fn fetch(
    path: &Path,
    file: &RemoteFile,
    known: Option<&Validators>,
    now: DateTime<Utc>,
) -> Result<Fetched, Failure> {
    let trouble = |error: std::io::Error| Failure::internal(format!("{}: {error}", path.display()));
    let mut opened = match File::open(path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Fetched::Missing { reason: format!("{}: no such file", path.display()) });
        }
        Err(error) => return Err(trouble(error)),
    };
    let metadata = opened.metadata().map_err(trouble)?;
    if metadata.is_dir() {
        return Err(Failure::definition(format!("{}: is a folder, a source is a file", path.display())));
    }
    let modified = metadata.modified().map_err(trouble)?;
    let nanoseconds = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let etag = Some(format!("\"{nanoseconds:x}-{:x}\"", metadata.len()));
    if known.is_some_and(|known| known.etag == etag) {
        return Ok(Fetched::NotModified);
    }
    if let Some(declared) = file.bytes.filter(|declared| *declared != metadata.len()) {
        return Err(Failure::upstream(format!(
            "{}: {} bytes, {declared} were declared",
            path.display(),
            metadata.len()
        )));
    }
    let kind = file.checksum.as_ref().map(|(kind, _)| *kind);
    let sums = sums(&mut opened, metadata.len(), kind).map_err(trouble)?.finish();
    sums.check(file.checksum.as_ref())
        .map_err(|message| Failure::upstream(format!("{}: {message}", path.display())))?;
    let Sums { sha256, .. } = sums;
    Ok(Fetched::File(FetchedFile {
        path: path.to_owned(),
        bytes: metadata.len(),
        sha256,
        etag,
        last_modified: Some(httpdate::fmt_http_date(modified)),
        fetched: now,
        slot: None,
    }))
}

/// The digests of the first `bytes` bytes of a file, to be continued or finished.
pub(super) fn sums(file: &mut File, bytes: u64, kind: Option<ChecksumKind>) -> std::io::Result<Digests> {
    file.rewind()?;
    let mut digests = Digests::new(kind);
    let mut buffer = vec![0; 1 << 20];
    let mut rest = file.take(bytes);
    loop {
        match rest.read(&mut buffer) {
            Ok(0) => return Ok(digests),
            Ok(read) => digests.update(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
