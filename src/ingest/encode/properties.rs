//! How each column is written: compression, page sizes, dictionaries, bloom filters, statistics.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::DataType,
    row::{RowConverter, SortField},
};
use parquet::{
    basic::{Compression, ZstdLevel},
    file::{
        metadata::{KeyValue, SortingColumn},
        properties::{BloomFilterPosition, EnabledStatistics, WriterProperties},
    },
    schema::types::SchemaDescriptor,
};

use super::spill::memory_of;
use crate::{
    catalog::{ColumnType, TableSchema},
    config::EncodeSettings,
    ingest::Failure,
};

/// A dictionary larger than this costs a slice more than it saves: it is read whole, for a page of 1 000 rows.
const DICTIONARY_BYTES: usize = 16 << 10;
/// Values looked at to see whether a dictionary pays.
const SAMPLE: usize = 50_000;
/// Share of look-ups for values that are not there which a bloom filter lets through.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;
/// Bytes of a bound kept in statistics.
const BOUND_BYTES: usize = 64;

/// Rows handed to a column writer at once. It ends a page only between two such steps, so that a page has at most
/// [`EncodeSettings::page_rows`] rows wherever byte limits made it begin.
pub(super) fn step(settings: &EncodeSettings) -> usize {
    (settings.page_rows / 4).max(1)
}

/// Writer properties for a file that begins with `first`.
pub(super) fn properties(
    table: &TableSchema,
    sorted_by: &[usize],
    metadata: &[(String, String)],
    settings: &EncodeSettings,
    descriptor: &SchemaDescriptor,
    first: &[RecordBatch],
) -> Result<WriterProperties, Failure> {
    let step = step(settings);
    let zstd = ZstdLevel::try_new(3).map_err(|error| Failure::internal(error.to_string()))?;
    let key_values = metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(zstd))
        .set_created_by(concat!("openshelf version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(key_values))
        .set_write_batch_size(step)
        .set_data_page_row_count_limit((settings.page_rows.max(1) + 1).saturating_sub(step).max(1))
        // Row groups are ended by us.
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(BOUND_BYTES))
        .set_column_index_truncate_length(Some(BOUND_BYTES))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        // Beside the footer, where one read gets them all.
        .set_bloom_filter_position(BloomFilterPosition::End);
    let leaf_of = |top: usize| (0..descriptor.num_columns()).find(|leaf| descriptor.get_column_root_idx(*leaf) == top);
    let sorting: Option<Vec<SortingColumn>> = sorted_by
        .iter()
        .map(|top| {
            let column_idx = leaf_of(*top)? as i32;
            Some(SortingColumn { column_idx, descending: false, nulls_first: false })
        })
        .collect();
    builder = builder.set_sorting_columns(sorting.filter(|columns| !columns.is_empty()));

    let mut leaf = 0;
    for (top, column) in table.columns.iter().enumerate() {
        let arrays: Vec<ArrayRef> = first.iter().filter_map(|batch| batch.columns().get(top).cloned()).collect();
        for pays in dictionary_pays(&arrays) {
            if leaf < descriptor.num_columns() && descriptor.get_column_root_idx(leaf) == top {
                let path = descriptor.column(leaf).path().clone();
                builder = builder.set_column_dictionary_enabled(path, pays);
                leaf += 1;
            }
        }
        while leaf < descriptor.num_columns() && descriptor.get_column_root_idx(leaf) == top {
            leaf += 1;
        }
        if column.bloom
            && !column.kind.is_nested()
            && column.kind != ColumnType::Bool
            && let Some(leaf) = leaf_of(top)
        {
            let path = descriptor.column(leaf).path().clone();
            // It begins with room for a row group of distinct values and is folded to what those there need.
            builder = builder
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_POSITIVES)
                .set_column_bloom_filter_max_ndv(path, most_rows(first, settings));
        }
    }
    Ok(builder.build())
}

/// Rows that a row group may come to hold, by the size of the first ones; rather too many, since a filter that has room
/// for more is folded, and one that has not lets more through.
fn most_rows(first: &[RecordBatch], settings: &EncodeSettings) -> u64 {
    let rows: usize = first.iter().map(RecordBatch::num_rows).sum();
    let bytes: usize = first.iter().map(memory_of).sum();
    let each = (bytes / rows.max(1)).max(1);
    (2 * settings.row_group_bytes / each).clamp(1, settings.row_group_rows.max(1)) as u64
}

/// For each leaf of a column, in order: whether a dictionary would stay small and be used more than once a value.
fn dictionary_pays(arrays: &[ArrayRef]) -> Vec<bool> {
    let mut leaves: Vec<Vec<ArrayRef>> = Vec::new();
    for array in arrays {
        let mut found = Vec::new();
        collect_leaves(array, &mut found);
        leaves.resize(found.len().max(leaves.len()), Vec::new());
        for (leaf, array) in leaves.iter_mut().zip(found) {
            leaf.push(array);
        }
    }
    leaves.iter().map(|arrays| leaf_pays(arrays)).collect()
}

fn collect_leaves(array: &ArrayRef, leaves: &mut Vec<ArrayRef>) {
    match array.data_type() {
        DataType::List(_) => collect_leaves(array.as_list::<i32>().values(), leaves),
        DataType::Struct(_) => array.as_struct().columns().iter().for_each(|child| collect_leaves(child, leaves)),
        DataType::Map(_, _) => {
            array.as_map().entries().columns().iter().for_each(|child| collect_leaves(child, leaves));
        }
        _ => leaves.push(Arc::clone(array)),
    }
}

fn leaf_pays(arrays: &[ArrayRef]) -> bool {
    let Some(kind) = arrays.first().map(|array| array.data_type().clone()) else { return true };
    let Ok(converter) = RowConverter::new(vec![SortField::new(kind)]) else { return true };
    let hasher = std::hash::RandomState::new();
    let (mut distinct, mut values, mut bytes) = (HashSet::new(), 0_usize, 0_usize);
    for array in arrays {
        let array = array.slice(0, array.len().min(SAMPLE - values));
        let nulls = array.null_count();
        let Ok(rows) = converter.convert_columns(&[array]) else { return true };
        for row in &rows {
            if distinct.insert(std::hash::BuildHasher::hash_one(&hasher, row.data())) {
                bytes += row.data().len();
                if bytes > DICTIONARY_BYTES {
                    return false;
                }
            }
        }
        values += rows.num_rows();
        if values >= SAMPLE {
            break;
        }
        // Nulls take no room in a dictionary, and none beside it.
        if nulls == rows.num_rows() {
            values = values.saturating_sub(nulls);
        }
    }
    distinct.len() * 2 <= values.max(2)
}
