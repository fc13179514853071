//! Settings of the metrics of spans.

mod validate;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::policy::{AttributeMatch, FilterPolicy, MatchType, MatchValue, PolicyMatch};
pub use validate::InvalidGeneratorConfig;

/// Series that are counted from spans. Where Tempo has another name for a setting, it is understood too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorConfig {
    /// Whether spans are counted at all.
    pub enabled: bool,
    /// Between two samples of a series, e.g. `"15s"`.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Series of one tenant; what more label sets would need is counted under `metric_overflow="true"`. A set of labels has some 18.
    pub series_max: usize,
    /// A label set without spans for so long ends with a stale marker, e.g. `"15m"`.
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
    /// Whether latencies point to traces.
    pub exemplars: bool,
    /// A label that exemplars have beside `trace_id` with the same value, e.g. `traceID` as Tempo's have; empty: none.
    pub trace_id_label_name: String,
    /// `classic`, `native` (exponential buckets) or `both`.
    #[serde(alias = "generate_native_histograms")]
    pub histograms: HistogramKind,
    /// Calls, latency and size of spans.
    pub span_metrics: SpanMetricsConfig,
    /// Who calls whom.
    pub service_graph: ServiceGraphConfig,
    /// Which hosts send spans.
    pub host_info: HostInfoConfig,
}

/// How latencies are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistogramKind {
    /// A series for each bucket.
    #[default]
    Classic,
    /// One series of native histograms: buckets grow by 9 %, at most 100 of them.
    Native,
    /// Both.
    Both,
}

impl HistogramKind {
    pub(super) fn is_classic(self) -> bool {
        self != Self::Native
    }
    pub(super) fn is_native(self) -> bool {
        self != Self::Classic
    }
}

/// Whose names metrics of spans have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// `traces_spanmetrics_*` in seconds with `service`: Tempo's metrics-generator.
    Tempo,
    /// `traces_span_metrics_*` in milliseconds with `service_name`: the collector's spanmetrics connector.
    Collector,
}

/// Calls, latency and size of spans by service, name, kind and status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpanMetricsConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// Whose names they have: `tempo`, `collector` or both.
    pub profiles: Vec<Profile>,
    /// Whether spans are counted.
    pub calls: bool,
    /// Whether their latencies are.
    pub latency: bool,
    /// Whether sizes are counted (profile `tempo`).
    pub size: bool,
    /// Upper bounds of the latency buckets in seconds, for the profile `tempo`.
    #[serde(alias = "histogram_buckets")]
    pub buckets: Vec<f64>,
    /// Upper bounds of the latency buckets in milliseconds, for the profile `collector`.
    pub buckets_ms: Vec<f64>,
    /// Which labels there are without being asked for.
    pub intrinsic_dimensions: IntrinsicDimensions,
    /// Attributes that become labels; those of the resource count first. A name that is taken gets the prefix `__`.
    pub dimensions: Vec<String>,
    /// Labels that are made of several attributes.
    pub dimension_mappings: Vec<DimensionMapping>,
    /// Whether resources are written as `traces_target_info`, and `job` and `instance` are labels (profile `tempo`).
    #[serde(alias = "enable_target_info")]
    pub target_info: bool,
    /// Attributes of resources that are no labels of `traces_target_info`.
    #[serde(alias = "target_info_excluded_dimensions")]
    pub target_info_excluded: Vec<String>,
    /// Whether `instance` is a label of spans, too, when `job` is.
    #[serde(alias = "enable_instance_label")]
    pub instance_label: bool,
    /// An attribute of spans or resources, a double, that says which share of spans was sampled: calls and latencies count its
    /// inverse. Empty: none.
    pub span_multiplier_key: String,
    /// Whether that share is taken from the trace state first (`ot=th:...`).
    #[serde(alias = "enable_tracestate_span_multiplier")]
    pub tracestate_span_multiplier: bool,
    /// Which spans are counted; none: all of them.
    pub filter_policies: Vec<FilterPolicy>,
}

/// Labels of spans that are no attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntrinsicDimensions {
    /// The service.
    pub service: bool,
    /// The name of the span.
    pub span_name: bool,
    /// `SPAN_KIND_SERVER` and others.
    pub span_kind: bool,
    /// `STATUS_CODE_ERROR` and others.
    pub status_code: bool,
    /// The message beside the status: any text.
    pub status_message: bool,
}

/// A label that is made of several attributes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DimensionMapping {
    /// The label.
    pub name: String,
    /// The attributes; absent and empty ones are left out.
    pub source_labels: Vec<String>,
    /// What stands between the values.
    #[serde(default)]
    pub join: String,
}

