//! Spans in memory: the smallest storage there is, for tests of the language and of storages.
//!
//! # Invariants
//! - Everything is looked up by name when it is asked for: slow, and plainly right.

use std::collections::HashMap;

use crate::ast::{FieldName, Intrinsic, Scope};
use crate::spans::{self, Slot, Slots, Source};
use crate::tree::Tree;
use crate::value::{Kind, Status, Value};

/// Names and values; a value that TraceQL knows none for is [`Value::Nil`].
pub type Attributes = Vec<(String, Value<'static>)>;

/// A span with all that a query can ask for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Span {
    /// Lower-case hex.
    pub trace_id: String,
    /// Lower-case hex.
    pub id: String,
    /// Lower-case hex; empty of a root.
    pub parent_id: String,
    /// `name`
    pub name: String,
    /// `kind`
    pub kind: Kind,
    /// `status`
    pub status: Status,
    /// `statusMessage`
    pub status_message: String,
    /// Nanoseconds since the epoch.
    pub start_ns: i64,
    /// Nanoseconds.
    pub duration_ns: i64,
    /// Of the resource.
    pub resource: Attributes,
    /// Of the span.
    pub attributes: Attributes,
    /// `instrumentation:name`
    pub scope_name: String,
    /// `instrumentation:version`
    pub scope_version: String,
    /// Of the instrumentation scope.
    pub scope_attributes: Attributes,
    /// What happened within.
    pub events: Vec<Event>,
    /// Other spans that it belongs to.
    pub links: Vec<Link>,
}

/// An event of a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    /// Nanoseconds after the start of the span.
    pub offset_ns: i64,
    /// `event:name`
    pub name: String,
    /// Of the event.
    pub attributes: Attributes,
}

/// A link of a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Link {
    /// Lower-case hex.
    pub trace_id: String,
    /// Lower-case hex.
    pub span_id: String,
    /// Of the link.
    pub attributes: Attributes,
}

/// The spans of one trace, as an evaluation with certain slots sees them.
#[derive(Debug)]
pub struct Trace<'a> {
    spans: &'a [Span],
    fields: Vec<FieldName>,
    tree: Tree,
}

impl<'a> Trace<'a> {
    /// `spans` are those of one trace; `slots` are those of the evaluation.
    pub fn new(spans: &'a [Span], slots: &Slots) -> Self {
        let rows: HashMap<&str, usize> = spans.iter().enumerate().rev().map(|(row, span)| (span.id.as_str(), row)).collect();
        let parents: Vec<_> = spans.iter().map(|span| rows.get(span.parent_id.as_str()).copied()).collect();
        let tree = Tree::new(&parents, |row| spans[row].parent_id.is_empty());
        Self { spans, fields: slots.fields().to_vec(), tree }
    }

    fn of_trace(&self, intrinsic: Intrinsic, row: usize) -> Value<'_> {
        let root = || self.spans.iter().find(|span| span.parent_id.is_empty());
        match intrinsic {
            Intrinsic::NestedSetLeft => Value::Int(self.tree.left(row).into()),
            Intrinsic::NestedSetRight => Value::Int(self.tree.right(row).into()),
            Intrinsic::NestedSetParent => Value::Int(self.tree.parent_left(row)),
            Intrinsic::ChildCount => {
                Value::Int((0..self.spans.len()).filter(|child| self.tree.parent(*child) == Some(row)).count() as i64)
            }
            Intrinsic::TraceDuration => {
                let start = self.spans.iter().map(|s| s.start_ns).min().unwrap_or_default();
                let end = self.spans.iter().map(|s| s.start_ns.saturating_add(s.duration_ns)).max().unwrap_or_default();
                Value::Duration(end.saturating_sub(start))
            }
            Intrinsic::RootName => root().map_or(Value::text(""), |span| Value::text(&span.name)),
            Intrinsic::RootService => root().map_or(Value::text(""), |span| match attribute(&span.resource, "service.name") {
                Value::Nil => Value::text(""),
                service => service,
            }),
            _ => Value::Nil,
        }
    }

    fn of_span(&self, intrinsic: Intrinsic, row: usize) -> Value<'_> {
        let span = &self.spans[row];
        match intrinsic {
            Intrinsic::Name => Value::text(&span.name),
            Intrinsic::Duration => Value::Duration(span.duration_ns),
            Intrinsic::Kind => Value::Kind(span.kind),
            Intrinsic::Status => Value::Status(span.status),
            Intrinsic::StatusMessage => Value::text(&span.status_message),
            Intrinsic::SpanId => Value::text(&span.id),
            Intrinsic::ParentId => Value::text(&span.parent_id),
            Intrinsic::Parent if span.parent_id.is_empty() => Value::Nil,
            Intrinsic::Parent => Value::text(&span.parent_id),
            Intrinsic::TraceId => Value::text(&span.trace_id),
            Intrinsic::InstrumentationName => Value::text(&span.scope_name),
            Intrinsic::InstrumentationVersion => Value::text(&span.scope_version),
            of_trace => self.of_trace(of_trace, row),
        }
    }
}

