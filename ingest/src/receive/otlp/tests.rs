use std::io::{Read, Write};
use std::sync::Arc;

use ::http::{HeaderMap, Request, StatusCode};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use catalog::env::fixed;
use catalog::{Table, TenantId, Timestamp};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as LogsRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest as TracesRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use parking_lot::Mutex;
use prost::Message;
use tower::ServiceExt;

use super::status::{RetryInfo, RpcStatus};
use super::*;
use crate::convert::{Converted, DecodeError};
use crate::sink::{Append, Appended, SinkError};

/// Keeps what it is given, or fails.
#[derive(Debug, Default)]
struct Recorder {
    appends: Mutex<Vec<Append>>,
    failure: Option<SinkError>,
}

#[async_trait]
impl RowSink for Recorder {
    async fn append(&self, append: Append) -> Result<Appended, SinkError> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => {
                self.appends.lock().push(append);
                Ok(Appended::Stored)
            }
        }
    }
}

/// Metrics have tests of their own.
#[derive(Debug)]
struct NoMetrics;

impl Convert for NoMetrics {
    fn convert(&self, _: &TenantId, _: &[u8]) -> Result<Converted, DecodeError> {
        Ok(Converted::default())
    }
}

struct Fixture {
    sink: Arc<Recorder>,
    state: OtlpState,
}

fn fixture(failure: Option<SinkError>, config: ReceiveConfig) -> Fixture {
    let (env, _) = fixed::env(Timestamp::from_secs(1_790_000_000), 1);
    let config = Arc::new(config);
    let sink = Arc::new(Recorder { failure, ..Recorder::default() });
    let convert = Converters::new(&config, &env, Arc::new(NoMetrics), LogRules::default());
    let admission = Admission::new(config.in_flight_bytes_max);
    let state = OtlpState::new(Arc::clone(&sink) as Arc<dyn RowSink>, config, convert, admission);
    Fixture { sink, state }
}

impl Fixture {
    async fn send(
        &self,
        router: Router,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path).extension(TenantId::anonymous());
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

