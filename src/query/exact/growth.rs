//! How large expressions become before anything is computed. Simplification writes some operands twice (`coalesce(a, b)` becomes
//! a CASE with two `a`), and conditions that sink through subqueries take whole expressions in the place of columns: nested,
//! either doubles with every level, on a thread that nothing can stop.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, DataFusionError, Result,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{BinaryExpr, Expr, LogicalPlan},
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

/// Parts of the expressions of one node of a plan.
const PARTS: usize = 50_000;
/// Functions that are simplified to expressions with an operand twice.
const TWICE: [&str; 5] = ["coalesce", "ifnull", "nullif", "nvl", "nvl2"];

/// Refuses an expression that may become too large.
pub(in crate::query) fn check(expr: &Expr) -> Result<()> {
    weigh(expr, &|_| 1).map(|_| ())
}

/// Refuses a plan whose conditions may become too large when they sink to where they are computed.
pub(in crate::query) fn check_plan(plan: &LogicalPlan) -> Result<()> {
    weights(plan).map(|_| ())
}

/// The parts of each column of a plan, if it were written out over the tables.
fn weights(plan: &LogicalPlan) -> Result<Vec<usize>> {
    let inputs = plan.inputs();
    let below = inputs.iter().map(|input| weights(input)).collect::<Result<Vec<_>>>()?;
    let of = |column: &Column| {
        let found = inputs.iter().zip(&below).find_map(|(input, weights)| {
            let at = input.schema().maybe_index_of_column(column)?;
            weights.get(at).copied()
        });
        found.unwrap_or(1)
    };
    let mut each = Vec::new();
    plan.apply_expressions(|expr| {
        each.push(weigh(expr, &of)?);
        expr.apply(|part| {
            match part {
                Expr::ScalarSubquery(inner) => check_plan(&inner.subquery)?,
                Expr::Exists(exists) => check_plan(&exists.subquery.subquery)?,
                Expr::InSubquery(inner) => check_plan(&inner.subquery.subquery)?,
                Expr::SetComparison(inner) => check_plan(&inner.subquery.subquery)?,
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    let width = plan.schema().fields().len();
    let given: Vec<usize> = match plan {
        LogicalPlan::Projection(_) => each,
        LogicalPlan::Union(_) => (0..width)
            .map(|at| below.iter().filter_map(|weights| weights.get(at)).copied().max().unwrap_or(1))
            .collect(),
        // Keys come first, and what is new after them.
        LogicalPlan::Aggregate(aggregate) => each.into_iter().take(aggregate.group_expr.len()).collect(),
        _ => below.concat(),
    };
    Ok((0..width).map(|at| given.get(at).copied().unwrap_or(1)).collect())
}

/// Parts an expression may have once it is simplified, by those of its columns.
fn weigh(expr: &Expr, of: &dyn Fn(&Column) -> usize) -> Result<usize> {
    if let Expr::Column(column) = expr {
        return Ok(of(column));
    }
    let mut below = 0_usize;
    expr.apply_children(|part| {
        below = below.saturating_add(weigh(part, of)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    let twice = match expr {
        Expr::Between(_) => true,
        // A comparison of a function of a column may become two of the column.
        Expr::BinaryExpr(BinaryExpr { op, .. }) => op.supports_propagation(),
        Expr::InList(_) => true,
        Expr::ScalarFunction(call) => TWICE.contains(&call.func.name()),
        _ => false,
    };
    let all = below.saturating_mul(if twice { 2 } else { 1 }).saturating_add(1);
    if all > PARTS { Err(too_large()) } else { Ok(all) }
}

fn too_large() -> DataFusionError {
    DataFusionError::Plan("nests so that it grows too large before it is computed: use fewer levels".to_owned())
}

/// A rule of the optimizer that ends where a node has grown too large.
#[derive(Debug)]
pub(super) struct Bounded(pub(super) Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for Bounded {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let rewritten = self.0.rewrite(plan, config)?;
        let mut left = PARTS;
        // What it did to a node it may have left in the nodes right below.
        count(&rewritten.data, &mut left)?;
        for input in rewritten.data.inputs() {
            count(input, &mut left)?;
        }
        Ok(rewritten)
    }
}

fn count(node: &LogicalPlan, left: &mut usize) -> Result<()> {
    node.apply_expressions(|expr| {
        expr.apply(|_| match left.checked_sub(1) {
            Some(less) => {
                *left = less;
                Ok(TreeNodeRecursion::Continue)
            }
            None => Err(too_large()),
        })
    })?;
    Ok(())
}
