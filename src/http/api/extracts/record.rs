//! An extract as it stands, as its answer says it: progress, files, licenses, how to cite it, how to have it made again.

use std::collections::BTreeMap;

use axum::{http::HeaderMap, response::Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::{
        Redistribution,
        extract::{Extract, ExtractFile, ExtractLicense, ExtractOrder, ExtractProgress, ExtractRequest, ExtractState},
    },
    http::{answer, api::link, body, cache::CachePolicy, problem::Problem, state::AppState},
    store::Agenda,
};

#[derive(Debug, Serialize, ToSchema)]
struct ExtractFileEntry {
    url: String,
    bytes: u64,
    rows: u64,
    sha256: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExtractColumn {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct QueuePosition {
    /// 1: the next one to be begun.
    position: u64,
}

/// An extract as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExtractDetail {
    id: String,
    url: String,
    /// `queued`, `running`, `done`, `failed` or `expired`.
    state: &'static str,
    created: DateTime<Utc>,
    /// While it is queued.
    queue: Option<QueuePosition>,
    /// Once it runs.
    progress: Option<ExtractProgress>,
    /// Why it failed, and what to do.
    message: Option<String>,
    finished: Option<DateTime<Utc>>,
    /// Until when the files are kept. The record is kept for good.
    expires: Option<DateTime<Utc>>,
    request: ExtractRequest,
    /// The snapshots it reads, by dataset.
    snapshots: BTreeMap<String, u64>,
    /// The licenses of all it reads; share-alike ones hold for the result.
    licenses: Vec<ExtractLicense>,
    /// Name and type of each column of the result.
    columns: Vec<ExtractColumn>,
    rows: Option<u64>,
    bytes: Option<u64>,
    /// In row order; empty until it is done, and after it expired.
    files: Vec<ExtractFileEntry>,
    /// The version of Openshelf that made the files.
    software: Option<String>,
    /// How to cite it.
    cite_as: String,
    bibtex: String,
    /// How to have the files made (again), when there are none.
    redo: Option<String>,
}

/// Whether its files are there.
pub(super) fn has_files(state: &AppState, extract: &Extract) -> bool {
    matches!(&extract.last.state, ExtractState::Done(result) if result.expires > (state.clock)())
}

/// The answer, or 304.
pub(super) async fn detail(state: &AppState, extract: &Extract, headers: &HeaderMap) -> Result<Response, Problem> {
    let url = state.url(&format!("/v1/extracts/{}", extract.id));
    let order = &extract.order;
    let there = has_files(state, extract);
    let (name, message) = match &extract.last.state {
        ExtractState::Requested(_) | ExtractState::Released { .. } => ("queued", None),
        ExtractState::Running { .. } => ("running", None),
        ExtractState::Done(_) if there => ("done", None),
        ExtractState::Done(_) | ExtractState::Expired(_) => ("expired", None),
        ExtractState::Failed { message } => ("failed", Some(message.clone())),
    };
    let queue = match name {
        "queued" => {
            let waiting = state.store.agenda(Agenda::Queue).await?;
            let at = waiting.iter().position(|due| due.id == extract.id);
            at.map(|at| QueuePosition { position: at as u64 + 1 })
        }
        _ => None,
    };
    let progress = match &extract.last.state {
        ExtractState::Running { progress, .. } => Some(state.extracts.live(&extract.id).unwrap_or(*progress)),
        _ => None,
    };
    let result = extract.result();
    let entry = |file: &ExtractFile| ExtractFileEntry {
        url: format!("{url}/{}", file.name),
        bytes: file.bytes,
        rows: file.rows,
        sha256: file.sha256.clone(),
    };
    let made = result.map_or(extract.created, |result| result.finished);
    let view = ExtractDetail {
        id: extract.id.to_string(),
        state: name,
        created: extract.created,
        queue,
        progress,
        message,
        finished: result.map(|result| result.finished),
        expires: result.map(|result| result.expires),
        request: order.request.clone(),
        snapshots: order.snapshots.clone(),
        licenses: order.licenses.clone(),
        columns: result.map_or_else(Vec::new, |result| {
            let column = |(name, kind): &(String, String)| ExtractColumn { name: name.clone(), kind: kind.clone() };
            result.columns.iter().map(column).collect()
        }),
        rows: result.map(|result| result.rows),
        bytes: result.map(|result| result.files.iter().map(|file| file.bytes).sum()),
        files: result.map_or_else(Vec::new, |result| result.files.iter().map(entry).collect()),
        software: result.map(|result| result.software.clone()),
        cite_as: citation(extract, made, &url),
        bibtex: bibtex(extract, made, &url),
        redo: matches!(name, "failed" | "expired").then(|| redo(state, order)),
        url: url.clone(),
    };
    let personal = order.licenses.iter().any(|license| license.license.redistribution == Redistribution::Personal);
    let policy = if extract.is_pending() { CachePolicy::Never } else { CachePolicy::of(false, personal) };
    let mut response = answer::json(&view, policy, headers)?;
    if let Ok(value) = named(&order.snapshots).try_into() {
        response.headers_mut().insert("openshelf-snapshot", value);
    }
    for license in &order.licenses {
        link(&mut response, &license.license.url, "license");
    }
    link(&mut response, &state.url("/openapi.json"), "describedby");
    link(&mut response, &url, "cite-as");
    Ok(response)
}

/// Snapshots as a header names them: `imdb=7, geonames=3`.
pub(super) fn named(snapshots: &BTreeMap<String, u64>) -> String {
    snapshots.iter().map(|(dataset, number)| format!("{dataset}={number}")).collect::<Vec<_>>().join(", ")
}

/// The command that asks for it, with the snapshots it had.
pub(super) fn redo(state: &AppState, order: &ExtractOrder) -> String {
    let sent = match &order.request {
        ExtractRequest::Sql { query } => serde_json::json!({"query": query, "snapshots": order.snapshots}),
        ExtractRequest::Rows { dataset, table, parameters } => {
            let mut sent = serde_json::json!({"dataset": dataset, "table": table});
            if let Some(sent) = sent.as_object_mut() {
                sent.extend(order.snapshots.get(dataset).map(|number| ("snapshot".to_owned(), (*number).into())));
                sent.extend(parameters.iter().map(|(name, value)| (name.clone(), body::value_of(name, value))));
            }
            sent
        }
    };
    let sent = sent.to_string().replace('\'', r"'\''");
    format!("curl -X POST {} -H 'Content-Type: application/json' -d '{sent}'", state.url("/v1/extracts"))
}

fn citation(extract: &Extract, made: DateTime<Utc>, url: &str) -> String {
    format!(
        "{}. Openshelf extract {}, {}. {url}",
        extract.order.citations.join("; "),
        extract.id,
        made.format("%Y-%m-%d")
    )
}

fn bibtex(extract: &Extract, made: DateTime<Utc>, url: &str) -> String {
    // Braces and backslashes would end the field or begin a command.
    let plain = |text: &str| text.chars().filter(|c| !matches!(c, '{' | '}' | '\\')).collect::<String>();
    format!(
        "@misc{{openshelf-{},\n  title = {{{{Openshelf extract {}}}}},\n  year = {{{}}},\n  note = {{{}}},\n  howpublished = {{\\url{{{}}}}}\n}}\n",
        extract.id,
        extract.id,
        made.format("%Y"),
        plain(&extract.order.citations.join("; ")),
        plain(url),
    )
}
