//! Which SQL a `where` may say: an allow-list of syntax, names resolved as the contract says.
//!
//! Whatever is not listed here is refused, so that nothing new in the parser is ever admitted by accident: no subqueries,
//! aggregates, windows, placeholders or lambdas.

use datafusion::sql::sqlparser::{
    ast::{
        AccessExpr, BinaryOperator, CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
        ObjectNamePart, Subscript, UnaryOperator, Value,
    },
    parser::{Parser, ParserError},
    tokenizer::{Location, Token},
};

use super::{elsewhere, functions};
use crate::{
    catalog::TableSchema,
    query::{
        dialect::ShelfDialect,
        names::{self, NameFault},
    },
};

/// Longest `where`, in bytes.
pub(super) const LONGEST: usize = 64 * 1024;
/// Deepest nesting; a chain of `or` counts one for each.
const DEEPEST: usize = 128;

/// Deepest nesting of parentheses and calls, as the parser counts.
const NESTING: usize = 50;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::query) struct Fault {
    pub(in crate::query) message: String,
    /// From 1; `None` where the parser does not say.
    pub(in crate::query) character: Option<usize>,
    /// The name that was meant, probably: (as written, nearest).
    pub(in crate::query) nearest: Option<(String, String)>,
}

impl Fault {
    pub(in crate::query) fn at(message: impl Into<String>, character: Option<usize>) -> Self {
        Self { message: message.into(), character, nearest: None }
    }

    /// The text as it was meant, probably: at the place of the fault, else where the name first stands.
    pub(in crate::query) fn repaired(&self, text: &str) -> Option<String> {
        let (wrong, right) = self.nearest.as_ref()?;
        // Names are kept in quotes where they need them, and may have been written without.
        let bare = wrong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(wrong);
        let begin = self.character.and_then(|at| text.char_indices().nth(at.checked_sub(1)?)).map_or(0, |(at, _)| at);
        for begin in [begin, 0] {
            let (before, rest) = (text.get(..begin)?, text.get(begin..)?);
            if let Some(written) = [wrong.as_str(), bare].into_iter().find(|written| rest.contains(written)) {
                return Some(format!("{before}{}", rest.replacen(written, right, 1)));
            }
        }
        None
    }
}

/// The expression in `text`, every name in it replaced by the column's exact name, and the columns it uses.
pub(super) fn parse(text: &str, schema: &TableSchema) -> Result<Expr, Fault> {
    if text.len() > LONGEST {
        return Err(Fault::at(format!("longer than {LONGEST} bytes"), None));
    }
    if text.trim().is_empty() {
        let nearest = Some((text.to_owned(), String::new()));
        return Err(Fault { nearest, ..Fault::at("is empty; leave the parameter out to get every row", None) });
    }
    let fault = |error: ParserError| match elsewhere::straight_quotes(text) {
        Some(straight) => Fault {
            message: "text goes in straight single quotes: '…'".to_owned(),
            nearest: Some((text.to_owned(), straight)),
            ..parser_fault(&error, text)
        },
        None => parser_fault(&error, text),
    };
    if let Some(rest) = without_keyword(text, schema) {
        let message = "begins with the parameter's own name; the expression alone is meant";
        return Err(Fault { nearest: Some((text.to_owned(), rest)), ..Fault::at(message, Some(1)) });
    }
    let dialect = ShelfDialect::new();
    let mut parser = Parser::new(&dialect).with_recursion_limit(NESTING).try_with_sql(text).map_err(fault)?;
    let mut expr = parser.parse_expr().map_err(fault)?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        let word = rest.token.to_string();
        let instead = elsewhere::after_an_expression(&word).map_or_else(String::new, |instead| format!("; {instead}"));
        let message = format!("`{word}` does not continue the expression{instead}");
        return Err(Fault::at(message, character(text, rest.span.start)));
    }
    Check { text, schema }.expr(&mut expr, 0)?;
    Ok(expr)
}

