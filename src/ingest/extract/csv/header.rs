//! Header rows to column names.

use std::collections::BTreeSet;

/// Joins the rows of a header, column by column, the parts that are not empty by `_`; makes the names unique (`a`,
/// `a_2`) and names what has none by its place (`column_3`).
pub(super) fn names(rows: &[Vec<String>]) -> Vec<String> {
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let joined = (0..width).map(|column| {
        let parts: Vec<&str> =
            rows.iter().filter_map(|row| row.get(column)).map(String::as_str).filter(|part| !part.is_empty()).collect();
        parts.join("_")
    });
    unique(joined.collect())
}

/// Whether a row behind a header of several rows names the index column: only its first field holds something.
pub(super) fn is_index_row(row: &[String]) -> bool {
    match row {
        [first, rest @ ..] => !first.is_empty() && !rest.is_empty() && rest.iter().all(String::is_empty),
        [] => false,
    }
}

/// Positions as names, from 1.
pub(crate) fn positions(width: usize) -> Vec<String> {
    (1..=width).map(|position| position.to_string()).collect()
}

/// Unique, non-empty names, changing as few as possible: a name that stands there once is kept.
pub(crate) fn unique(names: Vec<String>) -> Vec<String> {
    let given: BTreeSet<String> = names.iter().cloned().collect();
    let mut taken = BTreeSet::new();
    let mut out = Vec::with_capacity(names.len());
    for (at, name) in names.into_iter().enumerate() {
        let base = if name.is_empty() { format!("column_{}", at + 1) } else { name.clone() };
        let free =
            |candidate: &String| !taken.contains(candidate) && (*candidate == name || !given.contains(candidate));
        let numbered = (2..).map(|n: u64| format!("{base}_{n}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(free).unwrap_or(base);
        taken.insert(name.clone());
        out.push(name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn names_are_unique_and_never_empty() {
        assert_eq!(unique(row(&["a", "a", "a_2", "", "a"])), ["a", "a_3", "a_2", "column_4", "a_4"]);
        assert_eq!(unique(row(&["", "column_1"])), ["column_1_2", "column_1"]);
    }

    #[test]
    fn several_rows_join() {
        let rows = [row(&["", "album", "album", "track"]), row(&["", "comments", "id", ""])];
        assert_eq!(names(&rows), ["column_1", "album_comments", "album_id", "track"]);
        assert!(is_index_row(&row(&["track_id", "", "", ""])));
        assert!(!is_index_row(&row(&["track_id"])));
        assert!(!is_index_row(&row(&["1", "", "x", ""])));
    }
}
