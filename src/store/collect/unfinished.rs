//! What writers that were killed left: on a local disk, files that never got the name of an object; on S3, uploads in parts
//! that were never finished.

use std::{fs, path::Path as LocalPath, time::SystemTime};

use object_store::path::Path;

use super::{Collected, Collection, Doomed, Kind, Why};
use crate::store::{
    Store, StoreError, disk,
    put::{blocking, on_disk},
};

impl Store {
    /// Removes files that are no objects, and uploads in parts, that are older than the grace period.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn collect_unfinished(
        &self,
        collection: Collection,
        witness: &mut (dyn FnMut(&Doomed) + Send),
    ) -> Result<Collected, StoreError> {
        let mut collected = Collected::default();
        if let Some(uploads) = &self.0.uploads {
            for upload in uploads.list().await? {
                if upload.begun().is_none_or(|begun| begun >= collection.orphans_before()) {
                    continue;
                }
                if !collection.dry_run {
                    uploads.abort(&upload).await?;
                }
                let key = uploads.key(&upload).to_owned();
                let doomed = Doomed { key, bytes: 0, kind: Kind::Upload, why: Why::Orphaned };
                collected.add(&doomed);
                witness(&doomed);
            }
        }
        let Some(files) = self.0.disk.clone() else { return Ok(collected) };
        let found = blocking(move || {
            // The root itself is no object.
            let inside = on_disk(&files, &Path::from("inside"))?;
            let root = inside.parent().unwrap_or(&inside);
            let before = SystemTime::from(collection.orphans_before());
            let mut found = Vec::new();
            walk(root, root, before, collection.dry_run, &mut found)?;
            Ok(found)
        })
        .await?;
        for doomed in &found {
            collected.add(doomed);
            witness(doomed);
        }
        Ok(collected)
    }
}

/// Goes through a folder and those in it. There are as many of these files as there were kills, so a list will do.
fn walk(
    root: &LocalPath,
    folder: &LocalPath,
    before: SystemTime,
    dry_run: bool,
    found: &mut Vec<Doomed>,
) -> Result<(), StoreError> {
    let fail = |error| StoreError::from_io(folder, "look through this folder", &error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(fail)?,
    };
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let path = entry.path();
        // A link is not ours: it is neither followed nor removed.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            walk(root, &path, before, dry_run, found)?;
        }
        if !kind.is_file() || !disk::is_temporary(&path) {
            continue;
        }
        // Its writer may be done with it by now.
        let Ok(about) = entry.metadata() else { continue };
        if about.modified().is_ok_and(|at| at < before) {
            if !dry_run {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
                    _ => {}
                }
            }
            let key = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push(Doomed { key, bytes: about.len(), kind: Kind::Temporary, why: Why::Orphaned });
        }
    }
    Ok(())
}
