//! The integration tests: one binary, one module per theme.
#![allow(clippy::unwrap_used)]

mod api_changes;
mod api_choices;
mod api_coach;
mod api_collected;
mod api_extracts;
mod api_files;
mod api_http;
mod api_pages;
mod api_rows;
mod api_search;
mod api_sql;
mod api_statistics;
mod architecture;
mod cli;
mod clients;
mod crawl;
mod datasets;
mod definitions;
mod faults;
mod fetch;
mod foreign;
mod hostile_sql;
mod iceberg;
mod kill;
mod kill_serve;
mod origin;
mod pack;
mod readme;
mod real_inputs;
mod s3;
mod s3_cases;
mod shelf;
mod shop;
mod slices;
mod source;
