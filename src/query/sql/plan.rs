//! From syntax to a plan: DataFusion's planner over just the tables and functions there are.

use std::{ops::ControlFlow, sync::Arc};

use arrow::datatypes::DataType;
use datafusion::{
    common::{Column, DataFusionError, Result, SchemaError, TableReference, config::ConfigOptions},
    datasource::provider_as_source,
    execution::session_state::{SessionState, SessionStateBuilder},
    logical_expr::{
        AggregateUDF, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF,
        planner::{ContextProvider, ExprPlanner, TypePlanner},
    },
    physical_plan::ExecutionPlan,
    sql::{
        planner::{ParserOptions, SqlToRel},
        sqlparser::{
            ast::{Expr, Ident, Query, Statement, VisitMut, VisitorMut},
            tokenizer::Location,
        },
    },
};

use super::{
    bounded::{self, Unnamed},
    functions, guard,
    syntax::{TableName, said},
    unnest,
};
use crate::query::{
    SliceError,
    engine::EngineTable,
    error::plain,
    exact::Exact,
    names,
    predicate::{Fault, character},
};

/// Names that are put right by their case, at most.
const REPAIRS: usize = 64;

/// Plans one query.
pub(super) struct Planner {
    state: SessionState,
    tables: Vec<(TableName, Arc<EngineTable>)>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl Planner {
    pub(super) fn new(state: SessionState, tables: Vec<(TableName, Arc<EngineTable>)>) -> Self {
        let mut planners: Vec<Arc<dyn ExprPlanner>> = Vec::new();
        let function = |name: &str| state.scalar_functions().get(name).map(Arc::clone);
        if let Some((concat, make_array)) = function("concat").zip(function("make_array")) {
            planners.push(Arc::new(Unnamed::new(concat, make_array)));
        }
        planners.extend(state.expr_planners().iter().cloned());
        let state = SessionStateBuilder::new_from_existing(state).with_analyzer_rule(Arc::new(Exact)).build();
        Self { state, tables, planners }
    }

    /// The checked plan. A name that is no column but for its case is put right and the query planned again.
    pub(super) fn plan(&self, text: &str, mut syntax: Query) -> Result<LogicalPlan, SliceError> {
        unnest::beside_tables(&mut syntax).map_err(|fault| said(&fault, text))?;
        for _ in 0..REPAIRS {
            let planner = SqlToRel::new_with_options(self, options(&self.state));
            let planned = planner.sql_statement_to_plan(Statement::Query(Box::new(syntax.clone())));
            match planned.and_then(|plan| guard::check(&self.state, &plan).map(|()| plan)) {
                Ok(plan) => return Ok(plan),
                Err(error) => {
                    let fault = fault(&error, text);
                    if !fault.repair.as_ref().is_some_and(|repair| repair.apply(&mut syntax)) {
                        return Err(said(&fault.fault, text));
                    }
                }
            }
        }
        Err(said(&Fault::at("names too many columns by another case than theirs", None), text))
    }

    /// The plan as it is run. Optimizers put expressions together, so it is checked again.
    pub(super) async fn optimize(
        &self,
        plan: LogicalPlan,
        limit: Option<u64>,
    ) -> Result<(LogicalPlan, Arc<dyn ExecutionPlan>)> {
        let plan = match limit.and_then(|limit| usize::try_from(limit).ok()) {
            Some(limit) => LogicalPlanBuilder::from(plan).limit(0, Some(limit))?.build()?,
            None => plan,
        };
        let optimized = self.state.optimize(&plan)?;
        guard::check(&self.state, &optimized)?;
        let physical = self.state.query_planner().create_physical_plan(&optimized, &self.state).await?;
        Ok((optimized, physical))
    }
}

fn options(state: &SessionState) -> ParserOptions {
    let options = &state.config_options().sql_parser;
    ParserOptions::new()
        .with_enable_ident_normalization(false)
        .with_collect_spans(true)
        .with_support_varchar_with_length(options.support_varchar_with_length)
        .with_map_string_types_to_utf8view(options.map_string_types_to_utf8view)
        .with_default_null_ordering(options.default_null_ordering.as_str().into())
}

impl ContextProvider for Planner {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let found = self.tables.iter().find(|(known, _)| {
            matches!(&name, TableReference::Partial { schema, table }
                if **schema == *known.dataset && **table == *known.table)
        });
        match found {
            Some((_, table)) => Ok(provider_as_source(Arc::clone(table) as _)),
            None => Err(DataFusionError::Plan(format!("`{name}` names no table: write `dataset.table`"))),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        None
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let name = name.to_lowercase();
        functions::is_allowed(&name).then_some(())?;
        self.state.scalar_functions().get(&name).map(|function| bounded::bounded(Arc::clone(function)))
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let name = name.to_lowercase();
        functions::is_allowed(&name).then(|| self.state.aggregate_functions().get(&name).cloned()).flatten()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        let name = name.to_lowercase();
        functions::is_allowed(&name).then(|| self.state.window_functions().get(&name).cloned()).flatten()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        functions::names().map(str::to_owned).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        functions::AGGREGATES.map(str::to_owned).into()
    }

