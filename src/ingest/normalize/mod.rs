//! Raw rows to rows of the table's schema: rename, cast, null tokens, lists, times to UTC. A row that does not fit becomes a
//! reject; none vanishes. Knows nothing about formats beyond whether columns have names, and nothing about files.

pub(crate) mod bind;
mod cast;
pub(crate) mod cells;
pub(crate) mod faults;
pub(crate) mod json;
mod nested;
pub(crate) mod number;
mod rules;
pub(crate) mod time;
mod typed;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array},
    compute,
    datatypes::{DataType, SchemaRef},
};

use self::{bind::Found, cells::Cells, faults::Faults, faults::Misfits, rules::Rules};
use super::{
    Failure,
    definition::grammar::{ColumnDefinition, Format, Scalar, Table},
    extract::RawBatch,
};
use crate::catalog::{Column, ColumnType, TableSchema};

pub use bind::wanted;

/// Where raw batches come from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The upstream file's url, with `#member` inside an archive: goes into rejects and messages.
    pub source: String,
    /// Values of `$variables`, those of the part and `url`, `file`, `member`.
    pub variables: BTreeMap<String, String>,
}

/// Casts the raw batches of one file to a table's schema.
#[derive(Debug)]
pub struct Normalizer {
    columns: Vec<Bound>,
    schema: SchemaRef,
    origin: Origin,
    by_order: bool,
    names: Option<Arc<Vec<String>>>,
    seen: Seen,
}

#[derive(Debug)]
struct Bound {
    definition: ColumnDefinition,
    kind: ColumnType,
    nullable: bool,
    rules: Rules,
    candidates: Vec<Scalar>,
    /// In the batches at hand; several only where rows are sparse.
    found: Vec<Found>,
}

/// Rows of the table's schema, and what became of the others.
#[derive(Debug, Clone)]
pub struct Normalized {
    /// The rows that fit; carries exactly the table's Arrow schema, field ids included.
    pub rows: RecordBatch,
    /// Where each of them was in upstream's file.
    pub positions: Vec<u64>,
    /// What `positions` count.
    pub unit: &'static str,
    /// The rows that did not fit, as [`super::rejects::schema`] has them; `None` if all did.
    pub rejects: Option<RecordBatch>,
    /// Rows read: those of `rows` and `rejects` together.
    pub read: u64,
}

/// Which columns were found so far in files whose rows name their own columns (JSON): there, a column that no row has is
/// noticed only at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    columns: BTreeSet<String>,
    rows: u64,
}

impl Seen {
    /// Adds what was seen elsewhere: in another member, file or part.
    pub fn join(&mut self, other: &Self) {
        self.columns.extend(other.columns.iter().cloned());
        self.rows += other.rows;
    }

    /// Checks at the end that every column that must be there was.
    ///
    /// # Errors
    /// The definition names a column that no row has.
    pub fn check(&self, columns: &[ColumnDefinition]) -> Result<(), Failure> {
        let absent: Vec<String> = columns
            .iter()
            .filter(|column| !column.optional && self.rows > 0 && !self.columns.contains(&column.name))
            .map(|column| format!("`{}`", column.name))
            .collect();
        if absent.is_empty() {
            return Ok(());
        }
        Err(Failure::definition(format!(
            "none of the {} rows has column {}. Correct `from`, or write `optional = true` if upstream may leave it out",
            self.rows,
            absent.join(", ")
        )))
    }
}

impl Normalizer {
    /// A normalizer for the files of one origin. `schema` has the columns of the definition, in its order (see [`schema_of`]).
    ///
    /// # Errors
    /// A definition that cannot be followed: a type, pattern or zone that is none.
    pub fn new(
        columns: &[ColumnDefinition],
        schema: &TableSchema,
        format: &Format,
        origin: Origin,
    ) -> Result<Self, Failure> {
        if columns.len() != schema.columns.len() {
            return Err(Failure::internal("the definition and the schema have different columns"));
        }
        let by_order = bind::by_order(format);
        let candidates = bind::candidates(columns, by_order);
        let columns = columns
            .iter()
            .zip(&schema.columns)
            .zip(candidates)
            .map(|((definition, column), candidates)| {
                Ok(Bound {
                    rules: Rules::new(definition, format)?,
                    definition: definition.clone(),
                    kind: column.kind.clone(),
                    nullable: column.nullable,
                    candidates,
                    found: Vec::new(),
                })
            })
            .collect::<Result<_, Failure>>()?;
        Ok(Self { columns, schema: schema.to_arrow(), origin, by_order, names: None, seen: Seen::default() })
    }

