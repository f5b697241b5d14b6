//! How long snapshots are kept, and the boundary below which they no longer are.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The newest snapshots of a dataset, which are kept however old they are.
pub const ALWAYS_KEPT: usize = 3;

/// A span of time such as `90s`, `15m`, `6h`, `30d`, `2w`.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let count: u64 = count.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(count.checked_mul(seconds)?))
}

/// The last of the snapshots 1, 2, 3 … that were replaced at least `kept_for` ago; 0 for none. A snapshot is old from the
/// moment the next one takes its place, not from its own. `created`: of all snapshots, by number.
pub fn expired_to(created: &[DateTime<Utc>], kept_for: Duration, now: DateTime<Utc>) -> u64 {
    let most = created.len().saturating_sub(ALWAYS_KEPT);
    let replaced = created.iter().skip(1).take(most);
    let old = replaced.take_while(|at| now.signed_duration_since(*at).to_std().is_ok_and(|age| age >= kept_for));
    old.count() as u64
}

/// A record of garbage collection: what it decided about a dataset before it removed anything. The last one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boundary {
    /// Who wrote it: a collection, or a rollback that pins what it goes back to.
    pub run: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The newest snapshot that the last collection knew of.
    pub head: u64,
    /// Snapshots up to this one are no longer kept; 0 for none. It never goes back.
    pub collected_to: u64,
    /// What was written before this time and is named by no snapshot up to `head` is removed.
    #[serde(default)]
    pub orphans_before: Option<DateTime<Utc>>,
    /// Snapshots that are kept for a rollback under way.
    #[serde(default)]
    pub pins: Vec<Pin>,
}

/// A snapshot that a rollback is about to publish again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The snapshot gone back to.
    pub snapshot: u64,
    /// The number it will have: once that is taken, the pin is void.
    pub number: u64,
    /// When it was pinned.
    pub at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::days(n)
    }

    #[test]
    fn a_snapshot_is_old_once_it_was_replaced_long_enough_ago() {
        let keep = Duration::from_secs(10 * 86_400);
        let created: Vec<_> = [1, 2, 20, 21, 22, 23].map(day).into();
        for (now, expected) in [(11, 0), (12, 1), (29, 1), (30, 2), (31, 3), (32, 3), (900, 3)] {
            assert_eq!(expired_to(&created, keep, day(now)), expected, "day {now}");
        }
        assert_eq!(expired_to(&created[..3], keep, day(900)), 0, "the last three are always kept");
        assert_eq!(expired_to(&[], keep, day(900)), 0);
        assert_eq!(expired_to(&created, Duration::MAX, day(900)), 0);
        // A clock that ran backwards keeps more, never less.
        assert_eq!(expired_to(&[1, 50, 2, 3, 4, 5].map(day), keep, day(40)), 0);
    }

    #[test]
    fn durations() {
        assert_eq!(duration("90d").unwrap_or_default().as_secs(), 90 * 86_400);
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        for text in ["", "d", "1x", "1.5h", "h1", "99999999999999999999d", "9999999999999999999w"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
