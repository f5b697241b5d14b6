//! `from`: which of upstream's columns, pointers or variables a column of ours is read from.

use std::{borrow::Cow, collections::BTreeMap, collections::BTreeSet};

use crate::ingest::{
    Failure,
    definition::grammar::{ColumnDefinition, Format, OneOrMany, Scalar},
};

/// Where a column's cells come from in one shape of batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A raw column.
    Column(usize),
    /// A place inside a raw column.
    Pointer(usize, Vec<String>),
    /// The same text in every row.
    Constant(String),
}

/// Whether upstream's columns have an order but no names: they are then called `1`, `2`, ….
pub(crate) fn by_order(format: &Format) -> bool {
    match format {
        Format::Pgcopy {} => true,
        Format::Csv(csv) => csv.header.rows() == 0,
        _ => false,
    }
}

/// What each column is looked for under, in order of preference.
///
/// Where columns bind by order, one without `from` takes the position after that of the column before it; `$variables`
/// take none.
pub(super) fn candidates(columns: &[ColumnDefinition], by_order: bool) -> Vec<Vec<Scalar>> {
    let mut last = 0;
    columns
        .iter()
        .map(|column| match &column.from {
            Some(from) => {
                let from = from.as_slice();
                if let Some(position) = from.iter().find_map(position).filter(|_| by_order) {
                    last = position;
                }
                from.to_vec()
            }
            None if by_order => {
                last += 1;
                vec![Scalar::Number(last)]
            }
            None => vec![Scalar::Text(column.name.clone())],
        })
        .collect()
}

fn position(from: &Scalar) -> Option<i64> {
    match from {
        Scalar::Number(position) => Some(*position),
        Scalar::Text(text) => text.split_once('#').map_or(text.as_str(), |(base, _)| base).parse().ok(),
    }
}

/// The top-level upstream names that the columns need; `None`: all of them (no columns are named, or one of them is named by
/// position in a format whose columns have names).
pub fn wanted(columns: &[ColumnDefinition], format: &Format) -> Option<BTreeSet<String>> {
    if columns.is_empty() {
        return None;
    }
    let by_order = by_order(format);
    let mut names = BTreeSet::new();
    for from in candidates(columns, by_order).iter().flatten() {
        match from {
            Scalar::Number(position) if by_order => {
                names.insert(position.to_string());
            }
            Scalar::Number(_) => return None,
            Scalar::Text(text) => {
                names.insert(text.clone());
                if let Some((base, tokens)) = inside(text) {
                    names.extend(property(&base, &tokens).map(|(name, _)| name.to_owned()));
                    names.insert(base.into_owned());
                }
            }
        }
    }
    Some(names)
}

/// `column#/a/b` and `/column/a/b` as the column and the tokens inside it.
fn inside(text: &str) -> Option<(Cow<'_, str>, Vec<String>)> {
    let (base, pointer) = match text.split_once("#/") {
        Some((base, pointer)) if !base.is_empty() => (base, Some(pointer)),
        _ => (text, None),
    };
    let further = pointer.into_iter().flat_map(|pointer| pointer.split('/')).map(token);
    match base.strip_prefix('/') {
        Some(pointer) => {
            let mut tokens = pointer.split('/').map(token);
            let column = tokens.next()?;
            Some((Cow::Owned(column), tokens.chain(further).collect()))
        }
        None => pointer.map(|_| (Cow::Borrowed(base), further.collect())),
    }
}

/// `/properties/mag` names what GeoJSON's extractor has taken out of `properties` already.
fn property<'a>(base: &str, tokens: &'a [String]) -> Option<(&'a str, &'a [String])> {
    let (name, rest) = tokens.split_first()?;
    (base == "properties").then_some((name, rest))
}

/// RFC 6901: `~1` is `/`, `~0` is `~`.
fn token(text: &str) -> String {
    text.replace("~1", "/").replace("~0", "~")
}

/// Finds one candidate among a batch's names and the variables.
pub(super) fn find(
    from: &Scalar,
    names: &[String],
    variables: &BTreeMap<String, String>,
    by_order: bool,
    sparse: bool,
) -> Option<Found> {
    let text = match from {
        Scalar::Number(position) if !by_order && !sparse => {
            let at = usize::try_from(*position).ok()?.checked_sub(1)?;
            return (at < names.len()).then_some(Found::Column(at));
        }
        Scalar::Number(number) => Cow::Owned(number.to_string()),
        Scalar::Text(text) => Cow::Borrowed(text.as_str()),
    };
    if let Some(at) = names.iter().position(|name| *name == text) {
        return Some(Found::Column(at));
    }
    if let Some(value) = text.strip_prefix('$').and_then(|name| variables.get(name)) {
        return Some(Found::Constant(value.clone()));
    }
    if let Some((base, tokens)) = inside(&text) {
        let in_column = |name: &str, tokens: &[String]| {
            let at = name_like(name, names)?;
            Some(if tokens.is_empty() { Found::Column(at) } else { Found::Pointer(at, tokens.to_vec()) })
        };
        let found = in_column(&base, &tokens)
            .or_else(|| property(&base, &tokens).and_then(|(name, rest)| in_column(name, rest)));
        if found.is_some() {
            return found;
        }
    }
    name_like(&text, names).map(Found::Column)
}

/// The column of exactly that name, else the only one that differs in case alone.
fn name_like(wanted: &str, names: &[String]) -> Option<usize> {
    if let Some(at) = names.iter().position(|name| name == wanted) {
        return Some(at);
    }
    let wanted = wanted.to_lowercase();
    let mut alike = names.iter().enumerate().filter(|(_, name)| name.to_lowercase() == wanted);
    match (alike.next(), alike.next()) {
        (Some((at, _)), None) => Some(at),
        _ => None,
    }
}

/// The failure of a column that upstream does not have.
pub(super) fn absent(column: &ColumnDefinition, candidates: &[Scalar], names: &[String], source: &str) -> Failure {
    let looked: Vec<String> = candidates
        .iter()
        .map(|from| match from {
            Scalar::Number(position) => format!("position {position}"),
            Scalar::Text(text) => format!("`{text}`"),
        })
        .collect();
    let first = column.from.as_ref().map(OneOrMany::as_slice).and_then(<[Scalar]>::first);
    let wanted = match first {
        Some(Scalar::Text(text)) => text.to_lowercase(),
        _ => column.name.to_lowercase(),
    };
    let mut near: Vec<(f64, &String)> =
        names.iter().map(|name| (strsim::jaro_winkler(&name.to_lowercase(), &wanted), name)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<String> = near.iter().take(5).map(|(_, name)| format!("`{name}`")).collect();
    let has = if near.is_empty() {
        "it has no other column".to_owned()
    } else {
        format!("the nearest of its {} columns that were read: {}", names.len(), near.join(", "))
    };
    Failure::definition(format!(
        "column `{}`: {source} has no {}; {has}. Correct `from`, or write `optional = true` if upstream may leave it out",
        column.name,
        looked.join(" or "),
    ))
}
