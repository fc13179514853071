use std::io::Write;

use ::http::StatusCode;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};
use thrift::protocol::{TBinaryOutputProtocol, TFieldIdentifier, TListIdentifier, TOutputProtocol, TType};

use super::*;
use crate::receive::ReceiveConfig;
use crate::receive::spans::tests::{Flat, ToOtlp, attribute, convert, decode, fixture, flat, post, text};

/// `zipkin.proto3`, as a sender writes it.
mod messages {
    use std::collections::BTreeMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ListOfSpans {
        #[prost(message, repeated, tag = "1")]
        pub(super) spans: Vec<Span>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) parent_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        pub(super) id: Vec<u8>,
        #[prost(int32, tag = "4")]
        pub(super) kind: i32,
        #[prost(string, tag = "5")]
        pub(super) name: String,
        #[prost(fixed64, tag = "6")]
        pub(super) timestamp: u64,
        #[prost(uint64, tag = "7")]
        pub(super) duration: u64,
        #[prost(message, optional, tag = "8")]
        pub(super) local_endpoint: Option<Endpoint>,
        #[prost(message, optional, tag = "9")]
        pub(super) remote_endpoint: Option<Endpoint>,
        #[prost(message, repeated, tag = "10")]
        pub(super) annotations: Vec<Annotation>,
        #[prost(btree_map = "string, string", tag = "11")]
        pub(super) tags: BTreeMap<String, String>,
        #[prost(bool, tag = "12")]
        pub(super) debug: bool,
        #[prost(bool, tag = "13")]
        pub(super) shared: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Endpoint {
        #[prost(string, tag = "1")]
        pub(super) service_name: String,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) ipv4: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        pub(super) ipv6: Vec<u8>,
        #[prost(int32, tag = "4")]
        pub(super) port: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Annotation {
        #[prost(fixed64, tag = "1")]
        pub(super) timestamp: u64,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }
}

use messages::{Annotation, Endpoint, ListOfSpans, Span};

const TS: u64 = 1_700_000_000_000_001;

/// All spans of a list in JSON.
#[track_caller]
fn all(list: &Value) -> Vec<Flat> {
    flat(&decode(&json::to_otlp(list.to_string().as_bytes(), &ReceiveConfig::default()).unwrap()))
}

/// A good span with the fields of `more` over its own.
fn with(more: Value) -> Value {
    let mut span =
        json!({ "traceId": "0102030405060708", "id": "1112131415161718", "name": "get", "timestamp": TS, "duration": 250 });
    for (key, value) in more.as_object().expect("an object") {
        span[key] = value.clone();
    }
    span
}

#[track_caller]
fn one(more: Value) -> Flat {
    let [span] = <[_; 1]>::try_from(all(&json!([with(more)]))).expect("one span");
    span
}

#[test]
fn ids_are_hexadecimal_with_or_without_zeros() {
    #[track_caller]
    fn check(trace: &str, id: &str, parent: Value, expected: (&str, &str, &str)) {
        let (_, _, span) = one(json!({ "traceId": trace, "id": id, "parentId": parent }));
        let found = (hex::encode(span.trace_id), hex::encode(span.span_id), hex::encode(span.parent_span_id));
        assert_eq!((found.0.as_str(), found.1.as_str(), found.2.as_str()), expected);
    }
    let full = "00000000000000000102030405060708";
    check("0102030405060708", "1", json!(null), (full, "0000000000000001", ""));
    check("102030405060708", "a", json!("b"), (full, "000000000000000a", "000000000000000b"));
    check(full, "1112131415161718", json!("1112131415161718"), (full, "1112131415161718", "")); // its own parent
    let long = "FFeeddccbbaa99887766554433221100";
    check(long, "1", json!(""), ("ffeeddccbbaa99887766554433221100", "0000000000000001", ""));
    check("xyz", "1", json!(null), ("", "0000000000000001", ""));
    check(&"1".repeat(33), "1", json!("2".repeat(17)), ("", "0000000000000001", "00"));
}

