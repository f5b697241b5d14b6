//! Which texts of a format mean null, and in which columns.

use crate::ingest::definition::grammar::{ColumnDefinition, OneOrMany, Scalar};

/// A format's null texts. They do not hold for a column that names its own: there the text is left as it is, for
/// normalization to judge.
#[derive(Debug)]
pub(super) struct Nulls {
    tokens: Vec<Vec<u8>>,
    /// Columns that name their own.
    own: Vec<bool>,
}

impl Nulls {
    /// For the upstream columns `names`; `by_order` when a column without `from` is the one at its own place.
    pub(super) fn new(
        tokens: Option<&OneOrMany<String>>,
        columns: &[ColumnDefinition],
        names: &[String],
        by_order: bool,
    ) -> Self {
        let tokens: Vec<_> = tokens
            .map(OneOrMany::as_slice)
            .unwrap_or_default()
            .iter()
            .map(|token| token.clone().into_bytes())
            .collect();
        let mut own = vec![false; names.len()];
        let mut last = 0;
        for column in columns {
            let places: Vec<usize> = match &column.from {
                None if by_order => vec![last],
                None => named(&column.name, names).into_iter().collect(),
                Some(from) => from.as_slice().iter().filter_map(|from| place(from, names)).collect(),
            };
            // Where columns bind by order, one without `from` follows the one before it; variables take no place.
            last = places.first().map_or(last, |place| place + 1);
            for place in places.into_iter().filter(|_| column.null.is_some()) {
                if let Some(own) = own.get_mut(place) {
                    *own = true;
                }
            }
        }
        Self { tokens, own }
    }

    /// Whether `text` in column `column` means null.
    #[inline]
    pub(super) fn contains(&self, column: usize, text: &[u8]) -> bool {
        let same = |token: &Vec<u8>| token.len() == text.len() && token.first() == text.first() && token == text;
        self.tokens.iter().any(same) && !self.own.get(column).copied().unwrap_or(false)
    }
}

/// Where a `from` points: a name, a position from 1, or the column of `column#/pointer`.
fn place(from: &Scalar, names: &[String]) -> Option<usize> {
    match from {
        Scalar::Number(position) => usize::try_from(*position).ok()?.checked_sub(1),
        Scalar::Text(text) => named(text, names).or_else(|| named(text.split_once("#/")?.0, names)),
    }
}

/// The column of that name, in any case.
fn named(wanted: &str, names: &[String]) -> Option<usize> {
    let alike = || names.iter().position(|name| name.to_lowercase() == wanted.to_lowercase());
    names.iter().position(|name| name == wanted).or_else(alike)
}
