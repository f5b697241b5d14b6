//! Openshelf: a public open-dataset mirror.

pub mod catalog;
pub mod config;
pub mod ingest;
pub mod store;
