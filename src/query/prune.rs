//! Which files, row groups and pages a predicate cannot match, from statistics and bloom filters alone.
//!
//! Floating-point columns are never pruned by: their statistics leave NaN out, and NaN sorts above every number here.

use std::{collections::HashSet, ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, UInt64Array},
    datatypes::{DataType, SchemaRef},
};
use datafusion::{
    common::{Column as NamedColumn, ScalarValue, pruning::PruningStatistics},
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, InListExpr, Literal},
        split_conjunction,
        utils::collect_columns,
    },
    physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder},
};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, statistics::StatisticsConverter},
    errors::ParquetError,
    file::metadata::RowGroupMetaData,
};

use super::{
    bounds,
    footer::Footer,
    pages::{OneOf, OpenFile},
    predicate::Predicate,
    ranges,
    table::Table,
};

/// A predicate in the form statistics can be held against.
#[derive(Debug)]
pub struct Pruner {
    whole: Option<PruningPredicate>,
    /// The parts joined by `and` that read one column each: pages of different columns end at different rows.
    single: Vec<(String, PruningPredicate)>,
    /// Columns that must have one of a few values.
    equal: Vec<OneOf>,
}

impl Pruner {
    /// What can be pruned by of a predicate; often nothing.
    pub fn new(predicate: &Predicate) -> Self {
        let (schema, physical) = predicate.compiled();
        let single = split_conjunction(physical)
            .into_iter()
            .filter_map(|part| {
                let columns = collect_columns(part);
                let mut names = columns.iter().map(|column| column.name().to_owned());
                let name = names.next()?;
                names.next().is_none().then_some(())?;
                Some((name, compile(part, schema)?))
            })
            .collect();
        let equal = split_conjunction(physical)
            .into_iter()
            .filter_map(|part| {
                let (mut column, mut values) = (None, Vec::new());
                one_of(part, &mut column, &mut values)?;
                OneOf::new(&column?, &values)
            })
            .collect();
        Self { whole: compile(physical, schema), single, equal }
    }

    /// The rows of a file that may match, by statistics and bloom filters.
    ///
    /// # Errors
    /// When a filter cannot be read.
    pub(super) async fn rows(&self, file: &OpenFile) -> Result<Vec<Range<u64>>, ParquetError> {
        let groups = self.groups(&file.footer().metadata);
        let mut kept = Vec::with_capacity(groups.len());
        'groups: for group in groups {
            for values in &self.equal {
                if !values.may_be_in(file, group).await? {
                    continue 'groups;
                }
            }
            kept.push(group);
        }
        Ok(self.pages(file.footer(), &kept))
    }

    /// The same by statistics alone: nothing is read.
    pub(super) fn known_rows(&self, footer: &Footer) -> Vec<Range<u64>> {
        self.pages(footer, &self.groups(&footer.metadata))
    }

    /// For each file whether it may hold matching rows.
    pub fn files(&self, table: &Table) -> Vec<bool> {
        let statistics = FileStatistics { table };
        self.whole
            .as_ref()
            .and_then(|predicate| predicate.prune(&statistics).ok())
            .unwrap_or_else(|| vec![true; table.files.len()])
    }

    /// The row groups that may hold matching rows, by their statistics.
    fn groups(&self, metadata: &ArrowReaderMetadata) -> Vec<usize> {
        let groups = metadata.metadata().row_groups();
        let keep = self
            .whole
            .as_ref()
            .and_then(|predicate| predicate.prune(&GroupStatistics { groups, metadata }).ok())
            .unwrap_or_else(|| vec![true; groups.len()]);
        keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(at, _)| at).collect()
    }

    /// The rows of these row groups that may match, by the statistics of pages.
    fn pages(&self, footer: &Footer, groups: &[usize]) -> Vec<Range<u64>> {
        let starts = footer.layout.starts();
        let mut all = Vec::new();
        for group in groups {
            if let (Some(start), Some(end)) = (starts.get(*group), starts.get(group + 1)) {
                ranges::push(&mut all, *start..*end);
            }
        }
        let known = self.single.iter().filter_map(|(column, predicate)| pages(column, predicate, footer, groups));
        known.fold(all, |left, right| ranges::intersect(&left, &right))
    }
}

/// For each file whether it may hold rows for which `physical`, over `arrow`, is true.
pub(super) fn files_by(physical: &Arc<dyn PhysicalExpr>, arrow: &SchemaRef, table: &Table) -> Vec<bool> {
    compile(physical, arrow)
        .and_then(|predicate| predicate.prune(&FileStatistics { table }).ok())
        .unwrap_or_else(|| vec![true; table.files.len()])
}

/// The values of `column = a or column = b …` and `column in (…)`; `None` for any other condition.
fn one_of(physical: &Arc<dyn PhysicalExpr>, column: &mut Option<String>, values: &mut Vec<ScalarValue>) -> Option<()> {
    if let Some(list) = physical.downcast_ref::<InListExpr>() {
        (!list.negated()).then_some(())?;
        return list.list().iter().try_for_each(|value| equals(list.expr(), value, column, values));
    }
    let binary = physical.downcast_ref::<BinaryExpr>()?;
    match binary.op() {
        Operator::Or => {
            one_of(binary.left(), column, values)?;
            one_of(binary.right(), column, values)
        }
        Operator::Eq => match equals(binary.left(), binary.right(), column, values) {
            None => equals(binary.right(), binary.left(), column, values),
            done => done,
        },
        _ => None,
    }
}

fn equals(
    left: &Arc<dyn PhysicalExpr>,
    right: &Arc<dyn PhysicalExpr>,
    column: &mut Option<String>,
    values: &mut Vec<ScalarValue>,
) -> Option<()> {
    let (named, value) = (left.downcast_ref::<Column>()?, right.downcast_ref::<Literal>()?);
    let column = column.get_or_insert_with(|| named.name().to_owned());
    (column == named.name()).then(|| values.push(value.value().clone()))
}

