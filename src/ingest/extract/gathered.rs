//! For tests: runs an extractor over bytes and gathers its rows in a form that reads well in assertions.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use arrow::array::{Array, BinaryArray};
use serde_json::{Map, Value};

use super::{BrokenRow, Extraction, Format, Member, RawBatch, RawColumn, extract};
use crate::{
    config::Caps,
    ingest::{Failure, definition::grammar::ColumnDefinition},
};

/// What an extractor yielded.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) batches: Vec<RawBatch>,
    pub(super) stderr: Vec<String>,
}

/// What an extractor is run with.
pub(super) struct Setting {
    pub(super) caps: Caps,
    pub(super) wanted: Option<BTreeSet<String>>,
    pub(super) folder: PathBuf,
    pub(super) scratch: tempfile::TempDir,
    pub(super) member: Option<String>,
    pub(super) columns: Vec<ColumnDefinition>,
}

impl Default for Setting {
    fn default() -> Self {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        Self {
            caps: Caps::default(),
            wanted: None,
            folder: scratch.path().to_owned(),
            scratch,
            member: None,
            columns: Vec::new(),
        }
    }
}

impl Setting {
    pub(super) fn wanted(mut self, names: &[&str]) -> Self {
        self.wanted = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// With columns written as in a definition.
    pub(super) fn columns(mut self, columns: &str) -> Self {
        #[derive(serde::Deserialize)]
        struct Columns {
            column: Vec<ColumnDefinition>,
        }
        self.columns = toml::from_str::<Columns>(columns).expect("columns").column;
        self
    }

    pub(super) fn run(&self, format: &Format, bytes: &[u8]) -> Result<Gathered, Failure> {
        self.run_member(format, &mut &*bytes, None)
    }

    #[allow(dead_code)]
    pub(super) fn run_file(&self, format: &Format, path: &Path) -> Result<Gathered, Failure> {
        let mut file = std::fs::File::open(path).expect("the file");
        self.run_member(format, &mut file, Some(path))
    }

    fn run_member(
        &self,
        format: &Format,
        reader: &mut dyn std::io::Read,
        plain: Option<&Path>,
    ) -> Result<Gathered, Failure> {
        let mut gathered = Gathered::default();
        let extraction = Extraction {
            format,
            columns: &self.columns,
            folder: &self.folder,
            scratch: self.scratch.path(),
            caps: &self.caps,
            url: "https://example.org/data",
            member: self.member.as_deref(),
            wanted: self.wanted.as_ref(),
            stderr: &mut gathered.stderr,
        };
        let input = Member { name: self.member.clone(), reader, plain };
        extract(extraction, input, &mut |batch| {
            check(&batch);
            gathered.batches.push(batch);
            Ok(())
        })?;
        Ok(gathered)
    }
}

/// Runs with defaults.
pub(super) fn run(format: &Format, bytes: &[u8]) -> Result<Gathered, Failure> {
    Setting::default().run(format, bytes)
}

/// What every batch of every extractor must be.
fn check(batch: &RawBatch) {
    assert_eq!(batch.names.len(), batch.columns.len());
    assert_eq!(batch.positions.len(), batch.rows);
    assert!(batch.columns.iter().all(|column| column.len() == batch.rows));
    let names: BTreeSet<_> = batch.names.iter().collect();
    assert_eq!(names.len(), batch.names.len(), "a name twice: {:?}", batch.names);
}

impl Gathered {
    /// Every row as an object without its nulls. Text is a string, JSON what it says.
    pub(super) fn rows(&self) -> Vec<Value> {
        self.batches.iter().flat_map(|batch| (0..batch.rows).map(|row| object(batch, row))).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows).sum()
    }

    pub(super) fn positions(&self) -> Vec<u64> {
        self.batches.iter().flat_map(|batch| batch.positions.clone()).collect()
    }

    pub(super) fn broken(&self) -> Vec<&BrokenRow> {
        self.batches.iter().flat_map(|batch| &batch.broken).collect()
    }

    /// The cells of one column as upstream wrote them.
    pub(super) fn texts(&self, name: &str) -> Vec<Option<String>> {
        let mut texts = Vec::new();
        for batch in &self.batches {
            let at = batch.names.iter().position(|known| known == name);
            match at.and_then(|at| batch.columns.get(at)) {
                Some(RawColumn::Text(array) | RawColumn::Json(array)) => {
                    texts.extend((0..array.len()).map(|row| text(array, row)));
                }
                _ => texts.extend(std::iter::repeat_n(None, batch.rows)),
            }
        }
        texts
    }
}

fn text(array: &BinaryArray, row: usize) -> Option<String> {
    array.is_valid(row).then(|| String::from_utf8_lossy(array.value(row)).into_owned())
}

fn object(batch: &RawBatch, row: usize) -> Value {
    let mut object = Map::new();
    for (name, column) in batch.names.iter().zip(&batch.columns) {
        let value = match column {
            RawColumn::Text(array) => text(array, row).map(Value::from),
            RawColumn::Json(array) => text(array, row).map(|json| serde_json::from_str(&json).expect("JSON")),
            RawColumn::Typed(array) => array.is_valid(row).then(|| {
                let options = arrow::util::display::FormatOptions::default();
                let formatter = arrow::util::display::ArrayFormatter::try_new(array, &options).expect("a formatter");
                formatter.value(row).to_string().into()
            }),
        };
        if let Some(value) = value {
            object.insert(name.clone(), value);
        }
    }
    object.into()
}
