//! A span as Jaeger's own model has it, which its first API and `api_v2` tell: tags, logs, references, a process.
//!
//! ```text
//! OTLP                                    Jaeger
//! attributes, kind, status, scope   ──►   tags (span.kind, error, otel.*)
//! events                            ──►   logs, the name in the field `event`
//! parent, links                     ──►   references CHILD_OF, FOLLOWS_FROM
//! resource                          ──►   process: service, tags
//! ```
//! Source: OpenTelemetry specification, "OpenTelemetry to Jaeger Transformation"; `internal/converter` of Jaeger.

use query::traceql::{AnyValue, Attributes, Resource, Span, SpanId, TraceId};

use crate::otlp::plain::value_text;

/// A value of a tag.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TagValue {
    Text(String),
    Flag(bool),
    Int(i64),
    Float(f64),
    Bytes(Vec<u8>),
}

/// A tag.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: TagValue,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Log {
    pub(super) time_ns: i64,
    pub(super) fields: Vec<Tag>,
}

/// How a span refers to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefType {
    ChildOf,
    FollowsFrom,
}

/// A span that another refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) kind: RefType,
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

/// The service of a resource that names none.
const NO_SERVICE: &str = "OTLPResourceNoServiceName";

impl Tag {
    fn new(key: &str, value: TagValue) -> Self {
        Self { key: key.to_owned(), value }
    }

    fn text(key: &str, value: &str) -> Self {
        Self::new(key, TagValue::Text(value.to_owned()))
    }
}

/// The tags of a span: its attributes, and what OTLP has fields for.
pub(super) fn span_tags(span: &Span) -> Vec<Tag> {
    let mut tags = Vec::new();
    if !span.scope.name.is_empty() {
        tags.push(Tag::text("otel.scope.name", &span.scope.name));
    }
    if !span.scope.version.is_empty() {
        tags.push(Tag::text("otel.scope.version", &span.scope.version));
    }
    tags.extend(of_attributes(&span.attributes));
    if let Some(kind) = kind_name(span.kind) {
        tags.push(Tag::text("span.kind", kind));
    }
    match span.status {
        1 => tags.push(Tag::text("otel.status_code", "OK")),
        2 => {
            tags.push(Tag::text("otel.status_code", "ERROR"));
            // One that the sender set itself is enough.
            if !span.attributes.iter().any(|(key, _)| key == "error") {
                tags.push(Tag::new("error", TagValue::Flag(true)));
            }
        }
        _ => {}
    }
    if !span.status_message.is_empty() {
        tags.push(Tag::text("otel.status_description", &span.status_message));
    }
    if !span.trace_state.is_empty() {
        tags.push(Tag::text("w3c.tracestate", &span.trace_state));
    }
    tags
}

/// The logs of a span.
pub(super) fn logs(span: &Span) -> Vec<Log> {
    let log = |event: &query::traceql::Event| {
        let mut fields = Vec::new();
        if !event.name.is_empty() && !event.attributes.iter().any(|(key, _)| key == "event") {
            fields.push(Tag::text("event", &event.name));
        }
        fields.extend(of_attributes(&event.attributes));
        Log { time_ns: event.time_ns, fields }
    };
    span.events.iter().map(log).collect()
}

/// The spans that a span refers to, its parent first.
pub(super) fn references(trace: TraceId, span: &Span) -> Vec<Reference> {
    let parent = span.parent.map(|span| Reference { kind: RefType::ChildOf, trace, span });
    let links = span.links.iter().filter(|link| Some(link.span_id) != span.parent || link.trace_id != trace).map(|link| {
        let is_parent =
            |(key, value): &(String, AnyValue)| key == "opentracing.ref_type" && *value == AnyValue::Str("child_of".to_owned());
        let kind = if link.attributes.iter().any(is_parent) { RefType::ChildOf } else { RefType::FollowsFrom };
        Reference { kind, trace: link.trace_id, span: link.span_id }
    });
    parent.into_iter().chain(links).collect()
}

/// The service of a process.
pub(super) fn service(resource: &Resource) -> &str {
    if resource.service.is_empty() { NO_SERVICE } else { &resource.service }
}

/// The tags of a process: what the resource says but its service.
pub(super) fn process_tags(resource: &Resource) -> Vec<Tag> {
    let others = resource.attributes.iter().filter(|(key, _)| key != "service.name");
    others.map(|(key, value)| Tag { key: key.clone(), value: tag_value(value) }).collect()
}

/// The name of a kind; Jaeger has none for a kind that is not specified.
pub(super) fn kind_name(kind: i32) -> Option<&'static str> {
    match kind {
        1 => Some("internal"),
        2 => Some("server"),
        3 => Some("client"),
        4 => Some("producer"),
        5 => Some("consumer"),
        _ => None,
    }
}

fn of_attributes(attributes: &Attributes) -> impl Iterator<Item = Tag> {
    attributes.iter().map(|(key, value)| Tag { key: key.clone(), value: tag_value(value) })
}

fn tag_value(value: &AnyValue) -> TagValue {
    match value {
        AnyValue::Str(text) => TagValue::Text(text.clone()),
        AnyValue::Int(number) => TagValue::Int(*number),
        AnyValue::Double(number) => TagValue::Float(*number),
        AnyValue::Bool(flag) => TagValue::Flag(*flag),
        AnyValue::Bytes(bytes) => TagValue::Bytes(bytes.clone()),
        AnyValue::Empty => TagValue::Text(String::new()),
        AnyValue::List(_) | AnyValue::Map(_) => TagValue::Text(value_text(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::sample::{TRACE_ID, trace};

    #[test]
    fn what_otlp_has_fields_for_is_a_tag() {
        let spans = trace().spans;
        let tags = span_tags(&spans[0]);
        let get = |key: &str| tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.clone());
        assert_eq!(get("span.kind"), Some(TagValue::Text("server".to_owned())));
        assert_eq!(get("error"), Some(TagValue::Flag(true)));
        assert_eq!(get("otel.status_code"), Some(TagValue::Text("ERROR".to_owned())));
        assert_eq!(get("otel.status_description"), Some(TagValue::Text("it broke".to_owned())));
        assert_eq!(get("otel.scope.name"), Some(TagValue::Text("http".to_owned())));
        assert_eq!(get("b.list"), Some(TagValue::Text("[1,0]".to_owned())));
        assert_eq!(get("c.map"), Some(TagValue::Text("{\"k\":false}".to_owned())));
        assert_eq!(get("a.bytes"), Some(TagValue::Bytes(vec![0, 1, 254])));
        assert_eq!(logs(&spans[0])[0].fields[0], Tag::text("event", "exception"));
        assert_eq!(process_tags(&spans[0].resource).len(), 1);
        assert_eq!(service(&Resource::default()), NO_SERVICE);
    }

    #[test]
    fn parents_and_links_are_references() {
        let spans = trace().spans;
        assert!(references(TRACE_ID, &spans[0]).is_empty());
        let of_last = references(TRACE_ID, &spans[2]);
        assert_eq!(of_last.iter().map(|r| r.kind).collect::<Vec<_>>(), [RefType::ChildOf, RefType::FollowsFrom]);
        assert_eq!(of_last[0].span, spans[1].id);
    }
}
