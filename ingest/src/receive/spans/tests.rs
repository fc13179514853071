use std::sync::Arc;

use ::http::{HeaderMap, Request, StatusCode};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use catalog::env::fixed;
use catalog::{Table, TenantId, Timestamp};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;
use parking_lot::Mutex;
use prost::Message;
use tower::ServiceExt;

use super::*;
use crate::convert::{Convert, Converted, DecodeError, LogRules};
use crate::receive::otlp::status::ExportError;
use crate::receive::otlp::{Converters, OtlpState};
use crate::receive::{Admission, ReceiveConfig};
use crate::sink::{Append, Appended, RowSink, SinkError};

/// Keeps what it is given once, or fails.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) appends: Mutex<Vec<Append>>,
    failure: Option<SinkError>,
}

#[async_trait]
impl RowSink for Recorder {
    async fn append(&self, append: Append) -> Result<Appended, SinkError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let mut appends = self.appends.lock();
        if append.fingerprint.is_some() && appends.iter().any(|a| a.fingerprint == append.fingerprint) {
            return Ok(Appended::Duplicate);
        }
        appends.push(append);
        Ok(Appended::Stored)
    }
}

#[derive(Debug)]
struct NoMetrics;

impl Convert for NoMetrics {
    fn convert(&self, _: &TenantId, _: &[u8]) -> Result<Converted, DecodeError> {
        Ok(Converted::default())
    }
}

pub(crate) struct Fixture {
    pub(crate) sink: Arc<Recorder>,
    pub(crate) state: OtlpState,
}

/// Receivers in front of a sink that fails with `failure`, if there is one.
pub(crate) fn fixture(failure: Option<SinkError>, config: ReceiveConfig) -> Fixture {
    let (env, _) = fixed::env(Timestamp::from_secs(1_790_000_000), 1);
    let config = Arc::new(config);
    let sink = Arc::new(Recorder { failure, ..Recorder::default() });
    let convert = Converters::new(&config, &env, Arc::new(NoMetrics), LogRules::default());
    let admission = Admission::new(config.in_flight_bytes_max);
    Fixture { state: OtlpState::new(Arc::clone(&sink) as Arc<dyn RowSink>, config, convert, admission), sink }
}

impl Fixture {
    /// How many spans are stored.
    pub(crate) fn spans(&self) -> usize {
        let of = |a: &Append| {
            a.rows.iter().filter(|(t, _)| *t == Table::Spans).map(|(_, b): &(_, RecordBatch)| b.num_rows()).sum::<usize>()
        };
        self.sink.appends.lock().iter().map(of).sum()
    }
}

/// Posts `body`; status, headers with trailers, body.
pub(crate) async fn post(
    router: Router,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = Request::post(path).extension(TenantId::anonymous());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let mut headers = parts.headers;
    headers.extend(collected.trailers().cloned().unwrap_or_default());
    (parts.status, headers, collected.to_bytes().to_vec())
}

/// What was written, by the library that knows OTLP.
pub(crate) fn decode(otlp: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(otlp).expect("what is written is OTLP")
}

/// A way in.
pub(crate) type ToOtlp = fn(&[u8], &ReceiveConfig) -> Result<Vec<u8>, ExportError>;

/// A span, behind the attributes of its resource, and name and version of its scope.
pub(crate) type Flat = (Vec<KeyValue>, (String, String), OtlpSpan);

/// All spans, in order.
pub(crate) fn flat(request: &ExportTraceServiceRequest) -> Vec<Flat> {
    let mut all = Vec::new();
    for block in &request.resource_spans {
        for scope_block in &block.scope_spans {
            for span in &scope_block.spans {
                let resource = block.resource.clone().unwrap_or_default().attributes;
                let scope = scope_block.scope.clone().unwrap_or_default();
                all.push((resource, (scope.name, scope.version), span.clone()));
            }
        }
    }
    all
}

/// How many spans a converter takes and refuses of what was written, and why.
pub(crate) fn convert(otlp: &[u8], config: ReceiveConfig) -> (u64, u64, String) {
    let converted =
        fixture(None, config).state.convert.spans.convert(&TenantId::anonymous(), otlp).expect("what is written is OTLP");
    (converted.accepted, converted.rejected, converted.reason.unwrap_or_default())
}

pub(crate) fn attribute(key: &str, value: AnyValueKind) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, AnyValueKind::StringValue(value.to_owned()))
}

