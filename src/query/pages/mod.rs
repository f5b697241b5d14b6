//! Rows of a file by their numbers, straight from its pages: our own lean reader for the Parquet that we write.
//!
//! Owns which pages hold which rows, what of a page is decoded, and what of it is kept. A slice of 100 rows decodes 100
//! rows of each column, not its pages, and sets nothing up per column. It knows nothing of tables, predicates or order.
//! Columns of a form it does not read ([`shape`]) come from the `parquet` crate, with the same result.
//!
//! The way of a read: row ranges → pages of each column's chunks (`plan`) → one read per stretch of pages that are not
//! kept ([`cache`]) → decompressed ([`page`]) → the wanted values ([`values`], [`hybrid`]) → arrays ([`mod@column`]).

mod bloom;
mod cache;
mod column;
mod header;
mod hybrid;
mod page;
mod plan;
mod shape;
#[cfg(test)]
mod tests;
mod values;

use std::{ops::Range, panic::AssertUnwindSafe, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    compute::{cast, concat_batches},
    datatypes::SchemaRef,
};
use futures::{FutureExt, StreamExt, TryStreamExt, stream::BoxStream};
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask, arrow_reader::RowSelection},
    errors::ParquetError,
};

pub use self::cache::PageCounts;
pub(super) use self::{bloom::OneOf, cache::PageCache, shape::Layout};
use self::{plan::Plan, shape::FileColumn};
use super::reader::{FileReader, Footer, Footers};

/// These rows of a file: ranges of row numbers in order, none twice. The batch has exactly the columns wanted, in that
/// order and type; a column the file lacks is null. Decodes on the calling thread.
///
/// # Errors
/// When the bytes cannot be read, are not what was written, or are more than the budget allows.
pub(super) async fn read(
    reader: &FileReader,
    footers: &Footers,
    footer: &Footer,
    wanted: &SchemaRef,
    rows: &[Range<u64>],
) -> Result<RecordBatch, ParquetError> {
    let total = rows.iter().map(|range| range.end.saturating_sub(range.start)).sum::<u64>();
    let total = usize::try_from(total).map_err(|_| page::damaged("more rows than memory has room for"))?;
    let file = footer.metadata.schema();
    let places: Vec<Option<usize>> = wanted.fields().iter().map(|field| file.index_of(field.name()).ok()).collect();

    let mut fetch = Vec::new();
    let mut plans: Vec<Option<Plan<'_>>> = Vec::with_capacity(places.len());
    let mut foreign = Vec::new();
    for place in &places {
        plans.push(match place.and_then(|place| Some((place, footer.layout.columns.get(place)?))) {
            Some((_, FileColumn::Native(leaf))) => Some(Plan::new(footer, leaf, rows, &footers.pages, &mut fetch)?),
            Some((place, FileColumn::Foreign)) => {
                foreign.push(place);
                None
            }
            None => None,
        });
    }
    let stored = reader.pieces(&fetch).await?;
    let others = match foreign.as_slice() {
        [] => None,
        foreign => {
            // The crate panics on some damaged bytes.
            let read = AssertUnwindSafe(by_crate(reader, footer, foreign, rows)).catch_unwind().await;
            Some(read.unwrap_or_else(|_| Err(page::damaged("the pages of a nested column are damaged")))?)
        }
    };

    let mut columns = Vec::with_capacity(plans.len());
    for (field, plan) in wanted.fields().iter().zip(plans) {
        let other = || others.as_ref()?.column_by_name(field.name()).cloned();
        let column = match plan {
            Some(plan) => plan.decode(total, &footers.pages, &stored)?,
            None => other().unwrap_or_else(|| new_null_array(field.data_type(), total)),
        };
        let same = column.data_type() == field.data_type();
        columns.push(if same { column } else { cast(&column, field.data_type())? });
    }
    batch(wanted, columns, total)
}

/// A stretch of a file's rows, batch by batch.
pub(super) fn stream(
    reader: FileReader,
    footers: Arc<Footers>,
    footer: Arc<Footer>,
    wanted: SchemaRef,
    rows: Range<u64>,
    batch_rows: usize,
) -> BoxStream<'static, Result<RecordBatch, ParquetError>> {
    let step = (batch_rows as u64).max(1);
    futures::stream::try_unfold(rows, move |rows| {
        let (reader, footers, footer, wanted) = (reader.clone(), footers.clone(), footer.clone(), wanted.clone());
        async move {
            if rows.is_empty() {
                return Ok(None);
            }
            let end = rows.end.min(rows.start.saturating_add(step));
            let batch = read(&reader, &footers, &footer, &wanted, std::slice::from_ref(&(rows.start..end))).await?;
            Ok(Some((batch, end..rows.end)))
        }
    })
    .boxed()
}

/// A batch, also one without columns.
pub(super) fn batch(wanted: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ParquetError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options)?)
}

/// The columns that are not read here.
async fn by_crate(
    reader: &FileReader,
    footer: &Footer,
    roots: &[usize],
    rows: &[Range<u64>],
) -> Result<RecordBatch, ParquetError> {
    let metadata = &footer.metadata;
    let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
    let all = usize::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(usize::MAX);
    let ranges = rows.iter().map(|range| range.start as usize..range.end as usize);
    let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(reader.clone(), metadata.clone())
        .with_projection(mask)
        .with_row_selection(RowSelection::from_consecutive_ranges(ranges, all))
        .build()?;
    let schema = Arc::clone(stream.schema());
    let batches = stream.try_collect::<Vec<_>>().await?;
    Ok(concat_batches(&schema, &batches)?)
}
