//! The coach: an answer that read very much to say very little carries the same request, rewritten to cost less.
//!
//! It never refuses and never scolds; whoever asks in a costly way gets the answer, and a way to have it for less.

use super::asked::Asked;
use crate::{
    catalog::ColumnType,
    http::{
        incoming::Incoming,
        params::{Params, query_string},
        problem::Instead,
        produce::Coach,
        subject::Subject,
    },
    query::{bounds, cost, encode::json::Hint, names},
};

/// What to say once it is known what the answer took. `counted`: bytes read to count rows, besides.
pub(super) fn coach(request: &Incoming, subject: &Subject, asked: &Asked, counted: u64) -> Coach {
    let here = subject.here(&request.state);
    // Advice is worked out when it is given: most answers get none.
    let (request, subject, facts) = (request.params.clone(), subject.clone(), Facts::of(asked, counted));
    let files = format!("{}/files", here.rsplit_once('/').map_or(here.as_str(), |(table, _)| table));
    let files = format!("{files}?snapshot={}", subject.published.manifest.snapshot);
    Box::new(move |scanned, returned| {
        let scanned = scanned.saturating_add(counted);
        if !cost::is_wasteful(scanned, returned) {
            return None;
        }
        let rewritten = |changes: &[Instead]| {
            let changed = changes.iter().fold(request.clone(), Params::changed);
            format!("{here}{}", query_string(changed.iter()))
        };
        let (said, url) = if facts.counts_much {
            let change = Instead::Value("count", "estimate".to_owned());
            ("`count=estimate` looks at some of the pages instead of all of them".to_owned(), rewritten(&[change]))
        } else if facts.passes_over {
            let said = "the rows before `offset` are found and passed over each time; from the first page on, `next` goes on \
                        where a page ended, at the same cost at any depth";
            (said.to_owned(), rewritten(&[Instead::Without("offset")]))
        } else if let Some((key, condition)) = sort_key(&subject, &facts) {
            let own = request.get("where").map(|text| format!("({text}) and {condition}"));
            let said = format!(
                "the table is sorted by `{key}`: with narrower bounds on it only the pages between them are read"
            );
            (said, rewritten(&[Instead::Value("where", own.unwrap_or(condition))]))
        } else {
            let said = "the table's files hold the same rows, and a reader of Parquet keeps them at hand for the next question";
            (said.to_owned(), files)
        };
        let message = format!("{} MB were read for {} kB: {said}.", scanned / 1_000_000, returned.div_ceil(1000));
        Some(Hint { message, url })
    })
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

/// A condition on the column the table is sorted by that every row fulfils, unless the request has one already.
fn sort_key(subject: &Subject, facts: &Facts) -> Option<(String, String)> {
    let columns = facts.condition.as_ref()?;
    let table = subject.published.manifest.table(&subject.table).filter(|_| subject.what == "rows")?;
    let (at, column) = table.schema.column(table.sort_key.first()?)?;
    let known = bounds::of_table(&subject.source.table.files, column);
    if columns.contains(&at) || known.nulls != Some(0) {
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
    Some((column.name.clone(), condition))
}
