//! What `/openapi.json` says of rows: their parameters, answers and refusals, once for all addresses that give rows.
#![allow(dead_code, reason = "these types are read by the document, not by the program")]

use serde_json::{Map, Value};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::rows::DryRun;
use crate::query::encode::json::{AnswerColumn, Cut, Hint, RowCount};

/// The parameters of rows. Besides, `{column}__{op}=value` (exact, not, gt, gte, lt, lte, in, contains, startswith, isnull)
/// adds one condition to `where`. What values they take follows from their names (`openapi`).
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RowsQuery {
    /// Columns, comma-separated, in the order wanted; `-name` leaves one out; double quotes admit any name.
    select: Option<String>,
    /// A SQL boolean expression over the columns; `/docs` lists its functions. `{column}__{op}=value` adds a condition.
    r#where: Option<String>,
    /// Columns, comma-separated, the first counting most; `-name` puts the largest first. Nulls last both ways.
    order_by: Option<String>,
    /// Rows to skip; any depth costs the same without `where` and `order_by`. Not with `cursor` or `sample`.
    offset: Option<i64>,
    /// Most rows. JSON: 100 by default, at most 10 000; other formats: every matching row unless it is given.
    limit: Option<i64>,
    /// Where a page ended, from `next`; belongs to its table, snapshot, condition and order.
    cursor: Option<String>,
    /// So many rows at random of those that match; at most 10 000 in JSON. Not with `offset` or `cursor`.
    #[param(maximum = 100_000)]
    sample: Option<i64>,
    /// Which sample; only with `sample`.
    seed: Option<i64>,
    /// A snapshot's number, or a UTC date such as 2026-11-21; the current one by default.
    snapshot: Option<String>,
    /// The format; `Accept` without it, JSON without both.
    format: Option<String>,
    /// Whether the matching rows are counted.
    count: Option<String>,
    /// 0 shows JSON cells over 64 KiB whole.
    truncate: Option<i32>,
    /// 1 says what the answer would take, and does nothing else.
    dry_run: Option<i32>,
}

/// The parameters of a search. Besides, `{column}__{op}=value` adds one condition to `where`, as for rows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// Words that must all occur; `"a phrase"`, `-without`, `begin*`, `column:word`, `one OR other`.
    #[param(min_length = 1, max_length = 1000)]
    q: String,
    /// Columns, comma-separated, in the order wanted; `_score` stands before them.
    select: Option<String>,
    /// A SQL boolean expression over the columns.
    r#where: Option<String>,
    /// Ranks to skip; 100 000 rows are ranked at most.
    #[param(maximum = 99_999)]
    offset: Option<i64>,
    /// Most rows. JSON: 100 by default, at most 10 000; other formats: all that match, at most 100 000.
    #[param(maximum = 100_000)]
    limit: Option<i64>,
    /// A snapshot's number, or a UTC date such as 2026-11-21; the current one by default.
    snapshot: Option<String>,
    /// The format; `Accept` without it, JSON without both.
    format: Option<String>,
    /// Whether all rows that match are counted; both ways are exact.
    count: Option<String>,
    /// 0 shows JSON cells over 64 KiB whole.
    truncate: Option<i32>,
}

/// What an extract is made of: one SELECT, or rows of a table with the parameters of rows.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "it describes, and is never made")]
pub(super) enum ExtractBody {
    Query(ExtractQuery),
    Rows(ExtractRows),
}

/// An extract of a query.
#[derive(ToSchema)]
pub(super) struct ExtractQuery {
    /// One SELECT over `dataset.table` names.
    #[schema(min_length = 1)]
    query: String,
    /// Snapshots by dataset: numbers or UTC dates; the current ones by default.
    snapshots: Option<Map<String, Value>>,
}

/// An extract of rows. Besides, `{column}__{op}` adds one condition to `where`.
#[derive(ToSchema)]
pub(super) struct ExtractRows {
    #[schema(min_length = 1)]
    dataset: String,
    #[schema(min_length = 1)]
    table: String,
    /// A snapshot's number, or a UTC date; the current one by default.
    snapshot: Option<Value>,
    /// Columns, comma-separated or as a list.
    select: Option<Value>,
    /// A SQL boolean expression over the columns.
    r#where: Option<String>,
    /// Columns, comma-separated; `-name` puts the largest first.
    order_by: Option<String>,
    #[schema(minimum = 0)]
    offset: Option<u64>,
    #[schema(minimum = 1)]
    limit: Option<u64>,
    #[schema(minimum = 1, maximum = 100_000)]
    sample: Option<u64>,
    #[schema(minimum = 0)]
    seed: Option<u64>,
}

/// Rows that were found, the best first, each with its `_score`.
#[derive(ToSchema)]
pub(super) struct SearchAnswer {
    /// The question.
    q: String,
    #[serde(flatten)]
    rows: RowsAnswer,
}

/// Rows as JSON.
#[derive(ToSchema)]
pub(super) struct RowsAnswer {
    dataset: String,
    table: String,
    snapshot: u64,
    columns: Vec<AnswerColumn>,
    /// One object a row, with every selected column.
    rows: Vec<Map<String, Value>>,
    /// Rows before these.
    offset: u64,
    /// Rows that match, if they were counted.
    row_count: Option<RowCount>,
    /// Address of the rows that follow; null after the last.
    next: Option<String>,
    /// Cells that were cut.
    truncated: Vec<Cut>,
    /// The seed of a sample.
    seed: Option<u64>,
    /// How the same is had for less; only where very much was read to say very little.
    hint: Option<Hint>,
}

/// Rows, or with `dry_run=1` what they would cost.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum RowsBody {
    Rows(RowsAnswer),
    Cost(DryRun),
}

/// How rows are refused; the problem's shape follows from the status.
#[derive(IntoResponses)]
pub(super) enum RowsRefused {
    /// The client has them.
    #[response(status = 304)]
    NotModified,
    /// A parameter is wrong; the problem says which and what would work.
    #[response(status = 400)]
    Wrong,
    /// No such dataset, table or snapshot.
    #[response(status = 404)]
    NotFound,
    /// No such format.
    #[response(status = 406)]
    NoFormat,
    /// It takes more than one answer may; the problem names the files.
    #[response(status = 422)]
    TooMuch,
    /// Too many requests; `Retry-After` says when to come back.
    #[response(status = 429)]
    TooMany,
    /// The license allows no public copy.
    #[response(status = 451)]
    Personal,
}
