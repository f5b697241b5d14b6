//! Where readers find a table's data files and metadata: absolute addresses, all of one scheme.

use super::{ObjectName, RENDERING};
use crate::{
    catalog::{DataFile, DatasetId, TableId},
    store::{Area, Key},
};

/// The addresses that stand in the metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// The public bucket `data` of a server: `s3://data/{dataset}/{table}/…`.
    Served,
    /// The store's own bucket or folder, below this base (`s3://bucket/prefix`, `file:///folder`).
    Stored(String),
}

impl Place {
    /// The table's location: all it consists of lies below it in [`Place::Served`].
    pub fn table(&self, dataset: &DatasetId, table: &TableId, area: Area) -> String {
        match self {
            Self::Served => format!("s3://data/{dataset}/{table}"),
            Self::Stored(base) => {
                let folder = Key::iceberg_folder(area, dataset, table);
                format!("{}/{folder}", base.trim_end_matches('/'))
            }
        }
    }

    /// An object of its metadata.
    pub fn object(&self, dataset: &DatasetId, table: &TableId, area: Area, name: &ObjectName) -> String {
        format!("{}/metadata/{RENDERING}/{name}", self.table(dataset, table, area))
    }

    /// A data file.
    pub fn file(&self, dataset: &DatasetId, table: &TableId, file: &DataFile) -> String {
        match self {
            Self::Served => format!("s3://data/{dataset}/{table}/{}", file.name()),
            Self::Stored(base) => format!("{}/{}", base.trim_end_matches('/'), file.key),
        }
    }
}
