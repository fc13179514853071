//! Calls, latency and size of spans by service, name, kind and status.

use std::collections::HashMap;
use std::sync::Arc;

use catalog::Timestamp;

use super::attributes::Attributes;
use super::batch::SpanBatch;
use super::config::{GeneratorConfig, IntrinsicDimensions, Profile, SpanMetricsConfig};
use super::entries::{Budget, Entries, Layout, Metric, Moment};
use super::labels::{LabelSet, SPAN_INTRINSICS, sanitized};
use super::latency::{Bounds, Latency};
use super::policy::Filter;
use super::resources::{Known, Resources, Wanted};
use super::size::span_bytes;
use super::weight::Weights;

const NS_PER_S: f64 = 1e9;
const NS_PER_MS: f64 = 1e6;

/// The labels and metrics of one profile. Calls, if they are counted, are the first counter, sizes the last one.
#[derive(Debug)]
pub(super) struct SpanProfile {
    service: &'static str,
    has_calls: bool,
    has_latency: bool,
    has_size: bool,
    has_target: bool,
}

/// An attribute of spans and resources, and its place among those that are remembered of resources.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    place: usize,
}

/// A configured label.
#[derive(Debug)]
struct Dimension {
    label: String,
    sources: Vec<Source>,
    join: String,
}

/// How spans become label sets.
#[derive(Debug)]
pub(super) struct SpanPlan {
    pub(super) profiles: Vec<SpanProfile>,
    intrinsic: IntrinsicDimensions,
    dimensions: Vec<Dimension>,
    target_info: bool,
    instance_label: bool,
    weights: Weights,
    filter: Filter,
}

impl Source {
    /// The attribute `name`; resources are told to remember it.
    pub(super) fn new(name: &str, wanted: &mut Wanted) -> Self {
        let known = wanted.attributes.iter().position(|attribute| attribute == name);
        let place = known.unwrap_or_else(|| {
            wanted.attributes.push(name.to_owned());
            wanted.attributes.len() - 1
        });
        Self { name: name.to_owned(), place }
    }

    /// Calls `each` with the value, if there is one: that of the resource first.
    pub(super) fn value<R>(
        &self,
        resource: Option<&Known>,
        attributes: &Attributes<'_>,
        row: usize,
        each: impl FnOnce(&str) -> R,
    ) -> Option<R> {
        match resource.and_then(|known| known.values.get(self.place)).filter(|value| !value.is_empty()) {
            Some(value) => Some(each(value)),
            None => attributes.find(row, &self.name).map(|value| each(&value)),
        }
    }
}

impl SpanProfile {
    fn new(profile: Profile, spans: &SpanMetricsConfig) -> Self {
        let is_tempo = profile == Profile::Tempo;
        Self {
            service: if is_tempo { "service" } else { "service_name" },
            has_calls: spans.calls,
            has_latency: spans.latency,
            has_size: is_tempo && spans.size,
            has_target: is_tempo && spans.target_info,
        }
    }
}

/// Which metrics a profile has.
fn layout(profile: Profile, config: &GeneratorConfig) -> Layout {
    let spans = &config.span_metrics;
    let (calls, latency) = match profile {
        Profile::Tempo => ("traces_spanmetrics_calls_total", "traces_spanmetrics_latency"),
        Profile::Collector => ("traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds"),
    };
    let SpanProfile { has_calls, has_latency, has_size, .. } = SpanProfile::new(profile, spans);
    let calls = has_calls.then(|| Metric::new(calls, "Spans."));
    let size = has_size.then(|| Metric::new("traces_spanmetrics_size_total", "Bytes of spans."));
    let (bounds, unit) = match profile {
        Profile::Tempo => (Bounds::new(&spans.buckets, NS_PER_S), "seconds"),
        Profile::Collector => (Bounds::new(&spans.buckets_ms, NS_PER_MS), "milliseconds"),
    };
    let latency = has_latency.then(|| (Metric::new(latency, "Durations of spans."), bounds, unit));
    Layout {
        counters: calls.into_iter().chain(size).collect(),
        histograms: latency.into_iter().collect(),
        kind: config.histograms,
        is_info: false,
        points: config.exemplars,
        weighted: spans.is_weighted(),
    }
}

