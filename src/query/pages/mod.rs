//! Rows of a file by their numbers, straight from its pages: our own lean reader for the Parquet that we write.
//!
//! Owns which pages hold which rows, what of a page is decoded, and what of it is kept. A slice of 100 rows decodes 100
//! rows of each column, not its pages, and sets nothing up per column. It knows nothing of tables, predicates or order.
//! Columns of a form it does not read ([`shape`]) come from the `parquet` crate, with the same result.
//!
//! The way of a read: row ranges of a [`OpenFile`] → pages of each column's chunks (`plan`) → one read per stretch of pages that are not
//! kept ([`cache`]) → decompressed ([`page`]) → the wanted values ([`values`], [`hybrid`]) → arrays ([`mod@column`]).

mod bloom;
mod cache;
mod column;
mod file;
mod header;
mod hybrid;
mod page;
mod plan;
mod shape;
#[cfg(test)]
mod tests;
mod values;

pub use self::cache::PageCounts;
pub(super) use self::{
    bloom::OneOf,
    cache::PageCache,
    file::{OpenFile, Piece, batch},
    shape::Layout,
};
