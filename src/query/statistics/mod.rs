//! What the values of a table's columns are like: counts, extremes, averages, histograms, the most frequent ones.
//!
//! Everything is over all rows, never over a prefix, and exact, but for the number of distinct values beyond
//! [`tally::TRACKED`], which is an estimate and says so. The rows flow through once; what needs the extremes or a list of
//! candidates first (histograms and frequent values of columns with very many values) takes a second flow over just
//! those columns. Memory is bounded by the columns of a group ([`GROUP`]), never by rows.

mod accumulate;
mod distinct;
mod kept;
mod leaf;
mod numbers;
mod sizes;
mod tally;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use arrow::array::Array;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use self::accumulate::Accumulator;
pub use self::kept::{kept, make, take_over};
use super::{QueryError, Slice, SliceRequest, progress::Progress, scan::Scan, table::TableSource};
use crate::{catalog::snapshot::ColumnBounds, config::ScanCaps};

/// Columns worked on at a time.
const GROUP: usize = 16;

/// The statistics of a table of a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableStatistics {
    /// Rows of the table.
    pub rows: u64,
    /// One for each column, in the order of the schema.
    pub columns: Vec<ColumnStatistics>,
}

/// What the values of a column are like. What does not apply to its type, or is not known yet, is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ColumnStatistics {
    /// The least value, finite where numbers are; a lower bound where it is long text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// The greatest value, finite where numbers are; an upper bound where it is long text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
    /// Nulls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nulls: Option<u64>,
    /// NaNs, where there are any: neither null nor part of any number below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nan: Option<u64>,
    /// Infinities, where there are any: neither null nor part of any number below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infinite: Option<u64>,
    /// Different values, nulls aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct: Option<Distinct>,
    /// The mean: a number, or a point in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Value>,
    /// The standard deviation of all values (not of a sample of more): a number; of dates in days, of times in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
    /// How numbers and times are spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
    /// The values that occur most often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_frequent: Option<MostFrequent>,
    /// How long texts, bytes, lists or maps are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<Lengths>,
    /// Of a list: its elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub elements: Option<Box<ColumnStatistics>>,
    /// Of a map: its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub keys: Option<Box<ColumnStatistics>>,
    /// Of a map: its values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub values: Option<Box<ColumnStatistics>>,
    /// Of a struct: its fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub fields: Vec<FieldStatistics>,
}

/// The values of one field of a struct.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldStatistics {
    /// Its name.
    pub name: String,
    /// Its values, where the struct itself is not null.
    #[schema(no_recursion)]
    pub statistics: ColumnStatistics,
}

/// A number of different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Distinct {
    /// How many.
    pub value: u64,
    /// Whether it is counted, or estimated within about 2 %.
    pub kind: Exactness,
}

/// How sure a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Exactness {
    /// Counted.
    Exact,
    /// Estimated.
    Estimate,
}

/// Counts of values in ranges of equal width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Histogram {
    /// The ends of the ranges: one more than there are counts. A range has its lower end and not its upper one, but the
    /// last has both.
    pub edges: Vec<Value>,
    /// Values in each range.
    pub counts: Vec<u64>,
}

/// The values that occur most often, each exactly counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MostFrequent {
    /// They, the most frequent first; all of them where there are few different ones, else those that occur repeatedly.
    pub values: Vec<Frequent>,
    /// No value that is not listed occurs more often than this.
    pub others_at_most: u64,
}

/// A value and how often it occurs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Frequent {
    /// The value, as answers show it; long text is cut.
    pub value: Value,
    /// How often.
    pub count: u64,
    /// Of text that is cut: bytes of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// How long values are, nulls aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lengths {
    /// `characters`, `bytes`, `elements` or `entries`.
    pub unit: String,
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
    /// The mean.
    pub mean: f64,
    /// How they are spread.
    pub histogram: Histogram,
}

impl From<ColumnBounds> for ColumnStatistics {
    fn from(bounds: ColumnBounds) -> Self {
        Self { min: bounds.min, max: bounds.max, nulls: bounds.nulls, ..Self::default() }
    }
}

