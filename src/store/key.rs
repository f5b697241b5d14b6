//! Every object path of the store. Nothing else spells one.
//!
//! ```text
//! <dataset>/manifests/<20 digits>.json     snapshot n; create-only
//! <dataset>/files/<hash>.json              segments of a file list, content-addressed
//! <dataset>/data/<table>/<unique>.parquet  immutable
//! <dataset>/rejects/<table>/<unique>.parquet
//! <dataset>/derived/<n>/<table>/<thing>.json          a whole small thing, or the marker of a folder that is whole
//! <dataset>/derived/<n>/<table>/<thing>/<build>/<file>
//! <dataset>/runs/<ulid>.json
//! <dataset>/iceberg/<table>/metadata/<file>           written by `export-iceberg`; made anew by the next one
//! <dataset>/iceberg/<table>/metadata/<version>/<object>
//! _openshelf/extracts/…                    see `extracts`
//! _openshelf/gc/<dataset>/<20 digits>.json what garbage collection decided before it removed anything; create-only
//! ```
//! What a license reserves for personal use lies in the same layout under `_personal/`, so that a bucket can be made
//! public without exposing it.

use std::fmt;

use object_store::path::Path;

use super::{
    Exported, StoreError,
    extracts::{self, Agenda, EXTRACTS, OPENSHELF},
    iceberg::RENDERING,
};
use crate::catalog::{DatasetId, License, Manifest, Redistribution, TableId, TableSnapshot, extract::ExtractId};

/// The prefix of what a license reserves for personal use.
const PERSONAL: &str = "_personal";

/// The two halves of the store. A dataset's manifests and runs lie where its own license puts them, a table's files where
/// the license that holds for the table puts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// May be shown to anyone.
    Open,
    /// For personal use only.
    Personal,
}

/// Both areas.
pub(super) const AREAS: [Area; 2] = [Area::Open, Area::Personal];

impl Area {
    /// Where a license puts things.
    pub fn of(license: &License) -> Self {
        match license.redistribution {
            Redistribution::Personal => Self::Personal,
            Redistribution::Open | Redistribution::ShareAlike => Self::Open,
        }
    }

    /// Where the files of a table lie: by its own license, else the dataset's.
    pub fn of_table(manifest: &Manifest, table: &TableSnapshot) -> Self {
        Self::of(manifest.license_of(table))
    }

    /// The area's own folder; `None` for the root.
    pub(super) fn folder(self) -> Option<&'static str> {
        match self {
            Self::Open => None,
            Self::Personal => Some(PERSONAL),
        }
    }
}

/// The name of an object. `to_string` gives its full key inside the store ([`crate::catalog::DataFile::key`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// Snapshot `snapshot` of a dataset.
    Manifest {
        /// Area of the dataset.
        area: Area,
        /// Dataset.
        dataset: DatasetId,
        /// Number, from 1.
        snapshot: u64,
    },
    /// A piece of a file list.
    Segment {
        /// Area of the table.
        area: Area,
        /// Dataset.
        dataset: DatasetId,
        /// sha256 of its bytes, hex.
        hash: String,
    },
    /// A table's Parquet file.
    Data {
        /// Area of the table.
        area: Area,
        /// Dataset.
        dataset: DatasetId,
        /// Table.
        table: TableId,
        /// Its own name, never used before, with `.parquet`.
        file: String,
    },
    /// Rows that did not fit.
    Rejects {
        /// Area of the table.
        area: Area,
        /// Dataset.
        dataset: DatasetId,
        /// Table.
        table: TableId,
        /// Its own name, never used before, with `.parquet`.
        file: String,
    },
    /// Something made from a table of a snapshot, whole: its JSON, or the list of its files.
    Derived {
        /// Table and snapshot.
        of: DerivedFrom,
        /// What it is, with the version of its form: `statistics-1`.
        thing: &'static str,
    },
    /// A file of something made from a table of a snapshot.
    DerivedFile {
        /// Table and snapshot.
        of: DerivedFrom,
        /// What it is, as in [`Self::Derived`].
        thing: &'static str,
        /// The attempt that made it: two that make the same thing never meet.
        build: String,
        /// Its name in the folder.
        file: String,
    },
    /// The record of a run.
    Run {
        /// Area of the dataset.
        area: Area,
        /// Dataset.
        dataset: DatasetId,
        /// ULID of the run.
        run: String,
    },
    /// An object of a table's Iceberg metadata, for readers of the bucket itself.
    Iceberg {
        /// Area of the table.
        area: Area,
        /// Dataset.
        dataset: DatasetId,
        /// Table.
        table: TableId,
        /// Its name in the folder `metadata`.
        object: Exported,
    },
    /// A file of an extract.
    ExtractFile {
        /// The extract.
        id: ExtractId,
        /// Its own name, never used before, with `.parquet`.
        file: String,
    },
    /// An entry of a list of extracts.
    ExtractDue {
        /// The list.
        agenda: Agenda,
        /// Time and extract.
        name: String,
    },
}

