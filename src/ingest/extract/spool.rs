//! A stream of bytes as a file, for what cannot be read front to back.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::{Extraction, Member, read_failure};
use crate::ingest::Failure;

const COPY_BYTES: usize = 256 << 10;

/// The bytes of a member as a file on disk: the member's own, or a copy in scratch that goes when this is dropped.
pub(super) enum Spooled {
    /// Read in place.
    Plain(PathBuf),
    /// A copy.
    Copy(NamedTempFile),
}

impl Spooled {
    /// Copies the member to scratch, unless it is a file already.
    ///
    /// # Errors
    /// The member cannot be read, or scratch cannot be written.
    pub(super) fn new(extraction: &Extraction<'_>, input: &mut Member<'_>) -> Result<Self, Failure> {
        if let Some(plain) = input.plain {
            return Ok(Self::Plain(plain.to_owned()));
        }
        let scratch = |error: std::io::Error| {
            Failure::internal(format!("cannot write to {}: {error}", extraction.scratch.display()))
        };
        let mut copy = NamedTempFile::new_in(extraction.scratch).map_err(scratch)?;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            match input.reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => copy.write_all(buffer.get(..got).unwrap_or_default()).map_err(scratch)?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_failure(error, &extraction.place())),
            }
        }
        copy.flush().map_err(scratch)?;
        Ok(Self::Copy(copy))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Plain(path) => path,
            Self::Copy(copy) => copy.path(),
        }
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// The machine's.
    pub(super) fn open(&self) -> Result<File, Failure> {
        File::open(self.path())
            .map_err(|error| Failure::internal(format!("cannot open {}: {error}", self.path().display())))
    }
}
