//! What can go wrong with a slice, by who must act.

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

use super::budget::OverCap;
use crate::store::StoreError;

/// A slice that was asked for wrongly; the text is for the one who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {message}")]
pub struct SliceError {
    /// The parameter at fault.
    pub parameter: &'static str,
    /// What is wrong with it, with the position where there is one.
    pub message: String,
    /// What would be right: a value for the same parameter.
    pub instead: Option<String>,
}

impl SliceError {
    /// A fault of `parameter`.
    pub fn new(parameter: &'static str, message: impl Into<String>) -> Self {
        Self { parameter, message: message.into(), instead: None }
    }

    /// With a value that would work.
    #[must_use]
    pub fn instead(mut self, value: Option<String>) -> Self {
        self.instead = value;
        self
    }
}

/// A slice that could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The request is at fault.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// The store did not give the bytes.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A published file could not be decoded.
    #[error("{file}: {source}")]
    File {
        /// Object key.
        file: String,
        /// What the reader said.
        source: ParquetError,
    },
    /// A batch could not be computed or written.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// The result could not be written as Parquet.
    #[error("encoding Parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// It takes more than one scan may.
    #[error(transparent)]
    OverCap(#[from] OverCap),
    /// A task of ours ended early.
    #[error("a scan was cut short: {0}")]
    Cut(String),
}

impl QueryError {
    /// The request's fault inside a failure of evaluation, such as a cast or a division by zero of the predicate.
    pub fn of_evaluation(self) -> Self {
        match self {
            Self::File { source: ParquetError::ArrowError(message), .. } => {
                Self::Slice(SliceError::new("where", format!("cannot be computed for these rows: {message}")))
            }
            other => other,
        }
    }
}
