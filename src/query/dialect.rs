//! The SQL dialect that is read here: the parser's generic one, without what makes it slow on hostile text.
//!
//! The parser tries one reading after the other, for every nested part again, so that a short text of nested calls
//! can keep it busy for years. Here it has a number of steps, after which every further one fails.

use std::{any::TypeId, cell::Cell};

use datafusion::sql::sqlparser::{
    ast::Expr,
    dialect::{Dialect, GenericDialect},
    parser::{Parser, ParserError},
};

/// Expressions that may be begun: many more than a text of the greatest length has, if none is read twice.
const STEPS: u32 = 65_536;

/// See the module.
#[derive(Debug)]
pub(super) struct ShelfDialect {
    generic: GenericDialect,
    left: Cell<u32>,
}

impl ShelfDialect {
    /// For one text.
    pub(super) fn new() -> Self {
        Self { generic: GenericDialect {}, left: Cell::new(STEPS) }
    }
}

macro_rules! as_the_generic_one {
    ($($name:ident)*) => {
        $(fn $name(&self) -> bool {
            self.generic.$name()
        })*
    };
}

impl Dialect for ShelfDialect {
    fn dialect(&self) -> TypeId {
        self.generic.dialect()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.generic.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.generic.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.generic.is_identifier_part(ch)
    }

    fn parse_prefix(&self, _: &mut Parser) -> Option<Result<Expr, ParserError>> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                None
            }
            None => Some(Err(ParserError::RecursionLimitExceeded)),
        }
    }

    as_the_generic_one! {
        supports_group_by_expr
        supports_group_by_with_modifier
        supports_left_associative_joins_without_parens
        supports_window_function_null_treatment_arg
        supports_dictionary_syntax
        supports_window_clause_named_window_reference
        supports_select_wildcard_except
        allow_extract_custom
        allow_extract_single_quotes
        supports_parens_around_table_factor
        supports_limit_comma
        supports_try_convert
        supports_bitwise_shift_operators
        supports_struct_literal
        supports_nested_comments
        supports_string_escape_constant
        supports_array_typedef_with_brackets
        supports_filter_during_aggregation
        supports_select_wildcard_exclude
        supports_select_wildcard_replace
        supports_interval_options
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn nested_readings_end_in_time() {
        let begun = Instant::now();
        for (open, close) in
            [("abs(", ")"), ("cast(", " as int)"), ("cast(abs(", ")"), ("case when ", " then 1"), ("[", "]")]
        {
            for faulty in ["", " , ,"] {
                let text = format!("{}1{faulty}{}", open.repeat(45), close.repeat(45));
                let dialect = ShelfDialect::new();
                let parser = Parser::new(&dialect).with_recursion_limit(50).try_with_sql(&text);
                let _read = parser.expect("tokens").parse_expr();
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
