use std::io::Write;

use ::http::StatusCode;
use ::thrift::protocol::{TBinaryOutputProtocol, TFieldIdentifier, TListIdentifier, TOutputProtocol, TType};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;
use proptest::prelude::*;
use prost::Message;

use super::messages::{Batch, KeyValue, Log, PostSpansRequest, Process, Span, SpanRef};
use super::*;
use crate::receive::ReceiveConfig;
use crate::receive::spans::tests::{ToOtlp, attribute, convert, decode, fixture, flat, post, text};
use crate::sink::SinkError;

const THRIFT: (&str, &str) = ("content-type", "application/x-thrift");
const GRPC: [(&str, &str); 1] = [("content-type", "application/grpc")];
const POST_SPANS: &str = "/jaeger.api_v2.CollectorService/PostSpans";

fn tag(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), v_str: value.to_owned(), ..Default::default() }
}

fn flag(key: &str, value: bool) -> KeyValue {
    KeyValue { key: key.to_owned(), v_type: 1, v_bool: value, ..Default::default() }
}

fn int(key: &str, value: i64) -> KeyValue {
    KeyValue { key: key.to_owned(), v_type: 2, v_int64: value, ..Default::default() }
}

fn child_of(trace: u8, span: u8) -> SpanRef {
    SpanRef { trace_id: vec![trace; 16], span_id: vec![span; 8], ref_type: 0 }
}

fn follows(trace: u8, span: u8) -> SpanRef {
    SpanRef { ref_type: 1, ..child_of(trace, span) }
}

fn time(us: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: us.div_euclid(1_000_000), nanos: (us.rem_euclid(1_000_000) * 1_000) as i32 })
}

fn duration(us: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: us / 1_000_000, nanos: (us % 1_000_000 * 1_000) as i32 })
}

fn good() -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        operation_name: "op".to_owned(),
        start_time: time(1_700_000_000_000_001),
        duration: duration(250),
        ..Default::default()
    }
}

fn request(process: Option<Process>, spans: Vec<Span>) -> PostSpansRequest {
    PostSpansRequest { batch: Some(Batch { spans, process }) }
}

fn service(name: &str, tags: Vec<KeyValue>) -> Option<Process> {
    Some(Process { service_name: name.to_owned(), tags })
}

/// The one span of a request with `span`, by both ways in.
#[track_caller]
fn one(span: Span) -> OtlpSpan {
    let request = request(service("s", vec![]), vec![span]);
    let config = ReceiveConfig::default();
    let by_protobuf = flat(&decode(&protobuf::to_otlp(&request.encode_to_vec(), &config).unwrap()));
    let by_thrift = flat(&decode(&thrift::to_otlp(&as_thrift(&request), &config).unwrap()));
    assert_eq!(by_protobuf, by_thrift, "both ways in agree");
    let [(_, _, span)] = <[_; 1]>::try_from(by_protobuf).expect("one span");
    span
}

// ---- the same batch in Thrift, by Apache's own writer ----

fn head(out: &mut dyn TOutputProtocol, kind: TType, id: i16) {
    out.write_field_begin(&TFieldIdentifier::new("f", kind, id)).unwrap();
}

fn list<T>(out: &mut dyn TOutputProtocol, id: i16, items: &[T], each: impl Fn(&mut dyn TOutputProtocol, &T)) {
    head(out, TType::List, id);
    out.write_list_begin(&TListIdentifier::new(TType::Struct, items.len() as i32)).unwrap();
    for item in items {
        each(out, item);
        out.write_field_stop().unwrap();
    }
}

fn string(out: &mut dyn TOutputProtocol, id: i16, text: &[u8]) {
    head(out, TType::String, id);
    out.write_bytes(text).unwrap();
}

fn i64_field(out: &mut dyn TOutputProtocol, id: i16, value: i64) {
    head(out, TType::I64, id);
    out.write_i64(value).unwrap();
}

fn i32_field(out: &mut dyn TOutputProtocol, id: i16, value: i32) {
    head(out, TType::I32, id);
    out.write_i32(value).unwrap();
}

