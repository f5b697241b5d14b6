//! Rows to Parquet: sorted by the sort key with bounded memory, one row per primary key, in files laid out for slices.
//!
//! It takes batches of the table's schema and yields files in scratch space; it knows nothing of where rows come from or
//! where files go. Everything is synchronous.
//!
//! How rows reach the files:
//! - no keys: as they come;
//! - sorted by the primary key's columns (or by any, without a primary key): straight into files as long as they come
//!   sorted; when one does not, what was written becomes the first run of an external sort (`sort`, `merge`, `reread`);
//! - sorted by something else than the primary key: the keys alone are sorted to find the losers, the rows by the sort key.
//!
//! Where a table is partitioned, its sort key begins with the partition's columns, so that one file at a time is open and a
//! new one begins where the partition does (`partitions`).

mod bounds;
mod checksum;
mod duplicates;
mod files;
mod merge;
mod order;
mod output;
mod partitions;
mod properties;
mod reread;
mod route;
mod sort;
mod spill;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
};
use serde_json::Value;
use tempfile::TempDir;

pub use duplicates::DuplicateRejects;
pub(super) use partitions::too_many;

use crate::{
    catalog::{TableSchema, snapshot::ColumnBounds},
    config::EncodeSettings,
    ingest::{Failure, definition::grammar::OnDuplicate, progress::Stage},
};
use duplicates::Duplicates;
use files::FileShape;
use order::Order;
use output::Output;
use partitions::Partitions;
use route::{ApartRoute, Route, SortedRoute, find_losers};
use sort::Sorter;
use spill::{Spill, SpillWriter};

/// What is to be encoded.
#[derive(Debug, Clone)]
pub struct TableShape<'a> {
    /// Columns.
    pub schema: &'a TableSchema,
    /// Columns whose values are unique together; may be empty.
    pub primary_key: &'a [String],
    /// Columns the rows are to be sorted by, ascending, nulls last; empty: upstream's order.
    pub sort_key: &'a [String],
    /// The first columns of `sort_key` of which no file is to hold two values.
    pub partition_by: &'a [String],
    /// Which of several rows with one primary key stays.
    pub on_duplicate: OnDuplicate,
    /// Key-value metadata of each file: license, provenance.
    pub metadata: Vec<(String, String)>,
}

/// One file, in scratch space as long as this or another file of the same encoder lives.
#[derive(Debug, Clone)]
pub struct EncodedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Size.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// sha256 of the file, hex.
    pub sha256: String,
    /// Value of each partition column.
    pub partition: BTreeMap<String, Value>,
    /// Where its row groups begin, where it has several: one begins where all files do.
    pub row_groups: Vec<i64>,
    /// Bounds of its top-level columns.
    pub columns: BTreeMap<String, ColumnBounds>,
    _folder: Arc<Folder>,
}

/// What came of the rows: `rows + duplicate_rows` is how many were pushed.
#[derive(Debug)]
pub struct Encoded {
    /// The files, in row order; at least one.
    pub files: Vec<EncodedFile>,
    /// Rows in them.
    pub rows: u64,
    /// The rows that lost to another with the same primary key, as batches of [`crate::ingest::rejects::schema`].
    pub duplicates: DuplicateRejects,
    /// How many those are.
    pub duplicate_rows: u64,
}

/// A folder of temporary files, removed with the last that uses it.
#[derive(Debug)]
struct Folder(TempDir);

