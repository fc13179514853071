//! The rules once more, on decoded messages, without hashes, memory or cleverness. Cumulative only.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, exemplar, number_data_point};
use proptest::prelude::*;

use super::requests::any_request;
use super::*;
use crate::convert::metrics::naming::{Family, label_name, metric_name, unit_name};

type Labels = BTreeMap<String, String>;

/// A value as text; the values that the generator makes need no more.
fn text(attribute: &KeyValue) -> String {
    match attribute.value.as_ref().and_then(|v| v.value.as_ref()) {
        None => String::new(),
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(value)) => value.to_string(),
        Some(any_value::Value::BoolValue(value)) => value.to_string(),
        Some(any_value::Value::DoubleValue(value)) => value.to_string(),
        Some(other) => panic!("not generated: {other:?}"),
    }
}

fn by_key(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = attributes.iter().map(|a| (a.key.clone(), text(a))).collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

struct Oracle<'c> {
    config: &'c OtlpMetricsConfig,
    outcome: Outcome,
}

/// What surrounds a data point.
struct Around<'a> {
    resource: &'a [KeyValue],
    scope: Option<(&'a str, &'a str, &'a str, &'a [KeyValue])>,
    promote: bool,
}

impl Oracle<'_> {
    fn labels(&self, attributes: &[KeyValue], around: &Around<'_>) -> Option<Labels> {
        let mut labels = Labels::new();
        for (key, value) in by_key(attributes) {
            let name = label_name(self.config, &key).ok()?;
            let joined = match labels.get(&name).filter(|v| !v.is_empty()) {
                Some(before) => format!("{before};{value}"),
                None => value,
            };
            labels.insert(name, joined);
        }
        for (key, value) in by_key(around.resource) {
            let wanted = if self.config.promote_all_resource_attributes {
                !self.config.ignore_resource_attributes.contains(&key)
            } else {
                self.config.promote_resource_attributes.contains(&key)
            };
            if around.promote && wanted {
                let name = label_name(self.config, &key).ok()?;
                if labels.get(&name).is_none_or(String::is_empty) {
                    labels.insert(name, value);
                }
            }
        }
        if let (Some((name, version, url, attributes)), true) = (around.scope, self.config.promote_scope_metadata)
            && !name.is_empty()
        {
            for (suffix, value) in [("name", name), ("version", version), ("schema_url", url)] {
                labels.insert(format!("otel_scope_{suffix}"), value.to_owned());
            }
            for (key, value) in by_key(attributes) {
                labels.insert(label_name(self.config, &format!("otel_scope_{key}")).ok()?, value);
            }
        }
        let get = |key: &str| by_key(around.resource).into_iter().find(|(k, _)| k == key).map(|(_, v)| v);
        if let Some(name) = get("service.name") {
            let job = get("service.namespace").map_or(name.clone(), |namespace| format!("{namespace}/{name}"));
            if !job.is_empty() {
                labels.insert("job".to_owned(), job);
            }
        }
        if let Some(instance) = get("service.instance.id").filter(|i| !i.is_empty()) {
            labels.insert("instance".to_owned(), instance);
        }
        Some(labels)
    }

    fn name(metric: &str, labels: &Labels) -> Name {
        let kept = labels.iter().filter(|(n, v)| !v.is_empty() && *n != "__name__");
        render(metric, kept.map(|(n, v)| (n.as_str(), v.as_str())))
    }

    fn sample(&mut self, metric: &str, labels: &Labels, (ts, start): (i64, Option<i64>), value: f64) -> Name {
        let name = Self::name(metric, labels);
        self.outcome.series.push((name.clone(), ts.div_euclid(86_400_000)));
        self.outcome.samples.push((name.clone(), ts, value.to_bits(), start));
        name
    }

    fn times(start: u64, ts: u64) -> Option<(i64, Option<i64>)> {
        let valid = ts > 0 && ts <= NOW_NS + 600_000_000_000;
        let start = (start > 0 && start <= ts).then_some((start / 1_000_000) as i64);
        valid.then_some(((ts / 1_000_000) as i64, start))
    }

    fn exemplars(&mut self, exemplars: &[Exemplar], ts: i64, series: impl Fn(f64) -> Name) {
        for exemplar in exemplars {
            let value = match exemplar.value {
                None => continue,
                Some(exemplar::Value::AsInt(value)) => value as f64,
                Some(exemplar::Value::AsDouble(value)) => value,
            };
            let ts = match exemplar.time_unix_nano {
                0 => ts,
                ns => match Self::times(0, ns) {
                    Some((ts, _)) => ts,
                    None => continue,
                },
            };
            let id =
                |bytes: &[u8], n: usize| if bytes.len() == n && bytes != vec![0; n] { hex::encode(bytes) } else { String::new() };
            let (trace, span) = (id(&exemplar.trace_id, 16), id(&exemplar.span_id, 8));
            let mut labels = by_key(&exemplar.filtered_attributes);
            let ids = if trace.is_empty() { 0 } else { 40 } + if span.is_empty() { 0 } else { 23 };
            if ids + labels.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>() > 128 {
                labels.clear();
            }
            labels.dedup_by(|a, b| a.0 == b.0);
            self.outcome.exemplars.push((series(value), ts, value.to_bits(), trace, span, format!("{labels:?}")));
        }
    }

    /// One data point: its time if it was taken.
    fn point(&mut self, data: &Data, at: usize, metric: Option<&str>, around: &Around<'_>) -> Option<i64> {
        let value = |stale: u32, value: f64| if stale & 1 != 0 { STALE } else { value };
        match data {
            Data::Gauge(_) | Data::Sum(_) => {
                let points = if let Data::Gauge(g) = data {
                    &g.data_points
                } else if let Data::Sum(s) = data {
                    &s.data_points
                } else {
                    return None;
                };
                let point = &points[at];
                let times = Self::times(point.start_time_unix_nano, point.time_unix_nano)?;
                let number = match point.value {
                    Some(number_data_point::Value::AsDouble(value)) => value,
                    Some(number_data_point::Value::AsInt(value)) => value as f64,
                    None if point.flags & 1 != 0 => STALE,
                    None => return None,
                };
                let name = self.sample(metric?, &self.labels(&point.attributes, around)?, times, value(point.flags, number));
                self.exemplars(&point.exemplars, times.0, |_| name.clone());
                Some(times.0)
            }
            Data::Histogram(histogram) => {
                let point = &histogram.data_points[at];
                let times = Self::times(point.start_time_unix_nano, point.time_unix_nano)?;
                let (bounds, counts, stale) = (&point.explicit_bounds, &point.bucket_counts, point.flags & 1 != 0);
                let shape = counts.len() == bounds.len() + 1 || (counts.is_empty() && bounds.is_empty());
                let adds_up = counts.is_empty() || counts.iter().sum::<u64>() == point.count;
                if !bounds.is_sorted_by(|a, b| a < b) || !(stale || (shape && adds_up)) {
                    return None;
                }
                let (metric, labels) = (metric?, self.labels(&point.attributes, around)?);
                let bucket = |le: &str| {
                    let mut labels = labels.clone();
                    labels.insert("le".to_owned(), le.to_owned());
                    labels
                };
                let family = format!("{metric}_bucket");
                self.sample(&format!("{metric}_count"), &labels, times, value(point.flags, point.count as f64));
                self.sample(&family, &bucket("+Inf"), times, value(point.flags, point.count as f64));
                for (at, bound) in bounds.iter().enumerate() {
                    let below: u64 = counts.iter().take(at + 1).sum();
                    self.sample(&family, &bucket(&bound.to_string()), times, value(point.flags, below as f64));
                }
                if let Some(sum) = point.sum {
                    self.sample(&format!("{metric}_sum"), &labels, times, value(point.flags, sum));
                }
                if !stale {
                    self.exemplars(&point.exemplars, times.0, |value| {
                        let le = bounds.iter().find(|bound| value <= **bound).map_or("+Inf".to_owned(), f64::to_string);
                        Self::name(&family, &bucket(&le))
                    });
                }
                Some(times.0)
            }
            Data::ExponentialHistogram(histogram) => self.native(&histogram.data_points[at], metric, around),
            Data::Summary(summary) => {
                let point = &summary.data_points[at];
                let times = Self::times(point.start_time_unix_nano, point.time_unix_nano)?;
                let mut quantiles: Vec<f64> = point.quantile_values.iter().map(|q| q.quantile).collect();
                quantiles.sort_by(f64::total_cmp);
                if quantiles.iter().any(|q| *q > 1.0) || !quantiles.is_sorted_by(|a, b| a < b) {
                    return None;
                }
                let (metric, labels) = (metric?, self.labels(&point.attributes, around)?);
                self.sample(&format!("{metric}_count"), &labels, times, value(point.flags, point.count as f64));
                self.sample(&format!("{metric}_sum"), &labels, times, value(point.flags, point.sum));
                for quantile in &point.quantile_values {
                    let mut labels = labels.clone();
                    labels.insert("quantile".to_owned(), quantile.quantile.to_string());
                    self.sample(metric, &labels, times, value(point.flags, quantile.value));
                }
                Some(times.0)
            }
        }
    }

    fn native(
        &mut self,
        point: &opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint,
        metric: Option<&str>,
        around: &Around<'_>,
    ) -> Option<i64> {
        let times = Self::times(point.start_time_unix_nano, point.time_unix_nano)?;
        let mut row = ([0i64; 3], STALE.to_bits(), [Vec::new(), Vec::new()]);
        if point.flags & 1 == 0 {
            if point.scale < -4 {
                return None;
            }
            let down = (point.scale - 8).max(0);
            let mut in_buckets = point.zero_count;
            for (side, buckets) in [(0, &point.positive), (1, &point.negative)] {
                let mut merged = BTreeMap::<i64, i64>::new();
                if let Some(buckets) = buckets {
                    for (at, count) in buckets.bucket_counts.iter().enumerate().filter(|(_, c)| **c > 0) {
                        let index = (i64::from(buckets.offset) + at as i64).div_euclid(1 << down) + 1;
                        i32::try_from(index).ok()?;
                        *merged.entry(index).or_default() += *count as i64;
                        in_buckets += count;
                    }
                }
                row.2[side] = merged.into_iter().collect();
            }
            let sum = point.sum.unwrap_or(0.0);
            let adds_up = if sum.is_nan() { in_buckets <= point.count } else { in_buckets == point.count };
            if !adds_up {
                return None;
            }
            row.0 = [i64::from(point.scale.min(8)), point.zero_count as i64, point.count as i64];
            row.1 = sum.to_bits();
        }
        let labels = self.labels(&point.attributes, around)?;
        let name = Self::name(metric?, &labels);
        self.outcome.series.push((name.clone(), times.0.div_euclid(86_400_000)));
        self.outcome.histograms.push((name.clone(), times.0, times.1, row.0, row.1, row.2));
        self.exemplars(&point.exemplars, times.0, |_| name.clone());
        Some(times.0)
    }

    fn target_info(&mut self, resource: &[KeyValue], first: i64, last: i64) {
        let identifying = |a: &KeyValue| ["service.name", "service.namespace", "service.instance.id"].contains(&a.key.as_str());
        let rest: Vec<KeyValue> =
            resource.iter().filter(|a| self.config.keep_identifying_resource_attributes || !identifying(a)).cloned().collect();
        let around = Around { resource, scope: None, promote: false };
        let identity = self.labels(&[], &around).unwrap();
        let (false, false, Some(labels)) = (resource.iter().all(identifying), identity.is_empty(), self.labels(&rest, &around))
        else {
            return;
        };
        let step = self.config.lookback.as_millis() as i64 / 2;
        let mut ts = first.max(last - step * TARGET_INFO_STEPS_MAX);
        while ts < last {
            self.sample("target_info", &labels, (ts, None), 1.0);
            ts += step;
        }
        self.sample("target_info", &labels, (last, None), 1.0);
    }

    fn request(&mut self, request: &ExportMetricsServiceRequest) {
        let mut spans: BTreeMap<Vec<u8>, (i64, i64)> = BTreeMap::new();
        for resource_metrics in &request.resource_metrics {
            let resource = resource_metrics.resource.clone().unwrap_or_default();
            for scope_metrics in &resource_metrics.scope_metrics {
                let scope = scope_metrics.scope.as_ref();
                let scope =
                    scope.map(|s| (s.name.as_str(), s.version.as_str(), scope_metrics.schema_url.as_str(), &s.attributes[..]));
                let around = Around { resource: &resource.attributes, scope, promote: true };
                for metric in &scope_metrics.metrics {
                    if let Some((first, last)) = self.metric(metric, &around) {
                        let span = spans.entry(resource.encode_to_vec()).or_insert((first, last));
                        *span = (span.0.min(first), span.1.max(last));
                    }
                }
            }
        }
        for (resource, (first, last)) in spans {
            let resource = opentelemetry_proto::tonic::resource::v1::Resource::decode(resource.as_slice()).unwrap();
            self.target_info(&resource.attributes, first, last);
        }
    }

    fn metric(&mut self, metric: &opentelemetry_proto::tonic::metrics::v1::Metric, around: &Around<'_>) -> Option<(i64, i64)> {
        let data = metric.data.as_ref()?;
        let (family, points, temporality) = match data {
            Data::Gauge(d) => (Family::Gauge, d.data_points.len(), 2),
            Data::Sum(d) if d.is_monotonic => (Family::Counter, d.data_points.len(), d.aggregation_temporality),
            Data::Sum(d) => (Family::UpDownCounter, d.data_points.len(), d.aggregation_temporality),
            Data::Histogram(d) => (Family::Histogram, d.data_points.len(), d.aggregation_temporality),
            Data::ExponentialHistogram(d) => (Family::Histogram, d.data_points.len(), d.aggregation_temporality),
            Data::Summary(d) => (Family::Summary, d.data_points.len(), 2),
        };
        let strategy = self.config.translation_strategy;
        let name = metric_name(strategy, &metric.name, &metric.unit, family).ok();
        let mut taken = Vec::new();
        for at in 0..points {
            let ts = if temporality == 2 { self.point(data, at, name.as_deref(), around) } else { None };
            match ts {
                Some(ts) => taken.push(ts),
                None => self.outcome.rejected += 1,
            }
        }
        self.outcome.accepted += taken.len() as u64;
        let span = (*taken.iter().min()?, *taken.iter().max()?);
        let unit = unit_name(strategy, &metric.unit);
        self.outcome.metadata.push([name?, family.type_name().to_owned(), unit, metric.description.clone()]);
        Some(span)
    }
}

