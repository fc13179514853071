//! Random traces and queries, small enough that everything meets everything.

use proptest::prelude::*;
use traceql::ast::{BinaryOp, Field, FieldExpr, FieldName, Form, Intrinsic, Relation, Scope, SpansetOp, Spansets, Spelling};
use traceql::memory::{Attributes, Event, Link, Span};
use traceql::value::{Kind, Status, Value};

fn scalar() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        (-2..3_i64).prop_map(Value::Int),
        prop_oneof![Just(-1.5), Just(0.0), Just(0.5), Just(1.0)].prop_map(Value::Float),
        (0..3_i64).prop_map(Value::Duration),
        prop_oneof![Just("a"), Just("b"), Just("ab"), Just("")].prop_map(Value::text),
        any::<bool>().prop_map(Value::Bool),
    ]
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let list = prop_oneof![
        prop::collection::vec((-2..3_i64).prop_map(Value::Int), 1..3),
        prop::collection::vec(prop_oneof![Just("a"), Just("b")].prop_map(Value::text), 1..3),
        prop::collection::vec(any::<bool>().prop_map(Value::Bool), 1..3),
    ];
    prop_oneof![4 => scalar(), 1 => list.prop_map(Value::List)]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let attribute = |name: &'static str| prop::option::of(value().prop_map(move |value| (name.to_owned(), value)));
    (attribute("x"), attribute("y")).prop_map(|(x, y)| x.into_iter().chain(y).collect())
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Unset), Just(Status::Ok), Just(Status::Error)]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Server), Just(Kind::Client)]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("ab")].prop_map(str::to_owned)
}

