//! Memory of queries: each has a share of its own, and all together have no more than the pool.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    common::resources_datafusion_err,
    error::Result,
    execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};

/// Bytes that all queries of an engine may hold together.
#[derive(Debug)]
pub(super) struct Pool {
    most: usize,
    used: AtomicUsize,
}

impl Pool {
    pub(super) fn new(most: u64) -> Self {
        Self { most: usize::try_from(most).unwrap_or(usize::MAX), used: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> bool {
        let enough = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        let less = |used: usize| Some(used.saturating_sub(bytes));
        let _before = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// One query's share: fair among its own operators, which spill when they have theirs, and paid from the pool of all.
#[derive(Debug)]
pub(super) struct Share {
    own: FairSpillPool,
    all: Arc<Pool>,
}

impl Share {
    pub(super) fn new(all: &Arc<Pool>, most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { own: FairSpillPool::new(most), all: Arc::clone(all) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl MemoryPool for Share {
    fn name(&self) -> &'static str {
        "share of a query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.all.used.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.all.give_back(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.own.try_grow(reservation, additional)?;
        if self.all.take(additional) {
            return Ok(());
        }
        self.own.shrink(reservation, additional);
        Err(resources_datafusion_err!(
            "all queries that run now hold {} bytes together, the most there are",
            self.all.most
        ))
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.own.memory_limit()
    }
}