#[test]
fn times_are_microseconds_and_may_be_missing() {
    let times = |more| {
        let (_, _, span) = one(more);
        let absent = span.attributes.iter().any(|a| a.key == "otel.zipkin.absentField.startTime");
        (span.start_time_unix_nano, span.end_time_unix_nano, absent)
    };
    let start = TS * 1_000;
    assert_eq!(times(json!({})), (start, start + 250_000, false));
    assert_eq!(times(json!({ "timestamp": TS.to_string(), "duration": 2.9 })), (start, start + 2_000, false));
    assert_eq!(times(json!({ "duration": null })), (start, start, false));
    assert_eq!(times(json!({ "timestamp": 0 })), (0, 250_000, true));
    let annotations = json!([{ "timestamp": TS + 1, "value": "b" }, { "timestamp": TS, "value": "a" }]);
    assert_eq!(times(json!({ "timestamp": null, "annotations": annotations })), (start, start + 250_000, true));
}

#[test]
fn endpoints_name_services_and_peers() {
    let (resource, _, span) = one(json!({
        "kind": "CLIENT",
        "localEndpoint": { "serviceName": "shop", "ipv4": "10.0.0.1", "port": 80 },
        "remoteEndpoint": { "serviceName": "db", "ipv4": "10.0.0.2", "ipv6": "2001:db8::1", "port": 5432 },
        "tags": { "http.path": "/", "peer.service": "said otherwise" },
        "shared": true,
    }));
    assert_eq!((resource, span.kind), (vec![text("service.name", "shop")], 3));
    let expected = [
        text("http.path", "/"),
        text("network.local.address", "10.0.0.1"),
        attribute("network.local.port", Any::IntValue(80)),
        text("peer.service", "db"),
        text("network.peer.address", "2001:db8::1"),
        attribute("network.peer.port", Any::IntValue(5432)),
    ];
    assert_eq!(span.attributes, expected);
    let (resource, _, span) =
        one(json!({ "localEndpoint": null, "remoteEndpoint": {}, "tags": null, "annotations": null, "kind": null }));
    assert_eq!((resource, span.kind, span.attributes), (vec![], 0, vec![]));
}

