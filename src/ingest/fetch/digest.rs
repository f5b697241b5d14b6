//! Checksums, computed while bytes pass.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::ingest::definition::grammar::ChecksumKind;

/// sha256 always, and the kind that upstream publishes where it is another one.
#[derive(Debug, Clone)]
pub(super) struct Digests {
    sha256: Sha256,
    other: Option<Other>,
}

#[derive(Debug, Clone)]
enum Other {
    Sha1(Sha1),
    Md5(Md5),
}

/// The checksums of all bytes, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) sha256: String,
    other: Option<String>,
}

impl Digests {
    pub(super) fn new(wanted: Option<ChecksumKind>) -> Self {
        let other = match wanted {
            None | Some(ChecksumKind::Sha256) => None,
            Some(ChecksumKind::Sha1) => Some(Other::Sha1(Sha1::new())),
            Some(ChecksumKind::Md5) => Some(Other::Md5(Md5::new())),
        };
        Self { sha256: Sha256::new(), other }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        match &mut self.other {
            Some(Other::Sha1(sha1)) => sha1.update(bytes),
            Some(Other::Md5(md5)) => md5.update(bytes),
            None => {}
        }
    }

    pub(super) fn finish(self) -> Sums {
        let other = self.other.map(|other| match other {
            Other::Sha1(sha1) => hex::encode(sha1.finalize()),
            Other::Md5(md5) => hex::encode(md5.finalize()),
        });
        Sums { sha256: hex::encode(self.sha256.finalize()), other }
    }
}

impl Sums {
    /// Compares with what upstream publishes; the message names both values.
    pub(super) fn check(&self, expected: Option<&(ChecksumKind, String)>) -> Result<(), String> {
        let Some((kind, expected)) = expected else { return Ok(()) };
        let (name, found) = match kind {
            ChecksumKind::Sha256 => ("sha256", Some(&self.sha256)),
            ChecksumKind::Sha1 => ("sha1", self.other.as_ref()),
            ChecksumKind::Md5 => ("md5", self.other.as_ref()),
        };
        match found {
            Some(found) if found.eq_ignore_ascii_case(expected.trim()) => Ok(()),
            Some(found) => Err(format!("its {name} is {found}, upstream says {}", expected.trim())),
            None => Err(format!("its {name} was not computed, upstream says {}", expected.trim())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_kind_is_compared_and_both_values_are_named() {
        let sums = |kind| {
            let mut digests = Digests::new(Some(kind));
            digests.update(b"ab");
            digests.update(b"c");
            digests.finish()
        };
        let md5 = sums(ChecksumKind::Md5);
        assert_eq!(md5.check(Some(&(ChecksumKind::Md5, "900150983CD24FB0D6963F7D28E17F72".into()))), Ok(()));
        let sha1 = sums(ChecksumKind::Sha1);
        assert_eq!(
            sha1.check(Some(&(ChecksumKind::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d\n".into()))),
            Ok(())
        );
        let message = md5.check(Some(&(ChecksumKind::Sha256, "00ff".into()))).expect_err("another sum");
        assert_eq!(
            message,
            "its sha256 is ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, upstream says 00ff"
        );
        assert_eq!(md5.check(None), Ok(()));
    }
}
