use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, Request, StatusCode};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use async_trait::async_trait;
use axum::body::Body;
use catalog::env::fixed::{self, ManualClock};
use catalog::{Table, TenantId, Timestamp};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde::Deserialize;
use tower::ServiceExt;

use super::*;
use crate::convert::LogRules;
use crate::convert::loki::{LokiConfig, PushConverter};
use crate::convert::metrics::{MetricsConverter, OtlpMetricsConfig};
use crate::convert::otlp_rules::OtlpConfig;
use crate::receive::ReceiveConfig;
use crate::receive::body::Admission;
use crate::receive::otlp::Converters;
use crate::registry::{RegistryConfig, SeriesRegistry};
use crate::sink::{Append, Appended, RowSink, SinkError};

const NOW_S: i64 = 1_790_000_000;
const NOW: i64 = NOW_S * 1_000_000_000;
const JSON: (&str, &str) = ("content-type", "application/json");

/// Keeps what it is given, knows what it was given before, or fails.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) appends: Mutex<Vec<Append>>,
    pub(crate) failure: Option<SinkError>,
}

#[async_trait]
impl RowSink for Recorder {
    async fn append(&self, append: Append) -> Result<Appended, SinkError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let mut appends = self.appends.lock();
        if append.fingerprint.is_some() && appends.iter().any(|known| known.fingerprint == append.fingerprint) {
            return Ok(Appended::Duplicate);
        }
        appends.push(append);
        Ok(Appended::Stored)
    }
}

pub(crate) struct Fixture {
    pub(crate) sink: Arc<Recorder>,
    pub(crate) state: LokiState,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) fn fixture(failure: Option<SinkError>, config: LokiConfig) -> Fixture {
    let (env, clock) = fixed::env(Timestamp::from_secs(NOW_S), 1);
    let limits = Arc::new(ReceiveConfig::default());
    let sink = Arc::new(Recorder { failure, ..Recorder::default() });
    let registry = SeriesRegistry::new(RegistryConfig::default());
    let metrics = MetricsConverter::new(OtlpMetricsConfig::default(), registry, env.clone());
    let convert = Converters::new(&limits, &env, metrics, LogRules::new(&config).unwrap());
    let push = PushConverter::new(config, env, Arc::clone(&convert.resources));
    let admission = Admission::new(limits.in_flight_bytes_max);
    let otlp = OtlpState::new(Arc::clone(&sink) as Arc<dyn RowSink>, limits, convert, admission);
    Fixture { sink, state: LokiState::new(otlp, push), clock }
}

fn config() -> LokiConfig {
    LokiConfig { discover_service_name: Vec::new(), discover_log_levels: false, ..LokiConfig::default() }
}

/// A line as it is stored: time, level, body, metadata and ids by name.
type StoredLine = (i64, String, String, BTreeMap<String, String>);

impl Fixture {
    async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path).extension(TenantId::anonymous());
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let response = router(self.state.clone()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (parts.status, parts.headers, String::from_utf8_lossy(&body).trim_end().to_owned())
    }

    async fn push(&self, json: &str) -> (u16, String) {
        let (status, _, text) = self.request("POST", "/loki/api/v1/push", &[JSON], json.as_bytes().to_vec()).await;
        assert_eq!(text.is_empty(), status == 204, "{status} {text}");
        (status.as_u16(), text)
    }

    fn batches(&self, table: Table) -> Vec<RecordBatch> {
        let appends = self.sink.appends.lock();
        appends.iter().flat_map(|append| &append.rows).filter(|(of, _)| *of == table).map(|(_, batch)| batch.clone()).collect()
    }

    /// Streams by their labels, each with its lines in order.
    pub(crate) fn stored(&self) -> BTreeMap<BTreeMap<String, String>, Vec<StoredLine>> {
        let mut streams = BTreeMap::new();
        for batch in self.batches(Table::Streams) {
            let ids = batch["stream_id"].as_primitive::<Int64Type>();
            (0..batch.num_rows()).for_each(|row| drop(streams.insert(ids.value(row), pairs(&batch, "labels", row))));
        }
        let resources = self.resources();
        let mut stored: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for batch in self.batches(Table::Logs) {
            let ids = batch["stream_id"].as_primitive::<Int64Type>();
            let times = batch["ts"].as_primitive::<arrow::datatypes::TimestampNanosecondType>();
            let bodies = batch["body"].as_string::<i32>();
            for row in 0..batch.num_rows() {
                let labels = streams[&ids.value(row)].clone();
                let metadata = shown_as_loki(&batch, row, &labels, &resources);
                let line = (times.value(row), text(&batch, "level", row), bodies.value(row).to_owned(), metadata);
                stored.entry(labels).or_default().push(line);
            }
        }
        stored
    }

    fn resources(&self) -> BTreeMap<i64, BTreeMap<String, String>> {
        let mut resources = BTreeMap::new();
        for batch in self.batches(Table::Resources) {
            let ids = batch["resource_id"].as_primitive::<Int64Type>();
            (0..batch.num_rows()).for_each(|row| drop(resources.insert(ids.value(row), attributes(&batch, row))));
        }
        resources
    }
}

