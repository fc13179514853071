//! The protobuf format: `io.prometheus.client.MetricFamily`, its length before it.
//! Source: prometheus/client_model `io/prometheus/client/metrics.proto`.

use promql::histogram::{BucketSpan as Span, Histogram as NativeHistogram, ResetHint};
use prost::Message;
use query::promql::{Element, Sample};

use super::labels_of;

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

/// `MetricType`.
const UNTYPED: i32 = 3;
const HISTOGRAM: i32 = 4;
const GAUGE_HISTOGRAM: i32 = 5;

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Untyped>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
    #[prost(int64, optional, tag = "6")]
    timestamp_ms: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Untyped {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(double, optional, tag = "4")]
    sample_count_float: Option<f64>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(double, optional, tag = "8")]
    zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "9")]
    negative_span: Vec<BucketSpan>,
    #[prost(double, repeated, packed = "false", tag = "11")]
    negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(double, repeated, packed = "false", tag = "14")]
    positive_count: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

/// A family whose samples are of one kind. Histograms with custom buckets go without their bounds: the format has no place for them.
pub(super) fn write(family: &[Element]) -> Vec<u8> {
    let kind = match family.first().map(|e| &e.sample) {
        Some(Sample::Histogram(h)) if h.reset_hint == ResetHint::Gauge => GAUGE_HISTOGRAM,
        Some(Sample::Histogram(_)) => HISTOGRAM,
        _ => UNTYPED,
    };
    let name = family.first().map(|e| e.labels.metric().to_owned());
    let message = MetricFamily { name, kind: Some(kind), metric: family.iter().map(metric).collect() };
    message.encode_length_delimited_to_vec()
}

fn metric(element: &Element) -> Metric {
    let pair = |(name, value): (&str, &str)| LabelPair { name: Some(name.to_owned()), value: Some(value.to_owned()) };
    let (untyped, histogram) = match &element.sample {
        Sample::Float(value) => (Some(Untyped { value: Some(*value) }), None),
        Sample::Histogram(h) => (None, Some(native(h))),
    };
    Metric { label: labels_of(element).into_iter().map(pair).collect(), untyped, histogram, timestamp_ms: Some(element.time_ms) }
}

fn native(h: &NativeHistogram) -> Histogram {
    let spans = |of: &[Span]| of.iter().map(|s| BucketSpan { offset: Some(s.offset), length: Some(s.length) }).collect();
    Histogram {
        sample_sum: Some(h.sum),
        sample_count_float: Some(h.count),
        schema: Some(h.schema),
        zero_threshold: Some(h.zero_threshold),
        zero_count_float: Some(h.zero_count),
        negative_span: spans(&h.negative_spans),
        negative_count: h.negative_counts.clone(),
        positive_span: spans(&h.positive_spans),
        positive_count: h.positive_counts.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use promql::labels::Labels;

    use super::*;

    #[test]
    fn families() {
        let labels = Labels::new([("__name__", "up"), ("job", "a")]);
        let float = Element { labels: labels.clone(), time_ms: 7, sample: Sample::Float(1.5) };
        let bytes = write(&[float]);
        let family = MetricFamily::decode_length_delimited(&bytes[..]).unwrap();
        assert_eq!((family.name.as_deref(), family.kind), (Some("up"), Some(UNTYPED)));
        assert_eq!(family.metric[0].untyped, Some(Untyped { value: Some(1.5) }));
        let names: Vec<_> = family.metric[0].label.iter().map(|l| l.name.as_deref().unwrap()).collect();
        assert_eq!((names, family.metric[0].timestamp_ms), (vec!["job", "instance"], Some(7)));

        let native = NativeHistogram {
            schema: 1,
            count: 3.0,
            positive_spans: vec![Span { offset: -2, length: 2 }],
            positive_counts: vec![1.0, 2.0],
            ..NativeHistogram::default()
        };
        let element = Element { labels, time_ms: 7, sample: Sample::Histogram(Arc::new(native)) };
        let family = MetricFamily::decode_length_delimited(&write(&[element])[..]).unwrap();
        let histogram = family.metric[0].histogram.as_ref().unwrap();
        assert_eq!(family.kind, Some(HISTOGRAM));
        assert_eq!((histogram.positive_count.as_slice(), histogram.positive_span[0].offset), (&[1.0, 2.0][..], Some(-2)));
    }
}