impl SpanPlan {
    /// The plan, and the layouts of its profiles in order.
    pub(super) fn new(config: &GeneratorConfig, wanted: &mut Wanted) -> (Self, Vec<Arc<Layout>>) {
        let spans: &SpanMetricsConfig = &config.span_metrics;
        let layouts = spans.profiles.iter().map(|profile| (*profile, layout(*profile, config)));
        // A label set without series would be counted for nobody, and would not count towards the limit.
        let chosen: Vec<_> = layouts.filter(|(_, layout)| spans.enabled && layout.series() > 0).collect();
        let profiles: Vec<_> = chosen.iter().map(|(profile, _)| SpanProfile::new(*profile, spans)).collect();
        let mut dimension = |name: &str, sources: &[String], join: &str| Dimension {
            label: sanitized(name, &SPAN_INTRINSICS),
            sources: sources.iter().map(|source| Source::new(source, wanted)).collect(),
            join: join.to_owned(),
        };
        let mut dimensions: Vec<Dimension> =
            spans.dimensions.iter().map(|name| dimension(name, std::slice::from_ref(name), "")).collect();
        dimensions.extend(spans.dimension_mappings.iter().map(|m| dimension(&m.name, &m.source_labels, &m.join)));
        let plan = Self {
            target_info: profiles.iter().any(|p| p.has_target),
            profiles,
            intrinsic: spans.intrinsic_dimensions.clone(),
            dimensions,
            instance_label: spans.instance_label,
            weights: Weights::new(&spans.span_multiplier_key, spans.tracestate_span_multiplier, wanted),
            filter: Filter::new(&spans.filter_policies, wanted),
        };
        if plan.target_info {
            wanted.target_info = Some(spans.target_info_excluded.clone());
        }
        (plan, chosen.into_iter().map(|(_, layout)| Arc::new(layout)).collect())
    }

    fn labels(&self, profile: &SpanProfile, batch: &SpanBatch<'_>, row: usize, resource: Option<&Known>, labels: &mut LabelSet) {
        labels.clear();
        let IntrinsicDimensions { service, span_name, span_kind, status_code, status_message } = self.intrinsic;
        if service {
            labels.push(profile.service, batch.services.get(row));
        }
        if span_name {
            labels.push("span_name", batch.names.get(row));
        }
        if span_kind {
            labels.push("span_kind", &kind_name(batch.kinds.value(row)));
        }
        if status_code {
            labels.push("status_code", &status_name(batch.statuses.value(row)));
        }
        if status_message {
            labels.push("status_message", batch.messages.get(row));
        }
        for dimension in &self.dimensions {
            let mut joined = String::new();
            for source in &dimension.sources {
                source.value(resource, &batch.attributes, row, |value| {
                    if !joined.is_empty() {
                        joined.push_str(&dimension.join);
                    }
                    joined.push_str(value);
                });
            }
            labels.push(&dimension.label, &joined);
        }
        if let Some(known) = resource.filter(|_| profile.has_target) {
            labels.push("job", &known.job);
            if self.instance_label {
                labels.push("instance", &known.instance);
            }
        }
    }

