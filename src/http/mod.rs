//! The HTTP server, and the only user of axum and of status codes.
//!
//! A request goes: connection ([`server`], with its timeouts; [`lenient`] with what people type) → request id and log ([`observe`]) → CORS, compression
//! and entity tags ([`router`]) → the address's allowance ([`limits`]) → a handler in [`api`] or [`web`] →
//! what it is about ([`incoming`]), past the license gate ([`gate`]) → the store, or a slice ([`deliver`], [`produce`]). Whatever goes wrong becomes a [`problem`] with a way forward.

mod answer;
mod api;
mod background;
mod body;
mod cache;
mod collected;
mod connection;
mod decoders;
mod deliver;
mod etag;
mod extracts;
mod file;
mod gate;
mod iceberg;
mod incoming;
mod lenient;
mod limits;
mod listing;
mod locations;
mod metrics;
mod observe;
mod openapi;
mod params;
mod problem;
mod produce;
mod published;
mod router;
mod s3;
mod search_index;
mod server;
mod state;
mod statistics;
mod subject;
mod target;
mod web;

pub use server::serve;
pub use state::Clock;
