//! What the examples of slices have in common: random slices of a table, timed.

use std::{sync::Arc, time::Instant};

use openshelf::{
    config::ScanCaps,
    query::{
        Slice, SliceRequest,
        footer::Footers,
        scan::Scan,
        table::{Table, TableSource},
    },
    store::Store,
};

/// Random slices of all columns of a table.
#[derive(Debug)]
pub(crate) struct Slices {
    /// Microseconds, ascending.
    times: Vec<f64>,
    /// Bytes read from the store for each, on average.
    pub(crate) bytes: u64,
}

impl Slices {
    /// The time that a share of the slices did not exceed, in microseconds.
    pub(crate) fn micros(&self, share: f64) -> f64 {
        self.times.get((self.times.len() as f64 * share) as usize).copied().unwrap_or_default()
    }
}

/// A table as it is read, with so many bytes of decompressed pages kept.
pub(crate) fn source(store: &Store, table: &Arc<Table>, page_cache: u64) -> TableSource {
    TableSource {
        store: store.clone(),
        table: Arc::clone(table),
        footers: Arc::new(Footers::new(page_cache)),
        caps: ScanCaps::default(),
    }
}

/// Reads `count` slices of `rows` rows each. Ones before them, which read footers and dictionaries, are not counted.
pub(crate) async fn slices(
    source: &TableSource,
    count: usize,
    rows: u64,
) -> Result<Slices, Box<dyn std::error::Error>> {
    let all = source.table.rows();
    let mut random = fastrand::Rng::with_seed(7);
    let (mut times, mut read) = (Vec::new(), 0);
    let unmeasured = 200.min(count);
    for at in 0..count + unmeasured {
        let offset = random.u64(..all.saturating_sub(rows).max(1));
        let begun = Instant::now();
        let request = SliceRequest { offset, limit: Some(rows), ..SliceRequest::default() };
        let mut scan = Scan::new(source.clone(), Slice::new(&request, &source.table.schema)?).batches();
        let mut found = 0;
        while let Some(batch) = scan.next().await? {
            found += batch.num_rows() as u64;
        }
        assert_eq!(found, rows.min(all));
        if at >= unmeasured {
            times.push(begun.elapsed().as_secs_f64() * 1e6);
            read += scan.budget().read();
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(Slices { times, bytes: read / count.max(1) as u64 })
}
