//! `dataset.toml`: its grammar, and a definition checked against it.

pub mod grammar;
