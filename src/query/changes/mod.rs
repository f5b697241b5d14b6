//! What changed between two snapshots of a table, as rows: Delta's change feed, worked out when it is asked for.
//!
//! The feed goes version by version. For each it compares a snapshot with the one before it, and of both only the files
//! that the other does not have: a row that only moved from one file to another is no change. Both sides are put in the
//! order of the primary key (`read`: merged where the files are sorted by it already, else sorted with spills to disk)
//! and walked through side by side (`merge`), so that memory is bounded by batches.
//!
//! What is compared: the columns of the newest snapshot asked for that both sides have, as that snapshot types them; NaN
//! equals NaN, null equals null, nested values count. Rows whose primary key is not unique are paired in their order.

mod merge;
mod read;

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use futures::stream;

use self::{
    merge::{Kind, Merge},
    read::Side,
};
use super::{QueryError, Slice, SliceError, batches::Batches, budget::Budget, engine::Sorting, footer::Footers};
use crate::{
    catalog::{Column, ColumnType, DataFile, TableSchema},
    config::ScanCaps,
    store::Store,
};

/// The column that says what happened to a row.
pub const CHANGE_TYPE: &str = "_change_type";
/// The column that says in which snapshot it happened.
pub const COMMIT_VERSION: &str = "_commit_version";

/// A table as one snapshot has it.
#[derive(Debug, Clone)]
pub struct State {
    /// Its files, in row order.
    pub files: Arc<Vec<DataFile>>,
    /// Its columns.
    pub schema: TableSchema,
    /// Column names whose values are unique together; none, and nothing can be paired.
    pub primary_key: Vec<String>,
    /// Column names the rows of a part are sorted by.
    pub sort_key: Vec<String>,
}

/// What one snapshot made of the one before it.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number.
    pub snapshot: u64,
    /// The table before; `None` when there was none.
    pub before: Option<State>,
    /// The table in this snapshot.
    pub after: Option<State>,
}

impl Step {
    /// Files of each side that the other does not have, in row order.
    fn differing(&self) -> (Vec<DataFile>, Vec<DataFile>) {
        let files = |state: &Option<State>| state.as_ref().map(|state| Arc::clone(&state.files)).unwrap_or_default();
        let (before, after) = (files(&self.before), files(&self.after));
        let (came, went) = difference(&before, &after);
        (went.into_iter().cloned().collect(), came.into_iter().cloned().collect())
    }

    /// Bytes of the files that a comparison reads.
    fn bytes(&self) -> u64 {
        let (before, after) = self.differing();
        before.iter().chain(&after).map(|file| file.bytes).sum()
    }
}

/// Files that came, and files that went, in row order.
pub fn difference<'a>(before: &'a [DataFile], after: &'a [DataFile]) -> (Vec<&'a DataFile>, Vec<&'a DataFile>) {
    let missing_in = |these: &'a [DataFile], those: &[DataFile]| -> Vec<&'a DataFile> {
        let known: HashSet<&str> = those.iter().map(|file| file.key.as_str()).collect();
        these.iter().filter(|file| !known.contains(file.key.as_str())).collect()
    };
    (missing_in(after, before), missing_in(before, after))
}

/// The columns of a feed: those of the table (one that has the name of ours is left out), then ours.
pub fn schema(table: &TableSchema) -> TableSchema {
    let ours = [
        Column {
            nullable: false,
            description: "insert, update_preimage, update_postimage or delete.".into(),
            ..Column::new(CHANGE_TYPE, ColumnType::Utf8)
        },
        Column {
            nullable: false,
            description: "The snapshot in which it happened.".into(),
            ..Column::new(COMMIT_VERSION, ColumnType::Int64)
        },
    ];
    let own = table.columns.iter().filter(|column| ![CHANGE_TYPE, COMMIT_VERSION].contains(&column.name.as_str()));
    // Any column may be null in a row of an older snapshot, which may not have had it.
    let own = own.map(|column| Column { nullable: true, ..column.clone() });
    TableSchema { columns: own.chain(ours).collect() }
}

