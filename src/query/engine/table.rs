//! A published table as DataFusion sees it: its columns, its files with what the manifest knows of them, and a scan by
//! DataFusion's own Parquet source.

use std::{pin::Pin, sync::Arc};

use arrow::{compute::SortOptions, datatypes::SchemaRef};
use datafusion::{
    catalog::{Session, TableProvider},
    common::ToDFSchema,
    config::TableParquetOptions,
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
    },
    error::Result,
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType, utils::conjunction},
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions},
    physical_plan::ExecutionPlan,
};
use tokio::runtime::Handle;

use super::{
    reader::{FileAt, Readers},
    statistics,
};
use crate::query::{budget::Budget, prune, table::TableSource, views};

/// A table of one snapshot, read on the account of one query.
#[derive(Debug)]
pub struct EngineTable {
    source: Arc<TableSource>,
    schema: SchemaRef,
    budget: Budget,
    reads: Handle,
    /// Columns each file is sorted by, ascending with nulls last.
    sorted: Vec<usize>,
}

impl EngineTable {
    pub(super) fn new(source: TableSource, budget: Budget, reads: Handle) -> Self {
        let schema = views::schema(&source.table.arrow);
        Self { source: Arc::new(source), schema, budget, reads, sorted: Vec::new() }
    }

    /// Declares that *each file* is sorted by these columns (positions in the schema), ascending, nulls last. Plans use
    /// it only where the bounds of the files show that it holds across them as well.
    #[must_use]
    pub fn sorted_by(mut self, columns: Vec<usize>) -> Self {
        self.sorted = columns;
        self
    }

    /// The table it reads.
    pub fn source(&self) -> &TableSource {
        &self.source
    }

    /// The files that may hold rows for which all of `filters` are true, by the bounds in the manifest.
    fn files(&self, state: &dyn Session, filters: &[Expr], limit: Option<usize>) -> Result<Vec<usize>> {
        let files = &self.source.table.files;
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            let Some(mut left) = limit.map(|limit| limit as u64) else { return Ok((0..files.len()).collect()) };
            let mut needed = Vec::new();
            for (at, file) in files.iter().enumerate().filter(|(_, file)| file.rows > 0) {
                if left == 0 {
                    break;
                }
                left = left.saturating_sub(file.rows);
                needed.push(at);
            }
            return Ok(needed);
        };
        let physical = state.create_physical_expr(filter, &Arc::clone(&self.schema).to_dfschema()?)?;
        let keep = prune::files_by(&physical, &self.schema, &self.source.table);
        Ok(keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(at, _)| at).collect())
    }

    fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let table = &self.source.table;
        let chosen = self.files(state, filters, limit)?;
        let known = statistics::of_files(table, &self.schema, &chosen, projection, &self.sorted);
        let files = chosen.iter().zip(&known.each).filter_map(|(at, statistics)| {
            let file = table.files.get(*at)?;
            let listed = PartitionedFile::new(file.key.as_str(), file.bytes)
                .with_extension(FileAt { at: *at, source: Arc::clone(&self.source) });
            Some(match statistics {
                Some(statistics) => listed.with_statistics(Arc::clone(statistics)),
                None => listed,
            })
        });
        let group = FileGroup::new(files.collect());
        let readers =
            Readers { source: Arc::clone(&self.source), budget: self.budget.clone(), reads: self.reads.clone() };
        let options =
            TableParquetOptions { global: state.config_options().execution.parquet.clone(), ..Default::default() };
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        let mut config = FileScanConfigBuilder::new(ObjectStoreUrl::parse("openshelf://store")?, Arc::new(source))
            .with_file_group(group)
            .with_statistics(known.all)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit);
        if let Some(ordering) = self.ordering() {
            config = config.with_output_ordering(vec![ordering]);
        }
        Ok(DataSourceExec::from_data_source(config.build()))
    }

    fn ordering(&self) -> Option<LexOrdering> {
        let options = SortOptions { descending: false, nulls_first: false };
        let keys = self.sorted.iter().filter_map(|at| {
            let field = self.schema.fields().get(*at)?;
            Some(PhysicalSortExpr::new(Arc::new(expressions::Column::new(field.name(), *at)), options))
        });
        LexOrdering::new(keys)
    }
}

impl TableProvider for EngineTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<dyn ExecutionPlan>>> + Send + 'async_trait>>
    where
        Self: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
    {
        Box::pin(std::future::ready(self.plan(state, projection, filters, limit)))
    }

    /// Files are left out by them here; rows by the reader or a filter above it.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}