/// A table of a snapshot that something is derived from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DerivedFrom {
    /// Area of the table.
    pub area: Area,
    /// Dataset.
    pub dataset: DatasetId,
    /// Snapshot.
    pub snapshot: u64,
    /// Table.
    pub table: TableId,
}

/// The numbered folder of manifests, and other folders that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folder {
    Manifests,
    Runs,
}

impl Key {
    /// The folder below which a table's Iceberg metadata lies ([`Self::Iceberg`]).
    pub fn iceberg_folder(area: Area, dataset: &DatasetId, table: &TableId) -> String {
        let below = format!("{dataset}/iceberg/{table}");
        area.folder().map_or_else(|| below.clone(), |folder| format!("{folder}/{below}"))
    }

    /// The media type of the object.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Manifest { .. }
            | Self::Segment { .. }
            | Self::Run { .. }
            | Self::Derived { .. }
            | Self::ExtractDue { .. } => "application/json",
            Self::DerivedFile { .. } | Self::Iceberg { .. } => "application/octet-stream",
            Self::Data { .. } | Self::Rejects { .. } | Self::ExtractFile { .. } => "application/vnd.apache.parquet",
        }
    }

    /// The key as the object store takes it.
    pub(super) fn path(&self) -> Result<Path, StoreError> {
        parse(&self.to_string())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let area = match self {
            Self::Manifest { area, .. }
            | Self::Segment { area, .. }
            | Self::Data { area, .. }
            | Self::Rejects { area, .. }
            | Self::Iceberg { area, .. }
            | Self::Run { area, .. } => *area,
            Self::Derived { of, .. } | Self::DerivedFile { of, .. } => of.area,
            Self::ExtractFile { id, .. } => extracts::area(id),
            Self::ExtractDue { .. } => Area::Open,
        };
        if let Some(folder) = area.folder() {
            write!(f, "{folder}/")?;
        }
        match self {
            Self::Manifest { dataset, snapshot, .. } => write!(f, "{dataset}/manifests/{}", numbered(*snapshot)),
            Self::Segment { dataset, hash, .. } => write!(f, "{dataset}/files/{hash}.json"),
            Self::Data { dataset, table, file, .. } => write!(f, "{dataset}/data/{table}/{file}"),
            Self::Rejects { dataset, table, file, .. } => write!(f, "{dataset}/rejects/{table}/{file}"),
            Self::Derived { of, thing } => {
                write!(f, "{}/derived/{}/{}/{thing}.json", of.dataset, of.snapshot, of.table)
            }
            Self::DerivedFile { of, thing, build, file } => {
                write!(f, "{}/derived/{}/{}/{thing}/{build}/{file}", of.dataset, of.snapshot, of.table)
            }
            Self::Run { dataset, run, .. } => write!(f, "{dataset}/runs/{run}.json"),
            Self::Iceberg { dataset, table, object, .. } => match object {
                Exported::Object(name) => write!(f, "{dataset}/iceberg/{table}/metadata/{RENDERING}/{name}"),
                Exported::Version(_) | Exported::Hint => write!(f, "{dataset}/iceberg/{table}/metadata/{object}"),
            },
            Self::ExtractFile { id, file } => write!(f, "{OPENSHELF}/{EXTRACTS}/{id}/{file}"),
            Self::ExtractDue { agenda, name } => write!(f, "{OPENSHELF}/{EXTRACTS}/{}/{name}.json", agenda.folder()),
        }
    }
}