    /// Casts one batch.
    ///
    /// # Errors
    /// A column that upstream does not have and that is not optional.
    pub fn push(&mut self, raw: &RawBatch) -> Result<Normalized, Failure> {
        check_shape(raw)?;
        self.bind(raw)?;
        let mut misfits = Misfits::default();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            let mut faults = Faults::default();
            let (array, cells, pointed) = column.read(raw, field.data_type(), &mut faults);
            if pointed && !self.seen.columns.contains(&column.definition.name) {
                self.seen.columns.insert(column.definition.name.clone());
            }
            if !column.nullable && array.null_count() > 0 {
                let known = faults.rows();
                for row in (0..raw.rows).filter(|row| array.is_null(*row) && !known.contains(row)) {
                    faults.push(row, "null in a column of the primary key");
                }
            }
            if !faults.is_empty() {
                misfits.add(&column.definition.name, &cells, faults);
            }
            arrays.push(array);
        }
        self.seen.rows += raw.rows as u64;
        self.finish(raw, arrays, &misfits)
    }

    fn finish(&self, raw: &RawBatch, arrays: Vec<ArrayRef>, misfits: &Misfits) -> Result<Normalized, Failure> {
        let internal = |error: arrow::error::ArrowError| Failure::internal(format!("rows of one batch: {error}"));
        let rejects = misfits.rejects(raw, &self.origin.source)?;
        let (arrays, positions) = if misfits.is_empty() {
            (arrays, raw.positions.clone())
        } else {
            let fits = misfits.fitting(raw.rows);
            let positions = raw.positions.iter().zip(&fits).filter_map(|(at, fits)| fits.then_some(*at)).collect();
            let mask = BooleanArray::new(fits, None);
            let kept: Result<Vec<ArrayRef>, _> = arrays.iter().map(|array| compute::filter(array, &mask)).collect();
            (kept.map_err(internal)?, positions)
        };
        let options = RecordBatchOptions::new().with_row_count(Some(positions.len()));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options).map_err(internal)?;
        let read = raw.rows as u64 + raw.broken.len() as u64;
        Ok(Normalized { rows, positions, unit: raw.unit, rejects, read })
    }

    /// Which columns were found so far; to be joined over the files of a table and checked at the end.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    fn bind(&mut self, raw: &RawBatch) -> Result<(), Failure> {
        if self.names.as_ref().is_some_and(|names| Arc::ptr_eq(names, &raw.names) || *names == raw.names) {
            return Ok(());
        }
        for column in &mut self.columns {
            let found = column
                .candidates
                .iter()
                .filter_map(|from| bind::find(from, &raw.names, &self.origin.variables, self.by_order, raw.sparse));
            column.found.clear();
            for found in found {
                // Whether a pointer leads anywhere is known row by row; a column or a variable is there or not.
                let settled = !raw.sparse && !matches!(found, Found::Pointer(..));
                column.found.push(found);
                if settled {
                    break;
                }
            }
            if column.found.iter().any(|found| !matches!(found, Found::Pointer(..))) {
                self.seen.columns.insert(column.definition.name.clone());
            }
            // An empty file may have no names at all.
            let known = !raw.names.is_empty() || raw.rows > 0;
            if column.found.is_empty() && !column.definition.optional && !raw.sparse && known {
                return Err(bind::absent(&column.definition, &column.candidates, &raw.names, &self.origin.source));
            }
        }
        self.names = Some(raw.names.clone());
        Ok(())
    }
}

impl Bound {
    /// The column of a batch, the cells it was read from, and whether a pointer led anywhere.
    fn read(&self, raw: &RawBatch, arrow: &DataType, faults: &mut Faults) -> (ArrayRef, Cells, bool) {
        if let [Found::Constant(text)] = self.found.as_slice() {
            let (array, cells) = self.constant(text, raw.rows, arrow, faults);
            return (array, cells, false);
        }
        let mut pointed = false;
        let cells: Vec<Cells> = self
            .found
            .iter()
            .filter_map(|found| match found {
                Found::Column(at) => raw.columns.get(*at).map(Cells::from),
                Found::Pointer(at, tokens) => {
                    let (cells, anywhere) = Cells::from(raw.columns.get(*at)?).point(tokens, faults);
                    pointed |= anywhere;
                    anywhere.then_some(cells)
                }
                Found::Constant(text) => Some(repeated(text, raw.rows)),
            })
            .collect();
        match Cells::first_of(&cells) {
            None => (new_null_array(arrow, raw.rows), cells::no_cells(raw.rows), pointed),
            Some(cells) => (cast::cast(&cells, &self.kind, arrow, &self.rules, faults), cells, pointed),
        }
    }

    /// One text for all rows is cast once.
    fn constant(&self, text: &str, rows: usize, arrow: &DataType, faults: &mut Faults) -> (ArrayRef, Cells) {
        let one = repeated(text, 1);
        let mut fault = Faults::default();
        let value = cast::cast(&one, &self.kind, arrow, &self.rules, &mut fault);
        if !fault.is_empty() || value.is_null(0) {
            // Rare enough to be told row by row.
            let all = repeated(text, rows);
            return (cast::cast(&all, &self.kind, arrow, &self.rules, faults), all);
        }
        let first = UInt32Array::from(vec![0; rows]);
        let values = compute::take(&value, &first, None).unwrap_or_else(|_| new_null_array(arrow, rows));
        (values, one)
    }
}

fn repeated(text: &str, rows: usize) -> Cells {
    Cells::Text(std::iter::repeat_n(Some(text.as_bytes()), rows).collect())
}

fn check_shape(raw: &RawBatch) -> Result<(), Failure> {
    let same = raw.names.len() == raw.columns.len()
        && raw.positions.len() == raw.rows
        && raw.columns.iter().all(|column| column.len() == raw.rows);
    if same { Ok(()) } else { Err(Failure::internal("an extractor gave a batch with columns of different lengths")) }
}

/// The schema of a table that names its columns. Primary key columns are never null and have bloom filters by default.
///
/// # Errors
/// A type that is none.
pub fn schema_of(table: &Table) -> Result<TableSchema, Failure> {
    let columns = table
        .columns
        .iter()
        .map(|column| {
            let is_key = table.primary_key.contains(&column.name);
            Ok(Column {
                name: column.name.clone(),
                kind: rules::kind_of(column).map_err(|failure| failure.context(format!("table `{}`", table.name)))?,
                nullable: !is_key,
                description: column.description.clone(),
                unit: column.unit.clone(),
                search: column.search,
                bloom: column.bloom.unwrap_or(is_key),
                field_ids: Vec::new(),
            })
        })
        .collect::<Result<_, Failure>>()?;
    Ok(TableSchema { columns })
}
