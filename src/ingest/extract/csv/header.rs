//! Header rows to column names.

use crate::ingest::extract::names::unique;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
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
