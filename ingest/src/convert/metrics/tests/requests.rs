//! Requests in few words, and arbitrary ones.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;

use super::NOW_NS;

pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

pub(super) fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(k, v)| attribute(k, v)).collect()
}

pub(super) fn number(value: f64, ts_ns: u64) -> NumberDataPoint {
    let value = Some(number_data_point::Value::AsDouble(value));
    NumberDataPoint { value, time_unix_nano: ts_ns, ..NumberDataPoint::default() }
}

pub(super) fn gauge(points: Vec<NumberDataPoint>) -> Data {
    Data::Gauge(Gauge { data_points: points })
}

pub(super) fn sum(points: Vec<NumberDataPoint>, temporality: i32, is_monotonic: bool) -> Data {
    Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic })
}

pub(super) fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }
}

/// One resource, one scope.
pub(super) fn request(resource: &[(&str, &str)], metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let resource = Some(Resource { attributes: attributes(resource), ..Resource::default() });
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }],
    }
}

fn any_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof![
        "[a-c]",
        "[a-c][._]b",
        Just("le".to_owned()),
        Just("job".to_owned()),
        Just("__name__".to_owned()),
        Just(String::new())
    ];
    let value = prop_oneof![
        4 => "[x-z]{0,2}".prop_map(any_value::Value::StringValue),
        1 => any::<i64>().prop_map(any_value::Value::IntValue),
        1 => any::<bool>().prop_map(any_value::Value::BoolValue),
        1 => (-3..3).prop_map(|v| any_value::Value::DoubleValue(f64::from(v) / 2.0)),
    ];
    let entry = (key, prop::option::of(value));
    let entry = entry.prop_map(|(key, value)| KeyValue { key, value: Some(AnyValue { value }), ..KeyValue::default() });
    prop::collection::vec(entry, 0..4)
}

/// Mostly around now; 0, the far past and the far future too.
fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0u64..200_000).prop_map(|s| NOW_NS - s * 1_000_000_000),
        1 => Just(0u64),
        1 => prop_oneof![Just(1u64), Just(NOW_NS + 601_000_000_000), Just(i64::MAX as u64 + 1), Just(u64::MAX)],
    ]
}

fn any_double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        (-100i32..100).prop_map(f64::from),
        Just(-0.0),
        Just(f64::from_bits(0x7ff0_0000_0000_0002)),
        Just(5e-324),
    ]
}

fn any_exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    let id = |n: usize| prop_oneof![Just(vec![0u8; n]), Just(vec![7u8; n]), Just(vec![1u8; n + 1]), Just(Vec::new())];
    let value = prop::option::of(prop_oneof![
        any_double().prop_map(exemplar::Value::AsDouble),
        any::<i64>().prop_map(exemplar::Value::AsInt),
    ]);
    let one = (any_attributes(), any_time(), value, id(16), id(8)).prop_map(
        |(filtered_attributes, time_unix_nano, value, trace_id, span_id)| Exemplar {
            filtered_attributes,
            time_unix_nano,
            value,
            trace_id,
            span_id,
        },
    );
    prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(one, 0..3)]
}

fn any_number() -> impl Strategy<Value = NumberDataPoint> {
    let value = prop::option::of(prop_oneof![
        any_double().prop_map(number_data_point::Value::AsDouble),
        any::<i64>().prop_map(number_data_point::Value::AsInt),
    ]);
    (any_attributes(), any_time(), any_time(), value, any_exemplars(), 0u32..4).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, value, exemplars, flags)| NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            value,
            exemplars,
            flags: flags / 3,
        },
    )
}

fn any_histogram() -> impl Strategy<Value = HistogramDataPoint> {
    let shape = (prop::collection::vec(-5i32..20, 0..4), any::<bool>(), prop::collection::vec(0u64..9, 0..6), 0u64..12);
    (any_attributes(), any_time(), any_time(), prop::option::of(any_double()), any_exemplars(), 0u32..4, shape).prop_map(
        |(
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            sum,
            exemplars,
            flags,
            (mut bounds, valid, mut bucket_counts, mut count),
        )| {
            if valid {
                bounds.sort_unstable();
                bounds.dedup();
                bucket_counts.resize(bounds.len() + 1, 1);
                count = bucket_counts.iter().sum();
            }
            let explicit_bounds = bounds.into_iter().map(f64::from).collect();
            HistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count,
                sum,
                bucket_counts,
                explicit_bounds,
                exemplars,
                flags: flags / 3,
                min: Some(0.0),
                max: None,
            }
        },
    )
}

