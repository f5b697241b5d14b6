//! Why a run failed, classed by who must act.

use crate::catalog::Blame;

/// A failed run: who must act, what happened, and the way forward, in words for people.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Who must act.
    pub blame: Blame,
    /// What happened, naming file, line or field, and the way forward.
    pub message: String,
    /// True when another run published the next snapshot first: nothing is wrong, run again if needed.
    pub lost_race: bool,
}

impl Failure {
    /// Upstream is unreachable, cut off or inconsistent.
    pub fn upstream(message: impl Into<String>) -> Self {
        Self { blame: Blame::Upstream, message: message.into(), lost_race: false }
    }

    /// The definition does not fit what upstream publishes.
    pub fn definition(message: impl Into<String>) -> Self {
        Self { blame: Blame::Definition, message: message.into(), lost_race: false }
    }

    /// Ours, or the machine's.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { blame: Blame::Internal, message: message.into(), lost_race: false }
    }

    /// Another run published first.
    pub fn lost_race(message: impl Into<String>) -> Self {
        Self { blame: Blame::Internal, message: message.into(), lost_race: true }
    }

    /// The same failure with words in front that say where it happened.
    #[must_use]
    pub fn context(mut self, place: impl std::fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}