impl Folder {
    fn create(scratch: &Path) -> Result<Arc<Self>, Failure> {
        let created = std::fs::create_dir_all(scratch)
            .and_then(|()| tempfile::Builder::new().prefix("encode-").tempdir_in(scratch));
        created.map(|folder| Arc::new(Self(folder))).map_err(|error| spill::failed(scratch, "write to", &error))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Encodes the rows of one table, or of one part of it.
pub struct Encoder {
    schema: SchemaRef,
    /// The table's columns and those carried along for duplicates: position, origin and perhaps row number.
    carried: SchemaRef,
    key: Vec<usize>,
    policy: OnDuplicate,
    sort_memory: usize,
    folder: Arc<Folder>,
    origins: Vec<(String, &'static str)>,
    output: Output,
    route: Route,
    rows: u64,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder that keeps temporary files in a folder of its own in `scratch`.
    ///
    /// # Errors
    /// A definition's failure for a key that names no column, or one whose values have no order; an internal one when
    /// `scratch` cannot be written to.
    pub fn new(shape: TableShape<'_>, settings: &EncodeSettings, scratch: &Path) -> Result<Self, Failure> {
        let TableShape { schema: table, primary_key, sort_key, partition_by, on_duplicate, metadata } = shape;
        let schema = table.to_arrow();
        let key = positions_of(table, primary_key, "primary_key")?;
        let sort = positions_of(table, sort_key, "sort_key")?;
        positions_of(table, partition_by, "partition_by")?;
        if !sort_key.starts_with(partition_by) {
            return Err(Failure::internal("rows that are partitioned must be sorted by the partition's columns first"));
        }
        let folder = Folder::create(scratch)?;
        // Sorted by just the key's columns, duplicates lie side by side in upstream's order.
        let side_by_side = key.iter().collect::<BTreeSet<_>>() == sort.iter().collect::<BTreeSet<_>>();
        let apart = !key.is_empty() && !side_by_side;

        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        if !key.is_empty() {
            fields.push(Arc::new(Field::new("#position", DataType::UInt64, false)));
            fields.push(Arc::new(Field::new("#origin", DataType::UInt32, false)));
        }
        let losers_schema: SchemaRef = Arc::new(Schema::new(fields.clone()));
        if apart {
            fields.push(Arc::new(Field::new("#row", DataType::UInt64, false)));
        }
        let carried: SchemaRef = Arc::new(Schema::new(fields));

        let order = |columns: Vec<usize>| Order::new(&carried, columns).map(Arc::new);
        let sorter = |order, schema: &SchemaRef, memory, name| {
            Sorter::new(order, Arc::clone(schema), memory, folder.path().to_owned(), name)
        };
        let route = if apart {
            let by = if sort.is_empty() { vec![carried.fields().len() - 1] } else { sort.clone() };
            let narrow = narrow_schema(&schema, &key);
            let key_order = Arc::new(Order::new(&narrow, (0..key.len()).collect())?);
            // Both hold rows until the end.
            let half = settings.sort_memory / 2;
            Route::Apart(Box::new(ApartRoute {
                rows: sorter(order(by)?, &carried, half, "rows"),
                keys: sorter(Arc::clone(&key_order), &narrow, half, "keys"),
                key: key_order,
            }))
        } else if sort.is_empty() {
            Route::Straight
        } else {
            let order = order(sort.clone())?;
            let duplicates = (!key.is_empty()).then(|| Duplicates::new(Arc::clone(&order), on_duplicate));
            Route::Sorted(Box::new(SortedRoute { order, duplicates, last: None, carried: None }))
        };
        let shape = FileShape {
            table: table.clone(),
            schema: Arc::clone(&schema),
            sorted_by: sort,
            partitions: Partitions::new(table, partition_by, settings.partitions),
            metadata,
            settings: settings.clone(),
            folder: Arc::clone(&folder),
        };
        let output = Output::new(shape, losers_schema);
        let (policy, sort_memory) = (on_duplicate, settings.sort_memory);
        Ok(Self { schema, carried, key, policy, sort_memory, folder, origins: Vec::new(), output, route, rows: 0 })
    }

    /// Adds rows, which have the table's Arrow schema. `positions` says where in `source` each was, counted in `unit`;
    /// without a primary key they are not looked at.
    ///
    /// # Errors
    /// An internal failure: rows of another shape, or scratch space that is full.
    pub fn push(
        &mut self,
        rows: RecordBatch,
        positions: &[u64],
        unit: &'static str,
        source: &str,
    ) -> Result<(), Failure> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let batch = self.carry(&rows, positions, unit, source)?;
        drop(rows);
        self.rows += batch.num_rows() as u64;
        let unsorted = match &mut self.route {
            Route::Straight => return self.output.files.write(&batch),
            Route::Sorting(sorter, _) => return sorter.push(batch),
            Route::Apart(route) => {
                let columns: Vec<usize> = self.key.iter().copied().chain([batch.num_columns() - 1]).collect();
                route.keys.push(project(&batch, &columns)?)?;
                return route.rows.push(batch);
            }
            Route::Sorted(route) => route.push(batch, &self.folder, &mut self.output)?,
        };
        match unsorted {
            None => Ok(()),
            Some(batch) => self.begin_sorting(batch),
        }
    }

    /// Rows that are sorted and written when all are there.
    pub fn waiting(&self) -> u64 {
        match &self.route {
            Route::Straight | Route::Sorted(_) => 0,
            Route::Sorting(..) | Route::Apart(_) => self.rows,
        }
    }

    /// Tells `stage` of the rows that were [waiting](Self::waiting), as they are written.
    pub fn tell(&mut self, stage: Arc<Stage>) {
        self.output.stage = Some(stage);
    }

    /// Ends the last file.
    ///
    /// # Errors
    /// An internal failure: scratch space that is full.
    pub fn finish(mut self) -> Result<Encoded, Failure> {
        match std::mem::replace(&mut self.route, Route::Straight) {
            Route::Straight => {}
            Route::Sorted(mut route) => {
                let last = route.duplicates.as_mut().and_then(Duplicates::finish);
                last.into_iter().try_for_each(|marked| self.output.write(marked))?;
            }
            Route::Sorting(sorter, duplicates) => self.output.write_sorted(*sorter, duplicates)?,
            Route::Apart(route) => {
                let ApartRoute { rows, keys, key } = *route;
                let losers = find_losers(keys, Duplicates::new(key, self.policy))?;
                for batch in rows.finish()? {
                    let batch = batch?;
                    let numbers = batch.columns().last().and_then(|column| column.as_primitive_opt::<UInt64Type>());
                    let lose = numbers.and_then(|numbers| losers.mask(numbers));
                    self.output.write((batch, lose))?;
                }
            }
        }
        let Output { files, losers, losers_count, .. } = self.output;
        let losers = losers.map(SpillWriter::finish).transpose()?.map(Spill::read).transpose()?;
        let duplicates = DuplicateRejects {
            rows: losers,
            key: self.key,
            columns: self.schema.fields().len(),
            origins: self.origins,
        };
        let files = files.finish()?;
        let rows = files.iter().map(|file| file.rows).sum();
        if rows + losers_count != self.rows {
            return Err(Failure::internal(format!(
                "{} rows went into the encoder, {rows} came out and {losers_count} were duplicates",
                self.rows
            )));
        }
        Ok(Encoded { files, rows, duplicates, duplicate_rows: losers_count })
    }

    /// The batch with what is carried along.
    fn carry(
        &mut self,
        rows: &RecordBatch,
        positions: &[u64],
        unit: &'static str,
        source: &str,
    ) -> Result<RecordBatch, Failure> {
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        if !self.key.is_empty() {
            // Sources come one after the other.
            if self.origins.last().is_none_or(|(name, counts)| name != source || *counts != unit) {
                self.origins.push((source.to_owned(), unit));
            }
            let origin = (self.origins.len() - 1) as u32;
            columns.push(Arc::new(UInt64Array::from(positions.to_vec())));
            columns.push(Arc::new(UInt32Array::from(vec![origin; rows.num_rows()])));
        }
        if matches!(self.route, Route::Apart(_)) {
            let numbers = self.rows..self.rows + rows.num_rows() as u64;
            columns.push(Arc::new(UInt64Array::from_iter_values(numbers)));
        }
        RecordBatch::try_new(Arc::clone(&self.carried), columns)
            .map_err(|error| Failure::internal(format!("rows do not have the table's shape: {error}")))
    }

    /// From here on the input is sorted, beginning with what was written and this batch.
    fn begin_sorting(&mut self, batch: RecordBatch) -> Result<(), Failure> {
        let Route::Sorted(mut route) = std::mem::replace(&mut self.route, Route::Straight) else { return Ok(()) };
        let held = route.duplicates.as_mut().and_then(Duplicates::take_held);
        let written = self.output.take_written(route.carried.take(), &self.carried)?;
        let sorter = Sorter::new(
            Arc::clone(&route.order),
            Arc::clone(&self.carried),
            self.sort_memory,
            self.folder.path().to_owned(),
            "rows",
        );
        let mut sorter = sorter.with_runs(match (self.policy, self.output.take_losers()?) {
            // Of one key, the row that was kept so far came before those that lost to it, or after.
            (OnDuplicate::First, losers) => written.into_iter().chain(losers).collect(),
            (_, losers) => losers.into_iter().chain(written).collect(),
        });
        for batch in held.into_iter().chain([batch]) {
            sorter.push(batch)?;
        }
        let duplicates = (!self.key.is_empty()).then(|| Duplicates::new(route.order, self.policy));
        self.route = Route::Sorting(Box::new(sorter), duplicates);
        Ok(())
    }
}

fn narrow_schema(schema: &Schema, key: &[usize]) -> SchemaRef {
    let row = Arc::new(Field::new("#row", DataType::UInt64, false));
    Arc::new(Schema::new(
        key.iter().map(|column| Arc::clone(&schema.fields()[*column])).chain([row]).collect::<Vec<_>>(),
    ))
}

fn project(batch: &RecordBatch, columns: &[usize]) -> Result<RecordBatch, Failure> {
    batch.project(columns).map_err(|error| Failure::internal(format!("rows do not have the table's shape: {error}")))
}

fn positions_of(table: &TableSchema, names: &[String], key: &str) -> Result<Vec<usize>, Failure> {
    names
        .iter()
        .map(|name| match table.column(name) {
            Some((at, _)) => Ok(at),
            None => Err(Failure::definition(format!("{key} names `{name}`, which is no column of the table"))),
        })
        .collect()
}
