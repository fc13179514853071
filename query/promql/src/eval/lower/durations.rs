//! Durations that depend on the query: `step()`, `range()` and arithmetic. Source: Prometheus `promql/durations.go`.

use super::QueryOptions;
use crate::ast::{BinaryOp, DurationExpr, DurationExprKind, DurationValue};
use crate::eval::EvalError;

/// Milliseconds of an offset: any sign.
pub(super) fn offset_ms(value: &DurationValue, options: &QueryOptions) -> Result<i64, EvalError> {
    match value {
        DurationValue::Fixed(ms) => Ok(*ms),
        DurationValue::Computed(expr) => milliseconds(expr, options),
    }
}

/// Milliseconds of a range or step: more than nothing.
pub(super) fn length_ms(value: &DurationValue, options: &QueryOptions) -> Result<i64, EvalError> {
    match value {
        DurationValue::Fixed(ms) => Ok(*ms),
        DurationValue::Computed(expr) => match milliseconds(expr, options)? {
            _ if seconds(expr, options)? <= 0.0 => Err(at(expr, "duration must be greater than 0")),
            ms => Ok(ms),
        },
    }
}

fn milliseconds(expr: &DurationExpr, options: &QueryOptions) -> Result<i64, EvalError> {
    let ms = seconds(expr, options)? * 1000.0;
    // Beyond this a time in milliseconds could overflow when durations are added to it.
    let fits = ms.abs() < (i64::MAX / 1024) as f64;
    if fits { Ok(ms as i64) } else { Err(at(expr, "duration is out of range")) }
}

fn seconds(expr: &DurationExpr, options: &QueryOptions) -> Result<f64, EvalError> {
    let of = |e: &DurationExpr| seconds(e, options);
    Ok(match &expr.kind {
        DurationExprKind::Number(literal) => literal.value,
        DurationExprKind::Step => options.step_seconds(),
        DurationExprKind::Range => options.range_seconds(),
        DurationExprKind::Min(a, b) => go_min(of(a)?, of(b)?),
        DurationExprKind::Max(a, b) => -go_min(-of(a)?, -of(b)?),
        DurationExprKind::Sign(negative, inner) => of(inner)? * if *negative { -1.0 } else { 1.0 },
        DurationExprKind::Binary(op, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            match op {
                BinaryOp::Add => a + b,
                BinaryOp::Sub => a - b,
                BinaryOp::Mul => a * b,
                BinaryOp::Div if b == 0.0 => return Err(at(expr, "division by zero")),
                BinaryOp::Div => a / b,
                BinaryOp::Mod if b == 0.0 => return Err(at(expr, "modulo by zero")),
                BinaryOp::Mod => a % b,
                BinaryOp::Pow => a.powf(b),
                _ => return Err(at(expr, "unexpected operator in a duration")),
            }
        }
    })
}

/// The smaller one; NaN when one is.
fn go_min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

fn at(expr: &DurationExpr, text: &str) -> EvalError {
    EvalError::Invalid(format!("{}:{}: {text}", expr.span.start, expr.span.end))
}