    fn udwf_names(&self) -> Vec<String> {
        functions::WINDOWS.map(str::to_owned).into()
    }
}

/// A fault, and what may put it right.
struct Planned {
    fault: Fault,
    repair: Option<Repair>,
}

/// What the planner said, in our words and with its place.
fn fault(error: &DataFusionError, text: &str) -> Planned {
    let diagnosed = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let place = |start: datafusion::common::Location| Location { line: start.line, column: start.column };
    let root = error.find_root();
    let DataFusionError::SchemaError(schema, _) = root else {
        let at = diagnosed.and_then(|span| character(text, place(span.start)));
        return Planned { fault: Fault::at(plain(root), at), repair: None };
    };
    match schema.as_ref() {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let span = field.spans().first().or(diagnosed);
            let start = span.map(|span| place(span.start));
            let at = start.and_then(|start| character(text, start));
            unknown(field, valid_fields, start, at)
        }
        SchemaError::AmbiguousReference { field } => {
            let span = field.spans().first().or(diagnosed);
            let at = span.and_then(|span| character(text, place(span.start)));
            let message =
                format!("`{}` may mean columns of several tables: write which, as in `t.{}`", field.name, field.name);
            Planned { fault: Fault::at(message, at), repair: None }
        }
        _ => Planned { fault: Fault::at(plain(root), None), repair: None },
    }
}

fn unknown(field: &Column, valid: &[Column], start: Option<Location>, at: Option<usize>) -> Planned {
    let mut known: Vec<&str> = Vec::new();
    let alike = |a: &TableReference, b: &TableReference| a.to_string().to_lowercase() == b.to_string().to_lowercase();
    for column in valid {
        let mine = match (&field.relation, &column.relation) {
            (Some(wanted), Some(given)) => {
                alike(wanted, given) || wanted.table().to_lowercase() == given.table().to_lowercase()
            }
            _ => true,
        };
        if mine && !known.contains(&column.name.as_str()) {
            known.push(&column.name);
        }
    }
    let relation = field.relation.as_ref().and_then(|wanted| {
        let given = valid.iter().filter_map(|column| column.relation.as_ref()).find(|given| alike(wanted, given))?;
        (given != wanted).then(|| (wanted.to_vec(), given.to_vec()))
    });
    let found = names::resolve_among(&known, &field.name);
    if let Ok(index) = found
        && let Some(exact) = known.get(index)
        && (*exact != field.name || relation.is_some())
    {
        let repair = Repair { start, wrong: field.name.clone(), right: (*exact).to_owned(), relation };
        return Planned { fault: Fault::at(format!("no column `{}`", field.flat_name()), at), repair: Some(repair) };
    }
    let name = field.flat_name();
    let fault = match found {
        Err(names::NameFault::Unknown(Some(near))) => Fault {
            message: format!("no column `{name}`; did you mean `{near}`?"),
            character: at,
            nearest: Some((names::quoted(&field.name), names::quoted(&near))),
        },
        Err(names::NameFault::Ambiguous(several)) => {
            Fault::at(format!("`{name}` may mean {}: write one of them exactly", several.join(" or ")), at)
        }
        _ if known.is_empty() => Fault::at(format!("no column `{name}`: there are none here"), at),
        _ => {
            known.truncate(50);
            Fault::at(format!("no column `{name}`; there are {}. Text goes in single quotes", known.join(", ")), at)
        }
    };
    Planned { fault, repair: None }
}

/// A name to be written as the column has it.
struct Repair {
    start: Option<Location>,
    wrong: String,
    right: String,
    /// The names before it, as written and as they are.
    relation: Option<(Vec<String>, Vec<String>)>,
}

impl Repair {
    /// Whether there was something to write.
    fn apply(&self, syntax: &mut Query) -> bool {
        let mut writer = Writer { repair: self, done: false };
        let _never_broken: ControlFlow<()> = syntax.visit(&mut writer);
        writer.done
    }

    fn is_here(&self, ident: &Ident, first: &Ident) -> bool {
        let here = self.start.is_none_or(|start| ident.span.start == start || first.span.start == start);
        here && ident.value == self.wrong
    }

    fn write(&self, ident: &mut Ident) {
        ident.value.clone_from(&self.right);
        ident.quote_style = Some('"');
    }
}

struct Writer<'a> {
    repair: &'a Repair,
    done: bool,
}

impl VisitorMut for Writer<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) if self.repair.relation.is_none() && self.repair.is_here(ident, ident) => {
                self.repair.write(ident);
                self.done = true;
            }
            Expr::CompoundIdentifier(parts) => {
                let Some(first) = parts.first().cloned() else { return ControlFlow::Continue(()) };
                if let Some(last) = parts.iter().position(|ident| self.repair.is_here(ident, &first)) {
                    if let Some((wrong, right)) = &self.repair.relation {
                        let before = parts.iter_mut().take(last);
                        let before: Vec<&mut Ident> = before.collect();
                        if before.len() != wrong.len() || before.len() != right.len() {
                            return ControlFlow::Continue(());
                        }
                        for (ident, right) in before.into_iter().zip(right) {
                            ident.value.clone_from(right);
                            ident.quote_style = Some('"');
                        }
                    }
                    if let Some(ident) = parts.get_mut(last) {
                        self.repair.write(ident);
                        self.done = true;
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
