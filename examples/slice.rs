//! Random 100-row slices of all columns of a table, in process: `cargo run --release --example slice -- STORE DATASET
//! TABLE [SLICES] [ROWS]`. Prints microseconds: p50, p90, p99; first with pages kept, then without.

mod measured;

use std::{env, sync::Arc};

use openshelf::{query::table::Table, store::Store};

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
            let source = measured::source(&store, &table, bytes);
            let found = measured::slices(&source, slices, rows).await?;
            let pages = source.footers.page_counts();
            println!(
                "cache {:>3} MiB: p50 {:.0} us, p90 {:.0}, p99 {:.0}; {} bytes read a slice; pages {} hits, {} misses",
                bytes >> 20,
                found.micros(0.5),
                found.micros(0.9),
                found.micros(0.99),
                found.bytes,
                pages.hits,
                pages.misses
            );
        }
        Ok(())
    })
}
