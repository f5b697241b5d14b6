//! A slice: part of a table, every name and number checked against the schema.

use super::{
    SliceError,
    names::{self, NameFault},
    predicate::Predicate,
};
use crate::catalog::TableSchema;

/// What was asked for, as text and numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SliceRequest<'a> {
    /// Columns, comma-separated, in the order wanted; `-name` leaves one out.
    pub select: Option<&'a str>,
    /// A SQL boolean expression over the columns.
    pub where_: Option<&'a str>,
    /// Rows to skip.
    pub offset: u64,
    /// Most rows wanted.
    pub limit: Option<u64>,
}

/// Part of a table, valid for its schema.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Positions in the table's schema, in the order wanted.
    pub columns: Vec<usize>,
    /// Which rows.
    pub predicate: Option<Predicate>,
    /// Matching rows to skip.
    pub offset: u64,
    /// Most rows wanted.
    pub limit: Option<u64>,
}

impl Slice {
    /// Checks a request against the schema.
    ///
    /// # Errors
    /// When a name is no column or an expression no predicate; the text says where and what is near.
    pub fn new(request: &SliceRequest<'_>, schema: &TableSchema) -> Result<Self, SliceError> {
        let columns = match request.select {
            Some(text) => select(text, schema)?,
            None => (0..schema.columns.len()).collect(),
        };
        let predicate = request.where_.map(|text| Predicate::parse(text, schema)).transpose()?;
        Ok(Self { columns, predicate, offset: request.offset, limit: request.limit })
    }

    /// The schema of the answer.
    pub fn schema(&self, table: &TableSchema) -> TableSchema {
        TableSchema { columns: self.columns.iter().filter_map(|at| table.columns.get(*at).cloned()).collect() }
    }
}

fn select(text: &str, schema: &TableSchema) -> Result<Vec<usize>, SliceError> {
    let mut wanted: Vec<usize> = Vec::new();
    let mut left_out: Vec<usize> = Vec::new();
    for (character, item) in split("select", text)? {
        let (leave_out, name) = match item {
            Item::Plain(name) => match name.strip_prefix('-') {
                // A column whose name begins with `-` wins over leaving out the rest of it.
                Some(rest) if schema.column(&name).is_none() => (true, unquote(rest.trim())),
                _ => (false, name),
            },
            Item::Quoted(name) => (false, name),
        };
        if name == "*" && !leave_out && schema.column("*").is_none() {
            let rest = text.replacen('*', "", 1);
            let rest = rest.trim().trim_start_matches(',').trim_end_matches(',').trim().to_owned();
            let message = format!("`*` (character {character}) is not needed: without names, all columns are selected");
            return Err(SliceError::new("select", message).instead(Some(rest)));
        }
        let at =
            names::resolve(schema, &name).map_err(|fault| unknown_column("select", schema, &name, character, fault))?;
        let list = if leave_out { &mut left_out } else { &mut wanted };
        if list.contains(&at) {
            return Err(SliceError::new("select", format!("column `{name}` is named twice, at character {character}")));
        }
        list.push(at);
    }
    if wanted.is_empty() {
        wanted = (0..schema.columns.len()).collect();
    }
    wanted.retain(|at| !left_out.contains(at));
    if wanted.is_empty() {
        return Err(SliceError::new("select", "leaves out every column")
            .instead(schema.columns.first().map(|column| names::quoted(&column.name))));
    }
    Ok(wanted)
}

pub(super) fn unknown_column(
    parameter: &'static str,
    schema: &TableSchema,
    name: &str,
    character: usize,
    fault: NameFault,
) -> SliceError {
    match fault {
        NameFault::Unknown(near) => {
            let message = match &near {
                Some(near) => format!("no column `{name}` (character {character}); did you mean `{near}`?"),
                None => format!(
                    "no column `{name}` (character {character}); the columns are {}",
                    schema.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
                ),
            };
            SliceError::new(parameter, message).instead(near.map(|near| names::quoted(&near)))
        }
        NameFault::Ambiguous(several) => SliceError::new(
            parameter,
            format!("`{name}` (character {character}) may mean {}: write one of them exactly", several.join(" or ")),
        ),
    }
}

/// A name of a list, as it is written.
pub(super) enum Item {
    Plain(String),
    Quoted(String),
}

pub(super) fn unquote(text: &str) -> String {
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => text.to_owned(),
    }
}

/// Splits at commas outside double quotes; each item with the character it begins at, counted from 1.
pub(super) fn split(parameter: &'static str, text: &str) -> Result<Vec<(usize, Item)>, SliceError> {
    let mut items = vec![(1, String::new())];
    let mut inside = false;
    for (at, c) in text.chars().enumerate() {
        match c {
            '"' => inside = !inside,
            ',' if !inside => {
                items.push((at + 2, String::new()));
                continue;
            }
            _ => {}
        }
        if let Some((_, item)) = items.last_mut() {
            item.push(c);
        }
    }
    if inside {
        return Err(SliceError::new(parameter, "a double quote is not closed"));
    }
    items
        .into_iter()
        .map(|(character, item)| {
            let item = item.trim();
            if item.is_empty() {
                Err(SliceError::new(parameter, format!("a column name is missing at character {character}")))
            } else if item.starts_with('"') && item.ends_with('"') && item.len() > 1 {
                Ok((character, Item::Quoted(unquote(item))))
            } else {
                Ok((character, Item::Plain(item.to_owned())))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, ColumnType};

    fn schema(names: &[&str]) -> TableSchema {
        let column = |name: &&str| Column::new(*name, ColumnType::Utf8);
        TableSchema { columns: names.iter().map(column).collect() }
    }

    fn columns(text: &str, names: &[&str]) -> Result<Vec<usize>, String> {
        select(text, &schema(names)).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_come_in_the_order_wanted() {
        let names = ["id", "Title", "text", "a,b", "-odd"];
        assert_eq!(columns("text, id", &names), Ok(vec![2, 0]));
        assert_eq!(columns("-text", &names), Ok(vec![0, 1, 3, 4]));
        assert_eq!(columns("title,text,-text", &names), Ok(vec![1]));
        assert_eq!(columns("\"a,b\",-odd", &names), Ok(vec![3, 4]));
        assert_eq!(columns("-\"a,b\"", &names), Ok(vec![0, 1, 2, 4]));
    }

    #[test]
    fn a_wrong_name_is_told_its_place_and_the_nearest() {
        let names = ["id", "title"];
        assert_eq!(
            columns("id,titel", &names).expect_err("unknown"),
            "select: no column `titel` (character 4); did you mean `title`?"
        );
        for text in ["", "id,", "id,id", "-id,-title", "\"id"] {
            assert!(columns(text, &names).is_err(), "{text}");
        }
    }
}
