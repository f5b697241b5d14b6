//! `from t, unnest(t.list) as g(item)`, which DataFusion's planner does not know, as what it does:
//! `from (select t.*, unnest(t.list) as item from t where t.list is not null) as t`, with `t.item` where `g.item` is said.
//!
//! So a list is unnested beside the table or subquery right before it. Whatever else stands there is told how to be said.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JoinConstraint, JoinOperator, Query, Select,
        SelectItem, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins, Value, Visit, VisitMut, Visitor,
        VisitorMut,
    },
    dialect::GenericDialect,
    parser::Parser,
};

use crate::query::predicate::Fault;

/// Puts every such FROM of a query, however deep, into the form that is planned.
pub(super) fn beside_tables(query: &mut Query) -> Result<(), Fault> {
    match VisitMut::visit(query, &mut Selects) {
        ControlFlow::Break(fault) => Err(fault),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Selects;

impl VisitorMut for Selects {
    type Break = Fault;

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Fault> {
        let mut at = 0;
        while at < select.from.len() {
            while let Some(renamed) = joined(&mut select.from, at) {
                let _never_broken = VisitMut::visit(select, &mut Renames(renamed));
            }
            at += 1;
        }
        for item in &select.from {
            let rest = item.joins.iter().map(|join| &join.relation).chain([&item.relation]);
            if let Some(list) = rest.filter_map(of_columns).next() {
                let message = format!(
                    "`unnest({list})` stands in FROM right behind the table that has the list; elsewhere unnest it in a \
                     subquery, as in `from (select *, unnest({list}) as item from dataset.table) as t`"
                );
                return ControlFlow::Break(Fault::at(message, None));
            }
        }
        ControlFlow::Continue(())
    }
}

/// The list of an UNNEST that names columns.
fn of_columns(factor: &TableFactor) -> Option<&Expr> {
    struct Names;
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    let TableFactor::UNNEST { array_exprs, .. } = factor else { return None };
    array_exprs.iter().find(|list| Visit::visit(*list, &mut Names).is_break())
}

/// What is named anew: a qualified name's parts before the column, and what they become.
#[derive(Debug)]
struct Renamed {
    /// The alias of the list, and its item.
    list: Option<(String, Ident)>,
    /// `dataset.table` as the qualifier, where the table has no alias.
    table: Option<Vec<String>>,
    to: Ident,
}

/// Puts the first UNNEST that stands right behind the relation at `at` into it.
fn joined(from: &mut Vec<TableWithJoins>, at: usize) -> Option<Renamed> {
    let item = from.get_mut(at)?;
    let beside =
        item.joins.first().is_some_and(|join| plain(&join.join_operator) && of_columns(&join.relation).is_some());
    let behind = item.joins.is_empty() && from.get(at + 1).is_some_and(|next| of_columns(&next.relation).is_some());
    let item = from.get_mut(at)?;
    let name = name_of(&item.relation)?;
    if beside {
        let (relation, renamed) = unnested(&item.relation, &item.joins.first()?.relation, name)?;
        item.relation = relation;
        item.joins.remove(0);
        return Some(renamed);
    }
    if !behind {
        return None;
    }
    let (relation, renamed) = unnested(&from.get(at)?.relation, &from.get(at + 1)?.relation, name)?;
    let next = from.remove(at + 1);
    let item = from.get_mut(at)?;
    item.relation = relation;
    item.joins = next.joins;
    Some(renamed)
}

/// Whether a join takes every pair.
fn plain(operator: &JoinOperator) -> bool {
    let (JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) | JoinOperator::CrossJoin(constraint)) =
        operator
    else {
        return false;
    };
    match constraint {
        JoinConstraint::None => true,
        JoinConstraint::On(Expr::Value(value)) => value.value == Value::Boolean(true),
        _ => false,
    }
}

/// What a relation is called, and how it may be named besides.
fn name_of(relation: &TableFactor) -> Option<(Ident, Option<Vec<String>>)> {
    match relation {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some((alias.name.clone(), None))
        }
        TableFactor::Table { alias: None, name, .. } => {
            let parts: Option<Vec<&Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
            let parts = parts?;
            let last = (*parts.last()?).clone();
            Some((last, Some(parts.into_iter().map(|part| part.value.clone()).collect())))
        }
        _ => None,
    }
}

fn unnested(
    relation: &TableFactor,
    list: &TableFactor,
    (to, table): (Ident, Option<Vec<String>>),
) -> Option<(TableFactor, Renamed)> {
    let TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality: false, .. } = list else {
        return None;
    };
    let [array] = array_exprs.as_slice() else { return None };
    let item = match alias {
        Some(TableAlias { columns, name, .. }) => columns.first().map_or(name, |column| &column.name).clone(),
        None => Ident::new("unnest"),
    };
    // The list under its item's own name gives way to it.
    let named_alike = match array {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    let except = named_alike.filter(|name| name.value.eq_ignore_ascii_case(&item.value));
    let except = except.map_or_else(String::new, |name| format!(" except ({})", quoted(name)));
    // Built from text, then given the parts that know their place.
    let text = format!("select {}.*{except}, unnest(0) as {} from x where 0 is not null", quoted(&to), quoted(&item));
    let statement = Parser::new(&GenericDialect {}).try_with_sql(&text).ok()?.parse_statement().ok()?;
    let Statement::Query(mut query) = statement else { return None };
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if let Some(SelectItem::ExprWithAlias { expr: Expr::Function(call), .. }) = select.projection.last_mut()
        && let FunctionArguments::List(args) = &mut call.args
    {
        args.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(array.clone()))];
    }
    if let Some(Expr::IsNotNull(inner)) = &mut select.selection {
        **inner = array.clone();
    }
    let called = TableAlias { explicit: true, name: to.clone(), columns: Vec::new(), at: None };
    let mut inside = relation.clone();
    if let TableFactor::Table { alias: alias @ None, .. } = &mut inside {
        *alias = Some(called.clone());
    }
    select.from.first_mut()?.relation = inside;
    let derived = TableFactor::Derived { lateral: false, subquery: query, alias: Some(called), sample: None };
    let list = alias.as_ref().map(|alias| (alias.name.value.clone(), item));
    Some((derived, Renamed { list, table, to }))
}

fn quoted(name: &Ident) -> String {
    format!("\"{}\"", name.value.replace('"', "\"\""))
}

/// Names columns of a list, and of the table it went into, by the table.
struct Renames(Renamed);

impl VisitorMut for Renames {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundIdentifier(parts) = expr else { return ControlFlow::Continue(()) };
        let Renamed { list, table, to } = &self.0;
        if let (Some((alias, _)), [first, _, ..]) = (list, parts.as_mut_slice())
            && first.value.eq_ignore_ascii_case(alias)
            && !alias.eq_ignore_ascii_case(&to.value)
        {
            first.value.clone_from(&to.value);
            first.quote_style = to.quote_style;
        } else if let Some(table) = table
            && parts.len() > table.len()
            && table.len() > 1
            && parts.iter().zip(table).all(|(part, known)| part.value.eq_ignore_ascii_case(known))
        {
            parts.drain(..table.len() - 1);
        }
        ControlFlow::Continue(())
    }
}
