//! `/v1/limits`: who the caller is to this server, what is left to it, and what one query may take.

use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{
    answer,
    api::link,
    cache::CachePolicy,
    limits::{Asker, Left},
    params::Params,
    problem::Problem,
    state::AppState,
};

/// What a caller may do, and what is left of it.
#[derive(Debug, Serialize, ToSchema)]
struct Limits {
    /// `on`, or `off` where this server counts nobody's requests.
    limits: &'static str,
    /// `anonymous`: counted by address.
    tier: &'static str,
    /// What is left, lane by lane; to ask took one of each. Empty where limits are off.
    allowances: Vec<Left>,
    /// What one query may take, whoever asks and whether limits are on or off.
    per_query: PerQuery,
}

#[derive(Debug, Serialize, ToSchema)]
struct PerQuery {
    rows: RowsCaps,
    sql: SqlCapsSaid,
    extracts: ExtractCapsSaid,
}

/// Rows, rejects, changes and search.
#[derive(Debug, Serialize, ToSchema)]
struct RowsCaps {
    /// Seconds at work until the answer begins; of JSON, until it ends.
    seconds: f64,
    /// Seconds at work on an answer that streams.
    stream_seconds: f64,
    /// Bytes read from the store.
    bytes: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct SqlCapsSaid {
    seconds: f64,
    /// Bytes of memory that sorting, grouping and joining may hold.
    memory: u64,
    /// Bytes of intermediate results on disk.
    spill: u64,
    /// Bytes read from the store.
    bytes: u64,
    /// Rows of the result.
    rows: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExtractCapsSaid {
    /// Extracts of one address that may wait or be under way, where limits are on.
    waiting: u64,
    seconds: f64,
    /// Bytes read from the store.
    bytes: u64,
    /// Bytes of the result.
    result: u64,
}

/// Who you are to this server, what is left to you, when it is there again, and what one query may take.
#[utoipa::path(
    get, path = "/v1/limits", tag = "server",
    responses((status = 200, description = "The caller's tier and what is left", body = Limits))
)]
pub(in crate::http) async fn get(
    State(state): State<AppState>,
    asker: Asker,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let settings = &state.settings;
    let (scan, sql, extracts) = (settings.scan, settings.sql.anonymous, settings.extracts.anonymous);
    let said = Limits {
        limits: if settings.limits { "on" } else { "off" },
        tier: "anonymous",
        allowances: state.lanes.left(asker),
        per_query: PerQuery {
            rows: RowsCaps {
                seconds: scan.time.as_secs_f64(),
                stream_seconds: scan.stream_time.as_secs_f64(),
                bytes: scan.bytes,
            },
            sql: SqlCapsSaid {
                seconds: sql.time.as_secs_f64(),
                memory: sql.memory,
                spill: sql.spill,
                bytes: sql.bytes,
                rows: sql.rows,
            },
            extracts: ExtractCapsSaid {
                waiting: extracts.waiting as u64,
                seconds: extracts.time.as_secs_f64(),
                bytes: extracts.bytes,
                result: extracts.result,
            },
        },
    };
    let mut response = answer::json(&said, CachePolicy::Never, &headers)?;
    link(&mut response, &state.url("/docs#limits"), "describedby");
    Ok(response)
}