fn any_exponential() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let side = || {
        (prop_oneof![-20i32..20, any::<i32>()], prop::collection::vec(0u64..5, 0..30))
            .prop_map(|(offset, bucket_counts)| Buckets { offset, bucket_counts })
    };
    let shape = (-6i32..14, prop::option::of(side()), prop::option::of(side()), 0u64..4, any::<bool>());
    (any_attributes(), any_time(), any_time(), prop::option::of(any_double()), any_exemplars(), 0u32..4, shape).prop_map(
        |(
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            sum,
            exemplars,
            flags,
            (scale, positive, negative, zero_count, valid),
        )| {
            let total = |side: &Option<Buckets>| side.as_ref().map_or(0, |s| s.bucket_counts.iter().sum::<u64>());
            let count = zero_count + total(&positive) + total(&negative) + u64::from(!valid);
            ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count,
                sum,
                scale,
                zero_count,
                positive,
                negative,
                exemplars,
                flags: flags / 3,
                ..ExponentialHistogramDataPoint::default()
            }
        },
    )
}

fn any_summary() -> impl Strategy<Value = SummaryDataPoint> {
    let quantile = (0u32..6, any_double()).prop_map(|(q, value)| ValueAtQuantile { quantile: f64::from(q) / 4.0, value });
    (any_attributes(), any_time(), any_time(), any::<u64>(), any_double(), prop::collection::vec(quantile, 0..4), 0u32..4)
        .prop_map(|(attributes, start_time_unix_nano, time_unix_nano, count, sum, quantile_values, flags)| SummaryDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count,
            sum,
            quantile_values,
            flags: flags / 3,
        })
}

fn any_metric() -> impl Strategy<Value = Metric> {
    // Cumulative and unspecified: deltas have tests of their own.
    let temporality = prop_oneof![5 => Just(2), 1 => Just(0)];
    let data = prop_oneof![
        prop::collection::vec(any_number(), 0..4).prop_map(gauge),
        (prop::collection::vec(any_number(), 0..4), temporality.clone(), any::<bool>())
            .prop_map(|(points, t, m)| sum(points, t, m)),
        (prop::collection::vec(any_histogram(), 0..4), temporality.clone()).prop_map(|(data_points, aggregation_temporality)| {
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }),
        (prop::collection::vec(any_exponential(), 0..4), temporality).prop_map(|(data_points, aggregation_temporality)| {
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
        }),
        prop::collection::vec(any_summary(), 0..4).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ];
    let name = prop_oneof![4 => "[a-b][.]?c?", 1 => Just("##".to_owned()), 1 => "[a-z0-9_.é]{0,6}"];
    let unit = prop_oneof![Just(String::new()), Just("1".to_owned()), Just("By/s".to_owned()), Just("{x}".to_owned())];
    (name, unit, "[a-z]{0,2}", prop::option::of(data)).prop_map(|(name, unit, description, data)| Metric {
        name,
        unit,
        description,
        data,
        ..Metric::default()
    })
}

/// Any request; no two of its data points share a series on purpose, but they may.
pub(super) fn any_request() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope = ("[s]?", "[v]?", any_attributes()).prop_map(|(name, version, attributes)| InstrumentationScope {
        name,
        version,
        attributes,
        ..InstrumentationScope::default()
    });
    let scope_metrics = (prop::option::of(scope), prop::collection::vec(any_metric(), 0..4))
        .prop_map(|(scope, metrics)| ScopeMetrics { scope, metrics, schema_url: "u".to_owned() });
    let identity = prop::collection::vec(
        prop_oneof![Just("service.name"), Just("service.namespace"), Just("service.instance.id"), Just("host.name"), Just("a.b")],
        0..4,
    );
    let resource = (identity, any_attributes()).prop_map(|(mut keys, extra)| {
        keys.sort_unstable();
        keys.dedup();
        let mut attributes: Vec<KeyValue> = keys.into_iter().map(|key| attribute(key, "r")).collect();
        attributes.extend(extra.into_iter().filter(|e| !e.key.is_empty()));
        Resource { attributes, ..Resource::default() }
    });
    let resource_metrics = (prop::option::of(resource), prop::collection::vec(scope_metrics, 0..3))
        .prop_map(|(resource, scope_metrics)| ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() });
    prop::collection::vec(resource_metrics, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}
