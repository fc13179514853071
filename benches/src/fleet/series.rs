//! Which series a fleet has: machines, services, their pods, what they cost, and the telemetry pipeline that watches them.
//!
//! ```text
//! 56 machines x 63   node_*, up                        20 services x 10 routes x 18   http_*
//! models             llm_*                             clouds x services x regions    *_cost_usd_total
//! pipeline           otelcol_*, prometheus_*, ...      pods                           container_*, kube_*: as many as are missing
//! ```

use super::model::{BOUNDS_S, Endpoint, Model, STATUSES};
use super::random::Random;

const CLOUDS: [&str; 3] = ["aws", "azure", "gcp"];
const REGIONS: [[&str; 3]; 3] = [
    ["us-east-1", "eu-central-1", "ap-south-1"],
    ["eastus", "westeurope", "southindia"],
    ["us-central1", "europe-west3", "asia-south1"],
];
const SERVICES: [&str; 20] = [
    "api",
    "frontend",
    "checkout",
    "cart",
    "catalog",
    "search",
    "payment",
    "shipping",
    "accounts",
    "auth",
    "email",
    "inventory",
    "pricing",
    "recommend",
    "reviews",
    "ads",
    "currency",
    "fraud",
    "media",
    "ledger",
];
const ROUTES: [&str; 10] =
    ["/", "/items", "/items/{id}", "/orders", "/orders/{id}", "/search", "/login", "/healthz", "/internal/sync", "/v2/quote"];
const MODES: [&str; 8] = ["idle", "user", "system", "iowait", "irq", "softirq", "steal", "nice"];
const MACHINES: usize = 56;
const CPUS: usize = 4;

/// Name and value.
type Label<'a> = (&'a str, &'a str);

/// Series and what moves them: model `i` moves the next `model.series()` series.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// `TimeSeries.labels` of each series, encoded.
    pub(crate) labels: Vec<Box<[u8]>>,
    pub(crate) models: Vec<Model>,
}

impl Series {
    /// A fleet of exactly `count` series; no fewer than 8,000.
    pub(crate) fn of_fleet(count: usize, random: &mut Random) -> Self {
        let mut series = Self::default();
        (0..MACHINES).for_each(|machine| series.machine(machine));
        (0..SERVICES.len()).for_each(|service| series.service(service, random));
        series.language_models();
        series.costs();
        series.pipeline();
        for pod in 0.. {
            if !series.pod(pod, count) {
                break;
            }
        }
        assert_eq!(series.labels.len(), count, "a fleet of {count} series is too small");
        series
    }