fn thrift_tags(out: &mut dyn TOutputProtocol, id: i16, tags: &[KeyValue]) {
    list(out, id, tags, |out, tag| {
        string(out, 1, tag.key.as_bytes());
        // Thrift numbers the types in another order.
        i32_field(out, 2, [0, 2, 3, 1, 4].get(tag.v_type as usize).copied().unwrap_or(tag.v_type));
        match tag.v_type {
            0 => string(out, 3, tag.v_str.as_bytes()),
            1 => {
                head(out, TType::Bool, 5);
                out.write_bool(tag.v_bool).unwrap();
            }
            2 => i64_field(out, 6, tag.v_int64),
            3 => {
                head(out, TType::Double, 4);
                out.write_double(tag.v_float64).unwrap();
            }
            4 => string(out, 7, &tag.v_binary),
            _ => {}
        }
    });
}

fn half(id: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(id[at..at + 8].try_into().unwrap())
}

fn micros(time: Option<prost_types::Timestamp>) -> i64 {
    time.map_or(0, |t| t.seconds * 1_000_000 + i64::from(t.nanos / 1_000))
}

fn as_thrift(request: &PostSpansRequest) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut protocol = TBinaryOutputProtocol::new(&mut bytes, true);
    let out: &mut dyn TOutputProtocol = &mut protocol;
    let batch = request.batch.clone().unwrap_or_default();
    // The process behind its spans, which is as good.
    list(out, 2, &batch.spans, |out, span| {
        i64_field(out, 1, half(&span.trace_id, 8));
        i64_field(out, 2, half(&span.trace_id, 0));
        i64_field(out, 3, half(&span.span_id, 0));
        i64_field(out, 4, 0);
        string(out, 5, span.operation_name.as_bytes());
        list(out, 6, &span.references, |out, reference| {
            i32_field(out, 1, reference.ref_type);
            i64_field(out, 2, half(&reference.trace_id, 8));
            i64_field(out, 3, half(&reference.trace_id, 0));
            i64_field(out, 4, half(&reference.span_id, 0));
        });
        i32_field(out, 7, span.flags as i32);
        i64_field(out, 8, micros(span.start_time));
        i64_field(out, 9, span.duration.map_or(0, |d| d.seconds * 1_000_000 + i64::from(d.nanos / 1_000)));
        thrift_tags(out, 10, &span.tags);
        list(out, 11, &span.logs, |out, log| {
            i64_field(out, 1, micros(log.timestamp));
            thrift_tags(out, 2, &log.fields);
        });
        head(out, TType::Bool, 12);
        out.write_bool(false).unwrap();
    });
    if let Some(process) = &batch.process {
        head(out, TType::Struct, 1);
        string(out, 1, process.service_name.as_bytes());
        thrift_tags(out, 2, &process.tags);
        out.write_field_stop().unwrap();
    }
    out.write_field_stop().unwrap();
    bytes
}

// ---- what a span means ----

#[test]
fn times_ids_and_flags() {
    let span = one(good());
    assert_eq!((span.trace_id, span.span_id, span.name.as_str()), (vec![1; 16], vec![2; 8], "op"));
    assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_001_000);
    assert_eq!(span.end_time_unix_nano, 1_700_000_000_000_251_000);
    assert_eq!((span.flags, span.parent_span_id), (0, vec![]));
    for (flags, sampled) in [(1, 1), (2, 1), (3, 1), (4, 0)] {
        assert_eq!(one(Span { flags, ..good() }).flags, sampled, "flags {flags}");
    }
    let nanos = Span { start_time: Some(prost_types::Timestamp { seconds: 1, nanos: 999_999_999 }), ..good() };
    let bytes = request(None, vec![nanos]).encode_to_vec();
    let spans = flat(&decode(&protobuf::to_otlp(&bytes, &ReceiveConfig::default()).unwrap()));
    assert_eq!(spans[0].2.start_time_unix_nano, 1_999_999_999, "protobuf has nanoseconds");
}

