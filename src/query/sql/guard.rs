//! The plan itself is held against a list: whatever the text looked like, only these nodes and expressions run.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DataFusionError, Result, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    execution::session_state::SessionState,
    logical_expr::{
        Cast, Expr, LogicalPlan, Operator, WindowFrameBound, WindowFunctionDefinition,
        expr::{Alias, BinaryExpr, GroupingSet},
    },
};

use super::{bounded, functions};
use crate::query::exact;

/// Tables, counted as often as they are read.
const SCANS: usize = 48;
/// Columns of a node.
const COLUMNS: usize = 1_000;
/// Bytes of one text in a query.
const TEXT: usize = 4 << 10;
/// Bytes of all texts that a node may write into each row.
const TEXTS: usize = 16 << 10;
/// Bytes of a pattern.
const PATTERN: usize = 1 << 10;
/// Bytes of a compiled pattern.
const COMPILED: usize = 512 << 10;
/// Centroids of an estimate of percentiles: memory is taken for all of them at once.
const CENTROIDS: u32 = 10_000;
/// Keys of a cube: it has a grouping for each of their sets.
const CUBE: usize = 8;
/// Keys of a rollup.
const ROLLUP: usize = 16;
/// Window functions of a query: each order of them sorts everything once more.
const WINDOWS: usize = 40;
/// Rows a window frame may reach back or ahead.
const FRAME: u64 = 1_000_000;