#[test]
fn everything_that_a_span_can_hold_is_otlp() {
    let config = ReceiveConfig::default();
    let mut attributes = Attributes::new(10);
    attributes.put_str("text", Value::text("a"));
    attributes.put_str("empty", Value::text(""));
    attributes.put_str("no", Value::Bool(false));
    attributes.put_str("int", Value::Int(-1));
    attributes.put_str("zero", Value::Double(0.0));
    attributes.put_str("bytes", Value::Bytes(&[0xff]));
    attributes.put_str("texts", Value::Texts(vec![b"x", b""]));
    attributes.put_str("text", Value::text("b"));
    let event = Event { time_ns: 5, name: span::fixed("event"), attributes: attributes.clone(), dropped_attributes: 2 };
    let link = Link {
        trace_id: Some([3; 16]),
        span_id: Some([4; 8]),
        trace_state: span::fixed("c=d"),
        attributes: attributes.clone(),
        dropped_attributes: 1,
    };
    let mut span = Span {
        trace_id: Some([1; 16]),
        span_id: Some([2; 8]),
        parent: Parent::Of([9; 8]),
        trace_state: span::fixed("a=b"),
        sampled: true,
        name: span::fixed("name"),
        kind: Kind::Consumer,
        start_ns: 7,
        end_ns: 8,
        attributes,
        events: vec![event],
        links: vec![link],
        status: Status::Error,
        status_message: span::fixed("bad"),
    };
    let mut out = RequestWriter::new(&config);
    let mut resource = Attributes::new(10);
    resource.put_str("service.name", Value::text("s"));
    out.resource(&mut resource.clone());
    let scope = Scope { name: span::fixed("lib"), version: span::fixed("1") };
    out.span(&scope, &mut span.clone()).unwrap();
    out.resource(&mut resource);
    out.span(&scope, &mut span.clone()).unwrap();
    out.span(&Scope::default(), &mut span).unwrap();
    let bytes = out.finish();
    let request = decode(&bytes);
    assert_eq!(request.encode_to_vec(), bytes, "in the order of the definition, nothing left out");
    assert_eq!(request.resource_spans.len(), 1, "equal resources share a block");
    let scopes = &request.resource_spans[0].scope_spans;
    assert_eq!(scopes.iter().map(|s| s.spans.len()).collect::<Vec<_>>(), [2, 1]);
    let (resource, scope, span) = flat(&request).swap_remove(0);
    assert_eq!((resource, scope), (vec![text("service.name", "s")], ("lib".to_owned(), "1".to_owned())));
    let expected = vec![
        text("empty", ""),
        attribute("no", AnyValueKind::BoolValue(false)),
        attribute("int", AnyValueKind::IntValue(-1)),
        attribute("zero", AnyValueKind::DoubleValue(0.0)),
        attribute("bytes", AnyValueKind::BytesValue(vec![0xff])),
        attribute(
            "texts",
            AnyValueKind::ArrayValue(ArrayValue {
                values: ["x", ""].map(|t| AnyValue { value: Some(AnyValueKind::StringValue(t.to_owned())) }).to_vec(),
            }),
        ),
        text("text", "b"),
    ];
    assert_eq!(span.attributes, expected);
    assert_eq!((&span.events[0].attributes, &span.links[0].attributes), (&expected, &expected));
    assert_eq!((span.kind, span.flags, span.start_time_unix_nano, span.end_time_unix_nano), (5, 1, 7, 8));
    let status = span.status.unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "bad"));
    assert_eq!((span.parent_span_id, span.trace_state.as_str()), (vec![9; 8], "a=b"));
    assert_eq!((span.events[0].dropped_attributes_count, span.links[0].dropped_attributes_count), (2, 1));
    assert_eq!(convert(&bytes, config), (3, 0, String::new()));
}

#[test]
fn what_a_span_must_not_have_refuses_it_alone() {
    let config = ReceiveConfig { attributes_max: 2, span_items_max: 1, ..ReceiveConfig::default() };
    let good = || Span { trace_id: Some([1; 16]), span_id: Some([2; 8]), attributes: Attributes::new(2), ..Span::default() };
    let mut many = Attributes::new(2);
    ["a", "b", "c"].into_iter().for_each(|key| many.put_str(key, Value::Bool(true)));
    let bad = [
        (Span { trace_id: None, ..good() }, "trace id is not 16 bytes or all zero"),
        (Span { span_id: Some([0; 8]), ..good() }, "span id is not 8 bytes or all zero"),
        (Span { name: vec![0xff].into(), ..good() }, "text is not valid UTF-8"),
        (Span { start_ns: span::time(-1), ..good() }, "the time is outside the years 1677 to 2262"),
        (Span { start_ns: span::time(i128::MAX), ..good() }, "the time is outside the years 1677 to 2262"),
        (Span { attributes: many, ..good() }, "too many attributes"),
        (Span { events: vec![Event::default(); 2], ..good() }, "too many events or links"),
    ];
    for (mut span, reason) in bad {
        let mut out = RequestWriter::new(&config);
        out.resource(&mut Attributes::new(2));
        out.span(&Scope::default(), &mut good()).unwrap();
        out.span(&Scope::default(), &mut span).unwrap();
        out.span(&Scope::default(), &mut good()).unwrap();
        assert_eq!(convert(&out.finish(), config.clone()), (2, 1, format!("1 refused: {reason}")));
    }
    let mut out = RequestWriter::new(&config);
    out.resource(&mut Attributes::new(2));
    out.span(&Scope::default(), &mut Span { parent: Parent::Bad, ..good() }).unwrap();
    let reason = "1 changed: parent span id is not 8 bytes, stored as none";
    assert_eq!(convert(&out.finish(), config), (1, 0, reason.to_owned()));
}

#[test]
fn the_request_written_is_bounded() {
    let config = ReceiveConfig { decompressed_bytes_max: 100, ..ReceiveConfig::default() };
    let mut out = RequestWriter::new(&config);
    out.resource(&mut Attributes::new(2));
    let name = vec![b'a'; 60];
    let mut write = || out.span(&Scope::default(), &mut Span { name: name.as_slice().into(), ..Span::default() });
    assert_eq!((0..3).map(|_| write().is_ok()).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn times_that_do_not_fit_are_out_of_range() {
    assert_eq!(times(5, 7), (5, 12));
    assert_eq!(times(5, -7), (5, 0)); // reported as a negative duration
    assert_eq!(times(-1, 7), (u64::MAX, 6));
    assert_eq!(times(i128::MAX, 1), (u64::MAX, u64::MAX));
    assert_eq!(trace_id(&[7; 8]), Some([0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7]));
    assert_eq!(trace_id(&[7; 15]), None);
}
