//! Simplification that keeps nulls.
//!
//! DataFusion joins the lists of `in` conditions over the same value as sets: `x in (1) and x in (2)` becomes false and
//! `x not in (1) or x not in (2)` true, whatever x is. For a null x neither is so, and a null or a column within a list is no
//! member of a set: `x in (1) and x not in (2, null)` would be true for 1. So the values are told apart before it simplifies
//! and made the same again afterwards.

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, expr::InList},
    optimizer::{
        ApplyOrder, OptimizerConfig, OptimizerRule,
        simplify_expressions::{ExprSimplifier, SimplifyExpressions},
    },
};

use super::call::{Does, call, does};

/// The simplest expression of the same meaning.
pub(in crate::query) fn simplify(simplifier: &ExprSimplifier, expr: Expr) -> Result<Expr> {
    match apart(expr)? {
        Transformed { data, transformed: false, .. } => simplifier.simplify(data),
        marked => together(simplifier.simplify(marked.data)?),
    }
}

/// The optimizer's rule of the same, in place of DataFusion's.
#[derive(Debug, Default)]
pub(super) struct Simplify(SimplifyExpressions);

impl OptimizerRule for Simplify {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // A mark is called by what it marks, so columns keep their names.
        let marked = plan.map_expressions(apart)?;
        let simplified = self.0.rewrite(marked.data, config)?;
        if !marked.transformed {
            return Ok(simplified);
        }
        let plan = simplified
            .data
            .transform_down(|node| node.map_expressions(|expr| Ok(Transformed::yes(together(expr)?))))?;
        Ok(Transformed::new_transformed(plan.data, simplified.transformed))
    }
}

/// Each `in` list over a value of its own, if there are several that could be joined.
fn apart(expr: Expr) -> Result<Transformed<Expr>> {
    let mut several = 0_usize;
    expr.apply(|part| {
        match part {
            Expr::InList(_) => several += 1,
            // Becomes a list, if it is over one column.
            Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => several += 1,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if several < 2 {
        return Ok(Transformed::no(expr));
    }
    let mut number = 0_u32;
    expr.transform_up(|part| {
        Ok(match part {
            Expr::InList(InList { expr, list, negated }) => {
                number += 1;
                Transformed::yes(Expr::InList(InList { expr: Box::new(marked(*expr, number)?), list, negated }))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })
                if left.column_refs().is_empty() != right.column_refs().is_empty() =>
            {
                let (left, right) = (Box::new(marked(*left, 0)?), Box::new(marked(*right, 0)?));
                Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }))
            }
            other => Transformed::no(other),
        })
    })
}

/// The columns of a value under a mark.
fn marked(value: Expr, number: u32) -> Result<Expr> {
    let mark = |part: Expr| {
        Ok(match part {
            Expr::Column(_) => Transformed::yes(call(Does::Apart(number), vec![part])),
            other => Transformed::no(other),
        })
    };
    Ok(value.transform_up(mark)?.data)
}

/// Without marks.
fn together(expr: Expr) -> Result<Expr> {
    let unmark = |part: Expr| {
        Ok(match does(&part) {
            Some((Does::Apart(_), [inner])) => Transformed::yes(inner.clone()),
            _ => Transformed::no(part),
        })
    };
    Ok(expr.transform_up(unmark)?.data)
}
