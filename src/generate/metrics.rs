//! Metrics: gauges that wander, counters that grow and reset with their process, histograms of both kinds.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric, number_data_point,
};
use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use super::shop::{SERVICES, int_attribute, resource, scope, text_attribute};
use super::{Batch, Counts, Source};

/// Upper bounds of the classic histogram in seconds: the defaults of the OpenTelemetry HTTP conventions.
const BOUNDS_S: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Buckets of the exponential histogram that are in use; scale 3 from 2^(-64/8) s on.
const EXPONENTIAL_BUCKETS: usize = 64;
/// Points that one instance sends per round.
const POINTS_PER_INSTANCE: usize = 2 + 4 + 1 + 1 + 1;
const STATUSES: [i64; 4] = [200, 204, 404, 500];
/// How many rounds an instance lives on average before its counters start again.
const ROUNDS_PER_LIFE: f64 = 500.0;

/// All instances of the shop, in turn.
#[derive(Debug)]
pub(crate) struct MetricsSource {
    random: SmallRng,
    instances: Vec<Instance>,
    next: usize,
}

#[derive(Debug)]
struct Instance {
    service: usize,
    number: usize,
    started_ns: u64,
    cpu: f64,
    memory_bytes: i64,
    queue: i64,
    requests: [u64; STATUSES.len()],
    buckets: [u64; BOUNDS_S.len() + 1],
    duration_sum_s: f64,
    exponential: [u64; EXPONENTIAL_BUCKETS],
    exponential_sum_s: f64,
}

impl MetricsSource {
    /// `instances` of every service. Each has 9 series as OTLP counts them.
    pub(crate) fn new(seed: u64, instances: usize, started_ns: u64) -> Self {
        let all = (0..instances.max(1)).flat_map(|number| (0..SERVICES.len()).map(move |service| (service, number)));
        let instances = all.map(|(service, number)| Instance::new(service, number, started_ns)).collect();
        Self { random: SmallRng::seed_from_u64(seed ^ 0x6d65_7472), instances, next: 0 }
    }
}

impl Source for MetricsSource {
    fn next(&mut self, now_ns: u64, items_max: usize) -> Batch {
        let mut counts = Counts { requests: 1, ..Counts::default() };
        let mut resource_metrics = Vec::new();
        let all = self.instances.len();
        for _ in 0..(items_max / POINTS_PER_INSTANCE).clamp(1, all) {
            let instance = &mut self.instances[self.next];
            self.next = (self.next + 1) % all;
            instance.step(now_ns, &mut self.random);
            let metrics = instance.metrics(now_ns, &mut self.random, &mut counts);
            resource_metrics.push(ResourceMetrics {
                resource: Some(resource(&SERVICES[instance.service], instance.number)),
                scope_metrics: vec![ScopeMetrics { scope: Some(scope()), metrics, ..Default::default() }],
                ..Default::default()
            });
        }
        let body = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec().into();
        Batch { signal: catalog::Signal::Metrics, body, counts }
    }
}

impl Instance {
    fn new(service: usize, number: usize, started_ns: u64) -> Self {
        Self {
            service,
            number,
            started_ns,
            cpu: 0.2,
            memory_bytes: 180 << 20,
            queue: 0,
            requests: [0; STATUSES.len()],
            buckets: [0; BOUNDS_S.len() + 1],
            duration_sum_s: 0.0,
            exponential: [0; EXPONENTIAL_BUCKETS],
            exponential_sum_s: 0.0,
        }
    }

    /// Lets time pass: some requests were answered, or the process died and came back.
    fn step(&mut self, now_ns: u64, random: &mut SmallRng) {
        if random.random_bool(1.0 / ROUNDS_PER_LIFE) {
            *self = Self::new(self.service, self.number, now_ns);
        }
        // Two decimals, as a real exporter's ratio of ticks has few.
        self.cpu = ((self.cpu + random.random_range(-0.05..0.05)).clamp(0.0, 1.0) * 100.0).round() / 100.0;
        self.memory_bytes = (self.memory_bytes + random.random_range(-64..80) * 4096).max(32 << 20);
        self.queue = (self.queue + random.random_range(-3..4)).max(0);
        for _ in 0..random.random_range(0..12) {
            let status = [0, 0, 0, 0, 0, 0, 1, 1, 2, 3][random.random_range(0..10)];
            self.requests[status] += 1;
            let latency_s = (0.008 * (-(random.random_range(1e-4..1.0_f64)).ln()).powi(2) * 1e4).round() / 1e4;
            self.buckets[BOUNDS_S.partition_point(|bound| *bound < latency_s)] += 1;
            self.duration_sum_s += latency_s;
            let index = ((latency_s.max(1e-6).log2() * 8.0).ceil() as i64 - 1 + EXPONENTIAL_BUCKETS as i64).clamp(0, 63);
            self.exponential[index as usize] += 1;
            self.exponential_sum_s += latency_s;
        }
    }

