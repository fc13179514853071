//! The spans of one trace that is at hand, as the language asks for them: a filter decides which of them are shown.
//!
//! # Invariants
//! - What only the trace as a whole knows (roots, nested sets, its duration) is not told: who filters says so first.

use std::collections::HashMap;

use query::traceql::{AnyValue, Attributes, Event, Link, Span, TraceId};
use traceql::ast::{FieldName, Intrinsic, Scope};
use traceql::spans::{Slot, Source, Spans};
use traceql::value::{Kind, Status, Value};

/// Spans by row, in their order.
pub(super) struct Rows<'a> {
    trace: TraceId,
    spans: &'a [Span],
    fields: &'a [FieldName],
    parents: Vec<Option<usize>>,
}

impl<'a> Rows<'a> {
    /// The rows of `spans`; `fields` are those of the slots that will be asked for.
    pub(super) fn new(trace: TraceId, spans: &'a [Span], fields: &'a [FieldName]) -> Self {
        Self { trace, spans, fields, parents: parents(spans) }
    }

    fn field(&self, slot: Slot) -> Option<&'a FieldName> {
        self.fields.get(usize::from(slot.0))
    }
}

/// The row of each span's parent. Of two spans with one id (a client's and its server's, in Zipkin) the first is the parent, but of none
/// is it itself.
pub(super) fn parents(spans: &[Span]) -> Vec<Option<usize>> {
    let mut by_id = HashMap::with_capacity(spans.len());
    for (row, span) in spans.iter().enumerate() {
        by_id.entry(span.id).or_insert(row);
    }
    let of = |(row, span): (usize, &Span)| by_id.get(&span.parent?).copied().filter(|parent| *parent != row);
    spans.iter().enumerate().map(of).collect()
}

impl Spans for Rows<'_> {
    fn len(&self) -> usize {
        self.spans.len()
    }

    fn value(&self, slot: Slot, row: usize) -> Value<'_> {
        let (Some(field), Some(span)) = (self.field(slot), self.spans.get(row)) else { return Value::Nil };
        match field {
            FieldName::Attribute(Scope::Span, name) => find(&span.attributes, name),
            FieldName::Attribute(Scope::Resource, name) => find(&span.resource.attributes, name),
            FieldName::Attribute(Scope::Instrumentation, name) => find(&span.scope.attributes, name),
            FieldName::Attribute(Scope::Any, name) => match find(&span.attributes, name) {
                Value::Nil => find(&span.resource.attributes, name),
                value => value,
            },
            FieldName::Attribute(Scope::Event | Scope::Link, _) => Value::Nil,
            FieldName::Intrinsic(intrinsic, _) => of_span(*intrinsic, span, &self.trace),
        }
    }

    fn items(&self, source: Source, row: usize) -> usize {
        self.spans.get(row).map_or(0, |span| match source {
            Source::Event => span.events.len(),
            Source::Link => span.links.len(),
            Source::Row | Source::Trace => 0,
        })
    }

    fn item(&self, slot: Slot, row: usize, item: usize) -> Value<'_> {
        let (Some(field), Some(span)) = (self.field(slot), self.spans.get(row)) else { return Value::Nil };
        match Source::of(field) {
            Source::Event => span.events.get(item).map_or(Value::Nil, |event| of_event(field, event, span)),
            Source::Link => span.links.get(item).map_or(Value::Nil, |link| of_link(field, link)),
            Source::Row | Source::Trace => Value::Nil,
        }
    }

    fn start_ns(&self, row: usize) -> i64 {
        self.spans.get(row).map_or(0, |span| span.start_ns)
    }

    fn duration_ns(&self, row: usize) -> i64 {
        self.spans.get(row).map_or(0, |span| span.duration_ns)
    }

    fn parent(&self, row: usize) -> Option<usize> {
        self.parents.get(row).copied().flatten()
    }

    fn all(&self, row: usize, take: &mut dyn FnMut(&str, Value<'_>)) {
        let Some(span) = self.spans.get(row) else { return };
        take("name", Value::text(&span.name));
        take("kind", kind(span.kind));
        take("status", status(span.status));
        for (scope, attributes) in [("span", &span.attributes), ("resource", &span.resource.attributes)] {
            for (name, attribute) in attributes {
                take(&format!("{scope}.{name}"), value(attribute));
            }
        }
    }
}

fn of_span<'a>(intrinsic: Intrinsic, span: &'a Span, trace: &TraceId) -> Value<'a> {
    match intrinsic {
        Intrinsic::Name => Value::text(&span.name),
        Intrinsic::Duration => Value::Duration(span.duration_ns),
        Intrinsic::Kind => kind(span.kind),
        Intrinsic::Status => status(span.status),
        Intrinsic::StatusMessage => Value::text(&span.status_message),
        Intrinsic::SpanId => hex_text(&span.id),
        Intrinsic::ParentId => span.parent.map_or(Value::text(""), |id| hex_text(&id)),
        Intrinsic::Parent => span.parent.map_or(Value::Nil, |id| hex_text(&id)),
        Intrinsic::TraceId => hex_text(trace),
        Intrinsic::InstrumentationName => Value::text(&span.scope.name),
        Intrinsic::InstrumentationVersion => Value::text(&span.scope.version),
        _ => Value::Nil,
    }
}

fn of_event<'a>(field: &FieldName, event: &'a Event, span: &Span) -> Value<'a> {
    match field {
        FieldName::Attribute(_, name) => find(&event.attributes, name),
        FieldName::Intrinsic(Intrinsic::EventName, _) => Value::text(&event.name),
        FieldName::Intrinsic(Intrinsic::EventTimeSinceStart, _) => Value::Duration(event.time_ns.saturating_sub(span.start_ns)),
        FieldName::Intrinsic(..) => Value::Nil,
    }
}

fn of_link<'a>(field: &FieldName, link: &'a Link) -> Value<'a> {
    match field {
        FieldName::Attribute(_, name) => find(&link.attributes, name),
        FieldName::Intrinsic(Intrinsic::LinkTraceId, _) => hex_text(&link.trace_id),
        FieldName::Intrinsic(Intrinsic::LinkSpanId, _) => hex_text(&link.span_id),
        FieldName::Intrinsic(..) => Value::Nil,
    }
}

fn find<'a>(attributes: &'a Attributes, name: &str) -> Value<'a> {
    attributes.iter().find(|(key, _)| key == name).map_or(Value::Nil, |(_, attribute)| value(attribute))
}

/// A value as the language knows it. It has no maps and no bytes.
fn value(attribute: &AnyValue) -> Value<'_> {
    match attribute {
        AnyValue::Str(text) => Value::text(text),
        AnyValue::Int(number) => Value::Int(*number),
        AnyValue::Double(number) => Value::Float(*number),
        AnyValue::Bool(flag) => Value::Bool(*flag),
        AnyValue::List(items) => Value::List(items.iter().map(value).collect()),
        AnyValue::Bytes(_) | AnyValue::Map(_) | AnyValue::Empty => Value::Nil,
    }
}

fn hex_text(id: &[u8]) -> Value<'static> {
    Value::Str(hex::encode(id).into())
}

fn kind(number: i32) -> Value<'static> {
    Value::Kind(match number {
        1 => Kind::Internal,
        2 => Kind::Server,
        3 => Kind::Client,
        4 => Kind::Producer,
        5 => Kind::Consumer,
        _ => Kind::Unspecified,
    })
}

fn status(number: i32) -> Value<'static> {
    Value::Status(match number {
        1 => Status::Ok,
        2 => Status::Error,
        _ => Status::Unset,
    })
}
