//! Which SQL may be said: an allow-list of statements and tables. What is not listed is refused with its place.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::{
    ast::{
        self, Expr, FunctionArguments, ObjectName, ObjectNamePart, SetExpr, Spanned, Statement, TableFactor, Visit,
        Visitor,
    },
    keywords::Keyword,
    parser::Parser,
    tokenizer::{Token, Tokenizer},
};

use super::functions;
use crate::query::{
    SliceError,
    dialect::ShelfDialect,
    names,
    predicate::{Fault, character, instead_of, parser_fault, swallows},
};

/// Longest query, in bytes.
pub(super) const LONGEST: usize = 64 * 1024;
/// Deepest nesting of parentheses and subqueries, as the parser counts.
const NESTING: usize = 50;
/// Operators and words such as AND: a chain of them is as deep as it is long.
const OPERATORS: usize = 1000;
/// Parentheses that open one right after the other.
const OPEN: usize = 12;
/// Tables, joins and set operations.
const TABLES: usize = 24;

/// A table as a query names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// Dataset, as written; empty where the table stands alone, which names none.
    pub dataset: String,
    /// Table, as written.
    pub table: String,
    /// Character of the text it begins at, from 1.
    pub character: Option<usize>,
}

/// The query in `text`, and the tables it names, each once.
pub(super) fn parse(text: &str) -> Result<(ast::Query, Vec<TableName>), SliceError> {
    read(text).map_err(|fault| said(&fault, text))
}

/// A fault in words, with the text as it may have been meant.
pub(super) fn said(fault: &Fault, text: &str) -> SliceError {
    let place = fault.character.map_or_else(String::new, |at| format!(" (character {at})"));
    let instead = fault.repaired(text);
    SliceError::new("query", format!("{}{place}", fault.message)).instead(instead)
}

fn read(text: &str) -> Result<(ast::Query, Vec<TableName>), Fault> {
    if text.len() > LONGEST {
        return Err(Fault::at(format!("is longer than {LONGEST} bytes"), None));
    }
    if text.trim().is_empty() {
        return Err(Fault::at("is empty; it takes one SELECT over `dataset.table`", None));
    }
    let dialect = ShelfDialect::new();
    let tokens =
        Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| parser_fault(&error.into(), text))?;
    let operators = tokens.iter().filter(|token| is_operator(&token.token)).count();
    if operators > OPERATORS {
        let message = format!("has {operators} operators, more than {OPERATORS}; a long list goes into `in (…)`");
        return Err(Fault::at(message, None));
    }
    let mut open = 0;
    for token in tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))) {
        open = if token.token == Token::LParen { open + 1 } else { 0 };
        if open > OPEN {
            return Err(Fault::at("nests too deep", character(text, token.span.start)));
        }
    }
    let fault = |error| parser_fault(&error, text);
    let mut parser = Parser::new(&dialect).with_recursion_limit(NESTING).with_tokens_with_locations(tokens);
    let statement = parser.parse_statement().map_err(|error| {
        let first = text.split_whitespace().next().unwrap_or_default();
        let near =
            names::nearest(first, ["select", "with"].into_iter()).filter(|near| !first.eq_ignore_ascii_case(near));
        match (near, fault(error)) {
            (Some(near), Fault { character: Some(1), .. }) => Fault {
                nearest: Some((first.to_owned(), near.clone())),
                ..Fault::at(format!("a query begins with SELECT; did you mean `{near}`?"), Some(1))
            },
            (_, fault) => fault,
        }
    })?;
    while parser.consume_token(&Token::SemiColon) {}
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        let at = character(text, rest.span.start);
        return Err(Fault::at(format!("`{}` does not continue the query; one SELECT at a time", rest.token), at));
    }
    let Statement::Query(query) = statement else {
        let word: String = text.split_whitespace().take(1).collect();
        return Err(Fault::at(format!("only SELECT is answered here, not {}", word.to_uppercase()), Some(1)));
    };
    let mut visitor = Check { text, names: Vec::new(), withs: BTreeSet::new(), relations: 0 };
    if let ControlFlow::Break(fault) = query.visit(&mut visitor) {
        return Err(fault);
    }
    let tables = visitor.tables()?;
    Ok((*query, tables))
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::XOR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::RLIKE
                | Keyword::REGEXP
                | Keyword::BETWEEN
                | Keyword::COLLATE
                | Keyword::AT
                | Keyword::DIV
                | Keyword::OVERLAPS
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::JOIN
                | Keyword::CASE
        ),
        Token::EOF
        | Token::Number(..)
        | Token::Char(_)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::Comma
        | Token::Whitespace(_)
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::SemiColon => false,
        _ => true,
    }
}

struct Check<'a> {
    text: &'a str,
    names: Vec<(ObjectName, Option<usize>)>,
    withs: BTreeSet<String>,
    relations: usize,
}

