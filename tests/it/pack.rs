//! Compressed files and archives, made in memory, for origins to serve.
#![allow(dead_code, reason = "what one test module has no use for, the next one has")]

use std::io::{Cursor, Write};

/// One gzip member.
pub(crate) fn gz(body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// One bzip2 stream.
pub(crate) fn bz2(body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(body.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// xz.
pub(crate) fn xz(body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 3);
    encoder.write_all(body.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// zstd.
pub(crate) fn zst(body: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::stream::encode_all(body.as_ref(), 3).unwrap()
}

/// A tar of files.
pub(crate) fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, body) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, *body).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A zip of files.
pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, body) in members {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(body).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The whole text of a gzip, for tests that change what we hold.
pub(crate) fn gunzip(body: &[u8]) -> Vec<u8> {
    let mut decoder = flate2::write::MultiGzDecoder::new(Vec::new());
    decoder.write_all(body).unwrap();
    decoder.finish().unwrap()
}

/// The whole text of a bzip2, all streams.
pub(crate) fn bunzip2(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let mut decoder = bzip2::write::BzDecoder::new(Vec::new());
        let before = rest.len();
        let mut written = 0;
        while written < rest.len() {
            let took = decoder.write(rest.get(written..).unwrap()).unwrap();
            if took == 0 {
                break;
            }
            written += took;
        }
        out.extend(decoder.finish().unwrap());
        rest = rest.get(written..).unwrap();
        assert!(rest.len() < before, "a bzip2 stream without bytes");
    }
    out
}

/// sha256 in hex.
pub(crate) fn sha256(body: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(body))
}

/// sha1 in hex.
pub(crate) fn sha1(body: &[u8]) -> String {
    use sha1::Digest;
    hex::encode(sha1::Sha1::digest(body))
}

#[test]
fn what_is_packed_can_be_unpacked() {
    let text = b"some text\n".repeat(1000);
    assert_eq!(gunzip(&[gz(&text), gz("more")].concat()), [&text[..], b"more"].concat());
    assert_eq!(bunzip2(&[bz2(&text), bz2("more")].concat()), [&text[..], b"more"].concat());
}
