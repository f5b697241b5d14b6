//! Random 100-row slices of all columns of a table, in process: `cargo run --release --example slice -- STORE DATASET
//! TABLE [SLICES] [ROWS]`. Prints microseconds: p50, p90, p99; first with pages kept, then without.

use std::{env, sync::Arc, time::Instant};

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

#[allow(clippy::print_stdout, reason = "what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [store, dataset, table, rest @ ..] = arguments.as_slice() else {
        return Err("STORE DATASET TABLE [SLICES] [ROWS]".into());
    };
    let slices: usize = rest.first().map_or(Ok(2000), |text| text.parse())?;
    let rows: u64 = rest.get(1).map_or(Ok(100), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(store)?;
        let manifest = store.head(&dataset.parse()?).await?.ok_or("no such dataset")?;
        let described = manifest.table(table).ok_or("no such table")?;
        let files = store.files(&manifest, described).await?;
        let table = Arc::new(Table::new(files, Arc::new(described.schema.clone())));
        for bytes in [64 << 20, 0] {
            let footers = Arc::new(Footers::new(bytes));
            let source = TableSource {
                store: store.clone(),
                table: Arc::clone(&table),
                footers: Arc::clone(&footers),
                caps: ScanCaps::default(),
            };
            let mut random = fastrand::Rng::with_seed(7);
            let (mut times, mut read) = (Vec::new(), 0);
            // The first ones read footers and dictionaries.
            for at in 0..slices + 200 {
                let offset = random.u64(..table.rows().saturating_sub(rows).max(1));
                let begun = Instant::now();
                let request = SliceRequest { offset, limit: Some(rows), ..SliceRequest::default() };
                let mut scan = Scan::new(source.clone(), Slice::new(&request, &table.schema)?).batches();
                let mut found = 0;
                while let Some(batch) = scan.next().await? {
                    found += batch.num_rows() as u64;
                }
                assert_eq!(found, rows.min(table.rows()));
                if at >= 200 {
                    times.push(begun.elapsed().as_secs_f64() * 1e6);
                    read += scan.budget().read();
                }
            }
            times.sort_by(f64::total_cmp);
            let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
            let counts = footers.page_counts();
            println!(
                "cache {:>3} MiB: p50 {:.0} us, p90 {:.0}, p99 {:.0}; {} bytes read a slice; pages {} hits, {} misses",
                bytes >> 20,
                at(0.5),
                at(0.9),
                at(0.99),
                read / slices.max(1) as u64,
                counts.hits,
                counts.misses
            );
        }
        Ok(())
    })
}
