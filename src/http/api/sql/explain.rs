//! `dry_run=1`: what a query would read and how it would be computed, without doing it.

use axum::response::Response;
use serde_json::json;

use super::names::Named;
use crate::{
    config::SqlCaps,
    http::{deliver::Validity, incoming::Incoming, problem::Problem},
    query::{
        encode::{OutputColumn, json::AnswerColumn},
        engine::{Work, cost},
        sql::Planned,
    },
};

/// The plan, what it scans, and the caps it would run under.
pub(super) async fn answer(
    request: &Incoming,
    validity: &Validity,
    work: &Work<'_>,
    planned: &Planned,
    named: &Named,
    caps: &SqlCaps,
) -> Result<Response, Problem> {
    let scans = cost::of(planned.physical.as_ref(), work).await?;
    let total: u64 = scans.iter().map(|scan| scan.bytes).sum();
    let columns: Vec<AnswerColumn> =
        planned.output.columns.columns.iter().map(|column| AnswerColumn::from(&OutputColumn::plain(column))).collect();
    let body = json!({
        "dry_run": true,
        "snapshots": named.snapshots_json(),
        "columns": columns,
        "scans": scans,
        "bytes": total,
        "fits": total <= caps.bytes,
        "caps": {
            "seconds": caps.time.as_secs_f64(),
            "memory": caps.memory,
            "spill": caps.spill,
            "bytes": caps.bytes,
            "rows": caps.rows,
        },
        "plan": planned.explain(),
        "logical_plan": planned.logical(),
    });
    request.json(&body, validity.policy)
}
