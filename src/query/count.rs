//! How many rows match: from the manifest, by reading the predicate's columns, or from a part of them.

use std::ops::Range;

use super::{
    QueryError, Slice, batches::Batches, budget::Budget, pages::OpenFile, predicate::Predicate, prune::Pruner, ranges,
    scan::Scan, table::TableSource,
};

/// Rows that an estimate looks at; where no more are left to look at, it is exact.
const LOOKED_AT: u64 = 64_000;
/// Rows looked at in one place, about a page.
const PLACE: u64 = 1000;
/// Files whose footers an estimate reads.
const FILES: usize = 32;

/// A number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Rows.
    pub rows: u64,
    /// Whether it is no estimate.
    pub is_exact: bool,
    /// Bytes read to find out.
    pub scanned: u64,
}

/// Counts the rows that match, reading the predicate's columns only.
///
/// # Errors
/// As [`Batches::next`].
pub async fn exact(source: TableSource, predicate: Option<&Predicate>) -> Result<Count, QueryError> {
    let Some(predicate) = predicate else { return Ok(all(&source)) };
    let slice = Slice { columns: Vec::new(), predicate: Some(predicate.clone()), offset: 0, limit: None };
    let batches = Scan::new(source, slice).batches();
    let scanned = batches.budget();
    let rows = rows(batches).await?;
    Ok(Count { rows, is_exact: true, scanned: scanned.read() })
}

fn all(source: &TableSource) -> Count {
    Count { rows: source.table.rows(), is_exact: true, scanned: 0 }
}

async fn rows(mut batches: Batches) -> Result<u64, QueryError> {
    let mut rows = 0;
    loop {
        let (rest, batch) = batches.next_blocking().await;
        match (rest, batch?) {
            (Some(rest), Some(batch)) => {
                rows += batch.num_rows() as u64;
                batches = rest;
            }
            _ => return Ok(rows),
        }
    }
}

/// Counts in evenly spread places among the rows that statistics do not rule out, and concludes for the others.
///
/// # Errors
/// As [`exact`].
pub async fn estimate(source: TableSource, predicate: Option<&Predicate>) -> Result<Count, QueryError> {
    let Some(predicate) = predicate else { return Ok(all(&source)) };
    match predicate.constant() {
        Some(true) => return Ok(all(&source)),
        Some(false) => return Ok(Count { rows: 0, ..all(&source) }),
        None => {}
    }
    let budget = Budget::new(source.caps);
    let possible = possible(&source, predicate, &budget).await;
    // Whatever the reader made of it: a cap is what ended it.
    let (possible, share) = possible.map_err(|error| budget.over().map_or(error, QueryError::from))?;
    let of = ranges::count(&possible);
    let (places, looked_at) = spread(&possible, of);
    let slice = Slice { columns: Vec::new(), predicate: Some(predicate.clone()), offset: 0, limit: None };
    let found = rows(Scan::within(source, slice, &places, &budget).batches()).await?;
    let is_exact = looked_at == of && share == (1, 1);
    let scaled = u128::from(found) * u128::from(of) * u128::from(share.1)
        / (u128::from(looked_at.max(1)) * u128::from(share.0.max(1)));
    let rows = if is_exact { found } else { u64::try_from(scaled).unwrap_or(u64::MAX) };
    Ok(Count { rows, is_exact, scanned: budget.read() })
}

/// Ranges of rows that statistics do not rule out, in some of the files: how many of how many.
async fn possible(
    source: &TableSource,
    predicate: &Predicate,
    budget: &Budget,
) -> Result<(Vec<Range<u64>>, (u64, u64)), QueryError> {
    let pruner = Pruner::new(predicate);
    let keep = pruner.files(&source.table);
    let kept: Vec<usize> = keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(at, _)| at).collect();
    let step = kept.len().div_ceil(FILES).max(1);
    let mut possible = Vec::new();
    for at in kept.iter().step_by(step) {
        let Some(file) = source.table.files.get(*at) else { continue };
        let file = OpenFile::open(&source.store, &source.footers, file, budget).await?;
        let start = source.table.start_of(*at);
        for rows in pruner.known_rows(file.footer()) {
            ranges::push(&mut possible, start + rows.start..start + rows.end);
        }
    }
    let (read, all) = (kept.iter().step_by(step).count() as u64, kept.len() as u64);
    Ok((possible, if read == all { (1, 1) } else { (read, all) }))
}

/// Places among these ranges, which hold `of` rows, and the rows in them.
fn spread(ranges: &[Range<u64>], of: u64) -> (Vec<Range<u64>>, u64) {
    if of <= LOOKED_AT {
        return (ranges.to_vec(), of);
    }
    let count = LOOKED_AT / PLACE;
    let mut places: Vec<Range<u64>> = Vec::new();
    let mut looked_at = 0;
    for place in 0..count {
        // Counted among the possible rows only; a place ends with its range.
        let mut rank = u64::try_from(u128::from(of) * u128::from(place) / u128::from(count)).unwrap_or(u64::MAX);
        for range in ranges {
            let length = range.end - range.start;
            if rank < length {
                let begin = (range.start + rank).max(places.last().map_or(0, |last| last.end));
                let end = (begin + PLACE).min(range.end);
                if begin < end {
                    looked_at += end - begin;
                    places.push(begin..end);
                }
                break;
            }
            rank -= length;
        }
    }
    (places, looked_at)
}
