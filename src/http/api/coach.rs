//! The coach: an answer that read very much to say very little carries the same request, rewritten to cost less.
//!
//! It never refuses and never scolds; whoever asks in a costly way gets the answer, and a way to have it for less.

use super::asked::Asked;
use crate::{
    catalog::{ColumnType, TableSnapshot},
    http::{
        incoming::Incoming,
        params::{Params, query_string},
        problem::Instead,
        produce::Coach,
        subject::Subject,
    },
    query::{
        bounds, cost,
        encode::json::Hint,
        names,
        table::{Rows, Table},
    },
};

/// What to say of rows once it is known what the answer took. `counted`: bytes read to count them, besides.
pub(super) fn coach(request: &Incoming, subject: &Subject, asked: &Asked, counted: u64) -> Coach {
    let here = subject.here(&request.state);
    let files = subject.files(&request.state);
    // Advice is worked out when it is given: most answers get none.
    let (request, subject, facts) = (request.params.clone(), subject.clone(), Facts::of(asked, counted));
    Box::new(move |scanned, returned| {
        let scanned = scanned.saturating_add(counted);
        let rewritten = |change: Instead| format!("{here}{}", query_string(request.clone().changed(&change).iter()));
        hint(scanned, returned, || {
            if facts.counts_much {
                let said = "`count=estimate` looks at some of the pages instead of all of them";
                (said.to_owned(), rewritten(Instead::Value("count", "estimate".to_owned())))
            } else if facts.passes_over {
                let said = "the rows before `offset` are found and passed over each time; from the first page on, `next` goes \
                            on where a page ended, at the same cost at any depth";
                (said.to_owned(), rewritten(Instead::Without("offset")))
            } else {
                narrower(&subject, facts.condition.as_deref(), &request, rewritten)
                    .unwrap_or_else(|| whole(&subject, &files, &here))
            }
        })
    })
}

/// [`coach`] of a search: what it reads are the rows it shows, and those its condition is held against.
pub(super) fn coach_search(request: &Incoming, subject: &Subject, asked: &Asked, shown: Option<String>) -> Coach {
    let here = subject.here(&request.state);
    let files = subject.files(&request.state);
    let (request, subject, facts) = (request.params.clone(), subject.clone(), Facts::of(asked, 0));
    let counts = asked.count != "none";
    Box::new(move |scanned, returned| {
        let rewritten = |change: Instead| format!("{here}{}", query_string(request.clone().changed(&change).iter()));
        hint(scanned, returned, || {
            if counts && facts.condition.is_some() {
                let said = "without `count` the condition is held against the best rows first, and seldom against all";
                (said.to_owned(), rewritten(Instead::Without("count")))
            } else if let Some(shown) = shown.filter(|_| facts.condition.is_none() && request.get("select").is_none()) {
                let said = "each row that is found costs a page of every column: `select` names those that are wanted";
                (said.to_owned(), rewritten(Instead::Value("select", shown)))
            } else {
                narrower(&subject, facts.condition.as_deref(), &request, rewritten)
                    .unwrap_or_else(|| whole(&subject, &files, &here))
            }
        })
    })
}

/// A word on an answer that read so many bytes to give so many, if that is worth one: what reads less, and its address.
pub(super) fn hint(scanned: u64, returned: u64, advice: impl FnOnce() -> (String, String)) -> Option<Hint> {
    if !cost::is_wasteful(scanned, returned) {
        return None;
    }
    let (said, url) = advice();
    let message = format!("{} MB were read for {} kB: {said}.", scanned / 1_000_000, returned.div_ceil(1000));
    Some(Hint { message, url })
}

/// The same request within bounds of the column the table is sorted by.
fn narrower(
    subject: &Subject,
    condition: Option<&[usize]>,
    request: &Params,
    rewritten: impl Fn(Instead) -> String,
) -> Option<(String, String)> {
    let table = subject.published.manifest.table(&subject.table).filter(|_| subject.rows == Rows::Published)?;
    let (at, key, bounds) = sort_key(table, &subject.source.table)?;
    if condition?.contains(&at) {
        return None;
    }
    let own = request.get("where").map(|text| format!("({text}) and {bounds}"));
    Some((sorted_by(&key), rewritten(Instead::Value("where", own.unwrap_or(bounds)))))
}

/// What to say of a column that a table is sorted by.
pub(super) fn sorted_by(key: &str) -> String {
    format!("the table is sorted by `{key}`: with narrower bounds on it only the pages between them are read")
}

/// All of it at once, for whoever asks again and again.
fn whole(subject: &Subject, files: &str, here: &str) -> (String, String) {
    match subject.rows {
        Rows::Published => (
            "the table's files hold the same rows, and a reader of Parquet keeps them at hand for the next question"
                .to_owned(),
            files.to_owned(),
        ),
        // They have no list of files; this is one.
        Rows::Rejected => (
            "all of them as one Parquet file are kept at hand for the next question".to_owned(),
            format!("{here}?format=parquet&snapshot={}", subject.published.manifest.snapshot),
        ),
    }
}

/// What of a request the advice depends on.
#[derive(Debug, Clone)]
struct Facts {
    counts_much: bool,
    passes_over: bool,
    /// Columns of the condition, if there is one.
    condition: Option<Vec<usize>>,
}

impl Facts {
    fn of(asked: &Asked, counted: u64) -> Self {
        let condition = asked.slice.predicate.as_ref().map(|predicate| predicate.columns().to_vec());
        Self {
            counts_much: asked.count == "exact" && cost::is_wasteful(counted, 0),
            passes_over: asked.slice.offset > 0 && (condition.is_some() || asked.order.is_some()),
            condition,
        }
    }
}

/// The column a table is sorted by, and a condition on it that every row fulfils: its place, its name, the condition.
pub(super) fn sort_key(snapshot: &TableSnapshot, table: &Table) -> Option<(usize, String, String)> {
    let (at, column) = snapshot.schema.column(snapshot.sort_key.first()?)?;
    let known = bounds::of_table(&table.files, column);
    if known.nulls != Some(0) {
        return None;
    }
    let literal = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    };
    let (name, low) = (names::quoted(&column.name), literal(&known.min?));
    let condition = match (&column.kind, known.max) {
        // The upper bound of texts may be cut.
        (ColumnType::Utf8, _) | (_, None) => format!("{name} >= {low}"),
        (_, Some(high)) => format!("{name} between {low} and {}", literal(&high)),
    };
    Some((at, column.name.clone(), condition))
}
