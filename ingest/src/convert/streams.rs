//! Streams: Loki's label sets, and what in a record makes one.
//!
//! ```text
//! OTLP    resource attributes ─ rules: index_label ─┐
//!         log attributes ────── rules: index_label ─┼─► labels ─ no service_name? look for another name ─► Stream
//! push    label set ────────────────────────────────┘
//! ```

use catalog::labels::label_name;
use catalog::{LabelSet, StreamId};

use super::attributes::Attributes;
use super::json::{ValueError, write_shown};
use super::level::Levels;
use super::loki::config::{InvalidLokiConfig, LokiConfig};
use super::otlp_rules::OtlpRules;

/// The label that names the service.
pub(crate) const SERVICE_LABEL: &str = "service_name";

/// What a service without a name is called.
pub(crate) const UNKNOWN_SERVICE: &str = "unknown_service";

/// Labels that stand in for a missing `service_name`, the strongest first: Loki's default.
pub(crate) const SERVICE_LABELS: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

/// How log records become streams and get their levels, whatever protocol they come by.
#[derive(Debug)]
pub struct LogRules {
    /// What becomes of OTLP's attributes.
    pub(crate) otlp: OtlpRules,
    /// Where levels are looked for.
    pub(crate) levels: Levels,
    /// Labels that stand in for a missing `service_name`. Empty: none is added.
    pub(crate) service_labels: Vec<String>,
}

impl LogRules {
    /// The rules that `config` sets.
    ///
    /// # Errors
    /// A regular expression that is none.
    pub fn new(config: &LokiConfig) -> Result<Self, InvalidLokiConfig> {
        let fields = if config.discover_log_levels { config.log_level_fields.as_slice() } else { &[] };
        Ok(Self {
            otlp: OtlpRules::new(&config.otlp_config)?,
            levels: Levels::new(fields, config.discover_log_levels),
            service_labels: config.discover_service_name.clone(),
        })
    }

    /// The stream with `labels`, which get a `service_name` if they have none and discovery is on.
    pub(crate) fn stream(&self, mut labels: Vec<(String, String)>) -> Stream {
        let missing = |labels: &[(String, String)]| !labels.iter().any(|(n, v)| n == SERVICE_LABEL && !v.is_empty());
        if !self.service_labels.is_empty() && missing(&labels) {
            let value_of =
                |name: &String| labels.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, value)| value.clone());
            let service = self.service_labels.iter().find_map(value_of);
            labels.push((SERVICE_LABEL.to_owned(), service.unwrap_or_else(|| UNKNOWN_SERVICE.to_owned())));
        }
        Stream::new(LabelSet::new(labels), &self.levels)
    }

    /// The labels that the resource attributes `attributes` make.
    pub(crate) fn resource_labels(&self, attributes: &Attributes<'_>) -> Result<Vec<(String, String)>, ValueError> {
        let mut labels: Vec<(String, String)> = Vec::new();
        for (key, value) in attributes.iter().filter(|(key, _)| self.otlp.resource.is_label(key)) {
            let mut shown = String::new();
            write_shown(value, &mut shown)?;
            if !shown.is_empty() {
                labels.push((label_name(key).into_owned(), shown));
            }
        }
        Ok(labels)
    }
}

impl Default for LogRules {
    fn default() -> Self {
        Self::new(&LokiConfig::default()).expect("the default has no regular expressions")
    }
}

/// A label set and what follows from it.
#[derive(Debug)]
pub(crate) struct Stream {
    /// [`StreamId::of`] the labels.
    pub(crate) id: i64,
    /// Sorted, without empty values.
    pub(crate) labels: LabelSet,
    /// The usual name of the level that a label says, if one does.
    pub(crate) level: Option<Box<str>>,
}

impl Stream {
    fn new(labels: LabelSet, levels: &Levels) -> Self {
        let level = levels.strongest(labels.iter()).map(|(_, value)| levels.normalize(value).into());
        Self { id: StreamId::of(labels.iter()).0, level, labels }
    }

    /// The value of `service_name`.
    pub(crate) fn service(&self) -> &str {
        self.labels.get(SERVICE_LABEL).unwrap_or(UNKNOWN_SERVICE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_by_the_order_of_the_list() {
        let rules = LogRules::default();
        let check = |labels: &[(&str, &str)], service: &str| {
            let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(rules.stream(labels).service(), service);
        };
        check(&[("job", "j"), ("app", "a")], "a");
        check(&[("job", "j"), ("app", "")], "j");
        check(&[("service_name", "s"), ("app", "a")], "s");
        check(&[("other", "s")], UNKNOWN_SERVICE);
    }
}
