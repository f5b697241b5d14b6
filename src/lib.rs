//! Openshelf: a public open-dataset mirror.
//!
//! Ingest jobs crawl public datasets and normalize them into Parquet on object storage; an HTTP API serves any slice of
//! them; other engines read the same Parquet directly. One crate: this library and the program `openshelf` over it.
//!
//! # Map
//! Nouns are files, verbs are folders, edges are thin; arrows point down only (`tests/it/architecture.rs` holds this
//! page against the tree).
//!
//! - `commands`: the subcommands of the program; the only place that prints
//! - `http`: the API and the pages; the only user of axum and of status codes
//! - `ingest`: definition → source → fetch → extract → normalize → encode → publish; the only one that calls out
//! - `query`: slices, predicates, scans, SQL, the engine behind it, output encoders; knows no HTTP
//! - `iceberg`: published tables as Apache Iceberg metadata, made when asked for
//! - `store`: every object path, manifests, conditional create, reads
//! - `catalog`: nouns without I/O: dataset, license, schema, snapshot, run
//! - `config`: settings as plain data
//!
//! `commands → {http, ingest, query, iceberg}`, `http → {query, iceberg, store}`, `ingest → store`, `query → store`,
//! `iceberg → store`, `store → catalog`.
//! `http` and `ingest` never import each other: the store is where they meet.
//!
//! # Words
//! dataset · table · column · schema · license · source (an upstream file or listing) · part (the files of a source that
//! are read as one) · fetch · extract (bytes to rows) · normalize (rows to the table's schema) · encode (rows to Parquet)
//! · publish · snapshot (an immutable published version of a whole dataset) · manifest (the object that *is* a snapshot)
//! · segment (a piece of a table's file list, shared by manifests) · run (one ingest attempt) · rejects (rows that did
//! not fit) · slice (part of a table) · scan · projection · predicate.
//!
//! # Invariants
//! 1. Only `http` names axum or a status code; only `ingest::fetch` calls out; only the store spells a path; time is an
//!    argument, read in `commands`.
//! 2. Data files and manifests are never overwritten. Publishing is one conditional create of the next manifest number;
//!    a rollback is a new manifest. A name is used once: what no kept snapshot names is dead, and only `store::collect`
//!    deletes it.
//! 3. The object store is the only state.
//! 4. Between the stages flow batches; memory is bounded by batches and row groups, never by file size.
//! 5. No row vanishes: rows read = rows published + rows rejected, and the rejected ones can be queried.
//! 6. Every decompressor, body, scan and script has a cap from the settings. Parsers of foreign bytes never panic outwards.
//! 7. A definition with an unknown key, type or format is refused, with file, line and what was meant.
//! 8. A license is policy: what may not be redistributed is not served to the public.

pub mod catalog;
pub mod config;
pub mod http;
pub mod iceberg;
pub mod ingest;
pub mod query;
pub mod store;
