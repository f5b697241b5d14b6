//! What a condition said when it could not be computed for some row: readers of Parquet pass on only their own errors.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::error::ArrowError;

use super::SliceError;

/// Shared by whoever computes and whoever answers for it.
#[derive(Debug, Clone, Default)]
pub(super) struct EvaluationFault(Arc<Mutex<Option<String>>>);

impl EvaluationFault {
    /// Keeps what was said.
    pub(super) fn note(&self, error: &ArrowError) {
        let message = match error {
            ArrowError::ComputeError(message) => message.clone(),
            other => other.to_string(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
    }

    /// What was said, for the one who asked; nothing is kept.
    pub(super) fn take(&self) -> Option<SliceError> {
        let message = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(SliceError::new("where", format!("cannot be computed for some row: {message}")))
    }
}