#[test]
fn the_parent_is_the_first_child_of_the_trace() {
    #[track_caller]
    fn check(references: Vec<SpanRef>, parent: Option<u8>, links: &[(u8, u8, &str)]) {
        let span = one(Span { references, ..good() });
        assert_eq!(span.parent_span_id, parent.map_or(vec![], |id| vec![id; 8]));
        let found: Vec<_> = span.links.iter().map(|l| (l.trace_id[0], l.span_id[0], l.attributes.clone())).collect();
        let expected: Vec<_> = links.iter().map(|(t, s, kind)| (*t, *s, vec![text("opentracing.ref_type", kind)])).collect();
        assert_eq!(found, expected);
    }
    check(vec![], None, &[]);
    check(vec![child_of(1, 5)], Some(5), &[]);
    check(vec![follows(1, 4), child_of(1, 5), child_of(1, 6)], Some(5), &[(1, 4, "follows_from"), (1, 6, "child_of")]);
    check(vec![child_of(9, 5)], None, &[(9, 5, "child_of")]); // another trace is no parent
    check(vec![follows(1, 4)], Some(4), &[(1, 4, "follows_from")]);
}

#[test]
fn the_field_for_the_parent_counts_more_in_thrift() {
    let mut bytes = Vec::new();
    let mut protocol = TBinaryOutputProtocol::new(&mut bytes, true);
    let out: &mut dyn TOutputProtocol = &mut protocol;
    list(out, 2, &[()], |out, ()| {
        i64_field(out, 1, 1);
        i64_field(out, 3, 2);
        i64_field(out, 4, -3);
        list(out, 6, &[()], |out, ()| i64_field(out, 4, 4));
    });
    out.write_field_stop().unwrap();
    let spans = flat(&decode(&thrift::to_otlp(&bytes, &ReceiveConfig::default()).unwrap()));
    let span = &spans[0].2;
    assert_eq!(span.trace_id, [[0; 8], 1i64.to_be_bytes()].concat(), "64 bits are the lower half");
    assert_eq!(span.parent_span_id, (-3i64).to_be_bytes());
    assert_eq!(span.links.len(), 1, "the reference is to something else");
}

#[test]
fn tags_say_kind_status_scope_and_state() {
    for (kind, number) in [("internal", 1), ("server", 2), ("client", 3), ("producer", 4), ("consumer", 5), ("other", 0)] {
        let span = one(Span { tags: vec![tag("span.kind", kind), tag("a", "b")], ..good() });
        assert_eq!((span.kind, span.attributes), (number, vec![text("a", "b")]), "{kind}");
    }
    let tags = vec![
        tag("w3c.tracestate", "v=1"),
        tag("otel.scope.name", "lib"),
        tag("otel.scope.version", "1.2"),
        int("n", 7),
        KeyValue { key: "f".to_owned(), v_type: 3, v_float64: 0.5, ..Default::default() },
        KeyValue { key: "b".to_owned(), v_type: 4, v_binary: vec![0, 255], ..Default::default() },
        KeyValue { key: "odd".to_owned(), v_type: 9, ..Default::default() },
        int("n", 8),
    ];
    let request = request(service("s", vec![]), vec![Span { tags, ..good() }]);
    for otlp in [
        protobuf::to_otlp(&request.encode_to_vec(), &ReceiveConfig::default()).unwrap(),
        thrift::to_otlp(&as_thrift(&request), &ReceiveConfig::default()).unwrap(),
    ] {
        let [(_, scope, span)] = <[_; 1]>::try_from(flat(&decode(&otlp))).expect("one span");
        assert_eq!((scope, span.trace_state.as_str()), (("lib".to_owned(), "1.2".to_owned()), "v=1"));
        let expected = [
            attribute("f", Any::DoubleValue(0.5)),
            attribute("b", Any::BytesValue(vec![0, 255])),
            text("odd", "<Unknown Jaeger TagType \"9\">"),
            attribute("n", Any::IntValue(8)), // the last one counts
        ];
        assert_eq!(span.attributes, expected);
    }
}

