//! Which rows did not fit, and why; and the rejects they become.

use std::collections::{BTreeMap, BTreeSet};

use arrow::{array::RecordBatch, buffer::BooleanBuffer};

use super::{cells::Cells, number::Reason};
use crate::ingest::{
    Failure,
    extract::{RawBatch, RawColumn},
    rejects::{Reject, RejectBuilder},
};

/// Longest piece of a value in a reason.
const SHOWN: usize = 80;

/// Faults of one column, by row of the array being cast.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(usize, String)>);

impl Faults {
    /// A value did not fit.
    pub(crate) fn push(&mut self, row: usize, reason: impl Into<String>) {
        self.0.push((row, reason.into()));
    }

    /// A text did not fit.
    pub(crate) fn value(&mut self, row: usize, text: &[u8], kind: &dyn std::fmt::Display, reason: &Reason) {
        self.push(row, format!("{} is no {kind}: {reason}", shown(text)));
    }

    /// Takes the faults of nested values over: `parents` gives the row of each nested value.
    pub(crate) fn adopt(&mut self, nested: Self, parents: impl Fn(usize) -> usize) {
        self.0.extend(nested.0.into_iter().map(|(row, reason)| (parents(row), reason)));
    }

    /// The same faults, said to be in a struct's field.
    pub(crate) fn within(mut self, field: &str) -> Self {
        for (_, reason) in &mut self.0 {
            *reason = format!("field `{field}`: {reason}");
        }
        self
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows that have one.
    pub(crate) fn rows(&self) -> BTreeSet<usize> {
        self.0.iter().map(|(row, _)| *row).collect()
    }
}

/// A text in a message: quoted, printable, not too long.
pub(crate) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{}`", short.escape_debug())
}

/// Rows of a batch that do not fit: the first fault of each, with the reasons of further ones.
#[derive(Debug, Default)]
pub(super) struct Misfits(BTreeMap<usize, Misfit>);

#[derive(Debug)]
struct Misfit {
    column: String,
    value: Option<String>,
    reasons: String,
}

impl Misfits {
    /// Adds a column's faults.
    pub(super) fn add(&mut self, column: &str, cells: &Cells, faults: Faults) {
        // Children that no row shows (of null parents) have no row.
        for (row, reason) in faults.0.into_iter().filter(|(row, _)| *row < cells.len()) {
            match self.0.get_mut(&row) {
                None => {
                    let misfit = Misfit { column: column.to_owned(), value: cells.shown(row), reasons: reason };
                    self.0.insert(row, misfit);
                }
                // A list may have thousands of bad elements: the first few tell enough.
                Some(misfit) if misfit.reasons.len() < 1000 => {
                    misfit.reasons.push_str("; ");
                    if misfit.column != column {
                        misfit.reasons.push_str(column);
                        misfit.reasons.push_str(": ");
                    }
                    misfit.reasons.push_str(&reason);
                }
                Some(_) => {}
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True for the rows that fit.
    pub(super) fn fitting(&self, rows: usize) -> BooleanBuffer {
        let mut fits = vec![true; rows];
        for row in self.0.keys() {
            if let Some(fits) = fits.get_mut(*row) {
                *fits = false;
            }
        }
        BooleanBuffer::from(fits)
    }

    /// These rows and the batch's broken ones as rejects, in upstream's order.
    pub(super) fn rejects(&self, raw: &RawBatch, source: &str) -> Result<Option<RecordBatch>, Failure> {
        let mut builder = RejectBuilder::default();
        let mut broken = raw.broken.iter().peekable();
        let mut push_broken = |builder: &mut RejectBuilder, before: u64| {
            while let Some(row) = broken.next_if(|row| row.position < before) {
                builder.push(&Reject {
                    source,
                    position: (raw.unit, row.position),
                    column: None,
                    value: None,
                    reason: &row.reason,
                    row: Some(&row.text),
                });
            }
        };
        for (row, misfit) in &self.0 {
            let position = raw.positions.get(*row).copied().unwrap_or_default();
            push_broken(&mut builder, position);
            builder.push(&Reject {
                source,
                position: (raw.unit, position),
                column: Some(&misfit.column),
                value: misfit.value.as_deref(),
                reason: &misfit.reasons,
                row: Some(&whole_row(raw, *row)),
            });
        }
        push_broken(&mut builder, u64::MAX);
        // Positions are below the largest number there is, unless an extractor counts strangely: none may be lost.
        for row in broken {
            builder.push(&Reject {
                source,
                position: (raw.unit, row.position),
                column: None,
                value: None,
                reason: &row.reason,
                row: Some(&row.text),
            });
        }
        if builder.is_empty() {
            return Ok(None);
        }
        builder.finish().map(Some).map_err(|error| Failure::internal(format!("rejects: {error}")))
    }
}

/// A raw row as JSON: upstream's names, text cells as strings, JSON cells as they are.
fn whole_row(raw: &RawBatch, row: usize) -> String {
    let mut text = String::from("{");
    for (name, column) in raw.names.iter().zip(&raw.columns) {
        let Some(shown) = Cells::from(column).shown(row) else {
            // Null in JSON rows is mostly an absent key.
            if !raw.sparse {
                push_member(&mut text, name, "null");
            }
            continue;
        };
        match column {
            RawColumn::Json(_) => push_member(&mut text, name, &shown),
            RawColumn::Text(_) | RawColumn::Typed(_) => {
                push_member(&mut text, name, &serde_json::Value::from(shown).to_string());
            }
        }
    }
    text.push('}');
    text
}

fn push_member(text: &mut String, name: &str, json: &str) {
    if text.len() > 1 {
        text.push(',');
    }
    text.push_str(&serde_json::Value::from(name).to_string());
    text.push(':');
    text.push_str(json);
}