/// Numbers of changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that came.
    pub added: u64,
    /// Rows that went.
    pub removed: u64,
    /// Rows whose values are others now.
    pub changed: u64,
    /// Rows of the feed that tell of them.
    pub rows: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            added: self.added + more.added,
            removed: self.removed + more.removed,
            changed: self.changed + more.changed,
            rows: self.rows + more.rows,
        }
    }
}

/// A feed, ready to be read.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The store.
    pub store: Store,
    /// Shared cache of footers.
    pub footers: Arc<Footers>,
    /// What it may take.
    pub caps: ScanCaps,
    /// Its steps, oldest first.
    pub steps: Vec<Step>,
    /// The columns of its rows: [`schema`] of the newest snapshot's table.
    pub schema: TableSchema,
}

impl Changes {
    /// Whether every step can pair rows.
    pub fn is_keyed(&self) -> bool {
        self.steps
            .iter()
            .filter_map(|step| step.after.as_ref().or(step.before.as_ref()))
            .all(|s| !s.primary_key.is_empty())
    }

    /// Whether any rows have to be sorted for it, and not only merged.
    pub fn sorts(&self) -> bool {
        let slice = Slice { columns: Vec::new(), predicate: None, offset: 0, limit: None };
        let feed = Feed::new(self.clone(), &slice, None, Budget::new(self.caps));
        let sides = feed.steps.iter().filter_map(|step| feed.sides(step));
        sides.into_iter().any(|sides| sides.before.sorts() || sides.after.sorts())
    }

    fn budget(&self) -> Result<Budget, QueryError> {
        let budget = Budget::new(self.caps);
        // Known beforehand: a feed that will not be whole is better refused than begun.
        let bytes: u64 = self.steps.iter().map(Step::bytes).fold(0, u64::saturating_add);
        if bytes > budget.most_bytes() {
            return Err(budget.is_too_much().into());
        }
        budget.was_reckoned();
        Ok(budget)
    }

    /// The rows of the feed: by version, then by primary key; an update's preimage comes right before its postimage.
    /// `slice` is one of [`Self::schema`]; what has to be sorted is sorted in `sorting`.
    ///
    /// # Errors
    /// When it takes more than one answer may. Failures to read come with the batches.
    pub fn rows(self, slice: Slice, sorting: Sorting) -> Result<Batches, QueryError> {
        let budget = self.budget()?;
        let arrow = self.schema.to_arrow();
        let output = Arc::new(arrow.project(&slice.columns)?);
        let feed = Feed::new(self, &slice, Some(sorting), budget.clone());
        let cut = Cut { feed, output: Arc::clone(&output), skip: slice.offset, left: slice.limit, slice, arrow };
        let rows = stream::try_unfold(cut, |mut cut| async move {
            let batch = cut.next().await?;
            Ok::<_, QueryError>(batch.map(|batch| (batch, cut)))
        });
        Ok(Batches::new(output, budget, rows))
    }

    /// How many changes there are that match a slice's predicate, by snapshot; and the bytes it took. Decodes on the
    /// calling thread.
    ///
    /// # Errors
    /// When files cannot be read, or it takes more than one answer may.
    pub async fn count(self, slice: Slice, sorting: Sorting) -> Result<(Vec<(u64, Counts)>, u64), QueryError> {
        let budget = self.budget()?;
        let mut counts: Vec<(u64, Counts)> = self.steps.iter().map(|step| (step.snapshot, Counts::default())).collect();
        let slice = Slice { columns: Vec::new(), offset: 0, limit: None, ..slice };
        let arrow = self.schema.to_arrow();
        let mut feed = Feed::new(self, &slice, Some(sorting), budget.clone());
        loop {
            let left = budget.begin();
            let next = tokio::time::timeout(left, feed.next()).await;
            budget.end();
            let next = match next {
                Err(_) => return Err(budget.time_is_up().into()),
                Ok(next) => next.map_err(|error| budget.over().map_or(error, QueryError::from))?,
            };
            let Some(found) = next else { return Ok((counts, budget.read())) };
            let keep = match &slice.predicate {
                Some(predicate) => Some(predicate.evaluate(&found.columns(predicate.columns(), &arrow)?)?),
                None => None,
            };
            let Some((_, counts)) = counts.iter_mut().find(|(snapshot, _)| *snapshot == found.snapshot) else {
                continue;
            };
            for (at, kind) in found.kinds.iter().enumerate() {
                use arrow::array::Array;
                if keep.as_ref().is_some_and(|keep| keep.is_null(at) || !keep.value(at)) {
                    continue;
                }
                counts.rows += 1;
                match kind {
                    Kind::Insert => counts.added += 1,
                    Kind::Delete => counts.removed += 1,
                    Kind::Postimage => counts.changed += 1,
                    Kind::Preimage => {}
                }
            }
        }
    }
}

