//! Traces as OTLP's protobuf messages.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{self as common, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{self as wire, ResourceSpans, ScopeSpans, Status, span};
use query::traceql::{AnyValue, Attributes, Event, Link, Span, TraceId};

use super::{OfResource, OfScope, end_ns, unix_ns};

/// The messages of grouped spans.
pub(crate) fn resource_spans(groups: Vec<OfResource>) -> Vec<ResourceSpans> {
    let of_group = |group: OfResource| ResourceSpans {
        resource: Some(Resource {
            attributes: attributes(&group.resource.attributes),
            dropped_attributes_count: group.resource.dropped_attributes,
            entity_refs: Vec::new(),
        }),
        scope_spans: group.scopes.into_iter().map(scope_spans).collect(),
        schema_url: group.resource.schema_url.clone(),
    };
    groups.into_iter().map(of_group).collect()
}

fn scope_spans(group: OfScope) -> ScopeSpans {
    ScopeSpans {
        scope: Some(InstrumentationScope {
            name: group.scope.name.clone(),
            version: group.scope.version.clone(),
            attributes: attributes(&group.scope.attributes),
            dropped_attributes_count: 0,
        }),
        spans: group.spans.into_iter().map(|(trace, span)| of_span(trace, span)).collect(),
        schema_url: String::new(),
    }
}

fn of_span(trace: TraceId, span: Span) -> wire::Span {
    wire::Span {
        trace_id: trace.to_vec(),
        span_id: span.id.to_vec(),
        parent_span_id: span.parent.map(|id| id.to_vec()).unwrap_or_default(),
        start_time_unix_nano: unix_ns(span.start_ns),
        end_time_unix_nano: unix_ns(end_ns(&span)),
        trace_state: span.trace_state,
        flags: span.flags,
        name: span.name,
        kind: span.kind,
        attributes: attributes(&span.attributes),
        dropped_attributes_count: span.dropped_attributes,
        events: span.events.into_iter().map(event).collect(),
        dropped_events_count: span.dropped_events,
        links: span.links.into_iter().map(link).collect(),
        dropped_links_count: span.dropped_links,
        status: Some(Status { message: span.status_message, code: span.status }),
    }
}

fn event(event: Event) -> span::Event {
    span::Event {
        time_unix_nano: unix_ns(event.time_ns),
        name: event.name,
        attributes: attributes(&event.attributes),
        dropped_attributes_count: event.dropped_attributes,
    }
}

fn link(link: Link) -> span::Link {
    span::Link {
        trace_id: link.trace_id.to_vec(),
        span_id: link.span_id.to_vec(),
        trace_state: link.trace_state,
        attributes: attributes(&link.attributes),
        dropped_attributes_count: link.dropped_attributes,
        flags: link.flags,
    }
}

fn attributes(attributes: &Attributes) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| key_value(key.clone(), any_value(value))).collect()
}

/// An attribute.
pub(crate) fn key_value(key: String, value: common::AnyValue) -> KeyValue {
    KeyValue { key, value: Some(value), ..KeyValue::default() }
}

fn any_value(value: &AnyValue) -> common::AnyValue {
    let value = match value {
        AnyValue::Empty => None,
        AnyValue::Str(text) => Some(Wire::StringValue(text.clone())),
        AnyValue::Int(number) => Some(Wire::IntValue(*number)),
        AnyValue::Double(number) => Some(Wire::DoubleValue(*number)),
        AnyValue::Bool(flag) => Some(Wire::BoolValue(*flag)),
        AnyValue::Bytes(bytes) => Some(Wire::BytesValue(bytes.clone())),
        AnyValue::List(items) => Some(Wire::ArrayValue(ArrayValue { values: items.iter().map(any_value).collect() })),
        AnyValue::Map(pairs) => Some(Wire::KvlistValue(KeyValueList { values: attributes(pairs) })),
    };
    common::AnyValue { value }
}
