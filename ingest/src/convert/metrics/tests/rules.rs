//! One rule a test.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Histogram, HistogramDataPoint, NumberDataPoint};

use super::requests::{attributes, gauge, metric, number, request, sum};
use super::*;

const S: u64 = 1_000_000_000;

/// The samples of a request as `name value@seconds-from-now`, in order of the rows.
fn samples(converter: &MetricsConverter, request: &ExportMetricsServiceRequest, names: &mut BTreeMap<i64, Name>) -> Vec<String> {
    let converted = convert(converter, request);
    let outcome = outcome(&converted, names);
    let line = |(name, ts, bits, start): &(Name, i64, u64, Option<i64>)| {
        let start = start.map_or(String::new(), |s| format!(" from {}", s / 1_000 - NOW_S));
        let value = if *bits == STALE.to_bits() { "stale".to_owned() } else { f64::from_bits(*bits).to_string() };
        format!("{name} {value}@{}{start}", ts / 1_000 - NOW_S)
    };
    outcome.samples.iter().filter(|s| !s.0.starts_with("target_info")).map(line).collect()
}

#[track_caller]
fn check(data: Data, expected: &[&str]) {
    let converter = converter(OtlpMetricsConfig::default());
    let got = samples(&converter, &request(&[], vec![metric("m", data)]), &mut BTreeMap::new());
    assert_eq!(got, expected);
}

#[test]
fn numbers_keep_their_bits() {
    for bits in [0x7ff0_0000_0000_0002u64, 0x7ff8_dead_beef_0001, (-0.0f64).to_bits(), 1, f64::INFINITY.to_bits()] {
        let converter = converter(OtlpMetricsConfig::default());
        let request = request(&[], vec![metric("m", gauge(vec![number(f64::from_bits(bits), NOW_NS)]))]);
        assert_eq!(outcome(&convert(&converter, &request), &mut BTreeMap::new()).samples[0].2, bits);
    }
    let stale = NumberDataPoint { flags: 1, time_unix_nano: NOW_NS, ..NumberDataPoint::default() };
    check(gauge(vec![stale]), &["m{} stale@0"]);
}