fn text(batch: &RecordBatch, column: &str, row: usize) -> String {
    let column = batch[column].as_dictionary::<Int32Type>();
    if column.is_null(row) {
        return String::new();
    }
    column.values().as_string::<i32>().value(column.keys().value(row) as usize).to_owned()
}

fn pairs(batch: &RecordBatch, column: &str, row: usize) -> BTreeMap<String, String> {
    let map = batch[column].as_map();
    let entries = map.value(row);
    let (names, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
    (0..entries.len()).map(|at| (names.value(at).to_owned(), values.value(at).to_owned())).collect()
}

/// Attributes as Loki names them: nested ones flattened.
fn attributes(batch: &RecordBatch, row: usize) -> BTreeMap<String, String> {
    let mut all = pairs(batch, "attrs_str", row);
    for (name, json) in pairs(batch, "attrs_json", row) {
        flatten(&name, &serde_json::from_str(&json).unwrap(), &mut all);
    }
    all.into_iter().map(|(name, value)| (catalog::labels::label_name(&name).into_owned(), value)).collect()
}

fn flatten(name: &str, value: &serde_json::Value, out: &mut BTreeMap<String, String>) {
    match (value["kvlistValue"]["values"].as_array(), value["stringValue"].as_str()) {
        (Some(entries), _) => {
            entries.iter().for_each(|e| flatten(&format!("{name}_{}", e["key"].as_str().unwrap()), &e["value"], out))
        }
        (_, Some(text)) => drop(out.insert(name.to_owned(), text.to_owned())),
        _ => panic!("{value}"),
    }
}

/// The structured metadata of a row: what its attributes, ids, scope and resource say beside the labels of its stream.
fn shown_as_loki(
    batch: &RecordBatch,
    row: usize,
    labels: &BTreeMap<String, String>,
    resources: &BTreeMap<i64, BTreeMap<String, String>>,
) -> BTreeMap<String, String> {
    let mut metadata = attributes(batch, row);
    for name in ["trace_id", "span_id"] {
        let ids = batch[name].as_fixed_size_binary();
        if !ids.is_null(row) {
            metadata.insert(name.to_owned(), hex::encode(ids.value(row)));
        }
    }
    let resource_ids = batch["resource_id"].as_primitive::<Int64Type>();
    if !resource_ids.is_null(row) {
        let resource = &resources[&resource_ids.value(row)];
        metadata.extend(resource.iter().filter(|(name, _)| !labels.contains_key(*name)).map(|(n, v)| (n.clone(), v.clone())));
    }
    let scope = text(batch, "scope_attrs", row);
    if !scope.is_empty() {
        for entry in serde_json::from_str::<serde_json::Value>(&scope).unwrap().as_array().unwrap() {
            let name = entry["key"].as_str().unwrap().replace('.', "_");
            flatten(&name, &entry["value"], &mut metadata);
        }
    }
    for name in ["scope_name", "event_name"] {
        let value = text(batch, name, row);
        if !value.is_empty() {
            metadata.insert(name.to_owned(), value);
        }
    }
    metadata
}

fn compressed(kind: &str, bytes: &[u8]) -> Vec<u8> {
    match kind {
        "gzip" => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        "deflate" => {
            let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        "snappy" => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
        "" => bytes.to_vec(),
        other => panic!("{other}"),
    }
}

#[derive(Debug, Deserialize)]
struct Case {
    id: String,
    path: String,
    content_type: String,
    #[serde(default)]
    content_encoding: String,
    #[serde(default)]
    compress_with: String,
    body: String,
    #[serde(default)]
    discover_service_name: bool,
    #[serde(default)]
    otlp_config: OtlpConfig,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
struct Expect {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    streams: Vec<ExpectedStream>,
}

#[derive(Debug, Deserialize)]
struct ExpectedStream {
    labels: BTreeMap<String, String>,
    entries: Vec<ExpectedEntry>,
}

#[derive(Debug, Deserialize)]
struct ExpectedEntry {
    ts_ns: i64,
    line: String,
    #[serde(default)]
    structured_metadata: BTreeMap<String, String>,
}

/// Cases taken from Loki's own tests, kept outside of the repository.
#[tokio::test]
async fn as_loki_takes_pushes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance/logql/http_push.yaml");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: {path} is not there");
        return;
    };
    let cases: Vec<Case> = serde_yaml_ng::from_str(&text).expect("a list of cases");
    for case in &cases {
        let discover = if case.discover_service_name { LokiConfig::default() } else { config() };
        let fixture = fixture(None, LokiConfig { otlp_config: case.otlp_config.clone(), ..discover });
        let headers = [("content-type", case.content_type.as_str()), ("content-encoding", case.content_encoding.as_str())];
        let body = compressed(&case.compress_with, case.body.as_bytes());
        let (status, _, text) = fixture.request("POST", &case.path, &headers, body).await;
        match case.expect.status {
            400 => assert!(status.is_client_error(), "{}: {status} {text}", case.id),
            204 | 0 => assert_eq!(status, 204, "{}: {text}", case.id),
            other => panic!("{other}"),
        }
        let expected: BTreeMap<_, Vec<_>> = case
            .expect
            .streams
            .iter()
            .map(|stream| {
                let entries = stream.entries.iter().map(|e| (e.ts_ns, e.line.clone(), e.structured_metadata.clone())).collect();
                (stream.labels.clone(), entries)
            })
            .collect();
        let found: BTreeMap<_, Vec<_>> = fixture
            .stored()
            .into_iter()
            .map(|(labels, lines)| (labels, lines.into_iter().map(|(ts, _, line, metadata)| (ts, line, metadata)).collect()))
            .collect();
        assert_eq!(found, expected, "{}", case.id);
    }
    assert!(cases.len() >= 20, "{}", cases.len());
}

