//! A trace to test with: two services, three spans, a value of every type, an event, a link.

use std::sync::Arc;

use query::traceql::{AnyValue, Attributes, Event, Link, Resource, Scope, Span, Trace, TraceId};

/// Its first eight bytes are zero, as those of clients with ids of 64 bits are.
pub(crate) const TRACE_ID: TraceId = [0, 0, 0, 0, 0, 0, 0, 0, 0x0b, 0x51, 0x0c, 0x71, 0xd4, 0x0e, 0xb1, 0x3b];
/// 2026-11-01T00:00:00.000000001Z
pub(crate) const START_NS: i64 = 1_793_491_200_000_000_001;
const MS: i64 = 1_000_000;

fn text(key: &str, value: &str) -> (String, AnyValue) {
    (key.to_owned(), AnyValue::Str(value.to_owned()))
}

fn resource(id: i64, service: &str) -> Arc<Resource> {
    let attributes = vec![text("service.name", service), text("service.instance.id", &format!("{service}-0"))];
    Arc::new(Resource { id, service: service.to_owned(), attributes, ..Resource::default() })
}

fn span(id: u8, parent: Option<u8>, name: &str, kind: i32, resource: &Arc<Resource>) -> Span {
    Span {
        id: [id, 2, 3, 4, 5, 6, 7, 8],
        parent: parent.map(|p| [p, 2, 3, 4, 5, 6, 7, 8]),
        trace_state: String::new(),
        flags: 0,
        name: name.to_owned(),
        kind,
        start_ns: START_NS + i64::from(id - 1) * MS,
        duration_ns: 50 * MS / i64::from(id),
        status: 0,
        status_message: String::new(),
        attributes: Attributes::new(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        resource: Arc::clone(resource),
        scope: Arc::default(),
    }
}

/// The trace: `shop` GET / (server, an error) ► call stock (client) ► `stock` POST /items (server).
pub(crate) fn trace() -> Trace {
    let (shop, stock) = (resource(1, "shop"), resource(2, "stock"));
    let root = Span {
        status: 2,
        status_message: "it broke".to_owned(),
        attributes: vec![
            ("a.bytes".to_owned(), AnyValue::Bytes(vec![0, 1, 254])),
            ("b.list".to_owned(), AnyValue::List(vec![AnyValue::Int(1), AnyValue::Int(0)])),
            ("c.map".to_owned(), AnyValue::Map(vec![("k".to_owned(), AnyValue::Bool(false))])),
            ("d.none".to_owned(), AnyValue::Empty),
            ("http.status_code".to_owned(), AnyValue::Int(500)),
            ("ratio".to_owned(), AnyValue::Double(0.25)),
        ],
        events: vec![Event {
            time_ns: START_NS + 10 * MS,
            name: "exception".to_owned(),
            attributes: vec![text("exception.message", "boom")],
            dropped_attributes: 0,
        }],
        scope: Arc::new(Scope { name: "http".to_owned(), version: "1.2".to_owned(), attributes: Attributes::new() }),
        ..span(1, None, "GET /", 2, &shop)
    };
    let call = Span {
        attributes: vec![text("peer.service", "stock"), text("server.address", "10.0.0.7")],
        ..span(2, Some(1), "call stock", 0, &shop)
    };
    let link = Link {
        trace_id: TRACE_ID,
        span_id: root.id,
        trace_state: String::new(),
        flags: 0,
        attributes: Attributes::new(),
        dropped_attributes: 0,
    };
    let served = Span { links: vec![link], ..span(3, Some(2), "POST /items", 2, &stock) };
    Trace { id: TRACE_ID, spans: vec![root, call, served] }
}