#[test]
fn equal_label_names_are_joined() {
    let converter = converter(OtlpMetricsConfig::default());
    let point = NumberDataPoint { attributes: attributes(&[("a_b", "2"), ("a.b", "1"), ("empty", "")]), ..number(1.0, NOW_NS) };
    let request = request(
        &[("service.namespace", "n"), ("service.name", "s"), ("service.instance.id", "i")],
        vec![metric("m", gauge(vec![point]))],
    );
    let got = samples(&converter, &request, &mut BTreeMap::new());
    assert_eq!(got, [r#"m{a_b="1;2",instance="i",job="n/s"} 1@0"#]);
}

#[test]
fn bad_points_leave_their_neighbours_alone() {
    let converter = converter(OtlpMetricsConfig::default());
    let points = vec![
        number(1.0, NOW_NS),
        number(2.0, 0),
        number(3.0, NOW_NS + 601 * S),
        number(4.0, u64::MAX),
        NumberDataPoint { time_unix_nano: NOW_NS, ..NumberDataPoint::default() },
    ];
    let converted = convert(&converter, &request(&[], vec![metric("m", gauge(points))]));
    assert_eq!((converted.accepted, converted.rejected), (1, 4));
    assert_eq!(
        converted.reason.unwrap(),
        "1 rejected: time_unix_nano is 0; 1 rejected: time_unix_nano is beyond the year 2262; \
         1 rejected: time is more than 600s in the future; 1 rejected: data point has no value"
    );
}

#[test]
fn text_that_is_not_utf8_costs_one_point() {
    let converter = converter(OtlpMetricsConfig::default());
    let point = |value: &str| NumberDataPoint { attributes: attributes(&[("k", value)]), ..number(1.0, NOW_NS) };
    let mut body = request(&[], vec![metric("m", gauge(vec![point("good"), point("BAD!")]))]).encode_to_vec();
    let at = body.windows(4).position(|w| w == b"BAD!").unwrap();
    body[at] = 0xff;
    let converted = converter.convert(&TenantId::anonymous(), &body).unwrap();
    assert_eq!((converted.accepted, converted.rejected), (1, 1));
    assert_eq!(converted.reason.as_deref(), Some("1 rejected: a name or value is not valid UTF-8"));
}

#[test]
fn limits_are_named() {
    let config = OtlpMetricsConfig {
        labels_max: 1,
        label_value_bytes_max: 3,
        name_bytes_max: 4,
        buckets_max: 2,
        ..OtlpMetricsConfig::default()
    };
    let (env, _) = fixed::env(Timestamp::from_secs(NOW_S), 7);
    let registry = RegistryConfig { series_max: 1, ..RegistryConfig::default() };
    let converter = MetricsConverter::new(config, SeriesRegistry::new(registry), env);
    let point = |pairs: &[(&str, &str)]| NumberDataPoint { attributes: attributes(pairs), ..number(1.0, NOW_NS) };
    let points = vec![
        point(&[("a", "1")]),
        point(&[("a", "2")]),
        point(&[("a", "1"), ("b", "2")]),
        point(&[("a", "long")]),
        point(&[("longer", "1")]),
    ];
    let bounds =
        HistogramDataPoint { time_unix_nano: NOW_NS, explicit_bounds: vec![1.0, 2.0, 3.0], ..HistogramDataPoint::default() };
    let histogram = Data::Histogram(Histogram { data_points: vec![bounds], aggregation_temporality: 2 });
    let converted = convert(&converter, &request(&[], vec![metric("m", gauge(points)), metric("h", histogram)]));
    assert_eq!((converted.accepted, converted.rejected), (1, 5));
    let reason = converted.reason.unwrap();
    for part in
        ["longer than 4 bytes", "longer than 3 bytes", "more than 1 labels", "more than 2 buckets", "limit of 1 active series"]
    {
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn deltas_become_cumulative() {
    let converter = converter(OtlpMetricsConfig::default());
    let mut names = BTreeMap::new();
    let point = |start: u64, ts: u64, value| NumberDataPoint {
        start_time_unix_nano: NOW_NS - start * S,
        ..number(value, NOW_NS - ts * S)
    };
    let deltas = |points| request(&[], vec![metric("m", sum(points, 1, true))]);
    // What it was converted to is dropped unconfirmed: the totals are as before.
    let mut unconfirmed = |request: &ExportMetricsServiceRequest| samples(&converter, request, &mut names);
    let request_1 = deltas(vec![point(60, 50, 2.0), point(50, 40, 3.0)]);
    let expected = ["m_total{} 2@-50 from -60", "m_total{} 5@-40 from -60"];
    assert_eq!(unconfirmed(&request_1), expected);
    assert_eq!(unconfirmed(&request_1), expected, "an append that failed leaves no trace");
    convert(&converter, &request_1).confirm();
    let again = convert(&converter, &request_1);
    assert_eq!((again.accepted, again.rejected), (0, 2), "duplicates");
    let request_2 = deltas(vec![point(40, 30, 1.0), point(20, 10, 7.0)]);
    assert_eq!(samples(&converter, &request_2, &mut names), ["m_total{} 6@-30 from -60", "m_total{} 7@-10 from -20"]);
}

#[test]
fn classic_histograms() {
    let point = HistogramDataPoint {
        time_unix_nano: NOW_NS,
        count: 6,
        sum: Some(2.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 1.0],
        ..HistogramDataPoint::default()
    };
    let data =
        |points: Vec<HistogramDataPoint>, t| Data::Histogram(Histogram { data_points: points, aggregation_temporality: t });
    let rows =
        [r#"m_bucket{le="+Inf"} 6@0"#, r#"m_bucket{le="0.5"} 1@0"#, r#"m_bucket{le="1"} 3@0"#, "m_count{} 6@0", "m_sum{} 2.5@0"];
    check(data(vec![point.clone()], 2), &rows);
    // A marker without bounds ends the series of the last layout.
    let stale = HistogramDataPoint { flags: 1, time_unix_nano: NOW_NS + S, ..HistogramDataPoint::default() };
    let converter = converter(OtlpMetricsConfig::default());
    let mut names = BTreeMap::new();
    samples(&converter, &request(&[], vec![metric("m", data(vec![point.clone()], 2))]), &mut names);
    let got = samples(&converter, &request(&[], vec![metric("m", data(vec![stale], 2))]), &mut names);
    assert_eq!(got.len(), 5);
    assert!(got.iter().all(|line| line.ends_with("stale@1")), "{got:?}");
    // Deltas add up per bucket.
    let later = HistogramDataPoint { time_unix_nano: NOW_NS + S, ..point.clone() };
    let got = samples(&converter, &request(&[], vec![metric("d", data(vec![point, later], 1))]), &mut names);
    assert!(got.contains(&r#"d_bucket{le="1"} 6@1"#.to_owned()) && got.contains(&"d_sum{} 5@1".to_owned()), "{got:?}");
}

#[test]
fn malformed_requests_are_refused_whole() {
    let converter = converter(OtlpMetricsConfig::default());
    let body = request(&[], vec![metric("m", gauge(vec![number(1.0, NOW_NS)]))]).encode_to_vec();
    let error = converter.convert(&TenantId::anonymous(), &body[..body.len() - 1]).unwrap_err();
    assert_eq!(error.to_string(), "malformed ExportMetricsServiceRequest: message is truncated");
    let empty = converter.convert(&TenantId::anonymous(), &[]).unwrap();
    assert_eq!((empty.rows.len(), empty.accepted, empty.reason), (0, 0, None));
}
