//! `/docs`: the parameters, the functions of `where`, formats, limits and problems, from the same tables the code uses.

use axum::{extract::State, http::HeaderMap, response::Response};
use maud::{Markup, html};

use super::{layout, readers, size};
use crate::{
    http::{
        answer,
        cache::CachePolicy,
        limits,
        params::Params,
        problem::{Kind, Problem},
        state::AppState,
    },
    query::{
        encode::Format,
        filters,
        predicate::{self, FunctionDoc},
        sql,
    },
};

/// The parameters of rows: name and meaning.
const PARAMETERS: [(&str, &str); 14] = [
    ("select", "Columns, comma-separated, in the order wanted. `-text` leaves one out; double quotes admit any name."),
    (
        "where",
        "A SQL boolean expression over the columns: comparison, and/or/not, in, between, like/ilike, is null, `~` (regular \
         expression), case, cast, arithmetic, and the functions below. `column.field`, `column['key']` and `column[1]` \
         reach into structs, maps and lists.",
    ),
    ("{column}__{op}", "One condition, joined to `where` by and."),
    (
        "order_by",
        "`a,-b`: by column a, then by column b with the largest first. Nulls come last both ways and NaN just before them; \
         rows that are equal come in their physical order, which is also the order without this. Text goes by its bytes; \
         lists, structs and maps have no order.",
    ),
    ("offset", "Rows to skip. Without a condition or an order every depth costs the same."),
    (
        "limit",
        "Most rows. JSON: 100 by default, at most 10 000. All other formats: every matching row unless it is given.",
    ),
    (
        "cursor",
        "Goes on where a page ended, in the snapshot it began in, at the same cost at any depth: follow `next`. It belongs \
         to its table, condition and order; `select`, `limit` and `format` may change from page to page.",
    ),
    (
        "sample",
        "So many rows at random of those that match, at most 100 000: those with the smallest hash of seed and primary key \
         (row number if none), in that order unless `order_by` says another. Not with `offset` or `cursor`.",
    ),
    (
        "seed",
        "Which sample: the same seed draws the same rows from the same snapshot. Chosen and said when it is not given.",
    ),
    ("snapshot", "A number, or a UTC date for the newest of that day. The current one by default."),
    ("format", "`json`, `ndjson`, `csv`, `arrow` (IPC stream) or `parquet`; or by `Accept`."),
    (
        "count",
        "`exact` counts the matching rows into `row_count` (other formats: the header `Openshelf-Row-Count`), reading the \
         condition's columns; `estimate` looks at some of the pages that may match and says that it did; `none` by default.",
    ),
    (
        "dry_run",
        "`1` says what the answer would read at most (files, pages, rows, bytes), what one answer may, and does nothing else.",
    ),
    ("truncate", "`0` shows JSON cells over 64 KiB whole; otherwise they are cut and listed in `truncated`."),
];

/// What a question may hold.
const QUESTIONS: [(&str, &str); 6] = [
    (
        "star wars",
        "Rows with both words, in any of the columns. Case and accents do not matter; words are not stemmed.",
    ),
    ("\"a new hope\"", "These words in a row."),
    ("star -holiday", "Rows without the second word."),
    ("wook*", "Words that begin so."),
    ("title:hope", "The word in that column."),
    ("ewok OR wookiee", "Either of two; `OR` binds closer than the space that joins words."),
];

