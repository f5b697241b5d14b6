//! Which pages of a column hold the wanted rows, and where their bytes are.

use std::{ops::Range, sync::Arc};

use arrow::array::ArrayRef;
use bytes::Bytes;
use parquet::{basic::Compression, errors::ParquetError, file::page_index::offset_index::PageLocation};

use super::{
    cache::{PageCache, PageKey},
    column::Builder,
    page::{Dictionary, Page, damaged},
    shape::Leaf,
};
use crate::query::footer::Footer;

/// Number of a chunk's dictionary among its pages.
const DICTIONARY: u32 = u32::MAX;

/// What is kept, or its place among what is fetched.
enum Found<T> {
    Kept(Arc<T>),
    Stored(usize),
}

/// One column's part of a read.
pub(super) struct Plan<'a> {
    leaf: &'a Leaf,
    chunks: Vec<Chunk<'a>>,
    pages: Vec<Step>,
    /// Ranges of rows within pages, all pages' one after the other.
    wanted: Vec<Range<usize>>,
}

/// A column chunk that has wanted rows.
struct Chunk<'a> {
    key: PageKey,
    compression: Compression,
    locations: &'a [PageLocation],
    dictionary: Option<Found<Dictionary>>,
}

/// A page that has wanted rows.
struct Step {
    key: PageKey,
    /// Position in [`Plan::chunks`].
    chunk: usize,
    found: Found<Page>,
    /// Rows of the page.
    rows: usize,
    /// Part of [`Plan::wanted`].
    wanted: Range<usize>,
}

impl<'a> Plan<'a> {
    /// Finds the pages; the places of what is not kept are added to `fetch`. Without a cache, nothing is.
    pub(super) fn new(
        footer: &'a Footer,
        leaf: &'a Leaf,
        rows: &[Range<u64>],
        cache: Option<&PageCache>,
        fetch: &mut Vec<Range<u64>>,
    ) -> Result<Self, ParquetError> {
        let mut plan = Self { leaf, chunks: Vec::new(), pages: Vec::new(), wanted: Vec::with_capacity(rows.len()) };
        let starts = &footer.layout.starts;
        for range in rows {
            let mut next = range.start;
            while next < range.end {
                // The last group that begins at or before the row: groups without rows begin where their successor does.
                let after = starts.partition_point(|start| *start <= next);
                let (Some(begin), Some(end)) = (after.checked_sub(1).and_then(|at| starts.get(at)), starts.get(after))
                else {
                    return Err(damaged("rows beyond the end of the file are asked for"));
                };
                let upto = range.end.min(*end);
                plan.add(footer, after - 1, end - begin, next - begin..upto - begin, cache, fetch)?;
                next = upto;
            }
        }
        Ok(plan)
    }

    /// Adds rows of a row group.
    fn add(
        &mut self,
        footer: &'a Footer,
        group: usize,
        group_rows: u64,
        rows: Range<u64>,
        cache: Option<&PageCache>,
        fetch: &mut Vec<Range<u64>>,
    ) -> Result<(), ParquetError> {
        let key = PageKey { file: footer.layout.id, group: group as u32, leaf: self.leaf.at as u32, page: DICTIONARY };
        if self.chunks.last().is_none_or(|chunk| chunk.key != key) {
            self.chunks.push(Chunk::find(footer, group, key, cache, fetch)?);
        }
        let at = self.chunks.len() - 1;
        let Some(chunk) = self.chunks.last() else { return Ok(()) };
        let mut next = rows.start;
        while next < rows.end {
            let after = chunk.locations.partition_point(|page| page.first_row_index <= next as i64);
            let number =
                after.checked_sub(1).ok_or_else(|| damaged("the page index does not begin at the first row"))?;
            let Some(location) = chunk.locations.get(number) else { return Ok(()) };
            let first = location.first_row_index as u64;
            let end = chunk.locations.get(after).map_or(group_rows, |page| page.first_row_index as u64);
            let upto = rows.end.min(end);
            if upto <= next {
                return Err(damaged("the page index goes beyond its row group"));
            }
            self.wanted.push((next - first) as usize..(upto - first) as usize);
            next = upto;
            let key = PageKey { page: number as u32, ..key };
            match self.pages.last_mut() {
                Some(step) if step.key == key => step.wanted.end += 1,
                _ => {
                    let found = match cache.and_then(|cache| cache.page(&key)) {
                        Some(page) => Found::Kept(page),
                        None => Found::Stored(fetched(fetch, place(location)?)),
                    };
                    let wanted = self.wanted.len() - 1..self.wanted.len();
                    self.pages.push(Step { key, chunk: at, found, rows: (end - first) as usize, wanted });
                }
            }
        }
        Ok(())
    }

