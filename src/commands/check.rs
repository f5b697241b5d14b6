//! `openshelf check`: validates a definition, ingests its sample into memory, compares the rows with `expected/`.

use std::{fmt::Write, path::Path, sync::Arc};

use clap::Args;
use openshelf::{
    catalog::{DatasetId, Manifest, TableSnapshot},
    config::{IngestSettings, ScanCaps},
    ingest::{
        definition::{self, Loaded},
        progress::Progress,
        run::{self, Ingest},
    },
    query::{
        self, Slice, SliceRequest,
        scan::Scan,
        table::{Table, TableSource},
    },
    store::Store,
};

use super::{CommandError, Places};

/// Rows of each table that are shown.
const SHOWN_ROWS: usize = 3;
/// Characters of a shown row.
const SHOWN_WIDTH: usize = 160;

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The dataset
    pub(super) dataset: DatasetId,
    /// Write what the sample gives to expected/ instead of comparing; read every row before you commit it
    #[arg(long)]
    pub(super) write: bool,
}

pub(super) async fn run(places: &Places, arguments: &CheckArguments) -> Result<u8, CommandError> {
    let loaded = definition::load(&places.datasets, &arguments.dataset)?;
    say!("{}: the definition is sound", loaded.id);
    let (store, manifest) = ingest_sample(&loaded).await?;
    let mut wrong = Vec::new();
    for table in &manifest.tables {
        let rows = rows(&store, &manifest, table).await?;
        show(table, &rows);
        let path = loaded.folder.join("expected").join(format!("{}.ndjson", table.name));
        if arguments.write {
            write(&path, &rows)?;
            say!("  written to {}: read every row before you commit it", path.display());
        } else if let Err(difference) = compare(&path, &rows, &loaded) {
            wrong.push(difference);
        } else {
            say!("  all rows as in {}", path.display());
        }
    }
    if wrong.is_empty() {
        say!("{}: fine", loaded.id);
        return Ok(0);
    }
    Err(CommandError::usage(wrong.join("\n")))
}

/// Ingests the sample into a store in memory.
pub(super) async fn ingest_sample(loaded: &Loaded) -> Result<(Store, Arc<Manifest>), CommandError> {
    let scratch = tempfile::tempdir().map_err(|error| CommandError::internal(format!("no scratch space: {error}")))?;
    let settings = IngestSettings::new(scratch.path().to_owned());
    let (store, progress) = (Store::in_memory(), Progress::silent());
    let ingest =
        Ingest { store: &store, settings: &settings, progress: &progress, sample: true, now: chrono::Utc::now() };
    let ended = run::run(ingest, loaded).await;
    if let Some(failure) = ended.failure {
        let mut error = CommandError::from(failure);
        for output in &ended.record.script_output {
            error.message.push_str("\n  script: ");
            error.message.push_str(output.trim_end());
        }
        return Err(error);
    }
    let manifest =
        store.head(&loaded.id).await?.ok_or_else(|| CommandError::internal("the sample gave no snapshot"))?;
    Ok((store, manifest))
}

/// All rows of a table as NDJSON lines, just as the API gives them.
async fn rows(store: &Store, manifest: &Manifest, table: &TableSnapshot) -> Result<Vec<String>, CommandError> {
    let internal = |error: String| CommandError::internal(format!("table `{}`: {error}", table.name));
    let files = store.files(manifest, table).await?;
    let schema = Arc::new(table.schema.clone());
    let slice = Slice::new(&SliceRequest::default(), &schema).map_err(|error| internal(error.to_string()))?;
    let source = TableSource {
        store: store.clone(),
        table: Arc::new(Table::new(files, Arc::clone(&schema))),
        footers: Arc::default(),
        caps: ScanCaps::none(),
    };
    let mut batches = Scan::new(source, slice).batches();
    let mut text = Vec::new();
    while let Some(batch) = batches.next().await.map_err(|error| internal(error.to_string()))? {
        text.extend(query::encode::ndjson(&batch, &schema));
    }
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}

fn show(table: &TableSnapshot, rows: &[String]) {
    let rejected = if table.rejected == 0 { String::new() } else { format!(", {} rejected", table.rejected) };
    say!("\n{}: {} rows{rejected}", table.name, rows.len());
    for column in &table.schema.columns {
        let required = if column.nullable { "" } else { " (never null)" };
        say!("  {:28} {}{required}", column.name, column.kind);
    }
    for row in rows.iter().take(SHOWN_ROWS) {
        let cut: String = row.chars().take(SHOWN_WIDTH).collect();
        say!("  {cut}{}", if cut.len() < row.len() { "…" } else { "" });
    }
}

fn write(path: &Path, rows: &[String]) -> Result<(), CommandError> {
    let mut text = String::new();
    for row in rows {
        writeln!(text, "{row}").map_err(|error| CommandError::internal(error.to_string()))?;
    }
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| CommandError::internal(format!("{}: {error}", path.display())))
}

fn compare(path: &Path, rows: &[String], loaded: &Loaded) -> Result<(), String> {
    let place = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!(
            "{place}: {error}; look at the rows above, then write them down with `openshelf check {} --write`",
            loaded.id
        )
    })?;
    let expected: Vec<&str> = text.lines().collect();
    for (at, (expected, row)) in expected.iter().zip(rows).enumerate() {
        if expected != row {
            return Err(format!(
                "{place}:{}: the sample gives another row\n  expected {expected}\n  got      {row}",
                at + 1
            ));
        }
    }
    if expected.len() != rows.len() {
        return Err(format!("{place}: {} rows are expected, the sample gives {}", expected.len(), rows.len()));
    }
    Ok(())
}