/// How everything is asked for.
#[utoipa::path(get, path = "/docs", tag = "pages", responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(in crate::http) async fn page(
    State(state): State<AppState>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let scan = state.settings.scan;
    let extracts = &state.settings.extracts;
    let files = readers::section(&state, &headers).await?;
    let body = html! {
        h1 { "How to read from the shelf" }
        p .lead {
            "Start at " a href=(state.url("/v1/datasets")) { code { "/v1/datasets" } }
            "; every address is in " a href=(state.url("/openapi.json")) { code { "/openapi.json" } }
            ". A dataset's tables are read as rows (slices in five formats) or whole: as "
            a href="#files" { "files, objects of S3 or an Iceberg catalog" } "."
        }
        h2 id="rows" { "Rows" }
        p {
            code { "GET /v1/datasets/{dataset}/tables/{table}/rows" }
            ", or POST with the same names in a JSON object. Rejected rows are at " code { "…/rejects" }
            ", with the same parameters."
        }
        (pairs("Parameters", &["Parameter", "Meaning"], PARAMETERS))
        h3 { "Names and values" }
        p {
            "A name matches exactly, else without regard to case if that is unique; double quotes admit any name. "
            "Text goes in single quotes. In a URL " code { "+" } " is a space."
        }
        p {
            "A page of JSON gives the address of the next one in " code { "next" }
            ", pinned to its snapshot: pages never mix two versions."
        }
        h3 { "Operations of " code { "{column}__{op}" } }
        p { @for (at, op) in filters::OPERATIONS.iter().enumerate() { @if at > 0 { ", " } code { (op) } } }
        h2 id="formats" { "Formats" }
        (pairs("Formats", &["format=", "What it is"], Format::ALL.map(|format| (format.name(), note(format)))))
        p .soft { "By Accept: " @for format in Format::ALL { code { (format.media_type()) } " " } }
        h2 id="functions" { "Functions of " code { "where" } }
        (functions(predicate::function_documentation()))
        h2 id="search" { "Search" }
        p {
            code { "GET /v1/datasets/{dataset}/tables/{table}/search?q=" }
            " finds rows by words in the columns declared for it (the table's own answer says which), the best match first, "
            code { "_score" } " before the other columns. " code { "select" } ", " code { "where" } ", " code { "limit" } ", "
            code { "offset" } ", " code { "snapshot" } ", " code { "format" } ", " code { "count" } " and "
            code { "truncate" } " are those of rows; 100 000 rows are ranked at most."
        }
        (pairs("Questions", &["q=", "What it finds"], QUESTIONS))
        p {
            "The index of a snapshot is built when first asked for. Until then the answer is 202 with how far it is, and "
            code { "Retry-After" } " says when to ask again."
        }
        h2 id="statistics" { "Statistics" }
        p {
            code { "GET /v1/datasets/{dataset}/tables/{table}" }
            " tells each column's nulls, different values, extremes, mean, standard deviation, histogram, lengths and most \
             frequent values, over all rows. They are computed once per snapshot: until " code { "statistics_state" } " is "
            code { "complete" } " the answer holds nulls and bounds, and " code { "Retry-After" } " says when to ask again."
        }
        h2 id="changes" { "Changes" }
        p {
            code { "GET /v1/datasets/{dataset}/tables/{table}/changes?from=&to=" }
            " gives what the snapshots after " code { "from" } " up to " code { "to" } " made of a table, snapshot by snapshot, \
             then by primary key, as rows with " code { "_change_type" } " (" code { "insert" } ", "
            code { "update_preimage" } ", " code { "update_postimage" } ", " code { "delete" } ") and "
            code { "_commit_version" } "; " code { "from=0" } " is the beginning. " code { "select" } ", " code { "where" }
            ", " code { "limit" } ", " code { "offset" } " and " code { "format" } " work as for rows; "
            code { "count=exact" } " alone gives the numbers."
        }
        p {
            "Each snapshot is compared with the one before it over the columns both have: NaN equals NaN, null equals null, and \
             a row that only moved to another file is no change. Rows with one key are paired in their order. Without a \
             primary key there are changes of files only."
        }
        (sql(&state))
        h2 id="extracts" { "Extracts" }
        p {
            "What is too much for one answer is run as a job: " code { "POST /v1/extracts" } " with "
            code { "{\"dataset\": …, \"table\": …, \"where\": …}" } " (the parameters of rows; "
            code { "snapshot" } " too) is answered 202 with an address that says how it stands: its place in the queue, how \
             far it is, then its Parquet files, each with sha256, and how to cite them. The same request for the same \
             snapshots is the same extract."
        }
        p {
            "One extract reads at most " (size(extracts.anonymous.bytes)) ", works at most "
            (extracts.anonymous.time.as_secs() / 60) " minutes and gives at most " (size(extracts.anonymous.result))
            "; one address may have " (extracts.anonymous.waiting) " waiting or under way. Files are kept for "
            (extracts.keep.as_secs() / 86_400) " days and their record for good; the same request makes them again, under \
             the same id."
        }
        (files)
        h2 id="limits" { "Limits" }
        p {
            "By address; " code { "RateLimit" } " in every answer says what is left, " code { "Retry-After" }
            " when to come back, and " code { "/v1/limits" } " both, with what one query may take."
        }
        ul { @for lane in [limits::QUERIES, limits::FILES] { li { (lane.to_string()) } } }
        p {
            "One query reads at most " (size(scan.bytes)) " and works at most " (scan.time.as_secs())
            " s until its answer begins (a JSON answer as a whole), a streamed one at most " (scan.stream_time.as_secs())
            " s. Whole files have no such bound."
        }
        h2 id="problems" { "Problems" }
        p { "Errors are " code { "application/problem+json" } " with a hint that works; under " code { "/data" } " they are in S3's form, under "
            code { "/iceberg" } " in Iceberg's." }
        (problems(&state))
    };
    Ok(answer::html(layout(&state, "Docs", &body), CachePolicy::Current, &headers))
}

