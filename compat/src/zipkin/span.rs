//! A span as Zipkin has it.
//!
//! ```text
//! OTLP                              Zipkin
//! kind                        ──►   kind; none for internal and unspecified
//! resource's service, host    ──►   localEndpoint
//! peer.service, server.* ..   ──►   remoteEndpoint
//! events                      ──►   annotations: the name, or {"name":{attributes}}
//! attributes, status, scope   ──►   tags: otel.status_code, error, otel.scope.*
//! a client's id, used again   ──►   shared
//! ```
//! Source: OpenTelemetry specification, "OpenTelemetry to Zipkin Transformation"; `zipkin2-api.yaml`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::vec::IntoIter;

use query::traceql::{AnyValue, Attributes, Event, Span, SpanId, Trace, TraceId};
use serde_json::{Map, Value, json};

use crate::otlp::plain::{value_json, value_text};
use crate::pieces::Data;

const US_NS: i64 = 1_000;
const SERVER: i32 = 2;
const ERROR: i32 = 2;

/// What may name the other side, the best first.
const REMOTE_NAMES: [&str; 9] = [
    "peer.service",
    "server.address",
    "net.peer.name",
    "network.peer.address",
    "server.socket.domain",
    "net.sock.peer.name",
    "peer.hostname",
    "peer.address",
    "db.name",
];
/// Where the other side's address may be.
const REMOTE_ADDRESSES: [&str; 5] =
    ["network.peer.address", "net.peer.ip", "net.sock.peer.addr", "server.socket.address", "server.address"];
/// Where its port may be.
const REMOTE_PORTS: [&str; 4] = ["network.peer.port", "net.peer.port", "net.sock.peer.port", "server.port"];
/// Where this side's address may be.
const LOCAL_ADDRESSES: [&str; 3] = ["net.host.ip", "network.local.address", "host.ip"];
/// Where its port may be.
const LOCAL_PORTS: [&str; 2] = ["net.host.port", "network.local.port"];

/// The list of a trace's spans, written span by span.
pub(super) struct List {
    trace: TraceId,
    spans: IntoIter<Span>,
    /// Ids that more than one span has.
    shared: HashSet<SpanId>,
    begun: bool,
    done: bool,
}

impl List {
    /// The list of `trace`.
    pub(super) fn new(trace: Trace) -> Self {
        let mut seen = HashSet::with_capacity(trace.spans.len());
        let shared = trace.spans.iter().map(|span| span.id).filter(|id| !seen.insert(*id)).collect();
        Self { trace: trace.id, spans: trace.spans.into_iter(), shared, begun: false, done: false }
    }
}

impl Data for List {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if self.done {
            return false;
        }
        let span = self.spans.next();
        out.extend_from_slice(match (self.begun, &span) {
            (false, Some(_)) => b"[",
            (false, None) => b"[]",
            (true, Some(_)) => b",",
            (true, None) => b"]",
        });
        self.begun = true;
        match span {
            Some(span) => {
                let shared = span.kind == SERVER && self.shared.contains(&span.id);
                // Writing to memory cannot fail.
                let _ = serde_json::to_writer(out, &span_json(self.trace, &span, shared));
            }
            None => self.done = true,
        }
        true
    }
}

/// The lists of many traces.
pub(super) struct Lists {
    traces: IntoIter<Trace>,
    at_work: Option<List>,
    begun: bool,
    done: bool,
}

impl Lists {
    /// The lists of `traces`.
    pub(super) fn new(traces: Vec<Trace>) -> Self {
        Self { traces: traces.into_iter(), at_work: None, begun: false, done: false }
    }
}

impl Data for Lists {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if self.at_work.as_mut().is_some_and(|list| list.write_next(out)) {
            return true;
        }
        if self.done {
            return false;
        }
        self.at_work = self.traces.next().map(List::new);
        self.done = self.at_work.is_none();
        out.extend_from_slice(match (self.begun, self.done) {
            (false, false) => b"[",
            (false, true) => b"[]",
            (true, false) => b",",
            (true, true) => b"]",
        });
        self.begun = true;
        true
    }
}

fn span_json(trace: TraceId, span: &Span, shared: bool) -> Value {
    let mut json = Map::new();
    json.insert("traceId".to_owned(), json!(trace_text(trace)));
    if let Some(parent) = span.parent {
        json.insert("parentId".to_owned(), json!(hex::encode(parent)));
    }
    json.insert("id".to_owned(), json!(hex::encode(span.id)));
    if let Some(kind) = kind_name(span.kind) {
        json.insert("kind".to_owned(), json!(kind));
    }
    if !span.name.is_empty() {
        json.insert("name".to_owned(), json!(span.name));
    }
    json.insert("timestamp".to_owned(), json!(span.start_ns.div_euclid(US_NS)));
    // Less than one microsecond is one, as Zipkin has it.
    json.insert("duration".to_owned(), json!((span.duration_ns / US_NS).max(1)));
    let local =
        endpoint(Some(&span.resource.service), &[&span.attributes, &span.resource.attributes], &LOCAL_ADDRESSES, &LOCAL_PORTS);
    let name = REMOTE_NAMES.iter().find_map(|key| text(&span.attributes, key)).filter(|name| name.parse::<IpAddr>().is_err());
    let remote = endpoint(name.as_ref(), &[&span.attributes], &REMOTE_ADDRESSES, &REMOTE_PORTS);
    for (key, endpoint) in [("localEndpoint", local), ("remoteEndpoint", remote)] {
        if let Some(endpoint) = endpoint {
            json.insert(key.to_owned(), endpoint);
        }
    }
    if !span.events.is_empty() {
        json.insert("annotations".to_owned(), span.events.iter().map(annotation).collect());
    }
    let tags = tags(span);
    if !tags.is_empty() {
        json.insert("tags".to_owned(), Value::Object(tags));
    }
    if shared {
        json.insert("shared".to_owned(), json!(true));
    }
    Value::Object(json)
}

