//! Whether a row group may hold a value, by its bloom filter: a filter may take megabytes, but a question only 32 of its
//! bytes (parquet-format, "split block bloom filter").

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use parquet::{errors::ParquetError, file::metadata::RowGroupMetaData};
use twox_hash::XxHash64;

use super::file::OpenFile;
use super::{
    cache::PageKey,
    header,
    shape::{FileColumn, Leaf},
};
use crate::query::footer::Footer;

/// Bytes of a header at most.
const HEADER: u64 = 64;
/// Bytes of a block.
const BLOCK: u64 = 32;
/// What spreads a hash over the eight words of a block; the format's own.
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// Values of which a column must have one.
#[derive(Debug, Clone)]
pub(in crate::query) struct OneOf {
    pub(in crate::query) column: String,
    kind: DataType,
    hashes: Vec<u64>,
}

impl OneOf {
    /// `None` for values that filters are not asked about.
    pub(in crate::query) fn new(column: &str, values: &[ScalarValue]) -> Option<Self> {
        let hashes = values.iter().map(hash).collect::<Option<Vec<_>>>()?;
        Some(Self { column: column.to_owned(), kind: values.first()?.data_type(), hashes })
    }

    /// Whether a row group may have one of the values; true where there is no filter. What is read is not counted as
    /// scanned: no row is.
    pub(in crate::query) async fn may_be_in(&self, file: &OpenFile, group: usize) -> Result<bool, ParquetError> {
        let (reader, footers, footer) = (file.reader(), file.footers(), file.footer());
        let Some((leaf, key)) = self.leaf(footer, group) else { return Ok(true) };
        let columns = footer.metadata.metadata().row_groups().get(group).map(RowGroupMetaData::columns);
        let offset = columns.and_then(|columns| columns.get(leaf.at)?.bloom_filter_offset());
        let Some(offset) = offset.and_then(|offset| u64::try_from(offset).ok()) else { return Ok(true) };
        let (bits, begin) = match footers.pages.filter(&key) {
            Some(known) => known,
            None => {
                let end = (offset + HEADER).min(reader.size());
                let bytes = reader.index(std::slice::from_ref(&(offset..end))).await?;
                let Some((bits, length)) = bytes.first().and_then(|bytes| header::bloom_filter(bytes)) else {
                    return Ok(true);
                };
                let found = (bits as u64, offset + length as u64);
                footers.pages.keep_filter(key, found);
                found
            }
        };
        let blocks = bits / BLOCK;
        let ranges: Vec<_> = self
            .hashes
            .iter()
            .map(|hash| begin + (((hash >> 32) * blocks) >> 32) * BLOCK)
            .map(|block| block..block + BLOCK)
            .collect();
        let found = reader.index(&ranges).await?;
        Ok(self.hashes.iter().zip(&found).any(|(hash, block)| is_in(*hash as u32, block)))
    }

    fn leaf<'a>(&self, footer: &'a Footer, group: usize) -> Option<(&'a Leaf, PageKey)> {
        let place = footer.metadata.schema().index_of(&self.column).ok()?;
        let FileColumn::Native(leaf) = footer.layout.columns.get(place)? else { return None };
        (leaf.values == self.kind && leaf.list.is_none()).then_some(())?;
        Some((leaf, PageKey { file: footer.layout.id, group: group as u32, leaf: leaf.at as u32, page: u32::MAX }))
    }
}

/// The hash of a value as it lies in a page.
fn hash(value: &ScalarValue) -> Option<u64> {
    let of = |bytes: &[u8]| Some(XxHash64::oneshot(0, bytes));
    match value {
        ScalarValue::Utf8(Some(text)) => of(text.as_bytes()),
        ScalarValue::Binary(Some(bytes)) => of(bytes),
        ScalarValue::Int32(Some(number)) | ScalarValue::Date32(Some(number)) => of(&number.to_le_bytes()),
        ScalarValue::Int64(Some(number)) | ScalarValue::TimestampMicrosecond(Some(number), _) => {
            of(&number.to_le_bytes())
        }
        _ => None,
    }
}

fn is_in(hash: u32, block: &[u8]) -> bool {
    SALT.iter().zip(block.chunks_exact(4)).all(|(salt, word)| {
        let word = word.first_chunk::<4>().map_or(u32::MAX, |word| u32::from_le_bytes(*word));
        word & (1 << (hash.wrapping_mul(*salt) >> 27)) != 0
    })
}