#[test]
fn status_is_that_of_error_then_of_otel_then_of_http() {
    #[track_caller]
    fn check(tags: &[KeyValue], code: i32, message: &str, left: &[&str]) {
        let span = one(Span { tags: tags.to_vec(), ..good() });
        let status = span.status.unwrap_or_default();
        let keys: Vec<_> = span.attributes.iter().map(|a| a.key.as_str()).collect();
        assert_eq!((status.code, status.message.as_str(), keys.as_slice()), (code, message, left));
    }
    check(&[], 0, "", &[]);
    check(&[flag("error", true)], 2, "", &[]);
    check(&[tag("error", "true")], 2, "", &[]);
    check(&[flag("error", false)], 0, "", &["error"]);
    check(&[flag("error", true), tag("otel.status_description", "why"), tag("otel.status_code", "OK")], 2, "why", &[]);
    check(&[flag("error", true), tag("http.status_message", "gone")], 2, "gone", &["http.status_message"]);
    check(&[tag("otel.status_code", "ok")], 1, "", &[]);
    check(&[tag("otel.status_code", "ERROR"), tag("otel.status_description", "x")], 2, "x", &[]);
    check(&[int("http.status_code", 200)], 0, "", &["http.status_code"]);
    check(&[int("http.status_code", 404)], 2, "", &["http.status_code"]);
    check(&[int("http.status_code", 404), tag("span.kind", "server")], 0, "", &["http.status_code"]);
    check(&[tag("http.status_code", "503"), tag("span.kind", "server")], 2, "", &["http.status_code"]);
    check(&[tag("http.status_code", "none")], 0, "", &["http.status_code"]);
}

#[test]
fn logs_are_events_with_a_name() {
    let log = |fields: Vec<KeyValue>| Log { timestamp: time(1_700_000_000_000_002), fields };
    let logs = vec![log(vec![tag("event", "retry"), int("n", 1)]), log(vec![tag("message", "hello")]), log(vec![])];
    let span = one(Span { logs, ..good() });
    let events: Vec<_> = span.events.iter().map(|e| (e.name.as_str(), e.attributes.clone())).collect();
    assert_eq!(
        events,
        [("retry", vec![attribute("n", Any::IntValue(1))]), ("hello", vec![text("message", "hello")]), ("", vec![])]
    );
    assert_eq!(span.events[0].time_unix_nano, 1_700_000_000_000_002_000);
}

#[test]
fn warnings_are_kept() {
    let span = Span { warnings: vec!["late".to_owned(), "cut".to_owned()], ..good() };
    let bytes = request(None, vec![span]).encode_to_vec();
    let spans = flat(&decode(&protobuf::to_otlp(&bytes, &ReceiveConfig::default()).unwrap()));
    let values = ["late", "cut"].map(|w| AnyValue { value: Some(Any::StringValue(w.to_owned())) }).to_vec();
    assert_eq!(spans[0].2.attributes, [attribute("@jaeger@warnings", Any::ArrayValue(ArrayValue { values }))]);
}

#[test]
fn a_process_is_a_resource_and_a_span_may_have_its_own() {
    let process = service("shop", vec![tag("hostname", "h"), tag("jaeger.version", "Go-2.30"), int("pid", 5)]);
    let own = Span { span_id: vec![3; 8], process: service("other", vec![]), ..good() };
    let sent = request(process.clone(), vec![good(), own, Span { span_id: vec![4; 8], ..good() }]);
    let shop = vec![
        text("service.name", "shop"),
        attribute("pid", Any::IntValue(5)),
        text("host.name", "h"),
        text("opencensus.exporterversion", "Jaeger-Go-2.30"),
    ];
    let otlp = decode(&protobuf::to_otlp(&sent.encode_to_vec(), &ReceiveConfig::default()).unwrap());
    assert_eq!(otlp.resource_spans.len(), 2, "the batch's tags are written once");
    let found: Vec<_> = flat(&otlp).into_iter().map(|(resource, _, span)| (resource, span.span_id[0])).collect();
    assert_eq!(found, [(shop.clone(), 2), (shop.clone(), 4), (vec![text("service.name", "other")], 3)]);
    let sent = request(process, vec![good()]);
    assert_eq!(flat(&decode(&thrift::to_otlp(&as_thrift(&sent), &ReceiveConfig::default()).unwrap()))[0].0, shop);
}

