//! definition → source → fetch → extract → normalize → encode → publish.

pub mod definition;
pub mod draft;
pub mod encode;
pub mod extract;
pub mod failure;
pub mod fetch;
pub mod infer;
pub mod normalize;
mod part;
mod plan;
pub mod progress;
pub mod publish;
pub mod rejects;
pub mod run;
pub mod source;

pub use failure::Failure;