/// Refuses a plan that does what is not listed.
pub(super) fn check(state: &SessionState, plan: &LogicalPlan) -> Result<()> {
    exact::check_plan_growth(plan)?;
    let (mut scans, mut windows) = (0, 0);
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Window(window) = node {
            windows += window.window_expr.len();
            if windows > WINDOWS {
                return Err(refused(format!("has more than {WINDOWS} window functions")));
            }
        }
        let filters = match node {
            LogicalPlan::TableScan(_) => {
                scans += 1;
                if scans > SCANS {
                    return Err(refused(format!("reads tables more than {SCANS} times")));
                }
                true
            }
            LogicalPlan::Filter(_) | LogicalPlan::Join(_) => true,
            LogicalPlan::Projection(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Unnest(_)
            | LogicalPlan::Distinct(_) => false,
            other => return Err(refused(format!("{} is not available", name(other)))),
        };
        if node.schema().fields().len() > COLUMNS {
            return Err(refused(format!("has more than {COLUMNS} columns")));
        }
        let mut texts = 0_usize;
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                let text = expression(state, part)?;
                if !filters && !matches!(node, LogicalPlan::Values(_)) {
                    texts += text;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if texts > TEXTS {
            return Err(refused(format!("writes more than {TEXTS} bytes of its own text into each row")));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn refused(message: String) -> DataFusionError {
    DataFusionError::Plan(message)
}

fn name(plan: &LogicalPlan) -> String {
    let text = plan.display().to_string();
    text.split([':', ' ']).next().unwrap_or_default().to_owned()
}

/// Refuses an expression that is not listed; gives the bytes of text it brings along.
fn expression(state: &SessionState, expr: &Expr) -> Result<usize> {
    match expr {
        Expr::Literal(value, _) => {
            let bytes = value.size();
            match value {
                ScalarValue::Utf8(_)
                | ScalarValue::Utf8View(_)
                | ScalarValue::LargeUtf8(_)
                | ScalarValue::Binary(_)
                    if bytes > TEXT =>
                {
                    Err(refused(format!("holds a text of {bytes} bytes, more than {TEXT}")))
                }
                _ => Ok(bytes),
            }
        }
        Expr::BinaryExpr(BinaryExpr { op, right, .. }) => match op {
            Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch => {
                pattern(right).map(|()| 0)
            }
            Operator::StringConcat => Err(refused("`||` joins text only".to_owned())),
            _ => Ok(0),
        },
        Expr::SimilarTo(like) => pattern(&like.pattern).map(|()| 0),
        Expr::ScalarFunction(call) => {
            let name = call.func.name();
            if exact::is_ours(&call.func) {
                return Ok(0);
            }
            if !functions::is_scalar(state, name) || !bounded::is_bounded(&call.func) {
                return Err(refused(format!("no function `{name}` here")));
            }
            if name.starts_with("regexp_")
                && let Some(given) = call.args.get(1)
            {
                pattern(given)?;
            }
            Ok(0)
        }
        Expr::AggregateFunction(call) => {
            let more = call.params.args.iter().skip(1);
            if call.func.name() == "approx_percentile_cont"
                && more.filter_map(whole).any(|number| number > i128::from(CENTROIDS))
            {
                return Err(refused(format!("approx_percentile_cont keeps at most {CENTROIDS} centroids")));
            }
            aggregate(call.func.name())
        }
        Expr::WindowFunction(call) => {
            match &call.fun {
                WindowFunctionDefinition::AggregateUDF(function) => {
                    if ["array_agg", "string_agg", "median", "approx_percentile_cont", "percentile_cont"]
                        .contains(&function.name())
                    {
                        return Err(refused(format!("`{}` is no window function here", function.name())));
                    }
                    aggregate(function.name())?
                }
                WindowFunctionDefinition::WindowUDF(function) => {
                    let name = function.name().to_lowercase();
                    if !functions::WINDOWS.contains(&name.as_str()) {
                        return Err(refused(format!("no function `{name}` here")));
                    }
                    0
                }
            };
            if call.params.distinct {
                return Err(refused("DISTINCT is not available in a window".to_owned()));
            }
            for bound in [&call.params.window_frame.start_bound, &call.params.window_frame.end_bound] {
                let (WindowFrameBound::Preceding(reach) | WindowFrameBound::Following(reach)) = bound else { continue };
                if let ScalarValue::UInt64(Some(rows)) = reach
                    && *rows > FRAME
                {
                    return Err(refused(format!(
                        "a window reaches over {rows} rows, more than {FRAME}; use UNBOUNDED"
                    )));
                }
            }
            Ok(0)
        }
        // Each makes a grouping of its own.
        Expr::GroupingSet(GroupingSet::Cube(keys)) if keys.len() > CUBE => {
            Err(refused(format!("cube takes at most {CUBE} keys; grouping sets say which of them are wanted")))
        }
        Expr::GroupingSet(GroupingSet::Rollup(keys)) if keys.len() > ROLLUP => {
            Err(refused(format!("rollup takes at most {ROLLUP} keys")))
        }
        Expr::GroupingSet(_) => Ok(0),
        Expr::Cast(cast) => kind(cast.field.data_type()),
        Expr::TryCast(cast) => kind(cast.field.data_type()),
        Expr::Alias(_)
        | Expr::Column(_)
        | Expr::Like(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::InList(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_)
        | Expr::ScalarSubquery(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::Unnest(_) => Ok(0),
        other => Err(refused(format!("`{other}` is not available"))),
    }
}

/// A whole number of the query.
fn whole(expr: &Expr) -> Option<i128> {
    let Expr::Literal(value, _) = bare(expr) else { return None };
    match value.cast_to(&DataType::Decimal128(38, 0)) {
        Ok(ScalarValue::Decimal128(number, ..)) => number,
        _ => None,
    }
}

/// An expression without casts and names.
fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Cast(Cast { expr: inner, .. }) | Expr::Alias(Alias { expr: inner, .. }) = expr {
        expr = inner;
    }
    expr
}

fn aggregate(name: &str) -> Result<usize> {
    if functions::AGGREGATES.contains(&name) {
        return Ok(0);
    }
    Err(refused(format!("no function `{name}` here")))
}

fn kind(kind: &DataType) -> Result<usize> {
    match kind {
        DataType::FixedSizeList(..)
        | DataType::FixedSizeBinary(_)
        | DataType::Union(..)
        | DataType::RunEndEncoded(..) => Err(refused(format!("no cast to {kind}"))),
        _ => Ok(0),
    }
}

/// A pattern is a text in the query, and small once it is compiled: then matching is as fast as the text is long.
fn pattern(expr: &Expr) -> Result<()> {
    let Expr::Literal(value, _) = bare(expr) else {
        return Err(refused("a regular expression is a text in the query, not a column".to_owned()));
    };
    let Some(Some(text)) = value.try_as_str() else { return Ok(()) };
    if text.len() > PATTERN {
        return Err(refused(format!("a regular expression has {} bytes, more than {PATTERN}", text.len())));
    }
    match regex::RegexBuilder::new(text).size_limit(COMPILED).build() {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            Err(refused(format!("a regular expression cannot be used: {}", last.trim_start_matches("error: "))))
        }
    }
}