impl Check<'_> {
    fn refuse<T>(&self, what: &str, node: &impl Spanned) -> ControlFlow<Fault, T> {
        ControlFlow::Break(Fault::at(what, self.place(node)))
    }

    fn place(&self, node: &impl Spanned) -> Option<usize> {
        character(self.text, node.span().start)
    }

    /// What is named in FROM and is no WITH.
    fn tables(self) -> Result<Vec<TableName>, Fault> {
        let mut found: Vec<TableName> = Vec::new();
        for (name, character) in self.names {
            let parts: Option<Vec<&str>> =
                name.0.iter().map(|part| part.as_ident().map(|i| i.value.as_str())).collect();
            match parts.as_deref() {
                Some([one]) if self.withs.contains(*one) => {}
                // Whoever knows the datasets may know which one is meant.
                Some([one]) => found.push(TableName { dataset: String::new(), table: (*one).into(), character }),
                Some([dataset, table]) => {
                    if !found.iter().any(|known| known.dataset == *dataset && known.table == *table) {
                        found.push(TableName { dataset: (*dataset).into(), table: (*table).into(), character });
                    }
                }
                _ => return Err(Fault::at(format!("`{name}` names no table: write `dataset.table`"), character)),
            }
        }
        Ok(found)
    }
}

impl Visitor for Check<'_> {
    type Break = Fault;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Fault> {
        if let Some(with) = &query.with {
            if with.recursive {
                return self.refuse("WITH RECURSIVE is not answered here", query);
            }
            self.withs.extend(with.cte_tables.iter().map(|table| table.alias.name.value.clone()));
        }
        let plain = query.locks.is_empty()
            && query.for_clause.is_none()
            && query.settings.is_none()
            && query.format_clause.is_none()
            && query.pipe_operators.is_empty();
        if !plain {
            return self.refuse(
                "a query ends with ORDER BY, LIMIT and OFFSET; locks, settings and formats are not available",
                query,
            );
        }
        match query.body.as_ref() {
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. } | SetExpr::Values(_) => {
                ControlFlow::Continue(())
            }
            _ => self.refuse("only SELECT is answered here", query),
        }
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<Fault> {
        let plain = select.into.is_none()
            && select.lateral_views.is_empty()
            && select.prewhere.is_none()
            && select.connect_by.is_empty()
            && select.cluster_by.is_empty()
            && select.distribute_by.is_empty()
            && select.sort_by.is_empty()
            && select.top.is_none()
            && select.value_table_mode.is_none();
        if plain {
            return ControlFlow::Continue(());
        }
        self.refuse("INTO, TOP, LATERAL VIEW, PREWHERE, CONNECT BY, CLUSTER BY and SORT BY are not available", select)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Fault> {
        self.relations += 1;
        if self.relations > TABLES {
            return self.refuse(&format!("a query takes at most {TABLES} tables and subqueries"), factor);
        }
        match factor {
            TableFactor::Table {
                name,
                args: None,
                with_hints,
                version: None,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
                with_ordinality: false,
                ..
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                self.names.push((name.clone(), self.place(name)));
                ControlFlow::Continue(())
            }
            TableFactor::Table { args: Some(_), .. }
            | TableFactor::Function { .. }
            | TableFactor::TableFunction { .. } => {
                self.refuse("table functions are not available, but UNNEST(list) is", factor)
            }
            TableFactor::Derived { sample: None, .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => {
                ControlFlow::Continue(())
            }
            _ => self.refuse("FROM takes tables, subqueries, joins and UNNEST(list)", factor),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Fault> {
        match expr {
            Expr::Value(value) => match &value.value {
                ast::Value::Placeholder(_) => self.refuse("placeholders are not available: write the value", expr),
                _ => ControlFlow::Continue(()),
            },
            Expr::Function(function) => self.function(function, expr),
            Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => match swallows(right) {
                Some(message) => self.refuse(message, expr),
                None => ControlFlow::Continue(()),
            },
            Expr::Lambda(_) => self.refuse("lambdas are not available", expr),
            // A struct of structs doubles its type with every step, before any guard sees it.
            Expr::Tuple(_) | Expr::Struct { .. } | Expr::Dictionary(_) | Expr::Map(_) => {
                self.refuse("structs and maps are read here, not made", expr)
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Check<'_> {
    fn function(&self, function: &ast::Function, expr: &Expr) -> ControlFlow<Fault> {
        let place = self.place(expr).or_else(|| self.place(&function.name));
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
            return ControlFlow::Break(Fault::at("a function has one name", place));
        };
        if matches!(function.args, FunctionArguments::Subquery(_)) {
            return ControlFlow::Break(Fault::at("a function takes expressions, not a query", place));
        }
        let lower = name.value.to_lowercase();
        if functions::is_allowed(&lower) {
            return ControlFlow::Continue(());
        }
        if let Some(instead) = instead_of(&lower) {
            return ControlFlow::Break(Fault::at(format!("no function `{lower}` here: {instead}"), place));
        }
        let near = names::nearest(&lower, functions::names());
        let message = match &near {
            Some(near) => format!("no function `{lower}` here; did you mean `{near}`?"),
            None => format!("no function `{lower}` here; `/docs#sql` lists those there are"),
        };
        ControlFlow::Break(Fault { message, character: place, nearest: near.map(|near| (name.value.clone(), near)) })
    }
}
