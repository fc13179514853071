//! Seeded requests and the rows they become. The same numbers every time, so that runs can be compared.

// Each benchmark uses a part.
#![allow(dead_code)]

pub(crate) mod nowhere;

use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::env::fixed;
use catalog::{Env, Table, TenantId, Timestamp};
use ingest::convert::metrics::{MetricsConverter, OtlpMetricsConfig};
use ingest::convert::{Convert, Converted, LogRules, LogsConverter, Resources, SpansConverter};
use ingest::receive::ReceiveConfig;
use ingest::registry::{RegistryConfig, SeriesRegistry};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// When the last round happens; earlier rounds are 15 s apart.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);
/// Data points, log records or spans of one request.
pub(crate) const ITEMS: usize = 1_000;
/// In which log line of a round with the number 0 it stands.
pub(crate) const NEEDLE: &str = "disk quota exceeded";

/// Time stands still, chance is seeded.
pub(crate) fn env() -> Env {
    fixed::env(NOW, 7).0
}

/// splitmix64 of `n`.
pub(crate) fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn text(value: impl Into<String>) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) })
}

fn attribute(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: text(value), ..KeyValue::default() }
}

fn resource(at: usize) -> Option<Resource> {
    let attributes = vec![
        attribute("service.name", format!("service-{}", at % 5)),
        attribute("service.instance.id", format!("instance-{at}")),
        attribute("host.name", format!("host-{at}")),
    ];
    Some(Resource { attributes, ..Resource::default() })
}

/// When item `at` of a round happens, in nanoseconds since the epoch.
fn time_ns(round: u64, at: usize) -> u64 {
    (NOW.as_nanos() as u64) - 15_000_000_000 * round + at as u64 * 1_000_000
}

