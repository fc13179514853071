//! What scopes, intrinsics, enumerations and operators are called in the text of a query; the parser and the printer read the same lists.
//!
//! Source: the tables of Tempo's "Construct a TraceQL query".

use crate::ast::{AggregateFunction, BinaryOp, Form, Intrinsic, Relation, Scope, SpansetOp, Spelling};
use crate::value::{Kind, Status};

/// What stands before the point of an attribute.
pub(crate) const SCOPES: [(Scope, &str); 6] = [
    (Scope::Any, ""),
    (Scope::Span, "span"),
    (Scope::Resource, "resource"),
    (Scope::Event, "event"),
    (Scope::Link, "link"),
    (Scope::Instrumentation, "instrumentation"),
];

/// What stands before the colon of an intrinsic.
pub(crate) const INTRINSIC_SCOPES: [&str; 5] = ["trace", "span", "event", "link", "instrumentation"];

/// Intrinsics as they are written with a scope.
const SCOPED: [(Intrinsic, &str); 18] = [
    (Intrinsic::Name, "span:name"),
    (Intrinsic::Duration, "span:duration"),
    (Intrinsic::Kind, "span:kind"),
    (Intrinsic::Status, "span:status"),
    (Intrinsic::StatusMessage, "span:statusMessage"),
    (Intrinsic::SpanId, "span:id"),
    (Intrinsic::ParentId, "span:parentID"),
    (Intrinsic::ChildCount, "span:childCount"),
    (Intrinsic::TraceDuration, "trace:duration"),
    (Intrinsic::RootName, "trace:rootName"),
    (Intrinsic::RootService, "trace:rootService"),
    (Intrinsic::TraceId, "trace:id"),
    (Intrinsic::EventName, "event:name"),
    (Intrinsic::EventTimeSinceStart, "event:timeSinceStart"),
    (Intrinsic::LinkTraceId, "link:traceID"),
    (Intrinsic::LinkSpanId, "link:spanID"),
    (Intrinsic::InstrumentationName, "instrumentation:name"),
    (Intrinsic::InstrumentationVersion, "instrumentation:version"),
];

/// Intrinsics as they are written without a scope.
const LEGACY: [(Intrinsic, &str); 12] = [
    (Intrinsic::Name, "name"),
    (Intrinsic::Duration, "duration"),
    (Intrinsic::Kind, "kind"),
    (Intrinsic::Status, "status"),
    (Intrinsic::StatusMessage, "statusMessage"),
    (Intrinsic::TraceDuration, "traceDuration"),
    (Intrinsic::RootName, "rootName"),
    (Intrinsic::RootService, "rootServiceName"),
    (Intrinsic::NestedSetLeft, "nestedSetLeft"),
    (Intrinsic::NestedSetRight, "nestedSetRight"),
    (Intrinsic::NestedSetParent, "nestedSetParent"),
    (Intrinsic::Parent, "parent"),
];

/// The intrinsic that is written so, and how that is spelled.
pub(crate) fn intrinsic(text: &str) -> Option<(Intrinsic, Spelling)> {
    let find = |list: &[(Intrinsic, &str)]| list.iter().find(|(_, name)| *name == text).map(|(intrinsic, _)| *intrinsic);
    let legacy = find(&LEGACY).map(|intrinsic| (intrinsic, Spelling::Legacy));
    legacy.or_else(|| find(&SCOPED).map(|intrinsic| (intrinsic, Spelling::Scoped)))
}

/// How the intrinsic is written; one that has only one spelling has that.
pub(crate) fn intrinsic_text(intrinsic: Intrinsic, spelling: Spelling) -> &'static str {
    let find = |list: &'static [(Intrinsic, &str)]| list.iter().find(|(i, _)| *i == intrinsic).map(|(_, name)| *name);
    let (first, second) = match spelling {
        Spelling::Legacy => (find(&LEGACY), find(&SCOPED)),
        Spelling::Scoped => (find(&SCOPED), find(&LEGACY)),
    };
    first.or(second).expect("every intrinsic is in one of the lists")
}

/// What stands before the point.
pub(crate) fn scope_text(scope: Scope) -> &'static str {
    SCOPES.iter().find(|(s, _)| *s == scope).map_or("", |(_, name)| name)
}

