//! SQL over published tables: one SELECT, checked three times.
//!
//! 1. [`syntax`]: the text is one query, of syntax that is listed, and names tables as `dataset.table`.
//! 2. [`plan`]: DataFusion's planner sees only the tables that were found for those names and the functions that are
//!    listed; column names match exactly, else without regard to case.
//! 3. [`guard`]: the plan that comes out, before and after it is optimized, has only nodes and expressions that are listed.
//!
//! Owns what may be asked and how faults are told, with their place in the text. Knows no HTTP, no license and no snapshot:
//! whoever asks finds the tables ([`Query::tables`]) and hands them over. Running is the [engine](super::engine)'s.

mod advice;
mod bounded;
mod functions;
mod guard;
mod plan;
mod syntax;
mod unnest;

use std::sync::Arc;

use datafusion::{
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, displayable},
    sql::sqlparser::ast,
};

pub use self::{functions::documentation, syntax::TableName};
use super::{
    QueryError, SliceError,
    engine::{Work, output::Output},
    predicate::on_deep_stack,
    table::TableSource,
};

/// A query that is well formed; what its names mean is still open.
#[derive(Debug, Clone)]
pub struct Query {
    text: Arc<str>,
    syntax: Arc<ast::Query>,
    tables: Vec<TableName>,
    canonical: String,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// When it is not one SELECT of what is allowed; the text says where, and what would work.
    pub fn parse(text: &str) -> Result<Self, SliceError> {
        on_deep_stack("query", text, || {
            let (syntax, tables) = syntax::parse(text)?;
            let canonical = syntax.to_string();
            Ok(Self { text: text.into(), syntax: Arc::new(syntax), tables, canonical })
        })
    }

    /// The query as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The query in one normal spelling.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The query with a further condition on its rows: if it is one SELECT over one table whose own condition does not
    /// name `column`, which `condition` is about. Where that holds for every row, the answer is the same.
    pub fn narrowed(&self, column: &str, condition: &str) -> Option<String> {
        advice::narrowed(&self.syntax, column, condition)
    }

    /// Whether it takes all columns of something, by a `*`.
    pub fn takes_all(&self) -> bool {
        advice::takes_all(&self.syntax)
    }

    /// The tables it names, each once.
    pub fn tables(&self) -> &[TableName] {
        &self.tables
    }

    /// Plans it over these tables, one for each of [`Self::tables`], on the account of `work`; at most `limit` rows.
    ///
    /// # Errors
    /// When a name is not a column, an expression has no type, or the plan does what is not allowed.
    pub async fn plan(
        &self,
        work: &Work<'_>,
        tables: Vec<TableSource>,
        limit: Option<u64>,
    ) -> Result<Planned, QueryError> {
        let tables = self.tables.iter().cloned().zip(tables.into_iter().map(|source| work.table(source))).collect();
        let planner = plan::Planner::new(work.state(), tables);
        let (text, syntax) = (Arc::clone(&self.text), Arc::clone(&self.syntax));
        let (logical, physical) = work
            .apart(async move {
                match planner.plan(&text, syntax.as_ref().clone()) {
                    Err(fault) => Ok(Err(fault)),
                    Ok(logical) => planner.optimize(logical, limit).await.map(Ok),
                }
            })
            .await??;
        let output = Output::new(logical.schema().as_arrow())?.with_unique_names();
        Ok(Planned { logical, physical, output })
    }
}

/// A query that can be run.
#[derive(Debug, Clone)]
pub struct Planned {
    logical: LogicalPlan,
    /// How it is computed.
    pub physical: Arc<dyn ExecutionPlan>,
    /// The columns of the result. Names that come twice are made different: `n`, `n_2`, ….
    pub output: Output,
}

impl Planned {
    /// The plan as text, a node a line.
    pub fn explain(&self) -> String {
        displayable(self.physical.as_ref()).indent(false).to_string()
    }

    /// The optimized logical plan as text.
    pub fn logical(&self) -> String {
        self.logical.display_indent().to_string()
    }
}
