//! `/v1/datasets/{dataset}/tables/{table}/rows`: a slice of a table in one of five formats.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::Response,
};

use crate::{
    catalog::{DataFile, License, TableSchema},
    http::{
        answer::not_modified,
        api::{data_links, link, name_snapshot},
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
        Slice, SliceRequest, bounds,
        encode::{Encoder, Format, OutputColumn, json},
        filters,
        scan::{self, Scan, TableSource},
    },
};

/// Rows of a JSON answer by default, and at most.
const JSON_ROWS: (u64, u64) = (100, 10_000);

/// Parameters that are built.
const KNOWN: [&str; 8] = ["select", "where", "offset", "limit", "snapshot", "format", "count", "truncate"];

/// Parameters that are reserved, and what works instead until they are built.
const RESERVED: [(&str, &str); 5] = [
    ("order_by", "rows come in the physical order of the snapshot, which is stable; sort them where you read them"),
    ("cursor", "follow `next`, which is pinned to the snapshot it began in"),
    ("sample", "`offset` reaches any row at the same cost, so draw row numbers below the table's `rows`"),
    ("seed", "`offset` reaches any row at the same cost, so draw row numbers below the table's `rows`"),
    ("dry_run", "the answer's `Openshelf-Scanned-Bytes` says what was read; `limit=1` is a cheap try"),
];

/// Rows of a table, or of its rejects.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) published: Published,
    pub(super) table: String,
    /// `rows` or `rejects`: the last part of the address.
    pub(super) what: &'static str,
    pub(super) license: License,
    pub(super) schema: Arc<TableSchema>,
    pub(super) files: Arc<Vec<DataFile>>,
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
        files: state.store.files(&published.manifest, table).await?,
        schema: Arc::new(table.schema.clone()),
        license: published.manifest.license_of(table).clone(),
        table: table.name.clone(),
        what: "rows",
        published,
    })
}

