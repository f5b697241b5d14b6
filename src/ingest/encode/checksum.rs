//! Page checksums, which the `parquet` writer does not write: the encoded pages of one column chunk, each with the CRC-32
//! of its bytes in its header.
//!
//! The writer hands every page over as two pieces, header and body. The header is Thrift in compact form (parquet-format,
//! `PageHeader`); field 4, `crc`, is put between fields 3 and 5, 7 or 8. Headers grow by that, so all offsets of the chunk
//! are counted again before it is put into the file.

use std::{
    collections::VecDeque,
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Buf, Bytes};
use parquet::{
    arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory},
    column::writer::ColumnCloseResult,
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};

/// Makes the page stores of one row group, and keeps hold of the pages.
#[derive(Debug, Default)]
pub(super) struct ChecksumPages(Mutex<Vec<Arc<Mutex<Pages>>>>);

/// Encoded pages of one column chunk.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// A header whose body has not come yet.
    header: Option<Bytes>,
    dictionary: Option<(Bytes, Bytes)>,
    data: Vec<(Bytes, Bytes)>,
    bytes: usize,
    grown: usize,
}

impl ChecksumPages {
    /// The pages of each leaf column, in order; after the column writers were made.
    pub(super) fn columns(&self) -> Vec<Arc<Mutex<Pages>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PageStoreFactory for ChecksumPages {
    fn create(&self, args: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        let mut columns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if columns.len() != args.column_index() {
            return Err(general("column writers are not made in the order of the columns"));
        }
        let pages = Arc::default();
        columns.push(Arc::clone(&pages));
        Ok(Box::new(Store(pages)))
    }
}

struct Store(Arc<Mutex<Pages>>);

impl PageStore for Store {
    fn put(&mut self, piece: Bytes) -> Result<PageKey> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pages.put(piece)?;
        // Pieces are never taken back: the chunk is put into the file from the pages themselves.
        Ok(PageKey::new(0))
    }

    fn take(&mut self, _: PageKey) -> Result<Bytes> {
        Err(general("pages with checksums are not taken back one by one"))
    }

    fn memory_size(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

impl Pages {
    fn put(&mut self, piece: Bytes) -> Result<()> {
        let Some(header) = self.header.take() else {
            self.header = Some(piece);
            return Ok(());
        };
        let (with_checksum, dictionary) = add_checksum(&header, crc32fast::hash(&piece))
            .ok_or_else(|| general("a page header is not of the form that a checksum can be added to"))?;
        self.grown += with_checksum.len() - header.len();
        self.bytes += with_checksum.len() + piece.len();
        let page = (Bytes::from(with_checksum), piece);
        if dictionary {
            self.dictionary = Some(page);
        } else {
            self.data.push(page);
        }
        Ok(())
    }

    /// The chunk as it goes into the file, and `close` with sizes and offsets that fit it.
    pub(super) fn finish(&mut self, mut close: ColumnCloseResult) -> Result<(Chunk, ColumnCloseResult)> {
        let length = |(header, body): &(Bytes, Bytes)| header.len() + body.len();
        let dictionary = self.dictionary.as_ref().map_or(0, length);
        let metadata = close.metadata;
        close.metadata = metadata
            .clone()
            .into_builder()
            .set_dictionary_page_offset((dictionary > 0).then_some(0))
            .set_data_page_offset(dictionary as i64)
            .set_total_compressed_size(self.bytes as i64)
            .set_total_uncompressed_size(metadata.uncompressed_size() + self.grown as i64)
            .build()?;
        close.bytes_written = self.bytes as u64;
        if let Some(index) = &mut close.offset_index {
            if index.page_locations.len() != self.data.len() {
                return Err(general("there are not as many pages as the page index says"));
            }
            let mut offset = dictionary as i64;
            for (location, page) in index.page_locations.iter_mut().zip(&self.data) {
                location.offset = offset;
                location.compressed_page_size =
                    i32::try_from(length(page)).map_err(|_| general("a page is larger than 2 GiB"))?;
                offset += length(page) as i64;
            }
        }
        let pages = self.dictionary.take().into_iter().chain(std::mem::take(&mut self.data));
        let pieces = pages.flat_map(|(header, body)| [header, body]).collect();
        Ok((Chunk { pieces, bytes: self.bytes as u64 }, close))
    }
}

/// A column chunk's bytes, in pieces.
pub(super) struct Chunk {
    pieces: VecDeque<Bytes>,
    bytes: u64,
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Chunk {
    type T = PieceReader;

    fn get_read(&self, start: u64) -> Result<PieceReader> {
        if start != 0 {
            return Err(general("a chunk is read from its beginning"));
        }
        Ok(PieceReader(self.pieces.clone()))
    }

    fn get_bytes(&self, _: u64, _: usize) -> Result<Bytes> {
        Err(general("a chunk is read as a whole"))
    }
}

pub(super) struct PieceReader(VecDeque<Bytes>);

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while let Some(piece) = self.0.front_mut() {
            if piece.has_remaining() {
                let length = piece.len().min(buffer.len());
                if let Some(to) = buffer.get_mut(..length) {
                    piece.copy_to_slice(to);
                }
                return Ok(length);
            }
            self.0.pop_front();
        }
        Ok(0)
    }
}

fn general(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

/// Thrift compact: field 1 position on, type i32.
const NEXT_I32: u8 = 0x15;
/// Thrift compact: type struct.
const STRUCT: u8 = 0x0c;
/// `PageType.DICTIONARY_PAGE`, zigzag.
const DICTIONARY: u64 = 2 << 1;

/// The header with `crc` as field 4, and whether it is a dictionary page's. `None` if fields 1, 2, 3 and then a struct are
/// not what it begins with.
fn add_checksum(header: &[u8], crc: u32) -> Option<(Vec<u8>, bool)> {
    let mut rest = header;
    let mut page_type = None;
    for _ in 0..3 {
        let (first, tail) = rest.split_first()?;
        (*first == NEXT_I32).then_some(())?;
        rest = tail;
        let value = varint(&mut rest)?;
        page_type.get_or_insert(value);
    }
    let (next, tail) = rest.split_first()?;
    // The next field was two or more positions on; with field 4 there it is one less.
    let step = next >> 4;
    (next & 0x0f == STRUCT && step >= 2).then_some(())?;
    let mut with_checksum = header.get(..header.len() - rest.len())?.to_vec();
    with_checksum.push(NEXT_I32);
    // i32, zigzag.
    let signed = crc as i32;
    let mut zigzag = ((signed << 1) ^ (signed >> 31)) as u32;
    while zigzag >= 0x80 {
        with_checksum.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    with_checksum.push(zigzag as u8);
    with_checksum.push((step - 1) << 4 | STRUCT);
    with_checksum.extend_from_slice(tail);
    Some((with_checksum, page_type == Some(DICTIONARY)))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The CRC in a page header, with the length of the page's body and whether it is a dictionary page's; for tests.
#[cfg(test)]
pub(super) fn read_checksum(header: &[u8]) -> Option<(u32, usize)> {
    let mut rest = header;
    let mut values = [0; 4];
    for value in &mut values {
        let (first, tail) = rest.split_first()?;
        (*first == NEXT_I32).then_some(())?;
        rest = tail;
        *value = varint(&mut rest)?;
    }
    let unzigzag = |value: u64| (value >> 1) as i64 ^ -((value & 1) as i64);
    Some((unzigzag(values[3]) as i32 as u32, unzigzag(values[2]) as usize))
}