/// The feed before anything is cut from it: the merges of all steps, one after the other.
struct Feed {
    store: Store,
    footers: Arc<Footers>,
    budget: Budget,
    steps: VecDeque<Step>,
    /// The table's own columns as the feed shows them.
    own: SchemaRef,
    /// Those of them that somebody wants to see.
    wanted: Vec<usize>,
    sorting: Option<Sorting>,
    current: Option<(u64, Merge)>,
}

/// Two sides of a comparison.
struct Sides {
    before: Side,
    after: Side,
    layout: merge::Layout,
    /// Whether rows can be paired.
    alike: bool,
}

/// Some rows of the feed.
struct Found {
    snapshot: u64,
    kinds: Vec<Kind>,
    /// The wanted columns, by their position in the feed's schema.
    values: Vec<(usize, arrow::array::ArrayRef)>,
}

impl Feed {
    fn new(changes: Changes, slice: &Slice, sorting: Option<Sorting>, budget: Budget) -> Self {
        let arrow = changes.schema.to_arrow();
        let own = arrow.fields().len().saturating_sub(2);
        let mut wanted: Vec<usize> = slice.columns.clone();
        wanted.extend(slice.predicate.iter().flat_map(super::predicate::Predicate::columns));
        wanted.retain(|at| *at < own);
        wanted.sort_unstable();
        wanted.dedup();
        let own = Arc::new(Schema::new(arrow.fields().iter().take(own).cloned().collect::<Vec<_>>()));
        Self {
            store: changes.store,
            footers: changes.footers,
            budget,
            steps: changes.steps.into(),
            own,
            wanted,
            sorting,
            current: None,
        }
    }

    async fn next(&mut self) -> Result<Option<Found>, QueryError> {
        loop {
            self.budget.check(0)?;
            if let Some((snapshot, merge)) = &mut self.current {
                if let Some(merged) = merge.next().await? {
                    let values = self.wanted.iter().copied().zip(merged.values).collect();
                    return Ok(Some(Found { snapshot: *snapshot, kinds: merged.kinds, values }));
                }
                self.current = None;
            }
            let Some(step) = self.steps.pop_front() else { return Ok(None) };
            self.current = self.begin(&step)?;
        }
    }

    /// The comparison of one step; `None` when there is nothing to compare.
    fn begin(&self, step: &Step) -> Result<Option<(u64, Merge)>, QueryError> {
        let Some(Sides { before, after, layout, alike }) = self.sides(step) else { return Ok(None) };
        let rows = |side: Side| match &self.sorting {
            Some(sorting) => side.sorting(sorting).rows(),
            None => side.rows(),
        };
        Ok(Some((step.snapshot, Merge::new(layout, rows(before)?, rows(after)?, alike)?)))
    }

