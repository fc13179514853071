//! The meaning of TraceQL once more, as plainly as it can be said: no slots, no programs, no intervals. What compiled queries are held against.

use traceql::ast::{BinaryOp, Field, FieldExpr, FieldName, Form, Intrinsic, Relation, Scope, SpansetOp, Spansets};
use traceql::memory::{Attributes, Span};
use traceql::value::Value;

/// Where an expression is evaluated: a span, and perhaps one of its events and links.
#[derive(Clone, Copy)]
struct At<'a> {
    spans: &'a [Span],
    row: usize,
    event: Option<usize>,
    link: Option<usize>,
}

/// Whether a span matches a filter.
pub(crate) fn matches(expr: &FieldExpr, spans: &[Span], row: usize) -> bool {
    holds(expr, At { spans, row, event: None, link: None })
}

/// The spans that an expression selects, in the order of their rows.
pub(crate) fn select(spansets: &Spansets, spans: &[Span]) -> Vec<usize> {
    match spansets {
        Spansets::Filter(expr) => (0..spans.len()).filter(|row| matches(expr, spans, *row)).collect(),
        Spansets::Pipeline(_) => unreachable!("the tests make none"),
        Spansets::Binary { op, left, right } => {
            let side = |of: &Spansets| match (op, of) {
                (SpansetOp::Structural(..), Spansets::Filter(FieldExpr::Literal(Value::Bool(true)))) => {
                    (0..spans.len()).filter(|row| is_connected(spans, *row)).collect()
                }
                _ => select(of, spans),
            };
            let (left, right) = (side(left), side(right));
            let both = |l: &[usize], r: &[usize]| (0..spans.len()).filter(|row| l.contains(row) || r.contains(row)).collect();
            match op {
                SpansetOp::And if left.is_empty() || right.is_empty() => Vec::new(),
                SpansetOp::And | SpansetOp::Union => both(&left, &right),
                SpansetOp::Structural(relation, form) => {
                    let stands = |from: usize, to: usize| stands(*relation, spans, from, to);
                    let related = |r: &usize| left.iter().any(|l| stands(*l, *r));
                    let relates = |l: &usize| right.iter().any(|r| stands(*l, *r));
                    let kept: Vec<usize> = right.iter().copied().filter(related).collect();
                    match form {
                        Form::Plain => kept,
                        Form::Not => right.iter().copied().filter(|r| !related(r)).collect(),
                        Form::Union => both(&left.iter().copied().filter(relates).collect::<Vec<_>>(), &kept),
                    }
                }
            }
        }
    }
}

/// Whether `to` is the child (and so on) of `from`.
fn stands(relation: Relation, spans: &[Span], from: usize, to: usize) -> bool {
    let ancestors = |of: usize| std::iter::successors(parent(spans, of), |row| parent(spans, *row)).take(spans.len());
    is_connected(spans, from)
        && is_connected(spans, to)
        && match relation {
            Relation::Child => parent(spans, to) == Some(from),
            Relation::Parent => parent(spans, from) == Some(to),
            Relation::Descendant => ancestors(to).any(|row| row == from),
            Relation::Ancestor => ancestors(from).any(|row| row == to),
            Relation::Sibling => from != to && parent(spans, from) == parent(spans, to),
        }
}

fn parent(spans: &[Span], row: usize) -> Option<usize> {
    let id = &spans[row].parent_id;
    spans.iter().position(|span| !id.is_empty() && span.id == *id)
}

fn is_connected(spans: &[Span], mut row: usize) -> bool {
    for _ in 0..=spans.len() {
        match parent(spans, row) {
            Some(above) => row = above,
            None => return spans[row].parent_id.is_empty(),
        }
    }
    false
}

/// The bool of an expression: `None` when it is none.
fn truth(expr: &FieldExpr, at: At<'_>) -> Option<bool> {
    match value(expr, at) {
        Value::Bool(bool) => Some(bool),
        _ => None,
    }
}

fn holds(expr: &FieldExpr, at: At<'_>) -> bool {
    match expr {
        FieldExpr::Binary { op: BinaryOp::And, .. } => {
            let mut parts = Vec::new();
            flatten(expr, BinaryOp::And, &mut parts);
            let (of_items, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| {
                let names = (at.event.is_none() && names(part, true)) || (at.link.is_none() && names(part, false));
                names && !matches!(part, FieldExpr::Not(_))
            });
            let grouped = for_some_item(&of_items, at, |at| of_items.iter().all(|part| is_part(part, at)));
            others.iter().all(|part| is_part(part, at)) && (of_items.is_empty() || grouped)
        }
        FieldExpr::Binary { op: BinaryOp::Or, left, right } => is_part(left, at) || is_part(right, at),
        FieldExpr::Not(inner) if is_bool(inner) => !holds(inner, at),
        FieldExpr::Not(inner) => {
            let mut innermost = (&**inner, false);
            while let (FieldExpr::Not(deeper), wanted) = innermost {
                innermost = (deeper, !wanted);
            }
            let (inner, wanted) = innermost;
            for_some_item(&[inner], at, |at| truth(inner, at) == Some(wanted))
        }
        other => for_some_item(&[other], at, |at| truth(other, at) == Some(true)),
    }
}

