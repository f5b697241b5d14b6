//! Files as far as the kernel has them in memory, opened and read on the calling thread without waiting for a disk: a hop to a
//! thread that may wait takes longer than a short read. (openat2's `RESOLVE_CACHED`, Linux 5.12; preadv2's `RWF_NOWAIT`, Linux
//! 4.14. What cannot be had so is `None`, whatever the reason: who asks then waits elsewhere, and hears the reason there.)

use std::{fs::File, ops::Range, path::Path};

use bytes::Bytes;

/// The file, if its place is known without looking at the disk.
#[cfg(target_os = "linux")]
pub(super) fn open(name: &Path) -> Option<File> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat2(CWD, name, flags, Mode::empty(), ResolveFlags::CACHED).ok().map(File::from)
}

/// These bytes of a file, if all of them are in memory.
#[cfg(target_os = "linux")]
pub(super) fn read(file: &File, range: &Range<u64>) -> Option<Bytes> {
    use rustix::io::{IoSliceMut, ReadWriteFlags, preadv2};
    let mut bytes = vec![0; usize::try_from(range.end.checked_sub(range.start)?).ok()?];
    let mut got = 0;
    while got < bytes.len() {
        let mut rest = [IoSliceMut::new(bytes.get_mut(got..)?)];
        match preadv2(file, &mut rest, range.start + got as u64, ReadWriteFlags::NOWAIT) {
            Ok(more) if more > 0 => got += more,
            _ => return None,
        }
    }
    Some(bytes.into())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read(_: &File, _: &Range<u64>) -> Option<Bytes> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_the_bytes_or_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = folder.path().join("file");
        let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        std::fs::write(&name, &bytes).expect("a file");
        assert!(open(&folder.path().join("none")).is_none());
        let Some(file) = open(&name) else { return };
        for range in [0..1, 99..70_000, 0..100_000] {
            let expected = &bytes[range.start as usize..range.end as usize];
            assert!(read(&file, &range).is_none_or(|found| found == expected), "{range:?}");
        }
        assert_eq!(read(&file, &(99_999..100_001)), None, "beyond the end");
    }
}