    /// What is compared in one step; `None` when there is nothing to compare.
    fn sides(&self, step: &Step) -> Option<Sides> {
        let (before_files, after_files) = step.differing();
        if before_files.is_empty() && after_files.is_empty() {
            return None;
        }
        let key = step.after.as_ref().or(step.before.as_ref()).map(|state| state.primary_key.clone());
        let key = key.unwrap_or_default();
        let kind_of = |state: &Option<State>, name: &str| {
            let column = state.as_ref()?.schema.column(name)?.1;
            Some(column.kind.to_arrow())
        };
        // A key's values compare as the newer snapshot types them.
        let kinds: Vec<Option<DataType>> =
            key.iter().map(|name| kind_of(&step.after, name).or_else(|| kind_of(&step.before, name))).collect();
        // Under another key nothing can be paired: all of it went, and all of it came.
        let alike = match (&step.before, &step.after) {
            (Some(before), Some(after)) => {
                before.primary_key == after.primary_key
                    && key.iter().zip(&kinds).all(|(name, kind)| {
                        kind_of(&step.before, name).zip(kind.as_ref()).is_some_and(|(old, new)| read::fits(&old, new))
                    })
            }
            _ => true,
        };
        let key: Vec<Field> =
            key.iter().zip(kinds).map(|(name, kind)| Field::new(name, kind.unwrap_or(DataType::Null), true)).collect();
        // Compared are the columns both sides have.
        let has = |state: &Option<State>, field: &Field| {
            state.as_ref().is_none_or(|state| {
                let column = state.schema.column(field.name());
                column.is_some_and(|(_, column)| read::fits(&column.kind.to_arrow(), field.data_type()))
            })
        };
        let compared: Vec<usize> = (0..self.own.fields().len())
            .filter(|at| {
                let field = self.own.field(*at);
                has(&step.before, field) && has(&step.after, field) && !key.iter().any(|key| key.name() == field.name())
            })
            .collect();
        let side = |state: &Option<State>, files: Vec<DataFile>| {
            Side::new(self.store.clone(), Arc::clone(&self.footers), self.budget.clone(), &self.own, &key, state, files)
        };
        let (before, after) = (side(&step.before, before_files), side(&step.after, after_files));
        let layout = merge::Layout { own: Arc::clone(&self.own), key, compared, wanted: self.wanted.clone() };
        Some(Sides { before, after, layout, alike })
    }
}

impl Found {
    /// These columns of the feed as a batch.
    fn columns(&self, wanted: &[usize], arrow: &SchemaRef) -> Result<RecordBatch, QueryError> {
        use arrow::array::{ArrayRef, Int64Array, RecordBatchOptions, StringArray, new_null_array};
        let own = arrow.fields().len().saturating_sub(2);
        let rows = self.kinds.len();
        let columns: Vec<ArrayRef> = wanted
            .iter()
            .map(|at| -> ArrayRef {
                if *at == own {
                    return Arc::new(StringArray::from_iter_values(self.kinds.iter().map(|kind| kind.name())));
                }
                if *at > own {
                    let version = i64::try_from(self.snapshot).unwrap_or(i64::MAX);
                    return Arc::new(Int64Array::from(vec![version; rows]));
                }
                let known = self.values.iter().find(|(known, _)| known == at);
                known.map_or_else(|| new_null_array(arrow.field(*at).data_type(), rows), |(_, array)| Arc::clone(array))
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::new(arrow.project(wanted)?), columns, &options)?)
    }
}

/// A slice of the feed.
struct Cut {
    feed: Feed,
    slice: Slice,
    arrow: SchemaRef,
    output: SchemaRef,
    skip: u64,
    left: Option<u64>,
}

impl Cut {
    async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        while self.left != Some(0) {
            let Some(found) = self.feed.next().await? else { return Ok(None) };
            let mut batch = found.columns(&self.slice.columns, &self.arrow)?;
            if let Some(predicate) = &self.slice.predicate {
                let narrow = found.columns(predicate.columns(), &self.arrow)?;
                let keep = predicate.evaluate(&narrow).map_err(|error| of_where(&error))?;
                batch = arrow::compute::filter_record_batch(&batch, &keep)?;
            }
            let rows = batch.num_rows() as u64;
            let skipped = self.skip.min(rows);
            self.skip -= skipped;
            let taken = (rows - skipped).min(self.left.unwrap_or(u64::MAX));
            if let Some(left) = &mut self.left {
                *left -= taken;
            }
            if taken > 0 {
                debug_assert_eq!(batch.schema(), self.output);
                return Ok(Some(batch.slice(skipped as usize, taken as usize)));
            }
        }
        Ok(None)
    }
}

fn of_where(error: &arrow::error::ArrowError) -> QueryError {
    SliceError::new("where", format!("cannot be computed for some row: {error}")).into()
}