/// What follows a `where` that the text begins with.
fn without_keyword(text: &str, schema: &TableSchema) -> Option<String> {
    let (word, rest) = text.trim_start().split_once(char::is_whitespace)?;
    let is_keyword = word.eq_ignore_ascii_case("where") && names::resolve(schema, word).is_err();
    is_keyword.then(|| rest.trim_start().to_owned())
}

struct Check<'a> {
    text: &'a str,
    schema: &'a TableSchema,
}

impl Check<'_> {
    fn expr(&self, expr: &mut Expr, depth: usize) -> Result<(), Fault> {
        if depth > DEEPEST {
            return Err(Fault::at(
                format!("nests deeper than {DEEPEST}; `column in (…)` says a long chain of `or` in one step"),
                None,
            ));
        }
        let at = place(expr).and_then(|place| character(self.text, place));
        let deeper = depth + 1;
        match expr {
            Expr::Identifier(name) => self.column(name),
            Expr::CompoundIdentifier(parts) => self.compound(parts),
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.expr(root, deeper)?;
                for access in access_chain {
                    match access {
                        AccessExpr::Dot(Expr::Identifier(_)) => {}
                        AccessExpr::Subscript(Subscript::Index { index }) => self.expr(index, deeper)?,
                        _ => return Err(Fault::at("only `column.field`, `column['key']` and `column[1]`", at)),
                    }
                }
                Ok(())
            }
            Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::Nested(inner) => self.expr(inner, deeper),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                if let Some(message) = swallows(right) {
                    return Err(Fault::at(message, at));
                }
                self.all([left.as_mut(), right.as_mut()], deeper)
            }
            Expr::InList { expr: inner, list, .. } => {
                self.expr(inner, deeper)?;
                self.all(list.iter_mut(), deeper)
            }
            Expr::Between { expr, low, high, .. } => self.all([expr.as_mut(), low.as_mut(), high.as_mut()], deeper),
            Expr::BinaryOp { left, op, right } => {
                if !binary_operator(op) {
                    let written = op.to_string();
                    let instead =
                        elsewhere::operator(&written).map_or_else(String::new, |instead| format!("; {instead}"));
                    return Err(Fault::at(format!("the operator `{written}` is not available{instead}"), at));
                }
                self.all([left.as_mut(), right.as_mut()], deeper)
            }
            Expr::Like { any: false, expr, pattern, .. }
            | Expr::ILike { any: false, expr, pattern, .. }
            | Expr::SimilarTo { expr, pattern, .. } => self.all([expr.as_mut(), pattern.as_mut()], deeper),
            Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not, expr } => {
                self.expr(expr, deeper)
            }
            Expr::Cast {
                kind: CastKind::Cast | CastKind::TryCast | CastKind::DoubleColon,
                expr,
                array: false,
                format: None,
                ..
            } => self.expr(expr, deeper),
            Expr::Extract { expr, .. } | Expr::Ceil { expr, .. } | Expr::Floor { expr, .. } => self.expr(expr, deeper),
            Expr::Position { expr, r#in } => self.all([expr.as_mut(), r#in.as_mut()], deeper),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                self.expr(expr, deeper)?;
                self.all([substring_from, substring_for].into_iter().flatten().map(AsMut::as_mut), deeper)
            }
            Expr::Trim { expr, trim_what, trim_characters, .. } => {
                self.expr(expr, deeper)?;
                self.all(trim_what.iter_mut().map(AsMut::as_mut), deeper)?;
                self.all(trim_characters.iter_mut().flatten(), deeper)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.all(operand.iter_mut().chain(else_result.iter_mut()).map(AsMut::as_mut), deeper)?;
                for when in conditions {
                    self.all([&mut when.condition, &mut when.result], deeper)?;
                }
                Ok(())
            }
            Expr::Array(array) => self.all(array.elem.iter_mut(), deeper),
            Expr::Interval(interval) => self.expr(&mut interval.value, deeper),
            Expr::Value(value) => match &value.value {
                Value::Number(..)
                | Value::SingleQuotedString(_)
                | Value::EscapedStringLiteral(_)
                | Value::HexStringLiteral(_)
                | Value::Boolean(_)
                | Value::Null => Ok(()),
                other => Err(Fault::at(format!("`{other}` is no value here; text goes in single quotes"), at)),
            },
            Expr::TypedString(_) => Ok(()),
            Expr::Function(function) => self.function(function, at, deeper),
            Expr::RLike { .. } => Err(Fault::at("write `column ~ 'pattern'` for a regular expression", at)),
            Expr::AnyOp { .. } | Expr::AllOp { .. } => {
                Err(Fault::at("write `column in (…)`, or `list_contains(list, value)` to look into a list", at))
            }
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                Err(Fault::at("subqueries are not available: a `where` sees one row at a time", at))
            }
            _ => Err(Fault::at("this is not available in a `where`; `/docs` lists what is", at)),
        }
    }

    fn all<'e>(&self, exprs: impl IntoIterator<Item = &'e mut Expr>, depth: usize) -> Result<(), Fault> {
        exprs.into_iter().try_for_each(|expr| self.expr(expr, depth))
    }

    /// A column and what is inside it. A table's name before a column's is not needed here.
    fn compound(&self, parts: &mut [Ident]) -> Result<(), Fault> {
        if let [first, second, ..] = parts
            && names::resolve(self.schema, &first.value).is_err()
            && let Ok(index) = names::resolve(self.schema, &second.value)
            && let Some(column) = self.schema.columns.get(index)
        {
            let message = format!("no column `{}`: a `where` is over one table, whose name is left out", first.value);
            let written = format!("{first}.{second}");
            let at = character(self.text, first.span.start);
            return Err(Fault { message, character: at, nearest: Some((written, names::quoted(&column.name))) });
        }
        parts.first_mut().map_or(Ok(()), |first| self.column(first))
    }

    fn column(&self, ident: &mut Ident) -> Result<(), Fault> {
        let at = character(self.text, ident.span.start);
        match names::resolve(self.schema, &ident.value) {
            Ok(index) => {
                if let Some(column) = self.schema.columns.get(index) {
                    ident.value.clone_from(&column.name);
                    ident.quote_style = Some('"');
                }
                Ok(())
            }
            Err(NameFault::Unknown(near)) => {
                let written = names::quoted(&ident.value);
                let in_quotes = ident.quote_style == Some('"');
                let (message, nearest) = match near {
                    Some(near) => (
                        format!(
                            "no column `{}`; did you mean `{near}`?{}",
                            ident.value,
                            if in_quotes { " Text goes in single quotes" } else { "" }
                        ),
                        Some((written, names::quoted(&near))),
                    ),
                    None => (
                        format!(
                            "no column `{}`; the columns are {}. Text goes in single quotes",
                            ident.value,
                            self.schema.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ")
                        ),
                        // A text that was written as it is.
                        Some((ident.to_string(), format!("'{}'", ident.value.replace('\'', "''")))),
                    ),
                };
                Err(Fault { message, character: at, nearest })
            }
            Err(NameFault::Ambiguous(several)) => Err(Fault::at(
                format!("`{}` may mean {}: write one of them exactly", ident.value, several.join(" or ")),
                at,
            )),
        }
    }

    fn function(&self, function: &mut Function, at: Option<usize>, depth: usize) -> Result<(), Fault> {
        let plain = function.over.is_none()
            && function.filter.is_none()
            && function.null_treatment.is_none()
            && function.within_group.is_empty()
            && !function.uses_odbc_syntax
            && matches!(function.parameters, FunctionArguments::None);
        let (true, [ObjectNamePart::Identifier(name)]) = (plain, function.name.0.as_mut_slice()) else {
            return Err(Fault::at("only plain calls, `function(argument, …)`", at));
        };
        let lower = name.value.to_lowercase();
        if !functions::is_allowed(&lower) {
            if let Some(instead) = elsewhere::instead_of(&lower) {
                return Err(Fault::at(format!("no function `{lower}` here: {instead}"), at));
            }
            let near = names::nearest(&lower, functions::names());
            let message = match &near {
                Some(near) => format!("no function `{lower}` here; did you mean `{near}`?"),
                None => format!("no function `{lower}` here; `/docs` lists those there are"),
            };
            return Err(Fault { message, character: at, nearest: near.map(|near| (name.value.clone(), near)) });
        }
        name.value = lower;
        match &mut function.args {
            FunctionArguments::List(list) if list.duplicate_treatment.is_none() && list.clauses.is_empty() => {
                list.args.iter_mut().try_for_each(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr, depth),
                    _ => Err(Fault::at("arguments are plain expressions", at)),
                })
            }
            _ => Err(Fault::at("a call needs its arguments in parentheses", at)),
        }
    }
}

