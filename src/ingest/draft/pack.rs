//! A sample put back into the compression or archive that upstream uses.

use std::io::{Cursor, Write};

use crate::ingest::{Failure, extract::decompress::Compression};

/// Compresses bytes the way upstream does.
pub(super) fn compress(bytes: &[u8], compression: Compression) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::internal(format!("the sample cannot be compressed: {error}"));
    let mut out = Vec::new();
    match compression {
        Compression::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(&mut out, flate2::Compression::best());
            writer.write_all(bytes).and_then(|()| writer.finish().map(drop)).map_err(failed)?;
        }
        Compression::Bzip2 => {
            let mut writer = bzip2::write::BzEncoder::new(&mut out, bzip2::Compression::best());
            writer.write_all(bytes).and_then(|()| writer.finish().map(drop)).map_err(failed)?;
        }
        Compression::Xz => {
            let mut writer = liblzma::write::XzEncoder::new(&mut out, 6);
            writer.write_all(bytes).and_then(|()| writer.finish().map(drop)).map_err(failed)?;
        }
        Compression::Zstd => {
            let mut writer = zstd::stream::write::Encoder::new(&mut out, 19).map_err(failed)?;
            writer.write_all(bytes).and_then(|()| writer.finish().map(drop)).map_err(failed)?;
        }
    }
    Ok(out)
}

/// A zip archive of those members.
pub(super) fn zip(members: &[(String, Vec<u8>)]) -> Result<Vec<u8>, Failure> {
    let failed = |error: zip::result::ZipError| Failure::internal(format!("the sample cannot be zipped: {error}"));
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).map_err(failed)?;
        writer.write_all(bytes).map_err(|error| failed(error.into()))?;
    }
    Ok(writer.finish().map_err(failed)?.into_inner())
}

/// A tar archive of those members.
pub(super) fn tar(members: &[(String, Vec<u8>)]) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::internal(format!("the sample cannot be put into a tar: {error}"));
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_slice()).map_err(failed)?;
    }
    builder.into_inner().map_err(failed)
}
