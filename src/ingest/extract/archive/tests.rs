#![allow(clippy::unwrap_used)]
use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::{CompressionMethod, write::SimpleFileOptions};

use super::*;
use crate::{
    catalog::Blame,
    ingest::extract::decompress::tests::{bzip2, gzip},
};

type Found = Vec<(Option<String>, Vec<u8>, bool)>;

fn read(bytes: &[u8], wanted: &dyn Fn(&str) -> bool, caps: &Caps) -> Result<(Members, Found), Failure> {
    let file = on_disk(bytes);
    let mut found = Vec::new();
    let members = members(file.path(), "dump", wanted, caps, &mut |member| {
        let mut text = Vec::new();
        member.reader.read_to_end(&mut text).map_err(|error| read_failure(error, "dump"))?;
        found.push((member.name, text, member.plain.is_some()));
        Ok(())
    })?;
    Ok((members, found))
}

fn on_disk(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.flush().unwrap();
    file
}

fn texts(found: &Found) -> Vec<(&str, &str)> {
    found.iter().map(|(name, text, _)| (name.as_deref().unwrap_or("-"), std::str::from_utf8(text).unwrap())).collect()
}

fn zip_of(entries: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, method) in entries {
        let options = SimpleFileOptions::default().compression_method(*method);
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn a_plain_file_is_its_own_member() {
    let (members, found) = read(b"a,b\n", &|_| false, &Caps::default()).unwrap();
    assert_eq!(members, Members { matched: 1, names: vec![] });
    assert_eq!(found, [(None, b"a,b\n".to_vec(), true)]);
    let (_, found) = read(&gzip(b"a,b\n"), &|_| false, &Caps::default()).unwrap();
    assert_eq!(found, [(None, b"a,b\n".to_vec(), false)]);
}

#[test]
fn zip_members_in_order_by_every_method() {
    use CompressionMethod as By;
    let file = zip_of(&[
        ("data/", b"", By::Stored),
        ("data/b.csv", b"b", By::Deflated),
        ("__MACOSX/data/._b.csv", b"junk", By::Stored),
        ("data/a.csv.gz", &gzip(b"a"), By::Stored),
        ("c.csv", b"c", By::Bzip2),
        ("d.csv", b"d", By::Zstd),
        ("README", b"no", By::Deflated),
    ]);
    let (members, found) = read(&file, &|name| name.contains(".csv"), &Caps::default()).unwrap();
    assert_eq!(texts(&found), [("data/b.csv", "b"), ("data/a.csv.gz", "a"), ("c.csv", "c"), ("d.csv", "d")]);
    assert_eq!((members.matched, members.names.len()), (4, 5));
    let (members, found) = read(&file, &|name| name == "nope", &Caps::default()).unwrap();
    assert_eq!((members.matched, found.len()), (0, 0));
    assert!(members.names.contains(&"README".to_owned()));
}

#[test]
fn an_office_document_is_no_archive_unless_a_member_is_asked_for() {
    let file = zip_of(&[
        ("[Content_Types].xml", b"x", CompressionMethod::Stored),
        ("xl/sheet1.xml", b"y", CompressionMethod::Stored),
    ]);
    let (_, found) = read(&file, &|_| true, &Caps::default()).unwrap();
    assert_eq!(found, [(None, file.clone(), true)]);
    let (_, found) = read(&file, &|name| name == "xl/sheet1.xml", &Caps::default()).unwrap();
    assert_eq!(texts(&found), [("xl/sheet1.xml", "y")]);
}

#[test]
fn tar_members_with_long_names_in_every_wrapping() {
    let long = format!("{}/a.csv", "folder".repeat(40));
    let tar = tar_of(&[("./b.csv", b"b"), (&long, b"a"), ("._b.csv", b"junk"), ("c.csv.bz2", &bzip2(b"c"))]);
    let mut cases = vec![tar.clone(), gzip(&tar), bzip2(&tar), zstd::stream::encode_all(tar.as_slice(), 1).unwrap()];
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&tar).unwrap();
    cases.push(xz.finish().unwrap());
    for case in cases {
        let (members, found) = read(&case, &|_| true, &Caps::default()).unwrap();
        assert_eq!(texts(&found), [("b.csv", "b"), (long.as_str(), "a"), ("c.csv.bz2", "c")]);
        assert_eq!(members.matched, 3);
    }
}