impl ColumnStatistics {
    /// With these bounds where it has none of its own.
    #[must_use]
    pub fn or_bounds(mut self, bounds: ColumnBounds) -> Self {
        // An end that all values share with nothing is none: bounds exist only where values do.
        self.min = self.min.or(bounds.min);
        self.max = self.max.or(bounds.max);
        self.nulls = self.nulls.or(bounds.nulls);
        self
    }
}

/// Values flown by, told as rows: a row is done when each of its values has flown by twice, or need not.
struct Meter<'a> {
    progress: &'a Progress,
    rows: u64,
    values: u64,
    all: u64,
}

impl<'a> Meter<'a> {
    fn new(progress: &'a Progress, rows: u64, columns: u64) -> Self {
        progress.set_total(rows);
        Self { progress, rows, values: 0, all: rows.saturating_mul(columns).saturating_mul(2).max(1) }
    }

    fn advance(&mut self, values: u64) {
        let told = |values: u64| (u128::from(values) * u128::from(self.rows) / u128::from(self.all)) as u64;
        let before = told(self.values);
        let now = told(self.values.saturating_add(values));
        self.values = self.values.saturating_add(values);
        self.progress.advance(now - before);
    }
}

/// Reads the whole table and says what its columns are like. Progress is counted in rows.
///
/// # Errors
/// When a file cannot be read; [`QueryError::Cut`] when the runtime is shutting down.
pub async fn compute(source: &TableSource, progress: &Progress) -> Result<TableStatistics, QueryError> {
    let source = TableSource { caps: ScanCaps::none(), ..source.clone() };
    let (rows, width) = (source.table.rows(), source.table.schema.columns.len());
    let mut meter = Meter::new(progress, rows, width as u64);
    let all: Vec<usize> = (0..width).collect();
    let mut columns = Vec::with_capacity(width);
    for group in all.chunks(GROUP) {
        let fields = group.iter().filter_map(|at| Some((*at, source.table.arrow.fields().get(*at)?)));
        let begun: Vec<(usize, Accumulator)> =
            fields.map(|(at, field)| (at, Accumulator::new(field.data_type()))).collect();
        let mut first = flow(&source, begun, &mut meter, Accumulator::add).await?;
        let mut second = Vec::new();
        for (at, accumulator) in &mut first {
            if accumulator.prepare_again() {
                let kind = source.table.arrow.field(*at).data_type();
                second.push((*at, std::mem::replace(accumulator, Accumulator::new(kind))));
            } else {
                meter.advance(rows);
            }
        }
        if !second.is_empty() {
            for (at, accumulator) in flow(&source, second, &mut meter, Accumulator::add_again).await? {
                if let Some((_, place)) = first.iter_mut().find(|(other, _)| *other == at) {
                    *place = accumulator;
                }
            }
        }
        columns.extend(first.into_iter().map(|(at, accumulator)| accumulator.finish(source.table.is_wide(at))));
    }
    Ok(TableStatistics { rows, columns })
}

type Add = fn(&mut Accumulator, &dyn Array);

/// All rows of some columns through their accumulators, batch by batch on threads made for blocking.
async fn flow(
    source: &TableSource,
    mut accumulators: Vec<(usize, Accumulator)>,
    meter: &mut Meter<'_>,
    add: Add,
) -> Result<Vec<(usize, Accumulator)>, QueryError> {
    let mut slice = Slice::new(&SliceRequest::default(), &source.table.schema)?;
    slice.columns = accumulators.iter().map(|(at, _)| *at).collect();
    let mut scan = Scan::new(source.clone(), slice).batches();
    let runtime = tokio::runtime::Handle::current();
    loop {
        let runtime = runtime.clone();
        let step = tokio::task::spawn_blocking(move || {
            let batch = runtime.block_on(scan.next())?;
            for (at, (_, accumulator)) in accumulators.iter_mut().enumerate() {
                if let Some(column) = batch.as_ref().map(|batch| Arc::clone(batch.column(at))) {
                    add(accumulator, &column);
                }
            }
            Ok::<_, QueryError>((scan, accumulators, batch.map(|batch| batch.num_rows())))
        });
        let rows;
        (scan, accumulators, rows) = step.await.map_err(|error| QueryError::Cut(error.to_string()))??;
        match rows {
            Some(rows) => meter.advance((rows as u64).saturating_mul(accumulators.len() as u64)),
            None => return Ok(accumulators),
        }
    }
}
