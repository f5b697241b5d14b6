//! From `from` and `to` to the snapshots a feed goes through, and what each made of the table.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    catalog::{DatasetId, Manifest},
    http::{
        collected, gate,
        incoming::Incoming,
        problem::{Kind, Problem},
        published::{self, Published},
        subject::Subject,
    },
    query::{
        changes::{self, State, Step},
        table::{Rows, Table},
    },
};

/// Snapshots one feed may go through.
const MOST_STEPS: u64 = 1000;
/// Manifests read side by side.
const AT_ONCE: usize = 16;

/// From where to where, and what happened on the way.
pub(super) struct Range {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) steps: Vec<Step>,
}

/// The table, with the columns of its feed, and the snapshots it goes through.
pub(super) async fn found(request: &Incoming) -> Result<(Subject, Range), Problem> {
    let state = &request.state;
    let to = published::snapshot_by("to", state, request.path.get("dataset"), request.params.get("to")).await?;
    let name = to.data_table(state, request.path.get("table"))?.name.clone();
    let id = to.manifest.dataset.clone();
    let here = state.url(&format!("/v1/datasets/{id}/tables/{name}/changes"));
    let newest = to.manifest.snapshot;
    let Some(from) = request.params.get("from") else {
        let detail = "`from` is missing: the changes after which snapshot?";
        let hint = format!("{here}?from={}", newest.saturating_sub(1));
        return Err(Problem::new(Kind::InvalidParameter, detail).hint(hint));
    };
    let from = match from {
        // Before the first snapshot there was nothing.
        "0" => 0,
        text => published::snapshot_by("from", state, &id, Some(text)).await?.manifest.snapshot,
    };
    // Whoever asks again and again without `to` has often seen everything.
    if from > newest || (from == newest && request.params.get("to").is_some()) {
        let detail = format!("`from` is {from}, and `to` is {newest}: `from` must be the earlier one.");
        let (first, last) = if from > newest { (newest, from) } else { (newest.saturating_sub(1), newest) };
        let hint = format!("{here}?from={first}&to={last}");
        return Err(Problem::new(Kind::InvalidParameter, detail).hint(hint));
    }
    if newest - from > MOST_STEPS {
        let detail =
            format!("From {from} to {newest} are more than {MOST_STEPS} snapshots, the most one answer goes through.");
        return Err(
            Problem::new(Kind::InvalidParameter, detail).hint(format!("{here}?from={from}&to={}", from + MOST_STEPS))
        );
    }
    let steps = steps(request, &to.manifest, &name, from).await?;
    Ok((subject(request, to, &name, &steps).await?, Range { from, to: newest, steps }))
}

/// What each snapshot after `from` made of the one before it.
async fn steps(request: &Incoming, to: &Arc<Manifest>, table: &str, from: u64) -> Result<Vec<Step>, Problem> {
    let id: DatasetId = to.dataset.parse().map_err(Problem::internal)?;
    let numbers: Vec<u64> = (from.max(1)..=to.snapshot).collect();
    let reads: Vec<_> = numbers.iter().map(|number| table_in(request, &id, *number, table)).collect();
    let states: Vec<Option<State>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
    let mut before = if from == 0 { Some(None) } else { None };
    let mut steps = Vec::new();
    for (number, after) in numbers.into_iter().zip(states) {
        if let Some(before) = before.replace(after.clone()) {
            steps.push(Step { snapshot: number, before, after });
        }
    }
    Ok(steps)
}

/// A table as a snapshot has it; `None` when that has none of the name.
async fn table_in(request: &Incoming, id: &DatasetId, number: u64, table: &str) -> Result<Option<State>, Problem> {
    let state = &request.state;
    let Some(manifest) = state.store.manifest(id, number).await? else {
        let list = state.url(&format!("/v1/datasets/{id}/snapshots"));
        return Err(Problem::new(Kind::SnapshotNotFound, format!("`{id}` has no snapshot {number}.")).hint(list));
    };
    let Some(table) = manifest.table(table) else { return Ok(None) };
    gate::pass(state, &manifest, table)?;
    Ok(Some(State {
        files: match state.store.files(&manifest, table).await {
            Ok(files) => files,
            Err(error) => return Err(collected::or_gone(state, &manifest, error.into()).await),
        },
        schema: table.schema.clone(),
        primary_key: table.primary_key.clone(),
        sort_key: table.sort_key.clone(),
    }))
}

async fn subject(request: &Incoming, to: Published, table: &str, steps: &[Step]) -> Result<Subject, Problem> {
    let table = to.data_table(&request.state, table)?.clone();
    let mut source = to.source(&request.state, &table, Rows::Published).await?;
    // Numbers are shown in one way in all rows: the files of every snapshot decide.
    let states = steps.iter().flat_map(|step| step.before.iter().chain(&step.after));
    let mut files: Vec<_> = states.flat_map(|state| state.files.iter().cloned()).collect();
    files.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    files.dedup_by(|a, b| a.key == b.key);
    source.table = Arc::new(Table::new(Arc::new(files), Arc::new(changes::schema(&table.schema))));
    let license = to.manifest.license_of(&table).clone();
    Ok(Subject { published: to, table: table.name, what: "changes", rows: Rows::Published, license, source })
}

/// A failure to read, or 410 when one of the snapshots is no longer kept.
pub(super) async fn or_gone(request: &Incoming, subject: &Subject, from: u64, mut problem: Problem) -> Problem {
    let state = &request.state;
    let Ok(id) = subject.published.manifest.dataset.parse::<DatasetId>() else { return problem };
    for number in from.max(1)..=subject.published.manifest.snapshot {
        if !collected::may_be(&problem) {
            break;
        }
        if let Ok(Some(manifest)) = state.store.manifest(&id, number).await {
            problem = collected::or_gone(state, &manifest, problem).await;
        }
    }
    problem
}