    async fn http(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (StatusCode, HeaderMap, Vec<u8>) {
        self.send(http::router(self.state.clone()), "POST", path, headers, body).await
    }

    async fn grpc(&self, headers: &[(&str, &str)], body: Vec<u8>) -> (HeaderMap, Vec<u8>) {
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let headers: Vec<_> = [("content-type", "application/grpc")].into_iter().chain(headers.iter().copied()).collect();
        let (status, headers, body) = self.send(grpc::router(self.state.clone()), "POST", path, &headers, body).await;
        assert_eq!(status, StatusCode::OK);
        (headers, body)
    }

    fn rows(&self) -> usize {
        let spans = |a: &Append| {
            a.rows.iter().filter(|(t, _)| *t == Table::Spans).map(|(_, b): &(_, RecordBatch)| b.num_rows()).sum::<usize>()
        };
        self.sink.appends.lock().iter().map(spans).sum()
    }
}

type Headers = Vec<(&'static str, &'static str)>;

const PROTO: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

fn traces(trace_id: &[u8]) -> Vec<u8> {
    let good = Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "a".to_owned(), ..Default::default() };
    let spans = vec![good.clone(), Span { trace_id: trace_id.to_vec(), ..good }];
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    TracesRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }.encode_to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn frame(compressed: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![compressed];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

#[tokio::test]
async fn success_has_the_encoding_of_the_request() {
    let f = fixture(None, ReceiveConfig::default());
    let (status, headers, body) = f.http("/v1/traces", &[PROTO], traces(&[3; 16])).await;
    assert_eq!(
        (status, headers["content-type"].to_str().unwrap(), body.as_slice()),
        (StatusCode::OK, "application/x-protobuf", &[][..])
    );
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0101010101010101010101010101010A","spanId":"0202020202020202","startTimeUnixNano":5,"endTimeUnixNano":"6","unknown":[{}]}]}]}]}"#;
    let (status, headers, body) = f.http("/v1/traces", &[JSON], json.to_vec()).await;
    assert_eq!(
        (status, headers["content-type"].to_str().unwrap(), body.as_slice()),
        (StatusCode::OK, "application/json", &b"{}"[..])
    );
    assert_eq!(f.rows(), 3);
    assert!(f.sink.appends.lock().iter().all(|a| a.fingerprint.is_some()));
    // Nothing in it: a success without an append.
    assert_eq!(f.http("/v1/logs", &[PROTO], vec![]).await.0, StatusCode::OK);
    assert_eq!(f.http("/v1/metrics", &[JSON], b"{}".to_vec()).await.2, b"{}");
    assert_eq!(f.sink.appends.lock().len(), 2);
}

#[tokio::test]
async fn compressed_bodies_are_taken() {
    let f = fixture(None, ReceiveConfig::default());
    let body = traces(&[3; 16]);
    let all = [
        ("gzip", gzip(&body)),
        ("zstd", zstd::stream::encode_all(body.as_slice(), 1).unwrap()),
        ("snappy", snap::raw::Encoder::new().compress_vec(&body).unwrap()),
        ("identity", body.clone()),
    ];
    for (encoding, sent) in all {
        let (status, _, answer) = f.http("/v1/traces", &[PROTO, ("content-encoding", encoding)], sent).await;
        assert_eq!((status, answer.len()), (StatusCode::OK, 0), "{encoding}");
    }
    // The same bytes however they were compressed.
    let fingerprints: std::collections::HashSet<_> = f.sink.appends.lock().iter().map(|a| a.fingerprint).collect();
    assert_eq!(fingerprints.len(), 1);
}

#[tokio::test]
async fn partial_success_is_reported() {
    let f = fixture(None, ReceiveConfig::default());
    let (status, _, body) = f.http("/v1/traces", &[PROTO], traces(&[0; 16])).await;
    let partial = ExportTraceServiceResponse::decode(body.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!((status, partial.rejected_spans), (StatusCode::OK, 1));
    assert_eq!(partial.error_message, "1 refused: trace id is not 16 bytes or all zero");
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}"#;
    let (status, _, body) = f.http("/v1/traces", &[JSON], json.to_vec()).await;
    let expected = r#"{"partialSuccess":{"errorMessage":"1 refused: trace id is not 16 bytes or all zero","rejectedSpans":"1"}}"#;
    assert_eq!((status, String::from_utf8(body).unwrap().as_str()), (StatusCode::OK, expected));
    assert_eq!(f.rows(), 1);
}

#[tokio::test]
async fn http_errors_are_statuses() {
    let small = ReceiveConfig { body_bytes_max: 4096, decompressed_bytes_max: 4096, ..ReceiveConfig::default() };
    let f = fixture(None, small);
    let deep = [b"{\"x\":".as_slice(), &b"[".repeat(100_000)[..3_000], b"}"].concat();
    let cases: Vec<(&str, Headers, Vec<u8>, u16, i32)> = vec![
        ("/v1/traces", vec![PROTO], vec![0x0a, 0xff], 400, 3),
        ("/v1/traces", vec![JSON], b"{".to_vec(), 400, 3),
        ("/v1/traces", vec![JSON], b"".to_vec(), 400, 3),
        ("/v1/traces", vec![JSON], deep, 400, 3),
        ("/v1/logs", vec![JSON], br#"{"resourceLogs":[{"schemaUrl":"\ud800"}]}"#.to_vec(), 400, 3),
        ("/v1/traces", vec![("content-type", "text/plain")], vec![], 415, 12),
        ("/v1/traces", vec![PROTO, ("content-encoding", "br")], vec![], 415, 12),
        ("/v1/traces", vec![PROTO], vec![0; 4097], 413, 8),
        ("/v1/traces", vec![PROTO, ("content-length", "4097")], vec![], 413, 8),
        ("/v1/traces", vec![PROTO, ("content-encoding", "gzip")], gzip(&[0; 100_000]), 413, 8),
        ("/v1/traces", vec![PROTO, ("content-encoding", "gzip")], gzip(&gzip(&[0; 100])), 400, 3),
        ("/v1/traces", vec![PROTO, ("content-encoding", "snappy")], vec![0xff, 0xff, 0xff, 0xff, 0x0f], 413, 8),
        ("/v1/nothing", vec![PROTO], vec![], 404, 12),
    ];
    for (path, headers, body, expected, code) in cases {
        let json = headers[0] != PROTO;
        let (status, answer, body) = f.http(path, &headers, body).await;
        assert_eq!(status.as_u16(), expected, "{path} {headers:?}");
        let found = if json {
            assert_eq!(answer["content-type"], "application/json");
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()["code"].as_i64().unwrap() as i32
        } else {
            assert_eq!(answer["content-type"], "application/x-protobuf");
            RpcStatus::decode(body.as_slice()).unwrap().code
        };
        assert_eq!(found, code, "{path} {headers:?}");
        assert!(!answer.contains_key("retry-after"));
    }
    let (status, headers, _) = f.send(http::router(f.state.clone()), "GET", "/v1/traces", &[PROTO], vec![]).await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    assert!(f.sink.appends.lock().is_empty());
    assert!(f.state.admission.begin().grow_to(ReceiveConfig::default().in_flight_bytes_max).is_ok(), "everything was given back");
}

#[tokio::test]
async fn overload_asks_for_a_pause() {
    let full = SinkError::Overloaded { reason: "log is full".to_owned(), retry_after_s: 7 };
    let f = fixture(Some(full), ReceiveConfig::default());
    let (status, headers, body) = f.http("/v1/traces", &[PROTO], traces(&[3; 16])).await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (StatusCode::SERVICE_UNAVAILABLE, "7"));
    let details = RpcStatus::decode(body.as_slice()).unwrap().details;
    assert_eq!(details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    assert_eq!(RetryInfo::decode(details[0].value.as_slice()).unwrap().retry_delay.unwrap().seconds, 7);
    let (headers, _) = f.grpc(&[], frame(0, &traces(&[3; 16]))).await;
    assert_eq!(headers["grpc-status"], "14");
    assert!(headers.contains_key("grpc-status-details-bin"));

    let f = fixture(None, ReceiveConfig::default());
    let mut held = f.state.admission.begin();
    held.grow_to(f.state.config.in_flight_bytes_max).unwrap();
    let (status, headers, _) = f.http("/v1/traces", &[JSON], traces(&[3; 16])).await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (StatusCode::TOO_MANY_REQUESTS, "1"));
    assert_eq!(f.grpc(&[], frame(0, &traces(&[3; 16]))).await.0["grpc-status"], "8");
    drop(held);
    assert_eq!(f.grpc(&[], frame(0, &traces(&[3; 16]))).await.0["grpc-status"], "0");

    let f = fixture(Some(SinkError::ShuttingDown), ReceiveConfig::default());
    let (status, headers, _) = f.http("/v1/traces", &[PROTO], traces(&[3; 16])).await;
    assert_eq!((status, headers.contains_key("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, false));
}

#[tokio::test]
async fn grpc_frames() {
    let config = ReceiveConfig { body_bytes_max: 4096, decompressed_bytes_max: 4096, ..ReceiveConfig::default() };
    let f = fixture(None, config);
    let message = traces(&[3; 16]);
    let at_limit = {
        // Unknown fields fill the message up to the limit exactly.
        let mut padded = message.clone();
        let rest = 4096 - padded.len() - 3;
        padded.extend_from_slice(&[0x7a, (rest & 0x7f) as u8 | 0x80, (rest >> 7) as u8]);
        padded.resize(4096, 0);
        padded
    };
    let cases: Vec<(&str, Headers, Vec<u8>, &str)> = vec![
        ("plain", vec![], frame(0, &message), "0"),
        ("exactly the limit", vec![], frame(0, &at_limit), "0"),
        ("gzip", vec![("grpc-encoding", "gzip")], frame(1, &gzip(&message)), "0"),
        ("zstd", vec![("grpc-encoding", "zstd")], frame(1, &zstd::stream::encode_all(message.as_slice(), 1).unwrap()), "0"),
        ("not compressed after all", vec![("grpc-encoding", "gzip")], frame(0, &message), "0"),
        ("empty", vec![], frame(0, &[]), "0"),
        ("too large", vec![], frame(0, &[0; 4097]), "8"),
        ("claims to be too large", vec![], vec![0, 0xff, 0xff, 0xff, 0xff], "8"),
        ("bomb", vec![("grpc-encoding", "gzip")], frame(1, &gzip(&[0; 100_000])), "8"),
        ("unknown compression", vec![("grpc-encoding", "br")], frame(1, &message), "12"),
        ("compressed with what?", vec![], frame(1, &message), "3"),
        ("bad flag", vec![], frame(2, &message), "3"),
        ("truncated", vec![], frame(0, &message)[..20].to_vec(), "3"),
        ("two messages", vec![], [frame(0, &message), frame(0, &message)].concat(), "3"),
        ("no frame", vec![], vec![0, 0], "3"),
        ("malformed", vec![], frame(0, &[0x0a, 0xff]), "3"),
    ];
    for (what, headers, body, expected) in cases {
        let (answer, body) = f.grpc(&headers, body).await;
        assert_eq!(answer["grpc-status"], expected, "{what}");
        assert_eq!(answer["content-type"], "application/grpc");
        assert_eq!(body, if expected == "0" { frame(0, &[]) } else { vec![] }, "{what}");
    }
    let (_, body) = f.grpc(&[], frame(0, &traces(&[0; 16]))).await;
    assert_eq!(ExportTraceServiceResponse::decode(&body[5..]).unwrap().partial_success.unwrap().rejected_spans, 1);
    let router = grpc::router(f.state.clone());
    let (_, headers, _) = f.send(router.clone(), "POST", "/x.Y/Z", &[("content-type", "application/grpc")], vec![]).await;
    assert_eq!(headers["grpc-status"], "12");
    let (_, headers, body) = f.send(router, "POST", "/grpc.health.v1.Health/Check", &[], frame(0, &[])).await;
    assert_eq!((headers["grpc-status"].to_str().unwrap(), body), ("0", frame(0, &[8, 1])));
}

#[test]
fn json_is_read_as_the_specification_has_it() {
    #[track_caller]
    fn check(json: &str, valid: bool) {
        let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{json}]}}]}}]}}"#);
        let result = json::to_protobuf(catalog::Signal::Logs, body.as_bytes());
        assert_eq!(result.is_ok(), valid, "{json} {result:?}");
        if let Ok(bytes) = result {
            LogsRequest::decode(bytes.as_slice()).expect("protobuf");
        }
    }
    for valid in [
        r#"{"timeUnixNano":"18446744073709551615","severityNumber":9,"flags":1,"body":{"intValue":-5},"traceId":"AbCd"}"#,
        r#"{"timeUnixNano":1.5e3,"time_unix_nano":"x","body":{"doubleValue":"NaN"},"traceId":null,"attributes":null}"#,
        r#"{"body":{"bytesValue":"AAH-"},"attributes":[{"key":"k","value":{"arrayValue":{"values":[{"boolValue":true},{}]}}}]}"#,
        r#"{"body":{"doubleValue":3},"body":{"stringValue":"last"}}"#,
    ] {
        check(valid, true);
    }
    for invalid in [
        r#"{"severityNumber":"SEVERITY_NUMBER_INFO"}"#,
        r#"{"timeUnixNano":-1}"#,
        r#"{"timeUnixNano":1.5}"#,
        r#"{"timeUnixNano":"1e3"}"#,
        r#"{"flags":4294967296}"#,
        r#"{"traceId":"xy"}"#,
        r#"{"traceId":"abc"}"#,
        r#"{"body":{"bytesValue":"*"}}"#,
        r#"{"body":"text"}"#,
        r#"{"attributes":{}}"#,
        r#"{"severityText":"\ud800"}"#,
        r#"{"body":{"intValue":9223372036854775808}}"#,
        r#"{} trailing"#,
    ] {
        check(invalid, false);
    }
}

