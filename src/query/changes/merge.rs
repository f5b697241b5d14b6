//! Two sides in the order of one key, walked through together: who is on one side only came or went, who is on both and
//! looks different was changed.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, make_array},
    compute::{SortOptions, interleave},
    datatypes::{DataType, Field, Float32Type, Float64Type, SchemaRef},
    error::ArrowError,
    row::{OwnedRow, Row, RowConverter, Rows, SortField},
};
use futures::{StreamExt, stream::BoxStream};

use crate::query::QueryError;

/// Rows of one piece of the feed at most.
const ROWS: usize = 4096;
/// Batches held for one piece of the feed at most.
const HELD: usize = 8;

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Insert,
    Preimage,
    Postimage,
    Delete,
}

impl Kind {
    /// As Delta's change feed calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Preimage => "update_preimage",
            Self::Postimage => "update_postimage",
            Self::Delete => "delete",
        }
    }
}

/// Batches whose columns are those of the feed, then those of the key.
pub(super) type SideRows = BoxStream<'static, Result<RecordBatch, QueryError>>;

/// Which columns of a side's batches mean what.
pub(super) struct Layout {
    /// The table's own columns as the feed shows them: the first ones.
    pub(super) own: SchemaRef,
    /// The key's columns: those that follow.
    pub(super) key: Vec<Field>,
    /// Own columns that are compared.
    pub(super) compared: Vec<usize>,
    /// Own columns that are shown.
    pub(super) wanted: Vec<usize>,
}

/// Some changes.
pub(super) struct Merged {
    pub(super) kinds: Vec<Kind>,
    /// The columns shown, each with a value for every change.
    pub(super) values: Vec<ArrayRef>,
}

/// A comparison under way.
pub(super) struct Merge {
    layout: Layout,
    before: Cursor,
    after: Cursor,
    /// Whether rows of both sides may be paired at all.
    paired: bool,
    found: Found,
    /// A pair whose second half did not fit.
    ended: bool,
}

/// Changes found and not yet handed on.
#[derive(Default)]
struct Found {
    held: Vec<RecordBatch>,
    /// Batch held, and row in it.
    places: Vec<(usize, usize)>,
    kinds: Vec<Kind>,
}

struct Cursor {
    rows: SideRows,
    keys: RowConverter,
    values: Option<RowConverter>,
    own: usize,
    key_columns: usize,
    compared: Vec<usize>,
    loaded: Option<Loaded>,
    at: usize,
    ended: bool,
    /// Whether rows must come in the order of the key.
    ordered: bool,
    last: Option<OwnedRow>,
}

struct Loaded {
    batch: RecordBatch,
    keys: Rows,
    values: Option<Rows>,
    /// Its number among the batches held.
    held: Option<usize>,
}

impl Merge {
    pub(super) fn new(layout: Layout, before: SideRows, after: SideRows, paired: bool) -> Result<Self, QueryError> {
        Ok(Self {
            before: Cursor::new(&layout, before, paired)?,
            after: Cursor::new(&layout, after, paired)?,
            layout,
            paired,
            found: Found::default(),
            ended: false,
        })
    }

    /// The next changes; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Merged>, QueryError> {
        while !self.ended {
            if self.found.places.len() + 1 >= ROWS || self.found.held.len() + 1 >= HELD {
                break;
            }
            let (old, new) = (self.before.load().await?, self.after.load().await?);
            if !old && !new {
                self.ended = true;
                break;
            }
            self.walk();
        }
        if self.found.places.is_empty() {
            return Ok(None);
        }
        self.hand_on().map(Some)
    }

    /// Goes on until one side needs another batch or enough is found.
    fn walk(&mut self) {
        while self.found.places.len() + 1 < ROWS {
            let order = match (self.before.key(), self.after.key()) {
                (Some(old), Some(new)) if self.paired => old.cmp(&new),
                // Without a common key all of the old goes first.
                (Some(_), _) if !self.paired => Ordering::Less,
                (Some(_), None) if self.after.ended => Ordering::Less,
                (None, Some(_)) if self.before.ended => Ordering::Greater,
                _ => return,
            };
            match order {
                Ordering::Less => {
                    self.found.add(&mut self.before, Kind::Delete);
                    self.before.at += 1;
                }
                Ordering::Greater => {
                    self.found.add(&mut self.after, Kind::Insert);
                    self.after.at += 1;
                }
                Ordering::Equal => {
                    if self.before.value() != self.after.value() {
                        self.found.add(&mut self.before, Kind::Preimage);
                        self.found.add(&mut self.after, Kind::Postimage);
                    }
                    self.before.at += 1;
                    self.after.at += 1;
                }
            }
        }
    }

    fn hand_on(&mut self) -> Result<Merged, QueryError> {
        let Found { held, places, kinds } = std::mem::take(&mut self.found);
        self.before.forget();
        self.after.forget();
        let column = |at: &usize| {
            let arrays: Vec<&dyn Array> = held.iter().map(|batch| batch.column(*at).as_ref()).collect();
            interleave(&arrays, &places)
        };
        let values = self.layout.wanted.iter().map(column).collect::<Result<_, _>>()?;
        Ok(Merged { kinds, values })
    }
}