fn expected(config: &OtlpMetricsConfig, request: &ExportMetricsServiceRequest) -> Outcome {
    let mut oracle = Oracle { config, outcome: Outcome::default() };
    oracle.request(request);
    let mut outcome = oracle.outcome.sorted();
    outcome.series.dedup();
    outcome
}

fn any_config() -> impl Strategy<Value = OtlpMetricsConfig> {
    let strategy = prop_oneof![
        Just(TranslationStrategy::UnderscoreEscapingWithSuffixes),
        Just(TranslationStrategy::UnderscoreEscapingWithoutSuffixes),
        Just(TranslationStrategy::NoUTF8EscapingWithSuffixes),
        Just(TranslationStrategy::NoTranslation),
    ];
    (strategy, any::<[bool; 5]>()).prop_map(|(translation_strategy, [all, ignore, list, keep, scope])| OtlpMetricsConfig {
        translation_strategy,
        promote_all_resource_attributes: all,
        ignore_resource_attributes: if ignore { vec!["host.name".to_owned()] } else { Vec::new() },
        promote_resource_attributes: if list { vec!["host.name".to_owned(), "a".to_owned()] } else { Vec::new() },
        keep_identifying_resource_attributes: keep,
        promote_scope_metadata: scope,
        ..OtlpMetricsConfig::default()
    })
}