fn compile(physical: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Option<PruningPredicate> {
    let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema));
    let predicate = builder.try_build(Arc::clone(physical)).ok()?;
    (!predicate.always_true()).then_some(predicate)
}

/// Rows of the pages of these row groups that may match; `None` where pages are not known.
fn pages(column: &str, predicate: &PruningPredicate, footer: &Footer, groups: &[usize]) -> Option<Vec<Range<u64>>> {
    let metadata = &footer.metadata;
    let parquet = metadata.metadata();
    let converter = converter(column, metadata)?;
    let (columns, offsets) = (parquet.column_index()?, parquet.offset_index()?);
    let mut possible = Vec::new();
    for group in groups {
        let one = [group];
        let min = converter.data_page_mins(columns, offsets, one).ok()?;
        let max = converter.data_page_maxes(columns, offsets, one).ok()?;
        let nulls = converter.data_page_null_counts(columns, offsets, one).ok()?;
        let rows = converter.data_page_row_counts(offsets, parquet.row_groups(), one).ok()??;
        if min.len() != rows.len() || max.len() != rows.len() || nulls.len() != rows.len() {
            return None;
        }
        let statistics = PageStatistics { column, min, max, nulls, rows: rows.clone() };
        let keep = predicate.prune(&statistics).ok()?;
        let mut next = *footer.layout.starts().get(*group)?;
        for (keep, rows) in keep.iter().zip(rows.values()) {
            if *keep {
                ranges::push(&mut possible, next..next + rows);
            }
            next += rows;
        }
    }
    Some(possible)
}

fn is_usable(kind: &DataType) -> bool {
    !kind.is_nested() && !kind.is_floating()
}

/// Reads a column's statistics; `None` for columns that are not pruned by.
fn converter<'a>(column: &str, metadata: &'a ArrowReaderMetadata) -> Option<StatisticsConverter<'a>> {
    let field = metadata.schema().field_with_name(column).ok()?;
    is_usable(field.data_type()).then_some(())?;
    let converter = StatisticsConverter::try_new(column, metadata.schema(), metadata.parquet_schema()).ok()?;
    converter.parquet_column_index()?;
    Some(converter.with_missing_null_counts_as_zero(false))
}

struct FileStatistics<'a> {
    table: &'a Table,
}

impl FileStatistics<'_> {
    fn bounds(&self, column: &NamedColumn, side: bounds::Side) -> Option<ArrayRef> {
        let (at, column) = self.table.schema.column(&column.name)?;
        is_usable(&column.kind.to_arrow()).then(|| self.table.bounds(at, side))?
    }
}

impl PruningStatistics for FileStatistics<'_> {
    fn min_values(&self, column: &NamedColumn) -> Option<ArrayRef> {
        self.bounds(column, bounds::Side::Min)
    }
    fn max_values(&self, column: &NamedColumn) -> Option<ArrayRef> {
        self.bounds(column, bounds::Side::Max)
    }
    fn num_containers(&self) -> usize {
        self.table.files.len()
    }
    fn null_counts(&self, column: &NamedColumn) -> Option<ArrayRef> {
        let nulls: UInt64Array = self.table.files.iter().map(|file| bounds::nulls(file, &column.name)).collect();
        Some(Arc::new(nulls))
    }
    fn row_counts(&self) -> Option<ArrayRef> {
        Some(bounds::rows(&self.table.files))
    }
    fn contained(&self, _: &NamedColumn, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

struct GroupStatistics<'a> {
    groups: &'a [RowGroupMetaData],
    metadata: &'a ArrowReaderMetadata,
}

impl PruningStatistics for GroupStatistics<'_> {
    fn min_values(&self, column: &NamedColumn) -> Option<ArrayRef> {
        converter(&column.name, self.metadata)?.row_group_mins(self.groups).ok()
    }
    fn max_values(&self, column: &NamedColumn) -> Option<ArrayRef> {
        converter(&column.name, self.metadata)?.row_group_maxes(self.groups).ok()
    }
    fn num_containers(&self) -> usize {
        self.groups.len()
    }
    fn null_counts(&self, column: &NamedColumn) -> Option<ArrayRef> {
        Some(Arc::new(converter(&column.name, self.metadata)?.row_group_null_counts(self.groups).ok()?))
    }
    fn row_counts(&self) -> Option<ArrayRef> {
        let rows: UInt64Array = self.groups.iter().map(|group| u64::try_from(group.num_rows()).ok()).collect();
        Some(Arc::new(rows))
    }
    fn contained(&self, _: &NamedColumn, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

struct PageStatistics<'a> {
    column: &'a str,
    min: ArrayRef,
    max: ArrayRef,
    nulls: UInt64Array,
    rows: UInt64Array,
}

impl PageStatistics<'_> {
    fn of<T>(&self, column: &NamedColumn, value: T) -> Option<T> {
        (column.name == self.column).then_some(value)
    }
}

impl PruningStatistics for PageStatistics<'_> {
    fn min_values(&self, column: &NamedColumn) -> Option<ArrayRef> {
        self.of(column, Arc::clone(&self.min))
    }
    fn max_values(&self, column: &NamedColumn) -> Option<ArrayRef> {
        self.of(column, Arc::clone(&self.max))
    }
    fn num_containers(&self) -> usize {
        self.rows.len()
    }
    fn null_counts(&self, column: &NamedColumn) -> Option<ArrayRef> {
        self.of(column, Arc::new(self.nulls.clone()))
    }
    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.rows.clone()))
    }
    fn contained(&self, _: &NamedColumn, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
