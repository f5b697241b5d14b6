//! `openshelf index`: makes what answers would wait for: statistics and search indexes of the current snapshots.

use std::{io::IsTerminal, path::PathBuf, pin::pin, sync::Arc, time::Duration};

use clap::Args;
use openshelf::{
    catalog::{DatasetId, Manifest, TableSnapshot},
    config::ScanCaps,
    ingest::progress::{Progress as Told, Unit},
    query::{
        QueryError,
        progress::Progress,
        search::{Indexes, Kept, declared},
        statistics,
        table::{Table, TableSource},
    },
    store::{DerivedFrom, Store},
};

use super::{CommandError, Places, asked_to_end, chosen, head};

/// Time between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct IndexArguments {
    /// The datasets; none: all there are
    dataset: Vec<DatasetId>,
    /// Disposable local space, as for `serve`
    #[arg(long, env = "OPENSHELF_CACHE", default_value = "cache")]
    cache: PathBuf,
}

pub(super) async fn run(places: &Places, arguments: &IndexArguments) -> Result<u8, CommandError> {
    let store = places.open()?;
    let ids = chosen(&store, &arguments.dataset).await?;
    let told = if std::io::stdout().is_terminal() { Told::bars() } else { Told::lines() };
    let indexes = Indexes::new(arguments.cache.clone(), u64::MAX);
    let mut stop = pin!(asked_to_end()?);
    for id in &ids {
        let manifest = head(&store, id).await?;
        for table in &manifest.tables {
            tokio::select! {
                // What is half done leaves nothing behind.
                () = &mut stop => return Ok(0),
                done = one(&store, &manifest, table, &indexes, &told) => done?,
            }
        }
    }
    Ok(0)
}

async fn one(
    store: &Store,
    manifest: &Manifest,
    table: &TableSnapshot,
    indexes: &Indexes,
    told: &Told,
) -> Result<(), CommandError> {
    let name = format!("{}.{} (snapshot {})", manifest.dataset, table.name, manifest.snapshot);
    let failed = |error: QueryError| CommandError::internal(format!("{name}: {error}"));
    let of = DerivedFrom::new(manifest, table)?;
    let files = store.files(manifest, table).await?;
    let source = TableSource {
        store: store.clone(),
        table: Arc::new(Table::new(files, Arc::new(table.schema.clone()))),
        footers: Arc::default(),
        caps: ScanCaps::none(),
    };
    let there = match statistics::kept(store, &of).await? {
        Some(_) => true,
        None => statistics::take_over(store, manifest, table, &of).await?.is_some(),
    };
    if there {
        say!("{name}: has its statistics");
    } else {
        let progress = Progress::default();
        let work = statistics::make(&source, &of, &progress);
        watched(&format!("statistics of {name}"), told, &progress, work).await.map_err(failed)?;
        say!("{name}: statistics of {} columns", table.schema.columns.len());
    }
    let columns = declared(&table.schema).len();
    match indexes.kept(store, &of).await? {
        _ if columns == 0 => {}
        Kept::Open(_) | Kept::Stored(_) => say!("{name}: has its search index"),
        Kept::Nowhere => {
            let progress = Progress::default();
            let work = indexes.make(&source, &of, &progress);
            watched(&format!("search index of {name}"), told, &progress, work).await.map_err(failed)?;
            say!("{name}: search index over {columns} columns");
        }
    }
    Ok(())
}

/// Does the work, and tells how far it is.
async fn watched<T>(
    name: &str,
    told: &Told,
    progress: &Progress,
    work: impl Future<Output = Result<T, QueryError>>,
) -> Result<T, QueryError> {
    let mut work = pin!(work);
    let mut stage = None;
    loop {
        let done = tokio::time::timeout(LOOK, &mut work).await;
        if progress.total() > 0 {
            let stage = stage.get_or_insert_with(|| told.stage(name, Unit::Rows, Some(progress.total())));
            stage.advance(progress.done().saturating_sub(stage.done()));
        }
        if let Ok(done) = done {
            return done;
        }
    }
}