/// F-45: what JSON allows and nobody means. Nothing recurses and no number overflows.
#[test]
fn hostile_json_is_refused_or_bounded() {
    #[track_caller]
    fn check(json: &str, reason: Option<&str>) {
        for signal in [catalog::Signal::Metrics, catalog::Signal::Logs, catalog::Signal::Traces] {
            let refused = json::to_protobuf(signal, json.as_bytes()).err().map(|e| e.to_string());
            let right = match (&refused, reason) {
                (Some(refused), Some(reason)) => refused.contains(reason),
                (None, None) => true,
                _ => false,
            };
            assert!(right, "{}: {refused:?}", &json[..json.len().min(60)]);
        }
    }
    let nested = |open: &str, close: &str, times: usize| format!("{{\"x\":{}0{}}}", open.repeat(times), close.repeat(times));
    check(&nested("[", "]", 63), None);
    check(&nested("[", "]", 64), Some("64 levels"));
    check(&nested("[", "]", 100_000), Some("64 levels"));
    check(&nested("{\"a\":", "}", 100_000), Some("64 levels"));
    check(&format!("{{\"x\":\"{}\"}}", "[".repeat(100_000)), None); // brackets in a text are no depth
    check(&format!("{{\"x\":{}}}", "9".repeat(100_000)), None); // nobody reads that field
    check(r#"{"x":1e999999999}"#, None);
    check(r#"{"x":1,"x":2}"#, None);
    check(r#"{"x":"\ud800"}"#, None);
    check("[]", Some("an object"));
    check("\u{feff}{}", Some("malformed"));
}

/// Two hours of traces as a generator made them, kept outside of the repository.
#[tokio::test]
async fn golden_traces_convert() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/golden/data/otlp_traces.jsonl.gz");
    let Ok(compressed) = std::fs::read(path) else {
        eprintln!("SKIPPED: {path} is not there");
        return;
    };
    let mut lines = String::new();
    flate2::read::GzDecoder::new(compressed.as_slice()).read_to_string(&mut lines).unwrap();
    let f = fixture(None, ReceiveConfig::default());
    for line in lines.lines() {
        let (status, _, body) = f.http("/v1/traces", &[JSON], line.as_bytes().to_vec()).await;
        assert_eq!((status, String::from_utf8(body).unwrap().as_str()), (StatusCode::OK, "{}"));
    }
    assert_eq!(f.rows(), 7302);
}