/// The parser takes all that follows `is distinct from` for its right side, where SQL means what stands before the next
/// `and`: what would be read in another way than it was meant is not read at all.
pub(in crate::query) fn swallows(right: &Expr) -> Option<&'static str> {
    match right {
        Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor, .. } => {
            Some("`is distinct from` goes in parentheses before `and` and `or`: `(a is distinct from b) and …`")
        }
        _ => None,
    }
}

/// Where an expression begins. A loop, not the parser's own recursion: the tree may be deeper than the stack.
fn place(mut expr: &Expr) -> Option<Location> {
    loop {
        expr = match expr {
            Expr::Identifier(name) => return Some(name.span.start),
            Expr::CompoundIdentifier(parts) => return Some(parts.first()?.span.start),
            Expr::Value(value) => return Some(value.span.start),
            Expr::Function(function) => match function.name.0.first()? {
                ObjectNamePart::Identifier(name) => return Some(name.span.start),
                ObjectNamePart::Function(_) => return None,
            },
            Expr::BinaryOp { left: inner, .. }
            | Expr::Nested(inner)
            | Expr::UnaryOp { expr: inner, .. }
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::InSubquery { expr: inner, .. }
            | Expr::CompoundFieldAccess { root: inner, .. }
            | Expr::Collate { expr: inner, .. } => inner,
            _ => return None,
        }
    }
}

