//! Requests: short forms for tables, and arbitrary ones.

use proptest::prelude::*;

use super::*;
use crate::receive::prometheus::messages::{BucketSpan, Count, Histogram, ZeroCount};

pub(super) fn label(name: &str, value: &str) -> v1::Label {
    v1::Label { name: name.to_owned(), value: value.to_owned() }
}

/// A series of 1.0 of `labels`, a float at each of `times`; values count from 1.
pub(super) fn series(labels: &[(&str, &str)], times: &[i64]) -> v1::TimeSeries {
    let samples = times.iter().zip(1..).map(|(ts, value)| v1::Sample { value: f64::from(value), timestamp: *ts });
    v1::TimeSeries {
        labels: labels.iter().map(|(name, value)| label(name, value)).collect(),
        samples: samples.collect(),
        ..Default::default()
    }
}

pub(super) fn request(timeseries: Vec<v1::TimeSeries>) -> v1::WriteRequest {
    v1::WriteRequest { timeseries, metadata: Vec::new() }
}

/// Builds a request of 2.0.
#[derive(Debug, Default)]
pub(super) struct Table2 {
    pub(super) request: v2::Request,
}

impl Table2 {
    pub(super) fn symbol(&mut self, text: &str) -> u32 {
        let symbols = &mut self.request.symbols;
        if symbols.is_empty() {
            symbols.push(String::new());
        }
        let at = symbols.iter().position(|known| known == text).unwrap_or_else(|| {
            symbols.push(text.to_owned());
            symbols.len() - 1
        });
        at as u32
    }

    pub(super) fn references(&mut self, labels: &[(&str, &str)]) -> Vec<u32> {
        labels.iter().flat_map(|(name, value)| [self.symbol(name), self.symbol(value)]).collect()
    }

    /// Adds a series like that of 1.0.
    pub(super) fn add(&mut self, series: &v1::TimeSeries) -> &mut v2::TimeSeries {
        let pairs = |labels: &[v1::Label]| -> Vec<(String, String)> {
            labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect()
        };
        let mut of = |labels: &[v1::Label]| {
            let pairs = pairs(labels);
            self.references(&pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>())
        };
        let exemplars = series.exemplars.iter().map(|exemplar| v2::Exemplar {
            labels_refs: of(&exemplar.labels),
            value: exemplar.value,
            timestamp: exemplar.timestamp,
        });
        let exemplars = exemplars.collect();
        let labels_refs = of(&series.labels);
        let samples =
            series.samples.iter().map(|s| v2::Sample { value: Some(s.value), timestamp: s.timestamp, start_timestamp: 0 });
        let added = v2::TimeSeries {
            labels_refs,
            samples: samples.collect(),
            histograms: series.histograms.clone(),
            exemplars,
            metadata: None,
        };
        self.request.timeseries.push(added);
        self.request.timeseries.last_mut().unwrap()
    }
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        (0i32..1000).prop_map(f64::from),
        Just(f64::from_bits(0x7ff0_0000_0000_0002)),
        any::<u64>().prop_map(f64::from_bits)
    ]
}

fn any_time() -> impl Strategy<Value = i64> {
    prop_oneof![8 => NOW - 100_000..NOW + 100_000, 1 => NOW + 590_000..NOW + 610_000, 1 => -10i64..10, 1 => any::<i64>()]
}

fn any_label() -> impl Strategy<Value = v1::Label> {
    ("[a-c]|__name__|", "[xyü]{0,2}").prop_map(|(name, value)| label(&name, &value))
}

fn any_labels() -> impl Strategy<Value = Vec<v1::Label>> {
    let mostly_good = prop::collection::btree_map("[a-d]", "[xyü]{0,2}", 0..4).prop_flat_map(|labels| {
        let mut all: Vec<_> = labels.iter().map(|(name, value)| label(name, value)).collect();
        all.push(label("__name__", "m"));
        Just(all).prop_shuffle()
    });
    prop_oneof![6 => mostly_good, 1 => prop::collection::vec(any_label(), 0..5)]
}

