//! The functions SQL may call: those of `where`, and what needs more than one row or makes lists. Left out on purpose:
//! what grows its input without bound (`repeat`, `lpad`, `range`, and structs, whose types double), and what answers differently each time (`now`,
//! `random`, `uuid`), since answers are cached by their text.

use datafusion::execution::session_state::SessionState;

use crate::query::predicate::{FunctionDoc, first_sentence, function_documentation, function_names};

/// Aggregates, by their names in DataFusion.
pub(super) const AGGREGATES: [&str; 42] = [
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar",
    "covar_pop",
    "covar_samp",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "mean",
    "median",
    "min",
    "nth_value",
    "percentile_cont",
    "quantile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var",
    "var_pop",
    "var_samp",
];

/// Window functions; aggregates are window functions too.
pub(super) const WINDOWS: [&str; 11] = [
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

/// Scalar functions that a `where` has no use for.
const MORE: [&str; 10] = [
    "array_distinct",
    "array_intersect",
    "array_reverse",
    "array_slice",
    "array_sort",
    "arrow_typeof",
    "flatten",
    "regexp_count",
    "string_to_array",
    "unnest",
];

/// Whether a function of that (lower-case) name may be called.
pub(super) fn is_allowed(name: &str) -> bool {
    names().any(|allowed| allowed == name)
}

/// Whether a function of a plan may be called there: planners write some under another name than the query did.
pub(super) fn is_scalar(state: &SessionState, name: &str) -> bool {
    let known = |allowed: &str| {
        allowed == name || state.scalar_functions().get(allowed).is_some_and(|function| function.name() == name)
    };
    name == super::bounded::JOINED || function_names().chain(MORE).any(known)
}

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    function_names().chain(MORE).chain(AGGREGATES).chain(WINDOWS)
}

/// Each theme with its functions, as `/docs` shows them; those of `where` first.
pub fn documentation() -> Vec<(&'static str, Vec<FunctionDoc>)> {
    let state = crate::query::engine::functions();
    let mut all = function_documentation();
    let doc = |name: &'static str, found: Option<&datafusion::logical_expr::Documentation>| FunctionDoc {
        name,
        syntax: found.map_or_else(|| format!("{name}(…)"), |doc| doc.syntax_example.clone()),
        description: found.map_or_else(String::new, |doc| first_sentence(&doc.description)),
    };
    let more = MORE.iter().filter(|name| !function_names().any(|known| known == **name));
    let scalar = |name: &&'static str| doc(name, state.scalar_functions().get(*name).and_then(|f| f.documentation()));
    all.push(("More lists", more.map(scalar).collect()));
    let aggregate =
        |name: &&'static str| doc(name, state.aggregate_functions().get(*name).and_then(|f| f.documentation()));
    all.push(("Aggregates", AGGREGATES.iter().map(aggregate).collect()));
    let window = |name: &&'static str| doc(name, state.window_functions().get(*name).and_then(|f| f.documentation()));
    all.push(("Windows", WINDOWS.iter().map(window).collect()));
    all
}
