//! `/api/v1/status/self_metrics`: the node's own numbers as JSON, for those who do not read the text format.
//!
//! Source: Prometheus `web/api/v1/api.go` (since 3.12): families of `io.prometheus.client` in protobuf's JSON, 64-bit integers as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use promql::ast::{MatchOp, Matcher};
use promql::eval::Matchers;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::Answer;
use super::error::ApiError;
use super::form::Form;

pub(super) async fn self_metrics(State(api): State<Arc<Api>>, form: Form) -> Result<Answer, ApiError> {
    form.well_formed()?;
    let pattern = form.get("metric_name_pattern");
    let matcher = Matcher { name: "name".to_owned(), op: MatchOp::Regex, value: pattern.to_owned() };
    let wanted = Matchers::new(&[matcher])
        .map_err(|error| ApiError::bad_data(format!("invalid parameter \"metric_name_pattern\": {error}")))?;
    let mut families = families(&api.node.numbers());
    families.retain(|family| pattern.is_empty() || wanted.match_value(family["name"].as_str().unwrap_or_default()));
    Ok(Answer::of(&families))
}

/// The families of a text in Prometheus' exposition format 0.0.4, as the node renders it. A line that is not in it is left out.
fn families(text: &str) -> Vec<Value> {
    let mut families: Vec<Family<'_>> = Vec::new();
    let mut help: (&str, &str) = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').unwrap_or((rest, ""));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let help = if help.0 == name { help.1 } else { "" };
            families.push(Family { name, help, kind, metrics: Vec::new() });
        } else if let Some(sample) = Sample::parse(line)
            && let Some(family) = families.last_mut()
        {
            family.add(&sample);
        }
    }
    families.into_iter().map(Family::finish).collect()
}

/// A line with a value.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(end);
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            while let Some((label, after)) = rest.split_once("=\"") {
                let (value, after) = quoted(after)?;
                labels.push((label, value));
                rest = after.strip_prefix(',').unwrap_or(after);
                if rest.starts_with('}') {
                    break;
                }
            }
            rest = rest.strip_prefix('}')?;
        }
        let value = rest.split_whitespace().next()?.parse().ok()?;
        (!name.is_empty() && !name.starts_with('#')).then_some(Self { name, labels, value })
    }
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

struct Family<'a> {
    name: &'a str,
    help: &'a str,
    kind: &'a str,
    /// By labels without `le` and `quantile`, in the order in which they came.
    metrics: Vec<(BTreeMap<String, String>, Map<String, Value>)>,
}

impl Family<'_> {
    fn add(&mut self, sample: &Sample<'_>) {
        let is_part = matches!(self.kind, "histogram" | "summary");
        let of_part = |name: &&str| is_part && (*name == "le" || *name == "quantile");
        let part =
            sample.labels.iter().find(|(name, _)| of_part(name)).map(|(_, value)| number(value.parse().unwrap_or(f64::NAN)));
        let labels: BTreeMap<String, String> = sample
            .labels
            .iter()
            .filter(|(name, _)| !of_part(name))
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let at = self.metrics.iter().position(|(known, _)| *known == labels).unwrap_or_else(|| {
            self.metrics.push((labels, Map::new()));
            self.metrics.len() - 1
        });
        let metric = &mut self.metrics[at].1;
        let suffix = sample.name.strip_prefix(self.name).unwrap_or_default();
        match (self.kind, suffix, part) {
            ("histogram" | "summary", "_sum", _) => drop(metric.insert("sampleSum".to_owned(), number(sample.value))),
            ("histogram" | "summary", "_count", _) => drop(metric.insert("sampleCount".to_owned(), count(sample.value))),
            ("histogram", "_bucket", Some(bound)) => {
                push(metric, "bucket", json!({ "cumulativeCount": count(sample.value), "upperBound": bound }));
            }
            ("summary", "", Some(quantile)) => {
                push(metric, "quantile", json!({ "quantile": quantile, "value": number(sample.value) }))
            }
            _ => drop(metric.insert("value".to_owned(), number(sample.value))),
        }
    }

    fn finish(self) -> Value {
        let kind = if matches!(self.kind, "counter" | "gauge" | "histogram" | "summary") { self.kind } else { "untyped" };
        let metrics = self.metrics.into_iter().map(|(labels, value)| {
            let labels: Vec<Value> = labels.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
            json!({ "label": labels, kind: value })
        });
        json!({ "name": self.name, "help": self.help, "type": kind.to_uppercase(), "metric": metrics.collect::<Vec<_>>() })
    }
}

fn push(metric: &mut Map<String, Value>, list: &str, item: Value) {
    if let Value::Array(items) = metric.entry(list).or_insert_with(|| json!([])) {
        items.push(item);
    }
}

/// A double of protobuf's JSON.
fn number(value: f64) -> Value {
    match value {
        value if value.is_nan() => json!("NaN"),
        value if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        value => json!(value),
    }
}

/// A 64-bit integer of protobuf's JSON.
fn count(value: f64) -> Value {
    json!((value as u64).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_every_kind() {
        let text = "# HELP a_total what a is\n# TYPE a_total counter\na_total{x=\"1\",y=\"say \\\"hi\\\", \\\\n\\n\"} 3\na_total 4\n\n\
                    # TYPE b gauge\nb NaN\nnot a line\n# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 7.5\nh_count 2\n\
                    # TYPE s summary\ns{quantile=\"0.9\"} 2\ns_sum 4\ns_count 18446744073709551615\n# TYPE u untyped\nu -1\n";
        let expected = json!([
            { "name": "a_total", "help": "what a is", "type": "COUNTER", "metric": [
                { "label": [{ "name": "x", "value": "1" }, { "name": "y", "value": "say \"hi\", \\n\n" }], "counter": { "value": 3.0 } },
                { "label": [], "counter": { "value": 4.0 } },
            ] },
            { "name": "b", "help": "", "type": "GAUGE", "metric": [{ "label": [], "gauge": { "value": "NaN" } }] },
            { "name": "h", "help": "", "type": "HISTOGRAM", "metric": [{ "label": [], "histogram": {
                "bucket": [{ "cumulativeCount": "1", "upperBound": 0.5 }, { "cumulativeCount": "2", "upperBound": "Infinity" }],
                "sampleSum": 7.5, "sampleCount": "2",
            } }] },
            { "name": "s", "help": "", "type": "SUMMARY", "metric": [{ "label": [], "summary": {
                "quantile": [{ "quantile": 0.9, "value": 2.0 }], "sampleSum": 4.0, "sampleCount": "18446744073709551615",
            } }] },
            { "name": "u", "help": "", "type": "UNTYPED", "metric": [{ "label": [], "untyped": { "value": -1.0 } }] },
        ]);
        assert_eq!(Value::from(families(text)), expected);
        assert!(families("a{ 1\n{} 2\n# TYPE\n# TYPE x\nx{y=\"\n").is_empty());
    }
}