fn any_exemplar() -> impl Strategy<Value = v1::Exemplar> {
    let id = prop_oneof![Just("0af7651916cd43dd8448eb211c80319c".to_owned()), "[0-9a-f]{0,3}"];
    let labels = (prop::option::of(id), prop::collection::btree_map("[a-z]{1,3}", ".{0,60}", 0..3)).prop_map(|(id, map)| {
        let mut labels: Vec<_> = map.iter().map(|(name, value)| label(name, value)).collect();
        labels.extend(id.map(|id| label("trace_id", &id)));
        labels
    });
    (labels, any_value(), prop_oneof![Just(0), any_time()]).prop_map(|(labels, value, timestamp)| v1::Exemplar {
        labels,
        value,
        timestamp,
    })
}

fn any_spans() -> impl Strategy<Value = Vec<BucketSpan>> {
    let span = prop_oneof![8 => (0i32..4, 0u32..4), 1 => (any::<i32>(), 0u32..3), 1 => (-3i32..0, any::<u32>())];
    prop::collection::vec(span.prop_map(|(offset, length)| BucketSpan { offset, length }), 0..4)
}

fn some_spans() -> impl Strategy<Value = Vec<BucketSpan>> {
    prop::collection::vec((0i32..9, 1u32..4).prop_map(|(offset, length)| BucketSpan { offset, length }), 0..4)
}

fn any_schema() -> impl Strategy<Value = i32> {
    prop_oneof![6 => -4i32..=8, 3 => 9i32..=52, 1 => Just(-53), 1 => any::<i32>()]
}

/// Histograms that pass: counts that fit the spans and add up.
fn good_histogram() -> impl Strategy<Value = Histogram> {
    let sides = (some_spans(), some_spans(), prop::collection::vec(0i64..100, 24), -20i32..20);
    (sides, any_schema(), any_value(), any_time(), 0i32..5, any::<bool>()).prop_map(
        |((mut positive, mut negative, counts, first), schema, sum, timestamp, reset_hint, float)| {
            let schema = if (-4..=52).contains(&schema) { schema } else { -53 };
            let custom = schema == -53;
            if custom {
                negative.clear();
            } else if let Some(span) = positive.first_mut() {
                span.offset = first;
            }
            let buckets = |spans: &[BucketSpan]| spans.iter().map(|span| span.length as usize).sum::<usize>();
            let end: i64 = positive.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
            let (ours, theirs) = (&counts[..buckets(&positive)], &counts[12..12 + buckets(&negative)]);
            let zero = if custom { 0 } else { 3 };
            let count = ours.iter().chain(theirs).sum::<i64>() + zero;
            let deltas = |counts: &[i64]| {
                let mut last = 0;
                counts.iter().map(|count| count - std::mem::replace(&mut last, *count)).collect::<Vec<_>>()
            };
            let floats = |counts: &[i64]| counts.iter().map(|count| *count as f64 / 2.0).collect::<Vec<_>>();
            let (none, no_deltas) = (Vec::new(), Vec::new());
            Histogram {
                count: Some(if float { Count::CountFloat(count as f64 / 2.0) } else { Count::CountInt(count as u64) }),
                sum: if sum.is_nan() && !float { 1.5 } else { sum },
                schema,
                zero_threshold: if custom { 0.0 } else { 1e-128 },
                zero_count: Some(if float {
                    ZeroCount::ZeroCountFloat(zero as f64)
                } else {
                    ZeroCount::ZeroCountInt(zero as u64)
                }),
                positive_deltas: if float { no_deltas.clone() } else { deltas(ours) },
                negative_deltas: if float { no_deltas } else { deltas(theirs) },
                positive_counts: if float { floats(ours) } else { none.clone() },
                negative_counts: if float { floats(theirs) } else { none },
                positive_spans: positive,
                negative_spans: negative,
                reset_hint,
                timestamp,
                custom_values: if custom { (0..end.max(1)).map(|at| at as f64).collect() } else { Vec::new() },
                start_timestamp: 0,
            }
        },
    )
}

