//! The bounds of the settings.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use super::{GeneratorConfig, ServiceGraphConfig, SpanMetricsConfig};
use crate::generator::labels::{SPAN_INTRINSICS, is_label, sanitized};
use crate::generator::policy;

/// A setting out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("generator.{key} is {value}, must be {bound}")]
pub struct InvalidGeneratorConfig {
    /// The setting.
    pub key: Cow<'static, str>,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub bound: Cow<'static, str>,
}

/// Bounds of one histogram: a label set costs a series each.
const BUCKETS_MAX: usize = 63;
/// Configured labels of one metric, and attributes of any list.
const ATTRIBUTES_MAX: usize = 32;

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
        if !self.trace_id_label_name.is_empty() && !is_label(&self.trace_id_label_name) {
            return bad("trace_id_label_name", format!("{:?}", self.trace_id_label_name), "a label name, or empty");
        }
        self.span_metrics.validate()?;
        self.service_graph.validate()?;
        let host = &self.host_info;
        attributes("host_info.host_identifiers", &host.host_identifiers)?;
        if host.host_identifiers.is_empty() {
            return bad("host_info.host_identifiers", "[]".to_owned(), "at least one attribute");
        }
        if !is_label(&host.metric_name.replace(':', "_")) {
            return bad("host_info.metric_name", format!("{:?}", host.metric_name), "a name of a metric");
        }
        Ok(())
    }
}

impl SpanMetricsConfig {
    fn validate(&self) -> Result<(), InvalidGeneratorConfig> {
        let mapped = self.dimension_mappings.iter().map(|m| m.name.as_str());
        let names: Vec<&str> = self.dimensions.iter().map(String::as_str).chain(mapped).collect();
        dimensions("span_metrics.dimensions", &names, &SPAN_INTRINSICS)?;
        if self.profiles.iter().collect::<HashSet<_>>().len() != self.profiles.len() {
            return bad("span_metrics.profiles", format!("{:?}", self.profiles), "a list of different profiles");
        }
        let out = |sources: &[String]| sources.is_empty() || sources.len() > ATTRIBUTES_MAX;
        if let Some(mapping) = self.dimension_mappings.iter().find(|m| out(&m.source_labels)) {
            return bad("span_metrics.dimension_mappings", format!("{:?}", mapping.name), "made of 1 to 32 source_labels");
        }
        policy::validate("span_metrics.filter_policies", &self.filter_policies)
    }
}

impl ServiceGraphConfig {
    fn validate(&self) -> Result<(), InvalidGeneratorConfig> {
        let names: Vec<&str> = self.dimensions.iter().map(String::as_str).collect();
        dimensions("service_graph.dimensions", &names, &[])?;
        attributes("service_graph.peer_attributes", &self.peer_attributes)?;
        attributes("service_graph.database_name_attributes", &self.database_name_attributes)?;
        policy::validate("service_graph.filter_policies", &self.filter_policies)
    }
}

pub(in crate::generator) fn bad<T>(
    key: impl Into<Cow<'static, str>>,
    value: String,
    bound: impl Into<Cow<'static, str>>,
) -> Result<T, InvalidGeneratorConfig> {
    Err(InvalidGeneratorConfig { key: key.into(), value, bound: bound.into() })
}

fn attributes(key: &'static str, names: &[String]) -> Result<(), InvalidGeneratorConfig> {
    if names.len() > ATTRIBUTES_MAX { bad(key, names.len().to_string(), "at most 32 attributes") } else { Ok(()) }
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
    if names.len() > ATTRIBUTES_MAX || labels.len() != names.len() || names.iter().any(|name| name.is_empty()) {
        return bad(key, format!("{names:?}"), "at most 32 attributes whose labels differ");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Profile;
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
            |c| c.trace_id_label_name = "trace-id".into(),
            "generator.trace_id_label_name is \"trace-id\", must be a label name, or empty",
        );
        refused(
            |c| c.host_info.host_identifiers.clear(),
            "generator.host_info.host_identifiers is [], must be at least one attribute",
        );
        refused(
            |c| c.host_info.metric_name = "2x".into(),
            "generator.host_info.metric_name is \"2x\", must be a name of a metric",
        );
        refused(
            |c| c.span_metrics.profiles = vec![Profile::Tempo, Profile::Tempo],
            "generator.span_metrics.profiles is [Tempo, Tempo], must be a list of different profiles",
        );
    }
}