// ---- what is refused ----

#[test]
fn a_bad_span_leaves_its_neighbours() {
    let spans = vec![good(), Span { span_id: vec![1; 7], ..good() }, Span { trace_id: vec![0; 16], ..good() }, good()];
    let otlp = protobuf::to_otlp(&request(None, spans).encode_to_vec(), &ReceiveConfig::default()).unwrap();
    let reason = "1 refused: trace id is not 16 bytes or all zero; 1 refused: span id is not 8 bytes or all zero";
    assert_eq!(convert(&otlp, ReceiveConfig::default()), (2, 2, reason.to_owned()));
    let tags = vec![tag("k", "v"); 4];
    let config = ReceiveConfig { attributes_max: 3, ..ReceiveConfig::default() };
    let sent = request(None, vec![good(), Span { tags, ..good() }]);
    for otlp in [protobuf::to_otlp(&sent.encode_to_vec(), &config).unwrap(), thrift::to_otlp(&as_thrift(&sent), &config).unwrap()]
    {
        assert_eq!(convert(&otlp, config.clone()), (1, 1, "1 refused: too many attributes".to_owned()));
    }
    let config = ReceiveConfig { span_items_max: 1, ..ReceiveConfig::default() };
    let sent = request(None, vec![good(), Span { logs: vec![Log::default(); 5], ..good() }]);
    let otlp = protobuf::to_otlp(&sent.encode_to_vec(), &config).unwrap();
    assert_eq!(convert(&otlp, config), (1, 1, "1 refused: too many events or links".to_owned()));
}

#[test]
fn text_that_is_no_utf8_refuses_one_span() {
    let mut bytes = as_thrift(&request(service("s", vec![]), vec![good(), Span { operation_name: "~".to_owned(), ..good() }]));
    let at = bytes.iter().rposition(|b| *b == b'~').unwrap();
    bytes[at] = 0xff;
    let otlp = thrift::to_otlp(&bytes, &ReceiveConfig::default()).unwrap();
    assert_eq!(convert(&otlp, ReceiveConfig::default()), (1, 1, "1 refused: text is not valid UTF-8".to_owned()));
}

#[test]
fn a_batch_process_is_not_written_for_every_other_span() {
    let process = service("s", vec![tag("big", &"x".repeat(10_000))]);
    let own = Span { process: Some(Process::default()), ..good() };
    let spans = (0..1_000).map(|n| if n % 2 == 0 { good() } else { own.clone() }).collect();
    let sent = request(process, spans).encode_to_vec();
    let otlp = protobuf::to_otlp(&sent, &ReceiveConfig::default()).unwrap();
    assert!(otlp.len() < 2 * sent.len(), "{} bytes of {}", otlp.len(), sent.len());
}

// ---- over HTTP and gRPC ----

