//! Expressions that mean what SQL says, where DataFusion's shortcuts do not: no answer is silently wrong.
//!
//! - [`arithmetic`]: integers that overflow are an error, never another number.
//! - [`floats`]: there is one zero and one NaN, which is equal to itself and larger than every number.
//! - [`lists`]: `in` lists are not joined as if there were no nulls.
//! - [`growth`]: nothing grows without bound before it is computed.
//! - [`sums`]: sums that do not fit are an error as well.
//! - [`plans`]: all of it over a whole plan.
//!
//! Owns the rewriting of typed expressions; knows no text, no tables and no engine.

mod arithmetic;
mod call;
mod floats;
mod growth;
mod lists;
mod plans;
mod sums;

use datafusion::{
    common::{
        DFSchema, Result,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{Expr, ExprSchemable},
};

pub(super) use self::{
    call::is_ours,
    growth::{check as check_growth, check_plan as check_plan_growth},
    lists::simplify,
    plans::{Exact, optimizer_rules},
};

/// The expression (typed: every operand has the type its operator takes) over columns that are published values.
pub(super) fn over_columns(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let expr = computed(expr, schema)?;
    let columns = |part: Expr| match &part {
        Expr::Column(_) if floats::has_floats(&part.get_type(schema)?) => Ok(Transformed::yes(floats::one_zero(part))),
        _ => Ok(Transformed::no(part)),
    };
    Ok(expr.transform_up(columns)?.data)
}

/// The expression with what it computes put right; its columns are taken as they are.
fn computed(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    Ok(expr.transform_up(|part| Ok(floats::computed(arithmetic::checked(part, schema), schema)))?.data)
}
