//! Rows by their physical numbers: what an order, a sample or a search found is read here, and only here.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, UInt64Array},
    compute::{concat_batches, take_record_batch},
};

use super::{QueryError, budget::Budget, pages::OpenFile, ranges, table::TableSource};

/// Rows read from a file at once: each may lie in pages of its own.
const AT_ONCE: usize = 256;

/// These rows of a snapshot, in the order asked for; a number may come twice. Decodes on the calling thread.
///
/// `columns` are positions in the table's schema. Rows beyond the end are left out.
///
/// # Errors
/// When a file cannot be read, or it takes more than the budget.
pub async fn take(
    source: &TableSource,
    columns: &[usize],
    rows: &[u64],
    budget: &Budget,
) -> Result<RecordBatch, QueryError> {
    let output = Arc::new(source.table.arrow.project(columns)?);
    let mut sorted: Vec<u64> = rows.iter().copied().filter(|row| *row < source.table.rows()).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut batches = Vec::new();
    let mut rest = sorted.as_slice();
    while let Some((file, _)) = rest.first().and_then(|row| source.table.locate(*row)) {
        let (start, end) = (source.table.start_of(file), source.table.start_of(file + 1));
        let (here, further) = rest.split_at(rest.partition_point(|row| *row < end));
        rest = further;
        let Some(data) = source.table.files.get(file) else { break };
        let file = OpenFile::open(&source.store, &source.footers, data, budget).await?;
        for some in here.chunks(AT_ONCE) {
            let batch = file.read(&output, &ranges::of(some.iter().map(|row| row - start))).await;
            batches.push(batch.map_err(|error| QueryError::File { file: data.key.clone(), source: error })?);
        }
    }
    let read = match batches.as_slice() {
        [one] => one.clone(),
        several => concat_batches(&output, several)?,
    };
    if rows == sorted {
        return Ok(read);
    }
    let places: UInt64Array =
        rows.iter().filter_map(|row| sorted.binary_search(row).ok()).map(|place| place as u64).collect();
    Ok(take_record_batch(&read, &places)?)
}
