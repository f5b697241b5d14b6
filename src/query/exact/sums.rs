//! Sums and means of numbers so wide that their sum may not fit: computed in a wider type, and given as their own if they do.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Decimal128Type},
};
use datafusion::{
    common::{DFSchema, DataFusionError, Result, ScalarValue},
    logical_expr::{Cast, ColumnarValue, Expr, ExprSchemable, WindowFunctionDefinition, expr::WindowFunction},
};

use super::call::{Does, call};

/// Digits beyond which as many numbers as there may be no longer fit into DataFusion's own sum of decimals.
const DIGITS: u8 = 28;

/// What a sum is given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sum {
    Signed,
    Unsigned,
    /// Of this precision and scale.
    Decimal(u8, i8),
}

impl Sum {
    pub(super) fn kind(self) -> DataType {
        match self {
            Self::Signed => DataType::Int64,
            Self::Unsigned => DataType::UInt64,
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
        }
    }

    /// What `kind`, the type of an aggregate over `of`, is to be narrowed to, and the type it is computed in.
    fn of(name: &str, of: &DataType, kind: &DataType) -> Option<(Self, DataType)> {
        match (name, of, kind) {
            ("sum", DataType::Int64, DataType::Int64) => Some((Self::Signed, DataType::Decimal128(38, 0))),
            ("sum", DataType::UInt64, DataType::UInt64) => Some((Self::Unsigned, DataType::Decimal128(38, 0))),
            ("sum" | "avg", DataType::Decimal128(precision, scale), DataType::Decimal128(given, to))
                if *precision > DIGITS =>
            {
                Some((Self::Decimal(*given, *to), DataType::Decimal256(*precision, *scale)))
            }
            _ => None,
        }
    }
}

/// An aggregate or window call over a wider type, and what it must be narrowed to; `None` where nothing can overflow.
pub(super) fn widened(expr: &Expr, schema: &DFSchema) -> Result<Option<(Expr, Sum)>> {
    let mut widened = expr.clone();
    let mut inner = &mut widened;
    while let Expr::Alias(alias) = inner {
        inner = &mut alias.expr;
    }
    let kind = inner.get_type(schema)?;
    let (name, args) = match inner {
        Expr::AggregateFunction(call) => (call.func.name().to_owned(), &mut call.params.args),
        Expr::WindowFunction(call) => match call.as_mut() {
            WindowFunction { fun: WindowFunctionDefinition::AggregateUDF(function), params } => {
                (function.name().to_owned(), &mut params.args)
            }
            WindowFunction { .. } => return Ok(None),
        },
        _ => return Ok(None),
    };
    let [arg] = args.as_mut_slice() else { return Ok(None) };
    if fits(arg, schema) {
        return Ok(None);
    }
    let Some((sum, wider)) = Sum::of(&name, &arg.get_type(schema)?, &kind) else { return Ok(None) };
    let bare = std::mem::take(arg);
    *arg = Expr::Cast(Cast::new(Box::new(bare), wider));
    Ok(Some((widened, sum)))
}

/// Whether numbers are so narrow that no number of rows that could be read makes too much.
fn fits(arg: &Expr, schema: &DFSchema) -> bool {
    let Expr::Cast(cast) = arg else { return false };
    let narrow = |kind| {
        matches!(
            kind,
            DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::UInt8
                | DataType::UInt16
                | DataType::UInt32
                | DataType::Boolean
        )
    };
    cast.expr.get_type(schema).is_ok_and(narrow)
}

/// A sum that was computed by [`widened`], as what it would have been.
pub(super) fn narrowed(sum: Sum, column: Expr) -> Expr {
    call(Does::Narrow(sum), vec![column])
}

/// Values of a wider type as those of a sum.
pub(super) fn narrow(value: &ColumnarValue, sum: Sum) -> Result<ColumnarValue> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let narrow = |values: &ArrayRef| -> Result<ArrayRef> {
        // The cast of a sum of integers takes a round way; most sums fit.
        cast_with_options(values, &sum.kind(), &options).map_err(|_| too_much(values, sum))
    };
    Ok(match value {
        ColumnarValue::Array(values) => ColumnarValue::Array(narrow(values)?),
        ColumnarValue::Scalar(scalar) => {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&narrow(&scalar.to_array()?)?, 0)?)
        }
    })
}

fn too_much(values: &ArrayRef, sum: Sum) -> DataFusionError {
    let longest = values.as_primitive_opt::<Decimal128Type>().and_then(|sums| {
        (0..sums.len()).filter(|at| sums.is_valid(*at)).map(|at| sums.value_as_string(at)).max_by_key(String::len)
    });
    let what = longest.map_or_else(|| "a sum".to_owned(), |sum| format!("the sum {sum}"));
    DataFusionError::Execution(match sum {
        Sum::Signed | Sum::Unsigned => format!(
            "{what} does not fit into bigint: cast what is summed, as in `sum(cast(x as decimal(38, 0)))` or `sum(cast(x as double))`"
        ),
        Sum::Decimal(precision, scale) => format!(
            "{what} does not fit into decimal({precision}, {scale}): cast what is summed, as in `sum(cast(x as double))`"
        ),
    })
}
