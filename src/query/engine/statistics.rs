//! What a manifest knows of files, as DataFusion's planner wants it: rows, nulls and bounds.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{array::ArrayRef, datatypes::SchemaRef};
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics, stats::Precision};

use crate::{
    catalog::{ColumnType, DataFile},
    query::{
        bounds::{self, Side},
        table::Table,
    },
};

/// With more files than this, files have no statistics of their own in a plan: they were used to leave files out, and
/// plans would be larger than their results.
const FILES: usize = 512;

/// Statistics of a scan.
pub(super) struct Known {
    /// Over all files of the scan.
    pub(super) all: Statistics,
    /// Of each file.
    pub(super) each: Vec<Option<Arc<Statistics>>>,
}

/// Statistics of these files, for the columns a plan looks at.
pub(super) fn of_files(
    table: &Table,
    schema: &SchemaRef,
    files: &[usize],
    projection: Option<&Vec<usize>>,
    also: &[usize],
) -> Known {
    let listed: Vec<&DataFile> = files.iter().filter_map(|at| table.files.get(*at)).collect();
    let wanted: BTreeSet<usize> = match projection {
        Some(columns) => columns.iter().chain(also).copied().collect(),
        None => (0..schema.fields().len()).collect(),
    };
    if listed.len() > FILES {
        let mut all = Statistics::new_unknown(schema);
        all.num_rows = Precision::Exact(rows(listed.iter().map(|file| file.rows).sum()));
        return Known { all, each: vec![None; listed.len()] };
    }
    let owned: Vec<DataFile> = listed.iter().map(|file| (*file).clone()).collect();
    let mut each: Vec<Statistics> = owned
        .iter()
        .map(|file| {
            let mut statistics = Statistics::new_unknown(schema);
            statistics.num_rows = Precision::Exact(rows(file.rows));
            statistics
        })
        .collect();
    for at in wanted {
        let Some(column) = table.schema.columns.get(at) else { continue };
        let low = bounds::of_files(&owned, column, Side::Min);
        let high = bounds::of_files(&owned, column, Side::Max);
        for (row, statistics) in each.iter_mut().enumerate() {
            let (Some(file), Some(into)) = (owned.get(row), statistics.column_statistics.get_mut(at)) else { continue };
            *into = ColumnStatistics {
                null_count: bounds::nulls(file, &column.name).map_or(Precision::Absent, |n| Precision::Exact(rows(n))),
                min_value: bound(&low, row, &column.kind, schema, at),
                max_value: bound(&high, row, &column.kind, schema, at),
                ..ColumnStatistics::new_unknown()
            };
        }
    }
    let all = match Statistics::try_merge_iter(&each, schema) {
        Ok(all) if !each.is_empty() => all,
        _ => Statistics::new_unknown(schema).with_num_rows(Precision::Exact(rows(owned.iter().map(|f| f.rows).sum()))),
    };
    Known { all, each: each.into_iter().map(|statistics| Some(Arc::new(statistics))).collect() }
}

/// Bounds of whole numbers, dates and truth values are those of the values themselves; of text they may be cut short,
/// and of floats they leave NaN out.
fn bound(bounds: &ArrayRef, row: usize, kind: &ColumnType, schema: &SchemaRef, at: usize) -> Precision<ScalarValue> {
    let value = ScalarValue::try_from_array(bounds, row).ok().filter(|value| !value.is_null());
    let value = value.and_then(|value| value.cast_to(schema.field(at).data_type()).ok());
    match (value, kind) {
        (None, _) => Precision::Absent,
        (Some(value), ColumnType::Int32 | ColumnType::Int64 | ColumnType::Date | ColumnType::Bool) => {
            Precision::Exact(value)
        }
        (Some(value), _) => Precision::Inexact(value),
    }
}

fn rows(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}
