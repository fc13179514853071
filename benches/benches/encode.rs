//! Rows to a file of level 0: sort, encode, index section, upload to a store in memory.

mod inputs;

use std::sync::Arc;

use catalog::manifest::{Catalog, CatalogConfig};
use catalog::{Level, TenantId};
use criterion::{BatchSize, Criterion, Throughput};
use lake::{Lake, LakeConfig};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::runtime::Runtime;

use crate::inputs::{ITEMS, Kind};

const ROUNDS: u64 = 20;

async fn lake() -> Arc<Lake> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let catalog = Catalog::open(Arc::clone(&store), inputs::env(), CatalogConfig::default()).await.expect("an empty store");
    Lake::open(store, catalog, inputs::env(), LakeConfig::default())
}

fn main() {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    for (kind, name) in Kind::ALL {
        let (tenant, rows) = (TenantId::anonymous(), inputs::facts(kind, ROUNDS));
        let mut group = criterion.benchmark_group("encode");
        group.throughput(Throughput::Elements(ROUNDS * ITEMS as u64));
        group.bench_function(name, |b| {
            // A store of its own for each: or else memory would grow with the iterations.
            let setup = || (runtime.block_on(lake()), rows.clone());
            let write = |(lake, rows): (Arc<Lake>, _)| {
                let write = lake.write(&tenant, kind.table(), Level::L0, rows);
                let files = runtime.block_on(write).expect("a store in memory");
                (lake, files)
            };
            b.iter_batched(setup, write, BatchSize::PerIteration);
        });
        group.finish();
    }
    criterion.final_summary();
}
