//! One column's values as they flow by, whatever its type: nested types are accumulators inside accumulators.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::{filter, is_not_null},
    datatypes::DataType,
};

use super::{ColumnStatistics, FieldStatistics, leaf::Leaf, sizes::Sizes};

/// See the module.
#[derive(Debug)]
pub(super) enum Accumulator {
    Leaf(Box<Leaf>),
    List { nulls: u64, lengths: Sizes, elements: Box<Accumulator> },
    Struct { nulls: u64, fields: Vec<(String, Accumulator)> },
    Map { nulls: u64, lengths: Sizes, keys: Box<Accumulator>, values: Box<Accumulator> },
}

/// The values of an array that are not null.
fn valid(array: &dyn Array) -> ArrayRef {
    let whole = array.slice(0, array.len());
    if array.null_count() == 0 {
        return whole;
    }
    // Filtering by a mask of the same length cannot fail.
    is_not_null(array).and_then(|mask| filter(array, &mask)).unwrap_or(whole)
}

impl Accumulator {
    pub(super) fn new(kind: &DataType) -> Self {
        match kind {
            DataType::List(item) => {
                Self::List { nulls: 0, lengths: Sizes::default(), elements: Box::new(Self::new(item.data_type())) }
            }
            DataType::Struct(fields) => Self::Struct {
                nulls: 0,
                fields: fields.iter().map(|field| (field.name().clone(), Self::new(field.data_type()))).collect(),
            },
            DataType::Map(entries, _) => {
                let of = |at: usize| match entries.data_type() {
                    DataType::Struct(fields) => {
                        fields.get(at).map_or(DataType::Null, |field| field.data_type().clone())
                    }
                    _ => DataType::Null,
                };
                Self::Map {
                    nulls: 0,
                    lengths: Sizes::default(),
                    keys: Box::new(Self::new(&of(0))),
                    values: Box::new(Self::new(&of(1))),
                }
            }
            kind => Self::Leaf(Box::new(Leaf::new(kind))),
        }
    }

    /// Adds values.
    pub(super) fn add(&mut self, array: &dyn Array) {
        match self {
            Self::Leaf(leaf) => leaf.add(array),
            Self::List { nulls, .. } | Self::Struct { nulls, .. } | Self::Map { nulls, .. } => {
                *nulls += array.null_count() as u64;
                self.below(array, Sizes::add, Self::add);
            }
        }
    }

    /// Gets ready for the values to come again; false when there is no need.
    pub(super) fn prepare_again(&mut self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.prepare_again(),
            Self::List { lengths, elements, .. } => lengths.prepare_again() | elements.prepare_again(),
            Self::Struct { fields, .. } => fields.iter_mut().fold(false, |any, (_, field)| field.prepare_again() | any),
            Self::Map { lengths, keys, values, .. } => {
                lengths.prepare_again() | keys.prepare_again() | values.prepare_again()
            }
        }
    }

    /// Adds values the second time.
    pub(super) fn add_again(&mut self, array: &dyn Array) {
        match self {
            Self::Leaf(leaf) => leaf.add_again(array),
            _ => self.below(array, Sizes::add_again, Self::add_again),
        }
    }

    /// Nested values to the accumulators below.
    fn below(&mut self, array: &dyn Array, size: fn(&mut Sizes, usize), add: fn(&mut Self, &dyn Array)) {
        let array = valid(array);
        match self {
            Self::Leaf(_) => {}
            Self::List { lengths, elements, .. } => {
                let Some(list) = array.as_list_opt::<i32>() else { return };
                (0..list.len()).for_each(|at| size(lengths, list.value_length(at).max(0) as usize));
                let offsets = list.value_offsets();
                if let (Some(from), Some(to)) = (offsets.first(), offsets.last()) {
                    add(elements, &list.values().slice(*from as usize, (to - from).max(0) as usize));
                }
            }
            Self::Struct { fields, .. } => {
                let Some(array) = array.as_struct_opt() else { return };
                for ((_, field), column) in fields.iter_mut().zip(array.columns()) {
                    add(field, column);
                }
            }
            Self::Map { lengths, keys, values, .. } => {
                let Some(map) = array.as_map_opt() else { return };
                (0..map.len()).for_each(|at| size(lengths, map.value_length(at).max(0) as usize));
                let offsets = map.value_offsets();
                if let (Some(from), Some(to)) = (offsets.first(), offsets.last()) {
                    let (from, count) = (*from as usize, (to - from).max(0) as usize);
                    add(keys, &map.keys().slice(from, count));
                    add(values, &map.values().slice(from, count));
                }
            }
        }
    }

    /// What it comes to. `wide`: integers are told as text.
    pub(super) fn finish(self, wide: bool) -> ColumnStatistics {
        match self {
            Self::Leaf(leaf) => leaf.finish(wide),
            Self::List { nulls, lengths, elements } => ColumnStatistics {
                nulls: Some(nulls),
                lengths: lengths.finish("elements"),
                elements: Some(Box::new(elements.finish(false))),
                ..ColumnStatistics::default()
            },
            Self::Struct { nulls, fields } => ColumnStatistics {
                nulls: Some(nulls),
                fields: fields
                    .into_iter()
                    .map(|(name, field)| FieldStatistics { name, statistics: field.finish(false) })
                    .collect(),
                ..ColumnStatistics::default()
            },
            Self::Map { nulls, lengths, keys, values } => ColumnStatistics {
                nulls: Some(nulls),
                lengths: lengths.finish("entries"),
                keys: Some(Box::new(keys.finish(false))),
                values: Some(Box::new(values.finish(false))),
                ..ColumnStatistics::default()
            },
        }
    }
}
