//! Functions that make more out of what they get: each says beforehand how much it may become, and is refused past that.
//!
//! Every value such a function gets is itself bounded, so no nesting of them grows beyond one step.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, BooleanArray},
    compute::{is_null, nullif, or},
    datatypes::{DataType, FieldRef},
};
use datafusion::{
    common::{DFSchema, DataFusionError, Result, ScalarValue},
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        expr::ScalarFunction,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};

/// Most bytes of one column of a batch.
const MOST: usize = 64 << 20;

/// The function behind `||`.
pub(super) const JOINED: &str = "||";

/// How large a result may be, by the sizes of the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// As all arguments together.
    Sum,
    /// The first argument with each part of it replaced by the last one.
    Replace,
    /// The first argument's values as text, with the second one between them.
    Between,
    /// The first argument in parts.
    Split,
    /// The first argument once for each group of the pattern.
    Groups,
    /// Each argument may be compared with each other one.
    Product,
}

/// The growing functions among those allowed.
const GROWING: [(&str, Growth); 11] = [
    ("concat", Growth::Sum),
    ("concat_ws", Growth::Sum),
    ("make_array", Growth::Sum),
    ("array_to_string", Growth::Between),
    ("string_to_array", Growth::Split),
    ("regexp_match", Growth::Groups),
    ("replace", Growth::Replace),
    ("regexp_replace", Growth::Replace),
    ("to_char", Growth::Sum),
    ("levenshtein", Growth::Product),
    ("translate", Growth::Sum),
];

/// The function in its bounded form, if it is one that grows.
pub(super) fn bounded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match GROWING.iter().find(|(name, _)| *name == function.name()) {
        Some((_, growth)) => Arc::new(ScalarUDF::from(Bounded { inner: function, growth: *growth, joins: false })),
        None => function,
    }
}

/// Whether a function of a plan needs no bound or has it.
pub(super) fn is_bounded(function: &ScalarUDF) -> bool {
    !GROWING.iter().any(|(name, _)| *name == function.name()) || function.inner().is::<Bounded>()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    /// `||`: null if any argument is.
    joins: bool,
}

impl Bounded {
    fn most(&self, args: &[ColumnarValue], rows: usize) -> usize {
        let sizes = || args.iter().map(|arg| size(arg, rows));
        match self.growth {
            Growth::Sum => sizes().fold(0, usize::saturating_add),
            Growth::Replace => {
                let by = args.iter().skip(1).map(|arg| each(arg, rows)).max().unwrap_or(0);
                sizes().next().unwrap_or(0).saturating_add(rows).saturating_mul(by.saturating_add(1))
            }
            Growth::Between => {
                let by = args.iter().skip(1).map(|arg| each(arg, rows)).fold(0, usize::saturating_add);
                let parts = args.first().map_or(0, |arg| parts(arg, rows)).saturating_mul(by.saturating_add(SHOWN));
                sizes().next().unwrap_or(0).saturating_add(parts)
            }
            Growth::Split => {
                let bytes = sizes().next().unwrap_or(0);
                let parts = match args.get(1) {
                    Some(ColumnarValue::Scalar(by)) => args.first().map_or(0, |text| split(text, rows, by)),
                    _ => bytes,
                };
                // Each part has an offset.
                bytes.saturating_add(parts.saturating_mul(size_of::<i32>()))
            }
            Growth::Groups => {
                let groups = match args.get(1) {
                    Some(ColumnarValue::Scalar(pattern)) => {
                        pattern.try_as_str().flatten().map_or(0, |pattern| pattern.matches('(').count())
                    }
                    Some(pattern) => size(pattern, rows),
                    None => 0,
                };
                sizes().next().unwrap_or(0).saturating_mul(groups.max(1))
            }
            Growth::Product => {
                let longest = args.iter().map(longest).fold(1, usize::saturating_mul);
                longest.saturating_mul(rows.min(64))
            }
        }
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        if self.joins { JOINED } else { self.inner.name() }
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right] if self.joins => Ok(format!("{} || {}", left.schema_name(), right.schema_name())),
            _ => self.inner.schema_name(args),
        }
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        Ok(if self.joins { Arc::new(field.as_ref().clone().with_nullable(true)) } else { field })
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let most = self.most(&args.args, rows);
        if most > MOST {
            return Err(DataFusionError::Execution(format!(
                "{} may make {} MB out of {rows} rows, more than the {} MB it may",
                if self.joins { JOINED } else { self.inner.name() },
                most >> 20,
                MOST >> 20
            )));
        }
        if !self.joins {
            return self.inner.invoke_with_args(args);
        }
        let given = args.args.clone();
        let joined = self.inner.invoke_with_args(args)?;
        without_nulls(joined, &given, rows)
    }
}

