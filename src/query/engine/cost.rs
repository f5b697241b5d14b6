//! What the scans of a plan would read, before anything is run: files left after pruning by the manifest, and the share of
//! their bytes that the wanted columns are.

use std::collections::BTreeSet;

use datafusion::{
    datasource::{
        physical_plan::{FileGroup, FileScanConfig, ParquetSource},
        source::DataSourceExec,
    },
    physical_plan::ExecutionPlan,
};
use serde::Serialize;

use super::{Work, reader::FileAt};
use crate::{
    catalog::DataFile,
    query::{QueryError, pages::OpenFile},
};

/// One scan of a plan.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ScanCost {
    /// Folder of the table's files.
    pub files_of: String,
    /// Files to be read.
    pub files: u64,
    /// Files of the table.
    pub files_in_table: u64,
    /// Rows in the files to be read.
    pub rows: u64,
    /// Columns to be read.
    pub columns: Vec<String>,
    /// Bytes of those columns in those files: the most that is read. Pages left out by conditions make it less.
    pub bytes: u64,
}

/// The scans of a plan. Reads at most one footer a scan, on the account of `work`.
///
/// # Errors
/// When a footer cannot be read.
pub async fn of(plan: &dyn ExecutionPlan, work: &Work<'_>) -> Result<Vec<ScanCost>, QueryError> {
    let mut scans = Vec::new();
    let mut open = vec![plan];
    while let Some(node) = open.pop() {
        if let Some(scan) = scan(node) {
            scans.push(cost(&scan, work).await?);
        }
        open.extend(node.children().into_iter().map(AsRef::as_ref));
    }
    scans.reverse();
    Ok(scans)
}

struct Scan<'a> {
    config: &'a FileScanConfig,
    source: &'a ParquetSource,
}

fn scan(node: &dyn ExecutionPlan) -> Option<Scan<'_>> {
    let config = node.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()?;
    let source = config.file_source().downcast_ref::<ParquetSource>()?;
    Some(Scan { config, source })
}

async fn cost(scan: &Scan<'_>, work: &Work<'_>) -> Result<ScanCost, QueryError> {
    let listed = scan.config.file_groups.iter().flat_map(FileGroup::iter);
    let listed: Vec<&FileAt> = listed.filter_map(|file| file.extension::<FileAt>()).collect();
    let columns = wanted(scan);
    let Some(first) = listed.first() else {
        return Ok(ScanCost { columns, ..ScanCost::default() });
    };
    let source = &first.source;
    // A file that is split over threads is listed for each of them.
    let positions: BTreeSet<usize> = listed.iter().map(|file| file.at).collect();
    let files: Vec<&DataFile> = positions.iter().filter_map(|at| source.table.files.get(*at)).collect();
    let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
    if let Some(first) = files.first() {
        // Files of a table are alike: the columns' share of one is their share of all.
        let file = OpenFile::open(&source.store, &source.footers, first, work.budget()).await?;
        let (wanted, all) = (file.footer().bytes_of(columns.iter().map(String::as_str)), file.footer().all_bytes());
        let share = u128::from(bytes) * u128::from(wanted.stored) / u128::from(all.stored.max(1));
        bytes = u64::try_from(share).unwrap_or(u64::MAX);
    }
    let folder = files.first().and_then(|file| file.key.rsplit_once('/')).map_or("", |(folder, _)| folder);
    Ok(ScanCost {
        files_of: folder.to_owned(),
        files: files.len() as u64,
        files_in_table: source.table.files.len() as u64,
        rows: files.iter().map(|file| file.rows).sum(),
        columns,
        bytes,
    })
}

/// The columns a scan decodes: those it gives, and those it filters by.
fn wanted(scan: &Scan<'_>) -> Vec<String> {
    use datafusion::{datasource::physical_plan::FileSource, physical_expr::utils::collect_columns};
    let mut names: Vec<String> = Vec::new();
    let mut add = |expr| {
        for column in collect_columns(expr) {
            if !names.iter().any(|known| known == column.name()) {
                names.push(column.name().to_owned());
            }
        }
    };
    if let Some(projection) = scan.source.projection() {
        projection.iter().for_each(|part| add(&part.expr));
    }
    if let Some(filter) = scan.source.filter() {
        add(&filter);
    }
    names.sort_unstable();
    names
}
