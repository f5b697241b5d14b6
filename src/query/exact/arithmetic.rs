//! Integer arithmetic that says when a result does not fit.

use arrow::{
    array::{ArrayRef, Datum},
    compute::kernels::numeric::{add, mul, neg, sub},
    datatypes::DataType,
    error::ArrowError,
};
use datafusion::{
    common::{DFSchema, DataFusionError, Result, ScalarValue},
    logical_expr::{BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator},
};

use super::call::{Does, call};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Negate,
}

/// Integer `+`, `-` and `*` as calls that do not wrap; anything else as it is.
pub(super) fn checked(part: Expr, schema: &DFSchema) -> Expr {
    let integer = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| kind.is_integer());
    match part {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let operation = match op {
                Operator::Plus => Operation::Add,
                Operator::Minus => Operation::Subtract,
                Operator::Multiply => Operation::Multiply,
                _ => return Expr::BinaryExpr(BinaryExpr { left, op, right }),
            };
            if integer(&left) && integer(&right) {
                return call(Does::Checked(operation), vec![*left, *right]);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        Expr::Negative(inner) if integer(&inner) => call(Does::Checked(Operation::Negate), vec![*inner]),
        other => other,
    }
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Negate => "negate",
        }
    }

    /// As the expression was called before.
    pub(super) fn written(self, args: &[Expr]) -> String {
        match (self, args) {
            (Self::Negate, [inner]) => format!("(- {})", inner.schema_name()),
            (_, [left, right]) => format!("{} {} {}", left.schema_name(), self.name(), right.schema_name()),
            _ => self.name().to_owned(),
        }
    }

    pub(super) fn compute(self, values: &[ColumnarValue]) -> Result<ColumnarValue> {
        let kind = values.first().map_or(DataType::Null, ColumnarValue::data_type);
        let all_scalar = values.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let computed = match (self, values) {
            (Self::Negate, [value]) => {
                let array = match value {
                    ColumnarValue::Array(array) => ArrayRef::clone(array),
                    ColumnarValue::Scalar(scalar) => scalar.to_array()?,
                };
                neg(array.as_ref())
            }
            (_, [left, right]) => {
                let (left, right) = (datum(left)?, datum(right)?);
                match self {
                    Self::Add => add(left.as_ref(), right.as_ref()),
                    Self::Subtract => sub(left.as_ref(), right.as_ref()),
                    _ => mul(left.as_ref(), right.as_ref()),
                }
            }
            _ => return Err(DataFusionError::Internal("arithmetic of another number of values".to_owned())),
        };
        let array = computed.map_err(|error| said(error, &kind))?;
        Ok(match all_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
            false => ColumnarValue::Array(array),
        })
    }
}

fn datum(value: &ColumnarValue) -> Result<Box<dyn Datum>> {
    Ok(match value {
        ColumnarValue::Array(array) => Box::new(ArrayRef::clone(array)),
        ColumnarValue::Scalar(scalar) => Box::new(scalar.to_scalar()?),
    })
}

/// An overflow with the way around it.
fn said(error: ArrowError, kind: &DataType) -> DataFusionError {
    match error {
        ArrowError::ArithmeticOverflow(text) => {
            let what = text.rsplit_once(": ").map_or(text.as_str(), |(_, what)| what);
            let (name, wider) = match kind {
                DataType::Int64 | DataType::UInt64 => ("bigint", "decimal(38, 0)"),
                _ => ("integer", "bigint"),
            };
            DataFusionError::Execution(format!(
                "{what} does not fit into {name}: cast one side first, as in `cast(x as {wider})` or `cast(x as double)`"
            ))
        }
        other => DataFusionError::from(other),
    }
}
