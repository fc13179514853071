//! What becomes of OTLP's attributes in Loki's terms: a label of the stream, structured metadata, or nothing.
//!
//! ```text
//! attribute ─► first entry of the list that names it, or whose expression matches ─► its action
//!                └─ none: resource attributes of Loki's default list are labels, everything else is structured metadata
//! ```
//! The keys are Loki's (`limits_config.otlp_config`). Structured metadata is stored as what it is: an attribute.

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::loki::config::InvalidLokiConfig;

/// The resource attributes that become labels of the stream, Loki's default; all others stay attributes.
const STREAM_ATTRIBUTES: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];

/// Rules for OTLP's attributes, as Loki has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// For resource attributes.
    pub resource_attributes: ResourceAttributesConfig,
    /// For scope attributes; they cannot become labels.
    pub scope_attributes: Vec<AttributesConfig>,
    /// For attributes of log records.
    pub log_attributes: Vec<AttributesConfig>,
}

/// Rules for resource attributes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceAttributesConfig {
    /// Whether Loki's list of attributes that are labels does not count.
    pub ignore_defaults: bool,
    /// The rules; the first that fits counts, and all of them before the list.
    pub attributes_config: Vec<AttributesConfig>,
}

/// One rule: an action for the attributes that it names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributesConfig {
    /// What becomes of them.
    pub action: Action,
    /// By name, as OTLP has it.
    #[serde(default)]
    pub attributes: Vec<String>,
    /// By a regular expression that matches the whole name.
    #[serde(default)]
    pub regex: String,
}

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A label of the stream.
    IndexLabel,
    /// Stays an attribute.
    StructuredMetadata,
    /// Is not stored.
    Drop,
}

/// The rules, ready to be asked.
#[derive(Debug)]
pub(crate) struct OtlpRules {
    pub(crate) resource: Rules,
    pub(crate) scope: Rules,
    pub(crate) log: Rules,
}

/// The rules of one kind of attribute.
#[derive(Debug)]
pub(crate) struct Rules {
    list: Vec<(Action, Vec<String>, Option<Regex>)>,
    defaults: bool,
}

impl OtlpRules {
    /// Compiles `config`.
    pub(crate) fn new(config: &OtlpConfig) -> Result<Self, InvalidLokiConfig> {
        let resource = &config.resource_attributes;
        let labelled = config.scope_attributes.iter().any(|rule| rule.action == Action::IndexLabel);
        if labelled {
            return Err(InvalidLokiConfig {
                key: "otlp_config.scope_attributes",
                value: "index_label".to_owned(),
                bound: "structured_metadata or drop",
            });
        }
        Ok(Self {
            resource: Rules::new(
                "otlp_config.resource_attributes.attributes_config",
                &resource.attributes_config,
                !resource.ignore_defaults,
            )?,
            scope: Rules::new("otlp_config.scope_attributes", &config.scope_attributes, false)?,
            log: Rules::new("otlp_config.log_attributes", &config.log_attributes, false)?,
        })
    }
}

impl Rules {
    fn new(key: &'static str, rules: &[AttributesConfig], defaults: bool) -> Result<Self, InvalidLokiConfig> {
        let compile = |rule: &AttributesConfig| {
            if rule.regex.is_empty() {
                return Ok((rule.action, rule.attributes.clone(), None));
            }
            let whole = Regex::new(&format!("^(?:{})$", rule.regex));
            let bad = |_| InvalidLokiConfig { key, value: rule.regex.clone(), bound: "a regular expression" };
            Ok((rule.action, rule.attributes.clone(), Some(whole.map_err(bad)?)))
        };
        Ok(Self { list: rules.iter().map(compile).collect::<Result<_, _>>()?, defaults })
    }

    /// What becomes of the attribute `name`.
    pub(crate) fn action(&self, name: &str) -> Action {
        let fits = |names: &[String], regex: &Option<Regex>| {
            names.iter().any(|n| n == name) || regex.as_ref().is_some_and(|regex| regex.is_match(name))
        };
        match self.list.iter().find(|(_, names, regex)| fits(names, regex)) {
            Some((action, ..)) => *action,
            None if self.defaults && STREAM_ATTRIBUTES.contains(&name) => Action::IndexLabel,
            None => Action::StructuredMetadata,
        }
    }

    /// Whether the attribute `name` becomes a label.
    pub(crate) fn is_label(&self, name: &str) -> bool {
        self.action(name) == Action::IndexLabel
    }

    /// Whether no attribute is anything but structured metadata.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && !self.defaults
    }

    /// Whether some attributes may be left out.
    pub(crate) fn drops(&self) -> bool {
        self.list.iter().any(|(action, ..)| *action == Action::Drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: Action, attributes: &[&str], regex: &str) -> AttributesConfig {
        AttributesConfig { action, attributes: attributes.iter().map(|a| (*a).to_owned()).collect(), regex: regex.to_owned() }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let list = [
            rule(Action::Drop, &["service.name", "a"], ""),
            rule(Action::IndexLabel, &["b"], "x\\..*"),
            rule(Action::Drop, &[], ".*y"),
        ];
        let rules = Rules::new("k", &list, true).unwrap();
        for (name, action) in [
            ("service.name", Action::Drop),
            ("service.namespace", Action::IndexLabel),
            ("b", Action::IndexLabel),
            ("x.y", Action::IndexLabel),
            ("ax.y", Action::Drop),
            ("yz", Action::StructuredMetadata),
        ] {
            assert_eq!(rules.action(name), action, "{name}");
        }
        assert!(Rules::new("k", &[rule(Action::Drop, &[], "(")], false).is_err());
        let scope = OtlpConfig { scope_attributes: vec![rule(Action::IndexLabel, &["a"], "")], ..OtlpConfig::default() };
        assert!(OtlpRules::new(&scope).is_err());
    }
}
