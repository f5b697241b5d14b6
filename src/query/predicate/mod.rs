//! `where`: a SQL boolean expression over the columns of one table, checked, typed and compiled once per request.

mod elsewhere;
mod functions;
mod grammar;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::{DataType, Schema, SchemaRef},
    error::ArrowError,
};
use datafusion::{
    common::{DFSchema, DataFusionError, ScalarValue, tree_node::TreeNode},
    logical_expr::{Expr, ExprSchemable, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    physical_expr::PhysicalExpr,
    sql::sqlparser::ast::ExprWithAlias,
};

use self::functions::SESSION;
pub use self::functions::{FunctionDoc, documentation as function_documentation};
pub(in crate::query) use self::{
    elsewhere::instead_of,
    functions::{first_sentence, names as function_names},
    grammar::{Fault, character, parser_fault, swallows},
};
use super::{SliceError, error::plain, exact};
use crate::catalog::TableSchema;

/// Stack on which a long text is parsed and planned; only what is used is ever taken from memory.
const STACK: usize = 16 << 20;
/// Bytes of a short text, and the stack that is enough for it.
const SHORT: usize = 160;
const SHORT_STACK: usize = 1536 << 10;

/// A compiled `where`.
#[derive(Clone)]
pub struct Predicate {
    text: String,
    columns: Vec<usize>,
    schema: SchemaRef,
    physical: Arc<dyn PhysicalExpr>,
    constant: Option<bool>,
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predicate").field("text", &self.text).field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Predicate {
    /// Parses, checks and types `text` against the table's columns.
    ///
    /// # Errors
    /// With the character at fault and the nearest name, where there is one.
    pub fn parse(text: &str, schema: &TableSchema) -> Result<Self, SliceError> {
        on_deep_stack("where", text, || Self::parse_here(text, schema))
    }

    fn parse_here(text: &str, schema: &TableSchema) -> Result<Self, SliceError> {
        let syntax = grammar::parse(text, schema).map_err(|fault| {
            let place = fault.character.map_or_else(String::new, |at| format!(" (character {at})"));
            SliceError::new("where", format!("{}{place}", fault.message)).instead(fault.repaired(text))
        })?;
        let normal = syntax.to_string();
        let arrow = schema.to_arrow();
        Self::compile(syntax, normal, &arrow).map_err(|error| SliceError::new("where", plain(&error)))
    }

    fn compile(
        syntax: datafusion::sql::sqlparser::ast::Expr,
        text: String,
        arrow: &Schema,
    ) -> Result<Self, DataFusionError> {
        let all = DFSchema::try_from(arrow.clone())?;
        let logical = SESSION.create_logical_expr_from_sql_expr(ExprWithAlias { expr: syntax, alias: None }, &all)?;
        if has_aggregate(&logical)? {
            return Err(DataFusionError::Plan("aggregates are not available: a `where` sees one row at a time".into()));
        }
        exact::check_growth(&logical)?;
        let kind = logical.get_type(&all)?;
        if !matches!(kind, DataType::Boolean | DataType::Null) {
            return Err(DataFusionError::Plan(format!("gives a value of type {kind}, not true or false")));
        }
        let context = SimplifyContext::builder()
            .with_schema(Arc::new(all.clone()))
            .with_config_options(Arc::clone(SESSION.config_options()))
            .build();
        let simplifier = ExprSimplifier::new(context);
        let logical = exact::over_columns(simplifier.coerce(logical, &all)?, &all)?;
        let logical = exact::simplify(&simplifier, logical)?;
        let used: BTreeSet<usize> =
            logical.column_refs().into_iter().filter_map(|column| arrow.index_of(&column.name).ok()).collect();
        let columns: Vec<usize> = used.into_iter().collect();
        let narrow = Arc::new(arrow.project(&columns)?);
        let physical = SESSION.create_physical_expr(logical.clone(), &DFSchema::try_from(narrow.as_ref().clone())?)?;
        let constant = match &logical {
            Expr::Literal(ScalarValue::Boolean(value), _) => Some(value.unwrap_or(false)),
            Expr::Literal(ScalarValue::Null, _) => Some(false),
            _ => None,
        };
        Ok(Self { text, columns, schema: narrow, physical, constant })
    }

    /// The expression in one normal spelling.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Positions of the columns it reads in the table's schema, ascending.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The value it has for every row, if it has one.
    pub fn constant(&self) -> Option<bool> {
        self.constant
    }

    /// Its columns' schema and its compiled form, for pruning.
    pub(super) fn compiled(&self) -> (&SchemaRef, &Arc<dyn PhysicalExpr>) {
        (&self.schema, &self.physical)
    }

    /// True for each row of a batch of exactly [`Self::columns`] that matches; null counts as no.
    ///
    /// # Errors
    /// When it cannot be computed for these values, such as a division by zero.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let value = self
            .physical
            .evaluate(batch)
            .and_then(|value| value.into_array(batch.num_rows()))
            .map_err(|error| ArrowError::ComputeError(plain(&error)))?;
        match value.data_type() {
            DataType::Boolean => Ok(value.as_boolean().clone()),
            _ => Ok(BooleanArray::from(vec![false; batch.num_rows()])),
        }
    }

    /// The matching rows of a batch that has all the table's columns.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn filter(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let narrow = batch.project(&self.columns)?;
        filter_record_batch(batch, &self.evaluate(&narrow)?)
    }
}

/// Runs what reads foreign `text`. Parser and planner recurse with large frames: they get a stack that the deepest text
/// admitted cannot exhaust, whatever thread asks; most texts are too short to need another than the thread's own.
pub(in crate::query) fn on_deep_stack<T>(
    parameter: &'static str,
    text: &str,
    read: impl FnOnce() -> Result<T, SliceError>,
) -> Result<T, SliceError> {
    let needed = if text.len() <= SHORT { SHORT_STACK } else { STACK };
    // A library may panic over some text: whoever sent it is told, the others are served.
    stacker::maybe_grow(needed, STACK, || catch_unwind(AssertUnwindSafe(read)))
        .unwrap_or_else(|_| Err(SliceError::new(parameter, "cannot be read here; a simpler one may work")))
}

fn has_aggregate(expr: &Expr) -> Result<bool, DataFusionError> {
    expr.exists(|part| Ok(matches!(part, Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Placeholder(_))))
}
