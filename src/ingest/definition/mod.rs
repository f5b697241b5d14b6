//! `dataset.toml`: its grammar, and a definition checked against it.
//!
//! A definition is checked twice: its structure against the schema generated from [`grammar`], then what the types cannot
//! say ([`meaning`]). All faults of a file are reported at once.

pub mod fault;
pub mod grammar;
mod meaning;
mod structure;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use crate::catalog::DatasetId;
pub use crate::catalog::retention::duration;
pub use fault::{Fault, Faults};
pub use grammar::Definition;
pub(super) use meaning::no_partition;

/// A definition read from its folder.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The dataset: the folder's name.
    pub id: DatasetId,
    /// The folder, with `dataset.toml`, `sample/`, `expected/` and scripts.
    pub folder: PathBuf,
    /// sha256 of the text.
    pub sha256: String,
    /// What it says.
    pub definition: Definition,
}

/// The JSON Schema of the grammar, for editors and for [`parse`].
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Definition).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), "Openshelf dataset definition (dataset.toml)".into());
    }
    schema
}

/// Parses and checks a definition's text. `file` is its name in messages; `folder` is where its scripts and paths are.
///
/// # Errors
/// Every fault of the text, each with line and column.
pub fn parse(text: &str, file: &str, folder: &Path) -> Result<Definition, Faults> {
    let mut faults = fault::Collector::new(file, text);
    let (root, syntax) = DeTable::parse_recoverable(text);
    for error in syntax {
        faults.add(error.span().unwrap_or(0..0), error.message());
    }
    if !faults.is_empty() {
        faults.finish()?;
    }
    let mut faults = fault::Collector::new(file, text);
    let sound = structure::check(&schema(), &root, &mut faults);
    if !faults.is_empty() {
        // What the sound parts mean is said as well, so that nobody mends a file twice.
        if let Ok(definition) = serde_json::from_value::<Definition>(sound) {
            let mut further = fault::Collector::new(file, text);
            meaning::check(&definition, &root, folder, &mut further);
            faults.add_elsewhere(further);
        }
        return Err(faults.finish().err().unwrap_or(Faults(Vec::new())));
    }
    match toml::from_str::<Definition>(text) {
        Ok(definition) => {
            meaning::check(&definition, &root, folder, &mut faults);
            faults.finish()?;
            Ok(definition)
        }
        Err(error) => {
            faults.add(error.span().unwrap_or(0..0), error.message());
            Err(faults.finish().err().unwrap_or(Faults(Vec::new())))
        }
    }
}

/// Reads `<datasets>/<id>/dataset.toml`.
///
/// # Errors
/// The faults of the file; one fault where it cannot be read.
pub fn load(datasets: &Path, id: &DatasetId) -> Result<Loaded, Faults> {
    let folder = datasets.join(id.as_str());
    let path = folder.join("dataset.toml");
    let file = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        if error.kind() != std::io::ErrorKind::NotFound {
            let message = match error.kind() {
                std::io::ErrorKind::InvalidData => "this is not UTF-8, which TOML is written in".to_owned(),
                _ => format!("cannot be read: {error}"),
            };
            return Faults(vec![Fault { file: file.clone(), line: 1, column: 1, message }]);
        }
        let known = list(datasets).unwrap_or_default();
        let hint = fault::did_you_mean(id.as_str(), known.iter().map(DatasetId::as_str));
        let message = format!("there is no definition of `{id}`{hint}");
        Faults(vec![Fault { file: file.clone(), line: 1, column: 1, message }])
    })?;
    let definition = parse(&text, &file, &folder)?;
    Ok(Loaded { id: id.clone(), folder, sha256: hex::encode(Sha256::digest(&text)), definition })
}

/// The datasets that have a definition, in the order of their names.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(datasets: &Path) -> std::io::Result<Vec<DatasetId>> {
    let mut ids: Vec<DatasetId> = std::fs::read_dir(datasets)?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("dataset.toml").is_file())
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    ids.sort();
    Ok(ids)
}

#[cfg(test)]
mod tests;
