//! Full-text search over the columns a definition declares: an index per table and snapshot, made from the rows, kept in
//! the store, read from a local cache; rows ranked by BM25.
//!
//! - `words` is how text becomes words, in the index and in questions alike. Case and accents do not matter; there is no
//!   stemming and there are no stop words: what is searched are names and titles in many languages, where a stemmer of one
//!   language harms the others, and where *The Who* is a name. `word*` reaches what a stemmer would.
//! - `question` understands what people type, `build` makes an index, `cache` holds the ones in use, `rank` finds rows.
//!
//! The index holds row numbers and no text: rows are read from the table's files.

mod build;
mod cache;
mod question;
mod rank;
#[cfg(test)]
mod tests;
mod words;

pub use cache::{Indexes, Kept, Opened};
pub use question::Question;
pub use rank::{Found, Search, search};

use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};

use super::QueryError;
use crate::catalog::{ColumnType, TableSchema};

/// The index's name in the store. The number rises when its form or the way text becomes words changes.
const THING: &str = "search-1";
/// The field with the row's number.
const ROW: &str = "row";
/// The column of an answer that says how well a row matches.
pub const SCORE: &str = "_score";

/// Positions of the columns that are searched: declared, and with text in them.
pub fn declared(schema: &TableSchema) -> Vec<usize> {
    let columns = schema.columns.iter().enumerate();
    columns.filter(|(_, column)| column.search && has_text(&column.kind)).map(|(at, _)| at).collect()
}

fn has_text(kind: &ColumnType) -> bool {
    match kind {
        ColumnType::Utf8 | ColumnType::Json | ColumnType::Map(_) => true,
        ColumnType::List(item) => has_text(item),
        ColumnType::Struct(fields) => fields.iter().any(|(_, kind)| has_text(kind)),
        _ => false,
    }
}

/// The fields of an index over so many columns, and the one with the row's number. Fields are numbered: names of columns
/// may hold what names of fields may not.
fn fields(columns: usize) -> (Schema, Vec<Field>, Field) {
    let mut schema = Schema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(words::NAME)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let text = TextOptions::default().set_indexing_options(indexing);
    let fields = (0..columns).map(|at| schema.add_text_field(&format!("c{at}"), text.clone())).collect();
    let row = schema.add_u64_field(ROW, FAST);
    (schema.build(), fields, row)
}

#[allow(clippy::needless_pass_by_value, reason = "made to be named in `map_err`")]
fn broken(error: impl ToString) -> QueryError {
    QueryError::Search(error.to_string())
}