#[test]
fn client_and_server_of_one_id_are_two_spans() {
    let list = json!([
        with(json!({ "kind": "CLIENT", "localEndpoint": { "serviceName": "a" } })),
        with(json!({ "kind": "SERVER", "shared": true, "localEndpoint": { "serviceName": "b" } })),
    ]);
    let spans = all(&list);
    assert_eq!(spans.iter().map(|(_, _, s)| s.kind).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(spans[0].2.span_id, spans[1].2.span_id);
    let otlp = json::to_otlp(list.to_string().as_bytes(), &ReceiveConfig::default()).unwrap();
    assert_eq!(convert(&otlp, ReceiveConfig::default()), (2, 0, String::new()));
}

#[test]
fn tags_say_status_scope_and_resource() {
    #[track_caller]
    fn check(tags: Value, code: i32, message: &str, left: &[&str]) {
        let (_, _, span) = one(json!({ "tags": tags }));
        let status = span.status.unwrap_or_default();
        let keys: Vec<_> = span.attributes.iter().map(|a| a.key.as_str()).collect();
        assert_eq!((status.code, status.message.as_str(), keys.as_slice()), (code, message, left));
    }
    check(json!({ "error": "true" }), 2, "", &[]);
    check(json!({ "error": "" }), 2, "", &[]);
    check(json!({ "error": "timeout" }), 2, "timeout", &["error"]);
    check(json!({ "error": "false" }), 0, "", &["error"]);
    check(json!({ "otel.status_code": "OK" }), 1, "", &[]);
    check(json!({ "otel.status_code": "STATUS_CODE_ERROR", "otel.status_description": "why" }), 2, "why", &[]);
    check(json!({ "otel.status_code": "ERROR", "otel.status_description": "why", "error": "x" }), 2, "why", &["error"]);
    let (resource, scope, span) = one(json!({
        "localEndpoint": { "serviceName": "shop" },
        "tags": {
            "otlp.service.name.source": "faas.name", "service.version": "1.2", "telemetry.sdk.name": "opentelemetry",
            "otel.scope.name": "lib", "otel.library.name": "old", "otel.library.version": "3", "w3c.tracestate": "v=1",
            "span.kind": "internal", "number": 5, "null": null,
        },
    }));
    let expected = [text("faas.name", "shop"), text("service.version", "1.2"), text("telemetry.sdk.name", "opentelemetry")];
    assert_eq!((resource, scope), (expected.to_vec(), ("lib".to_owned(), "3".to_owned())));
    assert_eq!((span.trace_state.as_str(), span.kind, span.attributes), ("v=1", 1, vec![text("number", "5")]));
}

#[test]
fn annotations_are_events() {
    let values = ["retry", r#"named|{"n":1,"f":0.5,"b":true,"t":"x|y"}|3"#, "a|b|c", r#"broken|{"n":|1"#];
    let annotations: Vec<_> = values.iter().map(|value| json!({ "timestamp": TS, "value": value })).collect();
    let (_, _, span) = one(json!({ "annotations": annotations }));
    let names: Vec<_> = span.events.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["retry", "named", "a|b|c", r#"broken|{"n":|1"#]);
    let mut attributes = span.events[1].attributes.clone();
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    let expected = [
        attribute("b", Any::BoolValue(true)),
        attribute("f", Any::DoubleValue(0.5)),
        attribute("n", Any::IntValue(1)),
        text("t", "x|y"),
    ];
    assert_eq!((attributes, span.events[1].dropped_attributes_count), (expected.to_vec(), 3));
    assert_eq!(span.events[0].time_unix_nano, TS * 1_000);
}

#[test]
fn links_come_back_from_tags() {
    let id = "0102030405060708090a0b0c0d0e0f10";
    let (_, _, span) = one(json!({ "tags": {
        "otlp.link.0": format!(r#"{id}|0102030405060708|a=b|{{"k":"v"}}|2"#),
        "otlp.link.1": "no link",
        "otlp.link.3": "behind a gap",
    } }));
    let link = &span.links[0];
    assert_eq!((hex::encode(&link.trace_id), link.trace_state.as_str()), (id.to_owned(), "a=b"));
    assert_eq!((link.attributes.clone(), link.dropped_attributes_count), (vec![text("k", "v")], 2));
    let keys: Vec<_> = span.attributes.iter().map(|a| a.key.as_str()).collect();
    assert_eq!((span.links.len(), keys.as_slice()), (1, &["otlp.link.1", "otlp.link.3"][..]));
}

#[test]
fn what_is_no_list_is_refused() {
    #[track_caller]
    fn check(body: &str, reason: &str) {
        let error = json::to_otlp(body.as_bytes(), &ReceiveConfig::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("malformed list of Zipkin spans: {reason}"));
    }
    check("", "unexpected end at byte 0");
    check("{}", "expected an array at byte 0");
    check("[]x", "something follows the list at byte 2");
    check(r#"[{"traceId":5}]"#, "expected a string at byte 12");
    check(r#"[{"timestamp":"x"}]"#, "expected a number at byte 14");
    check(r#"[{"debug":1}]"#, "expected a boolean at byte 10");
    check(r#"[{"name":"a"]"#, "expected a comma or the end of an object at byte 12");
    let error = json::to_otlp(b"[{\"name\":\"\xff\"}]", &ReceiveConfig::default()).unwrap_err();
    assert_eq!(error.to_string(), "malformed list of Zipkin spans: body is not valid UTF-8");
    assert!(json::to_otlp(&b"[".repeat(100_000), &ReceiveConfig::default()).is_err());
    assert!(all(&json!([null, {}])).len() == 1);
}

#[test]
fn a_bad_span_leaves_its_neighbours() {
    let list =
        json!([with(json!({})), with(json!({ "traceId": "no" })), with(json!({ "id": "" })), with(json!({ "timestamp": -5 }))]);
    let otlp = json::to_otlp(list.to_string().as_bytes(), &ReceiveConfig::default()).unwrap();
    let reason = "1 refused: the time is outside the years 1677 to 2262; 1 refused: trace id is not 16 bytes or all zero; \
                  1 refused: span id is not 8 bytes or all zero";
    assert_eq!(convert(&otlp, ReceiveConfig::default()), (1, 3, reason.to_owned()));
}

// ---- protobuf: the same spans by another way in ----

fn as_json(list: &ListOfSpans) -> Value {
    let endpoint = |e: &Option<Endpoint>| match e {
        None => Value::Null,
        Some(e) => {
            let v4 = <[u8; 4]>::try_from(e.ipv4.as_slice()).map(|b| std::net::Ipv4Addr::from(b).to_string()).ok();
            let v6 = <[u8; 16]>::try_from(e.ipv6.as_slice()).map(|b| std::net::Ipv6Addr::from(b).to_string()).ok();
            json!({ "serviceName": e.service_name, "ipv4": v4, "ipv6": v6, "port": e.port })
        }
    };
    let span = |s: &Span| {
        let kind = [None, Some("CLIENT"), Some("SERVER"), Some("PRODUCER"), Some("CONSUMER")][s.kind as usize];
        let annotations: Vec<_> = s.annotations.iter().map(|a| json!({ "timestamp": a.timestamp, "value": a.value })).collect();
        json!({
            "traceId": hex::encode(&s.trace_id), "parentId": hex::encode(&s.parent_id), "id": hex::encode(&s.id), "kind": kind,
            "name": s.name, "timestamp": s.timestamp, "duration": s.duration, "localEndpoint": endpoint(&s.local_endpoint),
            "remoteEndpoint": endpoint(&s.remote_endpoint), "annotations": annotations, "tags": s.tags, "debug": s.debug,
            "shared": s.shared,
        })
    };
    list.spans.iter().map(span).collect()
}

fn any_list() -> impl Strategy<Value = ListOfSpans> {
    let endpoint =
        ("[a-b]?", any::<Option<[u8; 4]>>(), any::<Option<[u8; 16]>>(), 0..3i32).prop_map(|(service_name, v4, v6, port)| {
            let (ipv4, ipv6) = (v4.map_or(vec![], Vec::from), v6.map_or(vec![], Vec::from));
            Endpoint { service_name, ipv4, ipv6, port }
        });
    let key =
        prop_oneof!["[a-c]{1,2}", Just("error".to_owned()), Just("service.version".to_owned()), Just("span.kind".to_owned())];
    let tags = prop::collection::btree_map(key, prop_oneof!["[a-z]{0,2}", Just("server".to_owned())], 0..4);
    let annotation = (0..1_000u64, "[a-z|{}0]{0,6}").prop_map(|(timestamp, value)| Annotation { timestamp, value });
    let trace = prop_oneof![Just(vec![1; 8]), Just(vec![2; 16])];
    let parent = prop_oneof![Just(vec![]), Just(vec![3; 8]), Just(vec![4; 8])];
    let head = (trace, parent, 0..5i32, "[a-z]{0,4}", 0..u64::MAX >> 12, 0..1_000u64);
    let ends = (prop::option::of(endpoint.clone()), prop::option::of(endpoint));
    let span = (head, ends, prop::collection::vec(annotation, 0..3), tags, any::<bool>(), any::<bool>());
    let span =
        span.prop_map(|((trace_id, parent_id, kind, name, timestamp, duration), ends, annotations, tags, debug, shared)| Span {
            trace_id,
            parent_id,
            id: vec![3; 8],
            kind,
            name,
            timestamp,
            duration,
            local_endpoint: ends.0,
            remote_endpoint: ends.1,
            annotations,
            tags,
            debug,
            shared,
        });
    prop::collection::vec(span, 0..5).prop_map(|spans| ListOfSpans { spans })
}

proptest! {
    /// Two encodings, two readers, one meaning; and every span is either stored or counted.
    #[test]
    fn both_ways_in_agree(list in any_list()) {
        let config = ReceiveConfig::default();
        let by_protobuf = protobuf::to_otlp(&list.encode_to_vec(), &config).unwrap();
        let by_json = json::to_otlp(as_json(&list).to_string().as_bytes(), &config).unwrap();
        prop_assert_eq!(&by_protobuf, &by_json);
        prop_assert_eq!(decode(&by_protobuf).encode_to_vec(), by_protobuf.clone());
        let (accepted, rejected, _) = convert(&by_protobuf, config);
        prop_assert_eq!(accepted + rejected, list.spans.len() as u64);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(prop_oneof![0..20u8, any::<u8>()], 0..300)) {
        for to_otlp in [protobuf::to_otlp, json::to_otlp, v1_json::to_otlp, v1_thrift::to_otlp] {
            if let Ok(otlp) = to_otlp(&bytes, &ReceiveConfig::default()) {
                convert(&otlp, ReceiveConfig::default());
            }
        }
    }

    /// A good list with a few bytes changed gets deeper than noise.
    #[test]
    fn damaged_lists_never_panic(list in any_list(), damage in prop::collection::vec((any::<u16>(), any::<u8>()), 1..5)) {
        let text = as_json(&list).to_string().into_bytes();
        let ways: [(Vec<u8>, ToOtlp); 3] =
            [(list.encode_to_vec(), protobuf::to_otlp), (text.clone(), json::to_otlp), (text, v1_json::to_otlp)];
        for (mut bytes, to_otlp) in ways {
            for (at, byte) in &damage {
                let at = usize::from(*at) % bytes.len().max(1);
                if let Some(slot) = bytes.get_mut(at) {
                    *slot = *byte;
                }
            }
            if let Ok(otlp) = to_otlp(&bytes, &ReceiveConfig::default()) {
                convert(&otlp, ReceiveConfig::default());
            }
        }
    }
}

#[test]
fn ids_of_the_wrong_length_refuse_a_span_in_protobuf_too() {
    let good = Span { trace_id: vec![1; 8], id: vec![2; 8], timestamp: TS, ..Default::default() };
    let bad = [
        Span { trace_id: vec![1; 15], ..good.clone() },
        Span { id: vec![2; 16], ..good.clone() },
        Span { parent_id: vec![3; 4], ..good.clone() },
    ];
    let spans = [vec![good], bad.to_vec()].concat();
    let otlp = protobuf::to_otlp(&ListOfSpans { spans }.encode_to_vec(), &ReceiveConfig::default()).unwrap();
    let reason = "1 refused: trace id is not 16 bytes or all zero; 1 refused: span id is not 8 bytes or all zero; \
                  1 changed: parent span id is not 8 bytes, stored as none";
    assert_eq!(convert(&otlp, ReceiveConfig::default()), (2, 2, reason.to_owned()));
}

// ---- version 1 ----

fn v1_list() -> Value {
    let host = json!({ "serviceName": "shop", "ipv4": "10.0.0.1", "port": 80 });
    json!([{
        "traceId": "1", "id": "2", "parentId": "3", "name": "get",
        "annotations": [
            { "timestamp": TS + 9, "value": "cr", "endpoint": host },
            { "timestamp": TS, "value": "cs", "endpoint": host },
            { "timestamp": TS + 5, "value": "retry", "endpoint": { "serviceName": "other" } },
        ],
        "binaryAnnotations": [
            { "key": "http.path", "value": "/", "endpoint": host },
            { "key": "sa", "value": true, "endpoint": { "serviceName": "db", "ipv4": "10.0.0.2", "port": 5432 } },
            { "key": "lc", "value": "finch" },
        ],
    }])
}

/// What both forms of [`v1_list`] mean.
#[track_caller]
fn check_v1(otlp: &[u8]) {
    let [(resource, _, span)] = <[_; 1]>::try_from(flat(&decode(otlp))).expect("one span");
    assert_eq!((resource, span.kind, span.name.as_str()), (vec![text("service.name", "shop")], 3, "get"));
    assert_eq!((span.trace_id[15], span.span_id[7], span.parent_span_id[7]), (1, 2, 3));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (TS * 1_000, (TS + 9) * 1_000));
    assert_eq!(span.events.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["retry"]);
    let expected = [
        text("http.path", "/"),
        text("component", "finch"),
        text("network.local.address", "10.0.0.1"),
        attribute("network.local.port", Any::IntValue(80)),
        text("peer.service", "db"),
        text("network.peer.address", "10.0.0.2"),
        attribute("network.peer.port", Any::IntValue(5432)),
    ];
    assert_eq!(span.attributes, expected);
}

#[test]
fn version_1_is_read_as_json() {
    check_v1(&v1_json::to_otlp(v1_list().to_string().as_bytes(), &ReceiveConfig::default()).unwrap());
    let times = json!([{ "traceId": "1", "id": "2", "timestamp": 5, "duration": 7, "binaryAnnotations": [{ "key": "lc", "value": "job" }] }]);
    let spans = flat(&decode(&v1_json::to_otlp(times.to_string().as_bytes(), &ReceiveConfig::default()).unwrap()));
    assert_eq!((spans[0].0.clone(), spans[0].2.end_time_unix_nano), (vec![text("service.name", "job")], 12_000));
}

fn head(out: &mut dyn TOutputProtocol, kind: TType, id: i16) {
    out.write_field_begin(&TFieldIdentifier::new("f", kind, id)).unwrap();
}

fn string(out: &mut dyn TOutputProtocol, id: i16, bytes: &[u8]) {
    head(out, TType::String, id);
    out.write_bytes(bytes).unwrap();
}

fn i64_field(out: &mut dyn TOutputProtocol, id: i16, value: i64) {
    head(out, TType::I64, id);
    out.write_i64(value).unwrap();
}

fn structs(out: &mut dyn TOutputProtocol, items: &[Value], each: impl Fn(&mut dyn TOutputProtocol, &Value)) {
    out.write_list_begin(&TListIdentifier::new(TType::Struct, items.len() as i32)).unwrap();
    for item in items {
        each(out, item);
        out.write_field_stop().unwrap();
    }
}

fn host(out: &mut dyn TOutputProtocol, id: i16, endpoint: &Value) {
    if endpoint.is_null() {
        return;
    }
    head(out, TType::Struct, id);
    head(out, TType::I32, 1);
    let address: std::net::Ipv4Addr = endpoint["ipv4"].as_str().unwrap_or("0.0.0.0").parse().unwrap();
    out.write_i32(address.to_bits() as i32).unwrap();
    head(out, TType::I16, 2);
    out.write_i16(endpoint["port"].as_i64().unwrap_or(0) as i16).unwrap();
    string(out, 3, endpoint["serviceName"].as_str().unwrap().as_bytes());
    out.write_field_stop().unwrap();
}

/// A list of version 1 by Apache's own writer.
fn v1_as_thrift(list: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut protocol = TBinaryOutputProtocol::new(&mut bytes, true);
    structs(&mut protocol, list.as_array().unwrap(), |out, span| {
        let id = |name: &str| i64::from_str_radix(span[name].as_str().unwrap(), 16).unwrap();
        i64_field(out, 1, id("traceId"));
        string(out, 3, span["name"].as_str().unwrap().as_bytes());
        i64_field(out, 4, id("id"));
        i64_field(out, 5, id("parentId"));
        head(out, TType::List, 6);
        structs(out, span["annotations"].as_array().unwrap(), |out, annotation| {
            i64_field(out, 1, annotation["timestamp"].as_i64().unwrap());
            string(out, 2, annotation["value"].as_str().unwrap().as_bytes());
            host(out, 3, &annotation["endpoint"]);
        });
        head(out, TType::List, 8);
        structs(out, span["binaryAnnotations"].as_array().unwrap(), |out, tag| {
            string(out, 1, tag["key"].as_str().unwrap().as_bytes());
            let (kind, value) = tag["value"].as_str().map_or((0, &[1][..]), |text| (6, text.as_bytes()));
            string(out, 2, value);
            head(out, TType::I32, 3);
            out.write_i32(kind).unwrap();
            host(out, 4, &tag["endpoint"]);
        });
        i64_field(out, 12, 0);
    });
    bytes
}

#[test]
fn version_1_is_read_as_thrift() {
    let bytes = v1_as_thrift(&v1_list());
    check_v1(&v1_thrift::to_otlp(&bytes, &ReceiveConfig::default()).unwrap());
    for cut in 0..bytes.len() {
        let error = v1_thrift::to_otlp(&bytes[..cut], &ReceiveConfig::default()).unwrap_err();
        assert_eq!(error.to_string(), "malformed list of zipkincore.Span: struct is truncated");
    }
}

// ---- over HTTP ----

#[tokio::test]
async fn lists_are_answered_as_zipkin_does() {
    let fixture = fixture(None, ReceiveConfig::default());
    let router = || router(fixture.state.clone());
    let body = json!([with(json!({}))]).to_string().into_bytes();
    for headers in [vec![], vec![("content-type", "application/json")], vec![("content-type", "text/plain")]] {
        let (status, _, answer) = post(router(), "/api/v2/spans", &headers, body.clone()).await;
        assert_eq!((status, answer.len()), (StatusCode::ACCEPTED, 0));
        assert_eq!(fixture.spans(), 1, "the same body again is a retry");
    }
    let list = ListOfSpans { spans: vec![Span { trace_id: vec![1; 16], id: vec![2; 8], timestamp: TS, ..Default::default() }] };
    let protobuf = [("content-type", "application/x-protobuf")];
    assert_eq!(post(router(), "/api/v2/spans", &protobuf, list.encode_to_vec()).await.0, StatusCode::ACCEPTED);
    assert_eq!(fixture.spans(), 2);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(v1_list().to_string().as_bytes()).unwrap();
    let gzipped = gzip.finish().unwrap();
    assert_eq!(post(router(), "/api/v1/spans", &[("content-encoding", "gzip")], gzipped).await.0, StatusCode::ACCEPTED);
    let thrift = [("content-type", "application/x-thrift")];
    assert_eq!(post(router(), "/api/v1/spans", &thrift, v1_as_thrift(&v1_list())).await.0, StatusCode::ACCEPTED);
    assert_eq!(fixture.spans(), 4);
    assert_eq!(post(router(), "/api/v2/spans", &[], b"[]".to_vec()).await.0, StatusCode::ACCEPTED);
    for (body, status) in [
        (json!([with(json!({ "id": "no" })), with(json!({ "id": "5" }))]), StatusCode::ACCEPTED),
        (json!([with(json!({ "id": "no" }))]), StatusCode::BAD_REQUEST),
    ] {
        let (found, _, answer) = post(router(), "/api/v2/spans", &[], body.to_string().into_bytes()).await;
        assert_eq!((found, answer.as_slice()), (status, &b"1 refused: span id is not 8 bytes or all zero\n"[..]));
    }
    let (status, _, answer) = post(router(), "/api/v2/spans", &[], b"[{]".to_vec()).await;
    assert_eq!(
        (status, answer.as_slice()),
        (StatusCode::BAD_REQUEST, &b"malformed list of Zipkin spans: expected a string at byte 2\n"[..])
    );
    let (status, ..) = post(router(), "/api/v2/spans", &[("content-encoding", "br")], body).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(fixture.spans(), 5);
}

#[tokio::test]
async fn a_large_list_is_refused_and_not_held() {
    let config =
        ReceiveConfig { body_bytes_max: 1_000, decompressed_bytes_max: 1_000, in_flight_bytes_max: 3_000, ..Default::default() };
    let fixture = fixture(None, config);
    let list: Vec<_> = (0..100).map(|n| with(json!({ "name": format!("n{n}") }))).collect();
    let (status, ..) = post(router(fixture.state.clone()), "/api/v2/spans", &[], json!(list).to_string().into_bytes()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(fixture.spans(), 0);
    let list = json!([with(json!({}))]);
    for _ in 0..20 {
        let (status, ..) = post(router(fixture.state.clone()), "/api/v2/spans", &[], list.to_string().into_bytes()).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
}
