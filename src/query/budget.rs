//! What one scan may take: bytes from the store, and time at work. Time in which a client does not read is not counted.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::config::ScanCaps;

/// A cap that a scan went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverCap {
    /// Time at work.
    #[error("it was still at work after {} s, the most that one query may take here", .0.as_secs_f64())]
    Time(Duration),
    /// Bytes read, or to be read.
    #[error("it takes more than {} of the table's files, the most that one query may read here", size(*.0))]
    Bytes(u64),
    /// Memory that sorting, grouping and joining hold.
    #[error("it takes more than {} of memory, the most that one query may hold here", size(*.0))]
    Memory(u64),
    /// Intermediate results on disk.
    #[error("its intermediate results take more than {}, the most that one query may write here", size(*.0))]
    Spill(u64),
    /// Rows of a result.
    #[error("its result has more than {0} rows, the most that one answer may have here")]
    Rows(u64),
}

/// Bytes a reckoning may be wrong by, besides its half: footers and pages are read whole.
const RECKONING: u64 = 64 << 20;

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

/// The account of one scan, shared by everything that works for it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    caps: ScanCaps,
    read: AtomicU64,
    clock: Mutex<Clock>,
}

#[derive(Debug)]
struct Clock {
    /// What it may take in all.
    cap: Duration,
    /// The most bytes it may read.
    bytes: u64,
    /// What it took, without the step that runs.
    spent: Duration,
    begun: Option<Instant>,
    over: Option<OverCap>,
}

impl Budget {
    pub(super) fn new(caps: ScanCaps) -> Self {
        let clock = Clock { cap: caps.time, bytes: caps.bytes, spent: Duration::ZERO, begun: None, over: None };
        Self(Arc::new(Account { caps, read: AtomicU64::new(0), clock: Mutex::new(clock) }))
    }

    /// How many still hold it: readers of what works for the scan, and whoever waits for it.
    #[cfg(test)]
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    fn clock(&self) -> std::sync::MutexGuard<'_, Clock> {
        self.0.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Counts bytes that were read.
    pub(super) fn count(&self, bytes: u64) {
        self.0.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// From now on the wider time for answers whose first bytes are on their way.
    pub(super) fn widen(&self) {
        self.clock().cap = self.0.caps.stream_time;
    }

    /// Begins a step, and says how long it may take.
    pub(super) fn begin(&self) -> Duration {
        let mut clock = self.clock();
        clock.begun = Some(Instant::now());
        clock.cap.saturating_sub(clock.spent)
    }

    /// Ends a step.
    pub(super) fn end(&self) {
        let mut clock = self.clock();
        if let Some(begun) = clock.begun.take() {
            clock.spent += begun.elapsed();
        }
    }

    /// Whether it may go on. `further`: bytes it is about to read.
    ///
    /// # Errors
    /// The cap it goes over, now and from now on.
    pub(super) fn check(&self, further: u64) -> Result<(), OverCap> {
        let mut clock = self.clock();
        let running = clock.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        if clock.over.is_none() {
            if clock.spent + running > clock.cap {
                clock.over = Some(OverCap::Time(clock.cap));
            } else if self.read().saturating_add(further) > clock.bytes {
                clock.over = Some(OverCap::Bytes(clock.bytes));
            }
        }
        clock.over.map_or(Ok(()), Err)
    }

    /// What it is going to read is too much.
    pub(super) fn is_too_much(&self) -> OverCap {
        *self.clock().over.get_or_insert(OverCap::Bytes(self.0.caps.bytes))
    }

    /// Its time is up.
    pub(super) fn time_is_up(&self) -> OverCap {
        let mut clock = self.clock();
        let cap = clock.cap;
        *clock.over.get_or_insert(OverCap::Time(cap))
    }

    /// The cap it went over.
    pub(super) fn over(&self) -> Option<OverCap> {
        self.clock().over
    }

    /// The most bytes it may read.
    pub(super) fn most_bytes(&self) -> u64 {
        self.0.caps.bytes
    }

    /// What it reads was reckoned beforehand: an answer that was found small enough is not cut off because the
    /// reckoning was a little low.
    pub(super) fn was_reckoned(&self) {
        self.clock().bytes = self.0.caps.bytes.saturating_mul(2).saturating_add(RECKONING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(bytes: u64, time: u64) -> ScanCaps {
        ScanCaps { bytes, time: Duration::from_millis(time), stream_time: Duration::from_secs(60) }
    }

    #[test]
    fn bytes_and_time_end_a_scan_for_good() {
        let budget = Budget::new(caps(100, 60_000));
        budget.count(60);
        assert_eq!(budget.check(40), Ok(()));
        assert_eq!(budget.check(41), Err(OverCap::Bytes(100)));
        assert_eq!(budget.check(0), Err(OverCap::Bytes(100)));

        let budget = Budget::new(caps(100, 20));
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(budget.check(0), Ok(()), "time at rest does not count");
        budget.begin();
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(budget.check(0), Err(OverCap::Time(Duration::from_millis(20))));
        assert_eq!(budget.over(), Some(OverCap::Time(Duration::from_millis(20))));
    }

    #[test]
    fn a_stream_that_began_has_more_time() {
        let budget = Budget::new(caps(100, 20));
        budget.begin();
        std::thread::sleep(Duration::from_millis(30));
        budget.end();
        assert_eq!(budget.begin(), Duration::ZERO);
        budget.widen();
        assert!(budget.begin() > Duration::from_secs(50));
        assert_eq!(budget.check(0), Ok(()));
    }
}
