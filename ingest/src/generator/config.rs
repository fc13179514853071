//! Settings of the metrics of spans.

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::labels::{SPAN_INTRINSICS, sanitized};

/// Series that are counted from spans.
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
    /// `classic`, `native` (exponential buckets) or `both`.
    pub histograms: HistogramKind,
    /// Calls, latency and size of spans.
    pub span_metrics: SpanMetricsConfig,
    /// Who calls whom.
    pub service_graph: ServiceGraphConfig,
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
    /// Upper bounds of the latency buckets in seconds, for the profile `tempo`.
    pub buckets: Vec<f64>,
    /// Upper bounds of the latency buckets in milliseconds, for the profile `collector`.
    pub buckets_ms: Vec<f64>,
    /// Attributes that become labels; those of the resource count first. A name that is taken gets the prefix `__`.
    pub dimensions: Vec<String>,
    /// Labels that are made of several attributes.
    pub dimension_mappings: Vec<DimensionMapping>,
    /// Whether the status message is a label.
    pub status_message: bool,
    /// Whether sizes are counted (profile `tempo`).
    pub size: bool,
    /// Whether resources are written as `traces_target_info`, and `job` and `instance` are labels (profile `tempo`).
    pub target_info: bool,
    /// Attributes of resources that are no labels of `traces_target_info`.
    pub target_info_excluded: Vec<String>,
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
    pub edges_max: usize,
    /// Upper bounds of the latency buckets in seconds.
    pub buckets: Vec<f64>,
    /// Attributes of either span that become labels; those of the resource count first.
    pub dimensions: Vec<String>,
    /// Whether such labels say whose they are, by `client_` and `server_`. Otherwise the server's value is taken if both have one.
    pub client_server_prefix: bool,
    /// Whether the label `virtual_node` says which side sent no span.
    pub virtual_node_label: bool,
    /// Attributes that name the other side when it sends no spans itself; the first that a span has counts.
    pub peer_attributes: Vec<String>,
    /// Whether the time that a message spent between its producer and its consumer is measured.
    pub messaging_latency: bool,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(15),
            series_max: 100_000,
            idle: Duration::from_secs(900),
            exemplars: true,
            histograms: HistogramKind::Classic,
            span_metrics: SpanMetricsConfig::default(),
            service_graph: ServiceGraphConfig::default(),
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
            buckets: exponential(0.002, 14),
            buckets_ms: [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1_000, 1_400, 2_000, 5_000, 10_000, 15_000]
                .map(f64::from)
                .to_vec(),
            dimensions: Vec::new(),
            dimension_mappings: Vec::new(),
            status_message: false,
            size: true,
            target_info: false,
            target_info_excluded: Vec::new(),
        }
    }
}

impl Default for ServiceGraphConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            wait: Duration::from_secs(10),
            edges_max: 10_000,
            buckets: exponential(0.1, 8),
            dimensions: Vec::new(),
            client_server_prefix: false,
            virtual_node_label: false,
            peer_attributes: ["peer.service", "db.name", "db.system", "db.system.name"].map(str::to_owned).to_vec(),
            messaging_latency: false,
        }
    }
}

/// A setting out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("generator.{key} is {value}, must be {bound}")]
pub struct InvalidGeneratorConfig {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub bound: &'static str,
}

/// Bounds of one histogram: a label set costs a series each.
const BUCKETS_MAX: usize = 63;
/// Configured labels of one metric.
const DIMENSIONS_MAX: usize = 32;

