//! The record of one ingest attempt, written whatever came of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A new snapshot.
    Published,
    /// Upstream had nothing new; no snapshot.
    Unchanged,
    /// Nothing was published.
    Failed,
}

/// Who must act on a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The publisher of the data: unreachable, cut off, inconsistent.
    Upstream,
    /// The dataset's definition: it no longer fits what upstream publishes.
    Definition,
    /// Openshelf or the machine it runs on; another run that won the race, too.
    Internal,
}

/// Rows of one table in a run: `read = published + rejected`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableCount {
    /// Table.
    pub table: String,
    /// Rows upstream holds.
    pub read: u64,
    /// Rows in the snapshot.
    pub published: u64,
    /// Rows in the rejects.
    pub rejected: u64,
}

/// One ingest attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunRecord {
    /// ULID of the run; sorts by start time.
    pub run: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// What came of it.
    pub outcome: Outcome,
    /// Who must act, if it failed.
    pub blame: Option<Blame>,
    /// One sentence for people.
    pub message: String,
    /// The snapshot it published.
    pub snapshot: Option<u64>,
    /// True when it read the sample instead of upstream.
    #[serde(default)]
    pub sample: bool,
    /// Rows per table, as far as the run came.
    #[serde(default)]
    pub tables: Vec<TableCount>,
    /// What transform scripts wrote to standard error (the end of it).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub script_output: Vec<String>,
    /// Bytes fetched over the network.
    #[serde(default)]
    pub fetched_bytes: u64,
    /// Openshelf's version.
    #[serde(default)]
    pub software: String,
}
