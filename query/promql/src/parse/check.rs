//! Whether types fit. Runs once the whole text was read; the order of the checks decides which mistake is named.

use super::{Result, fail, matches_nothing_empty};
use crate::ast::{AggregateOp, Binary, Call, Cardinality, Expr, ExprKind, Function, Span, Unary, ValueType, VectorSelector};
use crate::labels;
use gosyntax::quote::quote;

/// Checks `expr`, completes how its vectors match, and gives its type.
pub(super) fn check(text: &str, expr: &mut Expr) -> Result<ValueType> {
    let span = expr.span;
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Vector(selector) => check_selector(text, selector, span)?,
        ExprKind::Matrix(matrix) => {
            check(text, &mut matrix.selector)?;
        }
        ExprKind::Paren(inner) => {
            check(text, inner)?;
        }
        ExprKind::Subquery(subquery) => {
            let of = check(text, &mut subquery.expr)?;
            if of != ValueType::Vector {
                return fail(text, span, format!("subquery is only allowed on instant vector, got {} instead", of.as_str()));
            }
        }
        ExprKind::Aggregate(aggregate) => {
            expect(text, &mut aggregate.expr, ValueType::Vector, "aggregation expression")?;
            if let Some(param) = &mut aggregate.param {
                let wanted = if aggregate.op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
                expect(text, param, wanted, "aggregation parameter")?;
            }
        }
        ExprKind::Unary(unary) => check_unary(text, unary, span)?,
        ExprKind::Binary(binary) => check_binary(text, binary, span)?,
        ExprKind::Call(call) => check_call(text, call, span)?,
    }
    Ok(expr.value_type())
}

fn expect(text: &str, expr: &mut Expr, wanted: ValueType, place: &str) -> Result<()> {
    let got = check(text, expr)?;
    if got == wanted { Ok(()) } else { fail(text, expr.span, format!("expected type {wanted} in {place}, got {got}")) }
}

fn check_selector(text: &str, selector: &VectorSelector, span: Span) -> Result<()> {
    let Some(name) = &selector.name else {
        if matches_nothing_empty(&selector.matchers) {
            return Ok(());
        }
        return fail(text, span, "vector selector must contain at least one non-empty matcher");
    };
    let others = &selector.matchers[..selector.matchers.len() - 1];
    match others.iter().find(|m| m.name == labels::NAME) {
        Some(m) => fail(text, span, format!("metric name must not be set twice: {} or {}", quote(name), quote(&m.value))),
        None => Ok(()),
    }
}

fn check_unary(text: &str, unary: &mut Unary, span: Span) -> Result<()> {
    let of = check(text, &mut unary.expr)?;
    if matches!(of, ValueType::Scalar | ValueType::Vector) {
        return Ok(());
    }
    let got = quote(&of.to_string());
    fail(text, span, format!("unary expression only allowed on expressions of type scalar or instant vector, got {got}"))
}

fn check_binary(text: &str, binary: &mut Binary, span: Span) -> Result<()> {
    let left = check(text, &mut binary.lhs)?;
    let right = check(text, &mut binary.rhs)?;
    let op = binary.op;
    let between = |binary: &Binary| operator_span(text, binary.lhs.span, binary.rhs.span);
    if binary.return_bool && !op.is_comparison() {
        return fail(text, between(binary), "bool modifier can only be used on comparison operators");
    }
    if op.is_comparison() && !binary.return_bool && left == ValueType::Scalar && right == ValueType::Scalar {
        return fail(text, between(binary), "comparisons between scalars must use BOOL modifier");
    }
    let mut matching = binary.matching.take().unwrap_or_default();
    if op.is_set() && matching.cardinality == Cardinality::OneToOne {
        matching.cardinality = Cardinality::ManyToMany;
    }
    if matching.on
        && let Some(label) = matching.labels.iter().find(|l| matching.include.contains(l))
    {
        let message = format!("label {} must not occur in ON and GROUP clause at once", quote(label));
        return fail(text, between(binary), message);
    }
    for (of, side) in [(left, &binary.lhs), (right, &binary.rhs)] {
        if !matches!(of, ValueType::Scalar | ValueType::Vector) {
            return fail(text, side.span, "binary expression must contain only scalar and instant vector types");
        }
    }
    let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
    let complaint = if left == ValueType::Scalar || right == ValueType::Scalar {
        match () {
            () if !matching.labels.is_empty() => Some("vector matching only allowed between instant vectors".to_owned()),
            () if filled => Some("filling in missing series only allowed between instant vectors".to_owned()),
            () if op.is_set() => Some(format!("set operator {} not allowed in binary scalar expression", quote(op.as_str()))),
            () => return Ok(()),
        }
    } else if op.is_set() && matching.cardinality != Cardinality::ManyToMany {
        Some(format!("no grouping allowed for {} operation", quote(op.as_str())))
    } else if op.is_set() && filled {
        Some("filling in missing series not allowed for set operators".to_owned())
    } else {
        None
    };
    binary.matching = Some(matching);
    complaint.map_or(Ok(()), |message| fail(text, span, message))
}

/// The operator with its modifiers: what is between the sides, without spaces at its edges.
fn operator_span(text: &str, lhs: Span, rhs: Span) -> Span {
    let bytes = text.as_bytes();
    let is_space = |at: usize| bytes.get(at).is_some_and(|b| b" \t\n\r".contains(b));
    let (mut start, mut end) = (lhs.end, rhs.start.saturating_sub(1));
    while is_space(start) {
        start += 1;
    }
    while end > start && is_space(end) {
        end -= 1;
    }
    Span { start, end }
}

fn check_call(text: &str, call: &mut Call, span: Span) -> Result<()> {
    let signature = call.function.signature();
    let (name, wanted, got) = (quote(signature.name), signature.args.len(), call.args.len());
    let complaint = match signature.variadic {
        0 if got != wanted => Some(format!("expected {wanted} argument(s) in call to {name}, got {got}")),
        0 => None,
        _ if got + 1 < wanted => Some(format!("expected at least {} argument(s) in call to {name}, got {got}", wanted - 1)),
        more if more > 0 && got >= wanted + more as usize => {
            let most = wanted - 1 + more as usize;
            Some(format!("expected at most {most} argument(s) in call to {name}, got {got}"))
        }
        _ => None,
    };
    if let Some(message) = complaint {
        return fail(text, span, message);
    }
    let is_info = call.function == Function::Info;
    for (at, arg) in call.args.iter_mut().enumerate() {
        let wanted = signature.args[at.min(wanted - 1)];
        if is_info && at == 1 {
            check_info_matchers(text, arg, span)?;
            continue;
        }
        expect(text, arg, wanted, &format!("call to function {name}"))?;
    }
    Ok(())
}

/// The second argument of `info`: matchers in braces, which may be empty.
fn check_info_matchers(text: &str, arg: &Expr, call: Span) -> Result<()> {
    let got = arg.value_type();
    if got != ValueType::Vector {
        let wanted = ValueType::Vector;
        return fail(text, call, format!("expected type {wanted} in call to function \"info\", got {got}"));
    }
    match &arg.kind {
        ExprKind::Vector(selector) if selector.name.is_none() => Ok(()),
        ExprKind::Vector(_) => fail(text, arg.span, "expected label selectors only, got vector selector instead"),
        _ => fail(text, arg.span, "expected label selectors only"),
    }
}
