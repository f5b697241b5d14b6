//! From a request for an extract to what it means: checked before it is accepted, planned again when it is run.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    catalog::{
        License, Manifest, Redistribution,
        extract::{ExtractId, ExtractLicense, ExtractOrder, ExtractRequest},
    },
    config::{ScanCaps, SqlCaps},
    http::{
        api::{
            asked::{self, Asked},
            sql::{
                self,
                names::{self, Named, Pins},
            },
        },
        body,
        gate::{self, Access},
        params::Params,
        problem::{Kind, Problem},
        published::{self, Published},
        state::AppState,
        subject::Subject,
    },
    query::{
        Slice,
        batches::Batches,
        encode::{Format, OutputColumn},
        found::{self, Choice},
        scan::Scan,
        sorted::{self, SOUGHT},
        sql::Query,
        table::Rows,
    },
};

/// Parameters of rows that have no meaning for a file.
const NOT_HERE: [&str; 5] = ["count", "cursor", "truncate", "dry_run", "format"];

/// What is to be read, and how it is shown.
pub(in crate::http) struct Planned {
    pub(in crate::http) batches: Batches,
    pub(in crate::http) columns: Vec<OutputColumn>,
}

/// What a request means, and the id that follows from it.
///
/// # Errors
/// 400 when it cannot be planned, 404, 451.
pub(super) async fn read(state: &AppState, body: Map<String, Value>) -> Result<(ExtractId, ExtractOrder), Problem> {
    let order = if body.contains_key("query") { of_sql(state, body).await? } else { of_rows(state, body).await? };
    let personal = order.licenses.iter().any(|license| license.license.redistribution == Redistribution::Personal);
    // The request in its normal form, and the snapshots: the same question has the same answer.
    let canonical = serde_json::to_vec(&(&order.request, &order.snapshots)).map_err(Problem::internal)?;
    Ok((ExtractId::of(personal, &Sha256::digest(&canonical)), order))
}

/// What can be asked for in its place, when something is wrong with it: the whole table, or the simplest of queries.
pub(super) fn plainer(body: &Map<String, Value>) -> Value {
    match (body.get("dataset"), body.get("table")) {
        (Some(Value::String(dataset)), Some(Value::String(table))) => json!({"dataset": dataset, "table": table}),
        _ => json!({"query": "SELECT 1"}),
    }
}

/// Ready to be run.
///
/// # Errors
/// As [`read`], should anything have changed since.
pub(in crate::http) async fn plan(state: &AppState, order: &ExtractOrder) -> Result<Planned, Problem> {
    let caps = state.settings.extracts.anonymous;
    match &order.request {
        ExtractRequest::Rows { dataset, table, parameters } => {
            let number = order.snapshots.get(dataset).map(u64::to_string);
            let published = published::snapshot(state, dataset, number.as_deref()).await?;
            let mut subject = subject(state, published, table).await?;
            subject.source.caps = ScanCaps { time: caps.time, stream_time: caps.time, bytes: caps.bytes };
            let asked = asked_of(&subject, &Params::of_pairs(parameters.clone()))?;
            let columns = subject.columns(&asked.slice.columns);
            Ok(Planned { columns, batches: batches(state, &subject, asked).await? })
        }
        ExtractRequest::Sql { query } => {
            let (query, named) = find(state, query, &pins(order)?).await?;
            // However long it waits: nobody waits for it, and its own time begins with its turn.
            let work = state.engine.begin(&engine_caps(state)).with_turn(state.engine.turn_behind().await?);
            let planned = query.plan(&work, named.sources(), None).await?;
            let (columns, batches) = sql::begin(work, planned, Format::Parquet).await?;
            Ok(Planned { batches, columns })
        }
    }
}

/// A table whose rows are to be extracted.
async fn subject(state: &AppState, published: Published, table: &str) -> Result<Subject, Problem> {
    let table = published.data_table(state, table)?;
    Ok(Subject {
        source: published.source(state, table, Rows::Published).await?,
        license: published.manifest.license_of(table).clone(),
        table: table.name.clone(),
        what: "rows",
        rows: Rows::Published,
        published,
    })
}

