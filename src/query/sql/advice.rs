//! How a query is had for less: the same query, with the same answer, that reads less of its table.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{BinaryOperator, Expr, Ident, Query, Select, SelectItem, SetExpr, TableFactor, Visit, Visitor},
    parser::Parser,
};

use crate::query::dialect::ShelfDialect;

/// The query with a further condition on its rows: if it is one SELECT over one table whose own condition does not name
/// `column`, which `condition` is about.
pub(super) fn narrowed(query: &Query, column: &str, condition: &str) -> Option<String> {
    if query.with.is_some() {
        return None;
    }
    let mut narrowed = query.clone();
    let select = only_select(&mut narrowed)?;
    let [from] = select.from.as_slice() else { return None };
    if !from.joins.is_empty() || !matches!(from.relation, TableFactor::Table { .. }) {
        return None;
    }
    let dialect = ShelfDialect::new();
    let condition = Parser::new(&dialect).try_with_sql(condition).and_then(|mut parser| parser.parse_expr()).ok()?;
    let own = select.selection.take().filter(|own| own.visit(&mut Names(column)).is_continue())?;
    select.selection = Some(Expr::BinaryOp {
        left: Box::new(Expr::Nested(Box::new(own))),
        op: BinaryOperator::And,
        right: Box::new(condition),
    });
    Some(narrowed.to_string())
}

/// Whether it takes all columns of something.
pub(super) fn takes_all(query: &Query) -> bool {
    query.visit(&mut Wildcards).is_break()
}

fn only_select(query: &mut Query) -> Option<&mut Select> {
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

/// Breaks at a name that may mean this column.
struct Names<'a>(&'a str);

impl Names<'_> {
    fn is(&self, ident: &Ident) -> bool {
        ident.value.to_lowercase() == self.0.to_lowercase()
    }
}

impl Visitor for Names<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let named = match expr {
            Expr::Identifier(ident) => self.is(ident),
            Expr::CompoundIdentifier(parts) => parts.iter().any(|ident| self.is(ident)),
            _ => false,
        };
        if named { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Breaks at a `*`.
struct Wildcards;

impl Visitor for Wildcards {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let all = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        if select.projection.iter().any(all) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Query;

    fn query(text: &str) -> Query {
        Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_condition_goes_beside_the_one_there_is() {
        let narrowed = |text: &str| query(text).narrowed("id", "\"id\" between 1 and 9");
        assert_eq!(
            narrowed("select count(*) from d.t where a = 1 or b = 2").as_deref(),
            Some("SELECT count(*) FROM d.t WHERE (a = 1 OR b = 2) AND \"id\" BETWEEN 1 AND 9")
        );
        assert!(narrowed("select a from d.t as x where a = 1 group by a order by a limit 3").is_some());
        for other in [
            "select a from d.t",
            "select id from d.t where a = 1 and id = 3",
            "select a from d.t where x.\"ID\" = 1",
            "select a from d.t, d.s where a = 1",
            "select a from (select a from d.t) x where a = 1",
            "with w as (select 1) select a from d.t where a = 1",
            "select a from d.t where a = 1 union all select a from d.t where a = 2",
        ] {
            assert_eq!(narrowed(other), None, "{other}");
        }
        // What comes of it can be asked.
        query(&narrowed("select a from d.t where a = 'it''s'").expect("a query"));
    }

    #[test]
    fn a_star_is_found_at_any_depth() {
        assert!(query("select * from d.t").takes_all());
        assert!(query("select a from (select x.* from d.t x) y").takes_all());
        assert!(!query("select count(*), a * 2 from d.t group by a").takes_all());
    }
}
