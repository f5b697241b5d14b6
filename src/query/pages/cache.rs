//! Decompressed pages and dictionaries, shared by all requests and bounded by bytes. Files are immutable, so nothing in
//! here goes stale; what belongs to files that are gone is pushed out by what is used.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use quick_cache::{Weighter, sync::Cache};

use super::page::{Dictionary, Page};

/// Bytes of dictionaries kept: at most 16 kB a column chunk.
const DICTIONARIES: u64 = 16 << 20;
/// Pages and dictionaries kept, about.
const PAGES: usize = 10_000;

/// Pages lately read that are remembered by their mark.
const MARKS: usize = 1 << 16;

/// Where a page is: file, row group, leaf, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) file: u64,
    pub(super) group: u32,
    pub(super) leaf: u32,
    pub(super) page: u32,
}

#[derive(Clone)]
struct Size;

impl Weighter<PageKey, Arc<Page>> for Size {
    fn weight(&self, _: &PageKey, page: &Arc<Page>) -> u64 {
        (size_of::<PageKey>() + page.size()) as u64
    }
}

impl Weighter<PageKey, Arc<Dictionary>> for Size {
    fn weight(&self, _: &PageKey, dictionary: &Arc<Dictionary>) -> u64 {
        (size_of::<PageKey>() + dictionary.size()) as u64
    }
}

/// How often pages were there, and how often not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// Pages found.
    pub hits: u64,
    /// Pages read from the store.
    pub misses: u64,
    /// Bytes kept.
    pub bytes: u64,
}

pub(in crate::query) struct PageCache {
    pages: Cache<PageKey, Arc<Page>, Size>,
    dictionaries: Cache<PageKey, Arc<Dictionary>, Size>,
    /// Where the bits of bloom filters are: how many bytes, from where.
    filters: Cache<PageKey, (u64, u64)>,
    /// Marks of pages read once: to keep every page of a walk through a large table costs more than it ever gives.
    marks: Box<[AtomicU32]>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl PageCache {
    /// A cache of so many bytes of pages; 0 keeps none.
    pub(in crate::query) fn new(bytes: u64) -> Self {
        Self {
            pages: Cache::with_weighter(PAGES, bytes, Size),
            dictionaries: Cache::with_weighter(PAGES, DICTIONARIES, Size),
            filters: Cache::new(PAGES),
            marks: (0..MARKS).map(|_| AtomicU32::new(0)).collect(),
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
        }
    }

    pub(in crate::query) fn counts(&self) -> PageCounts {
        let (hits, misses) = (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed));
        PageCounts { hits, misses, bytes: self.pages.weight() + self.dictionaries.weight() }
    }

    pub(super) fn page(&self, key: &PageKey) -> Option<Arc<Page>> {
        let found = self.pages.get(key);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Whether a page that was just read is worth keeping: when it was read before, not long ago.
    pub(super) fn admits(&self, key: &PageKey) -> bool {
        let mixed = [u64::from(key.group), u64::from(key.leaf), u64::from(key.page)]
            .into_iter()
            .fold(key.file + 1, |all, part| (all ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
        let mark = (mixed as u32) | 1;
        let place = self.marks.get((mixed >> 32) as usize % MARKS);
        place.is_some_and(|place| place.swap(mark, Ordering::Relaxed) == mark)
    }

    pub(super) fn keep_page(&self, key: PageKey, page: Page) {
        self.pages.insert(key, Arc::new(page));
    }

    pub(super) fn filter(&self, key: &PageKey) -> Option<(u64, u64)> {
        self.filters.get(key)
    }

    pub(super) fn keep_filter(&self, key: PageKey, place: (u64, u64)) {
        self.filters.insert(key, place);
    }

    pub(super) fn dictionary(&self, key: &PageKey) -> Option<Arc<Dictionary>> {
        self.dictionaries.get(key)
    }

    pub(super) fn keep_dictionary(&self, key: PageKey, dictionary: &Arc<Dictionary>) {
        self.dictionaries.insert(key, Arc::clone(dictionary));
    }
}