/// Null where any argument is.
fn without_nulls(joined: ColumnarValue, given: &[ColumnarValue], rows: usize) -> Result<ColumnarValue> {
    let mut nulls: Option<BooleanArray> = None;
    for arg in given {
        match arg {
            ColumnarValue::Scalar(value) if value.is_null() => {
                return Ok(ColumnarValue::Scalar(ScalarValue::try_from(&joined.data_type())?));
            }
            ColumnarValue::Scalar(_) => {}
            ColumnarValue::Array(array) => {
                let own = is_null(array)?;
                nulls = Some(match nulls {
                    Some(before) => or(&before, &own)?,
                    None => own,
                });
            }
        }
    }
    match nulls {
        None => Ok(joined),
        Some(nulls) => Ok(ColumnarValue::Array(nullif(&joined.into_array(rows)?, &nulls)?)),
    }
}

/// Bytes a number or a time takes as text, at most.
const SHOWN: usize = 48;

/// Bytes of the longest value of an argument, about.
fn each(arg: &ColumnarValue, rows: usize) -> usize {
    longest(arg).max(size(arg, rows).div_ceil(rows.max(1)))
}

/// Values inside of an argument's lists, however deep.
fn parts(arg: &ColumnarValue, rows: usize) -> usize {
    fn inside(array: &dyn Array) -> usize {
        match array.as_list_opt::<i32>() {
            Some(list) => match (list.offsets().first(), list.offsets().last()) {
                (Some(first), Some(last)) => {
                    let values = list.values().slice(*first as usize, (*last - *first) as usize);
                    inside(values.as_ref()).saturating_add(list.len())
                }
                _ => 0,
            },
            None => array.len(),
        }
    }
    match arg {
        ColumnarValue::Array(array) => inside(array.as_ref()),
        ColumnarValue::Scalar(value) => value.to_array().map_or(0, |array| inside(array.as_ref())).saturating_mul(rows),
    }
}

/// Parts that texts have between separators.
fn split(text: &ColumnarValue, rows: usize, by: &ScalarValue) -> usize {
    let by = by.try_as_str().flatten();
    let of = |text: Option<&str>| match (text, by) {
        (None, _) => 0,
        (Some(text), None | Some("")) => text.len(),
        (Some(text), Some(by)) => text.matches(by).count() + 1,
    };
    match text {
        ColumnarValue::Scalar(text) => of(text.try_as_str().flatten()).saturating_mul(rows),
        ColumnarValue::Array(texts) => match texts.data_type() {
            DataType::Utf8View => texts.as_string_view().iter().map(of).sum(),
            DataType::Utf8 => texts.as_string::<i32>().iter().map(of).sum(),
            DataType::LargeUtf8 => texts.as_string::<i64>().iter().map(of).sum(),
            _ => bytes(texts.as_ref()),
        },
    }
}

/// Bytes of an argument's values, a scalar's once for each row.
fn size(arg: &ColumnarValue, rows: usize) -> usize {
    match arg {
        ColumnarValue::Scalar(value) => value.size().saturating_mul(rows),
        ColumnarValue::Array(array) => bytes(array.as_ref()),
    }
}

fn bytes(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::Utf8View => lengths(array.as_string_view().views()).sum(),
        DataType::BinaryView => lengths(array.as_binary_view().views()).sum(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.offsets();
            match (offsets.first(), offsets.last()) {
                (Some(first), Some(last)) => {
                    bytes(list.values().slice(*first as usize, (*last - *first) as usize).as_ref())
                }
                _ => 0,
            }
        }
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

fn lengths(views: &[u128]) -> impl Iterator<Item = usize> {
    views.iter().map(|view| (*view & u128::from(u32::MAX)) as usize)
}

/// Bytes of the longest text of an argument.
fn longest(arg: &ColumnarValue) -> usize {
    let of = |array: &dyn Array| match array.data_type() {
        DataType::Utf8View => lengths(array.as_string_view().views()).max().unwrap_or(0),
        DataType::Utf8 => {
            let offsets = array.as_string::<i32>().offsets();
            offsets.iter().zip(offsets.iter().skip(1)).map(|(a, b)| (*b - *a) as usize).max().unwrap_or(0)
        }
        _ => bytes(array),
    };
    match arg {
        ColumnarValue::Scalar(value) => value.size(),
        ColumnarValue::Array(array) => of(array.as_ref()),
    }
}

/// Plans what is written without a function's name, `||` of text and `[1, 2]`, as a function that is bounded.
#[derive(Debug)]
pub(super) struct Unnamed {
    join: Arc<ScalarUDF>,
    list: Arc<ScalarUDF>,
}

impl Unnamed {
    pub(super) fn new(concat: Arc<ScalarUDF>, make_array: Arc<ScalarUDF>) -> Self {
        let join = Bounded { inner: concat, growth: Growth::Sum, joins: true };
        Self { join: Arc::new(ScalarUDF::from(join)), list: bounded(make_array) }
    }
}

impl ExprPlanner for Unnamed {
    fn plan_array_literal(&self, items: Vec<Expr>, _: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        let call = ScalarFunction::new_udf(Arc::clone(&self.list), items);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }

    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::StringConcat {
            return Ok(PlannerResult::Original(expr));
        }
        for side in [&expr.left, &expr.right] {
            if side.get_type(schema)?.is_nested() {
                return Err(DataFusionError::Plan("`||` joins text; lists are not joined here".to_owned()));
            }
        }
        let call = ScalarFunction::new_udf(Arc::clone(&self.join), vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}
