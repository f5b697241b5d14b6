//! What the number of rows in a page costs and saves: the first rows of a table, written with pages of different sizes.
//! `cargo run --release --example layout -- STORE DATASET TABLE [ROWS]`. `docs/layout.md` says what was found.

mod measured;

use std::{env, sync::Arc, time::Instant};

use openshelf::{
    catalog::DataFile,
    config::EncodeSettings,
    ingest::{
        definition::grammar::OnDuplicate,
        encode::{Encoder, TableShape},
    },
    query::{Slice, SliceRequest, scan::Scan, table::Table},
    store::{Area, Key, Store},
};

/// Rows of a page.
const PAGES: [usize; 5] = [500, 1000, 2000, 4000, 8000];

#[allow(clippy::print_stdout, reason = "what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [store, dataset, name, rest @ ..] = arguments.as_slice() else {
        return Err("STORE DATASET TABLE [ROWS]".into());
    };
    let rows: u64 = rest.first().map_or(Ok(2_000_000), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let from = Store::open(store)?;
        let manifest = from.head(&dataset.parse()?).await?.ok_or("no such dataset")?;
        let described = manifest.table(name).ok_or("no such table")?;
        let files = from.files(&manifest, described).await?;
        let original = Arc::new(Table::new(files, Arc::new(described.schema.clone())));
        println!("page rows   bytes/row   encode rows/s   slice p50 us   p90 us   bytes a slice   one row p50 us   all rows/s");
        for page_rows in PAGES {
            let folder = tempfile::tempdir()?;
            let store = Store::open(folder.path().to_str().ok_or("a path that is no text")?)?;
            let settings = EncodeSettings { page_rows, ..EncodeSettings::default() };
            let shape = TableShape {
                schema: &original.schema,
                primary_key: &[],
                sort_key: &[],
                partition_by: &[],
                on_duplicate: OnDuplicate::Last,
                metadata: Vec::new(),
            };
            let mut encoder = Encoder::new(shape, &settings, folder.path())?;
            let request = SliceRequest { limit: Some(rows), ..SliceRequest::default() };
            let slice = Slice::new(&request, &original.schema)?;
            let mut scan = Scan::new(measured::source(&from, &original, 0), slice).batches();
            let mut encoding = 0.0;
            while let Some(batch) = scan.next().await? {
                let begun = Instant::now();
                encoder.push(batch, &[], "row", name)?;
                encoding += begun.elapsed().as_secs_f64();
            }
            let begun = Instant::now();
            let encoded = encoder.finish()?;
            encoding += begun.elapsed().as_secs_f64();
            let mut files = Vec::new();
            for file in &encoded.files {
                let key = Key::Data {
                    area: Area::Open,
                    dataset: dataset.parse()?,
                    table: name.parse()?,
                    file: format!("{}.parquet", file.sha256),
                };
                store.put_file(&key, &file.path).await?;
                files.push(DataFile {
                    key: key.to_string(),
                    bytes: file.bytes,
                    rows: file.rows,
                    sha256: file.sha256.clone(),
                    added_in: 1,
                    columns: file.columns.clone(),
                    ..DataFile::default()
                });
            }
            let bytes: u64 = files.iter().map(|file| file.bytes).sum();
            let table = Arc::new(Table::new(Arc::new(files), Arc::clone(&original.schema)));
            let source = measured::source(&store, &table, 0);
            let found = measured::slices(&source, 3000, 100).await?;
            let one = measured::slices(&source, 3000, 1).await?;
            let whole = measured::slices(&source, 3, table.rows()).await?;
            println!(
                "{page_rows:>9}   {:>9.1}   {:>13.0}   {:>12.0}   {:>6.0}   {:>13}   {:>14.0}   {:>10.0}",
                bytes as f64 / encoded.rows as f64,
                encoded.rows as f64 / encoding,
                found.micros(0.5),
                found.micros(0.9),
                found.bytes,
                one.micros(0.5),
                encoded.rows as f64 / whole.micros(0.5) * 1e6,
            );
        }
        Ok(())
    })
}
