//! `/datasets/{dataset}`: one dataset with its tables, columns and first rows.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::HeaderMap, response::Response};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::{count, docs::marked, layout, outside, size, snippets, start, values};
use crate::{
    catalog::{DataFile, TableSnapshot},
    http::{
        answer,
        api::snapshots,
        cache::CachePolicy,
        gate::{self, Access},
        params::{Params, PathParams},
        problem::Problem,
        published::{self, Published},
        state::AppState,
        statistics,
    },
    query::{
        Slice, SliceRequest,
        encode::{Encoder, Format, OutputColumn},
        scan::Scan,
        statistics::TableStatistics,
        table::Rows,
    },
};

/// Rows shown of a table, and characters shown of a cell.
const FIRST_ROWS: u64 = 5;
const CELL: usize = 120;
/// Parts missing upstream that are named.
const GAPS: usize = 100;

/// A table as its page shows it.
struct Shown<'a> {
    table: &'a TableSnapshot,
    open: bool,
    files: Arc<Vec<DataFile>>,
    rows: Vec<Vec<String>>,
    statistics: Option<Arc<TableStatistics>>,
}

/// A dataset, for people.
#[utoipa::path(
    get, path = "/datasets/{dataset}", tag = "pages",
    params(("dataset" = String, Path, description = "Dataset")),
    responses((status = 200, description = "A page", body = String, content_type = "text/html"), (status = 404, description = "No such dataset"))
)]
pub(in crate::http) async fn page(
    State(state): State<AppState>,
    path: PathParams,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let published = published::snapshot(&state, path.get("dataset"), None).await?;
    let manifest = &published.manifest;
    let base = start::base(&state, &headers);
    let mut tables = Vec::new();
    for table in &manifest.tables {
        let open = gate::access(&state, manifest.license_of(table)) == Access::Open;
        let files = state.store.files(manifest, table).await?;
        let rows = if open { first_rows(&state, &published, table).await } else { Vec::new() };
        let statistics = if open { values_of(&state, &published, table).await } else { None };
        tables.push(Shown { table, open, files, rows, statistics });
    }
    let gaps = state.store.some_gaps(manifest, 0, GAPS).await?;
    let id = &manifest.dataset;
    let api = state.url(&format!("/v1/datasets/{id}"));
    let cited = format!("{base}/v1/datasets/{id}/snapshots/{}", manifest.snapshot);
    let body = html! {
        h1 { (manifest.info.title) }
        @if !manifest.info.description.is_empty() { p .lead { (marked(&manifest.info.description)) } }
        (start::facts(&state, manifest))
        @if let Some(attribution) = &manifest.license.attribution { p { (attribution) } }
        p {
            @if let Some(home) = &manifest.info.homepage { (outside(home, "Publisher's page")) " · " }
            a href=(api) { "As JSON" } " · "
            a href=(format!("{api}/snapshots")) { "Snapshots" } " · "
            a href=(format!("{api}/runs")) { "Ingest runs" } " · "
            a href=(format!("{api}/snapshots/{}", manifest.snapshot)) { "Where it came from" }
        }
        @if !gaps.is_empty() {
            details {
                summary { (manifest.gap_count()) " parts are missing upstream" }
                ul { @for gap in &gaps { li { code { (gap.url) } ": " (gap.reason) } } }
            }
        }
        @for table in &tables { (table_part(&state, id, table, &base)) }
        h2 { "Cite" }
        pre tabindex="0" { code { (snapshots::citation(manifest, &cited)) } }
    };
    Ok(answer::html(layout(&state, &manifest.info.title, &body), CachePolicy::Current, &headers))
}

