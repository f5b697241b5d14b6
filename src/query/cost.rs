//! What an answer would take, reckoned from statistics and page indexes alone, and what a cheaper one would be.
//!
//! The coach: an answer that read very much to say very little is told how the same is had for less. It is kind, and
//! every advice is a change to the very request.

use std::{collections::BTreeSet, ops::Range};

use parquet::arrow::ProjectionMask;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    QueryError, Slice, budget::Budget, footer::Footer, found::Choice, pages::OpenFile, predicate::Predicate,
    prune::Pruner, ranges, table::TableSource,
};
use crate::config::{PAGE_ROWS, ScanCaps};

/// Files whose footers are read for a reckoning; of more, some are taken for all.
const FILES: usize = 64;

/// What an answer reads at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cost {
    /// Files it opens.
    pub files: u64,
    /// Files of the table.
    pub files_of: u64,
    /// Row groups it looks into.
    pub row_groups: u64,
    /// Data pages of the columns it reads.
    pub pages: u64,
    /// Rows it looks at.
    pub rows: u64,
    /// Rows of the table.
    pub rows_of: u64,
    /// Bytes it reads from the store, footers not counted.
    pub bytes: u64,
    /// `upper bound`, or `estimate` where it was reckoned from some of the files.
    pub kind: &'static str,
}

/// Bytes that are read without a word about it.
const MUCH: u64 = 16 << 20;
/// Bytes read for one that is said, from which on it is worth a word.
const FOR_ONE: u64 = 100;

/// Whether an answer read very much to say very little: 16 MiB, and a hundred times what it said.
pub fn is_wasteful(scanned: u64, returned: u64) -> bool {
    scanned >= MUCH && scanned / FOR_ONE > returned
}

/// Reckons what a slice would read, at most, without reading any of it but footers.
///
/// # Errors
/// When a footer cannot be read.
pub async fn reckon(
    source: &TableSource,
    slice: &Slice,
    choice: Option<&Choice>,
    from: u64,
) -> Result<(Cost, u64), QueryError> {
    // Footers of so few files need no cap of their own.
    let budget = Budget::new(ScanCaps { bytes: u64::MAX, ..source.caps });
    // Whatever the reader made of it: a cap is what ended it.
    let reckoned = reckon_within(source, slice, choice, from, &budget).await;
    let cost = reckoned.map_err(|error| budget.over().map_or(error, QueryError::from))?;
    Ok((cost, budget.read()))
}

async fn reckon_within(
    source: &TableSource,
    slice: &Slice,
    choice: Option<&Choice>,
    from: u64,
    budget: &Budget,
) -> Result<Cost, QueryError> {
    let table = &source.table;
    let mut cost =
        Cost { files_of: table.files.len() as u64, rows_of: table.rows(), kind: "upper bound", ..Cost::default() };
    let constant = slice.predicate.as_ref().and_then(Predicate::constant);
    if constant == Some(false) || slice.limit == Some(0) {
        return Ok(cost);
    }
    let predicate = slice.predicate.as_ref().filter(|_| constant.is_none());
    let looked_for = looked_for(slice, predicate, choice);
    let within = match (predicate, choice) {
        (None, None) => {
            let begin = from.saturating_add(slice.offset);
            begin..slice.limit.map_or(u64::MAX, |limit| begin.saturating_add(limit)).min(table.rows())
        }
        _ => from..table.rows(),
    };
    let pruner = predicate.map(Pruner::new);
    let keep = pruner.as_ref().map(|pruner| pruner.files(table));
    let mut files = Vec::new();
    let mut at = table.locate(within.start).map_or(table.files.len(), |(file, _)| file);
    while at < table.files.len() && table.start_of(at) < within.end {
        if keep.as_ref().is_none_or(|keep| keep.get(at).copied().unwrap_or(true)) {
            files.push(at);
        }
        at += 1;
    }
    let reads_all = !looked_for.is_empty() || predicate.is_some() || choice.is_none();
    if !reads_all {
        // Row numbers are drawn without a look at the table: only the rows drawn are read.
        files.truncate(1);
    }
    let step = files.len().div_ceil(FILES).max(1);
    let mut wanted_bytes = 0_u64;
    for at in files.iter().step_by(step) {
        let Some(file) = table.files.get(*at) else { continue };
        let file = OpenFile::open(&source.store, &source.footers, file, budget).await?;
        let footer = file.footer();
        let here = ranges::inside(std::slice::from_ref(&within), &table.span_of(*at));
        let possible = match &pruner {
            Some(pruner) => ranges::intersect(&pruner.known_rows(footer), &here),
            None => here,
        };
        let first = read(footer, &possible, &names(source, &looked_for));
        let output = read(footer, &possible, &names(source, &slice.columns));
        let rows = ranges::count(&possible);
        cost.files += u64::from(rows > 0);
        cost.row_groups += first.groups.max(output.groups);
        cost.rows += rows;
        cost.pages += first.pages + if choice.is_none() { output.pages } else { 0 };
        cost.bytes += first.bytes;
        wanted_bytes += output.bytes;
    }
    let scale = |number: u64| number.saturating_mul(step as u64);
    if step > 1 {
        cost.kind = "estimate";
        for number in [&mut cost.files, &mut cost.row_groups, &mut cost.pages, &mut cost.rows, &mut cost.bytes] {
            *number = scale(*number);
        }
        wanted_bytes = scale(wanted_bytes);
    }
    // What is shown comes from at most so many rows' pages.
    cost.bytes = cost.bytes.saturating_add(match choice {
        None => wanted_bytes,
        Some(choice) => {
            let rows = rows_of(choice, slice).min(cost.rows_of);
            cost.kind = "estimate";
            let page = wanted_bytes / (cost.rows / PAGE_ROWS as u64).max(1);
            wanted_bytes.min(page.saturating_mul(rows)).max(if reads_all { 0 } else { page.saturating_mul(rows) })
        }
    });
    if !reads_all {
        cost.rows = choice.map_or(0, |choice| rows_of(choice, slice)).min(cost.rows_of);
    }
    Ok(cost)
}

