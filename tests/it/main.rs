//! The integration tests: one binary, one module per theme.
#![allow(clippy::unwrap_used)]

mod datasets;
mod fetch;
mod origin;
mod source;
