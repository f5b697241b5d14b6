//! Which columns of a file are read here, and how: flat ones and lists of values. Structs, maps, lists of lists, and
//! whatever another writer made of a file, are left to the `parquet` crate.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use parquet::{
    arrow::arrow_reader::ArrowReaderMetadata,
    basic::{Compression, Encoding, Type},
};

/// How values lie in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bit each.
    Boolean,
    /// So many bytes each.
    Fixed(usize),
    /// Each its own length.
    Bytes,
}

/// A column with one leaf that is read here.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// The leaf's position in the file.
    pub(super) at: usize,
    pub(super) kind: Kind,
    /// Type of the values.
    pub(super) values: DataType,
    /// The highest definition and repetition level.
    pub(super) most_defined: u8,
    pub(super) most_repeated: u8,
    /// For lists their item, and the level at which a list is there but empty.
    pub(super) list: Option<(FieldRef, u8)>,
}

/// A top-level column of a file.
#[derive(Debug, Clone)]
pub(super) enum FileColumn {
    Native(Leaf),
    Foreign,
}

/// What is worked out once of a file.
#[derive(Debug)]
pub(in crate::query) struct Layout {
    /// Tells files apart in the cache of pages.
    pub(super) id: u64,
    /// The first row of each row group, and the number of all rows.
    pub(super) starts: Vec<u64>,
    /// Its top-level columns, in its order.
    pub(super) columns: Vec<FileColumn>,
}

/// Counts files, so that pages of two never get mixed up.
static FILES: AtomicU64 = AtomicU64::new(0);

impl Layout {
    pub(in crate::query) fn new(metadata: &ArrowReaderMetadata) -> Self {
        let mut starts = vec![0];
        let mut next = 0_u64;
        for group in metadata.metadata().row_groups() {
            next = next.saturating_add(u64::try_from(group.num_rows()).unwrap_or(0));
            starts.push(next);
        }
        Self { id: FILES.fetch_add(1, Ordering::Relaxed), starts, columns: columns(metadata) }
    }

    /// The first row of each row group, and the number of all rows.
    pub(in crate::query) fn starts(&self) -> &[u64] {
        &self.starts
    }
}

fn columns(metadata: &ArrowReaderMetadata) -> Vec<FileColumn> {
    let descriptor = metadata.parquet_schema();
    let mut leaves: Vec<Vec<usize>> = vec![Vec::new(); metadata.schema().fields().len()];
    for leaf in 0..descriptor.num_columns() {
        if let Some(of_root) = leaves.get_mut(descriptor.get_column_root_idx(leaf)) {
            of_root.push(leaf);
        }
    }
    let fields = metadata.schema().fields().iter();
    fields
        .zip(leaves)
        .map(|(field, leaves)| match leaves.as_slice() {
            [leaf] => native(metadata, field, *leaf).map_or(FileColumn::Foreign, FileColumn::Native),
            _ => FileColumn::Foreign,
        })
        .collect()
}

fn native(metadata: &ArrowReaderMetadata, field: &FieldRef, at: usize) -> Option<Leaf> {
    let column = metadata.parquet_schema().column(at);
    let (values, list) = match field.data_type() {
        DataType::List(item) => (item.data_type().clone(), Some((item.clone(), u8::from(field.is_nullable())))),
        kind => (kind.clone(), None),
    };
    let physical = column.physical_type();
    let kind = match (&values, physical) {
        (DataType::Boolean, Type::BOOLEAN) => Kind::Boolean,
        (DataType::Int32 | DataType::Date32, Type::INT32) | (DataType::Float32, Type::FLOAT) => Kind::Fixed(4),
        (DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _), Type::INT64)
        | (DataType::Float64, Type::DOUBLE) => Kind::Fixed(8),
        (DataType::Utf8 | DataType::Binary, Type::BYTE_ARRAY) => Kind::Bytes,
        (DataType::Decimal128(..), Type::INT32) => Kind::Fixed(4),
        (DataType::Decimal128(..), Type::INT64) => Kind::Fixed(8),
        (DataType::Decimal128(..), Type::FIXED_LEN_BYTE_ARRAY) => {
            Kind::Fixed(usize::try_from(column.type_length()).ok().filter(|width| (1..=16).contains(width))?)
        }
        _ => return None,
    };
    // Nullable column, list, nullable item: one level each, and nothing else may be in between.
    let levels = u8::from(field.is_nullable())
        + list.as_ref().map_or(0, |(item, _): &(FieldRef, u8)| 1 + u8::from(item.is_nullable()));
    let most_defined = u8::try_from(column.max_def_level()).ok()?;
    let most_repeated = u8::try_from(column.max_rep_level()).ok()?;
    (most_defined == levels && most_repeated == u8::from(list.is_some())).then_some(())?;
    is_ours(metadata, at).then_some(())?;
    Some(Leaf { at, kind, values, most_defined, most_repeated, list })
}

/// Whether all chunks of a leaf have a page index and nothing that is not decoded here.
fn is_ours(metadata: &ArrowReaderMetadata, leaf: usize) -> bool {
    let parquet = metadata.metadata();
    let Some(index) = parquet.offset_index() else { return parquet.row_groups().is_empty() };
    parquet.row_groups().iter().enumerate().all(|(group, rows)| {
        let (Some(chunk), Some(pages)) =
            (rows.columns().get(leaf), index.get(group).and_then(|leaves| leaves.get(leaf)))
        else {
            return false;
        };
        let encodings = chunk.encodings().all(|encoding| {
            matches!(encoding, Encoding::PLAIN | Encoding::RLE | Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY)
        });
        let begins = pages.page_locations().first().is_some_and(|page| page.first_row_index == 0);
        encodings
            && matches!(chunk.compression(), Compression::ZSTD(_) | Compression::UNCOMPRESSED)
            && (begins || rows.num_rows() == 0)
    })
}