impl Found {
    fn add(&mut self, cursor: &mut Cursor, kind: Kind) {
        let at = cursor.at;
        let Some(loaded) = &mut cursor.loaded else { return };
        let held = *loaded.held.get_or_insert_with(|| {
            self.held.push(loaded.batch.clone());
            self.held.len() - 1
        });
        self.places.push((held, at));
        self.kinds.push(kind);
    }
}

impl Cursor {
    fn new(layout: &Layout, rows: SideRows, ordered: bool) -> Result<Self, QueryError> {
        let ascending = SortOptions { descending: false, nulls_first: false };
        let field = |field: &Field| SortField::new_with_options(field.data_type().clone(), ascending);
        let keys = RowConverter::new(layout.key.iter().map(field).collect())?;
        let compared: Vec<SortField> = layout.compared.iter().map(|at| field(layout.own.field(*at))).collect();
        let values = if compared.is_empty() { None } else { Some(RowConverter::new(compared)?) };
        Ok(Self {
            rows,
            keys,
            values,
            own: layout.own.fields().len(),
            key_columns: layout.key.len(),
            compared: layout.compared.clone(),
            loaded: None,
            at: 0,
            ended: false,
            ordered,
            last: None,
        })
    }

    /// A wrong order would make a wrong feed: better none.
    fn check_order(&mut self, keys: &Rows) -> Result<(), QueryError> {
        if !self.ordered || keys.num_rows() == 0 {
            return Ok(());
        }
        let follows = self.last.as_ref().is_none_or(|last| last.row() <= keys.row(0));
        if !follows || keys.iter().zip(keys.iter().skip(1)).any(|(row, next)| row > next) {
            let what = "the files of a table are not in the order that its snapshot says";
            return Err(ArrowError::InvalidArgumentError(what.into()).into());
        }
        self.last = Some(keys.row(keys.num_rows() - 1).owned());
        Ok(())
    }

    /// Makes the next row ready; false at the end.
    async fn load(&mut self) -> Result<bool, QueryError> {
        while !self.ended && self.loaded.as_ref().is_none_or(|loaded| self.at >= loaded.batch.num_rows()) {
            self.loaded = None;
            self.at = 0;
            let Some(batch) = self.rows.next().await.transpose()? else {
                self.ended = true;
                break;
            };
            let keys: Vec<ArrayRef> = batch.columns().iter().skip(self.own).take(self.key_columns).cloned().collect();
            let keys = self.keys.convert_columns(&keys)?;
            self.check_order(&keys)?;
            let values: Vec<ArrayRef> = self.compared.iter().map(|at| canonical(batch.column(*at))).collect();
            let values = self.values.as_ref().map(|converter| converter.convert_columns(&values)).transpose()?;
            self.loaded = Some(Loaded { batch, keys, values, held: None });
        }
        Ok(!self.ended)
    }

    fn key(&self) -> Option<Row<'_>> {
        let loaded = self.loaded.as_ref()?;
        (self.at < loaded.batch.num_rows()).then(|| loaded.keys.row(self.at))
    }

    fn value(&self) -> Option<Row<'_>> {
        let loaded = self.loaded.as_ref()?;
        (self.at < loaded.batch.num_rows()).then(|| loaded.values.as_ref().map(|values| values.row(self.at)))?
    }

    fn forget(&mut self) {
        if let Some(loaded) = &mut self.loaded {
            loaded.held = None;
        }
    }
}

/// The same values with one NaN only and no negative zero: what reads alike compares alike.
fn canonical(array: &ArrayRef) -> ArrayRef {
    fn one32(value: f32) -> f32 {
        if value.is_nan() { f32::NAN } else { value + 0.0 }
    }
    fn one64(value: f64) -> f64 {
        if value.is_nan() { f64::NAN } else { value + 0.0 }
    }
    match array.data_type() {
        DataType::Float32 => Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(one32)),
        DataType::Float64 => Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(one64)),
        kind if has_float(kind) => {
            let data = array.to_data();
            let children =
                data.child_data().iter().map(|child| canonical(&make_array(child.clone())).to_data()).collect();
            // Only values changed, so the data stays valid; should it not be, it is compared as it is.
            data.clone().into_builder().child_data(children).build().map_or_else(|_| Arc::clone(array), make_array)
        }
        _ => Arc::clone(array),
    }
}

fn has_float(kind: &DataType) -> bool {
    match kind {
        DataType::Float32 | DataType::Float64 => true,
        DataType::List(item) | DataType::Map(item, _) => has_float(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_float(field.data_type())),
        _ => false,
    }
}
