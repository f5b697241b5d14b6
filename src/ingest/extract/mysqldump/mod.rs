//! mysqldump's SQL text to raw rows: columns from CREATE TABLE, rows from INSERT (or REPLACE) … VALUES.
//!
//! Everything else in a dump is passed over. Bytes that are no UTF-8 are kept as they are. Where the table names no
//! columns, values come in the types that CREATE TABLE declares.

mod lexer;
mod row;
mod types;

use std::io::Read;

use arrow::datatypes::DataType;

use super::{
    CellKind, Extraction, RawBatchBuilder, Sink,
    line::Window,
    names::{positions, unique},
};
use crate::ingest::{Failure, definition::grammar::Mysqldump};
use lexer::{Lexer, Token};
use row::Row;

/// Reads the rows of one table.
///
/// # Errors
/// Read errors; a dump that is cut off, or no dump (upstream); a table that is not there, or several where none is named
/// (definition); the sink's.
pub(super) fn extract(
    extraction: &Extraction<'_>,
    format: &Mysqldump,
    reader: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let place = extraction.place();
    let lexer = Lexer::new(Window::new(reader, place.as_str(), extraction.caps.record_bytes));
    let declare = extraction.columns.is_empty();
    let mut dump = Dump { lexer, wanted: format.table.clone(), tables: Vec::new(), columns: Vec::new(), builder: None };
    let mut kinds = Vec::new();
    let mut sink = |batch, kinds: &[Option<DataType>]| sink(if declare { types::typed(batch, kinds) } else { batch });

    loop {
        let token = dump.lexer.next()?;
        if token == Token::End {
            break;
        }
        if token == Token::Mark(b';') {
            continue;
        }
        let word = token == Token::Word;
        if word && dump.lexer.is("create") {
            dump.create()?;
            kinds = dump.columns.iter().map(|column| column.kind.clone()).collect();
        } else if word && (dump.lexer.is("insert") || dump.lexer.is("replace")) {
            dump.insert(&mut |batch| sink(batch, &kinds))?;
        } else if word && dump.lexer.is("delimiter") {
            dump.delimiter()?;
        } else {
            dump.rest()?;
        }
    }
    dump.finish(&place, &mut |batch| sink(batch, &kinds))
}

/// A declared column.
#[derive(Debug)]
struct Column {
    name: String,
    kind: Option<DataType>,
}

/// The state between statements.
#[derive(Debug)]
struct Dump<'a> {
    lexer: Lexer<'a>,
    /// The table to read; without one, the first that is seen.
    wanted: Option<String>,
    /// Tables seen, the first few.
    tables: Vec<String>,
    /// Columns of the wanted table, as far as declared.
    columns: Vec<Column>,
    builder: Option<RawBatchBuilder>,
}

/// Names of tables kept for messages.
const TABLES_KEPT: usize = 20;