/// Requests between services: a client's span and the server's span below it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceGraphConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// How long a span waits for its counterpart, e.g. `"10s"`.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
    /// Spans of one tenant that wait; further ones are dropped and counted.
    #[serde(alias = "max_items")]
    pub edges_max: usize,
    /// Whether requests and those that failed are counted.
    pub requests: bool,
    /// Whether their latencies are.
    pub latency: bool,
    /// Whether every edge is a gauge as well, `traces_service_graph_connection_info`, that says 1 while there are requests.
    pub connection_info: bool,
    /// Upper bounds of the latency buckets in seconds.
    #[serde(alias = "histogram_buckets")]
    pub buckets: Vec<f64>,
    /// Attributes of either span that become labels; those of the resource count first.
    pub dimensions: Vec<String>,
    /// Whether such labels say whose they are, by `client_` and `server_`. Otherwise the server's value is taken if both have one.
    #[serde(alias = "enable_client_server_prefix")]
    pub client_server_prefix: bool,
    /// Whether the label `virtual_node` says which side sent no span.
    #[serde(alias = "enable_virtual_node_label")]
    pub virtual_node_label: bool,
    /// Attributes that name the other side when it sends no spans itself; the first that a span has counts.
    pub peer_attributes: Vec<String>,
    /// Attributes that say that a client's span asks a database; the first that it has names it, if nothing else does.
    pub database_name_attributes: Vec<String>,
    /// Whether the time that a message spent between its producer and its consumer is measured.
    #[serde(alias = "enable_messaging_system_latency_histogram")]
    pub messaging_latency: bool,
    /// As that of span metrics. An edge counts as often as the side that stands for more spans.
    pub span_multiplier_key: String,
    /// As that of span metrics.
    #[serde(alias = "enable_tracestate_span_multiplier")]
    pub tracestate_span_multiplier: bool,
    /// Which spans may be one side of an edge; none: all of them. The other side of one that may not is not counted either.
    pub filter_policies: Vec<FilterPolicy>,
}

/// Hosts by what their resources say of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostInfoConfig {
    /// Whether there is a gauge of 1 for every host, with its id as `grafana_host_id` and the attribute that has it as `host_source`.
    pub enabled: bool,
    /// Attributes of resources that identify a host; the first that is a text and not empty counts.
    pub host_identifiers: Vec<String>,
    /// The gauge's name.
    pub metric_name: String,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(15),
            series_max: 100_000,
            idle: Duration::from_secs(900),
            exemplars: true,
            trace_id_label_name: String::new(),
            histograms: HistogramKind::Classic,
            span_metrics: SpanMetricsConfig::default(),
            service_graph: ServiceGraphConfig::default(),
            host_info: HostInfoConfig::default(),
        }
    }
}

/// `first * factor^i`, `count` of them.
fn exponential(first: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| first * 2_f64.powi(i as i32)).collect()
}

impl Default for SpanMetricsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            profiles: vec![Profile::Tempo],
            calls: true,
            latency: true,
            size: true,
            buckets: exponential(0.002, 14),
            buckets_ms: [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1_000, 1_400, 2_000, 5_000, 10_000, 15_000]
                .map(f64::from)
                .to_vec(),
            intrinsic_dimensions: IntrinsicDimensions::default(),
            dimensions: Vec::new(),
            dimension_mappings: Vec::new(),
            target_info: false,
            target_info_excluded: Vec::new(),
            instance_label: true,
            span_multiplier_key: String::new(),
            tracestate_span_multiplier: false,
            filter_policies: Vec::new(),
        }
    }
}

impl SpanMetricsConfig {
    /// Whether a span may stand for others.
    pub(super) fn is_weighted(&self) -> bool {
        !self.span_multiplier_key.is_empty() || self.tracestate_span_multiplier
    }
}

impl ServiceGraphConfig {
    /// Whether a request may stand for others.
    pub(super) fn is_weighted(&self) -> bool {
        !self.span_multiplier_key.is_empty() || self.tracestate_span_multiplier
    }
}

impl Default for IntrinsicDimensions {
    fn default() -> Self {
        Self { service: true, span_name: true, span_kind: true, status_code: true, status_message: false }
    }
}

impl Default for ServiceGraphConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            wait: Duration::from_secs(10),
            edges_max: 10_000,
            requests: true,
            latency: true,
            connection_info: false,
            buckets: exponential(0.1, 8),
            dimensions: Vec::new(),
            client_server_prefix: false,
            virtual_node_label: false,
            peer_attributes: ["peer.service", "db.name", "db.system", "db.system.name"].map(str::to_owned).to_vec(),
            database_name_attributes: ["db.namespace", "db.name", "db.system", "db.system.name"].map(str::to_owned).to_vec(),
            messaging_latency: false,
            span_multiplier_key: String::new(),
            tracestate_span_multiplier: false,
            filter_policies: Vec::new(),
        }
    }
}

impl Default for HostInfoConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            host_identifiers: ["k8s.node.name", "host.id"].map(str::to_owned).to_vec(),
            metric_name: "traces_host_info".to_owned(),
        }
    }
}