/// A field beside `&&` or `||` is true when it is a list with a true element.
fn is_part(expr: &FieldExpr, at: At<'_>) -> bool {
    match expr {
        FieldExpr::Field(_) => for_some_item(&[expr], at, |at| match value(expr, at) {
            Value::List(elements) => elements.contains(&Value::Bool(true)),
            other => other == Value::Bool(true),
        }),
        other => holds(other, at),
    }
}

fn flatten<'a>(expr: &'a FieldExpr, of: BinaryOp, parts: &mut Vec<&'a FieldExpr>) {
    match expr {
        FieldExpr::Binary { op, left, right } if *op == of => {
            flatten(left, of, parts);
            flatten(right, of, parts);
        }
        other => parts.push(other),
    }
}

fn for_some_item(exprs: &[&FieldExpr], at: At<'_>, holds: impl Fn(At<'_>) -> bool) -> bool {
    let names = |events| exprs.iter().any(|expr| names(expr, events));
    let some = |count: usize, bound: Option<usize>, needed: bool| -> Vec<Option<usize>> {
        if needed && bound.is_none() { (0..count).map(Some).collect() } else { vec![bound] }
    };
    let span = &at.spans[at.row];
    let (events, links) = (some(span.events.len(), at.event, names(true)), some(span.links.len(), at.link, names(false)));
    events.iter().any(|event| links.iter().any(|link| holds(At { event: *event, link: *link, ..at })))
}

fn names(expr: &FieldExpr, events: bool) -> bool {
    match expr {
        FieldExpr::Field(Field { parent: false, name }) => match name {
            FieldName::Attribute(scope, _) => *scope == if events { Scope::Event } else { Scope::Link },
            FieldName::Intrinsic(Intrinsic::EventName | Intrinsic::EventTimeSinceStart, _) => events,
            FieldName::Intrinsic(Intrinsic::LinkTraceId | Intrinsic::LinkSpanId, _) => !events,
            FieldName::Intrinsic(..) => false,
        },
        FieldExpr::Field(_) | FieldExpr::Literal(_) => false,
        FieldExpr::Negate(inner) | FieldExpr::Not(inner) => names(inner, events),
        FieldExpr::Binary { left, right, .. } => names(left, events) || names(right, events),
    }
}

fn is_comparison(op: BinaryOp) -> bool {
    use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, Match, NotEqual, NotMatch};
    matches!(op, Equal | NotEqual | Match | NotMatch | Less | LessEqual | Greater | GreaterEqual)
}

fn is_bool(expr: &FieldExpr) -> bool {
    match expr {
        FieldExpr::Binary { op, .. } => is_comparison(*op) || matches!(op, BinaryOp::And | BinaryOp::Or),
        FieldExpr::Not(inner) => is_bool(inner),
        FieldExpr::Literal(value) => matches!(value, Value::Bool(_)),
        FieldExpr::Field(_) | FieldExpr::Negate(_) => false,
    }
}

fn value<'a>(expr: &'a FieldExpr, at: At<'a>) -> Value<'a> {
    match expr {
        FieldExpr::Literal(value) => value.borrowed(),
        FieldExpr::Field(field) => of_field(field, at),
        FieldExpr::Negate(inner) => match number(&value(inner, at)) {
            Some(v) => Value::Float(-v),
            None => Value::Nil,
        },
        FieldExpr::Not(inner) if !is_bool(inner) => truth(inner, at).map_or(Value::Nil, |bool| Value::Bool(!bool)),
        FieldExpr::Not(_) => Value::Bool(holds(expr, at)),
        FieldExpr::Binary { op: BinaryOp::And | BinaryOp::Or, .. } => Value::Bool(holds(expr, at)),
        FieldExpr::Binary { op, left, right } if is_comparison(*op) => {
            // Within a value a comparison finds its own event.
            let nested = |at: At<'_>| compare(*op, left, right, at);
            Value::Bool(for_some_item(&[expr], at, nested))
        }
        FieldExpr::Binary { op, left, right } => match (number(&value(left, at)), number(&value(right, at))) {
            (Some(_), Some(0.0)) if matches!(op, BinaryOp::Divide | BinaryOp::Modulo) => Value::Nil,
            (Some(l), Some(r)) => Value::Float(match op {
                BinaryOp::Add => l + r,
                BinaryOp::Subtract => l - r,
                _ => l * r,
            }),
            _ => Value::Nil,
        },
    }
}