    fn metrics(&self, now_ns: u64, random: &mut SmallRng, counts: &mut Counts) -> Vec<Metric> {
        let point = |attributes, value| NumberDataPoint {
            attributes,
            start_time_unix_nano: self.started_ns,
            time_unix_nano: now_ns,
            value: Some(value),
            ..Default::default()
        };
        let int = |value: i64| number_data_point::Value::AsInt(value);
        let cpu = vec![point(vec![], number_data_point::Value::AsDouble(self.cpu))];
        let memory = vec![point(vec![text_attribute("state", "resident")], int(self.memory_bytes))];
        let queue = vec![point(vec![text_attribute("queue", "orders")], int(self.queue))];
        let requests: Vec<_> =
            STATUSES.iter().zip(self.requests).map(|(status, n)| point(self.request(*status), int(n as i64))).collect();
        counts.gauge_points += 2;
        counts.sum_points += 1 + requests.len() as u64;
        let gauge = |data_points| metric::Data::Gauge(Gauge { data_points });
        let sum = |data_points, is_monotonic| {
            metric::Data::Sum(Sum {
                data_points,
                aggregation_temporality: AggregationTemporality::Cumulative as i32,
                is_monotonic,
            })
        };
        vec![
            named("process.cpu.utilization", "1", "Share of one core in use.", gauge(cpu)),
            named("process.memory.usage", "By", "Resident memory.", gauge(memory)),
            named("shop.queue.depth", "{order}", "Orders that wait.", sum(queue, false)),
            named("http.server.requests", "{request}", "Requests answered.", sum(requests, true)),
            named("http.server.request.duration", "s", "Time to answer.", self.histogram(now_ns, random, counts)),
            named("rpc.client.duration", "s", "Time until the other side answered.", self.exponential_histogram(now_ns, counts)),
        ]
    }

    fn request(&self, status: i64) -> Vec<KeyValue> {
        let (method, route) = SERVICES[self.service].operations[0];
        vec![
            text_attribute("http.request.method", method),
            text_attribute("http.route", route),
            int_attribute("http.response.status_code", status),
        ]
    }

    fn histogram(&self, now_ns: u64, random: &mut SmallRng, counts: &mut Counts) -> metric::Data {
        let mut exemplars = Vec::new();
        if random.random_bool(0.05) {
            let mut ids = [0; 24];
            random.fill_bytes(&mut ids);
            exemplars.push(Exemplar {
                time_unix_nano: now_ns,
                trace_id: ids[..16].to_vec(),
                span_id: ids[16..].to_vec(),
                value: Some(exemplar::Value::AsDouble(0.042)),
                ..Default::default()
            });
        }
        counts.histogram_points += 1;
        counts.histogram_buckets += self.buckets.len() as u64;
        counts.exemplars += exemplars.len() as u64;
        metric::Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint {
                attributes: self.request(200),
                start_time_unix_nano: self.started_ns,
                time_unix_nano: now_ns,
                count: self.buckets.iter().sum(),
                sum: Some(self.duration_sum_s),
                bucket_counts: self.buckets.to_vec(),
                explicit_bounds: BOUNDS_S.to_vec(),
                exemplars,
                ..Default::default()
            }],
            aggregation_temporality: AggregationTemporality::Cumulative as i32,
        })
    }

    fn exponential_histogram(&self, now_ns: u64, counts: &mut Counts) -> metric::Data {
        counts.exponential_histogram_points += 1;
        metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![ExponentialHistogramDataPoint {
                attributes: vec![text_attribute("rpc.system", "grpc")],
                start_time_unix_nano: self.started_ns,
                time_unix_nano: now_ns,
                count: self.exponential.iter().sum(),
                sum: Some(self.exponential_sum_s),
                scale: 3,
                positive: Some(Buckets { offset: -(EXPONENTIAL_BUCKETS as i32), bucket_counts: self.exponential.to_vec() }),
                ..Default::default()
            }],
            aggregation_temporality: AggregationTemporality::Cumulative as i32,
        })
    }
}

fn named(name: &str, unit: &str, description: &str, data: metric::Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        data: Some(data),
        ..Default::default()
    }
}