fn note(format: Format) -> &'static str {
    match format {
        Format::Json => {
            "An object with columns, rows, row_count, next and truncated. NaN and infinities are null; decimals, and int64 \
             columns with values beyond ±2^53, are text in every row; binary is base64."
        }
        Format::Ndjson => "The rows of json, one object a line.",
        Format::Csv => {
            "UTF-8, RFC 4180 (lines end with CR LF), with a header. Null is empty, the empty string is `\"\"`, nested values \
             are JSON text; NaN, Infinity and -Infinity are written so."
        }
        Format::Arrow => "An Arrow IPC stream.",
        Format::Parquet => "One Parquet file, zstd.",
    }
}

/// A table of two columns: code, and text.
fn pairs<const N: usize>(label: &str, head: &[&str; 2], rows: [(&str, &str); N]) -> Markup {
    html! {
        div .wide tabindex="0" role="region" aria-label=(label) {
            table {
                thead { tr { @for title in head { th scope="col" { (title) } } } }
                tbody { @for (name, meaning) in rows { tr { td { code { (name) } } td { (marked(meaning)) } } } }
            }
        }
    }
}

/// The parameters of SQL: name and meaning.
const SQL_PARAMETERS: [(&str, &str); 6] = [
    (
        "query",
        "One SELECT over `dataset.table` names (`-` may be written `_`; double quotes admit any name): joins, WITH, subqueries, \
         windows, set operations and UNNEST included, also beside its table: `from t, unnest(t.list) as g(item)`. No other statements, table functions or settings.",
    ),
    (
        "snapshots",
        "`imdb=7,geonames=2026-11-21`; in a POST an object of numbers by dataset. Each dataset is read from one snapshot, \
         the current one by default.",
    ),
    ("format", "As for rows."),
    ("limit", "Most rows. JSON: 10 000 by default and at most, and `complete` says whether these are all."),
    ("truncate", "As for rows."),
    ("dry_run", "`1` says which files and bytes it would read at most, the plan and the caps, without doing it."),
];

fn sql(state: &AppState) -> Markup {
    let caps = state.settings.sql.anonymous;
    html! {
        h2 id="sql" { "SQL" }
        p {
            code { "GET /v1/sql?query=" } ", or POST with the same names in a JSON object. The entity tag is made of the query and \
            of every snapshot it reads, and is checked before anything is computed."
        }
        (pairs("Parameters of SQL", &["Parameter", "Meaning"], SQL_PARAMETERS))
        p {
            "Nulls sort last both ways unless the query says otherwise; NaN is above every number and equal to itself, and \
            there is one zero. What does not fit, such as a sum beyond bigint, is an error and never another number: cast first, as in "
            code { "sum(cast(x as decimal(38, 0)))" } ". Columns of one name are told apart in the answer: " code { "id" } ", " code { "id_2" } "."
        }
        p {
            "One query works at most " (caps.time.as_secs()) " s, holds at most " (size(caps.memory)) " of memory and "
            (size(caps.spill)) " on disk, reads at most " (size(caps.bytes)) " and gives at most " (caps.rows) " rows."
        }
        h3 { "Functions of SQL" }
        (functions(sql::documentation()))
    }
}

fn functions(themes: Vec<(&'static str, Vec<FunctionDoc>)>) -> Markup {
    html! {
        @for (theme, functions) in themes {
            details {
                summary { (theme) " (" (functions.len()) ")" }
                div .wide tabindex="0" role="region" aria-label=(theme) {
                    table {
                        tbody {
                            @for function in functions {
                                tr {
                                    th scope="row" { code { (function.name) } }
                                    td { code { (function.syntax) } }
                                    td { (marked(&function.description)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn problems(state: &AppState) -> Markup {
    html! {
        div .wide tabindex="0" role="region" aria-label="Problems" {
            table {
                thead { tr { th scope="col" { "Code" } th scope="col" { "Status" } th scope="col" { "Title" } } }
                tbody {
                    @for kind in Kind::ALL {
                        tr {
                            td { a href=(state.url(&format!("/problems/{}", kind.code()))) { code { (kind.code()) } } }
                            td .n { (kind.status().as_u16()) }
                            td { (marked(kind.title())) }
                        }
                    }
                }
            }
        }
    }
}

/// Text with code between backquotes.
pub(super) fn marked(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() { @if at % 2 == 1 { code { (part) } } @else { (part) } }
    }
}
