//! An extract: a query whose answer is too big for one, run as a job and kept as files under an id that can be cited.
//!
//! Its state is a numbered log: the first event says what was asked for, the last one how it stands. The id follows from
//! the request and the snapshots it reads, so that the same request is the same extract, today and after its files are
//! gone.

use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::License;

/// Letters of an id after the first: 100 bits of the request's hash.
const LETTERS: usize = 20;
/// Crockford's digits, in lower case: none is mistaken for another.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The id of an extract: `x` (or `p` where a license reserves what it reads for personal use) and 20 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExtractId(String);

impl ExtractId {
    /// The id of a request with that hash.
    pub fn of(personal: bool, hash: &[u8]) -> Self {
        let bit = |at: usize| hash.get(at / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1));
        let digit = |at: usize| {
            let value = (at * 5..at * 5 + 5).fold(0, |value, at| value << 1 | bit(at));
            char::from(DIGITS.get(value).copied().unwrap_or(b'0'))
        };
        let kind = if personal { 'p' } else { 'x' };
        Self(std::iter::once(kind).chain((0..LETTERS).map(digit)).collect())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what it reads is reserved for personal use.
    pub fn is_personal(&self) -> bool {
        self.0.starts_with('p')
    }
}

impl FromStr for ExtractId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(['x', 'p']).unwrap_or_default();
        if rest.len() == LETTERS && rest.bytes().all(|byte| DIGITS.contains(&byte)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("`{text}` is no extract's id: those are `x` and {LETTERS} digits and letters"))
        }
    }
}

impl TryFrom<String> for ExtractId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ExtractId> for String {
    fn from(id: ExtractId) -> Self {
        id.0
    }
}

impl fmt::Display for ExtractId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is extracted, in its normal form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ExtractRequest {
    /// The result of a SELECT.
    Sql {
        /// Its text.
        query: String,
    },
    /// A slice of a table.
    Rows {
        /// Dataset.
        dataset: String,
        /// Table.
        table: String,
        /// The parameters of rows, by name.
        parameters: BTreeMap<String, String>,
    },
}

/// A license that holds for the result, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtractLicense {
    /// The license.
    #[serde(flatten)]
    pub license: License,
    /// The tables it holds for, as `dataset.table`.
    pub tables: Vec<String>,
}

/// All that was fixed when an extract was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractOrder {
    /// What is extracted.
    pub request: ExtractRequest,
    /// The snapshots it reads, by dataset.
    pub snapshots: BTreeMap<String, u64>,
    /// The licenses of all tables it reads.
    pub licenses: Vec<ExtractLicense>,
    /// How the datasets it reads are cited.
    pub citations: Vec<String>,
    /// Bytes it may have to read, about.
    pub bytes_to_scan: u64,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtractProgress {
    /// Bytes read from the store.
    pub bytes_scanned: u64,
    /// Bytes it may have to read in all, about: files and pages that hold nothing wanted are left out.
    pub bytes_to_scan: u64,
    /// Rows written so far.
    pub rows: u64,
}

/// A file of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtractFile {
    /// Its name.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// sha256, hex.
    pub sha256: String,
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractResult {
    /// Its files, in row order.
    pub files: Vec<ExtractFile>,
    /// Name and type of each column.
    pub columns: Vec<(String, String)>,
    /// Rows in all files.
    pub rows: u64,
    /// Bytes read from the store.
    pub bytes_scanned: u64,
    /// When it was finished.
    pub finished: DateTime<Utc>,
    /// Until when the files are kept.
    pub expires: DateTime<Utc>,
    /// The version of Openshelf that made it.
    pub software: String,
}

/// What happened to an extract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ExtractState {
    /// It was asked for, for the first time or again after it failed or its files expired.
    Requested(Box<ExtractOrder>),
    /// A server is at work on it and says so every few seconds: one that is silent for too long has lost it.
    Running {
        /// How many servers began it.
        attempt: u32,
        /// How far it is.
        progress: ExtractProgress,
    },
    /// The server at work was told to end; another one may begin at once.
    Released {
        /// How many servers began it.
        attempt: u32,
    },
    /// Its files are there.
    Done(Box<ExtractResult>),
    /// It came to nothing.
    Failed {
        /// Why, for people.
        message: String,
    },
    /// Its files are gone; what they were is still known.
    Expired(Box<ExtractResult>),
}

/// One record of an extract's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractEvent {
    /// Who wrote it: a ULID per request and per attempt.
    pub run: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub state: ExtractState,
}

/// An extract as its log tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Extract {
    /// Its id.
    pub id: ExtractId,
    /// What was asked for.
    pub order: ExtractOrder,
    /// When it was asked for first.
    pub created: DateTime<Utc>,
    /// Number of the last event.
    pub number: u64,
    /// The last event.
    pub last: ExtractEvent,
}

impl Extract {
    /// Whether somebody has still to do something before there are files.
    pub fn is_pending(&self) -> bool {
        use ExtractState::{Released, Requested, Running};
        matches!(self.last.state, Requested(_) | Running { .. } | Released { .. })
    }

    /// What came of it, if it ever was finished.
    pub fn result(&self) -> Option<&ExtractResult> {
        match &self.last.state {
            ExtractState::Done(result) | ExtractState::Expired(result) => Some(result),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_hashes_and_are_told_from_other_text() {
        let id = ExtractId::of(false, &[0xff; 32]);
        assert_eq!(id.as_str(), format!("x{}", "z".repeat(20)));
        assert_eq!(id.as_str().parse(), Ok(id));
        assert!(ExtractId::of(true, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]).is_personal());
        assert_ne!(ExtractId::of(false, &[1; 32]), ExtractId::of(false, &[2; 32]));
        for text in ["", "x", "x/../../manifests/000", "y00000000000000000000", "x0000000000000000000I"] {
            assert!(text.parse::<ExtractId>().is_err(), "{text}");
        }
    }

    #[test]
    fn events_read_as_they_were_written() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let request = ExtractRequest::Rows { dataset: "d".into(), table: "t".into(), parameters: BTreeMap::new() };
        let order = ExtractOrder {
            request,
            snapshots: BTreeMap::from([("d".into(), 1)]),
            licenses: Vec::new(),
            citations: Vec::new(),
            bytes_to_scan: 5,
        };
        for state in [
            ExtractState::Requested(Box::new(order)),
            ExtractState::Running { attempt: 1, progress: ExtractProgress::default() },
            ExtractState::Failed { message: "no".into() },
        ] {
            let event = ExtractEvent { run: "r".into(), at, state };
            let text = serde_json::to_string(&event).expect("JSON");
            assert_eq!(serde_json::from_str::<ExtractEvent>(&text).expect("an event"), event, "{text}");
        }
    }
}
