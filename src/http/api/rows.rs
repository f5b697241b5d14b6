//! `/v1/datasets/{dataset}/tables/{table}/rows`: a slice of a table in one of five formats.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::Response,
};

use crate::{
    catalog::License,
    http::{
        answer::not_modified,
        api::{
            asked::{self, Asked},
            data_links, link, name_snapshot,
        },
        cache::CachePolicy,
        etag::ETag,
        gate,
        params::{BodyParams, Params, PathParams, query_string},
        problem::{Kind, Problem},
        produce::{self, Produced, Producer, Writer},
        published::{self, Published},
        state::AppState,
    },
    query::{
        encode::{Encoder, Format, OutputColumn, json},
        scan::{self, Scan},
        table::{Rows, TableSource},
    },
};

/// Rows of a table, or of its rejects.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) published: Published,
    pub(super) table: String,
    /// `rows` or `rejects`: the last part of the address.
    pub(super) what: &'static str,
    pub(super) license: License,
    pub(super) source: TableSource,
}

/// A slice of a table.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/tables/{table}/rows", tag = "rows",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("table" = String, Path, description = "Table"),
        ("select" = Option<String>, Query, description = "Columns, comma-separated, in the order wanted; `-name` leaves one out"),
        ("where" = Option<String>, Query, description = "A SQL boolean expression over the columns"),
        ("offset" = Option<u64>, Query, description = "Rows to skip; any depth costs the same without `where`"),
        ("limit" = Option<u64>, Query, description = "Most rows; JSON: 100 by default, at most 10 000; other formats: all"),
        ("snapshot" = Option<String>, Query, description = "Number or UTC date; the current one by default"),
        ("format" = Option<String>, Query, description = "json, ndjson, csv, arrow or parquet; or by Accept"),
        ("count" = Option<String>, Query, description = "none, estimate or exact"),
        ("truncate" = Option<u8>, Query, description = "0 shows JSON cells over 64 KiB whole"),
        ("{column}__{op}" = Option<String>, Query, description = "A condition by hand: exact, not, gt, gte, lt, lte, in, contains, startswith, isnull")
    ),
    responses(
        (status = 200, description = "Rows"),
        (status = 304, description = "The client has them"),
        (status = 400, description = "A parameter is wrong; the problem says which and what would work"),
        (status = 404, description = "No such table"),
        (status = 406, description = "No such format"),
        (status = 422, description = "It takes more than one query may; the problem names the files"),
        (status = 451, description = "The license allows no public copy")
    )
)]
pub(in crate::http) async fn get(
    State(state): State<AppState>,
    path: PathParams,
    params: Params,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let subject = rows_of(&state, &path, &params).await?;
    answer(&state, subject, &params, &method, &headers).await
}

/// The same, with the parameters as JSON.
#[utoipa::path(
    post, path = "/v1/datasets/{dataset}/tables/{table}/rows", tag = "rows",
    params(("dataset" = String, Path, description = "Dataset"), ("table" = String, Path, description = "Table")),
    request_body(content = Object, description = "The parameters of GET by name", content_type = "application/json"),
    responses((status = 200, description = "Rows"), (status = 400, description = "A parameter is wrong"))
)]
pub(in crate::http) async fn post(
    State(state): State<AppState>,
    path: PathParams,
    headers: HeaderMap,
    BodyParams(params): BodyParams,
) -> Result<Response, Problem> {
    let subject = rows_of(&state, &path, &params).await?;
    answer(&state, subject, &params, &Method::POST, &headers).await
}

async fn rows_of(state: &AppState, path: &PathParams, params: &Params) -> Result<Subject, Problem> {
    let published = published::snapshot(state, path.get("dataset"), params.get("snapshot")).await?;
    let table = published.data_table(state, path.get("table"))?;
    Ok(Subject {
        source: published.source(state, table, Rows::Published).await?,
        license: published.manifest.license_of(table).clone(),
        table: table.name.clone(),
        what: "rows",
        published,
    })
}

