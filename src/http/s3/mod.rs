//! The same files as objects: the public bucket `data`, path-style, read-only, over the addresses under `/data`.
//!
//! An object's key is `<dataset>/<table>/<file>`, of the current snapshot; `<dataset>@<n>/…` is snapshot n. Objects are
//! read by [`super::api::data`]: here are what a request to the bucket means ([`asked`], [`bucket`]), its listings ([`listing`], over
//! the keys in order that [`walk`] reads as far as they are asked for, continued by a [`token`]), their [`xml`], what is told of an object ([`attributes`]), and every
//! [`error`] under `/data`. Signatures are not checked and unknown arguments ignored: all of it is public.

mod asked;
pub(super) mod attributes;
pub(super) mod bucket;
mod error;
mod listing;
#[cfg(test)]
mod tests;
mod token;
mod walk;
mod xml;

pub(super) use asked::refuse_operation;
pub(super) use error::{Form, is_client};

/// The one bucket there is.
pub(super) const BUCKET: &str = "data";
/// The region it says it is in: clients want one, and sign for it.
pub(super) const REGION: &str = "us-east-1";
