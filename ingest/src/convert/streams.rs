//! Loki's label sets: which resource attributes make a stream.

use std::borrow::Cow;

use catalog::LabelSet;

use super::attributes::Attributes;
use super::json::{ValueError, write_shown};

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

/// The label that names the service.
pub(crate) const SERVICE_LABEL: &str = "service_name";

/// What a service without a name is called.
pub(crate) const UNKNOWN_SERVICE: &str = "unknown_service";

/// Labels that stand in for a missing `service_name`.
pub(crate) const SERVICE_LABELS: [&str; 14] = [
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
    SERVICE_LABEL,
];

/// An attribute's name as a label: what is neither letter nor digit becomes `_`, and a digit does not come first.
pub(crate) fn label_name(attribute: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let digit_first = attribute.starts_with(|c: char| c.is_ascii_digit());
    if attribute.chars().all(fits) && !digit_first {
        return Cow::Borrowed(attribute);
    }
    let name = attribute.chars().map(|c| if fits(c) { c } else { '_' });
    Cow::Owned(if digit_first { "key_".chars().chain(name).collect() } else { name.collect() })
}

/// The labels of the stream of a resource with `attributes`. There is always a `service_name`.
///
/// Without `service.name` the first attribute that is a label and one of Loki's list of service labels names the service.
pub(crate) fn stream_labels(attributes: &Attributes<'_>) -> Result<LabelSet, ValueError> {
    let mut labels: Vec<(String, String)> = Vec::new();
    for (key, value) in attributes.iter().filter(|(key, _)| STREAM_ATTRIBUTES.contains(key)) {
        let mut shown = String::new();
        write_shown(value, &mut shown)?;
        if !shown.is_empty() {
            labels.push((label_name(key).into_owned(), shown));
        }
    }
    if !labels.iter().any(|(name, _)| name == SERVICE_LABEL) {
        let stand_in = labels.iter().find(|(name, _)| SERVICE_LABELS.contains(&name.as_str())).map(|(_, value)| value.clone());
        labels.push((SERVICE_LABEL.to_owned(), stand_in.unwrap_or_else(|| UNKNOWN_SERVICE.to_owned())));
    }
    Ok(LabelSet::new(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_labels() {
        for (attribute, label) in [("service.name", "service_name"), ("a_b", "a_b"), ("2x", "key_2x"), ("ü-b", "__b"), ("", "")]
        {
            assert_eq!(label_name(attribute), label);
        }
    }
}
