use std::sync::Arc;

use ::http::{HeaderMap, Request, StatusCode};
use async_trait::async_trait;
use axum::body::Body;
use catalog::env::fixed;
use catalog::{Table, TenantId, Timestamp};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use prost::Message as _;
use tower::ServiceExt;

use super::answer::WRITTEN_HEADERS;
use super::messages::{v1, v2};
use super::*;
use crate::convert::LogRules;
use crate::convert::metrics::{MetricsConverter, OtlpMetricsConfig};
use crate::convert::prometheus::{HaConfig, RemoteWriteConfig};
use crate::receive::body::Admission;
use crate::receive::otlp::Converters;
use crate::registry::{RegistryConfig, SeriesRegistry};
use crate::sink::{Append, Appended, RowSink, SinkError};

const NOW_S: i64 = 1_790_000_000;
const NOW: i64 = NOW_S * 1_000;
const V1: &str = "application/x-protobuf;proto=prometheus.WriteRequest";
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

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

struct Fixture {
    sink: Arc<Recorder>,
    state: PrometheusState,
}

/// What came back: the status, how much was written, the text.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    status: u16,
    written: Option<[u64; 3]>,
    text: String,
}

fn said(status: u16, written: Option<[u64; 3]>, text: &str) -> Said {
    Said { status, written, text: text.to_owned() }
}

fn fixture(failure: Option<SinkError>, limits: ReceiveConfig, config: RemoteWriteConfig) -> Fixture {
    let (env, _) = fixed::env(Timestamp::from_secs(NOW_S), 1);
    let limits = Arc::new(limits);
    let sink = Arc::new(Recorder { failure, ..Recorder::default() });
    let registry = SeriesRegistry::new(RegistryConfig::default());
    let metrics = MetricsConverter::new(OtlpMetricsConfig::default(), Arc::clone(&registry), env.clone());
    let convert = Converters::new(&limits, &env, metrics, LogRules::default());
    let admission = Admission::new(limits.in_flight_bytes_max);
    let otlp = OtlpState::new(Arc::clone(&sink) as Arc<dyn RowSink>, limits, convert, admission);
    Fixture { sink, state: PrometheusState::new(otlp, RemoteWriteConverter::new(config, registry, env)) }
}

fn plain() -> Fixture {
    fixture(None, ReceiveConfig::default(), RemoteWriteConfig::default())
}