    /// Spans with equal keys have equal labels; without a key each one is looked up.
    fn key(&self, batch: &SpanBatch<'_>, row: usize) -> Option<Key> {
        self.dimensions.is_empty().then(|| Key {
            service: batch.services.key(row),
            name: batch.names.key(row),
            kind: batch.kinds.value(row),
            status: batch.statuses.value(row),
            message: if self.intrinsic.status_message { batch.messages.key(row) } else { 0 },
            resource: if self.target_info { batch.resources.value(row) } else { 0 },
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    service: i32,
    name: i32,
    kind: i32,
    status: i32,
    message: i32,
    resource: i64,
}

/// Finds the resources of spans, each once per batch.
struct OfResource<'t> {
    resources: &'t mut Resources,
    targets: &'t mut Entries,
    /// With whether its info was touched.
    met: HashMap<i64, (Option<Arc<Known>>, bool)>,
}

impl OfResource<'_> {
    fn get(&mut self, id: i64) -> Option<Arc<Known>> {
        let Self { resources, met, .. } = self;
        met.entry(id).or_insert_with(|| (resources.get(id), false)).0.clone()
    }

    /// The same, of a span that is counted: the info of its resource is touched.
    fn get_for_labels(&mut self, id: i64, budget: &mut Budget, moment: Moment) -> Option<Arc<Known>> {
        let found = self.get(id);
        let is_touched = self.met.get_mut(&id).is_none_or(|(_, touched)| std::mem::replace(touched, true));
        if let Some(target) = found.as_ref().and_then(|known| known.target.as_ref()).filter(|_| !is_touched) {
            let slot = self.targets.slot(target, budget, moment);
            self.targets.set_info(slot, moment.now_ms);
        }
        found
    }
}

/// Counts every span of `batch` that is to be counted in the tables of the profiles, which are in the order of
/// [`SpanPlan::profiles`], and touches the infos of their resources.
pub(super) fn count(
    plan: &SpanPlan,
    batch: &SpanBatch<'_>,
    (tables, targets): (&mut [Entries], &mut Entries),
    resources: &mut Resources,
    budget: &mut Budget,
    (moment, at): (Moment, Timestamp),
) {
    if tables.is_empty() {
        return;
    }
    // Of every span, or only of the first one of a label set.
    let asks_resource = plan.filter.wants_resource() || plan.weights.wants_resource();
    let labels_resource = plan.target_info || !plan.dimensions.is_empty();
    let wants_size = plan.profiles.iter().any(|profile| profile.has_size);
    let (filters, weighs) = (!plan.filter.is_empty(), !plan.weights.is_one());
    let mut of_resource = OfResource { resources, targets, met: HashMap::new() };
    let mut labels = LabelSet::default();
    let mut known: hashbrown::HashMap<Key, usize> = hashbrown::HashMap::new();
    // The places of each label set met in this batch, one per profile.
    let mut places: Vec<u32> = Vec::new();
    let mut last: Option<(Key, usize)> = None;
    let mut left_out = 0;
    for row in 0..batch.durations.values().len() {
        let asked = if asks_resource { of_resource.get(batch.resources.value(row)) } else { None };
        if filters && !plan.filter.admits(batch, row, asked.as_deref()) {
            left_out += 1;
            continue;
        }
        let key = plan.key(batch, row);
        let met = match (key, last) {
            (Some(key), Some((same, at))) if key == same => Some(at),
            (Some(key), _) => known.get(&key).copied(),
            (None, _) => None,
        };
        let first = met.unwrap_or_else(|| {
            let resource =
                if labels_resource { of_resource.get_for_labels(batch.resources.value(row), budget, moment) } else { None };
            if key.is_none() {
                places.clear();
            }
            let first = places.len();
            for (profile, table) in plan.profiles.iter().zip(tables.iter_mut()) {
                plan.labels(profile, batch, row, resource.as_deref(), &mut labels);
                places.push(table.slot(&labels, budget, moment));
            }
            if let Some(key) = key {
                known.insert(key, first);
            }
            first
        });
        last = key.map(|key| (key, first));
        let weight = if weighs { plan.weights.of(batch, row, asked.as_deref()) } else { 1.0 };
        let latency = Latency {
            duration_ns: batch.duration_ns(row),
            weight,
            trace_id: batch.trace_id(row),
            span_id: batch.span_id(row),
            at,
        };
        // What was sent is as large as it is, however many spans it stands for.
        let bytes = if wants_size { span_bytes(batch, row) as f64 } else { 0.0 };
        for (at, (profile, table)) in plan.profiles.iter().zip(tables.iter_mut()).enumerate() {
            let slot = places[first + at];
            table.touch(slot, moment.now_ms);
            if profile.has_calls {
                table.add_to(slot, 0, weight);
            }
            if profile.has_size {
                table.add_to(slot, usize::from(profile.has_calls), bytes);
            }
            if profile.has_latency {
                table.observe(slot, 0, &latency);
            }
        }
    }
    if left_out > 0 {
        metrics::counter!("telelake_generator_filtered_spans_total", "of" => "span_metrics").increment(left_out);
    }
}

/// The kinds in OTLP, by number.
pub(super) const KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
/// The codes of a status in OTLP, by number.
pub(super) const STATUSES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

/// The name of a kind in OTLP; a kind that has none is its number.
pub(super) fn kind_name(kind: i32) -> std::borrow::Cow<'static, str> {
    name_of(&KINDS, kind)
}

/// The name of a status in OTLP.
pub(super) fn status_name(status: i32) -> std::borrow::Cow<'static, str> {
    name_of(&STATUSES, status)
}

fn name_of(names: &[&'static str], number: i32) -> std::borrow::Cow<'static, str> {
    match usize::try_from(number).ok().and_then(|at| names.get(at)) {
        Some(name) => (*name).into(),
        None => number.to_string().into(),
    }
}
