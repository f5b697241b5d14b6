//! A published table as queries read it: its files, where each begins, and what is known of its columns.
//!
//! All of it follows from one snapshot, so it is worked out once and shared ([`Tables`]).

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use arrow::{array::ArrayRef, datatypes::SchemaRef};
use quick_cache::{Weighter, sync::Cache};

use super::{
    bounds::{self, Side},
    footer::Footers,
};
use crate::{
    catalog::{DataFile, TableSchema},
    config::ScanCaps,
    store::Store,
};

/// Memory of prepared tables, about.
const CACHE: u64 = 64 << 20;
/// Tables kept, about.
const TABLES: usize = 1000;
/// Memory a file of a list takes, about: key, hash, bounds.
const FILE: u64 = 1 << 10;

/// A table of one snapshot.
#[derive(Debug)]
pub struct Table {
    /// Its files, in row order.
    pub files: Arc<Vec<DataFile>>,
    /// Its columns.
    pub schema: Arc<TableSchema>,
    /// Its columns as Arrow has them.
    pub arrow: SchemaRef,
    /// The first row of each file, and the number of all rows.
    starts: Vec<u64>,
    /// For each column whether it has integers beyond ±2^53.
    wide: Vec<bool>,
    /// For each column its lower and upper bounds in all files, typed when first pruned by.
    bounds: Vec<OnceLock<[ArrayRef; 2]>>,
}

impl Table {
    /// A table of these files, in this order.
    pub fn new(files: Arc<Vec<DataFile>>, schema: Arc<TableSchema>) -> Self {
        let mut starts = Vec::with_capacity(files.len() + 1);
        let mut next = 0_u64;
        for file in files.iter() {
            starts.push(next);
            next = next.saturating_add(file.rows);
        }
        starts.push(next);
        let wide = schema.columns.iter().map(|column| bounds::is_wide(&files, column)).collect();
        let arrow = schema.to_arrow();
        let bounds = schema.columns.iter().map(|_| OnceLock::new()).collect();
        Self { files, schema, arrow, starts, wide, bounds }
    }

    /// Rows in all files.
    pub fn rows(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The physical number of a file's first row; the number of all rows for the file after the last.
    pub fn start_of(&self, file: usize) -> u64 {
        self.starts.get(file).copied().unwrap_or_else(|| self.rows())
    }

    /// The physical numbers of a file's rows.
    pub fn span_of(&self, file: usize) -> Range<u64> {
        self.start_of(file)..self.start_of(file + 1)
    }

    /// The files that hold rows of these ranges, which ascend.
    pub fn files_of(&self, rows: &[Range<u64>]) -> Vec<usize> {
        let mut files = Vec::new();
        let mut next = 0;
        for range in rows.iter().filter(|range| !range.is_empty()) {
            let Some((first, _)) = self.locate(range.start) else { continue };
            let reached = (first.max(next)..self.files.len()).take_while(|at| self.start_of(*at) < range.end);
            for at in reached {
                files.push(at);
                next = at + 1;
            }
        }
        files
    }

    /// The file that holds a row, and the row's number in it.
    pub fn locate(&self, row: u64) -> Option<(usize, u64)> {
        if row >= self.rows() {
            return None;
        }
        // The last file that begins at or before the row: files without rows begin where their successor does.
        let file = self.starts.partition_point(|start| *start <= row).checked_sub(1)?;
        Some((file, row - self.start_of(file)))
    }

    /// The bound of a column in each file, in the column's Arrow type; null where it is unknown.
    pub fn bounds(&self, column: usize, side: Side) -> Option<ArrayRef> {
        let (described, known) = (self.schema.columns.get(column)?, self.bounds.get(column)?);
        let [low, high] =
            known.get_or_init(|| [Side::Min, Side::Max].map(|side| bounds::of_files(&self.files, described, side)));
        Some(Arc::clone(if side == Side::Min { low } else { high }))
    }

    /// Whether an int64 column has values beyond ±2^53 somewhere in the snapshot.
    pub fn is_wide(&self, column: usize) -> bool {
        self.wide.get(column).copied().unwrap_or(false)
    }
}

/// A table and what it takes to read it.
#[derive(Debug, Clone)]
pub struct TableSource {
    /// The store.
    pub store: Store,
    /// The table.
    pub table: Arc<Table>,
    /// Shared cache of footers.
    pub footers: Arc<Footers>,
    /// What one scan may take.
    pub caps: ScanCaps,
}

/// Which rows of a table of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rows {
    /// Those that fit.
    Published,
    /// Those that did not.
    Rejected,
}

type Name = (String, u64, String, Rows);

#[derive(Clone)]
struct FilesWeight;

impl Weighter<Name, Arc<Table>> for FilesWeight {
    fn weight(&self, _: &Name, table: &Arc<Table>) -> u64 {
        FILE * (table.files.len() as u64 + 1)
    }
}

/// Prepared tables, shared by all requests of a server.
pub struct Tables(Cache<Name, Arc<Table>, FilesWeight>);

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tables").field("tables", &self.0.len()).finish()
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self(Cache::with_weighter(TABLES, CACHE, FilesWeight))
    }
}

impl Tables {
    /// The table of that name in a snapshot, when it was prepared before.
    pub fn get(&self, dataset: &str, snapshot: u64, table: &str, rows: Rows) -> Option<Arc<Table>> {
        self.0.get(&(dataset.to_owned(), snapshot, table.to_owned(), rows))
    }

    /// Keeps a prepared table.
    pub fn insert(&self, dataset: &str, snapshot: u64, name: &str, rows: Rows, table: &Arc<Table>) {
        self.0.insert((dataset.to_owned(), snapshot, name.to_owned(), rows), Arc::clone(table));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_in_its_file() {
        let file = |rows| DataFile { rows, added_in: 1, ..DataFile::default() };
        let table = Table::new(Arc::new(vec![file(0), file(3), file(0), file(2)]), Arc::default());
        assert_eq!(table.rows(), 5);
        let found: Vec<_> = (0..6).map(|row| table.locate(row)).collect();
        assert_eq!(found, [Some((1, 0)), Some((1, 1)), Some((1, 2)), Some((3, 0)), Some((3, 1)), None]);
    }
}