fn compare(op: BinaryOp, left: &FieldExpr, right: &FieldExpr, at: At<'_>) -> bool {
    let nil = |expr: &FieldExpr| *expr == FieldExpr::Literal(Value::Nil);
    if nil(left) || nil(right) {
        let of = if nil(left) { right } else { left };
        return !nil(of)
            && match op {
                BinaryOp::Equal => value(of, at) == Value::Nil,
                BinaryOp::NotEqual => value(of, at) != Value::Nil,
                _ => false,
            };
    }
    let (left, right) = (value(left, at), value(right, at));
    match (&left, &right) {
        (Value::List(_), Value::List(_)) => false,
        (Value::List(elements), one) => quantified(op, elements, |element| scalar(op, element, one)),
        (one, Value::List(elements)) => quantified(op, elements, |element| scalar(op, one, element)),
        (l, r) => scalar(op, l, r),
    }
}

fn quantified(op: BinaryOp, elements: &[Value<'_>], holds: impl Fn(&Value<'_>) -> bool) -> bool {
    match op {
        BinaryOp::NotEqual | BinaryOp::NotMatch => elements.iter().all(holds),
        _ => elements.iter().any(holds),
    }
}

fn scalar(op: BinaryOp, left: &Value<'_>, right: &Value<'_>) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    if let (BinaryOp::Match | BinaryOp::NotMatch, Value::Str(text), Value::Str(pattern)) = (op, left, right) {
        let regex = regex::Regex::new(&format!("^(?:{pattern})$")).expect("the tests have good patterns");
        return regex.is_match(text) == (op == BinaryOp::Match);
    }
    let ordering = match (left, right) {
        (Value::Str(l), Value::Str(r)) => Some(l.cmp(r)),
        (Value::Bool(l), Value::Bool(r)) if matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) => Some(l.cmp(r)),
        (Value::Status(l), Value::Status(r)) if matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) => Some(l.cmp(r)),
        (Value::Kind(l), Value::Kind(r)) if matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) => Some(l.cmp(r)),
        (l, r) => number(l).zip(number(r)).and_then(|(l, r)| l.partial_cmp(&r)),
    };
    matches!(
        (op, ordering),
        (BinaryOp::Equal | BinaryOp::LessEqual | BinaryOp::GreaterEqual, Some(Equal))
            | (BinaryOp::NotEqual | BinaryOp::Less | BinaryOp::LessEqual, Some(Less))
            | (BinaryOp::NotEqual | BinaryOp::Greater | BinaryOp::GreaterEqual, Some(Greater))
    )
}

fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(v) | Value::Duration(v) => Some(*v as f64),
        Value::Float(v) => Some(*v),
        _ => None,
    }
}

fn of_field<'a>(field: &'a Field, at: At<'a>) -> Value<'a> {
    let row = if field.parent { parent(at.spans, at.row) } else { Some(at.row) };
    let Some(row) = row else { return Value::Nil };
    let span = &at.spans[row];
    let event = |of: &dyn Fn(usize) -> Value<'a>| item(at.event, span.events.len(), of);
    let link = |of: &dyn Fn(usize) -> Value<'a>| item(at.link, span.links.len(), of);
    match &field.name {
        FieldName::Attribute(Scope::Any, name) => match attribute(&span.attributes, name) {
            Value::Nil => attribute(&span.resource, name),
            found => found,
        },
        FieldName::Attribute(Scope::Span, name) => attribute(&span.attributes, name),
        FieldName::Attribute(Scope::Resource, name) => attribute(&span.resource, name),
        FieldName::Attribute(Scope::Instrumentation, name) => attribute(&span.scope_attributes, name),
        FieldName::Attribute(Scope::Event, name) => event(&|at| attribute(&span.events[at].attributes, name)),
        FieldName::Attribute(Scope::Link, name) => link(&|at| attribute(&span.links[at].attributes, name)),
        FieldName::Intrinsic(Intrinsic::EventName, _) => event(&|at| Value::text(&span.events[at].name)),
        FieldName::Intrinsic(Intrinsic::LinkSpanId, _) => link(&|at| Value::text(&span.links[at].span_id)),
        FieldName::Intrinsic(Intrinsic::Name, _) => Value::text(&span.name),
        FieldName::Intrinsic(Intrinsic::Duration, _) => Value::Duration(span.duration_ns),
        FieldName::Intrinsic(Intrinsic::Kind, _) => Value::Kind(span.kind),
        FieldName::Intrinsic(Intrinsic::Status, _) => Value::Status(span.status),
        FieldName::Intrinsic(other, _) => unreachable!("the tests do not ask for {other:?}"),
    }
}

/// Of the event that is bound, else of the last one that has a value.
fn item<'a>(bound: Option<usize>, count: usize, of: &dyn Fn(usize) -> Value<'a>) -> Value<'a> {
    match bound {
        Some(at) => of(at),
        None => (0..count).rev().map(of).find(|value| *value != Value::Nil).unwrap_or(Value::Nil),
    }
}

fn attribute<'a>(attributes: &'a Attributes, name: &str) -> Value<'a> {
    attributes.iter().find(|(known, _)| known == name).map_or(Value::Nil, |(_, value)| value.borrowed())
}