/// The parameters of rows, for a file.
fn asked_of(subject: &Subject, params: &Params) -> Result<Asked, Problem> {
    let own = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let format = ("format".to_owned(), Format::Parquet.name().to_owned());
    let params = Params::of_pairs(own.chain([format]));
    asked::read(&params, &subject.address(), &subject.source.table.schema, &HeaderMap::new())
}

async fn batches(state: &AppState, subject: &Subject, asked: Asked) -> Result<Batches, Problem> {
    let source = subject.source.clone();
    let reach = asked.limit.and_then(|limit| asked.slice.offset.checked_add(limit)).unwrap_or(u64::MAX);
    let choice = match (asked.sample, asked.order) {
        (Some((rows, seed)), order) => {
            let seed = seed.unwrap_or_default();
            (Choice::Sampled { seed, rows, key: subject.primary_key(), order }, asked.limit.unwrap_or(rows))
        }
        // Few rows are found by their keys; many are sorted, in memory that does not grow with them.
        (None, Some(order)) if reach > SOUGHT => {
            let (turn, spill) = (state.engine.turn_behind().await?, state.settings.extracts.anonymous.spill);
            let slice = Slice { limit: asked.limit, ..asked.slice };
            return Ok(sorted::sorted(&state.engine, turn, spill, source, slice, &order)?);
        }
        (None, Some(order)) => (Choice::Ordered { order, after: None }, asked.limit.unwrap_or(SOUGHT)),
        (None, None) => return Ok(Scan::new(source, asked.slice).batches()),
    };
    Ok(found::chosen(source, asked.slice, choice.0, choice.1, false).0)
}

/// What one extract may take of the engine.
fn engine_caps(state: &AppState) -> SqlCaps {
    let (caps, engine) = (state.settings.extracts.anonymous, state.settings.sql.anonymous);
    SqlCaps { time: caps.time, bytes: caps.bytes, spill: caps.spill, rows: u64::MAX, memory: engine.memory }
}

/// The snapshots an extract reads, as a query is told them.
fn pins(order: &ExtractOrder) -> Result<Pins, Problem> {
    let pins: Vec<String> = order.snapshots.iter().map(|(dataset, number)| format!("{dataset}={number}")).collect();
    Pins::read(&Params::of_pairs([("snapshots".to_owned(), pins.join(","))]))
}

async fn find(state: &AppState, query: &str, pins: &Pins) -> Result<(Query, Named), Problem> {
    let query = Query::parse(query).map_err(Problem::from)?;
    let named = names::find(state, &query, pins).await?;
    Ok((query, named))
}

async fn of_sql(state: &AppState, body: Map<String, Value>) -> Result<ExtractOrder, Problem> {
    let params = body::of_object(body)?;
    params.only(&["query", "snapshots"])?;
    let text = params.get("query").unwrap_or_default();
    let docs = || state.url("/docs#sql");
    let (query, named) = find(state, text, &Pins::read(&params)?).await.map_err(|problem| problem.or_hint(docs))?;
    // Planned now, so that what cannot be run never waits.
    let again = || format!("POST {}", state.url("/v1/extracts"));
    let work = state.engine.begin(&engine_caps(state)).with_turn(sql::turn(state, again).await?);
    query.plan(&work, named.sources(), None).await.map_err(|error| Problem::from(error).or_hint(docs))?;
    let mut manifests: Vec<&Manifest> = Vec::new();
    for (published, ..) in &named.read {
        if !manifests.iter().any(|known| known.dataset == published.manifest.dataset) {
            manifests.push(&published.manifest);
        }
    }
    let tables =
        named.read.iter().map(|(published, license, name)| (published.manifest.as_ref(), license, name.as_str()));
    let bytes = |(published, _, name): &(Published, License, String)| {
        published.manifest.table(name).map_or(0, |table| table.bytes)
    };
    Ok(ExtractOrder {
        request: ExtractRequest::Sql { query: query.canonical().to_owned() },
        snapshots: named.snapshots.iter().map(|(dataset, (number, _))| (dataset.clone(), *number)).collect(),
        licenses: licenses(tables),
        citations: citations(&manifests),
        bytes_to_scan: named.read.iter().map(bytes).sum(),
    })
}