/// The value of an attribute, borrowed.
fn attribute<'a>(attributes: &'a Attributes, name: &str) -> Value<'a> {
    attributes.iter().find(|(known, _)| known == name).map_or(Value::Nil, |(_, value)| value.borrowed())
}

impl spans::Spans for Trace<'_> {
    fn len(&self) -> usize {
        self.spans.len()
    }

    fn value(&self, slot: Slot, row: usize) -> Value<'_> {
        let span = &self.spans[row];
        match &self.fields[usize::from(slot.0)] {
            FieldName::Intrinsic(intrinsic, _) => self.of_span(*intrinsic, row),
            FieldName::Attribute(Scope::Any, name) => match attribute(&span.attributes, name) {
                Value::Nil => attribute(&span.resource, name),
                value => value,
            },
            FieldName::Attribute(Scope::Span, name) => attribute(&span.attributes, name),
            FieldName::Attribute(Scope::Resource, name) => attribute(&span.resource, name),
            FieldName::Attribute(Scope::Instrumentation, name) => attribute(&span.scope_attributes, name),
            FieldName::Attribute(Scope::Event | Scope::Link, _) => Value::Nil,
        }
    }

    fn items(&self, source: Source, row: usize) -> usize {
        match source {
            Source::Event => self.spans[row].events.len(),
            Source::Link => self.spans[row].links.len(),
            Source::Row | Source::Trace => 0,
        }
    }

    fn item(&self, slot: Slot, row: usize, item: usize) -> Value<'_> {
        let (span, field) = (&self.spans[row], &self.fields[usize::from(slot.0)]);
        match (field, Source::of(field)) {
            (FieldName::Attribute(_, name), Source::Event) => attribute(&span.events[item].attributes, name),
            (FieldName::Attribute(_, name), Source::Link) => attribute(&span.links[item].attributes, name),
            (FieldName::Intrinsic(Intrinsic::EventName, _), _) => Value::text(&span.events[item].name),
            (FieldName::Intrinsic(Intrinsic::EventTimeSinceStart, _), _) => Value::Duration(span.events[item].offset_ns),
            (FieldName::Intrinsic(Intrinsic::LinkTraceId, _), _) => Value::text(&span.links[item].trace_id),
            (FieldName::Intrinsic(Intrinsic::LinkSpanId, _), _) => Value::text(&span.links[item].span_id),
            _ => Value::Nil,
        }
    }

    fn start_ns(&self, row: usize) -> i64 {
        self.spans[row].start_ns
    }

    fn duration_ns(&self, row: usize) -> i64 {
        self.spans[row].duration_ns
    }

    fn parent(&self, row: usize) -> Option<usize> {
        self.tree.parent(row)
    }

    fn all(&self, row: usize, take: &mut dyn FnMut(&str, Value<'_>)) {
        const INTRINSICS: [(&str, Intrinsic); 9] = [
            ("name", Intrinsic::Name),
            ("kind", Intrinsic::Kind),
            ("status", Intrinsic::Status),
            ("statusMessage", Intrinsic::StatusMessage),
            ("rootName", Intrinsic::RootName),
            ("rootServiceName", Intrinsic::RootService),
            ("span:childCount", Intrinsic::ChildCount),
            ("instrumentation:name", Intrinsic::InstrumentationName),
            ("instrumentation:version", Intrinsic::InstrumentationVersion),
        ];
        for (name, intrinsic) in INTRINSICS {
            take(name, self.of_span(intrinsic, row));
        }
        let span = &self.spans[row];
        if attribute(&span.resource, "service.name") == Value::Nil {
            take("resource.service.name", Value::text(""));
        }
        for (scope, attributes) in [("resource", &span.resource), ("span", &span.attributes)] {
            attributes.iter().for_each(|(name, value)| take(&format!("{scope}.{name}"), value.borrowed()));
        }
    }
}
