//! What a file of rejects looks like: rows that did not fit, as ingest writes them and queries read them.

use super::{Column, ColumnType, TableSchema};

/// The columns of a rejects file: `source`, `position`, `column`, `value`, `reason`, `row`.
pub fn schema() -> TableSchema {
    let column = |name: &str, kind, nullable, description: &str| Column {
        nullable,
        description: description.into(),
        ..Column::new(name, kind)
    };
    TableSchema {
        columns: vec![
            column("source", ColumnType::Utf8, false, "Upstream file, with #member inside an archive."),
            column("position", ColumnType::Utf8, false, "Where in it, such as `line 12`."),
            column(
                "column",
                ColumnType::Utf8,
                true,
                "The column that did not fit; null when the whole row could not be read.",
            ),
            column("value", ColumnType::Utf8, true, "Its value as upstream wrote it."),
            column("reason", ColumnType::Utf8, false, "What is wrong with it."),
            column(
                "row",
                ColumnType::Utf8,
                true,
                "The whole row as upstream wrote it, as JSON where it could be split into fields.",
            ),
        ],
    }
}
