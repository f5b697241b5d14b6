//! One zero and one NaN. Arrow compares floating-point numbers by their bits, which tell `-0.0` from `0.0` and one NaN from
//! another (a division of the machine's gives a negative one, below every number); SQL does not. So values are made alike
//! where they come from: where a column is read, and where one is computed.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, GenericListArray, MapArray, OffsetSizeTrait, StructArray},
    datatypes::{DataType, Float32Type, Float64Type},
};
use datafusion::{
    common::{DFSchema, Result, ScalarValue, tree_node::Transformed},
    logical_expr::{BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, Operator, TryCast},
};

use super::call::{Does, call, does, is_ours};

/// Whether values of this type have floating-point numbers in them.
pub(super) fn has_floats(kind: &DataType) -> bool {
    match kind {
        DataType::Float32 | DataType::Float64 => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => has_floats(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        _ => false,
    }
}

/// The expression with its zeros and NaNs made alike.
pub(super) fn one_zero(expr: Expr) -> Expr {
    call(Does::OneZero, vec![expr])
}

/// The same where it computes floating-point numbers, and not where it only hands them on.
pub(super) fn computed(part: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let floats = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| has_floats(&kind));
    match part {
        Expr::Literal(ScalarValue::Float64(Some(value)), metadata) => {
            Transformed::yes(Expr::Literal(ScalarValue::Float64(Some(double(value))), metadata))
        }
        Expr::Literal(ScalarValue::Float32(Some(value)), metadata) => {
            Transformed::yes(Expr::Literal(ScalarValue::Float32(Some(single(value))), metadata))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let arithmetic = matches!(
                op,
                Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo
            );
            if !(arithmetic && floats(&left)) {
                return Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }));
            }
            // Between steps of arithmetic it makes no difference but for the sign of an infinity.
            let (left, right) = match op {
                Operator::Divide | Operator::Modulo => (left, right),
                _ => (Box::new(bare(*left)), Box::new(bare(*right))),
            };
            Transformed::yes(one_zero(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::Cast(Cast { ref expr, .. }) | Expr::TryCast(TryCast { ref expr, .. }) => {
            match floats(&part) && !floats(expr) {
                true => Transformed::yes(one_zero(part)),
                false => Transformed::no(part),
            }
        }
        Expr::ScalarFunction(ref function) if !is_ours(&function.func) && floats(&part) => {
            Transformed::yes(one_zero(part))
        }
        Expr::Negative(_) if floats(&part) => Transformed::yes(one_zero(part)),
        other => Transformed::no(other),
    }
}

/// Arithmetic without what was put around it.
fn bare(expr: Expr) -> Expr {
    match does(&expr) {
        Some((Does::OneZero, [inner @ Expr::BinaryExpr(_)])) => inner.clone(),
        _ => expr,
    }
}

/// Values with their zeros and NaNs made alike.
pub(super) fn canonical(value: &ColumnarValue) -> Result<ColumnarValue> {
    Ok(match value {
        ColumnarValue::Array(values) => ColumnarValue::Array(alike(values)?),
        ColumnarValue::Scalar(scalar) => {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&alike(&scalar.to_array()?)?, 0)?)
        }
    })
}

fn double(x: f64) -> f64 {
    if x.is_nan() { f64::NAN } else { x + 0.0 }
}

fn single(x: f32) -> f32 {
    if x.is_nan() { f32::NAN } else { x + 0.0 }
}

fn alike(values: &ArrayRef) -> Result<ArrayRef> {
    Ok(match values.data_type() {
        kind if !has_floats(kind) => Arc::clone(values),
        DataType::Float32 => Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(single)),
        DataType::Float64 => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(double)),
        DataType::List(_) => list(values.as_list::<i32>())?,
        DataType::LargeList(_) => list(values.as_list::<i64>())?,
        DataType::Struct(_) => Arc::new(fields(values.as_struct())?),
        DataType::Map(..) => {
            let map = values.as_map();
            let (field, offsets, entries, nulls, ordered) = map.clone().into_parts();
            Arc::new(MapArray::try_new(field, offsets, fields(&entries)?, nulls, ordered)?)
        }
        _ => Arc::clone(values),
    })
}

fn list<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> Result<ArrayRef> {
    let (field, offsets, values, nulls) = list.clone().into_parts();
    Ok(Arc::new(GenericListArray::try_new(field, offsets, alike(&values)?, nulls)?))
}

fn fields(values: &StructArray) -> Result<StructArray> {
    let rows = values.len();
    let (fields, columns, nulls) = values.clone().into_parts();
    let columns = columns.iter().map(alike).collect::<Result<Vec<_>>>()?;
    if columns.is_empty() {
        return Ok(StructArray::new_empty_fields(rows, nulls));
    }
    Ok(StructArray::try_new(fields, columns, nulls)?)
}