async fn of_rows(state: &AppState, body: Map<String, Value>) -> Result<ExtractOrder, Problem> {
    let params = body::of_object(body)?;
    let missing = |name: &str| {
        let detail = format!(
            "`{name}` is missing: an extract is of a `query`, or of a `dataset` and `table` with the parameters of rows."
        );
        Problem::new(Kind::InvalidBody, detail)
    };
    let dataset = params.get("dataset").ok_or_else(|| missing("dataset"))?;
    let table = params.get("table").ok_or_else(|| missing("table"))?;
    for name in ["dataset", "table", "snapshot"] {
        params.clone().without(|other| other != name).only(&[name])?;
    }
    if let Some((name, _)) = params.iter().find(|(name, _)| NOT_HERE.contains(name)) {
        let detail = format!("`{name}` has no meaning for an extract: it is files of Parquet, and always whole.");
        return Err(Problem::new(Kind::InvalidParameter, detail));
    }
    let published = published::snapshot(state, dataset, params.get("snapshot")).await?;
    let subject = subject(state, published, table).await?;
    let manifest = subject.published.manifest.as_ref();
    let own = params.clone().without(|name| ["dataset", "table", "snapshot"].contains(&name));
    let asked = asked_of(&subject, &own).map_err(|problem| problem.or_hint(|| subject.described(state)))?;
    let mut parameters: BTreeMap<String, String> =
        asked.canonical.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    parameters.remove("format");
    if asked.slice.offset > 0 {
        parameters.insert("offset".to_owned(), asked.slice.offset.to_string());
    }
    if let Some((_, seed)) = asked.sample {
        // A file is drawn once and for all: without a seed it is the first one.
        parameters.insert("seed".to_owned(), seed.unwrap_or_default().to_string());
    }
    let table = manifest.table(&subject.table);
    Ok(ExtractOrder {
        request: ExtractRequest::Rows { dataset: manifest.dataset.clone(), table: subject.table.clone(), parameters },
        snapshots: BTreeMap::from([(manifest.dataset.clone(), manifest.snapshot)]),
        licenses: licenses([(manifest, &subject.license, subject.table.as_str())]),
        citations: citations(&[manifest]),
        bytes_to_scan: table.map_or(0, |table| table.bytes),
    })
}

/// The licenses of these tables, each once.
fn licenses<'a>(tables: impl IntoIterator<Item = (&'a Manifest, &'a License, &'a str)>) -> Vec<ExtractLicense> {
    let mut licenses: Vec<ExtractLicense> = Vec::new();
    for (manifest, license, name) in tables {
        let name = format!("{}.{name}", manifest.dataset);
        match licenses.iter_mut().find(|known| known.license == *license) {
            Some(known) => known.tables.push(name),
            None => licenses.push(ExtractLicense { license: license.clone(), tables: vec![name] }),
        }
    }
    licenses
}

/// How datasets are cited, each with its snapshot.
fn citations(manifests: &[&Manifest]) -> Vec<String> {
    let cite = |manifest: &&Manifest| {
        let upstream = manifest.info.citation.as_deref().unwrap_or(&manifest.info.title);
        let version =
            manifest.upstream_version.as_deref().map_or_else(String::new, |version| format!(", version {version}"));
        let upstream = upstream.trim_end_matches('.');
        format!("{upstream}{version} (snapshot {} of {})", manifest.snapshot, manifest.dataset)
    };
    manifests.iter().map(cite).collect()
}

/// Lets an extract pass that reads nothing reserved for personal use, or on one's own machine.
///
/// # Errors
/// 451 with the command that ingests the dataset on one's own machine.
pub(super) fn pass(state: &AppState, order: &ExtractOrder) -> Result<(), Problem> {
    let closed = order.licenses.iter().find(|known| gate::access(state, &known.license) == Access::MetadataOnly);
    let Some(closed) = closed else { return Ok(()) };
    let datasets: Vec<&str> = order.snapshots.keys().map(String::as_str).collect();
    let detail = format!(
        "It reads {}, published under {} ({}), which allows personal use but no public copy.",
        closed.tables.join(", "),
        closed.license.id,
        closed.license.url
    );
    Err(Problem::new(Kind::PersonalUseOnly, detail)
        .hint(format!("openshelf ingest {} && openshelf serve", datasets.join(" "))))
}
