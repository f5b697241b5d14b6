//! Avro object container files, byte for byte the same for the same records. The `apache-avro` crate encodes the records;
//! the frame is ours, because the crate's writer puts metadata in random order and makes up the marker.

use apache_avro::{Schema, writer::datum::GenericDatumWriter};
use bytes::Bytes;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::IcebergError;

/// Bytes of a block, at least, unless it is the last.
const BLOCK: usize = 64 << 10;

/// Bytes as a record's field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binary(pub(super) Vec<u8>);

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

/// A container of these records. `metadata` is written in the order given.
///
/// # Errors
/// When a record does not fit the schema: a bug of ours.
pub(super) fn container<R: Serialize>(
    schema: &str,
    metadata: &[(&str, String)],
    records: &[R],
) -> Result<Bytes, IcebergError> {
    let unwritable = |error: apache_avro::Error| IcebergError::Unwritable(error.to_string());
    let parsed = Schema::parse_str(schema).map_err(unwritable)?;
    let writer = GenericDatumWriter::builder(&parsed).build().map_err(unwritable)?;

    let mut out = b"Obj\x01".to_vec();
    let fixed = [("avro.codec", "null"), ("avro.schema", schema)];
    let pairs = fixed.into_iter().chain(metadata.iter().map(|(key, value)| (*key, value.as_str())));
    long((fixed.len() + metadata.len()) as i64, &mut out);
    for (key, value) in pairs {
        for text in [key, value] {
            long(text.len() as i64, &mut out);
            out.extend_from_slice(text.as_bytes());
        }
    }
    long(0, &mut out);
    let digest = Sha256::digest(&out);
    let marker = digest.get(..16).unwrap_or_default();
    out.extend_from_slice(marker);

    let mut block = Vec::with_capacity(BLOCK);
    let mut count = 0;
    for (at, record) in records.iter().enumerate() {
        writer.write_ser(&mut block, record).map_err(unwritable)?;
        count += 1;
        if block.len() >= BLOCK || at + 1 == records.len() {
            long(count, &mut out);
            long(block.len() as i64, &mut out);
            out.append(&mut block);
            out.extend_from_slice(marker);
            count = 0;
        }
    }
    Ok(out.into())
}

/// Avro's `long`: zigzag, seven bits a byte.
fn long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
