//! `/v1/datasets`: what there is.

use axum::response::Response;
use chrono::{DateTime, Duration, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::{License, Manifest, run::Outcome, snapshot::Gap},
    http::{api::name_snapshot, cache::CachePolicy, gate, incoming::Incoming, problem::Problem, state::AppState},
};

/// Gaps in one answer.
const GAPS: usize = 1000;

/// A dataset in the list.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct DatasetSummary {
    pub(in crate::http) id: String,
    pub(in crate::http) title: String,
    description: String,
    pub(in crate::http) license: License,
    /// `open`, or `metadata-only` where the license keeps this server from serving the data.
    pub(in crate::http) access: &'static str,
    tags: Vec<String>,
    pub(in crate::http) snapshot: u64,
    pub(in crate::http) updated: DateTime<Utc>,
    /// True when the snapshot was made from a small sample instead of upstream.
    pub(in crate::http) sample: bool,
    pub(in crate::http) rows: u64,
    pub(in crate::http) bytes: u64,
    pub(in crate::http) tables: Vec<String>,
    url: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct DatasetList {
    datasets: Vec<DatasetSummary>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TableSummary {
    name: String,
    description: String,
    access: &'static str,
    rows: u64,
    rejected: u64,
    bytes: u64,
    columns: usize,
    url: String,
}

/// What is promised, and what was kept.
#[derive(Debug, Serialize, ToSchema)]
struct Freshness {
    /// The interval or cron line of the definition.
    promised: Option<String>,
    /// When upstream was last found to be what this snapshot holds.
    checked: DateTime<Utc>,
    /// When it has to be checked again, for intervals.
    due: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DatasetDetail {
    id: String,
    title: String,
    description: String,
    homepage: Option<String>,
    contact: Option<String>,
    citation: Option<String>,
    license: License,
    access: &'static str,
    tags: Vec<String>,
    refresh: Option<String>,
    retention: String,
    freshness: Freshness,
    snapshot: u64,
    updated: DateTime<Utc>,
    upstream_version: Option<String>,
    sample: bool,
    rows: u64,
    bytes: u64,
    /// Parts upstream does not have: the first thousand. The snapshot's own address leads to the others.
    gaps: Vec<Gap>,
    /// How many there are in all.
    gap_count: u64,
    tables: Vec<TableSummary>,
    url: String,
}

impl DatasetSummary {
    pub(in crate::http) fn new(state: &AppState, manifest: &Manifest) -> Self {
        Self {
            id: manifest.dataset.clone(),
            title: manifest.info.title.clone(),
            description: manifest.info.description.clone(),
            license: manifest.license.clone(),
            access: gate::access(state, &manifest.license).name(),
            tags: manifest.info.tags.clone(),
            snapshot: manifest.snapshot,
            updated: manifest.created,
            sample: manifest.sample,
            rows: manifest.rows(),
            bytes: manifest.bytes(),
            tables: manifest.tables.iter().map(|table| table.name.clone()).collect(),
            url: state.url(&format!("/v1/datasets/{}", manifest.dataset)),
        }
    }
}

/// The published datasets; `q` searches names, titles, descriptions and tags, `tag` takes one tag.
#[utoipa::path(
    get, path = "/v1/datasets", tag = "datasets",
    params(
        ("q" = Option<String>, Query, description = "Words that must all occur in name, title, description, tags or tables"),
        ("tag" = Option<String>, Query, description = "A tag")
    ),
    responses((status = 200, body = DatasetList))
)]
pub(in crate::http) async fn list(request: Incoming) -> Result<Response, Problem> {
    request.only(&["q", "tag"])?;
    let Incoming { state, params, .. } = &request;
    let words: Vec<String> = params.get("q").unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
    let matches = |manifest: &Manifest| {
        let tables: Vec<&str> = manifest.tables.iter().map(|table| table.name.as_str()).collect();
        let info = &manifest.info;
        let text = [&manifest.dataset, &info.title, &info.description, &info.tags.join(" "), &tables.join(" ")]
            .map(|text| text.to_lowercase())
            .join(" ");
        words.iter().all(|word| text.contains(word.as_str()))
            && params.get("tag").is_none_or(|tag| info.tags.iter().any(|known| known == tag))
    };
    let heads = state.listing.heads(&state.store).await?;
    let datasets = heads.iter().filter(|head| matches(head)).map(|head| DatasetSummary::new(state, head)).collect();
    request.json(&DatasetList { datasets }, CachePolicy::Current)
}

/// One dataset.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}", tag = "datasets",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("snapshot" = Option<String>, Query, description = "Number or UTC date; the current one by default")
    ),
    responses((status = 200, body = DatasetDetail), (status = 404, description = "No such dataset"))
)]
pub(in crate::http) async fn one(request: Incoming) -> Result<Response, Problem> {
    request.only(&["snapshot"])?;
    let published = request.published().await?;
    let state = &request.state;
    let manifest = &published.manifest;
    let info = &manifest.info;
    let id = &manifest.dataset;
    let table = |table: &crate::catalog::TableSnapshot| TableSummary {
        name: table.name.clone(),
        description: table.description.clone(),
        access: gate::access(state, manifest.license_of(table)).name(),
        rows: table.rows,
        rejected: table.rejected,
        bytes: table.bytes,
        columns: table.schema.columns.len(),
        url: state.url(&format!("/v1/datasets/{id}/tables/{}", table.name)),
    };
    let detail = DatasetDetail {
        id: id.clone(),
        title: info.title.clone(),
        description: info.description.clone(),
        homepage: info.homepage.clone(),
        contact: info.contact.clone(),
        citation: info.citation.clone(),
        license: manifest.license.clone(),
        access: gate::access(state, &manifest.license).name(),
        tags: info.tags.clone(),
        refresh: info.refresh.clone(),
        retention: info.retention.clone(),
        freshness: freshness(state, manifest).await?,
        snapshot: manifest.snapshot,
        updated: manifest.created,
        upstream_version: manifest.upstream_version.clone(),
        sample: manifest.sample,
        rows: manifest.rows(),
        bytes: manifest.bytes(),
        gaps: state.store.some_gaps(manifest, 0, GAPS).await?,
        gap_count: manifest.gap_count(),
        tables: manifest.tables.iter().map(table).collect(),
        url: state.url(&format!("/v1/datasets/{id}")),
    };
    // Freshness moves on although a pinned snapshot does not.
    let mut response = request.json(&detail, CachePolicy::Current)?;
    name_snapshot(&mut response, manifest);
    Ok(response)
}

/// A run that found nothing new is as good as one that published.
async fn freshness(state: &AppState, manifest: &Manifest) -> Result<Freshness, Problem> {
    let id = manifest.dataset.parse().map_err(Problem::internal)?;
    let runs = state.store.runs(&id, 20).await?;
    let checked = runs
        .iter()
        .find(|run| run.outcome != Outcome::Failed)
        .map_or(manifest.created, |run| run.ended.max(manifest.created));
    let promised = manifest.info.refresh.clone();
    let due = promised.as_deref().and_then(interval).and_then(|every| checked.checked_add_signed(every));
    Ok(Freshness { promised, checked, due })
}

/// `30m`, `1h`, `1d`, `2w`; `None` for cron lines.
fn interval(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        's' => Duration::try_seconds(number),
        'm' => Duration::try_minutes(number),
        'h' => Duration::try_hours(number),
        'd' => Duration::try_days(number),
        'w' => Duration::try_weeks(number),
        _ => None,
    }
}
