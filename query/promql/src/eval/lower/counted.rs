//! Selectors whose histograms are only counted or summed, whatever happens to them on the way. Source: `detectHistogramStatsDecoding` of
//! Prometheus `promql/engine.go`.

use std::collections::HashSet;

use crate::ast::{BinaryOp, Expr, ExprKind, Function, Span};

/// Where the selectors stand that `histogram_count`, `histogram_sum` or `histogram_avg` is around, and nothing that needs buckets: no
/// subquery, quantile, fraction or trim.
pub(super) fn counted_selectors(expr: &Expr) -> HashSet<Span> {
    let mut found = HashSet::new();
    walk(expr, false, &mut found);
    found
}

fn walk(expr: &Expr, counted: bool, found: &mut HashSet<Span>) {
    let counted = match &expr.kind {
        ExprKind::Vector(_) => {
            found.extend(counted.then_some(expr.span));
            return;
        }
        ExprKind::Subquery(_) => return,
        ExprKind::Binary(binary) if matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) => return,
        ExprKind::Call(call) => match call.function {
            Function::HistogramQuantile | Function::HistogramQuantiles | Function::HistogramFraction => return,
            Function::HistogramCount | Function::HistogramSum | Function::HistogramAvg => true,
            _ => counted,
        },
        _ => counted,
    };
    expr.children().for_each(|child| walk(child, counted, found));
}