fn frame(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

#[tokio::test]
async fn thrift_over_http_is_answered_as_jaeger_does() {
    let fixture = fixture(None, ReceiveConfig::default());
    let router = || thrift_router(fixture.state.clone());
    let body = as_thrift(&request(service("s", vec![]), vec![good()]));
    for content_type in ["application/x-thrift", "application/vnd.apache.thrift.binary; charset=binary"] {
        let (status, _, answer) =
            post(router(), "/api/traces?format=jaeger.thrift", &[("content-type", content_type)], body.clone()).await;
        assert_eq!((status, answer.len()), (StatusCode::ACCEPTED, 0));
        assert_eq!(fixture.spans(), 1, "the same body again is a retry");
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&as_thrift(&request(service("s", vec![]), vec![good(), good()]))).unwrap();
    let headers = [THRIFT, ("content-encoding", "gzip")];
    assert_eq!(post(router(), "/api/traces", &headers, gzip.finish().unwrap()).await.0, StatusCode::ACCEPTED);
    assert_eq!(fixture.spans(), 3);
    let zero = Span { span_id: vec![0; 8], ..good() };
    let (status, _, answer) =
        post(router(), "/api/traces", &[THRIFT], as_thrift(&request(None, vec![zero.clone(), good()]))).await;
    assert_eq!((status, answer.as_slice()), (StatusCode::ACCEPTED, &b"1 refused: span id is not 8 bytes or all zero\n"[..]));
    let (status, _, answer) = post(router(), "/api/traces", &[THRIFT], as_thrift(&request(None, vec![zero]))).await;
    assert_eq!((status, answer.as_slice()), (StatusCode::BAD_REQUEST, &b"1 refused: span id is not 8 bytes or all zero\n"[..]));
    let (status, _, answer) = post(router(), "/api/traces", &[THRIFT], body[..body.len() - 1].to_vec()).await;
    assert_eq!(
        (status, answer.as_slice()),
        (StatusCode::BAD_REQUEST, &b"malformed jaeger.thrift.Batch: struct is truncated\n"[..])
    );
    let (status, _, answer) = post(router(), "/api/traces", &[("content-type", "application/json")], body.clone()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&answer).contains("\"application/json\" is not supported"));
    assert_eq!(post(router(), "/api/traces", &[THRIFT], vec![0]).await.0, StatusCode::ACCEPTED, "nothing is nothing wrong");
    assert_eq!(fixture.spans(), 4);
}

#[tokio::test]
async fn a_full_log_asks_to_come_again() {
    let failure = SinkError::Overloaded { reason: "log is full".to_owned(), retry_after_s: 5 };
    let fixture = fixture(Some(failure), ReceiveConfig::default());
    let sent = request(service("s", vec![]), vec![good()]);
    let (status, headers, _) = post(thrift_router(fixture.state.clone()), "/api/traces", &[THRIFT], as_thrift(&sent)).await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (StatusCode::SERVICE_UNAVAILABLE, "5"));
    let (_, headers, _) = post(grpc_router(fixture.state.clone()), POST_SPANS, &GRPC, frame(&sent.encode_to_vec())).await;
    assert_eq!(headers["grpc-status"], "14");
}

#[tokio::test]
async fn grpc_is_answered_as_jaeger_does() {
    let fixture = fixture(None, ReceiveConfig::default());
    let router = || grpc_router(fixture.state.clone());
    let sent = request(service("s", vec![]), vec![good()]);
    let (status, headers, answer) = post(router(), POST_SPANS, &GRPC, frame(&sent.encode_to_vec())).await;
    assert_eq!((status, headers["grpc-status"].to_str().unwrap(), answer), (StatusCode::OK, "0", frame(&[])));
    assert_eq!(fixture.spans(), 1);
    let zero = Span { span_id: vec![0; 8], ..good() };
    for (spans, code) in [(vec![zero.clone(), good()], "0"), (vec![zero], "3")] {
        let (_, headers, _) = post(router(), POST_SPANS, &GRPC, frame(&request(None, spans).encode_to_vec())).await;
        assert_eq!(headers["grpc-status"], code);
    }
    assert_eq!(fixture.spans(), 2);
    let (_, headers, _) = post(router(), POST_SPANS, &GRPC, frame(&[0xff])).await;
    assert_eq!(headers["grpc-status"], "3");
    assert!(headers["grpc-message"].to_str().unwrap().contains("PostSpansRequest"));
    let (_, headers, _) = post(router(), "/jaeger.api_v2.SamplingManager/GetSamplingStrategy", &GRPC, frame(&[])).await;
    assert_eq!(headers["grpc-status"], "12");
}

// ---- properties ----