impl GeneratorConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), InvalidGeneratorConfig> {
        let between = |key, value: Duration, (min, max): (u64, u64), bound| {
            if value < Duration::from_millis(min) || value > Duration::from_millis(max) {
                return bad(key, humantime_text(value), bound);
            }
            Ok(())
        };
        between("interval", self.interval, (100, 3_600_000), "between 100ms and 1h")?;
        between("idle", self.idle, (1_000, 30 * 86_400_000), "between 1s and 30days")?;
        between("service_graph.wait", self.service_graph.wait, (100, 3_600_000), "between 100ms and 1h")?;
        count("series_max", self.series_max, 1 << 24, "between 1 and 16,777,216")?;
        count("service_graph.edges_max", self.service_graph.edges_max, 1 << 24, "between 1 and 16,777,216")?;
        buckets("span_metrics.buckets", &self.span_metrics.buckets)?;
        buckets("span_metrics.buckets_ms", &self.span_metrics.buckets_ms)?;
        buckets("service_graph.buckets", &self.service_graph.buckets)?;
        let spans = &self.span_metrics;
        let names: Vec<&str> =
            spans.dimensions.iter().map(String::as_str).chain(spans.dimension_mappings.iter().map(|m| m.name.as_str())).collect();
        dimensions("span_metrics.dimensions", &names, &SPAN_INTRINSICS)?;
        if spans.profiles.iter().collect::<HashSet<_>>().len() != spans.profiles.len() {
            return bad("span_metrics.profiles", format!("{:?}", spans.profiles), "a list of different profiles");
        }
        if let Some(mapping) =
            spans.dimension_mappings.iter().find(|m| m.source_labels.is_empty() || m.source_labels.len() > DIMENSIONS_MAX)
        {
            return bad("span_metrics.dimension_mappings", format!("{:?}", mapping.name), "made of 1 to 32 source_labels");
        }
        let graph = &self.service_graph;
        let names: Vec<&str> = graph.dimensions.iter().map(String::as_str).collect();
        dimensions("service_graph.dimensions", &names, &[])?;
        if graph.peer_attributes.len() > DIMENSIONS_MAX {
            return bad("service_graph.peer_attributes", graph.peer_attributes.len().to_string(), "at most 32 attributes");
        }
        Ok(())
    }
}

fn bad<T>(key: &'static str, value: String, bound: &'static str) -> Result<T, InvalidGeneratorConfig> {
    Err(InvalidGeneratorConfig { key, value, bound })
}

fn humantime_text(value: Duration) -> String {
    if value.subsec_millis() == 0 { format!("{}s", value.as_secs()) } else { format!("{}ms", value.as_millis()) }
}

fn count(key: &'static str, value: usize, max: usize, bound: &'static str) -> Result<(), InvalidGeneratorConfig> {
    if (1..=max).contains(&value) { Ok(()) } else { bad(key, value.to_string(), bound) }
}

/// Finite, above zero, ascending.
fn buckets(key: &'static str, bounds: &[f64]) -> Result<(), InvalidGeneratorConfig> {
    let ascend = bounds.is_sorted_by(|a, b| a < b) && bounds.iter().all(|b| b.is_finite() && *b > 0.0);
    if !ascend || bounds.is_empty() || bounds.len() > BUCKETS_MAX {
        return bad(key, format!("{bounds:?}"), "1 to 63 ascending bounds above 0");
    }
    Ok(())
}

/// Different labels, none of them empty.
fn dimensions(key: &'static str, names: &[&str], taken: &[&str]) -> Result<(), InvalidGeneratorConfig> {
    let labels: HashSet<String> = names.iter().map(|name| sanitized(name, taken)).collect();
    if names.len() > DIMENSIONS_MAX || labels.len() != names.len() || names.iter().any(|name| name.is_empty()) {
        return bad(key, format!("{names:?}"), "at most 32 attributes whose labels differ");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        let default = GeneratorConfig::default();
        default.validate().unwrap();
        assert_eq!(default.span_metrics.buckets.last(), Some(&16.384));
        assert_eq!(default.service_graph.buckets.last(), Some(&12.8));
        #[track_caller]
        fn refused(change: impl FnOnce(&mut GeneratorConfig), expected: &str) {
            let mut config = GeneratorConfig::default();
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().to_string(), expected);
        }
        refused(|c| c.interval = Duration::from_millis(10), "generator.interval is 10ms, must be between 100ms and 1h");
        refused(|c| c.series_max = 0, "generator.series_max is 0, must be between 1 and 16,777,216");
        refused(
            |c| c.service_graph.buckets = vec![1.0, 0.5],
            "generator.service_graph.buckets is [1.0, 0.5], must be 1 to 63 ascending bounds above 0",
        );
        refused(
            |c| c.span_metrics.dimensions = vec!["http.method".into(), "http_method".into()],
            "generator.span_metrics.dimensions is [\"http.method\", \"http_method\"], must be at most 32 attributes whose labels differ",
        );
        refused(
            |c| c.span_metrics.profiles = vec![Profile::Tempo, Profile::Tempo],
            "generator.span_metrics.profiles is [Tempo, Tempo], must be a list of different profiles",
        );
    }
}