/// An `ExportMetricsServiceRequest`: 1,000 series in 10 resources, one point of each.
pub(crate) fn metrics(round: u64) -> Vec<u8> {
    let point = |series: usize| NumberDataPoint {
        attributes: vec![
            attribute("http.method", ["GET", "POST", "PUT"][series % 3]),
            attribute("http.status", (200 + series).to_string()),
            attribute("route", format!("/api/v1/r{series}")),
        ],
        start_time_unix_nano: time_ns(round, 0) - 3_600_000_000_000,
        time_unix_nano: time_ns(round, 0),
        value: Some(number_data_point::Value::AsDouble((10_000 - round) as f64 * (1 + series) as f64)),
        ..NumberDataPoint::default()
    };
    let metric = |at: usize| {
        let sum = Sum { data_points: (0..10).map(point).collect(), aggregation_temporality: 2, is_monotonic: true };
        Metric { name: format!("http.server.requests.{at}"), data: Some(Data::Sum(sum)), ..Metric::default() }
    };
    let of_resource = |at: usize| ResourceMetrics {
        resource: resource(at),
        scope_metrics: vec![ScopeMetrics { metrics: (0..10).map(metric).collect(), ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: (0..10).map(of_resource).collect() }.encode_to_vec()
}

/// An `ExportLogsServiceRequest`: 1,000 lines of 10 resources.
pub(crate) fn logs(round: u64) -> Vec<u8> {
    let record = |at: usize| {
        let n = mix(round * ITEMS as u64 + at as u64);
        let path = ["/api/v1/users", "/api/v1/orders", "/healthz", "/static/app.js"][(n % 4) as usize];
        let line = match (round, at) {
            (0, 500) => format!("write failed: {NEEDLE} on volume {n}"),
            _ => format!(
                r#"{{"msg":"request handled","path":"{path}","status":200,"duration_ms":{},"user":{}}}"#,
                n % 900,
                n % 7919
            ),
        };
        LogRecord {
            time_unix_nano: time_ns(round, at),
            severity_number: [9, 9, 9, 13, 17][(n % 5) as usize],
            body: text(line),
            attributes: vec![attribute("http.route", path), attribute("thread", format!("worker-{}", n % 8))],
            trace_id: [n.to_le_bytes(), mix(n).to_le_bytes()].concat(),
            span_id: mix(n + 1).to_le_bytes().to_vec(),
            ..LogRecord::default()
        }
    };
    let of_resource = |of: usize| ResourceLogs {
        resource: resource(of),
        scope_logs: vec![ScopeLogs { log_records: (of * 100..(of + 1) * 100).map(record).collect(), ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest { resource_logs: (0..10).map(of_resource).collect() }.encode_to_vec()
}

/// An `ExportTraceServiceRequest`: 1,000 spans of 10 resources, traces of eight.
pub(crate) fn spans(round: u64) -> Vec<u8> {
    let span = |at: usize| {
        let n = mix(round * ITEMS as u64 + at as u64);
        let trace = mix(round * ITEMS as u64 + (at / 8) as u64);
        Span {
            trace_id: [trace.to_le_bytes(), mix(trace).to_le_bytes()].concat(),
            span_id: mix(n).to_le_bytes().to_vec(),
            name: format!("operation-{}", n % 40),
            kind: 1 + (n % 4) as i32,
            start_time_unix_nano: time_ns(round, at),
            end_time_unix_nano: time_ns(round, at) + n % 1_000_000_000,
            attributes: vec![
                attribute("http.request.method", ["GET", "POST"][(n % 2) as usize]),
                attribute("url.path", format!("/api/v1/resource-{}", n % 200)),
                attribute("server.address", format!("host-{}.internal", n % 10)),
            ],
            ..Span::default()
        }
    };
    let of_resource = |of: usize| ResourceSpans {
        resource: resource(of),
        scope_spans: vec![ScopeSpans { spans: (of * 100..(of + 1) * 100).map(span).collect(), ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: (0..10).map(of_resource).collect() }.encode_to_vec()
}

/// The three converters with their default limits.
#[derive(Debug)]
pub(crate) struct Converters {
    metrics: Arc<MetricsConverter>,
    logs: LogsConverter,
    spans: SpansConverter,
}

/// One of the three.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
    /// Spans.
    Spans,
}

impl Kind {
    /// All of them, and their names.
    pub(crate) const ALL: [(Self, &'static str); 3] = [(Self::Metrics, "metrics"), (Self::Logs, "logs"), (Self::Spans, "spans")];

    /// The request of a round.
    pub(crate) fn body(self, round: u64) -> Vec<u8> {
        match self {
            Self::Metrics => metrics(round),
            Self::Logs => logs(round),
            Self::Spans => spans(round),
        }
    }

    /// The table of the facts.
    pub(crate) fn table(self) -> Table {
        match self {
            Self::Metrics => Table::Samples,
            Self::Logs => Table::Logs,
            Self::Spans => Table::Spans,
        }
    }
}

impl Converters {
    /// Converters that have seen nothing.
    pub(crate) fn new() -> Self {
        let config = Arc::new(ReceiveConfig::default());
        let resources = Resources::new(&config, LogRules::default());
        let registry = SeriesRegistry::new(RegistryConfig::default());
        Self {
            metrics: MetricsConverter::new(OtlpMetricsConfig::default(), registry, env()),
            logs: LogsConverter::new(Arc::clone(&config), env(), Arc::clone(&resources)),
            spans: SpansConverter::new(config, env(), resources),
        }
    }

    /// Converts a well-formed request and remembers its dictionary rows.
    pub(crate) fn convert(&self, kind: Kind, body: &[u8]) -> Converted {
        let tenant = TenantId::anonymous();
        let converted = match kind {
            Kind::Metrics => self.metrics.convert(&tenant, body),
            Kind::Logs => Convert::convert(&self.logs, &tenant, body),
            Kind::Spans => Convert::convert(&self.spans, &tenant, body),
        };
        let mut converted = converted.expect("a well-formed request");
        assert_eq!((converted.accepted, converted.rejected), (ITEMS as u64, 0), "{:?}", converted.reason);
        converted.confirm();
        converted
    }
}

/// The facts (no dictionary rows) of so many rounds, a batch a round.
pub(crate) fn facts(kind: Kind, rounds: u64) -> Vec<RecordBatch> {
    let converters = Converters::new();
    // Oldest first, as they would come.
    let rows = (0..rounds).rev().flat_map(|round| converters.convert(kind, &kind.body(round)).rows);
    rows.filter(|(table, _)| *table == kind.table()).map(|(_, batch)| batch).collect()
}
