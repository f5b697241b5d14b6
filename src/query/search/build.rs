//! Making an index: all rows of a table through a writer with a small heap, then one segment whose documents lie in the
//! order of the rows, so that of two rows that match alike the earlier one comes first.

use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use tantivy::{
    Index, IndexWriter, TantivyDocument,
    index::{SegmentId, SegmentReader},
    indexer::NoMergePolicy,
    schema::Field,
};

use super::{ROW, broken, fields, words};
use crate::{
    config::ScanCaps,
    query::{QueryError, Slice, SliceRequest, progress::Progress, scan::Scan, table::TableSource},
};

/// Memory of the writer; what it cannot hold it writes as a segment.
const HEAP: usize = 64 << 20;

/// Makes an index of these columns in an empty folder. Progress is counted in rows; the end, when segments become one, is
/// told as a third of them.
///
/// # Errors
/// When a file cannot be read, or the folder not be written.
pub(super) async fn build(
    source: &TableSource,
    columns: &[usize],
    folder: &Path,
    progress: &Progress,
) -> Result<(), QueryError> {
    let source = TableSource { caps: ScanCaps::none(), ..source.clone() };
    let rows = source.table.rows();
    progress.set_total(rows);
    let told = |added: u64| added - added / 3;
    let (schema, texts, row) = fields(columns.len());
    let mut index = Index::create_in_dir(folder, schema).map_err(broken)?;
    index.set_tokenizers(words::manager());
    let mut writer: IndexWriter = index.writer_with_num_threads(1, HEAP).map_err(broken)?;
    writer.set_merge_policy(Box::new(NoMergePolicy));
    let mut slice = Slice::new(&SliceRequest::default(), &source.table.schema)?;
    slice.columns = columns.to_vec();
    let mut scan = Scan::new(source, slice).batches();
    let runtime = tokio::runtime::Handle::current();
    let mut next = 0_u64;
    loop {
        let (runtime, texts) = (runtime.clone(), texts.clone());
        // In steps, so that a server that ends does not wait for an index.
        let step = tokio::task::spawn_blocking(move || {
            let batch = runtime.block_on(scan.next())?;
            if let Some(batch) = &batch {
                add(&writer, batch, &texts, row, next)?;
            }
            Ok::<_, QueryError>((scan, writer, batch.map(|batch| batch.num_rows() as u64)))
        });
        let added;
        (scan, writer, added) = step.await.map_err(|error| QueryError::Cut(error.to_string()))??;
        let Some(added) = added else { break };
        progress.advance(told(next + added) - told(next));
        next += added;
    }
    let writer = join(index, writer).await?;
    let folder = folder.to_owned();
    let step = tokio::task::spawn_blocking(move || {
        writer.garbage_collect_files().wait().map_err(broken)?;
        writer.wait_merging_threads().map_err(broken)?;
        remove_locks(&folder).map_err(broken)
    });
    step.await.map_err(|error| QueryError::Cut(error.to_string()))??;
    progress.advance(rows / 3);
    Ok(())
}

/// Writes what is held, and makes all segments one, in the order of the rows.
pub(super) async fn join(index: Index, mut writer: IndexWriter) -> Result<IndexWriter, QueryError> {
    let step = tokio::task::spawn_blocking(move || {
        writer.commit()?;
        let order = in_order(&index)?;
        Ok::<_, tantivy::TantivyError>((writer, order))
    });
    let (mut writer, order) = step.await.map_err(|error| QueryError::Cut(error.to_string()))?.map_err(broken)?;
    if order.len() > 1 {
        // On a thread of the writer's own.
        writer.merge(&order).await.map_err(broken)?;
    }
    Ok(writer)
}

/// The segments by the rows they begin with.
fn in_order(index: &Index) -> tantivy::Result<Vec<SegmentId>> {
    let mut segments = Vec::new();
    for segment in index.searchable_segments()? {
        let reader = SegmentReader::open(&segment)?;
        let first = reader.fast_fields().u64(ROW)?.first(0);
        segments.push((first, segment.id()));
    }
    segments.sort_unstable_by_key(|(first, _)| *first);
    Ok(segments.into_iter().map(|(_, id)| id).collect())
}

/// Files that only say that a writer is at work.
fn remove_locks(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".lock") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Adds the rows of a batch that have any text; the first has this number.
fn add(
    writer: &IndexWriter,
    batch: &RecordBatch,
    fields: &[Field],
    row_field: Field,
    first: u64,
) -> Result<(), QueryError> {
    for row in 0..batch.num_rows() {
        let mut document = TantivyDocument::new();
        for (field, column) in fields.iter().zip(batch.columns()) {
            texts(column, row, &mut |text| document.add_text(*field, text));
        }
        if document.len() > 0 {
            document.add_u64(row_field, first + row as u64);
            writer.add_document(document).map_err(broken)?;
        }
    }
    Ok(())
}

/// All texts inside a value.
fn texts(array: &dyn Array, row: usize, each: &mut dyn FnMut(&str)) {
    if array.is_null(row) {
        return;
    }
    match array.data_type() {
        DataType::Utf8 => {
            if let Some(texts) = array.as_string_opt::<i32>() {
                each(texts.value(row));
            }
        }
        DataType::List(_) => {
            if let Some(lists) = array.as_list_opt::<i32>() {
                let items = lists.value(row);
                (0..items.len()).for_each(|at| texts(&items, at, each));
            }
        }
        DataType::Struct(_) => {
            if let Some(structs) = array.as_struct_opt() {
                structs.columns().iter().for_each(|column| texts(column, row, each));
            }
        }
        DataType::Map(..) => {
            if let Some(maps) = array.as_map_opt() {
                let entries = maps.value(row);
                (0..entries.len()).for_each(|at| texts(&entries, at, each));
            }
        }
        _ => {}
    }
}
