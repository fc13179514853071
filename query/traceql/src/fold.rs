//! Constructors of expressions that evaluate what is constant: `1 + 1` is `2` as soon as it is read.
//!
//! What cannot be evaluated stays as it was written: operands whose types do not fit are for validation to name, and what has no finite
//! value has no literal. So a folded tree that is printed and parsed is the same tree.

use crate::ast::{BinaryOp, FieldExpr, Scalar};
use crate::check::types;
use crate::eval;
use crate::value::Value;

/// `left op right`.
pub(crate) fn binary(op: BinaryOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    if let (FieldExpr::Literal(l), FieldExpr::Literal(r)) = (&left, &right)
        && let Some(value) = constant(op, l, r)
    {
        return FieldExpr::Literal(value);
    }
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

/// `-inner`.
pub(crate) fn negate(inner: FieldExpr) -> FieldExpr {
    match inner {
        FieldExpr::Literal(value) => match negated(&value) {
            Some(value) => FieldExpr::Literal(value),
            None => FieldExpr::Negate(Box::new(FieldExpr::Literal(value))),
        },
        inner => FieldExpr::Negate(Box::new(inner)),
    }
}

/// `!inner`.
pub(crate) fn not(inner: FieldExpr) -> FieldExpr {
    match inner {
        FieldExpr::Literal(Value::Bool(value)) => FieldExpr::Literal(Value::Bool(!value)),
        inner => FieldExpr::Not(Box::new(inner)),
    }
}

/// `left op right` of numbers, for an arithmetic `op`. Those with durations stay: beside series they are refused.
pub(crate) fn scalar_binary(op: BinaryOp, left: Scalar, right: Scalar) -> Scalar {
    if let (Scalar::Literal(l @ (Value::Int(_) | Value::Float(_))), Scalar::Literal(r @ (Value::Int(_) | Value::Float(_)))) =
        (&left, &right)
        && let Some(value) = finite(eval::arithmetic::apply(op, l, r))
    {
        return Scalar::Literal(value);
    }
    Scalar::Binary { op, left: Box::new(left), right: Box::new(right) }
}

/// `-inner` of a number.
pub(crate) fn scalar_negate(inner: Scalar) -> Scalar {
    match inner {
        Scalar::Literal(value) => match negated(&value) {
            Some(value) => Scalar::Literal(value),
            None => Scalar::Negate(Box::new(Scalar::Literal(value))),
        },
        // two signs are none: unlike an attribute, what is negated here is a number
        Scalar::Negate(inner) => *inner,
        inner => Scalar::Negate(Box::new(inner)),
    }
}

fn negated(value: &Value<'static>) -> Option<Value<'static>> {
    finite(eval::arithmetic::negate(value))
}

/// The number, if it is one that a literal can say.
fn finite(value: Value<'static>) -> Option<Value<'static>> {
    match value {
        Value::Int(_) | Value::Duration(_) => Some(value),
        Value::Float(number) if number.is_finite() => Some(value),
        _ => None,
    }
}

fn constant(op: BinaryOp, left: &Value<'static>, right: &Value<'static>) -> Option<Value<'static>> {
    types::binary(op, types::of_literal(left), types::of_literal(right)).ok()?;
    let holds = match (op, left, right) {
        (BinaryOp::And, Value::Bool(l), Value::Bool(r)) => *l && *r,
        (BinaryOp::Or, Value::Bool(l), Value::Bool(r)) => *l || *r,
        // nothing compares with nothing; with a literal it is not there, as an attribute that is not would be
        (BinaryOp::Equal, Value::Nil, _) | (BinaryOp::Equal, _, Value::Nil) => false,
        (BinaryOp::NotEqual, Value::Nil, Value::Nil) => false,
        (BinaryOp::NotEqual, Value::Nil, _) | (BinaryOp::NotEqual, _, Value::Nil) => true,
        (BinaryOp::Match | BinaryOp::NotMatch, ..) => return None,
        _ => match eval::comparison(op) {
            Some(comparison) => comparison.holds(left, right),
            None => return finite(eval::arithmetic::apply(op, left, right)),
        },
    };
    Some(Value::Bool(holds))
}