fn table_part(state: &AppState, id: &str, shown: &Shown<'_>, base: &str) -> Markup {
    let table = shown.table;
    let api = state.url(&format!("/v1/datasets/{id}/tables/{}", table.name));
    html! {
        section {
            h2 id=(table.name) { (table.name) }
            @if !table.description.is_empty() { p { (marked(&table.description)) } }
            p .soft {
                (count(table.rows)) " rows, " (size(table.bytes))
                @if table.rejected > 0 {
                    ", " a href=(format!("{api}/rejects")) { (count(table.rejected)) " rejected" }
                }
                " · " a href=(format!("{api}/rows")) { "rows" }
                " · " a href=(format!("{api}/files")) { "files" }
                @if !table.primary_key.is_empty() { " · key " code { (table.primary_key.join(", ")) } }
            }
            (columns(table, shown.statistics.as_deref()))
            @if !shown.open { (snippets::own_machine(id)) }
            @if !shown.rows.is_empty() {
                details open {
                    summary { "First rows" }
                    (rows(table, &shown.rows))
                }
            }
            @if shown.open {
                details {
                    summary { "Read it with curl, pandas, polars, DuckDB, S3 or Iceberg" }
                    (snippets::shown(&snippets::lines(base, id, &table.name, &shown.files)))
                }
            }
        }
    }
}

/// The statistics, if they are there; a page does not wait for them.
async fn values_of(state: &AppState, published: &Published, table: &TableSnapshot) -> Option<Arc<TableStatistics>> {
    match statistics::of(state, published, table, Duration::ZERO).await {
        Ok(found) => found.statistics,
        Err(problem) => {
            tracing::warn!(
                dataset.id = published.manifest.dataset,
                cause = problem.cause(),
                "no statistics of {}",
                table.name
            );
            None
        }
    }
}

fn columns(table: &TableSnapshot, statistics: Option<&TableStatistics>) -> Markup {
    html! {
        div .wide tabindex="0" role="region" aria-label={ "Columns of " (table.name) } {
            table {
                thead {
                    tr {
                        th scope="col" { "Column" }
                        th scope="col" { "Type" }
                        th scope="col" { "Meaning" }
                        @if statistics.is_some() { th scope="col" { "Values" } }
                    }
                }
                tbody {
                    @for (at, column) in table.schema.columns.iter().enumerate() {
                        tr {
                            td { code { (column.name) } }
                            td .type {
                                code { (column.kind.to_string()) }
                                @if column.nullable { " " span .soft { "or null" } }
                            }
                            td { (marked(&column.description)) @if let Some(unit) = &column.unit { span .soft { " [" (unit) "]" } } }
                            @if let Some(all) = statistics {
                                td { @if let Some(column) = all.columns.get(at) { (values::shown(column, all.rows)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn rows(table: &TableSnapshot, rows: &[Vec<String>]) -> Markup {
    html! {
        div .wide tabindex="0" role="region" aria-label={ "First rows of " (table.name) } {
            table {
                thead { tr { @for column in &table.schema.columns { th scope="col" { (column.name) } } } }
                tbody { @for row in rows { tr { @for cell in row { td .cell { (cell) } } } } }
            }
        }
    }
}

/// The first rows as text, each cell cut short. A page is still a page when they cannot be read.
async fn first_rows(state: &AppState, published: &Published, table: &TableSnapshot) -> Vec<Vec<String>> {
    match read(state, published, table).await {
        Ok(rows) => rows,
        Err(problem) => {
            tracing::warn!(
                dataset.id = published.manifest.dataset,
                cause = problem.cause(),
                "no first rows of {}",
                table.name
            );
            Vec::new()
        }
    }
}

async fn read(state: &AppState, published: &Published, table: &TableSnapshot) -> Result<Vec<Vec<String>>, Problem> {
    let request = SliceRequest { limit: Some(FIRST_ROWS), ..SliceRequest::default() };
    let slice = Slice::new(&request, &table.schema)?;
    let columns: Vec<OutputColumn> = table.schema.columns.iter().map(OutputColumn::plain).collect();
    let source = published.source(state, table, Rows::Published).await?;
    let mut batches = Scan::new(source, slice).batches();
    let mut encoder = Encoder::new(Format::Ndjson, &columns, batches.schema(), Vec::new())?;
    let mut lines = Vec::new();
    loop {
        let (rest, batch) = batches.next_blocking().await;
        let (Some(rest), Some(batch)) = (rest, batch?) else { break };
        encoder.push(&batch, &mut lines)?;
        batches = rest;
    }
    lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(cells).collect()
}

fn cells(line: &[u8]) -> Result<Vec<String>, Problem> {
    let row: Map<String, Value> = serde_json::from_slice(line).map_err(Problem::internal)?;
    let cell = |value: &Value| {
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match text.char_indices().nth(CELL) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    };
    Ok(row.values().map(cell).collect())
}
