//! Snapshots that are no longer kept: their manifests stay, their files are gone, and who asks for them is told both.
//!
//! Nothing is looked up for answers that can be given: only when one fails, the files it should have read are looked for.

use axum::http::header;

use super::{
    problem::{Kind, Problem},
    state::AppState,
};
use crate::{
    catalog::{DatasetId, Manifest},
    store::StoreError,
};

/// Files that are looked for.
const LOOKED_FOR: usize = 200;

/// What is said of a snapshot that is not kept: what it was, and which is the current one.
///
/// `manifest`: `None` when not even that is there.
pub(super) fn gone(state: &AppState, id: &DatasetId, number: u64, manifest: Option<&Manifest>, head: u64) -> Problem {
    let kept = manifest.map_or_else(String::new, |manifest| {
        format!(
            " Snapshots of it are kept for {}; what it was stands at {}.",
            manifest.info.retention,
            state.url(&format!("/v1/datasets/{id}/snapshots/{number}"))
        )
    });
    let detail = format!("Snapshot {number} of `{id}` is no longer kept.{kept} The current one is {head}.");
    let problem =
        Problem::new(Kind::SnapshotCollected, detail).hint(state.url(&format!("/v1/datasets/{id}/snapshots/{head}")));
    match manifest {
        Some(_) => {
            let record = state.url(&format!("/v1/datasets/{id}/snapshots/{number}"));
            problem.header(header::LINK, format!("<{record}>; rel=\"describedby\""))
        }
        None => problem,
    }
}

/// Whether a failure may come from files that are not there.
pub(super) fn may_be(problem: &Problem) -> bool {
    matches!(problem.kind(), Kind::Internal | Kind::QueryFailed | Kind::IndexNotMade)
}

/// A failure to read a snapshot, or 410 when that is because it is no longer kept.
pub(super) async fn or_gone(state: &AppState, manifest: &Manifest, problem: Problem) -> Problem {
    if !may_be(&problem) {
        return problem;
    }
    let Ok(id) = manifest.dataset.parse::<DatasetId>() else { return problem };
    match state.store.head(&id).await {
        // The current one is never collected: what is missing there is lost, and our fault.
        Ok(Some(head)) if head.snapshot > manifest.snapshot && is_collected(state, &id, manifest).await => {
            gone(state, &id, manifest.snapshot, Some(manifest), head.snapshot)
        }
        _ => problem,
    }
}

async fn is_collected(state: &AppState, id: &DatasetId, manifest: &Manifest) -> bool {
    // What a collection has decided holds before its last file is gone.
    if let Ok(Some((_, boundary))) = state.store.boundary(id).await
        && manifest.snapshot <= boundary.collected_to
    {
        return true;
    }
    let mut looked = 0;
    for table in &manifest.tables {
        for files in [state.store.files(manifest, table).await, state.store.reject_files(manifest, table).await] {
            let files = match files {
                Ok(files) => files,
                Err(StoreError::NotFound { .. }) => return true,
                Err(_) => continue,
            };
            for file in files.iter() {
                looked += 1;
                if looked > LOOKED_FOR {
                    return false;
                }
                if matches!(state.store.object(&file.key).await, Ok(None)) {
                    return true;
                }
            }
        }
    }
    false
}