/// The spans of one trace. Parents are any id: of a span, of none that is there, of itself; ids may be there twice.
pub(crate) fn trace(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Span>> {
    let span = (
        (name(), kind(), status(), 0..4_i64, 0..4_i64),
        (0..10_usize, 0..14_usize),
        (attributes(), attributes(), attributes()),
        prop::collection::vec((name(), attributes()), 0..3),
        prop::collection::vec((0..4_usize, attributes()), 0..3),
    );
    prop::collection::vec(span, len).prop_map(|spans| {
        spans
            .into_iter()
            .enumerate()
            .map(|(row, parts)| {
                let (
                    (name, kind, status, start, duration_ns),
                    (id, parent),
                    (resource, attributes, scope_attributes),
                    events,
                    links,
                ) = parts;
                let id_of = |n: usize| format!("{n:016x}");
                Span {
                    trace_id: "1".repeat(32),
                    id: id_of(if id == 0 { 1 } else { row + 1 }),
                    parent_id: if parent < 3 { String::new() } else { id_of(parent - 2) },
                    name,
                    kind,
                    status,
                    start_ns: start * 1_000_000_000,
                    duration_ns,
                    resource,
                    attributes,
                    scope_name: String::new(),
                    scope_version: String::new(),
                    scope_attributes,
                    events: events.into_iter().map(|(name, attributes)| Event { offset_ns: 1, name, attributes }).collect(),
                    links: links
                        .into_iter()
                        .map(|(id, attributes)| Link { trace_id: "2".repeat(32), span_id: id_of(id), attributes })
                        .collect(),
                    ..Span::default()
                }
            })
            .collect()
    })
}

fn attribute(scope: Scope) -> impl Strategy<Value = FieldName> {
    prop_oneof![Just("x"), Just("y")].prop_map(move |name| FieldName::Attribute(scope, name.to_owned()))
}

/// Any field that [`super::naive`] knows.
pub(crate) fn field() -> impl Strategy<Value = Field> {
    let intrinsic = |i| Just(FieldName::Intrinsic(i, Spelling::Scoped));
    let name = prop_oneof![
        3 => attribute(Scope::Any),
        1 => attribute(Scope::Span),
        1 => attribute(Scope::Resource),
        1 => attribute(Scope::Instrumentation),
        2 => attribute(Scope::Event),
        1 => attribute(Scope::Link),
        1 => intrinsic(Intrinsic::EventName),
        1 => intrinsic(Intrinsic::LinkSpanId),
        1 => intrinsic(Intrinsic::Name),
        1 => intrinsic(Intrinsic::Duration),
        1 => intrinsic(Intrinsic::Kind),
        1 => intrinsic(Intrinsic::Status),
    ];
    (prop::bool::weighted(0.1), name).prop_map(|(parent, name)| {
        // Of the parent's events there is no such thing.
        let of_items = traceql::spans::Source::of(&name) != traceql::spans::Source::Row;
        Field { parent: parent && !of_items, name }
    })
}

fn literal() -> impl Strategy<Value = FieldExpr> {
    prop_oneof![
        6 => scalar(),
        1 => status().prop_map(Value::Status),
        1 => kind().prop_map(Value::Kind),
        1 => Just(Value::Nil),
    ]
    .prop_map(FieldExpr::Literal)
}

fn binary(op: BinaryOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

fn number() -> impl Strategy<Value = FieldExpr> {
    let leaf = prop_oneof![3 => field().prop_map(FieldExpr::Field), 1 => literal()];
    let op = || prop_oneof![Just(BinaryOp::Add), Just(BinaryOp::Subtract), Just(BinaryOp::Multiply)];
    leaf.prop_recursive(2, 4, 2, move |inner| {
        prop_oneof![
            (op(), inner.clone(), inner.clone()).prop_map(|(op, l, r)| binary(op, l, r)),
            inner.prop_map(|e| FieldExpr::Negate(Box::new(e))),
        ]
    })
}

/// Any expression of a filter.
pub(crate) fn filter() -> impl Strategy<Value = FieldExpr> {
    use BinaryOp::{And, Equal, Greater, GreaterEqual, Less, LessEqual, Match, NotEqual, NotMatch, Or};
    let comparison = prop::sample::select(vec![Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual]);
    let pattern = prop::sample::select(vec!["a", "a.*", "b?", "a|b", ".*", "ab+"]);
    let pattern = pattern.prop_map(|p| FieldExpr::Literal(Value::text(p)));
    let leaf = prop_oneof![
        5 => (comparison, number(), number()).prop_map(|(op, l, r)| binary(op, l, r)),
        2 => (prop::sample::select(vec![Match, NotMatch]), field(), pattern)
            .prop_map(|(op, f, p)| binary(op, FieldExpr::Field(f), p)),
        1 => field().prop_map(FieldExpr::Field),
        1 => any::<bool>().prop_map(|b| FieldExpr::Literal(Value::Bool(b))),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            3 => (prop::sample::select(vec![And, Or]), inner.clone(), inner.clone()).prop_map(|(op, l, r)| binary(op, l, r)),
            1 => inner.prop_map(|e| FieldExpr::Not(Box::new(e))),
        ]
    })
}

/// Any expression of spansets.
pub(crate) fn spansets() -> impl Strategy<Value = Spansets> {
    use Relation::{Ancestor, Child, Descendant, Parent, Sibling};
    let relation = prop::sample::select(vec![Child, Descendant, Parent, Ancestor, Sibling]);
    let form = prop::sample::select(vec![Form::Plain, Form::Not, Form::Union]);
    let op = prop_oneof![
        1 => Just(SpansetOp::And),
        1 => Just(SpansetOp::Union),
        4 => (relation, form).prop_map(|(relation, form)| SpansetOp::Structural(relation, form)),
    ];
    let wide = Just(FieldExpr::Literal(Value::Bool(true)));
    let leaf = prop_oneof![1 => wide, 3 => filter()].prop_map(Spansets::Filter);
    leaf.prop_recursive(3, 6, 2, move |inner| {
        (op.clone(), inner.clone(), inner).prop_map(|(op, l, r)| Spansets::Binary { op, left: Box::new(l), right: Box::new(r) })
    })
}
