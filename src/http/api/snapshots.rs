//! `/v1/datasets/{dataset}/snapshots`: the published versions, and where each came from.

use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::{
        License, Manifest,
        snapshot::{Gap, SourceRecord},
    },
    http::{
        api::{link, name_snapshot},
        cache::CachePolicy,
        incoming::Incoming,
        problem::{Kind, Problem},
        published,
    },
};

/// Snapshots in one answer.
const PAGE: u64 = 100;
/// Upstream files in one answer, and gaps.
const SOURCES: u64 = 1000;
/// Manifests read at once.
const AT_ONCE: usize = 16;

#[derive(Debug, Serialize, ToSchema)]
struct SnapshotSummary {
    snapshot: u64,
    created: DateTime<Utc>,
    upstream_version: Option<String>,
    rows: u64,
    bytes: u64,
    sample: bool,
    rollback_to: Option<u64>,
    url: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct SnapshotList {
    snapshots: Vec<SnapshotSummary>,
    /// Address of the older ones; null after the first snapshot.
    next: Option<String>,
}

/// The published versions, newest first, a hundred at a time.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/snapshots", tag = "datasets",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("before" = Option<u64>, Query, description = "Only snapshots older than this number"),
        ("limit" = Option<u64>, Query, description = "At most this many; 100 by default and at most", maximum = 100)
    ),
    responses((status = 200, body = SnapshotList), (status = 404, description = "No such dataset"))
)]
pub(in crate::http) async fn list(request: Incoming) -> Result<Response, Problem> {
    request.only(&["before", "limit"])?;
    let Incoming { state, params, .. } = &request;
    let before = params.number("before", 1)?.unwrap_or(u64::MAX);
    let limit = params.number("limit", 1)?.unwrap_or(PAGE);
    if limit > PAGE {
        let detail = format!("`limit` is {limit}; at most {PAGE} snapshots fit in one answer, `next` leads on.");
        return Err(Problem::new(Kind::InvalidParameter, detail));
    }
    let id = request.dataset().await?;
    let mut numbers = state.store.snapshots(&id).await?;
    numbers.retain(|number| *number < before);
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let more = numbers.len() as u64 > limit;
    numbers.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let manifests: Vec<_> = stream::iter(numbers)
        .map(|number| {
            let id = &id;
            async move { state.store.manifest(id, number).await }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let snapshots: Vec<SnapshotSummary> = manifests
        .into_iter()
        .flatten()
        .map(|manifest| SnapshotSummary {
            snapshot: manifest.snapshot,
            created: manifest.created,
            upstream_version: manifest.upstream_version.clone(),
            rows: manifest.rows(),
            bytes: manifest.bytes(),
            sample: manifest.sample,
            rollback_to: manifest.rollback_to,
            url: state.url(&format!("/v1/datasets/{id}/snapshots/{}", manifest.snapshot)),
        })
        .collect();
    let last = snapshots.last().map(|last| last.snapshot).filter(|_| more);
    let next = last.map(|last| state.url(&format!("/v1/datasets/{id}/snapshots?before={last}&limit={limit}")));
    let mut response = request.json(&SnapshotList { snapshots, next: next.clone() }, CachePolicy::Current)?;
    if let Some(next) = next {
        link(&mut response, &next, "next");
    }
    Ok(response)
}

#[derive(Debug, Serialize, ToSchema)]
struct TableCounts {
    name: String,
    rows: u64,
    rejected: u64,
    bytes: u64,
    files: u64,
    /// The list of its files in this snapshot.
    files_url: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Provenance {
    dataset: String,
    title: String,
    snapshot: u64,
    parent: Option<u64>,
    run: String,
    created: DateTime<Utc>,
    upstream_version: Option<String>,
    sample: bool,
    rollback_to: Option<u64>,
    /// sha256 of the definition.
    definition: String,
    /// Version of Openshelf that made it.
    software: String,
    license: License,
    /// Upstream files it was made from, in the order of the parts: those from `offset`.
    sources: Vec<SourceRecord>,
    /// How many there are in all.
    source_count: u64,
    /// Bytes of all of them as fetched.
    source_bytes: u64,
    /// Parts upstream does not have: those from `offset`.
    gaps: Vec<Gap>,
    /// How many there are in all.
    gap_count: u64,
    offset: u64,
    /// Address of the upstream files and gaps that follow; null when these are the last.
    next: Option<String>,
    rows: u64,
    rejected: u64,
    bytes: u64,
    tables: Vec<TableCounts>,
    /// How to cite this very snapshot.
    cite_as: String,
    bibtex: String,
    url: String,
}

/// Where a snapshot came from, and how to cite it.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/snapshots/{snapshot}", tag = "datasets",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("snapshot" = String, Path, description = "Number, or a UTC date"),
        ("offset" = Option<u64>, Query, description = "Upstream files and gaps to pass over"),
        ("limit" = Option<u64>, Query, description = "At most this many upstream files, and gaps; 1000 by default and at most", maximum = 1000)
    ),
    responses((status = 200, body = Provenance), (status = 404, description = "No such snapshot"))
)]
pub(in crate::http) async fn one(request: Incoming) -> Result<Response, Problem> {
    request.only(&["offset", "limit"])?;
    let Incoming { state, params, path, .. } = &request;
    let offset = params.number("offset", 0)?.unwrap_or(0);
    let limit = params.number("limit", 1)?.unwrap_or(SOURCES);
    if limit > SOURCES {
        let detail =
            format!("`limit` is {limit}; at most {SOURCES} upstream files fit in one answer, `next` leads on.");
        return Err(Problem::new(Kind::InvalidParameter, detail));
    }
    let published = published::snapshot(state, path.get("dataset"), Some(path.get("snapshot"))).await?;
    let manifest = &published.manifest;
    let id = &manifest.dataset;
    let url = state.url(&format!("/v1/datasets/{id}/snapshots/{}", manifest.snapshot));
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    let (source_count, gap_count) = (manifest.source_count(), manifest.gap_count());
    let end = offset.saturating_add(limit);
    let next = (source_count.max(gap_count) > end).then(|| format!("{url}?offset={end}&limit={limit}"));
    let provenance = Provenance {
        dataset: id.clone(),
        title: manifest.info.title.clone(),
        snapshot: manifest.snapshot,
        parent: manifest.parent,
        run: manifest.run.clone(),
        created: manifest.created,
        upstream_version: manifest.upstream_version.clone(),
        sample: manifest.sample,
        rollback_to: manifest.rollback_to,
        definition: manifest.definition.clone(),
        software: manifest.software.clone(),
        license: manifest.license.clone(),
        sources: state.store.some_sources(manifest, offset, page).await?,
        source_count,
        source_bytes: manifest.source_bytes,
        gaps: state.store.some_gaps(manifest, offset, page).await?,
        gap_count,
        offset,
        next: next.clone(),
        rows: manifest.rows(),
        rejected: manifest.tables.iter().map(|table| table.rejected).sum(),
        bytes: manifest.bytes(),
        tables: manifest
            .tables
            .iter()
            .map(|table| TableCounts {
                name: table.name.clone(),
                rows: table.rows,
                rejected: table.rejected,
                bytes: table.bytes,
                files: table.segments.iter().map(|segment| segment.files).sum(),
                files_url: state
                    .url(&format!("/v1/datasets/{id}/tables/{}/files?snapshot={}", table.name, manifest.snapshot)),
            })
            .collect(),
        cite_as: citation(manifest, &url),
        bibtex: bibtex(manifest, &url),
        url,
    };
    let mut response = request.json(&provenance, CachePolicy::of(published.pinned, false))?;
    name_snapshot(&mut response, manifest);
    link(&mut response, &manifest.license.url, "license");
    if let Some(next) = next {
        link(&mut response, &next, "next");
    }
    Ok(response)
}

