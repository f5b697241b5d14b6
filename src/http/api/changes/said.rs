//! What is said of changes instead of their rows, or beside them: numbers, files, and what became of the columns.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::DataFile,
    http::{
        api::{
            described::RowsAnswer,
            files::{self, FileEntry},
        },
        state::AppState,
        subject::Subject,
    },
    query::changes::{self, Changes, Counts, State},
};

/// Numbers of changes.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(super) struct ChangeCounts {
    /// Rows that came.
    added: u64,
    /// Rows that went.
    removed: u64,
    /// Rows whose values are others now.
    changed: u64,
}

impl From<Counts> for ChangeCounts {
    fn from(counts: Counts) -> Self {
        Self { added: counts.added, removed: counts.removed, changed: counts.changed }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionCounts {
    snapshot: u64,
    #[serde(flatten)]
    counts: ChangeCounts,
}

/// What `count=exact` alone gives.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeNumbers {
    dataset: String,
    table: String,
    snapshot: u64,
    from: u64,
    to: u64,
    /// Of all snapshots together: a row that was changed twice counts twice.
    changes: ChangeCounts,
    /// Of each snapshot.
    versions: Vec<VersionCounts>,
}

/// What can be said of a table without a primary key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FileChanges {
    dataset: String,
    table: String,
    snapshot: u64,
    from: u64,
    to: u64,
    /// `files`: without a primary key nobody knows which row became which.
    kind: &'static str,
    pub(super) detail: String,
    added: Vec<FileEntry>,
    removed: Vec<FileEntry>,
}

/// Of all snapshots together.
pub(super) fn total(counts: &[(u64, Counts)]) -> Counts {
    counts.iter().fold(Counts::default(), |sum, (_, more)| sum.plus(*more))
}

impl ChangeNumbers {
    /// The numbers of each snapshot after `from`, up to and with `to`.
    pub(super) fn of(subject: &Subject, (from, to): (u64, u64), counts: &[(u64, Counts)]) -> Self {
        let version =
            |(snapshot, counts): &(u64, Counts)| VersionCounts { snapshot: *snapshot, counts: (*counts).into() };
        Self {
            dataset: subject.published.manifest.dataset.clone(),
            table: subject.table.clone(),
            snapshot: to,
            from,
            to,
            changes: total(counts).into(),
            versions: counts.iter().map(version).collect(),
        }
    }
}

impl FileChanges {
    /// Files that came and went between the first state of the table and the last.
    pub(super) fn of(state: &AppState, subject: &Subject, changes: &Changes, (from, to): (u64, u64)) -> Self {
        let dataset = &subject.published.manifest.dataset;
        let files = |state: Option<&State>| state.map(|state| Arc::clone(&state.files)).unwrap_or_default();
        let before = files(changes.steps.first().and_then(|step| step.before.as_ref()));
        let after = files(changes.steps.last().and_then(|step| step.after.as_ref()));
        let (added, removed) = changes::difference(&before, &after);
        let entry = |file: &DataFile| files::entry(state, dataset, &subject.table, file);
        Self {
            dataset: dataset.clone(),
            table: subject.table.clone(),
            snapshot: to,
            from,
            to,
            kind: "files",
            detail: format!(
                "`{dataset}.{}` has no primary key, so nobody knows which row became which: these are the files that came and went.",
                subject.table
            ),
            added: added.into_iter().map(entry).collect(),
            removed: removed.into_iter().map(entry).collect(),
        }
    }
}

/// Rows of the feed, or what is said instead of them.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the document")]
pub(super) enum ChangesBody {
    Rows(RowsAnswer),
    Numbers(ChangeNumbers),
    Files(FileChanges),
}

/// What is to be said of a feed over columns that changed.
pub(super) fn note(changes: &Changes) -> Option<String> {
    let (mut notes, mut last) = (Vec::new(), None::<&State>);
    for step in &changes.steps {
        let before = step.before.as_ref().or(last);
        if let (Some(before), Some(after)) = (before, &step.after) {
            let named = |state: &State| -> Vec<(String, String)> {
                state.schema.columns.iter().map(|column| (column.name.clone(), column.kind.to_string())).collect()
            };
            let (old, new) = (named(before), named(after));
            let other = |these: &[(String, String)], those: &[(String, String)]| -> Vec<String> {
                these.iter().filter(|column| !those.contains(column)).map(|(name, _)| format!("`{name}`")).collect()
            };
            let mut names = other(&old, &new);
            names.extend(other(&new, &old));
            names.sort_unstable();
            names.dedup();
            if before.primary_key != after.primary_key {
                notes.push(format!(
                    "snapshot {} has another primary key: all rows of other files are deleted and inserted",
                    step.snapshot
                ));
            } else if !names.is_empty() {
                notes.push(format!(
                    "snapshot {} added, removed or retyped {}: rows are compared over the columns both have",
                    step.snapshot,
                    names.join(", ")
                ));
            }
        }
        last = step.after.as_ref().or(last);
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}