fn binary_operator(op: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    matches!(
        op,
        B::Plus
            | B::Minus
            | B::Multiply
            | B::Divide
            | B::Modulo
            | B::StringConcat
            | B::Gt
            | B::Lt
            | B::GtEq
            | B::LtEq
            | B::Eq
            | B::NotEq
            | B::And
            | B::Or
            | B::BitwiseAnd
            | B::BitwiseOr
            | B::PGRegexMatch
            | B::PGRegexIMatch
            | B::PGRegexNotMatch
            | B::PGRegexNotIMatch
    )
}

/// The character (from 1) of a line and column; `None` for nodes without a place.
pub(in crate::query) fn character(text: &str, place: Location) -> Option<usize> {
    let line = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let before: usize = text.split_inclusive('\n').take(line).map(|line| line.chars().count()).sum();
    Some(before + usize::try_from(place.column).ok()?)
}

/// The parser writes the place into its text; it is taken out again, so that faults have one form.
pub(in crate::query) fn parser_fault(error: &ParserError, text: &str) -> Fault {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "nests too deep",
    };
    let Some((message, place)) = message.rsplit_once(" at Line: ") else {
        let at = message.ends_with("EOF").then(|| text.chars().count() + 1);
        return Fault::at(message, at);
    };
    let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok());
    let place = numbers.next().zip(numbers.next()).map(|(line, column)| Location { line, column });
    Fault::at(message, place.and_then(|place| character(text, place)))
}