/// One sentence that names the snapshot and its upstream.
pub(in crate::http) fn citation(manifest: &Manifest, url: &str) -> String {
    let upstream = manifest.info.citation.as_deref().unwrap_or(&manifest.info.title);
    let version =
        manifest.upstream_version.as_deref().map_or_else(String::new, |version| format!(", version {version}"));
    format!(
        "{}{version}. Openshelf snapshot {} of {}, {}. {url}",
        upstream.trim_end_matches('.'),
        manifest.snapshot,
        manifest.dataset,
        manifest.created.format("%Y-%m-%d"),
    )
}

fn bibtex(manifest: &Manifest, url: &str) -> String {
    // Braces and backslashes would end the field or begin a command.
    let plain = |text: &str| text.chars().filter(|c| !matches!(c, '{' | '}' | '\\')).collect::<String>();
    format!(
        "@misc{{{}-{},\n  title = {{{{{}}}}},\n  year = {{{}}},\n  note = {{Openshelf snapshot {}{}}},\n  howpublished = {{\\url{{{}}}}}\n}}\n",
        manifest.dataset,
        manifest.snapshot,
        plain(&manifest.info.title),
        manifest.created.format("%Y"),
        manifest.snapshot,
        manifest.info.citation.as_deref().map_or_else(String::new, |text| format!("; {}", plain(text))),
        plain(url),
    )
}