#[test]
fn pax_names_and_links() {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("path", b"t\xc3\xa4blet/x.csv".as_slice())]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    header.set_path("x").unwrap();
    header.set_cksum();
    builder.append(&header, b"x".as_slice()).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Symlink);
    builder.append_link(&mut header, "link.csv", "/etc/passwd").unwrap();
    let (_, found) = read(&builder.into_inner().unwrap(), &|_| true, &Caps::default()).unwrap();
    assert_eq!(texts(&found), [("täblet/x.csv", "x")]);
}

#[test]
fn cut_off_archives_are_upstreams_fault() {
    let text = noise(50_000);
    let zip = zip_of(&[("a.csv", &text, CompressionMethod::Deflated), ("b.csv", &text, CompressionMethod::Stored)]);
    let tar = tar_of(&[("a.csv", &text), ("b.csv", &text)]);
    for (file, keep) in [(&zip, zip.len() - 30), (&zip, 30_000), (&tar, 60_000), (&tar, 51_500), (&tar, 100)] {
        let result = read(&file[..keep], &|name| name == "b.csv", &Caps::default());
        if keep == 100 {
            // Less than a tar header is no tar.
            assert_eq!(result.unwrap().0.matched, 1);
            continue;
        }
        let failure = result.map(|found| found.0).unwrap_err();
        assert_eq!(failure.blame, Blame::Upstream, "{failure}");
        assert!(failure.message.contains("dump") && failure.message.contains("cut off"), "{failure}");
    }
    let mut damaged = zip.clone();
    damaged[100] ^= 0x55;
    assert!(
        read(&damaged, &|_| true, &Caps::default())
            .map(|found| found.0)
            .unwrap_err()
            .message
            .contains("dump#a.csv: zip data is damaged")
    );
    let mut compressed = gzip(&tar);
    let crc = compressed.len() - 8;
    compressed[crc] ^= 1;
    assert!(
        read(&compressed, &|_| false, &Caps::default())
            .map(|found| found.0)
            .unwrap_err()
            .message
            .contains("gzip data is damaged")
    );
}

#[test]
fn encrypted_members_and_bombs() {
    let mut encrypted = zip_of(&[("a.csv", b"a", CompressionMethod::Stored)]);
    let central = encrypted.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    encrypted[6] |= 1;
    encrypted[central + 8] |= 1;
    let failure = read(&encrypted, &|_| true, &Caps::default()).map(|found| found.0).unwrap_err();
    assert!(failure.message.contains("dump#a.csv: is encrypted"), "{failure}");
    let bomb = zip_of(&[("a.csv", &vec![0; 70 << 20], CompressionMethod::Zstd)]);
    let failure = read(&bomb, &|_| true, &Caps::default()).map(|found| found.0).unwrap_err();
    assert!(failure.message.contains("decompress_ratio"), "{failure}");
    let nested = read(&gzip(&bomb), &|_| true, &Caps::default()).map(|found| found.0).unwrap_err();
    assert_eq!(nested.blame, Blame::Definition);
}

#[test]
fn the_text_of_one_member() {
    let tar = gzip(&tar_of(&[("README", b"x"), ("SCHEMA_SEQUENCE", b"31\n"), ("mbdump/artist", b"1\n")]));
    let file = on_disk(&tar);
    let text = |name| member_text(file.path(), name, &Caps::default());
    assert_eq!(text("SCHEMA_SEQUENCE").unwrap().as_deref(), Some("31\n"));
    assert_eq!(text("COPYING").unwrap(), None);
    let plain = on_disk(b"31");
    assert_eq!(member_text(plain.path(), "x", &Caps::default()).unwrap(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn mutated_archives_never_panic(
        is_zip in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut file = if is_zip {
            zip_of(&[("a", b"aaaaaaaaaaaaaaaaa", CompressionMethod::Deflated), ("b", b"b", CompressionMethod::Bzip2)])
        } else {
            tar_of(&[("a", b"a"), (&"long".repeat(60), b"b")])
        };
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(keep.index(file.len()) + 1);
        let caps = Caps { decompressed_bytes: 1 << 20, ..Caps::default() };
        drop(read(&file, &|_| true, &caps));
    }
}

#[test]
fn a_stage_is_told_of_the_files_bytes_not_of_what_they_decompress_to() {
    let bytes = gzip(&vec![b'a'; 1 << 20]);
    let file = on_disk(&bytes);
    let stage = crate::ingest::progress::Progress::silent().reading("a.gz", bytes.len() as u64);
    members_told(file.path(), "a.gz", Some(&stage), &|_| true, &Caps::default(), &mut |member| {
        std::io::copy(member.reader, &mut std::io::sink()).unwrap();
        Ok(())
    })
    .unwrap();
    assert_eq!(stage.done(), bytes.len() as u64);
}
