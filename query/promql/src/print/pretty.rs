//! The indented form: what is longer than a line is broken at its outermost parentheses or operator, and so on inwards.

use super::{Head, Operator, Suffix};
use crate::ast::{Expr, ExprKind};

/// Longest text, in bytes, that stays on one line.
const LINE_BYTES_MAX: usize = 100;

const INDENT: &str = "  ";

/// `expr` over several lines, as Prometheus' `format_query` writes it.
pub fn pretty(expr: &Expr) -> String {
    at_level(expr, 0)
}

/// `expr` with `level` indents before each of its lines.
fn at_level(expr: &Expr, level: usize) -> String {
    let indent = INDENT.repeat(level);
    let line = expr.to_string();
    // a subquery that fits is not indented: so does Prometheus
    if line.len() <= LINE_BYTES_MAX {
        return if matches!(expr.kind, ExprKind::Subquery(_)) { line } else { indent + &line };
    }
    let below = |inner: &Expr| at_level(inner, level + 1);
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => indent + &line,
        ExprKind::Aggregate(aggregate) => {
            let param = aggregate.param.as_ref().map_or_else(String::new, |p| below(p) + ",\n");
            format!("{indent}{}(\n{param}{}\n{indent})", Head(aggregate), below(&aggregate.expr))
        }
        ExprKind::Binary(binary) => {
            format!("{}\n{indent}{}\n{}", below(&binary.lhs), Operator(binary), below(&binary.rhs))
        }
        ExprKind::Call(call) => {
            let args: Vec<String> = call.args.iter().map(below).collect();
            format!("{indent}{}(\n{}\n{indent})", call.function.signature().name, args.join(",\n"))
        }
        ExprKind::Paren(inner) => format!("{indent}(\n{}\n{indent})", below(inner)),
        ExprKind::Subquery(subquery) => format!("{}{}", at_level(&subquery.expr, level), Suffix(subquery)),
        ExprKind::Unary(unary) => {
            let sign = if unary.negate { '-' } else { '+' };
            format!("{indent}{sign}{}", at_level(&unary.expr, level).trim())
        }
    }
}
