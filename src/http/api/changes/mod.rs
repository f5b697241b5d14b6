//! `/v1/datasets/{dataset}/tables/{table}/changes`: what later snapshots made of a table, as rows.
//!
//! - `range`: the snapshots a feed goes through
//! - `said`: numbers, files, and what is said of columns that changed

mod range;
mod said;

use std::sync::Arc;

use axum::{http::Method, response::Response};
use serde_json::json;

use self::{
    range::{Range, found},
    said::{ChangeNumbers, ChangesBody, FileChanges},
};
use crate::{
    http::{
        api::{
            asked::{self, Asked},
            paging::Pages,
            sql,
        },
        deliver::{Delivery, deliver},
        incoming::Incoming,
        params::{Params, query_string},
        problem::{Instead, Kind, Problem},
        produce,
        subject::Subject,
    },
    query::{
        changes::{COMMIT_VERSION, Changes, Counts},
        encode::{Format, json},
        engine::Sorting,
    },
};

/// Parameters that say which changes; the others say which of their rows, and how they are shown.
const RANGE: [&str; 2] = ["from", "to"];
/// Parameters of rows that have no meaning here.
const NOT_HERE: [&str; 6] = ["snapshot", "order_by", "cursor", "sample", "seed", "dry_run"];

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
    let (subject, Range { from, to, steps }) = found(&request).await?;
    let changes = Changes {
        store: request.state.store.clone(),
        footers: Arc::clone(&request.state.footers),
        caps: request.state.settings.scan,
        schema: subject.source.table.schema.as_ref().clone(),
        steps,
    };
    let files = || format!("{}/files?since={}&snapshot={to}", subject.described(&request.state), from.max(1));
    if !changes.is_keyed() {
        return files_only(&request, &subject, &changes, (from, to)).map_err(|problem| problem.or_hint(files));
    }
    let here = || format!("{}?from={from}&to={to}&limit=10", subject.here(&request.state));
    let problem = match answer(&request, &subject, changes, (from, to)).await {
        Ok(response) => return Ok(response),
        Err(problem) => range::or_gone(&request, &subject, from, problem).await,
    };
    Err(match problem.kind() {
        Kind::TooMuchToScan => problem.hint(files()),
        _ => problem.or_hint(here),
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

fn read(request: &Incoming, subject: &Subject, params: &Params) -> Result<Asked, Problem> {
    if let Some((name, _)) = &params.iter().find(|(name, _)| NOT_HERE.contains(name)) {
        let detail = match *name {
            "snapshot" => "`snapshot` has no meaning here: `from` and `to` say which snapshots.".to_owned(),
            name => {
                format!("`{name}` has no meaning here: changes come by snapshot, then by primary key, all of them.")
            }
        };
        let instead = (*name == "snapshot").then(|| Instead::Name("snapshot".to_owned(), "to".to_owned()));
        return Err(Problem::new(Kind::UnknownParameter, detail).instead(instead));
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

/// Room to sort in, with a turn among those that work for long if anything has to be sorted.
async fn sorting(request: &Incoming, subject: &Subject, changes: &Changes) -> Result<Sorting, Problem> {
    let state = &request.state;
    let again = || format!("{}{}", subject.here(state), query_string(request.params.iter()));
    let turn = match request.method != Method::HEAD && changes.sorts() {
        true => Some(sql::turn_behind(state, again).await?),
        false => None,
    };
    let (memory, spill) = (state.settings.sql.anonymous.memory, state.settings.extracts.anonymous.spill);
    Ok(state.engine.sorting(turn, memory, spill, &state.settings.scan)?)
}

async fn answer(
    request: &Incoming,
    subject: &Subject,
    changes: Changes,
    (from, to): (u64, u64),
) -> Result<Response, Problem> {
    let asked = read(request, subject, &request.params).map_err(|problem| {
        let meant = problem.meant().map(|change| request.params.clone().changed(change));
        match meant.filter(|meant| read(request, subject, meant).is_ok()) {
            Some(meant) => problem.hint(format!("{}{}", subject.here(&request.state), query_string(meant.iter()))),
            None => problem,
        }
    })?;
    let (first, last, offset) = (from.to_string(), to.to_string(), asked.slice.offset.to_string());
    let range = [("from", first.as_str()), ("to", last.as_str())];
    let query = asked.query([("from", first.as_str()), ("to", last.as_str()), ("offset", offset.as_str())]);
    let validity = subject.validity(request, &query);
    if let Some(response) = subject.not_modified(request, &validity) {
        return Ok(response);
    }
    let sorting = sorting(request, subject, &changes).await?;
    let shown = ["select", "offset", "limit", "format", "truncate"];
    let alone = asked.count != "none"
        && asked.format == Format::Json
        && !request.params.iter().any(|(name, _)| shown.contains(&name));
    let counted = if alone || (asked.count != "none" && request.method != Method::HEAD) {
        let (copy, slice, sorting) = (changes.clone(), asked.slice.clone(), sorting.clone());
        let counted = produce::apart(&request.state, move || async move { copy.count(slice, sorting).await }).await?;
        request.state.metrics.scanned.inc_by(counted.1);
        Some(counted)
    } else {
        None
    };
    if let Some((counts, scanned)) = counted.as_ref().filter(|_| alone) {
        let mut response = request.json(&ChangeNumbers::of(subject, (from, to), counts), validity.policy)?;
        response.headers_mut().insert("openshelf-scanned-bytes", (*scanned).into());
        subject.describe(&mut response, &request.state);
        return Ok(response);
    }
    let total = counted.as_ref().map(|(counts, _)| said::total(counts));
    let pages = Pages::new(subject.here(&request.state), asked.query(range));
    let (offset, row_count) = (asked.slice.offset, total.map(|Counts { rows, .. }| rows));
    let row_count = row_count.map(|value| json::RowCount { value, kind: "exact" });
    let tail = move |rows: u64, more: bool| {
        let next = more.then(|| pages.at([("offset", offset.saturating_add(rows).to_string().as_str())]));
        json::Tail { offset, row_count, next, ..json::Tail::default() }
    };
    let mut columns = subject.columns(&asked.slice.columns);
    for column in columns.iter_mut().filter(|column| column.name == COMMIT_VERSION) {
        column.wide = false;
    }
    let mut head = subject.head();
    head.insert("from".to_owned(), json!(from));
    head.insert("to".to_owned(), json!(to));
    head.extend(total.map(|total| ("changes".to_owned(), json!(said::ChangeCounts::from(total)))));
    head.extend(said::note(&changes).map(|note| ("note".to_owned(), json!(note))));
    let delivery = Delivery {
        format: asked.format,
        columns,
        head,
        tail: Box::new(tail),
        limit: asked.limit,
        truncate: asked.truncate,
        file: format!("{}-{}-changes-{from}-{to}", subject.published.manifest.dataset, subject.table),
        metadata: subject.metadata(asked.format),
        next: None,
        counted: counted.map_or(0, |(_, scanned)| scanned),
    };
    let mut response = deliver(request, &validity, delivery, changes.rows(asked.slice, sorting)?).await?;
    subject.describe(&mut response, &request.state);
    Ok(response)
}

/// What can be said of a table without a primary key.
fn files_only(
    request: &Incoming,
    subject: &Subject,
    changes: &Changes,
    range: (u64, u64),
) -> Result<Response, Problem> {
    let asked = read(request, subject, &request.params)?;
    let list = FileChanges::of(&request.state, subject, changes, range);
    if asked.format != Format::Json {
        return Err(Problem::new(Kind::NotAcceptable, format!("{} They are listed as JSON only.", list.detail)));
    }
    let mut response = request.json(&list, subject.validity(request, &[]).policy)?;
    subject.describe(&mut response, &request.state);
    Ok(response)
}
