//! Which parts of a query are the same at each step: they are evaluated once. Source: `preprocessExprHelper` of Prometheus
//! `promql/engine.go`, whose parameter of an aggregation does not count either.

use crate::ast::{Expr, ExprKind, Function};

/// Whether a function's result changes with the time of evaluation though its arguments do not.
fn depends_on_time(function: Function) -> bool {
    matches!(
        function,
        Function::DaysInMonth
            | Function::DayOfMonth
            | Function::DayOfWeek
            | Function::DayOfYear
            | Function::Hour
            | Function::Minute
            | Function::Month
            | Function::Year
            | Function::PredictLinear
            | Function::Time
            | Function::Timestamp
    )
}

/// An expression without the parentheses around it.
pub(super) fn bare(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Paren(inner) => bare(inner),
        _ => expr,
    }
}

/// Whether `expr` is the same at each step.
pub(super) fn is_invariant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::Vector(selector) => selector.at.is_some(),
        ExprKind::Matrix(matrix) => is_invariant(&matrix.selector),
        ExprKind::Subquery(subquery) => subquery.at.is_some(),
        ExprKind::Aggregate(aggregate) => is_invariant(&aggregate.expr),
        ExprKind::Binary(binary) => is_invariant(&binary.lhs) && is_invariant(&binary.rhs),
        ExprKind::Unary(unary) => is_invariant(&unary.expr),
        ExprKind::Paren(inner) => is_invariant(inner),
        ExprKind::Call(call) => {
            let arguments = call.args.iter().all(is_invariant);
            // The timestamp of a fixed sample is fixed; of anything else it is the time of the step.
            let fixed_samples = || call.args.iter().all(|a| matches!(bare(a).kind, ExprKind::Vector(_)));
            arguments && (!depends_on_time(call.function) || (call.function == Function::Timestamp && fixed_samples()))
        }
    }
}

/// Whether evaluating `expr` once and repeating it saves anything, and can be done: it is a vector or scalar that is computed.
pub(super) fn is_worth_repeating(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Matrix(_) | ExprKind::Subquery(_) => false,
        ExprKind::Paren(inner) => is_worth_repeating(inner),
        _ => is_invariant(expr),
    }
}
