//! Rows by their physical numbers: what an order, a sample or a search found is read here, and only here.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, UInt64Array},
    compute::{concat_batches, take_record_batch},
};
use futures::TryStreamExt;
use parquet::arrow::{
    ParquetRecordBatchStreamBuilder,
    arrow_reader::{RowSelection, RowSelector},
};

use super::{
    QueryError,
    budget::Budget,
    reader::FileReader,
    scan::{adapt, mask},
    table::TableSource,
};

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
        let mut reader = FileReader::new(&source.store, data, budget);
        let metadata = source.footers.of(&mut reader).await?;
        let failed = |error| QueryError::File { file: data.key.clone(), source: error };
        let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata.clone())
            .with_projection(mask(&metadata, &output))
            .with_row_selection(selection(here, start))
            .build()
            .map_err(failed)?;
        for batch in stream.try_collect::<Vec<_>>().await.map_err(failed)? {
            batches.push(adapt(&batch, &output)?);
        }
    }
    let read = concat_batches(&output, &batches)?;
    let places: UInt64Array =
        rows.iter().filter_map(|row| sorted.binary_search(row).ok()).map(|place| place as u64).collect();
    Ok(take_record_batch(&read, &places)?)
}

/// Selects sorted rows of a file that begins at row `start`.
fn selection(rows: &[u64], start: u64) -> RowSelection {
    let mut selectors = Vec::new();
    let mut next = start;
    for row in rows {
        if *row > next {
            selectors.push(RowSelector::skip((*row - next) as usize));
        }
        selectors.push(RowSelector::select(1));
        next = row + 1;
    }
    RowSelection::from(selectors)
}
