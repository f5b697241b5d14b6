//! `/v1/datasets/{dataset}/tables/{table}/changes`: what later snapshots made of a table, as rows.

use std::sync::Arc;

use axum::{http::Method, response::Response};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    catalog::{DatasetId, Manifest},
    http::{
        api::{
            asked::{self, Asked},
            files::{self, FileEntry},
            paging::Pages,
        },
        deliver::{Delivery, deliver},
        gate,
        incoming::Incoming,
        params::{Params, query_string},
        problem::{Kind, Problem},
        published::{self, Published},
        subject::Subject,
    },
    query::{
        changes::{self, COMMIT_VERSION, Changes, Counts, State, Step},
        encode::{Format, json},
        table::{Rows, Table},
    },
};

/// Snapshots one feed may go through.
const MOST_STEPS: u64 = 1000;
/// Manifests read side by side.
const AT_ONCE: usize = 16;
/// Parameters that say which changes; the others say which of their rows, and how they are shown.
const RANGE: [&str; 2] = ["from", "to"];
/// Parameters of rows that have no meaning here.
const NOT_HERE: [&str; 6] = ["snapshot", "order_by", "cursor", "sample", "seed", "dry_run"];

/// Numbers of changes.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
struct ChangeCounts {
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
struct VersionCounts {
    snapshot: u64,
    #[serde(flatten)]
    counts: ChangeCounts,
}

/// What `count=exact` alone gives.
#[derive(Debug, Serialize, ToSchema)]
struct ChangeNumbers {
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
struct FileChanges {
    dataset: String,
    table: String,
    snapshot: u64,
    from: u64,
    to: u64,
    /// `files`: without a primary key nobody knows which row became which.
    kind: &'static str,
    detail: String,
    added: Vec<FileEntry>,
    removed: Vec<FileEntry>,
}

/// Rows of the feed, or what is said instead of them.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the document")]
enum ChangesBody {
    Rows(super::described::RowsAnswer),
    Numbers(ChangeNumbers),
    Files(FileChanges),
}

/// What changed in a table after one snapshot, up to another: rows as in Delta's change feed, version by version.
///
/// Each snapshot after `from` is compared with the one before it, over the columns that both have, by primary key: rows
/// with `_change_type` (`insert`, `update_preimage`, `update_postimage`, `delete`) and `_commit_version`. `count=exact`
/// without `select`, `offset`, `limit`, `format` and `truncate` gives the numbers alone. A table without a primary key has
/// changes of files only.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/tables/{table}/changes", tag = "rows",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("table" = String, Path, description = "Table"),
        ("from" = String, Query, description = "Changes after this snapshot: a number (0: from the beginning) or a UTC date"),
        ("to" = Option<String>, Query, description = "Up to and with this snapshot; the current one by default"),
        ("select" = Option<String>, Query, description = "As for rows; `_change_type` and `_commit_version` are columns, too"),
        ("where" = Option<String>, Query, description = "As for rows, over the rows of the feed"),
        ("offset" = Option<u64>, Query, description = "Rows of the feed to skip"),
        ("limit" = Option<u64>, Query, description = "As for rows"),
        ("format" = Option<String>, Query, description = "As for rows"),
        ("count" = Option<String>, Query, description = "`exact` alone gives the numbers of added, removed and changed rows"),
        ("truncate" = Option<u8>, Query, description = "As for rows")
    ),
    responses(
        (status = 200, description = "Rows of the feed, or numbers (`ChangeNumbers`), or files (`FileChanges`)", body = ChangesBody),
        (status = 304, description = "The client has them"),
        (status = 400, description = "A parameter is wrong; the problem says which and what would work"),
        (status = 404, description = "No such table or snapshot"),
        (status = 406, description = "No such format"),
        (status = 422, description = "It takes more than one query may; the problem names the files that differ"),
        (status = 451, description = "The license allows no public copy")
    )
)]
pub(in crate::http) async fn get(request: Incoming) -> Result<Response, Problem> {
    let (subject, range) = found(&request).await?;
    let changes = Changes {
        store: request.state.store.clone(),
        footers: Arc::clone(&request.state.footers),
        caps: request.state.settings.scan,
        schema: subject.source.table.schema.as_ref().clone(),
        steps: range.steps,
    };
    let range = (range.from, range.to);
    if !changes.is_keyed() {
        return files_only(&request, &subject, &changes, range);
    }
    let answered = answer(&request, &subject, changes, range).await;
    let hint = || {
        let described = subject.described(&request.state);
        format!("{described}/files?since={}&snapshot={}", range.0.max(1), range.1)
    };
    answered.map_err(|problem| match problem.kind() {
        Kind::TooMuchToScan => problem.hint(hint()),
        _ => problem,
    })
}

