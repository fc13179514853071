//! Operators between two numbers. Loki: `pkg/logql/evaluator.go`, `syntax.MergeBinOp`.

use crate::ast::BinaryOp;

/// `l op r` of an arithmetic operator, or whether the comparison holds; set operators have no numbers.
///
/// Division and modulo by zero are not a number, which Prometheus has infinities for.
pub(crate) fn compare_or_compute(op: BinaryOp, l: f64, r: f64) -> Computed {
    match op {
        BinaryOp::Add => Computed::Value(l + r),
        BinaryOp::Sub => Computed::Value(l - r),
        BinaryOp::Mul => Computed::Value(l * r),
        BinaryOp::Div if r == 0.0 => Computed::Value(f64::NAN),
        BinaryOp::Div => Computed::Value(l / r),
        BinaryOp::Mod if r == 0.0 => Computed::Value(f64::NAN),
        BinaryOp::Mod => Computed::Value(l % r),
        BinaryOp::Pow => Computed::Value(l.powf(r)),
        BinaryOp::Equal => Computed::Holds(l == r),
        BinaryOp::NotEqual => Computed::Holds(l != r),
        BinaryOp::Greater => Computed::Holds(l > r),
        BinaryOp::GreaterEqual => Computed::Holds(l >= r),
        BinaryOp::Less => Computed::Holds(l < r),
        BinaryOp::LessEqual => Computed::Holds(l <= r),
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => Computed::Value(f64::NAN),
    }
}

/// What an operator makes of two numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Computed {
    /// Of arithmetic.
    Value(f64),
    /// Of a comparison.
    Holds(bool),
}

/// Two literals in one: a comparison is 0 or 1, with and without `bool`.
pub(crate) fn of_literals(op: BinaryOp, l: f64, r: f64) -> f64 {
    match compare_or_compute(op, l, r) {
        Computed::Value(value) => value,
        Computed::Holds(holds) => f64::from(u8::from(holds)),
    }
}