/// Values of `status`.
pub(crate) const STATUSES: [(Status, &str); 3] = [(Status::Unset, "unset"), (Status::Ok, "ok"), (Status::Error, "error")];

/// Values of `kind`.
pub(crate) const KINDS: [(Kind, &str); 6] = [
    (Kind::Unspecified, "unspecified"),
    (Kind::Internal, "internal"),
    (Kind::Server, "server"),
    (Kind::Client, "client"),
    (Kind::Producer, "producer"),
    (Kind::Consumer, "consumer"),
];

/// Aggregates of a spanset.
pub(crate) const AGGREGATES: [(AggregateFunction, &str); 5] = [
    (AggregateFunction::Count, "count"),
    (AggregateFunction::Avg, "avg"),
    (AggregateFunction::Min, "min"),
    (AggregateFunction::Max, "max"),
    (AggregateFunction::Sum, "sum"),
];

/// First stages of metrics that are of a field.
pub(crate) const OVER_TIME: [(AggregateFunction, &str); 4] = [
    (AggregateFunction::Min, "min_over_time"),
    (AggregateFunction::Max, "max_over_time"),
    (AggregateFunction::Sum, "sum_over_time"),
    (AggregateFunction::Avg, "avg_over_time"),
];

/// Operators between fields and between numbers.
pub(crate) const BINARY_OPS: [(BinaryOp, &str); 16] = [
    (BinaryOp::And, "&&"),
    (BinaryOp::Or, "||"),
    (BinaryOp::Equal, "="),
    (BinaryOp::NotEqual, "!="),
    (BinaryOp::Match, "=~"),
    (BinaryOp::NotMatch, "!~"),
    (BinaryOp::Less, "<"),
    (BinaryOp::LessEqual, "<="),
    (BinaryOp::Greater, ">"),
    (BinaryOp::GreaterEqual, ">="),
    (BinaryOp::Add, "+"),
    (BinaryOp::Subtract, "-"),
    (BinaryOp::Multiply, "*"),
    (BinaryOp::Divide, "/"),
    (BinaryOp::Modulo, "%"),
    (BinaryOp::Power, "^"),
];

/// Operators between spansets.
pub(crate) const SPANSET_OPS: [(SpansetOp, &str); 17] = [
    (SpansetOp::And, "&&"),
    (SpansetOp::Union, "||"),
    (SpansetOp::Structural(Relation::Child, Form::Plain), ">"),
    (SpansetOp::Structural(Relation::Descendant, Form::Plain), ">>"),
    (SpansetOp::Structural(Relation::Parent, Form::Plain), "<"),
    (SpansetOp::Structural(Relation::Ancestor, Form::Plain), "<<"),
    (SpansetOp::Structural(Relation::Sibling, Form::Plain), "~"),
    (SpansetOp::Structural(Relation::Child, Form::Not), "!>"),
    (SpansetOp::Structural(Relation::Descendant, Form::Not), "!>>"),
    (SpansetOp::Structural(Relation::Parent, Form::Not), "!<"),
    (SpansetOp::Structural(Relation::Ancestor, Form::Not), "!<<"),
    (SpansetOp::Structural(Relation::Sibling, Form::Not), "!~"),
    (SpansetOp::Structural(Relation::Child, Form::Union), "&>"),
    (SpansetOp::Structural(Relation::Descendant, Form::Union), "&>>"),
    (SpansetOp::Structural(Relation::Parent, Form::Union), "&<"),
    (SpansetOp::Structural(Relation::Ancestor, Form::Union), "&<<"),
    (SpansetOp::Structural(Relation::Sibling, Form::Union), "&~"),
];

/// What `item` is called in `list`, which has it.
pub(crate) fn text_of<T: Copy + PartialEq>(list: &[(T, &'static str)], item: T) -> &'static str {
    list.iter().find(|(known, _)| *known == item).map_or("", |(_, name)| name)
}

/// What is called `text` in `list`.
pub(crate) fn named<T: Copy>(list: &[(T, &str)], text: &str) -> Option<T> {
    list.iter().find(|(_, name)| *name == text).map(|(item, _)| *item)
}
