//! Slices of published tables: validated against the schema, planned over files and pages, scanned as batches, encoded.
//!
//! Owns what a slice means and which bytes it takes. Knows no HTTP (no status codes, no headers) and nothing about how
//! snapshots come to be. The way of a slice: [`SliceRequest`] → [`Slice`] (every name and number checked) → [`scan::Scan`]
//! (whole files, row groups and pages left out) → [`Batches`](batches::Batches) → [`encode`].

pub mod batches;
pub mod bounds;
pub mod budget;
pub mod changes;
pub mod cost;
pub mod count;
pub mod cursor;
mod dialect;
pub mod encode;
pub mod engine;
mod error;
mod exact;
pub mod extract;
mod fault;
pub mod filters;
pub mod footer;
pub mod found;
pub mod names;
mod narrow;
pub mod order;
mod pages;
pub mod predicate;
pub mod progress;
pub mod prune;
mod ranges;
mod reader;
pub mod sample;
pub mod scan;
pub mod search;
mod slice;
pub mod sorted;
pub mod sql;
pub mod statistics;
pub mod table;
pub mod take;
mod top;
mod views;
mod wording;

pub use error::{QueryError, SliceError};
pub use pages::PageCounts;
pub use slice::{Slice, SliceRequest};