fn rows_of(choice: &Choice, slice: &Slice) -> u64 {
    match choice {
        Choice::Ordered { .. } => slice.limit.unwrap_or(u64::MAX),
        Choice::Sampled { rows, .. } => *rows,
    }
}

/// Columns that are read before it is known which rows are shown.
fn looked_for(slice: &Slice, predicate: Option<&Predicate>, choice: Option<&Choice>) -> Vec<usize> {
    let mut columns: BTreeSet<usize> = predicate.map(|p| p.columns().iter().copied().collect()).unwrap_or_default();
    match choice {
        Some(Choice::Ordered { order, .. }) => columns.extend(order.columns()),
        Some(Choice::Sampled { key, .. }) => columns.extend(key),
        // These are decoded once, for the condition and for the answer.
        None => columns.retain(|column| !slice.columns.contains(column)),
    }
    columns.into_iter().collect()
}

fn names<'a>(source: &'a TableSource, columns: &[usize]) -> Vec<&'a str> {
    columns.iter().filter_map(|at| source.table.schema.columns.get(*at)).map(|column| column.name.as_str()).collect()
}

/// What reading some columns at some rows of a file takes.
#[derive(Debug, Default)]
struct Read {
    groups: u64,
    pages: u64,
    bytes: u64,
}

fn read(footer: &Footer, ranges: &[Range<u64>], columns: &[&str]) -> Read {
    let metadata = &footer.metadata;
    let parquet = metadata.metadata();
    let roots = columns.iter().filter_map(|name| metadata.schema().index_of(name).ok());
    let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
    let touched = |rows: &Range<u64>| {
        let first = ranges.partition_point(|range| range.end <= rows.start);
        ranges.get(first).is_some_and(|range| range.start < rows.end)
    };
    let mut read = Read::default();
    let spans = footer.layout.starts().windows(2).filter_map(|ends| Some(*ends.first()?..*ends.last()?));
    for (at, (group, span)) in parquet.row_groups().iter().zip(spans).enumerate().filter(|(_, (_, span))| touched(span))
    {
        read.groups += 1;
        for (leaf, column) in group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf)) {
            let pages = parquet.offset_index().and_then(|index| Some(index.get(at)?.get(leaf)?.page_locations()));
            let Some(pages) = pages.filter(|pages| !pages.is_empty()) else {
                read.bytes += u64::try_from(column.compressed_size()).unwrap_or(0);
                continue;
            };
            // What stands before the first page is the dictionary.
            let begin = column.byte_range().0;
            let first = pages.first().and_then(|page| u64::try_from(page.offset).ok()).unwrap_or(begin);
            read.bytes += first.saturating_sub(begin);
            for (page, location) in pages.iter().enumerate() {
                let row = |index: i64| span.start + u64::try_from(index).unwrap_or(0);
                let end = pages.get(page + 1).map_or(span.end, |next| row(next.first_row_index));
                if touched(&(row(location.first_row_index)..end)) {
                    read.pages += 1;
                    read.bytes += u64::try_from(location.compressed_page_size).unwrap_or(0);
                }
            }
        }
    }
    read
}
