//! A whole plan put right, and the optimizer's rules for it.

use std::sync::Arc;

use datafusion::{
    common::{Column, DFSchema, Result, config::ConfigOptions, tree_node::Transformed},
    logical_expr::{Expr, LogicalPlan, Projection, expr_rewriter::NamePreserver, utils::merge_schema},
    optimizer::{AnalyzerRule, Optimizer, OptimizerRule},
};

use super::{
    computed, floats,
    growth::Bounded,
    lists::Simplify,
    sums::{self, Sum},
};

/// The optimizer's rules, with the one that simplifies in the form that keeps nulls.
pub(in crate::query) fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let ours: Arc<dyn OptimizerRule + Send + Sync> = Arc::new(Simplify::default());
    let rules = Optimizer::new().rules.into_iter();
    let rules = rules.map(|rule| if rule.name() == ours.name() { Arc::clone(&ours) } else { rule });
    rules.map(|rule| Arc::new(Bounded(rule)) as Arc<dyn OptimizerRule + Send + Sync>).collect()
}

/// Puts a plan from SQL right, once its types are known: integers, floats and sums.
#[derive(Debug)]
pub(in crate::query) struct Exact;

impl AnalyzerRule for Exact {
    fn name(&self) -> &str {
        "exact"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(node)?.data)
    }
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if matches!(plan, LogicalPlan::TableScan(_)) {
        let given = vec![None; plan.schema().fields().len()];
        return given_alike(plan, &given);
    }
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let exact = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(Transformed::yes(name.restore(computed(expr, &schema)?)))
    })?;
    let plan = exact.data.recompute_schema()?;
    match plan {
        LogicalPlan::Aggregate(mut aggregate) => {
            let given = widen(&mut aggregate.aggr_expr, aggregate.schema.fields().len(), &schema)?;
            given_alike(LogicalPlan::Aggregate(aggregate).recompute_schema()?, &given)
        }
        LogicalPlan::Window(mut window) => {
            let given = widen(&mut window.window_expr, window.schema.fields().len(), &schema)?;
            given_alike(LogicalPlan::Window(window).recompute_schema()?, &given)
        }
        plan => Ok(Transformed::yes(plan)),
    }
}

/// Widens the calls, which are the last of a node's `columns`; for each column what it must be narrowed to.
fn widen(calls: &mut [Expr], columns: usize, schema: &DFSchema) -> Result<Vec<Option<Sum>>> {
    let names = NamePreserver::new_for_projection();
    let mut given = vec![None; columns.saturating_sub(calls.len())];
    for expr in calls {
        let widened = sums::widened(expr, schema)?;
        given.push(widened.as_ref().map(|(_, sum)| *sum));
        if let Some((wider, _)) = widened {
            *expr = names.save(expr).restore(wider);
        }
    }
    Ok(given)
}

/// A projection over a node whose columns are new: sums as what they are, floats with one zero.
fn given_alike(plan: LogicalPlan, sums: &[Option<Sum>]) -> Result<Transformed<LogicalPlan>> {
    let columns = plan.schema().iter().zip(sums).map(|((relation, field), sum)| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        let alike = match sum {
            Some(sum) => sums::narrowed(*sum, column),
            None if floats::has_floats(field.data_type()) => floats::one_zero(column),
            None => return (column, false),
        };
        (alike.alias_qualified(relation.cloned(), field.name()), true)
    });
    let (columns, changed): (Vec<Expr>, Vec<bool>) = columns.unzip();
    if !changed.contains(&true) {
        return Ok(Transformed::yes(plan));
    }
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?)))
}
