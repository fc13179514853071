//! Traces as JSON, written span by span: a large trace is never text in memory.
//!
//! ```text
//! [{"resource":{..},"scopeSpans":[{"scope":{..},"spans":[{..},{..}]}]},..]
//! ```
//! Two ways to say the same: Tempo's (`jsonpb`: ids in base64, kinds and codes by name) and OTLP's own (ids in hex, kinds and codes by number).
//! Source: `gogo/protobuf/jsonpb`; OTLP specification, "JSON Protobuf Encoding".

use std::vec::IntoIter;

use hex::encode;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{AnyValue as WireValue, KeyValue};
use query::traceql::{AnyValue, Event, Link, Resource, Scope, Span, TraceId};

use super::{OfResource, OfScope, end_ns, unix_ns};
use crate::json::write_text;
use crate::jsonpb::{Object, write_base64, write_double};
use crate::pieces::Data;

/// Names of OTLP's kinds.
const KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
/// Names of OTLP's status codes.
const CODES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

/// Whose JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Tempo's.
    Jsonpb,
    /// OTLP's own, which Jaeger speaks.
    Otlp,
}

/// The list of `ResourceSpans`, to be written in pieces.
pub(crate) struct ResourceSpans {
    dialect: Dialect,
    resources: IntoIter<OfResource>,
    scopes: Option<IntoIter<OfScope>>,
    spans: Option<IntoIter<(TraceId, Span)>>,
    begun: [bool; 3],
    done: bool,
}

impl ResourceSpans {
    /// The list of `groups`.
    pub(crate) fn new(groups: Vec<OfResource>, dialect: Dialect) -> Self {
        Self { dialect, resources: groups.into_iter(), scopes: None, spans: None, begun: [false; 3], done: false }
    }

    /// A comma, but before the first of its level; levels below begin anew.
    fn next_of(&mut self, level: usize, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun[level], true) {
            out.push(b',');
        }
        for below in &mut self.begun[level + 1..] {
            *below = false;
        }
    }
}

