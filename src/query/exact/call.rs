//! Functions that plans are given here and no text can name.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::{
    common::{DataFusionError, Result},
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::ScalarFunction,
    },
};

use super::{
    arithmetic::Operation,
    floats,
    sums::{self, Sum},
};

/// What such a function does. Its type is its first argument's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Does {
    /// Integer arithmetic that does not wrap.
    Checked(Operation),
    /// `0.0` for `-0.0`, one NaN for all.
    OneZero,
    /// Nothing: tells apart what the optimizer would join. Never evaluated.
    Apart(u32),
    /// A sum as the type of its numbers.
    Narrow(Sum),
}

/// A call of one.
pub(super) fn call(does: Does, args: Vec<Expr>) -> Expr {
    let function = Function { does, signature: Signature::any(args.len(), Volatility::Immutable) };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(function)), args))
}

/// What a call does, if it is one of ours.
pub(super) fn does(expr: &Expr) -> Option<(Does, &[Expr])> {
    let Expr::ScalarFunction(call) = expr else { return None };
    Some((call.func.inner().downcast_ref::<Function>()?.does, &call.args))
}

/// Whether a function is one of ours.
pub(in crate::query) fn is_ours(function: &ScalarUDF) -> bool {
    function.inner().is::<Function>()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    does: Does,
    signature: Signature,
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        match self.does {
            Does::Checked(operation) => operation.name(),
            Does::OneZero => "one_zero",
            Does::Apart(_) => "apart",
            Does::Narrow(_) => "narrow",
        }
    }

    /// Columns are called by what was written, not by what it became.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match (self.does, args) {
            (Does::Checked(operation), args) => Ok(operation.written(args)),
            (_, [inner]) => Ok(inner.schema_name().to_string()),
            _ => Err(wrong()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.does, types) {
            (Does::Narrow(sum), _) => Ok(sum.kind()),
            (_, [first, ..]) => Ok(first.clone()),
            _ => Err(wrong()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (self.does, args.args.as_slice()) {
            (Does::Checked(operation), values) => operation.compute(values),
            (Does::OneZero, [value]) => floats::canonical(value),
            (Does::Narrow(sum), [value]) => sums::narrow(value, sum),
            _ => Err(wrong()),
        }
    }
}

fn wrong() -> DataFusionError {
    DataFusionError::Internal("a function of a plan was given what it does not take".to_owned())
}