fn any_tags() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof![
        "[a-c]{1,2}",
        Just("error".to_owned()),
        Just("span.kind".to_owned()),
        Just("otel.status_code".to_owned()),
        Just("otel.scope.name".to_owned()),
        Just("http.status_code".to_owned()),
        Just("event".to_owned()),
    ];
    let text = prop_oneof!["[a-z]{0,3}", Just("true".to_owned()), Just("OK".to_owned()), Just("server".to_owned())];
    let tag = (key, 0..6i32, text, any::<bool>(), -2..600i64, any::<f32>());
    let tag = tag.prop_map(|(key, v_type, v_str, v_bool, v_int64, float)| KeyValue {
        key,
        v_type,
        v_binary: v_str.clone().into_bytes(),
        v_str,
        v_bool,
        v_int64,
        // prost leaves a negative zero out.
        v_float64: if float.is_nan() || float == 0.0 { 0.0 } else { f64::from(float) },
    });
    prop::collection::vec(tag, 0..6)
}

fn any_span() -> impl Strategy<Value = Span> {
    let reference = (1..3u8, 0..3u8, 0..2i32).prop_map(|(trace, span, ref_type)| SpanRef { ref_type, ..child_of(trace, span) });
    let log = (0..10i64, any_tags()).prop_map(|(us, fields)| Log { timestamp: time(us), fields });
    let references = prop::collection::vec(reference, 0..3);
    let ids = (0..3u8, 0..3u8, "[a-z]{0,4}", 0..4u32);
    (ids, references, -5..1_000_000_000_000i64, 0..100i64, any_tags(), prop::collection::vec(log, 0..3)).prop_map(
        |((trace, span, operation_name, flags), references, start, took, tags, logs)| Span {
            trace_id: vec![trace; 16],
            span_id: vec![span; 8],
            operation_name,
            references,
            flags,
            start_time: time(start),
            duration: duration(took),
            tags,
            logs,
            ..Default::default()
        },
    )
}

proptest! {
    /// Two encodings, two readers, one meaning; and every span is either stored or counted.
    #[test]
    fn both_ways_in_agree(spans in prop::collection::vec(any_span(), 0..5), tags in any_tags()) {
        let config = ReceiveConfig::default();
        let count = spans.len() as u64;
        let sent = request(service("s", tags), spans);
        let by_protobuf = protobuf::to_otlp(&sent.encode_to_vec(), &config).unwrap();
        let by_thrift = thrift::to_otlp(&as_thrift(&sent), &config).unwrap();
        prop_assert_eq!(&by_protobuf, &by_thrift);
        prop_assert_eq!(decode(&by_protobuf).encode_to_vec(), by_protobuf.clone());
        let (accepted, rejected, _) = convert(&by_protobuf, config);
        prop_assert_eq!(accepted + rejected, count);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(prop_oneof![0..20u8, any::<u8>()], 0..300)) {
        let _ = thrift::to_otlp(&bytes, &ReceiveConfig::default()).map(|otlp| decode_loosely(&otlp));
        let _ = protobuf::to_otlp(&bytes, &ReceiveConfig::default()).map(|otlp| decode_loosely(&otlp));
    }

    /// A good request with a few bytes changed gets deeper than noise.
    #[test]
    fn damaged_requests_never_panic(span in any_span(), damage in prop::collection::vec((any::<u16>(), any::<u8>()), 1..5)) {
        let sent = request(service("s", vec![tag("a", "b")]), vec![span]);
        for (mut bytes, to_otlp) in
            [(as_thrift(&sent), thrift::to_otlp as ToOtlp), (sent.encode_to_vec(), protobuf::to_otlp)]
        {
            for (at, byte) in &damage {
                let at = usize::from(*at) % bytes.len();
                bytes[at] = *byte;
            }
            if let Ok(otlp) = to_otlp(&bytes, &ReceiveConfig::default()) {
                decode_loosely(&otlp);
            }
        }
    }
}

/// What was written converts, whatever text it holds.
fn decode_loosely(otlp: &[u8]) {
    convert(otlp, ReceiveConfig::default());
}