    fn add(&mut self, model: Model, name: &str, labels: &[Label<'_>]) {
        self.labels.push(encoded(name, labels));
        self.models.push(model);
    }

    fn machine(&mut self, machine: usize) {
        let cloud = machine % CLOUDS.len();
        let (instance, node) = (format!("node-{machine:03}:9100"), format!("node-{machine:03}"));
        let base = [
            ("job", "node"),
            ("instance", &*instance),
            ("cloud_provider", CLOUDS[cloud]),
            ("region", REGIONS[cloud][machine / 3 % 3]),
        ];
        let mut add = |model, name: &str, more: &[Label<'_>]| self.add(model, name, &[&base[..], more].concat());
        add(Model::Constant(1.0), "up", &[]);
        for cpu in 0..CPUS {
            let cpu = cpu.to_string();
            for (at, mode) in MODES.iter().enumerate() {
                // Idle most of the time; a machine in sixteen is busy.
                let share = [if machine % 16 == 5 { 0.1 } else { 0.8 }, 0.3, 0.1, 0.05, 0.01, 0.02, 0.005, 0.001][at];
                add(Model::hundredths(15.0 * share), "node_cpu_seconds_total", &[("cpu", &cpu), ("mode", mode)]);
            }
        }
        let total = 16e9 * (1 + machine % 4) as f64;
        add(Model::Constant(total), "node_memory_MemTotal_bytes", &[]);
        add(Model::gauge(total * 0.05, total * 0.6, 4_096.0), "node_memory_MemAvailable_bytes", &[]);
        add(Model::gauge(total * 0.02, total * 0.2, 4_096.0), "node_memory_MemFree_bytes", &[]);
        add(Model::gauge(total * 0.1, total * 0.4, 4_096.0), "node_memory_Cached_bytes", &[]);
        for (mountpoint, device, bytes) in [("/", "/dev/vda1", 1e11), ("/var", "/dev/vdb1", 5e11), ("/boot", "/dev/vda2", 1e9)] {
            let labels = [("device", device), ("fstype", "ext4"), ("mountpoint", mountpoint)];
            add(Model::Constant(bytes), "node_filesystem_size_bytes", &labels);
            add(Model::gauge(bytes * 0.05, bytes * 0.5, 4_096.0), "node_filesystem_free_bytes", &labels);
            add(Model::gauge(bytes * 0.04, bytes * 0.48, 4_096.0), "node_filesystem_avail_bytes", &labels);
        }
        for device in ["eth0", "eth1", "lo"] {
            add(Model::counter(3e6), "node_network_receive_bytes_total", &[("device", device)]);
            add(Model::counter(2e6), "node_network_transmit_bytes_total", &[("device", device)]);
        }
        for device in ["vda", "vdb"] {
            add(Model::counter(4e6), "node_disk_read_bytes_total", &[("device", device)]);
            add(Model::counter(8e6), "node_disk_written_bytes_total", &[("device", device)]);
        }
        for name in ["node_load1", "node_load5", "node_load15"] {
            add(Model::gauge(0.0, 8.0, 0.01), name, &[]);
        }
        add(Model::Constant(1_763_000_000.0 + machine as f64), "node_boot_time_seconds", &[]);
        add(Model::Constant(1.0), "node_uname_info", &[("nodename", &node), ("release", "6.12.48"), ("machine", "x86_64")]);
    }

    fn service(&mut self, service: usize, random: &mut Random) {
        let name = SERVICES[service];
        let instance = format!("{name}-0:8080");
        let base = [("job", "shop"), ("instance", &*instance), ("cloud_provider", CLOUDS[service % 3]), ("service", name)];
        self.add(Model::Constant(1.0), "up", &base);
        for (at, route) in ROUTES.iter().enumerate() {
            let method = ["GET", "POST"][usize::from(at % 4 == 3)];
            let labels = [&base[..], &[("route", *route), ("method", method)]].concat();
            self.endpoint(["http_requests_total", "http_request_duration_seconds"], "status", &labels, service, random);
        }
        let labels = [("job", "tempo"), ("service_name", name), ("http_method", "GET")];
        self.endpoint(
            ["traces_spanmetrics_calls_total", "traces_spanmetrics_latency"],
            "http_status_code",
            &labels,
            service,
            random,
        );
        let server = SERVICES[(service * 7 + 19) % SERVICES.len()];
        let edge = [("job", "tempo"), ("client", name), ("server", server)];
        self.add(Model::counter(40.0), "traces_service_graph_request_total", &edge);
    }

    /// Requests by status, and the histogram of their durations.
    fn endpoint(
        &mut self,
        [requests, duration]: [&str; 2],
        status_label: &str,
        labels: &[Label<'_>],
        service: usize,
        random: &mut Random,
    ) {
        let mut series = |name: &str, more: &[Label<'_>]| self.labels.push(encoded(name, &[labels, more].concat()));
        for status in STATUSES {
            series(requests, &[(status_label, status)]);
        }
        let bucket = format!("{duration}_bucket");
        for (bound, _) in BOUNDS_S {
            series(&bucket, &[("le", bound)]);
        }
        series(&bucket, &[("le", "+Inf")]);
        series(&format!("{duration}_sum"), &[]);
        series(&format!("{duration}_count"), &[]);
        let mut endpoint = Endpoint {
            load: 10 + random.below(50),
            // Two services are in trouble.
            failure_every: if service % 10 == 6 { 12 } else { 200 + random.below(300) },
            median_s: [0.02, 0.05, 0.1, 0.3][service % 4] * random.between(0.5, 2.0),
            requests: [0; STATUSES.len()],
            buckets: [0; BOUNDS_S.len() + 1],
            sum_s: 0.0,
        };
        endpoint.warm_up(random);
        self.models.push(Model::Endpoint(Box::new(endpoint)));
    }

    fn language_models(&mut self) {
        for model in ["small-1", "medium-2", "large-3"] {
            for service in &SERVICES[..5] {
                let base = [("job", "llm-gateway"), ("model", model), ("service", service)];
                for kind in ["input", "output"] {
                    self.add(Model::counter(9e4), "llm_tokens_total", &[&base[..], &[("type", kind)]].concat());
                }
                self.add(Model::hundredths(0.9), "llm_cost_usd_total", &base);
            }
        }
    }

    fn costs(&mut self) {
        let services = [["EC2", "S3", "RDS"], ["VirtualMachines", "Storage", "SQL"], ["compute", "storage", "bigquery"]];
        for (at, cloud) in CLOUDS.into_iter().enumerate() {
            let (name, region_label) = (format!("{cloud}_cost_usd_total"), ["region", "location", "region"][at]);
            for service in services[at] {
                for region in REGIONS[at] {
                    let base = [("job", "cost-exporter"), ("cloud_provider", cloud), ("service", service)];
                    self.add(Model::hundredths(0.5), &name, &[&base[..], &[(region_label, region)]].concat());
                    for team in ["platform", "shop"] {
                        let labels = [&base[..], &[("region", region), ("team", team)]].concat();
                        self.add(Model::hundredths(0.3), "cloud_cost_usd_total", &labels);
                    }
                }
            }
        }
    }

    /// What the alerts and diagnoses of a self-hosted pipeline ask about.
    fn pipeline(&mut self) {
        for (job, port) in
            [("otel-collector", 8888), ("prometheus", 9090), ("loki", 3100), ("tempo", 3200), ("jaeger", 14269), ("kafka", 9308)]
        {
            for replica in 0..2 {
                let instance = format!("{job}-{replica}:{port}");
                self.component(job, &[("job", job), ("instance", &instance)]);
            }
        }
    }

    fn component(&mut self, job: &str, base: &[Label<'_>]) {
        let mut add = |model, name: &str, more: &[Label<'_>]| self.add(model, name, &[base, more].concat());
        add(Model::Constant(1.0), "up", &[]);
        add(Model::gauge(2e8, 4e9, 4_096.0), "process_resident_memory_bytes", &[]);
        match job {
            "otel-collector" => {
                add(Model::gauge(2e8, 2e9, 4_096.0), "otelcol_process_memory_rss", &[]);
                add(Model::counter(15_000.0), "otelcol_receiver_accepted_spans", &[("receiver", "otlp")]);
                add(Model::counter(3.0), "otelcol_processor_dropped_spans", &[("processor", "batch")]);
                for exporter in ["otlp/tempo", "loki", "prometheusremotewrite"] {
                    add(Model::gauge(0.0, 9_000.0, 1.0), "otelcol_exporter_queue_size", &[("exporter", exporter)]);
                    add(Model::counter(2.0), "otelcol_exporter_send_failed_spans", &[("exporter", exporter)]);
                }
            }
            "prometheus" => {
                add(Model::gauge(5e5, 1.2e6, 1.0), "prometheus_tsdb_head_series", &[]);
                add(Model::gauge(1e9, 9e9, 4_096.0), "prometheus_tsdb_storage_blocks_bytes", &[]);
                add(Model::counter(1e6), "prometheus_engine_query_samples_total", &[]);
                for quantile in ["0.5", "0.9", "0.99"] {
                    let labels = [("quantile", quantile), ("slice", "inner_eval")];
                    add(Model::gauge(0.0, 2.0, 1e-4), "prometheus_engine_query_duration_seconds", &labels);
                }
            }
            "loki" => add(Model::counter(1.0), "loki_distributor_ingester_append_failures_total", &[]),
            "tempo" => add(Model::gauge(0.0, 5_000.0, 1.0), "tempo_ingester_live_traces", &[]),
            "jaeger" => add(Model::gauge(1e9, 8e10, 4_096.0), "jaeger_badger_lsm_size_bytes", &[]),
            _ => {
                for partition in ["0", "1", "2", "3"] {
                    let labels = [("group", "otel-processors"), ("topic", "otlp-metrics"), ("partition", partition)];
                    add(Model::gauge(0.0, 150_000.0, 1.0), "kafka_consumer_group_lag", &labels);
                }
            }
        }
    }

    /// One more pod, as far as it fits into `count` series. `false` when nothing fits any more.
    fn pod(&mut self, pod: usize, count: usize) -> bool {
        let (service, machine) = (SERVICES[pod % SERVICES.len()], format!("node-{:03}", pod % MACHINES));
        let name = format!("{service}-{:08x}-{:05x}", Random::new(pod as u64 / 50).next() as u32, pod);
        let base = [
            ("job", "kubelet"),
            ("instance", &*machine),
            ("cloud_provider", CLOUDS[pod % MACHINES % 3]),
            ("namespace", ["shop", "data", "edge"][pod % 3]),
            ("pod", &name),
            ("container", service),
        ];
        for (metric, model) in [
            ("container_cpu_usage_seconds_total", Model::hundredths(4.0)),
            ("container_memory_working_set_bytes", Model::gauge(5e7, 5e8, 4_096.0)),
            ("container_network_receive_bytes_total", Model::counter(2e5)),
            ("container_fs_usage_bytes", Model::gauge(1e6, 2e8, 4_096.0)),
            ("kube_pod_status_ready", Model::Constant(1.0)),
        ] {
            if self.labels.len() >= count {
                return false;
            }
            self.add(model, metric, &base);
        }
        true
    }
}

/// `repeated Label labels = 1` of a `TimeSeries`, sorted by name as the protocol demands.
fn encoded(metric: &str, labels: &[Label<'_>]) -> Box<[u8]> {
    let mut labels = [&[("__name__", metric)], labels].concat();
    labels.sort_unstable();
    let mut bytes = Vec::new();
    for (name, value) in labels {
        let length = |text: &str| u8::try_from(text.len()).ok().filter(|n| *n < 64).expect("labels of a fleet are short");
        bytes.extend([0x0a, 4 + length(name) + length(value), 0x0a, length(name)]);
        bytes.extend(name.as_bytes());
        bytes.extend([0x12, length(value)]);
        bytes.extend(value.as_bytes());
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_fleet_has_the_series_asked_for_and_none_twice() {
        for count in [8_000, 10_001] {
            let series = Series::of_fleet(count, &mut Random::new(7));
            assert_eq!(series.labels.len(), count);
            assert_eq!(series.models.iter().map(Model::series).sum::<usize>(), count);
            assert_eq!(series.labels.iter().collect::<HashSet<_>>().len(), count);
        }
    }
}
