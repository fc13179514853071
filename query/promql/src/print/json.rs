//! The tree as JSON, as `/api/v1/parse_query` gives it.

use serde_json::{Value, json};

use super::decimal;
use crate::ast::{
    At, Binary, BinaryOp, Call, Cardinality, DurationExpr, DurationExprKind, DurationValue, Expr, ExprKind, Extension, Matcher,
    NumberLiteral, ValueType, VectorSelector,
};

/// `expr` as Prometheus' tree view has it. Lengths of time are milliseconds; a computed one is 0 and its expression stands beside it.
pub fn json(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number(number) => json!({"type": "numberLiteral", "val": decimal(number.value)}),
        ExprKind::String(text) => json!({"type": "stringLiteral", "val": text}),
        ExprKind::Vector(vector) => selector("vectorSelector", vector, None),
        ExprKind::Matrix(matrix) => match &matrix.selector.kind {
            ExprKind::Vector(vector) => selector("matrixSelector", vector, Some(&matrix.range)),
            _ => json(&matrix.selector),
        },
        ExprKind::Subquery(subquery) => json!({
            "type": "subquery",
            "expr": json(&subquery.expr),
            "range": fixed(&subquery.range), "rangeExpr": computed(&subquery.range),
            "offset": fixed(&subquery.offset), "offsetExpr": computed(&subquery.offset),
            "step": subquery.step.as_ref().map_or(0, fixed), "stepExpr": subquery.step.as_ref().map_or(Value::Null, computed),
            "timestamp": timestamp(subquery.at), "startOrEnd": start_or_end(subquery.at),
        }),
        ExprKind::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.as_str(),
            "expr": json(&aggregate.expr),
            "param": aggregate.param.as_ref().map(|param| json(param)),
            "grouping": aggregate.grouping,
            "without": aggregate.without,
        }),
        ExprKind::Binary(binary) => binary_json(binary),
        ExprKind::Unary(unary) => {
            json!({"type": "unaryExpr", "op": if unary.negate { "-" } else { "+" }, "expr": json(&unary.expr)})
        }
        ExprKind::Paren(inner) => json!({"type": "parenExpr", "expr": json(inner)}),
        ExprKind::Call(call) => call_json(call),
    }
}

fn selector(kind: &str, selector: &VectorSelector, range: Option<&DurationValue>) -> Value {
    let mut value = json!({
        "type": kind,
        "name": selector.name.as_deref().unwrap_or(""),
        "offset": fixed(&selector.offset), "offsetExpr": computed(&selector.offset),
        "matchers": selector.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "timestamp": timestamp(selector.at), "startOrEnd": start_or_end(selector.at),
        "anchored": selector.extension == Extension::Anchored,
        "smoothed": selector.extension == Extension::Smoothed,
    });
    if let Some(range) = range {
        value["range"] = json!(fixed(range));
        value["rangeExpr"] = computed(range);
    }
    value
}

fn matcher(matcher: &Matcher) -> Value {
    json!({"name": matcher.name, "value": matcher.value, "type": matcher.op.as_str()})
}

fn binary_json(binary: &Binary) -> Value {
    let matching = binary.matching.as_ref().map(|matching| {
        let card = match matching.cardinality {
            Cardinality::OneToOne => "one-to-one",
            Cardinality::ManyToOne => "many-to-one",
            Cardinality::OneToMany => "one-to-many",
            Cardinality::ManyToMany => "many-to-many",
        };
        json!({
            "card": card,
            "labels": matching.labels,
            "on": matching.on,
            "include": matching.include,
            "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
        })
    });
    json!({
        "type": "binaryExpr",
        "op": binary.op.as_str(),
        "lhs": json(&binary.lhs),
        "rhs": json(&binary.rhs),
        "matching": matching,
        "bool": binary.return_bool,
    })
}

fn call_json(call: &Call) -> Value {
    let signature = call.function.signature();
    let arg_types: Vec<&str> = signature.args.iter().copied().map(ValueType::as_str).collect();
    json!({
        "type": "call",
        "func": {
            "name": signature.name,
            "argTypes": arg_types,
            "variadic": signature.variadic,
            "returnType": signature.returns.as_str(),
        },
        "args": call.args.iter().map(json).collect::<Vec<_>>(),
    })
}

const fn fixed(value: &DurationValue) -> i64 {
    match value {
        DurationValue::Fixed(ms) => *ms,
        DurationValue::Computed(_) => 0,
    }
}

fn computed(value: &DurationValue) -> Value {
    match value {
        DurationValue::Fixed(_) => Value::Null,
        DurationValue::Computed(expr) => duration(expr),
    }
}

fn duration(expr: &DurationExpr) -> Value {
    let node = |op: &str, lhs: Value, rhs: Value| json!({"type": "durationExpr", "op": op, "lhs": lhs, "rhs": rhs, "wrapped": expr.wrapped});
    match &expr.kind {
        // parentheses are kept by a sign that changes nothing
        DurationExprKind::Number(number) if expr.wrapped => node("+", Value::Null, literal(*number)),
        DurationExprKind::Number(number) => literal(*number),
        DurationExprKind::Step => node("step", Value::Null, Value::Null),
        DurationExprKind::Range => node("range", Value::Null, Value::Null),
        DurationExprKind::Min(a, b) => node("min_of", duration(a), duration(b)),
        DurationExprKind::Max(a, b) => node("max_of", duration(a), duration(b)),
        DurationExprKind::Sign(negate, inner) => {
            let op = if *negate { BinaryOp::Sub } else { BinaryOp::Add };
            node(op.as_str(), Value::Null, duration(inner))
        }
        DurationExprKind::Binary(op, a, b) => node(op.as_str(), duration(a), duration(b)),
    }
}

fn literal(number: NumberLiteral) -> Value {
    json!({"type": "numberLiteral", "val": decimal(number.value), "duration": number.duration})
}

fn timestamp(at: Option<At>) -> Value {
    if let Some(At::Time(ms)) = at { json!(ms) } else { Value::Null }
}

fn start_or_end(at: Option<At>) -> Value {
    match at {
        Some(At::Start) => json!("start"),
        Some(At::End) => json!("end"),
        Some(At::Time(_)) | None => Value::Null,
    }
}