/// A folder of a dataset.
pub(super) fn folder(area: Area, dataset: &DatasetId, folder: Folder) -> Path {
    let name = match folder {
        Folder::Manifests => "manifests",
        Folder::Runs => "runs",
    };
    area.folder().into_iter().chain([dataset.as_str(), name]).collect()
}

/// The folder of everything derived from a snapshot, of one of its tables, or of one thing.
pub(super) fn derived(area: Area, dataset: &DatasetId, snapshot: u64, below: &[&str]) -> Path {
    let number = snapshot.to_string();
    let names = [dataset.as_str(), "derived", number.as_str()];
    area.folder().into_iter().chain(names).chain(below.iter().copied()).collect()
}

/// The folder of what garbage collection decided about a dataset.
pub(super) fn boundaries(dataset: &DatasetId) -> Path {
    [OPENSHELF, "gc", dataset.as_str()].into_iter().collect()
}

/// The folders of a dataset that garbage collection looks through, but `derived`, `files` and `iceberg`.
pub(super) const COLLECTED: [&str; 2] = ["data", "rejects"];

/// A folder of a dataset by its name.
pub(super) fn named(area: Area, dataset: &DatasetId, name: &str) -> Path {
    area.folder().into_iter().chain([dataset.as_str(), name]).collect()
}

/// The last segment of a key with that number: 20 digits, so that names sort as numbers do.
pub(super) fn numbered(number: u64) -> String {
    format!("{number:020}.json")
}

/// The number in a key, if it ends in one.
pub(super) fn number_of(path: &Path) -> Option<u64> {
    let digits = path.filename()?.strip_suffix(".json")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Bytes of a name between two slashes at most: what file systems take.
const LONGEST_NAME: usize = 255;

/// A key written by someone else.
pub(super) fn parse(key: &str) -> Result<Path, StoreError> {
    let unusable = |why: String| StoreError::Unusable { path: key.to_owned(), why };
    if key.split('/').any(|name| name.len() > LONGEST_NAME) {
        return Err(unusable(format!("is no key: a name in it is longer than {LONGEST_NAME} bytes")));
    }
    Path::parse(key).map_err(|error| unusable(format!("is no key: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_the_layout() {
        let dataset: DatasetId = "us-flights".parse().expect("a name");
        let table: TableId = "flights".parse().expect("a name");
        let manifest = |area| Key::Manifest { area, dataset: dataset.clone(), snapshot: 12 };
        assert_eq!(manifest(Area::Open).to_string(), "us-flights/manifests/00000000000000000012.json");
        assert_eq!(manifest(Area::Personal).to_string(), "_personal/us-flights/manifests/00000000000000000012.json");
        let data = Key::Data { area: Area::Open, dataset: dataset.clone(), table, file: "x.parquet".into() };
        assert_eq!(data.to_string(), "us-flights/data/flights/x.parquet");
        assert_eq!(data.content_type(), "application/vnd.apache.parquet");
        let path = manifest(Area::Personal).path().expect("a path");
        assert_eq!(number_of(&path), Some(12));
        assert!(path.prefix_matches(&folder(Area::Personal, &dataset, Folder::Manifests)));
    }

    #[test]
    fn only_whole_numbers_of_twenty_digits_are_numbers() {
        for name in ["1.json", "0000000000000000000x.json", "00000000000000000012.json#4", "99999999999999999999.json"]
        {
            assert_eq!(number_of(&Path::from(name)), None, "{name}");
        }
        assert!(parse("a/../b").is_err() && parse("a//b").is_err());
    }
}
