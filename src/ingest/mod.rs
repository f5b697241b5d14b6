//! definition → source → fetch → extract → normalize → encode → publish.

pub mod definition;
pub mod encode;
pub mod extract;
pub mod failure;
pub mod fetch;
pub mod infer;
pub mod normalize;
pub mod progress;
pub mod rejects;
pub mod source;

pub use failure::Failure;
