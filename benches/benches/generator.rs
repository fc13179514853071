//! What counting costs beside the way of spans into the log: stored batches to calls, latencies, sizes and edges.

mod inputs;

use std::hint::black_box;
use std::time::Duration;

use catalog::TenantId;
use criterion::{Criterion, Throughput};
use ingest::Generator;
use ingest::generator::GeneratorConfig;
use ingest::registry::{RegistryConfig, SeriesRegistry};

use crate::inputs::{Converters, ITEMS, Kind, NOW};

/// Requests that are counted in turn: other traces, the same operations.
const ROUNDS: u64 = 64;

fn main() {
    let mut criterion = Criterion::default().sample_size(30).configure_from_args();
    let mut group = criterion.benchmark_group("generator");
    group.throughput(Throughput::Elements(ITEMS as u64));
    let converters = Converters::new();
    let requests: Vec<_> = (0..ROUNDS).map(|round| converters.convert(Kind::Spans, &Kind::Spans.body(round)).rows).collect();
    let tenant = TenantId::anonymous();
    let mut configs = [("all", GeneratorConfig::default()), ("spans", Default::default()), ("graph", Default::default())];
    configs[1].1.service_graph.enabled = false;
    configs[2].1.span_metrics.enabled = false;
    for (name, config) in configs {
        let generator = Generator::new(config, SeriesRegistry::new(RegistryConfig::default()), "bench", 7, NOW);
        let (mut requests, mut now) = (requests.iter().cycle(), NOW);
        group.bench_function(name, |b| {
            b.iter(|| {
                // A minute passes in a thousand requests: edges expire as they do under load.
                now = now.saturating_add(Duration::from_millis(60));
                generator.take(&tenant, black_box(requests.next().expect("a cycle")), true, now);
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
