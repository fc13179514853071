//! How fast OTLP metrics and Loki's pushes become rows, against prost's decoding alone. Prints points or lines per second and core, and
//! CPU-seconds per million; run it in release, on an idle machine.
//!
//! 10,000 series in 100 resources, 4 attributes a data point, about 117 bytes a point with its share of names and resource.

mod pushes;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use catalog::env::fixed;
use catalog::{TenantId, Timestamp};
use ingest::convert::metrics::{MetricsConverter, OtlpMetricsConfig};
use ingest::registry::{RegistryConfig, SeriesRegistry};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

const NOW_S: i64 = 1_760_000_000;
const RESOURCES: usize = 100;
const METRICS: usize = 10;
const SERIES_PER_METRIC: usize = 10;
const ROUNDS: usize = 300;

fn attribute(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn point(resource: usize, series: usize, round: u64) -> NumberDataPoint {
    let now = NOW_S as u64 * 1_000_000_000 - 15_000_000_000 * round;
    NumberDataPoint {
        attributes: vec![
            attribute("http.method", ["GET", "POST", "PUT"][series % 3].to_owned()),
            attribute("http.status", (200 + series).to_string()),
            attribute("route", format!("/api/v1/r{series}")),
            attribute("pod", format!("p-{resource:03}")),
        ],
        start_time_unix_nano: now - 3_600_000_000_000,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble((series * 1_000) as f64 + round as f64)),
        ..NumberDataPoint::default()
    }
}

fn body(round: u64) -> Vec<u8> {
    let metric = |resource: usize, at: usize| {
        let data_points = (0..SERIES_PER_METRIC).map(|series| point(resource, series, round)).collect();
        let sum = Sum { data_points, aggregation_temporality: 2, is_monotonic: true };
        Metric { name: format!("http.server.requests.{at}"), data: Some(Data::Sum(sum)), ..Metric::default() }
    };
    let resource = |resource: usize| ResourceMetrics {
        resource: Some(Resource {
            attributes: vec![
                attribute("service.name", "checkout".to_owned()),
                attribute("service.instance.id", format!("checkout-{resource}")),
                attribute("host.name", format!("host-{resource}")),
            ],
            ..Resource::default()
        }),
        scope_metrics: vec![ScopeMetrics {
            metrics: (0..METRICS).map(|at| metric(resource, at)).collect(),
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: (0..RESOURCES).map(resource).collect() }.encode_to_vec()
}

/// CPU time of this thread, which is the only one, in seconds.
fn cpu_s() -> f64 {
    let line = std::fs::read_to_string("/proc/self/schedstat").expect("Linux counts CPU time there");
    line.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).expect("nanoseconds come first") / 1e9
}

fn measure(name: &str, points: usize, mut work: impl FnMut(usize)) {
    let (start, cpu) = (Instant::now(), cpu_s());
    for round in 0..ROUNDS {
        work(round);
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_s() - cpu);
    let millions = (points * ROUNDS) as f64 / 1e6;
    println!("{name:<28} {:8.2} M/s/core {:8.4} CPU-s per million   ({wall:.2} s wall)", millions / cpu, cpu / millions);
}

fn main() {
    let bodies: Vec<Vec<u8>> = (0..20).map(body).collect();
    let points = RESOURCES * METRICS * SERIES_PER_METRIC;
    println!("{points} points a request, {:.0} bytes each", bodies[0].len() as f64 / points as f64);
    let tenant = TenantId::anonymous();
    let (env, _) = fixed::env(Timestamp::from_secs(NOW_S), 7);
    let converter =
        || MetricsConverter::new(OtlpMetricsConfig::default(), SeriesRegistry::new(RegistryConfig::default()), env.clone());
    let convert = |converter: &Arc<MetricsConverter>, body: &[u8]| {
        let mut converted = converter.convert(&tenant, body).expect("a well-formed request");
        assert_eq!((converted.accepted, converted.rejected), (points as u64, 0));
        converted.confirm();
        black_box(converted.rows);
    };

    let warm = converter();
    bodies.iter().for_each(|body| convert(&warm, body));
    measure("convert, series known", points, |round| convert(&warm, &bodies[round % bodies.len()]));
    measure("convert, series new", points, |round| convert(&converter(), &bodies[round % bodies.len()]));
    measure("prost decode alone", points, |round| {
        black_box(ExportMetricsServiceRequest::decode(bodies[round % bodies.len()].as_slice()).expect("a well-formed request"));
    });
    pushes::measure_all();
}