impl Fixture {
    async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path).extension(TenantId::anonymous());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router(self.state.clone()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (parts.status, parts.headers, String::from_utf8_lossy(&body).into_owned())
    }

    async fn send(&self, content_type: &str, body: Vec<u8>) -> Said {
        let headers = [("content-type", content_type), ("content-encoding", "snappy")];
        let (status, headers, text) = self.request("POST", "/api/v1/write", &headers, body).await;
        assert_eq!(text.is_empty(), status.is_success());
        let counts: Vec<u64> = WRITTEN_HEADERS.iter().filter_map(|h| headers.get(*h)?.to_str().ok()?.parse().ok()).collect();
        let written = (!counts.is_empty()).then(|| counts.try_into().expect("all three or none"));
        Said { status: status.as_u16(), written, text: text.trim_end().to_owned() }
    }

    /// Rows of `table` that were appended.
    fn rows(&self, table: Table) -> usize {
        let appends = self.sink.appends.lock();
        appends.iter().flat_map(|append| &append.rows).filter(|(of, _)| *of == table).map(|(_, batch)| batch.num_rows()).sum()
    }
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Vec<v1::Label> {
    pairs.iter().map(|(name, value)| v1::Label { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
}

/// Two series: `up`, with a sample, and one of `second` with another.
fn body_1(second: &[(&str, &str)], ts: i64) -> Vec<u8> {
    let series = |pairs: &[(&str, &str)], timestamp| v1::TimeSeries {
        labels: labels(pairs),
        samples: vec![v1::Sample { value: 1.0, timestamp }],
        ..Default::default()
    };
    let timeseries = vec![series(&[("__name__", "up")], NOW), series(second, ts)];
    snappy(&v1::WriteRequest { timeseries, metadata: vec![] }.encode_to_vec())
}

/// The same in 2.0, the first with an exemplar.
fn body_2(second: &[(&str, &str)], ts: i64) -> Vec<u8> {
    let mut symbols = vec!["".to_owned(), "__name__".to_owned(), "up".to_owned()];
    let mut labels_refs = Vec::new();
    for text in second.iter().flat_map(|(name, value)| [name, value]) {
        labels_refs.push(symbols.len() as u32);
        symbols.push((*text).to_owned());
    }
    let sample = |timestamp| vec![v2::Sample { value: Some(1.0), timestamp, start_timestamp: 0 }];
    let exemplars = vec![v2::Exemplar { labels_refs: vec![], value: 1.0, timestamp: NOW }];
    let first = v2::TimeSeries { labels_refs: vec![1, 2], samples: sample(NOW), exemplars, ..Default::default() };
    let second = v2::TimeSeries { labels_refs, samples: sample(ts), ..Default::default() };
    snappy(&v2::Request { symbols, timeseries: vec![first, second] }.encode_to_vec())
}

const GOOD: [(&str, &str); 2] = [("__name__", "up"), ("job", "a")];

#[tokio::test]
async fn what_is_written_is_said() {
    let fixture = plain();
    assert_eq!(fixture.send(V1, body_1(&GOOD, NOW)).await, said(204, None, ""));
    assert_eq!(fixture.send(V2, body_2(&GOOD, NOW)).await, said(204, Some([2, 0, 1]), ""));
    assert_eq!([Table::Samples, Table::Exemplars, Table::Series].map(|t| fixture.rows(t)), [4, 1, 2]);
    for path in ["/api/v1/push", "/api/v1/receive"] {
        let (status, ..) = fixture.request("POST", path, &[], body_1(&GOOD, NOW)).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    // Nothing to write is written.
    assert_eq!(fixture.send(V2, snappy(&[])).await, said(204, Some([0; 3]), ""));
    assert_eq!(fixture.rows(Table::Samples), 8);
}

#[tokio::test]
async fn a_partial_write_keeps_the_good_and_says_the_bad() {
    let fixture = plain();
    let far = "1 refused: out of bounds: timestamp is more than 600s in the future, such as up{job=\"a\"}";
    assert_eq!(fixture.send(V1, body_1(&GOOD, NOW + 600_001)).await, said(400, None, far));
    assert_eq!(fixture.send(V2, body_2(&GOOD, NOW + 600_001)).await, said(400, Some([1, 0, 1]), far));
    // 1.0 says nothing about labels.
    let nameless = [("job", "a")];
    assert_eq!(fixture.send(V1, body_1(&nameless, NOW)).await, said(204, None, ""));
    let text = "1 refused: series has no metric name, such as {job=\"a\"}";
    assert_eq!(fixture.send(V2, body_2(&nameless, NOW)).await, said(400, Some([1, 0, 1]), text));
    assert_eq!(fixture.rows(Table::Samples), 4);
}

#[tokio::test]
async fn the_same_body_has_the_same_fingerprint() {
    let fixture = plain();
    for _ in 0..2 {
        assert_eq!(fixture.send(V1, body_1(&GOOD, NOW)).await.status, 204);
    }
    fixture.send(V1, body_1(&GOOD, NOW + 1)).await;
    fixture.send(V2, body_2(&GOOD, NOW)).await;
    let fingerprints: Vec<_> = fixture.sink.appends.lock().iter().map(|append| append.fingerprint.unwrap()).collect();
    assert_eq!(fingerprints[0], fingerprints[1]);
    let distinct: std::collections::HashSet<_> = fingerprints.iter().collect();
    assert_eq!(distinct.len(), 3);
}

#[tokio::test]
async fn bad_requests_have_their_statuses() {
    let fixture = plain();
    let (status, headers, _) = fixture.request("GET", "/api/v1/write", &[], vec![]).await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    assert_eq!(fixture.send("application/json", body_1(&GOOD, NOW)).await.status, 415);
    let (status, headers, text) =
        fixture.request("POST", "/api/v1/write", &[("content-type", V2), ("content-encoding", "gzip")], vec![]).await;
    assert_eq!(
        (status, text.trim_end()),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content encoding \"gzip\" is not supported; only snappy is")
    );
    assert!(!headers.contains_key(WRITTEN_HEADERS[0]), "what was not negotiated is not counted");
    for (content_type, counts) in [(V1, None), (V2, Some([0; 3]))] {
        let check = |body: Vec<u8>| fixture.send(content_type, body);
        for body in [vec![], vec![0xff; 20], body_1(&GOOD, NOW)[..20].to_vec(), b"\xff\x06\x00\x00sNaPpY".to_vec()] {
            let answer = check(body).await;
            assert_eq!((answer.status, answer.written), (400, counts), "{}", answer.text);
        }
        let answer = check(snappy(&[0x0a, 0xff, 0x2a, 0xff])).await;
        assert_eq!((answer.status, answer.written), (400, counts));
    }
    assert_eq!(fixture.rows(Table::Samples), 0);
}

#[tokio::test]
async fn sizes_are_refused_by_what_they_claim() {
    let limits = ReceiveConfig { body_bytes_max: 1 << 20, ..ReceiveConfig::default() };
    let fixture = fixture(None, limits, RemoteWriteConfig { decoded_bytes_max: 1 << 16, ..RemoteWriteConfig::default() });
    // Claims 4 GiB.
    let claimed = fixture.send(V2, vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]).await;
    assert_eq!(claimed, said(413, Some([0; 3]), "decompressed request body has more than 65536 bytes, which is the limit"));
    assert_eq!(fixture.send(V1, snappy(&vec![0; (1 << 16) + 1])).await.status, 413);
    assert_eq!(fixture.send(V1, snappy(&vec![0; 1 << 16])).await.status, 400); // as large as it may be, but no message
    let long = fixture.send(V1, vec![0; (1 << 20) + 1]).await;
    assert_eq!(long, said(413, None, "request body has more than 1048576 bytes, which is the limit"));
}

#[tokio::test]
async fn what_is_worth_a_retry_says_so() {
    async fn check(fixture: &Fixture, status: u16, retry_after: Option<&str>) {
        for (content_type, body) in [(V1, body_1(&GOOD, NOW)), (V2, body_2(&GOOD, NOW))] {
            let (found, headers, _) = fixture.request("POST", "/api/v1/write", &[("content-type", content_type)], body).await;
            let pause = headers.get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!((found.as_u16(), pause), (status, retry_after));
        }
    }
    let failing = |failure| fixture(Some(failure), ReceiveConfig::default(), RemoteWriteConfig::default());
    check(&failing(SinkError::Overloaded { reason: "full".to_owned(), retry_after_s: 7 }), 503, Some("7")).await;
    check(&failing(SinkError::ShuttingDown), 503, None).await;
    check(&failing(SinkError::Log { reason: "disk".to_owned() }), 503, None).await;
    check(&failing(SinkError::TooLarge { bytes: 2, bytes_max: 1 }), 413, None).await;
    let busy = plain();
    let mut held = busy.state.otlp.admission.begin();
    held.grow_to(ReceiveConfig::default().in_flight_bytes_max).unwrap();
    check(&busy, 429, Some("1")).await;
    drop(held);
    check(&busy, 204, None).await;
}

#[tokio::test]
async fn a_failed_append_leaves_series_to_be_introduced() {
    let mut fixture = fixture(Some(SinkError::ShuttingDown), ReceiveConfig::default(), RemoteWriteConfig::default());
    assert_eq!(fixture.send(V1, body_1(&GOOD, NOW)).await.status, 503);
    // The log is back.
    fixture.sink = Arc::new(Recorder::default());
    fixture.state.otlp.sink = Arc::clone(&fixture.sink) as _;
    assert_eq!(fixture.send(V1, body_1(&GOOD, NOW)).await.status, 204);
    assert_eq!(fixture.rows(Table::Series), 2);
}

#[tokio::test]
async fn a_replica_that_is_not_elected_is_told_that_all_is_well() {
    let ha = HaConfig { enabled: true, ..HaConfig::default() };
    let fixture = fixture(None, ReceiveConfig::default(), RemoteWriteConfig { ha, ..RemoteWriteConfig::default() });
    let of = |replica: &str| {
        let pairs = [("__name__", "up"), ("cluster", "a"), ("__replica__", replica)];
        let mut symbols = vec![String::new()];
        symbols.extend(pairs.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]));
        let samples = vec![v2::Sample { value: Some(1.0), timestamp: NOW, start_timestamp: 0 }];
        let timeseries = vec![v2::TimeSeries { labels_refs: vec![1, 2, 3, 4, 5, 6], samples, ..Default::default() }];
        snappy(&v2::Request { symbols, timeseries }.encode_to_vec())
    };
    assert_eq!(fixture.send(V2, of("1")).await, said(204, Some([1, 0, 0]), ""));
    assert_eq!(fixture.send(V2, of("2")).await, said(202, Some([1, 0, 0]), ""));
    assert_eq!(fixture.rows(Table::Samples), 1);
}

#[tokio::test]
async fn otlp_has_its_path() {
    let fixture = plain();
    let headers = [("content-type", "application/x-protobuf")];
    let (status, ..) = fixture.request("POST", "/api/v1/otlp/v1/metrics", &headers, vec![]).await;
    assert_eq!(status, StatusCode::OK);
}
