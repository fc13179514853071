//! What exporters of OTLP put into Zipkin's spans for what Zipkin has no place for, read back.
//!
//! ```text
//! tag                        otlp.link.0 = trace id|span id|trace state|{attributes}|dropped attributes
//! value of an annotation     name|{attributes}|dropped attributes
//! tags with these names      attributes of the resource
//! ```
//! The rules of the OpenTelemetry collector. Where the text is not of that form it stays what it is, tag or annotation.

use std::borrow::Cow;

use super::model::Limits;
use crate::receive::spans::{Attributes, Event, Link, Value};

/// How many links are looked for.
pub(super) const LINKS_MAX: usize = 128;

/// The attributes of resources in version 1.6.1 of the semantic conventions, sorted, and those of OpenCensus.
const OF_RESOURCES: [&str; 91] = [
    "aws.ecs.cluster.arn",
    "aws.ecs.container.arn",
    "aws.ecs.launchtype",
    "aws.ecs.task.arn",
    "aws.ecs.task.family",
    "aws.ecs.task.revision",
    "aws.eks.cluster.arn",
    "aws.log.group.arns",
    "aws.log.group.names",
    "aws.log.stream.arns",
    "aws.log.stream.names",
    "cloud.account.id",
    "cloud.availability_zone",
    "cloud.platform",
    "cloud.provider",
    "cloud.region",
    "container.id",
    "container.image.name",
    "container.image.tag",
    "container.name",
    "container.runtime",
    "deployment.environment",
    "deployment.environment.name",
    "device.id",
    "device.manufacturer",
    "device.model.identifier",
    "device.model.name",
    "faas.id",
    "faas.instance",
    "faas.max_memory",
    "faas.name",
    "faas.version",
    "host.arch",
    "host.id",
    "host.image.id",
    "host.image.name",
    "host.image.version",
    "host.name",
    "host.type",
    "k8s.cluster.name",
    "k8s.container.name",
    "k8s.container.restart_count",
    "k8s.cronjob.name",
    "k8s.cronjob.uid",
    "k8s.daemonset.name",
    "k8s.daemonset.uid",
    "k8s.deployment.name",
    "k8s.deployment.uid",
    "k8s.job.name",
    "k8s.job.uid",
    "k8s.namespace.name",
    "k8s.node.name",
    "k8s.node.uid",
    "k8s.pod.name",
    "k8s.pod.uid",
    "k8s.replicaset.name",
    "k8s.replicaset.uid",
    "k8s.statefulset.name",
    "k8s.statefulset.uid",
    "opencensus.exporterversion",
    "opencensus.resourcetype",
    "opencensus.starttime",
    "os.build_id",
    "os.description",
    "os.name",
    "os.type",
    "os.version",
    "process.command",
    "process.command_args",
    "process.command_line",
    "process.executable.name",
    "process.executable.path",
    "process.owner",
    "process.pid",
    "process.runtime.description",
    "process.runtime.name",
    "process.runtime.version",
    "service.instance.id",
    "service.name",
    "service.namespace",
    "service.version",
    "telemetry.auto.version",
    "telemetry.distro.name",
    "telemetry.distro.version",
    "telemetry.sdk.language",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
    "vcs.ref.head.revision",
    "webengine.description",
    "webengine.name",
    "webengine.version",
];

/// Whether a tag of that name is an attribute of the resource.
pub(super) fn is_of_resource(key: &[u8]) -> bool {
    OF_RESOURCES.binary_search_by(|known| known.as_bytes().cmp(key)).is_ok()
}

/// The event that an annotation's value is, its time aside.
pub(super) fn event<'a>(value: &[u8], limits: Limits) -> Option<Event<'a>> {
    let (rest, dropped_attributes) = dropped(std::str::from_utf8(value).ok()?)?;
    let (name, json) = rest.split_once('|')?;
    let attributes = attributes(json, limits)?;
    Some(Event { time_ns: 0, name: owned(name), attributes, dropped_attributes })
}

/// The link that a tag's value is.
pub(super) fn link<'a>(value: &[u8], limits: Limits) -> Option<Link<'a>> {
    let (rest, dropped_attributes) = dropped(std::str::from_utf8(value).ok()?)?;
    let mut parts = rest.splitn(4, '|');
    let (trace, span, state, json) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
    hex::decode_to_slice(trace.trim_matches('"'), &mut trace_id).ok()?;
    hex::decode_to_slice(span.trim_matches('"'), &mut span_id).ok()?;
    let attributes = attributes(json, limits)?;
    Some(Link { trace_id: Some(trace_id), span_id: Some(span_id), trace_state: owned(state), attributes, dropped_attributes })
}

/// The number behind the last bar, and what is in front of it.
fn dropped(value: &str) -> Option<(&str, u32)> {
    let (rest, number) = value.rsplit_once('|')?;
    Some((rest, number.parse().ok()?))
}

fn attributes<'a>(json: &str, limits: Limits) -> Option<Attributes<'a>> {
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).ok()?;
    let mut attributes = limits.tags();
    for (key, value) in map {
        let value = match value {
            serde_json::Value::String(text) => Value::Text(text.into_bytes().into()),
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => number_value(&number),
            other => Value::Text(other.to_string().into_bytes().into()),
        };
        attributes.put(key.into_bytes(), value);
    }
    Some(attributes)
}

/// A number without a fraction is an integer, since JSON does not tell them apart.
fn number_value<'a>(number: &serde_json::Number) -> Value<'a> {
    let float = number.as_f64().unwrap_or_default();
    match number.as_i64() {
        Some(int) => Value::Int(int),
        None if float.fract() == 0.0 && float.abs() < 9.2e18 => Value::Int(float as i64),
        None => Value::Double(float),
    }
}

fn owned<'a>(text: &str) -> Cow<'a, [u8]> {
    Cow::Owned(text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        assert!(OF_RESOURCES.is_sorted());
        assert!(is_of_resource(b"service.version") && !is_of_resource(b"service.peer.name"));
    }
}