/// Answers a slice of a table or of its rejects.
pub(super) async fn answer(
    state: &AppState,
    subject: Subject,
    params: &Params,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let manifest = Arc::clone(&subject.published.manifest);
    let described = state.url(&format!("/v1/datasets/{}/tables/{}", manifest.dataset, subject.table));
    let here = format!("{described}/{}", subject.what);
    let asked = asked::read(params, &subject.source.table.schema, headers).map_err(|problem| {
        // The request as it may have been meant, if it works.
        let meant = problem.meant().map(|change| params.clone().changed(change));
        match meant.filter(|meant| asked::read(meant, &subject.source.table.schema, headers).is_ok()) {
            Some(meant) => problem.hint(format!("{here}{}", query_string(meant.iter()))),
            None => with_hint(problem, &here, &described),
        }
    })?;

    let total: u64 = subject.source.table.rows();
    let policy = match *method {
        Method::POST => CachePolicy::Never,
        _ => CachePolicy::of(subject.published.pinned, gate::is_personal(&subject.license)),
    };
    let tag = tag(&subject, &asked, &here);
    if *method != Method::POST
        && let Some(known) = tag.if_none_match(headers)
    {
        let mut response = not_modified(known, policy);
        name_snapshot(&mut response, &manifest);
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
        return Ok(response);
    }

    let offset = asked.slice.offset;
    let known_next = match (&asked.slice.predicate, asked.limit) {
        (None, Some(limit)) => offset.checked_add(limit).filter(|next| *next < total),
        _ => None,
    };
    let pages = Pages { here, canonical: asked.canonical.clone(), snapshot: manifest.snapshot };
    let link_next = known_next.map(|next| pages.at(next));
    let format = asked.format;
    let produced = match *method {
        Method::HEAD => Produced::nothing(),
        _ => {
            let produced = run(state, &subject, asked, known_next, pages).await;
            produced.map_err(|problem| match problem.kind() {
                Kind::TooMuchToScan => problem.hint(pinned_files(&described, manifest.snapshot)),
                _ => problem,
            })?
        }
    };
    let link_next = link_next.or_else(|| produced.next.clone());

    let scanned = produced.scanned;
    let mut response = Response::new(produced.body);
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    out.insert(header::ETAG, tag.header());
    out.insert(header::CACHE_CONTROL, policy.header());
    out.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Some(scanned) = scanned {
        out.insert(HeaderName::from_static("openshelf-scanned-bytes"), HeaderValue::from(scanned));
    }
    if matches!(format, Format::Csv | Format::Arrow | Format::Parquet) {
        let name = format!("attachment; filename=\"{}-{}.{}\"", manifest.dataset, subject.table, format.name());
        if let Ok(value) = HeaderValue::try_from(name) {
            out.insert(header::CONTENT_DISPOSITION, value);
        }
    }
    name_snapshot(&mut response, &manifest);
    if let Some(next) = link_next {
        link(&mut response, &next, "next");
    }
    data_links(&mut response, state, &manifest, &subject.license, &described);
    Ok(response)
}

/// Every faulty request is told an address that works.
fn with_hint(problem: Problem, here: &str, described: &str) -> Problem {
    let hint = match problem.kind() {
        Kind::LimitTooLarge => format!("{here}?format=ndjson"),
        Kind::NotAcceptable => format!("{here}?format=json"),
        Kind::InvalidSelect | Kind::InvalidWhere => described.to_owned(),
        _ => format!("{here}?limit=10"),
    };
    problem.or_hint(|| hint)
}

/// The files of just this snapshot.
fn pinned_files(described: &str, snapshot: u64) -> String {
    format!("{described}/files?snapshot={snapshot}")
}

fn tag(subject: &Subject, asked: &Asked, here: &str) -> ETag {
    let canonical = query_string(asked.canonical.iter().map(|(name, value)| (*name, value.as_str())));
    ETag::of(&[
        here.as_bytes(),
        &subject.published.manifest.snapshot.to_be_bytes(),
        canonical.as_bytes(),
        &asked.slice.offset.to_be_bytes(),
    ])
}

/// Addresses of further pages, pinned to the snapshot so that pages never mix two.
struct Pages {
    here: String,
    canonical: Vec<(&'static str, String)>,
    snapshot: u64,
}

impl Pages {
    fn at(&self, offset: u64) -> String {
        let (offset, snapshot) = (offset.to_string(), self.snapshot.to_string());
        let own = self.canonical.iter().map(|(name, value)| (*name, value.as_str()));
        let query = query_string(own.chain([("offset", offset.as_str()), ("snapshot", snapshot.as_str())]));
        format!("{}{query}", self.here)
    }
}

async fn run(
    state: &AppState,
    subject: &Subject,
    asked: Asked,
    known_next: Option<u64>,
    pages: Pages,
) -> Result<Produced, Problem> {
    let manifest = &subject.published.manifest;
    let source = subject.source.clone();
    let row_count = match asked.count {
        "none" => None,
        _ => {
            let (value, scanned) = scan::count(source.clone(), asked.slice.predicate.as_ref()).await?;
            state.metrics.scanned.inc_by(scanned);
            Some(json::RowCount { value, kind: "exact" })
        }
    };
    let columns: Vec<OutputColumn> = asked
        .slice
        .columns
        .iter()
        .filter_map(|at| {
            let column = source.table.schema.columns.get(*at)?;
            Some(OutputColumn { wide: source.table.is_wide(*at), ..OutputColumn::plain(column) })
        })
        .collect();
    let has_condition = asked.slice.predicate.is_some();
    let offset = asked.slice.offset;
    let scan = Scan::new(source, asked.slice);
    let mut begun = Vec::new();
    let writer = if asked.format == Format::Json {
        let head = json::Head {
            dataset: &manifest.dataset,
            table: &subject.table,
            snapshot: manifest.snapshot,
            columns: columns.iter().map(json::AnswerColumn::from).collect(),
        };
        let answer = json::Answer::begin(&head, &columns, asked.truncate, &mut begun);
        let tail = move |rows: u64, more: bool| {
            let next = if has_condition { more.then(|| offset.saturating_add(rows)) } else { known_next };
            json::Tail { offset, row_count, next: next.map(|next| pages.at(next)), ..json::Tail::default() }
        };
        Writer::Json { answer, limit: asked.limit.unwrap_or(u64::MAX), tail: Box::new(tail) }
    } else {
        let metadata = vec![
            ("openshelf.dataset".to_owned(), manifest.dataset.clone()),
            ("openshelf.table".to_owned(), subject.table.clone()),
            ("openshelf.snapshot".to_owned(), manifest.snapshot.to_string()),
            ("openshelf.license".to_owned(), subject.license.id.clone()),
        ];
        Writer::Stream(Box::new(Encoder::new(asked.format, &columns, scan.schema(), metadata)?))
    };
    produce::answer(state, Producer::new(scan, writer), begun).await
}
