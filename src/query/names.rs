//! How a name finds its column: exactly, else without regard to case if that is unique.

use crate::catalog::TableSchema;

/// A name that is not one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameFault {
    /// There is none; the nearest one, if any is near.
    Unknown(Option<String>),
    /// Several differ from it in case only.
    Ambiguous(Vec<String>),
}

/// The position of the column that `name` means.
///
/// # Errors
/// When there is none, or several differ in case only.
pub fn resolve(schema: &TableSchema, name: &str) -> Result<usize, NameFault> {
    let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
    resolve_among(&names, name)
}

/// [`resolve`] among any names.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_among(names: &[&str], name: &str) -> Result<usize, NameFault> {
    if let Some(at) = names.iter().position(|known| *known == name) {
        return Ok(at);
    }
    let folded = name.to_lowercase();
    let alike: Vec<usize> =
        names.iter().enumerate().filter(|(_, known)| known.to_lowercase() == folded).map(|(at, _)| at).collect();
    match alike.as_slice() {
        [one] => Ok(*one),
        [] => Err(NameFault::Unknown(nearest(name, names.iter().copied()))),
        several => {
            Err(NameFault::Ambiguous(several.iter().filter_map(|at| names.get(*at)).map(|n| (*n).to_owned()).collect()))
        }
    }
}

/// The most similar of `known`, if any is similar at all.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let folded = name.to_lowercase();
    known
        .map(|candidate| (strsim::jaro_winkler(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// The name as it must be written in `select` and `where`: in double quotes unless it is plain.
pub fn quoted(name: &str) -> String {
    let plain = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_exactly_else_by_case_if_unique() {
        let names = ["Year", "year", "Title"];
        assert_eq!(resolve_among(&names, "year"), Ok(1));
        assert_eq!(resolve_among(&names, "TITLE"), Ok(2));
        assert_eq!(
            resolve_among(&names, "YEAR"),
            Err(NameFault::Ambiguous(vec!["Year".to_owned(), "year".to_owned()]))
        );
        assert_eq!(resolve_among(&names, "titel"), Err(NameFault::Unknown(Some("Title".to_owned()))));
        assert_eq!(resolve_among(&names, "xyz"), Err(NameFault::Unknown(None)));
    }
}