/// Histograms that mostly do not pass.
fn wild_histogram() -> impl Strategy<Value = Histogram> {
    let deltas = || prop::collection::vec(prop_oneof![-3i64..9, any::<i64>()], 0..6);
    let floats = || prop::collection::vec(prop_oneof![0.0..9.0, any_value()], 0..6);
    let sides = (any_spans(), any_spans(), deltas(), deltas(), floats(), floats(), floats());
    (sides, any_schema(), any_value(), any::<bool>(), any_time(), any::<u64>(), any::<i32>()).prop_map(
        |((ps, ns, pd, nd, pc, nc, custom_values), schema, sum, float, timestamp, count, reset_hint)| Histogram {
            count: Some(if float { Count::CountFloat(sum) } else { Count::CountInt(count % 40) }),
            sum,
            schema,
            zero_threshold: sum,
            zero_count: (count % 3 > 0).then_some(ZeroCount::ZeroCountInt(count % 5)),
            negative_spans: ns,
            negative_deltas: nd,
            negative_counts: nc,
            positive_spans: ps,
            positive_deltas: pd,
            positive_counts: pc,
            reset_hint,
            timestamp,
            custom_values,
            start_timestamp: 0,
        },
    )
}

fn any_series() -> impl Strategy<Value = v1::TimeSeries> {
    let samples = prop::collection::vec((any_value(), any_time()), 0..3);
    let histograms = prop::collection::vec(prop_oneof![3 => good_histogram(), 1 => wild_histogram()], 0..2);
    (any_labels(), samples, prop::collection::vec(any_exemplar(), 0..2), histograms).prop_map(
        |(labels, samples, exemplars, histograms)| {
            let samples = samples.into_iter().map(|(value, timestamp)| v1::Sample { value, timestamp }).collect();
            v1::TimeSeries { labels, samples, exemplars, histograms }
        },
    )
}

fn any_metadata() -> impl Strategy<Value = v1::MetricMetadata> {
    (-1i32..10, "m|n|", "[help ü]{0,4}", "(bytes)?").prop_map(|(kind, name, help, unit)| v1::MetricMetadata {
        r#type: kind,
        metric_family_name: name,
        help,
        unit,
    })
}

pub(super) fn any_request() -> impl Strategy<Value = v1::WriteRequest> {
    (prop::collection::vec(any_series(), 0..6), prop::collection::vec(any_metadata(), 0..3))
        .prop_map(|(timeseries, metadata)| v1::WriteRequest { timeseries, metadata })
}

/// A request of 2.0: series of 1.0 with start times and metadata, some of them with references that lead nowhere.
pub(super) fn any_request_2() -> impl Strategy<Value = v2::Request> {
    let more = (prop::option::of(any_metadata()), 0i64..3, prop::option::weighted(0.05, any::<u32>()), any::<bool>());
    prop::collection::vec((any_series(), more), 0..6).prop_map(|all| {
        let mut table = Table2::default();
        for (mut series, (metadata, start, astray, keep_histograms)) in all {
            // Mostly one kind, as the message has it.
            if keep_histograms && !series.histograms.is_empty() {
                series.samples.clear();
            } else if start > 0 {
                series.histograms.clear();
            }
            let refs = metadata.map(|m| v2::Metadata {
                r#type: m.r#type,
                help_ref: table.symbol(&m.help),
                unit_ref: table.symbol(&m.unit),
            });
            let added = table.add(&series);
            added.metadata = refs;
            added.labels_refs.extend(astray);
            let start = [0, NOW - 200_000, i64::MIN][start as usize];
            added.samples.iter_mut().for_each(|sample| sample.start_timestamp = start);
            added.histograms.iter_mut().for_each(|histogram| histogram.start_timestamp = start);
        }
        table.request
    })
}