/// What was asked for, checked.
struct Asked {
    slice: Slice,
    format: Format,
    limit: Option<u64>,
    count: &'static str,
    truncate: bool,
    /// The parameters that make up the rows, in one normal form, without `offset` and `snapshot`.
    canonical: Vec<(&'static str, String)>,
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
    let asked = read(params, &subject.schema, headers).map_err(|problem| with_hint(problem, &here, &described))?;

    let total: u64 = subject.files.iter().map(|file| file.rows).sum();
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
        _ => run(state, &subject, asked, known_next, pages).await?,
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

/// Checks every parameter; nothing is guessed.
fn read(params: &Params, schema: &TableSchema, headers: &HeaderMap) -> Result<Asked, Problem> {
    let mut conditions = BTreeMap::new();
    let mut plain = Vec::new();
    for (name, value) in params.iter() {
        if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
            return Err(Problem::new(Kind::NotBuiltYet, format!("`{name}` is not built yet; instead: {instead}.")));
        }
        if filters::split(name).is_some() && !KNOWN.contains(&name) {
            let condition = filters::condition(name, value, schema)?;
            if conditions.insert(name, condition).is_some() {
                return Err(Problem::new(Kind::RepeatedParameter, format!("`{name}` is given more than once.")));
            }
        } else {
            plain.push(name);
        }
    }
    params.clone().without(|name| !plain.contains(&name)).only(&KNOWN)?;

    let format = format(params, headers)?;
    let offset = params.number("offset", 0)?.unwrap_or(0);
    let given = params.number("limit", 1)?;
    let limit = match (format, given) {
        (Format::Json, None) => Some(JSON_ROWS.0),
        (Format::Json, Some(limit)) if limit > JSON_ROWS.1 => {
            return Err(Problem::new(
                Kind::LimitTooLarge,
                format!(
                    "`limit` is {limit}; a JSON answer holds at most {} rows. Other formats have no such bound.",
                    JSON_ROWS.1
                ),
            ));
        }
        (_, given) => given,
    };
    let count = params.word("count", &["none", "estimate", "exact"])?.unwrap_or("none");
    let truncate = params.word("truncate", &["0", "1"])?.unwrap_or("1") == "1";

    // First by itself, so that places in its faults are those of what was written.
    let request = SliceRequest { select: params.get("select"), where_: params.get("where"), offset, limit };
    let mut slice = Slice::new(&request, schema)?;
    if !conditions.is_empty() {
        let mut parts: Vec<String> = params.get("where").map(|text| format!("({text}\n)")).into_iter().collect();
        parts.extend(conditions.into_values());
        slice = Slice::new(&SliceRequest { where_: Some(&parts.join(" and ")), ..request }, schema)?;
    }
    if count == "estimate" && slice.predicate.is_some() {
        return Err(Problem::new(
            Kind::NotBuiltYet,
            "`count=estimate` with a condition is not built yet; `count=exact` reads the condition's columns and counts.",
        ));
    }
    if format == Format::Json && slice.predicate.is_some() {
        // One more than is shown, to know whether there is a next page.
        slice.limit = limit.map(|limit| limit + 1);
    }
    let mut canonical = Vec::new();
    if params.get("select").is_some() {
        let names =
            slice.schema(schema).columns.iter().map(|c| crate::query::names::quoted(&c.name)).collect::<Vec<_>>();
        canonical.push(("select", names.join(",")));
    }
    if let Some(predicate) = &slice.predicate {
        canonical.push(("where", predicate.text().to_owned()));
    }
    if let Some(limit) = limit {
        canonical.push(("limit", limit.to_string()));
    }
    canonical.push(("format", format.name().to_owned()));
    if count != "none" {
        canonical.push(("count", count.to_owned()));
    }
    if !truncate {
        canonical.push(("truncate", "0".to_owned()));
    }
    Ok(Asked { slice, format, limit, count, truncate, canonical })
}

/// By `format`, else by the best of `Accept`.
fn format(params: &Params, headers: &HeaderMap) -> Result<Format, Problem> {
    let names = Format::ALL.map(Format::name);
    if let Some(given) = params.get("format") {
        return Format::ALL.into_iter().find(|format| format.name() == given).ok_or_else(|| {
            let near = crate::query::names::nearest(given, names.into_iter());
            let near = near.map_or_else(String::new, |near| format!(" Did you mean `{near}`?"));
            Problem::new(Kind::NotAcceptable, format!("`format` is `{given}`; it takes {}.{near}", names.join(", ")))
        });
    }
    let accepted: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','))
        .collect();
    if accepted.iter().all(|range| range.trim().is_empty()) {
        return Ok(Format::Json);
    }
    let mut best: Option<(f32, Format)> = None;
    for range in &accepted {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
        let format = match media.as_str() {
            "application/json" | "application/*" | "*/*" => Format::Json,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
                Format::Ndjson
            }
            "text/csv" | "text/*" => Format::Csv,
            "application/vnd.apache.arrow.stream" => Format::Arrow,
            "application/vnd.apache.parquet" => Format::Parquet,
            _ => continue,
        };
        // A browser accepts pages first and anything else after; anything is JSON.
        if quality > 0.0 && best.is_none_or(|(known, _)| quality > known) {
            best = Some((quality, format));
        }
    }
    best.map(|(_, format)| format).ok_or_else(|| {
        Problem::new(
            Kind::NotAcceptable,
            format!("`Accept: {}` names no format there is; they are {}.", accepted.join(","), names.join(", ")),
        )
    })
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
    let source = TableSource {
        store: state.store.clone(),
        files: Arc::clone(&subject.files),
        schema: Arc::clone(&subject.schema),
        footers: Arc::clone(&state.footers),
    };
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
        .schema(&subject.schema)
        .columns
        .iter()
        .map(|column| OutputColumn { wide: bounds::is_wide(&subject.files, column), ..OutputColumn::plain(column) })
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