/// A stale histogram marker without bounds depends on what came before, which the oracle does not know.
fn depends_on_history(request: &ExportMetricsServiceRequest) -> bool {
    let metrics = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
    metrics.filter_map(|m| m.data.as_ref()).any(|data| match data {
        Data::Histogram(h) => h.data_points.iter().any(|p| p.flags & 1 != 0 && p.explicit_bounds.is_empty()),
        _ => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn as_the_naive_converter_does(config in any_config(), first in any_request(), second in any_request()) {
        prop_assume!(!depends_on_history(&first) && !depends_on_history(&second));
        let converter = converter(config.clone());
        let mut names = BTreeMap::new();
        // As it is after the wire: prost leaves -0.0 out where it leaves out 0.
        let [first, second] = [first, second].map(|r| ExportMetricsServiceRequest::decode(r.encode_to_vec().as_slice()).unwrap());
        for request in [&first, &first, &second] {
            // Never confirmed: every request carries its series again, remembered or not.
            let got = outcome(&convert(&converter, request), &mut names);
            prop_assert_eq!(got, expected(&config, request));
        }
        let mut converted = convert(&converter, &first);
        converted.confirm();
        let again = convert(&converter, &first);
        let stored = |table| again.rows.iter().any(|(t, _)| *t == table);
        let days = outcome(&converted, &mut names).series.into_iter().map(|(_, day)| day).collect::<std::collections::BTreeSet<_>>();
        prop_assert!(days.len() > 2 || !(stored(Table::Series)), "stored series are stored again");
    }

    #[test]
    fn any_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), request in any_request(), flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..8)) {
        let converter = converter(OtlpMetricsConfig::default());
        let tenant = TenantId::anonymous();
        let _ = converter.convert(&tenant, &bytes);
        bytes = request.encode_to_vec();
        for (at, byte) in flips {
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
        }
        if let Ok(converted) = converter.convert(&tenant, &bytes) {
            outcome(&converted, &mut BTreeMap::new());
        }
        bytes.truncate(bytes.len() / 2);
        let _ = converter.convert(&tenant, &bytes);
    }
}
