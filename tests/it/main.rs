//! The integration tests: one binary, one module per theme.
#![allow(clippy::unwrap_used)]

mod api_files;
mod api_http;
mod api_pages;
mod api_rows;
mod architecture;
mod datasets;
mod definitions;
mod fetch;
mod origin;
mod shelf;
mod source;