fn one(labels: &str, ts: i64, rest: &str) -> String {
    format!(r#"{{"streams":[{{"stream":{labels},"values":[["{ts}",{rest}]]}}]}}"#)
}

#[tokio::test]
async fn what_is_refused_is_said_as_loki_says_it() {
    #[track_caller]
    fn check(config: LokiConfig, body: &str, status: u16, text: &str) -> impl Future<Output = ()> {
        let fixture = fixture(None, config);
        let (body, text) = (body.to_owned(), text.to_owned());
        async move { assert_eq!(fixture.push(&body).await, (status, text), "{body}") }
    }
    check(config(), &one("{}", NOW, r#""x""#), 400, "error at least one label pair is required per stream").await;
    check(
        LokiConfig { max_line_size: 3, ..config() },
        &one(r#"{"b":"1","a":"2"}"#, NOW, r#""long""#),
        400,
        r#"Max entry size '3' bytes exceeded for stream '{a="2", b="1"}' while adding an entry with length '4' bytes"#,
    )
    .await;
    check(
        LokiConfig { max_line_size: 3, max_line_size_truncate: true, ..config() },
        &one(r#"{"a":"2"}"#, NOW, r#""long""#),
        204,
        "",
    )
    .await;
    check(
        LokiConfig { max_label_names_per_series: 1, ..config() },
        &one(r#"{"a":"1","b":"2"}"#, NOW, r#""x""#),
        400,
        r#"entry for stream '{a="1", b="2"}' has 2 label names; limit 1"#,
    )
    .await;
    check(
        LokiConfig { max_label_name_length: 1, ..config() },
        &one(r#"{"ab":"1"}"#, NOW, r#""x""#),
        400,
        r#"stream '{ab="1"}' has label name too long: 'ab'"#,
    )
    .await;
    check(
        LokiConfig { max_label_value_length: 1, ..config() },
        &one(r#"{"a":"12"}"#, NOW, r#""x""#),
        400,
        r#"stream '{a="12"}' has label value too long: '12'"#,
    )
    .await;
    check(
        LokiConfig { max_structured_metadata_size: 4, ..config() },
        &one(r#"{"a":"1"}"#, NOW, r#""x",{"foo":"bar"}"#),
        400,
        "stream '{a=\"1\"}' has structured metadata too large: '6' bytes, limit: '4' bytes. Please see \
         `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it.",
    )
    .await;
    check(
        LokiConfig { max_structured_metadata_entries_count: 1, ..config() },
        &one(r#"{"a":"1"}"#, NOW, r#""x",{"foo":"bar","too":"many"}"#),
        400,
        "stream '{a=\"1\"}' has too many structured metadata labels: '2', limit: '1'. Please see \
         `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it.",
    )
    .await;
    check(
        LokiConfig { reject_old_samples_max_age: Some(Duration::from_secs(60)), ..config() },
        &one(r#"{"a":"1"}"#, NOW - 61_000_000_000, r#""x""#),
        400,
        "entry for stream '{a=\"1\"}' has timestamp too old: 2026-09-21T14:12:19Z, oldest acceptable timestamp is: \
         2026-09-21T14:12:20Z",
    )
    .await;
    check(
        config(),
        &one(r#"{"a":"1"}"#, NOW + 601_000_000_000, r#""x""#),
        400,
        "entry for stream '{a=\"1\"}' has timestamp too new: 2026-09-21T14:23:21Z",
    )
    .await;
    check(config(), &one(r#"{"a":"1"}"#, 1, r#""x""#), 204, "").await;
    check(
        config(),
        &one(r#"{"a-b":"1"}"#, NOW, r#""x""#),
        400,
        r#"Error parsing labels '{a-b="1"}' with error: "a-b" is no label name"#,
    )
    .await;
    check(
        LokiConfig { ingestion_rate_mb: 0.000_096, ingestion_burst_size_mb: 0.000_001, ..config() },
        &one(r#"{"a":"1"}"#, NOW, r#""1234567890""#),
        429,
        "Ingestion rate limit exceeded for user anonymous (limit: 100 bytes/sec) while attempting to ingest '1' lines totaling \
         '10' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased",
    )
    .await;
}

#[tokio::test]
async fn what_is_good_is_kept_beside_what_is_not() {
    let fixture = fixture(None, LokiConfig { max_line_size: 5, max_streams_per_user: 1, ..config() });
    let body = format!(
        r#"{{"streams":[{{"stream":{{"a":"1"}},"values":[["{NOW}","good"],["{NOW}","too long"],["{NOW}","too lang"]]}},{{"values":[["{NOW}","x"]],"stream":{{}}}}]}}"#
    );
    let (status, text) = fixture.push(&body).await;
    assert_eq!(status, 400);
    let expected = "2 errors like: Max entry size '5' bytes exceeded for stream '{a=\"1\"}' while adding an entry with length '8' \
                    bytes; 1 errors like: error at least one label pair is required per stream";
    assert_eq!(text, expected);
    let second = one(r#"{"a":"2"}"#, NOW, r#""x""#);
    let (status, text) = fixture.push(&second).await;
    assert_eq!(status, 429);
    assert!(text.starts_with("Maximum active stream limit exceeded when trying to create stream {a=\"2\"}, reduce"), "{text}");
    assert!(text.ends_with("user: 'anonymous'"), "{text}");
    // The same again is stored once; a stream that is idle makes room.
    assert_eq!(fixture.push(&body).await.0, 400);
    assert_eq!(fixture.stored().into_values().map(|lines| lines.len()).sum::<usize>(), 1);
    fixture.clock.advance(Duration::from_secs(7_200));
    assert_eq!(fixture.push(&second).await.0, 204);
    assert_eq!(fixture.stored().len(), 2);
}

#[tokio::test]
async fn the_rest_of_the_protocol() {
    let fixture = fixture(None, LokiConfig::default());
    let (status, headers, _) = fixture.request("GET", "/loki/api/v1/push", &[], Vec::new()).await;
    assert_eq!((status.as_u16(), headers["allow"].to_str().unwrap()), (405, "POST"));
    let (status, _, text) = fixture.request("POST", "/loki/api/v1/push", &[JSON, ("content-encoding", "br")], Vec::new()).await;
    assert_eq!((status.as_u16(), text.as_str()), (400, "Content-Encoding \"br\" not supported"));
    let legacy = r#"{"streams":[{"labels":"{job=\"old\"}","entries":[{"ts":"2026-09-21T14:13:20.5Z","line":"\u00e4"}]}]}"#;
    let (status, ..) = fixture.request("POST", "/api/prom/push", &[JSON], legacy.as_bytes().to_vec()).await;
    assert_eq!(status, 204);
    let levelled = one(
        r#"{"app":"a"}"#,
        NOW,
        r#""msg=x level=warn",{"trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708","Trace.x":"1"}"#,
    );
    assert_eq!(fixture.push(&levelled).await.0, 204);
    let said = one(r#"{"app":"a"}"#, NOW, r#""level=warn",{"detected_level":"error","trace_id":"ABC"}"#);
    assert_eq!(fixture.push(&said).await.0, 204);
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>();
    let ids = map(&[("trace_id", "0102030405060708090a0b0c0d0e0f10"), ("span_id", "0102030405060708"), ("Trace_x", "1")]);
    let expected = BTreeMap::from([
        (
            map(&[("app", "a"), ("service_name", "a")]),
            vec![
                (NOW, "warn".to_owned(), "msg=x level=warn".to_owned(), ids),
                (NOW, "error".to_owned(), "level=warn".to_owned(), map(&[("trace_id", "ABC")])),
            ],
        ),
        (
            map(&[("job", "old"), ("service_name", "old")]),
            vec![(NOW + 500_000_000, "unknown".to_owned(), "ä".to_owned(), map(&[]))],
        ),
    ]);
    assert_eq!(fixture.stored(), expected);
    for (failure, status) in [
        (SinkError::Overloaded { reason: "full".to_owned(), retry_after_s: 5 }, 503),
        (SinkError::ShuttingDown, 503),
        (SinkError::TooLarge { bytes: 2, bytes_max: 1 }, 413),
    ] {
        assert_eq!(self::fixture(Some(failure), config()).push(&said).await.0, status);
    }
}

#[tokio::test]
async fn a_hundred_thousand_streams_in_one_minute() {
    let fixture = fixture(None, LokiConfig::default());
    for request in 0..100 {
        let streams: Vec<String> = (0..1_000)
            .map(|at| format!(r#"{{"stream":{{"app":"a","pod":"{}"}},"values":[["{NOW}","x"]]}}"#, request * 1_000 + at))
            .collect();
        assert_eq!(fixture.push(&format!(r#"{{"streams":[{}]}}"#, streams.join(","))).await.0, 204);
    }
    assert_eq!(fixture.batches(Table::Streams).iter().map(RecordBatch::num_rows).sum::<usize>(), 100_000);
}