impl Data for ResourceSpans {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if self.done {
            return false;
        }
        if let Some(spans) = &mut self.spans {
            match spans.next() {
                Some((trace, span)) => {
                    self.next_of(2, out);
                    write_span(out, trace, &span, self.dialect);
                }
                None => {
                    self.spans = None;
                    out.extend_from_slice(b"]}");
                }
            }
        } else if let Some(scopes) = &mut self.scopes {
            match scopes.next() {
                Some(OfScope { scope, spans }) => {
                    self.next_of(1, out);
                    out.extend_from_slice(br#"{"scope":"#);
                    write_scope(out, &scope);
                    out.extend_from_slice(br#","spans":["#);
                    self.spans = Some(spans.into_iter());
                }
                None => {
                    self.scopes = None;
                    out.extend_from_slice(b"]}");
                }
            }
        } else {
            if !self.begun[0] {
                out.push(b'[');
            }
            match self.resources.next() {
                Some(OfResource { resource, scopes }) => {
                    self.next_of(0, out);
                    out.extend_from_slice(br#"{"resource":"#);
                    write_resource(out, &resource);
                    if !resource.schema_url.is_empty() {
                        out.extend_from_slice(br#","schemaUrl":"#);
                        write_text(out, &resource.schema_url);
                    }
                    out.extend_from_slice(br#","scopeSpans":["#);
                    self.scopes = Some(scopes.into_iter());
                }
                None => {
                    out.push(b']');
                    self.done = true;
                }
            }
        }
        true
    }
}

fn write_resource(out: &mut Vec<u8>, resource: &Resource) {
    let mut object = Object::open(out);
    object.list("attributes", &resource.attributes, write_attribute);
    object.small("droppedAttributesCount", resource.dropped_attributes);
    object.close();
}

fn write_scope(out: &mut Vec<u8>, scope: &Scope) {
    let mut object = Object::open(out);
    object.text("name", &scope.name);
    object.text("version", &scope.version);
    object.list("attributes", &scope.attributes, write_attribute);
    object.close();
}

fn write_span(out: &mut Vec<u8>, trace: TraceId, span: &Span, dialect: Dialect) {
    let mut object = Object::open(out);
    write_id(object.key("traceId"), &trace, dialect);
    write_id(object.key("spanId"), &span.id, dialect);
    object.text("traceState", &span.trace_state);
    match span.parent {
        Some(parent) => write_id(object.key("parentSpanId"), &parent, dialect),
        // OTLP's own libraries say that there is none.
        None if dialect == Dialect::Otlp => write_text(object.key("parentSpanId"), ""),
        None => {}
    }
    object.small("flags", span.flags);
    object.text("name", &span.name);
    write_enum(&mut object, "kind", span.kind, &KINDS, dialect);
    object.large("startTimeUnixNano", unix_ns(span.start_ns));
    object.large("endTimeUnixNano", unix_ns(end_ns(span)));
    object.list("attributes", &span.attributes, write_attribute);
    object.small("droppedAttributesCount", span.dropped_attributes);
    object.list("events", &span.events, write_event);
    object.small("droppedEventsCount", span.dropped_events);
    object.list("links", &span.links, |out, link| write_link(out, link, dialect));
    object.small("droppedLinksCount", span.dropped_links);
    let mut status = Object::open(object.key("status"));
    status.text("message", &span.status_message);
    write_enum(&mut status, "code", span.status, &CODES, dialect);
    status.close();
    object.close();
}

fn write_event(out: &mut Vec<u8>, event: &Event) {
    let mut object = Object::open(out);
    object.large("timeUnixNano", unix_ns(event.time_ns));
    object.text("name", &event.name);
    object.list("attributes", &event.attributes, write_attribute);
    object.small("droppedAttributesCount", event.dropped_attributes);
    object.close();
}

fn write_link(out: &mut Vec<u8>, link: &Link, dialect: Dialect) {
    let mut object = Object::open(out);
    write_id(object.key("traceId"), &link.trace_id, dialect);
    write_id(object.key("spanId"), &link.span_id, dialect);
    object.text("traceState", &link.trace_state);
    object.list("attributes", &link.attributes, write_attribute);
    object.small("droppedAttributesCount", link.dropped_attributes);
    object.small("flags", link.flags);
    object.close();
}

fn write_id(out: &mut Vec<u8>, id: &[u8], dialect: Dialect) {
    match dialect {
        Dialect::Jsonpb => write_base64(out, id),
        Dialect::Otlp => write_text(out, &encode(id)),
    }
}

/// A number of an enumeration, left out when it is 0. One that nobody named is a number in every dialect.
fn write_enum(object: &mut Object<'_>, key: &str, number: i32, names: &[&str], dialect: Dialect) {
    match usize::try_from(number).ok().and_then(|at| names.get(at)) {
        Some(name) if dialect == Dialect::Jsonpb && number != 0 => object.text(key, name),
        _ => object.small(key, number),
    }
}

fn write_attribute(out: &mut Vec<u8>, (key, value): &(String, AnyValue)) {
    out.extend_from_slice(br#"{"key":"#);
    write_text(out, key);
    out.extend_from_slice(br#","value":"#);
    write_value(out, value);
    out.push(b'}');
}

/// A value with its type. In a choice zero is a value like any other and is not left out.
fn write_value(out: &mut Vec<u8>, value: &AnyValue) {
    let mut object = Object::open(out);
    match value {
        AnyValue::Empty => {}
        AnyValue::Str(text) => write_text(object.key("stringValue"), text),
        AnyValue::Int(number) => write_text(object.key("intValue"), &number.to_string()),
        AnyValue::Double(number) => write_double(object.key("doubleValue"), *number),
        AnyValue::Bool(flag) => object.key("boolValue").extend_from_slice(if *flag { b"true" } else { b"false" }),
        AnyValue::Bytes(bytes) => write_base64(object.key("bytesValue"), bytes),
        AnyValue::List(items) => {
            let mut list = Object::open(object.key("arrayValue"));
            list.list("values", items, write_value);
            list.close();
        }
        AnyValue::Map(pairs) => {
            let mut list = Object::open(object.key("kvlistValue"));
            list.list("values", pairs, write_attribute);
            list.close();
        }
    }
    object.close();
}

/// `{"key":..,"value":{..}}` of a message.
pub(crate) fn write_key_value(out: &mut Vec<u8>, pair: &KeyValue) {
    let mut object = Object::open(out);
    object.text("key", &pair.key);
    object.message("value", pair.value.as_ref(), write_wire_value);
    object.close();
}

fn write_wire_value(out: &mut Vec<u8>, value: &WireValue) {
    let mut object = Object::open(out);
    match &value.value {
        None | Some(Wire::StringValueStrindex(_)) => {}
        Some(Wire::StringValue(text)) => write_text(object.key("stringValue"), text),
        Some(Wire::IntValue(number)) => write_text(object.key("intValue"), &number.to_string()),
        Some(Wire::DoubleValue(number)) => write_double(object.key("doubleValue"), *number),
        Some(Wire::BoolValue(flag)) => object.key("boolValue").extend_from_slice(if *flag { b"true" } else { b"false" }),
        Some(Wire::BytesValue(bytes)) => write_base64(object.key("bytesValue"), bytes),
        Some(Wire::ArrayValue(array)) => {
            let mut list = Object::open(object.key("arrayValue"));
            list.list("values", &array.values, write_wire_value);
            list.close();
        }
        Some(Wire::KvlistValue(map)) => {
            let mut list = Object::open(object.key("kvlistValue"));
            list.list("values", &map.values, write_key_value);
            list.close();
        }
    }
    object.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::group;
    use crate::otlp::message::resource_spans;
    use crate::otlp::sample::trace;

    fn text(dialect: Dialect) -> serde_json::Value {
        let mut data = ResourceSpans::new(group([trace()]), dialect);
        let mut out = Vec::new();
        while data.write_next(&mut out) {}
        serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)))
    }

    #[test]
    fn tempos_json() {
        let json = text(Dialect::Jsonpb);
        assert_eq!(json.as_array().unwrap().len(), 2, "two resources");
        assert_eq!(
            json[0]["resource"]["attributes"][0],
            serde_json::json!({ "key": "service.name", "value": { "stringValue": "shop" } })
        );
        let scopes = json[0]["scopeSpans"].as_array().unwrap();
        assert_eq!(scopes.len(), 2);
        assert_eq!(scopes[0]["scope"], serde_json::json!({ "name": "http", "version": "1.2" }));
        assert_eq!(scopes[1]["scope"], serde_json::json!({}));
        assert_eq!(
            scopes[0]["spans"][0],
            serde_json::json!({
                "traceId": "AAAAAAAAAAALUQxx1A6xOw==", "spanId": "AQIDBAUGBwg=", "name": "GET /", "kind": "SPAN_KIND_SERVER",
                "startTimeUnixNano": "1793491200000000001", "endTimeUnixNano": "1793491200050000001",
                "attributes": [
                    { "key": "a.bytes", "value": { "bytesValue": "AAH+" } },
                    { "key": "b.list", "value": { "arrayValue": { "values": [{ "intValue": "1" }, { "intValue": "0" }] } } },
                    { "key": "c.map", "value": { "kvlistValue": { "values": [{ "key": "k", "value": { "boolValue": false } }] } } },
                    { "key": "d.none", "value": {} },
                    { "key": "http.status_code", "value": { "intValue": "500" } },
                    { "key": "ratio", "value": { "doubleValue": 0.25 } },
                ],
                "events": [{
                    "timeUnixNano": "1793491200010000001", "name": "exception",
                    "attributes": [{ "key": "exception.message", "value": { "stringValue": "boom" } }],
                }],
                "status": { "code": "STATUS_CODE_ERROR", "message": "it broke" },
            })
        );
        assert_eq!(scopes[1]["spans"][0]["parentSpanId"], "AQIDBAUGBwg=");
        assert_eq!(scopes[1]["spans"][0]["status"], serde_json::json!({}));
        assert!(scopes[1]["spans"][0].get("kind").is_none());
    }

    #[test]
    fn otlps_own_json() {
        let json = text(Dialect::Otlp);
        let span = &json[0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "00000000000000000b510c71d40eb13b");
        assert_eq!((&span["spanId"], &span["parentSpanId"]), (&"0102030405060708".into(), &"".into()));
        assert_eq!((&span["kind"], &span["status"]["code"]), (&2.into(), &2.into()));
        let link = &json[1]["scopeSpans"][0]["spans"][0]["links"][0];
        assert_eq!(link["spanId"], "0102030405060708");
    }

    #[test]
    fn nothing_is_an_empty_list() {
        let mut data = ResourceSpans::new(Vec::new(), Dialect::Otlp);
        let mut out = Vec::new();
        while data.write_next(&mut out) {}
        assert_eq!(out, b"[]");
    }

    #[test]
    fn messages_say_the_same() {
        let messages = resource_spans(group([trace()]));
        assert_eq!(messages.len(), 2);
        let span = &messages[0].scope_spans[0].spans[0];
        assert_eq!((span.name.as_str(), span.kind, span.events.len(), span.attributes.len()), ("GET /", 2, 1, 6));
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 50_000_000);
        assert!(span.parent_span_id.is_empty());
    }
}