/// An id: 16 digits when that is all there is to it.
fn trace_text(id: TraceId) -> String {
    if id[..8] == [0; 8] { hex::encode(&id[8..]) } else { hex::encode(id) }
}

fn kind_name(kind: i32) -> Option<&'static str> {
    match kind {
        2 => Some("SERVER"),
        3 => Some("CLIENT"),
        4 => Some("PRODUCER"),
        5 => Some("CONSUMER"),
        _ => None,
    }
}

fn annotation(event: &Event) -> Value {
    let value = match event.attributes.is_empty() {
        true => event.name.clone(),
        false => {
            let attributes: Map<String, Value> = event.attributes.iter().map(|(k, v)| (k.clone(), value_json(v))).collect();
            json!({ event.name.as_str(): attributes }).to_string()
        }
    };
    json!({ "timestamp": event.time_ns.div_euclid(US_NS), "value": value })
}

fn tags(span: &Span) -> Map<String, Value> {
    let mut tags = Map::new();
    let of_resource = span.resource.attributes.iter().filter(|(key, _)| key != "service.name");
    for (key, value) in of_resource.chain(&span.attributes) {
        tags.insert(key.clone(), json!(value_text(value)));
    }
    for (key, text) in [("otel.scope.name", &span.scope.name), ("otel.scope.version", &span.scope.version)] {
        if !text.is_empty() {
            tags.insert(key.to_owned(), json!(text));
        }
    }
    match span.status {
        1 => _ = tags.insert("otel.status_code".to_owned(), json!("OK")),
        ERROR => {
            tags.insert("otel.status_code".to_owned(), json!("ERROR"));
            // What the sender said of the error itself is better than what is made of the status.
            tags.entry("error").or_insert_with(|| json!(span.status_message));
        }
        _ => {}
    }
    tags
}

/// An endpoint, when anything is known of it.
fn endpoint(name: Option<&String>, attributes: &[&Attributes], addresses: &[&str], ports: &[&str]) -> Option<Value> {
    let mut json = Map::new();
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        json.insert("serviceName".to_owned(), json!(name));
    }
    let find = |keys: &[&str]| keys.iter().find_map(|key| attributes.iter().find_map(|attributes| text(attributes, key)));
    let address = addresses.iter().find_map(|key| find(&[key])?.parse::<IpAddr>().ok());
    match address {
        Some(IpAddr::V4(address)) => _ = json.insert("ipv4".to_owned(), json!(address.to_string())),
        Some(IpAddr::V6(address)) => _ = json.insert("ipv6".to_owned(), json!(address.to_string())),
        None => {}
    }
    if let Some(port) = find(ports).and_then(|port| port.parse::<u16>().ok()).filter(|port| *port != 0) {
        json.insert("port".to_owned(), json!(port));
    }
    (!json.is_empty()).then_some(Value::Object(json))
}

fn text(attributes: &Attributes, key: &str) -> Option<String> {
    let value = attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value)?;
    match value {
        AnyValue::List(items) => items.first().map(value_text),
        other => Some(value_text(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::sample::trace;

    fn written(mut data: impl Data) -> Value {
        let mut out = Vec::new();
        while data.write_next(&mut out) {}
        serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)))
    }

    #[test]
    fn traces_are_lists_of_lists() {
        assert_eq!(written(Lists::new(Vec::new())), json!([]));
        let lists = written(Lists::new(vec![trace(), Trace { spans: Vec::new(), ..trace() }, trace()]));
        let lengths: Vec<usize> = lists.as_array().unwrap().iter().map(|list| list.as_array().unwrap().len()).collect();
        assert_eq!(lengths, [3, 0, 3]);
    }

    #[test]
    fn a_trace_in_zipkins_json() {
        let json = written(List::new(trace()));
        let root = &json[0];
        assert_eq!((&root["traceId"], &root["id"]), (&"0b510c71d40eb13b".into(), &"0102030405060708".into()));
        assert!(root.get("parentId").is_none());
        assert_eq!((&root["kind"], &root["name"]), (&"SERVER".into(), &"GET /".into()));
        assert_eq!((&root["timestamp"], &root["duration"]), (&1_793_491_200_000_000i64.into(), &50_000.into()));
        assert_eq!(root["localEndpoint"], json!({ "serviceName": "shop" }));
        assert_eq!(root["tags"]["http.status_code"], "500");
        assert_eq!(root["tags"]["error"], "it broke");
        assert_eq!(root["tags"]["otel.status_code"], "ERROR");
        assert_eq!(root["tags"]["service.instance.id"], "shop-0");
        let value = root["annotations"][0]["value"].as_str().unwrap();
        assert_eq!(value, r#"{"exception":{"exception.message":"boom"}}"#);
        assert_eq!(json[1]["remoteEndpoint"], json!({ "serviceName": "stock", "ipv4": "10.0.0.7" }));
        assert!(json[1].get("kind").is_none());
    }

    #[test]
    fn a_server_may_share_its_clients_id() {
        let mut trace = trace();
        trace.spans[1].kind = 3;
        trace.spans[2].id = trace.spans[1].id;
        let json = written(List::new(trace));
        assert!(json[1].get("shared").is_none());
        assert_eq!(json[2]["shared"], true);
    }
}
