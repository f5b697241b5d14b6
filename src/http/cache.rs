//! How long an answer may be kept, as intents; the header is written in one place.

use axum::http::HeaderValue;

/// What caches may do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CachePolicy {
    /// Pinned to a snapshot: it will never change.
    Immutable,
    /// About the current state: may be a minute old, then it is asked for again with its entity tag.
    Current,
    /// Only meant for the moment it was asked.
    Never,
    /// [`Self::Immutable`] of data that only its fetcher may keep.
    PrivateImmutable,
    /// [`Self::Current`] of data that only its fetcher may keep.
    PrivateCurrent,
}

impl CachePolicy {
    /// For data of a snapshot.
    pub(super) fn of(pinned: bool, personal: bool) -> Self {
        match (pinned, personal) {
            (true, false) => Self::Immutable,
            (false, false) => Self::Current,
            (true, true) => Self::PrivateImmutable,
            (false, true) => Self::PrivateCurrent,
        }
    }

    /// The value of `Cache-Control`.
    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Immutable => "public, max-age=31536000, immutable",
            Self::Current => "public, max-age=0, s-maxage=30, must-revalidate",
            Self::Never => "no-store",
            Self::PrivateImmutable => "private, max-age=31536000, immutable",
            Self::PrivateCurrent => "private, max-age=0, must-revalidate",
        })
    }
}