impl Dump<'_> {
    /// Passes over the rest of a statement.
    fn rest(&mut self) -> Result<(), Failure> {
        while !matches!(self.lexer.next()?, Token::Mark(b';') | Token::End) {}
        Ok(())
    }

    /// `DELIMITER ;;` begins a stretch of triggers and routines in which `;` ends nothing, up to the next `DELIMITER`.
    fn delimiter(&mut self) -> Result<(), Failure> {
        self.lexer.line()?;
        if self.lexer.text.trim_ascii() == b";" {
            return Ok(());
        }
        while self.lexer.line()? {
            if self.lexer.text.get(..9).is_some_and(|head| head.eq_ignore_ascii_case(b"delimiter")) {
                break;
            }
        }
        Ok(())
    }

    /// A name, perhaps behind that of its database; the token behind it is read too.
    fn table_name(&mut self) -> Result<(String, Token), Failure> {
        let mut name = self.lexer.name();
        loop {
            match self.lexer.next()? {
                Token::Mark(b'.') => {
                    self.lexer.next()?;
                    name = self.lexer.name();
                }
                token => return Ok((name, token)),
            }
        }
    }

    /// Takes note of a table; tells whether it is the wanted one.
    fn is_wanted(&mut self, table: &str) -> Result<bool, Failure> {
        if !self.tables.iter().any(|known| known == table) && self.tables.len() < TABLES_KEPT {
            self.tables.push(table.to_owned());
        }
        match &self.wanted {
            Some(wanted) => Ok(wanted == table),
            None if self.tables.len() > 1 => Err(Failure::definition(format!(
                "{}: the dump holds several tables, {} among them: name one, such as `format = {{ type = \"mysqldump\", \
                 table = \"{table}\" }}`",
                self.lexer.position(),
                quoted(&self.tables)
            ))),
            None => Ok(true),
        }
    }

    fn create(&mut self) -> Result<(), Failure> {
        let mut token = self.lexer.next()?;
        while token == Token::Word && (self.lexer.is("temporary") || self.lexer.is("or") || self.lexer.is("replace")) {
            token = self.lexer.next()?;
        }
        if token != Token::Word || !self.lexer.is("table") {
            return self.end_of(token);
        }
        token = self.lexer.next()?;
        while token == Token::Word && (self.lexer.is("if") || self.lexer.is("not") || self.lexer.is("exists")) {
            token = self.lexer.next()?;
        }
        if !matches!(token, Token::Word | Token::Name | Token::Text) {
            return self.end_of(token);
        }
        let (table, token) = self.table_name()?;
        if !self.is_wanted(&table)? || token != Token::Mark(b'(') {
            return self.end_of(token);
        }
        self.columns = self.declarations()?;
        self.rest()
    }

    /// The rest of a statement of which `token` was read last.
    fn end_of(&mut self, token: Token) -> Result<(), Failure> {
        match token {
            Token::Mark(b';') | Token::End => Ok(()),
            _ => self.rest(),
        }
    }

    /// The columns between the brackets of a CREATE TABLE.
    fn declarations(&mut self) -> Result<Vec<Column>, Failure> {
        const NO_COLUMN: [&str; 10] =
            ["primary", "key", "unique", "index", "constraint", "foreign", "fulltext", "spatial", "check", "period"];
        let mut columns = Vec::new();
        loop {
            let mut token = self.lexer.next()?;
            let is_column = match token {
                Token::Name | Token::Text => true,
                Token::Word => !NO_COLUMN.iter().any(|word| self.lexer.is(word)),
                _ => false,
            };
            let name = self.lexer.name();
            let (mut kind, mut arguments, mut unsigned) = (None, Vec::new(), false);
            let mut depth = 0_u32;
            if is_column {
                token = self.lexer.next()?;
                kind = (token == Token::Word).then(|| self.lexer.name());
                if kind.is_some() {
                    token = self.lexer.next()?;
                }
            }
            // Up to the comma or the closing bracket of the whole.
            loop {
                match token {
                    Token::Mark(b',') if depth == 0 => break,
                    Token::Mark(b')') if depth == 0 => break,
                    Token::Mark(b'(') => depth += 1,
                    Token::Mark(b')') => depth -= 1,
                    // Only the first brackets are the type's.
                    Token::Number if depth == 1 && arguments.len() < 2 => {
                        arguments.extend(self.lexer.name().parse::<i64>());
                    }
                    Token::Word if depth == 0 && self.lexer.is("unsigned") => unsigned = true,
                    Token::End => {
                        return Err(Failure::upstream(format!(
                            "{}: cut off inside CREATE TABLE",
                            self.lexer.position()
                        )));
                    }
                    _ => {}
                }
                token = self.lexer.next()?;
            }
            if is_column {
                let kind = kind.and_then(|kind| types::arrow_type(&kind, &arguments, unsigned));
                columns.push(Column { name, kind });
            }
            if token == Token::Mark(b')') {
                return Ok(columns);
            }
        }
    }

    fn insert(&mut self, sink: &mut Sink<'_>) -> Result<(), Failure> {
        const MODIFIERS: [&str; 5] = ["low_priority", "delayed", "high_priority", "ignore", "into"];
        let mut token = self.lexer.next()?;
        while token == Token::Word && MODIFIERS.iter().any(|word| self.lexer.is(word)) {
            token = self.lexer.next()?;
        }
        let (table, mut token) = self.table_name()?;
        if !self.is_wanted(&table)? {
            return self.end_of(token);
        }
        let mut listed = None;
        if token == Token::Mark(b'(') {
            let mut names = Vec::new();
            loop {
                match self.lexer.next()? {
                    Token::Word | Token::Name | Token::Text => names.push(self.lexer.name()),
                    Token::Mark(b',') => {}
                    Token::Mark(b')') => break,
                    token => return Err(self.unexpected(token, "a column name")),
                }
            }
            listed = Some(names);
            token = self.lexer.next()?;
        }
        if token != Token::Word || !(self.lexer.is("values") || self.lexer.is("value")) {
            return Err(self.unexpected(token, "VALUES"));
        }
        let mut places = match &listed {
            Some(names) => Some(self.places(names)?),
            None => None,
        };
        let mut row = Row::default();
        loop {
            match self.lexer.next()? {
                Token::Mark(b'(') => {}
                token => return Err(self.unexpected(token, "`(`")),
            }
            row.read(&mut self.lexer)?;
            self.row(&row, &mut places, sink)?;
            match self.lexer.next()? {
                Token::Mark(b',') => {}
                Token::Mark(b';') | Token::End => return Ok(()),
                // ON DUPLICATE KEY UPDATE …
                Token::Word => return self.rest(),
                token => return Err(self.unexpected(token, "`,` or `;`")),
            }
        }
    }

    /// Which columns a list of names means; the columns are those of CREATE TABLE, if there was one, else the listed.
    fn places(&mut self, names: &[String]) -> Result<Vec<usize>, Failure> {
        let declared = if self.columns.is_empty() { names.to_vec() } else { self.declared() };
        let builder = self.builder.get_or_insert_with(|| builder(declared));
        let place = |name: &String| match builder.names().iter().position(|known| known == name) {
            Some(place) => Ok(place),
            None => builder.add_column(name),
        };
        names.iter().map(place).collect()
    }

    fn declared(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    fn row(&mut self, row: &Row, places: &mut Option<Vec<usize>>, sink: &mut Sink<'_>) -> Result<(), Failure> {
        self.lexer.record += 1;
        let record = self.lexer.record;
        let columns = &self.columns;
        let builder = self.builder.get_or_insert_with(|| match columns.as_slice() {
            [] => builder(positions(row.cells.len())),
            columns => builder(columns.iter().map(|column| column.name.clone()).collect()),
        });
        let width = places.as_ref().map_or(builder.names().len(), Vec::len);
        if row.fault.is_none() && row.cells.len() == width {
            for at in 0..width {
                let place = places.as_ref().map_or(Some(at), |places| places.get(at).copied());
                builder.cell(place.unwrap_or(at), row.cell(at));
            }
            builder.end_row(record);
        } else {
            let reason = match &row.fault {
                Some(fault) => fault.clone(),
                None => format!("{} values, the table has {width} columns", row.cells.len()),
            };
            builder.broken_row(record, reason, &row.shown());
        }
        builder.flush_if_full(sink)
    }

    fn unexpected(&self, token: Token, wanted: &str) -> Failure {
        let position = self.lexer.position();
        match token {
            Token::End => Failure::upstream(format!("{position}: cut off where {wanted} was expected")),
            Token::Mark(mark) => {
                Failure::upstream(format!("{position}: `{}` where {wanted} was expected", char::from(mark)))
            }
            _ => Failure::upstream(format!("{position}: `{}` where {wanted} was expected", self.lexer.name())),
        }
    }

    fn finish(mut self, place: &str, sink: &mut Sink<'_>) -> Result<(), Failure> {
        if self.builder.is_none() && !self.columns.is_empty() {
            self.builder = Some(builder(self.declared()));
        }
        if let Some(builder) = self.builder {
            return builder.finish(sink);
        }
        Err(match (&self.wanted, self.tables.as_slice()) {
            (_, []) => {
                Failure::upstream(format!("{place}: no CREATE TABLE and no INSERT: is this a dump of mysqldump?"))
            }
            (Some(wanted), tables) => {
                Failure::definition(format!("{place}: the dump has no table `{wanted}`; it has {}", quoted(tables)))
            }
            (None, tables) => {
                Failure::upstream(format!("{place}: table {} has neither columns nor rows", quoted(tables)))
            }
        })
    }
}

fn builder(names: Vec<String>) -> RawBatchBuilder {
    RawBatchBuilder::new(unique(names), CellKind::Text, "record")
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
