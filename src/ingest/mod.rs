//! definition → source → fetch → extract → normalize → encode → publish.

pub mod definition;
pub mod extract;
pub mod failure;
<<<<<<< HEAD
pub mod normalize;
=======
pub mod fetch;
>>>>>>> 5bb6b8f (Fetch: downloads resumed, verified and polite, against a real local origin in the tests)
pub mod progress;
pub mod rejects;

pub use failure::Failure;