/// The same, with the parameters as JSON.
#[utoipa::path(
    post, path = "/v1/datasets/{dataset}/tables/{table}/changes", tag = "rows",
    params(("dataset" = String, Path, description = "Dataset"), ("table" = String, Path, description = "Table"))
)]
pub(in crate::http) async fn post(request: Incoming) -> Result<Response, Problem> {
    get(request).await
}

/// From where to where, and what happened on the way.
struct Range {
    from: u64,
    to: u64,
    steps: Vec<Step>,
}

/// The table, with the columns of its feed, and the snapshots it goes through.
async fn found(request: &Incoming) -> Result<(Subject, Range), Problem> {
    let state = &request.state;
    let to = published::snapshot(state, request.path.get("dataset"), request.params.get("to")).await?;
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
        text => published::snapshot(state, &id, Some(text)).await?.manifest.snapshot,
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
        files: state.store.files(&manifest, table).await?,
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

fn read(request: &Incoming, subject: &Subject, params: &Params) -> Result<Asked, Problem> {
    if let Some((name, _)) = params.iter().find(|(name, _)| NOT_HERE.contains(name)) {
        let detail =
            format!("`{name}` has no meaning here: changes come by snapshot, then by primary key, all of them.");
        return Err(Problem::new(Kind::UnknownParameter, detail));
    }
    for name in RANGE {
        params.clone().without(|other| other != name).only(&RANGE)?;
    }
    let params = params.clone().without(|name| RANGE.contains(&name));
    let mut asked = asked::read(&params, &subject.address(), &subject.source.table.schema, &request.headers)?;
    if asked.format == Format::Json {
        // One more than is shown, to know whether there is a next page.
        asked.slice.limit = asked.limit.map(|limit| limit + 1);
    }
    Ok(asked)
}

async fn answer(
    request: &Incoming,
    subject: &Subject,
    changes: Changes,
    (from, to): (u64, u64),
) -> Result<Response, Problem> {
    let asked = read(request, subject, &request.params).map_err(|problem| {
        // A hint must name the range, too.
        let here = subject.here(&request.state);
        let meant = problem.meant().map(|change| request.params.clone().changed(change));
        match meant.filter(|meant| read(request, subject, meant).is_ok()) {
            Some(meant) => problem.hint(format!("{here}{}", query_string(meant.iter()))),
            None => problem.or_hint(|| format!("{here}?from={from}&to={to}&limit=10")),
        }
    })?;
    let (first, last, offset) = (from.to_string(), to.to_string(), asked.slice.offset.to_string());
    let query = asked.query([("from", first.as_str()), ("to", last.as_str()), ("offset", offset.as_str())]);
    let validity = subject.validity(request, &query);
    if let Some(response) = subject.not_modified(request, &validity) {
        return Ok(response);
    }
    let counting = asked.count != "none" && request.method != Method::HEAD;
    let shown = ["select", "offset", "limit", "format", "truncate"];
    let alone = asked.format == Format::Json && !request.params.iter().any(|(name, _)| shown.contains(&name));
    let counts = if counting || (alone && asked.count != "none") {
        let copy = changes.clone();
        let (slice, runtime) = (asked.slice.clone(), tokio::runtime::Handle::current());
        let counted = tokio::task::spawn_blocking(move || runtime.block_on(copy.count(slice)));
        let (counts, scanned) = counted.await.map_err(Problem::internal)??;
        request.state.metrics.scanned.inc_by(scanned);
        Some((counts, scanned))
    } else {
        None
    };
    let total = |counts: &[(u64, Counts)]| counts.iter().fold(Counts::default(), |sum, (_, more)| sum.plus(*more));
    if let Some((counts, scanned)) = counts.as_ref().filter(|_| alone) {
        let numbers = ChangeNumbers {
            dataset: subject.published.manifest.dataset.clone(),
            table: subject.table.clone(),
            snapshot: to,
            from,
            to,
            changes: total(counts).into(),
            versions: counts
                .iter()
                .map(|(snapshot, counted)| VersionCounts { snapshot: *snapshot, counts: (*counted).into() })
                .collect(),
        };
        let mut response = request.json(&numbers, validity.policy)?;
        response.headers_mut().insert("openshelf-scanned-bytes", (*scanned).into());
        subject.describe(&mut response, &request.state);
        return Ok(response);
    }
    let row_count = counts.as_ref().map(|(counts, _)| json::RowCount { value: total(counts).rows, kind: "exact" });
    let offset = asked.slice.offset;
    let range = [("from", first.as_str()), ("to", last.as_str())];
    let pages = Pages::new(subject.here(&request.state), asked.query(range));
    let tail = move |rows: u64, more: bool| {
        let next = more.then(|| pages.at([("offset", offset.saturating_add(rows).to_string().as_str())]));
        json::Tail { offset, row_count, next, ..json::Tail::default() }
    };
    let manifest = &subject.published.manifest;
    let mut columns = subject.columns(&asked.slice.columns);
    for column in columns.iter_mut().filter(|column| column.name == COMMIT_VERSION) {
        column.wide = false;
    }
    let mut head = subject.head();
    head.insert("from".to_owned(), json!(from));
    head.insert("to".to_owned(), json!(to));
    if let Some((counts, _)) = &counts {
        head.insert("changes".to_owned(), json!(ChangeCounts::from(total(counts))));
    }
    if let Some(note) = note(&changes) {
        head.insert("note".to_owned(), json!(note));
    }
    let delivery = Delivery {
        format: asked.format,
        columns,
        head,
        tail: Box::new(tail),
        limit: asked.limit,
        truncate: asked.truncate,
        file: format!("{}-{}-changes-{from}-{to}", manifest.dataset, subject.table),
        metadata: subject.metadata(asked.format),
        next: None,
    };
    let mut response = deliver(request, &validity, delivery, changes.rows(asked.slice)?).await?;
    subject.describe(&mut response, &request.state);
    Ok(response)
}

/// What is to be said of a feed over columns that changed.
fn note(changes: &Changes) -> Option<String> {
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

fn files_only(
    request: &Incoming,
    subject: &Subject,
    changes: &Changes,
    (from, to): (u64, u64),
) -> Result<Response, Problem> {
    let state = &request.state;
    let described = subject.described(state);
    let since = format!("{described}/files?since={}&snapshot={to}", from.max(1));
    let asked = read(request, subject, &request.params).map_err(|problem| problem.or_hint(|| since.clone()))?;
    let detail = format!(
        "`{}.{}` has no primary key, so nobody knows which row became which: these are the files that came and went.",
        subject.published.manifest.dataset, subject.table
    );
    if asked.format != Format::Json {
        return Err(Problem::new(Kind::NotAcceptable, format!("{detail} They are listed as JSON only.")).hint(since));
    }
    let manifest = &subject.published.manifest;
    let (before, after) = (changes.steps.first(), changes.steps.last());
    let before = before.and_then(|step| step.before.as_ref()).map(|state| Arc::clone(&state.files)).unwrap_or_default();
    let after = after.and_then(|step| step.after.as_ref()).map(|state| Arc::clone(&state.files)).unwrap_or_default();
    let (added, removed) = changes::difference(&before, &after);
    let entry = |file: &crate::catalog::DataFile| files::entry(state, &manifest.dataset, &subject.table, file);
    let list = FileChanges {
        dataset: manifest.dataset.clone(),
        table: subject.table.clone(),
        snapshot: to,
        from,
        to,
        kind: "files",
        detail,
        added: added.into_iter().map(entry).collect(),
        removed: removed.into_iter().map(entry).collect(),
    };
    let validity = subject.validity(request, &[]);
    let mut response = request.json(&list, validity.policy)?;
    subject.describe(&mut response, state);
    Ok(response)
}
