//! Arithmetic between values.
//!
//! Whole numbers stay whole as long as the result is one that fits; what overflows goes on as a float, which is the nearest there is.
//! Everything with a duration or a float is a float. Text, bools and lists have no arithmetic: the result is nothing, and matches nothing.

use crate::ast::BinaryOp;
use crate::value::Value;

/// `left op right`; [`Value::Nil`] when there is no such number. Division of whole numbers truncates, and by zero it is nothing; of floats
/// it gives an infinity.
pub(crate) fn apply(op: BinaryOp, left: &Value<'_>, right: &Value<'_>) -> Value<'static> {
    if let (Value::Int(l), Value::Int(r)) = (left, right) {
        return whole(op, *l, *r);
    }
    match (number(left), number(right)) {
        (Some(l), Some(r)) => float(op, l, r).map_or(Value::Nil, Value::Float),
        _ => Value::Nil,
    }
}

/// `-value`.
pub(crate) fn negate(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Int(v) => v.checked_neg().map_or(Value::Float(-(*v as f64)), Value::Int),
        Value::Duration(v) => v.checked_neg().map_or(Value::Float(-(*v as f64)), Value::Duration),
        Value::Float(v) => Value::Float(-v),
        _ => Value::Nil,
    }
}

/// A number as a float; of durations nanoseconds.
pub(super) fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(v) | Value::Duration(v) => Some(*v as f64),
        Value::Float(v) => Some(*v),
        _ => None,
    }
}

fn whole(op: BinaryOp, l: i64, r: i64) -> Value<'static> {
    let exact = match op {
        BinaryOp::Add => l.checked_add(r),
        BinaryOp::Subtract => l.checked_sub(r),
        BinaryOp::Multiply => l.checked_mul(r),
        BinaryOp::Divide | BinaryOp::Modulo if r == 0 => return Value::Nil,
        BinaryOp::Divide => l.checked_div(r),
        // The only one that overflows is MIN % -1, and it is 0.
        BinaryOp::Modulo => Some(l.checked_rem(r).unwrap_or(0)),
        BinaryOp::Power => u32::try_from(r).ok().and_then(|r| l.checked_pow(r)),
        _ => return Value::Nil,
    };
    match exact {
        Some(exact) => Value::Int(exact),
        None => match (op, float(op, l as f64, r as f64)) {
            // As Go converts it: 2 ^ -1 is 0.
            (BinaryOp::Power, Some(float)) if float.abs() < 9.2e18 => Value::Int(float as i64),
            (_, float) => float.map_or(Value::Nil, Value::Float),
        },
    }
}

fn float(op: BinaryOp, l: f64, r: f64) -> Option<f64> {
    match op {
        BinaryOp::Add => Some(l + r),
        BinaryOp::Subtract => Some(l - r),
        BinaryOp::Multiply => Some(l * r),
        BinaryOp::Divide => Some(l / r),
        BinaryOp::Modulo => Some(l % r),
        BinaryOp::Power => Some(l.powf(r)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{apply, negate};
    use crate::ast::BinaryOp::{Add, Divide, Modulo, Multiply, Power, Subtract};
    use crate::value::Value::{self, Duration, Float, Int, Nil};

    #[test]
    fn whole_numbers_stay_whole_while_they_fit() {
        assert_eq!(apply(Divide, &Int(7), &Int(2)), Int(3));
        assert_eq!(apply(Divide, &Int(-7), &Int(2)), Int(-3));
        assert_eq!(apply(Modulo, &Int(-7), &Int(2)), Int(-1));
        assert_eq!(apply(Power, &Int(2), &Int(10)), Int(1024));
        assert_eq!(apply(Power, &Int(2), &Int(-1)), Int(0));
        assert_eq!(apply(Multiply, &Int(3), &Duration(2)), Float(6.0));
        assert_eq!(apply(Add, &Int(3), &Float(0.5)), Float(3.5));
    }

    #[test]
    fn nothing_overflows_or_divides_by_zero() {
        assert_eq!(apply(Divide, &Int(1), &Int(0)), Nil);
        assert_eq!(apply(Modulo, &Int(1), &Int(0)), Nil);
        assert_eq!(apply(Divide, &Float(1.0), &Int(0)), Float(f64::INFINITY));
        assert_eq!(apply(Divide, &Int(i64::MIN), &Int(-1)), Float(-(i64::MIN as f64)));
        assert_eq!(apply(Modulo, &Int(i64::MIN), &Int(-1)), Int(0));
        assert_eq!(apply(Add, &Int(i64::MAX), &Int(1)), Float(i64::MAX as f64 + 1.0));
        assert_eq!(apply(Power, &Int(10), &Int(40)), Float(1e40));
        assert_eq!(negate(&Int(i64::MIN)), Float(-(i64::MIN as f64)));
    }

    #[test]
    fn text_has_no_arithmetic() {
        assert_eq!(apply(Subtract, &Value::text("1"), &Int(1)), Nil);
        assert_eq!(negate(&Value::Bool(true)), Nil);
        assert_eq!(apply(Add, &Nil, &Int(1)), Nil);
    }
}