    /// Decodes the wanted rows, of which there are `rows`. `stored` is what was fetched; of that, `keeps` says, what is
    /// worth it goes to the cache.
    pub(super) fn decode(
        self,
        rows: usize,
        cache: &PageCache,
        keeps: bool,
        stored: &[Bytes],
    ) -> Result<ArrayRef, ParquetError> {
        let missing = || damaged("a page was not read");
        let mut chunks = Vec::with_capacity(self.chunks.len());
        for chunk in self.chunks {
            let dictionary = match chunk.dictionary {
                None => None,
                Some(Found::Kept(dictionary)) => Some(dictionary),
                Some(Found::Stored(at)) => {
                    let bytes = stored.get(at).ok_or_else(missing)?;
                    let dictionary = Arc::new(Dictionary::read(bytes, self.leaf, chunk.compression)?);
                    cache.keep_dictionary(chunk.key, &dictionary);
                    Some(dictionary)
                }
            };
            chunks.push((chunk.compression, dictionary));
        }
        let mut builder = Builder::new(self.leaf, rows);
        for step in self.pages {
            let (compression, dictionary) = chunks.get(step.chunk).ok_or_else(missing)?;
            let wanted = self.wanted.get(step.wanted).unwrap_or_default();
            match step.found {
                Found::Kept(page) => builder.page(&page, dictionary.as_deref(), step.rows, wanted)?,
                Found::Stored(at) => {
                    let bytes = stored.get(at).ok_or_else(missing)?;
                    let kept = keeps && cache.admits(&step.key);
                    let page = Page::read(bytes, self.leaf, *compression, kept)?;
                    builder.page(&page, dictionary.as_deref(), step.rows, wanted)?;
                    if kept {
                        cache.keep_page(step.key, page);
                    } else {
                        page.recycle();
                    }
                }
            }
        }
        builder.finish()
    }
}

impl<'a> Chunk<'a> {
    fn find(
        footer: &'a Footer,
        group: usize,
        key: PageKey,
        cache: Option<&PageCache>,
        fetch: &mut Vec<Range<u64>>,
    ) -> Result<Self, ParquetError> {
        let parquet = footer.metadata.metadata();
        let leaf = key.leaf as usize;
        let column = parquet.row_groups().get(group).and_then(|rows| rows.columns().get(leaf));
        let index = parquet.offset_index().and_then(|groups| groups.get(group)?.get(leaf));
        let (Some(column), Some(index)) = (column, index) else { return Err(damaged("the page index lacks a column")) };
        let locations = index.page_locations().as_slice();
        let dictionary = match (column.dictionary_page_offset(), locations.first()) {
            (Some(begin), Some(first)) => Some(match cache.and_then(|cache| cache.dictionary(&key)) {
                Some(dictionary) => Found::Kept(dictionary),
                None => {
                    let (Ok(begin), Ok(end)) = (u64::try_from(begin), u64::try_from(first.offset)) else {
                        return Err(damaged("a dictionary lies before the file"));
                    };
                    Found::Stored(fetched(fetch, begin..end))
                }
            }),
            _ => None,
        };
        Ok(Self { key, compression: column.compression(), locations, dictionary })
    }
}

fn fetched(fetch: &mut Vec<Range<u64>>, range: Range<u64>) -> usize {
    fetch.push(range);
    fetch.len() - 1
}

fn place(location: &PageLocation) -> Result<Range<u64>, ParquetError> {
    match (u64::try_from(location.offset), u64::try_from(location.compressed_page_size)) {
        (Ok(begin), Ok(bytes)) => Ok(begin..begin.saturating_add(bytes)),
        _ => Err(damaged("a page lies before the file")),
    }
}
