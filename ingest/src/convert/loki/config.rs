//! What Loki's push API accepts, by the names of Loki's `limits_config`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::convert::level::LEVEL_FIELDS;
use crate::convert::otlp_rules::{OtlpConfig, OtlpRules};
use crate::convert::streams::SERVICE_LABELS;

/// Limits of pushed log lines, and how log records become streams. The keys are those of Loki's `limits_config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LokiConfig {
    /// Bytes of one line; longer ones are refused.
    pub max_line_size: usize,
    /// Whether lines that are too long are cut instead.
    pub max_line_size_truncate: bool,
    /// Labels of one stream, `service_name` not counted; streams with more are refused.
    pub max_label_names_per_series: usize,
    /// Bytes of a label name; streams with a longer one are refused.
    pub max_label_name_length: usize,
    /// Bytes of a label value; streams with a longer one are refused.
    pub max_label_value_length: usize,
    /// Bytes of a line's structured metadata, names and values; lines with more are refused.
    pub max_structured_metadata_size: usize,
    /// Entries of a line's structured metadata; lines with more are refused.
    pub max_structured_metadata_entries_count: usize,
    /// How far behind this node's clock a pushed line may lie, e.g. `"7d"`; unset: any past is taken, in any order.
    #[serde(with = "humantime_serde")]
    pub reject_old_samples_max_age: Option<Duration>,
    /// How far ahead of this node's clock a pushed line may lie.
    #[serde(with = "humantime_serde")]
    pub creation_grace_period: Duration,
    /// Megabytes (2^20 bytes) of lines that one tenant may push per second; 0: no limit.
    pub ingestion_rate_mb: f64,
    /// Megabytes that it may push at once.
    pub ingestion_burst_size_mb: f64,
    /// Streams of one tenant that get lines within half an hour; lines of further ones are refused. Some 20 bytes of memory each.
    pub max_streams_per_user: usize,
    /// Labels that name the service of a stream without `service_name`, the strongest first; if none does it is `unknown_service`.
    /// Empty: no label is added. For OTLP too.
    pub discover_service_name: Vec<String>,
    /// Whether the level of a log line is looked for and stored. For OTLP too.
    pub discover_log_levels: bool,
    /// Labels, metadata and fields of a line that hold its level, the strongest first.
    pub log_level_fields: Vec<String>,
    /// Which of OTLP's attributes become labels or are left out, whatever listener they come by.
    pub otlp_config: OtlpConfig,
}

impl Default for LokiConfig {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Self {
            max_line_size: 256 << 10,
            max_line_size_truncate: false,
            max_label_names_per_series: 15,
            max_label_name_length: 1_024,
            max_label_value_length: 2_048,
            max_structured_metadata_size: 64 << 10,
            max_structured_metadata_entries_count: 128,
            reject_old_samples_max_age: None,
            creation_grace_period: Duration::from_secs(600),
            ingestion_rate_mb: 0.0,
            ingestion_burst_size_mb: 64.0,
            max_streams_per_user: 1_000_000,
            discover_service_name: owned(&SERVICE_LABELS),
            discover_log_levels: true,
            log_level_fields: owned(LEVEL_FIELDS),
            otlp_config: OtlpConfig::default(),
        }
    }
}

/// A setting out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("loki.{key} is {value}, must be {bound}")]
pub struct InvalidLokiConfig {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub bound: &'static str,
}

impl LokiConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), InvalidLokiConfig> {
        let bad = |key, value: String, bound| Err(InvalidLokiConfig { key, value, bound });
        let counts = [
            ("max_line_size", self.max_line_size, 64 << 20, "between 1 and 67,108,864"),
            ("max_label_names_per_series", self.max_label_names_per_series, 1_000, "between 1 and 1,000"),
            ("max_label_name_length", self.max_label_name_length, 1 << 20, "between 1 and 1,048,576"),
            ("max_label_value_length", self.max_label_value_length, 1 << 20, "between 1 and 1,048,576"),
            ("max_structured_metadata_size", self.max_structured_metadata_size, 64 << 20, "between 1 and 67,108,864"),
            ("max_structured_metadata_entries_count", self.max_structured_metadata_entries_count, 10_000, "between 1 and 10,000"),
            ("max_streams_per_user", self.max_streams_per_user, 100_000_000, "between 1 and 100,000,000"),
        ];
        if let Some((key, value, _, bound)) = counts.into_iter().find(|(_, value, max, _)| *value == 0 || value > max) {
            return bad(key, value.to_string(), bound);
        }
        for (key, value) in
            [("ingestion_rate_mb", self.ingestion_rate_mb), ("ingestion_burst_size_mb", self.ingestion_burst_size_mb)]
        {
            if !(0.0..=1e9).contains(&value) {
                return bad(key, value.to_string(), "between 0 and 1e9");
            }
        }
        if self.ingestion_rate_mb > 0.0 && self.ingestion_burst_size_mb == 0.0 {
            return bad("ingestion_burst_size_mb", "0".to_owned(), "more than 0 where there is a rate");
        }
        for (key, names) in [("discover_service_name", &self.discover_service_name), ("log_level_fields", &self.log_level_fields)]
        {
            if let Some(name) = names.iter().find(|name| name.is_empty() || name.len() > 1_024) {
                return bad(key, format!("{name:?}"), "names of 1 to 1,024 bytes");
            }
        }
        OtlpRules::new(&self.otlp_config).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let key_of = |config: LokiConfig| config.validate().err().map(|e| e.key);
        let default = LokiConfig::default;
        assert_eq!(key_of(default()), None);
        assert_eq!(key_of(LokiConfig { max_line_size: 0, ..default() }), Some("max_line_size"));
        assert_eq!(key_of(LokiConfig { ingestion_rate_mb: f64::NAN, ..default() }), Some("ingestion_rate_mb"));
        assert_eq!(
            key_of(LokiConfig { ingestion_rate_mb: 1.0, ingestion_burst_size_mb: 0.0, ..default() }),
            Some("ingestion_burst_size_mb")
        );
        assert_eq!(key_of(LokiConfig { log_level_fields: vec![String::new()], ..default() }), Some("log_level_fields"));
    }
}
