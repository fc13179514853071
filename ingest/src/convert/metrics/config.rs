//! How OTLP metrics become Prometheus series.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What becomes of names. Names and meanings are those of Prometheus' `otlp.translation_strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TranslationStrategy {
    /// `http.server.duration` in `ms` becomes `http_server_duration_milliseconds`.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// ... `http_server_duration`.
    UnderscoreEscapingWithoutSuffixes,
    /// ... `http.server.duration_milliseconds`.
    NoUTF8EscapingWithSuffixes,
    /// ... `http.server.duration`, as it was sent.
    NoTranslation,
}

impl TranslationStrategy {
    /// Whether characters outside the classic set become `_`.
    pub fn escapes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes)
    }
    /// Whether unit and type become part of the name.
    pub fn adds_suffixes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::NoUTF8EscapingWithSuffixes)
    }
}

/// Translation and limits of OTLP metrics. The keys that Prometheus has too bear its names, and its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpMetricsConfig {
    /// What becomes of metric and label names.
    pub translation_strategy: TranslationStrategy,
    /// Whether an escaped label name with a single leading `_` gets `key` in front.
    pub label_name_underscore_sanitization: bool,
    /// Whether runs of `_` in escaped label names are kept.
    pub label_name_preserve_multiple_underscores: bool,
    /// Resource attributes that become labels of every series.
    pub promote_resource_attributes: Vec<String>,
    /// Whether all resource attributes become labels, but for `ignore_resource_attributes`.
    pub promote_all_resource_attributes: bool,
    /// Resource attributes that do not become labels when all others do.
    pub ignore_resource_attributes: Vec<String>,
    /// Whether `target_info` also has service.name, service.namespace and service.instance.id as labels.
    pub keep_identifying_resource_attributes: bool,
    /// Whether series get `otel_scope_*` labels.
    pub promote_scope_metadata: bool,
    /// PromQL's lookback: `target_info` has a sample every half of it, e.g. `"5m"`.
    #[serde(with = "humantime_serde")]
    pub lookback: Duration,
    /// How far ahead of this node's clock a data point may lie, e.g. `"10m"`.
    #[serde(with = "humantime_serde")]
    pub future_max: Duration,
    /// How far behind this node's clock a data point may lie; unset: any past is taken.
    #[serde(with = "humantime_serde")]
    pub past_max: Option<Duration>,
    /// Labels of one series; data points with more are refused.
    pub labels_max: usize,
    /// Bytes of a metric or label name; data points with a longer one are refused.
    pub name_bytes_max: usize,
    /// Bytes of a label value; data points with a longer one are refused.
    pub label_value_bytes_max: usize,
    /// Buckets of one histogram data point, or quantiles of one summary; data points with more are refused.
    pub buckets_max: usize,
}

impl Default for OtlpMetricsConfig {
    fn default() -> Self {
        Self {
            translation_strategy: TranslationStrategy::default(),
            label_name_underscore_sanitization: true,
            label_name_preserve_multiple_underscores: true,
            promote_resource_attributes: Vec::new(),
            promote_all_resource_attributes: false,
            ignore_resource_attributes: Vec::new(),
            keep_identifying_resource_attributes: false,
            promote_scope_metadata: false,
            lookback: Duration::from_secs(300),
            future_max: Duration::from_secs(600),
            past_max: None,
            labels_max: 64,
            name_bytes_max: 1_024,
            label_value_bytes_max: 4_096,
            buckets_max: 1_024,
        }
    }
}

/// A setting out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("otlp_metrics.{key} is {value}, must be {bound}")]
pub struct InvalidMetricsConfig {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub bound: &'static str,
}

impl OtlpMetricsConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), InvalidMetricsConfig> {
        let counts = [
            ("labels_max", self.labels_max),
            ("name_bytes_max", self.name_bytes_max),
            ("label_value_bytes_max", self.label_value_bytes_max),
            ("buckets_max", self.buckets_max),
        ];
        for (key, value) in counts {
            if value == 0 || value > 1 << 20 {
                return Err(InvalidMetricsConfig { key, value: value.to_string(), bound: "between 1 and 1,048,576" });
            }
        }
        if self.lookback < Duration::from_secs(1) {
            let value = format!("{:?}", self.lookback);
            return Err(InvalidMetricsConfig { key: "lookback", value, bound: "at least 1s" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_bear_the_names_of_prometheus() {
        for (json, expected) in [
            ("UnderscoreEscapingWithSuffixes", TranslationStrategy::UnderscoreEscapingWithSuffixes),
            ("UnderscoreEscapingWithoutSuffixes", TranslationStrategy::UnderscoreEscapingWithoutSuffixes),
            ("NoUTF8EscapingWithSuffixes", TranslationStrategy::NoUTF8EscapingWithSuffixes),
            ("NoTranslation", TranslationStrategy::NoTranslation),
        ] {
            let config: OtlpMetricsConfig = serde_json::from_str(&format!(r#"{{"translation_strategy": "{json}"}}"#)).unwrap();
            assert_eq!(config.translation_strategy, expected);
        }
    }

    #[test]
    fn bounds_are_checked() {
        OtlpMetricsConfig::default().validate().unwrap();
        let broken = OtlpMetricsConfig { labels_max: 0, ..OtlpMetricsConfig::default() };
        assert_eq!(broken.validate().unwrap_err().to_string(), "otlp_metrics.labels_max is 0, must be between 1 and 1,048,576");
    }
}
