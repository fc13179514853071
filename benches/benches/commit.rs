//! One commit to the manifest of a lake with few and with many files: what a flush pays besides its files.

mod inputs;

use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, CatalogConfig, Env, FileEntry, Level, Operation, Partition, Table, TenantId, TimeRange};
use criterion::{BatchSize, BenchmarkId, Criterion};
use object_store::memory::InMemory;
use tokio::runtime::Runtime;

const DAYS: u64 = 30;
const DAY: Duration = Duration::from_secs(86_400);

fn file(env: &Env, n: u64) -> FileEntry {
    let start = inputs::NOW.saturating_sub(DAY * (n % DAYS) as u32);
    FileEntry {
        id: env.new_uuid(),
        tenant: TenantId::anonymous(),
        table: Table::Samples,
        partition: Partition::of(Table::Samples, start),
        level: Level::L0,
        bytes: 1 << 20,
        rows: 100_000,
        time: TimeRange::new(start, start),
        key_range: Some((format!("http_requests_{n}"), format!("process_cpu_{n}"))),
        id_range: Some((n as i64, i64::MAX - n as i64)),
        index: None,
        footer_bytes: 8_000,
        crc32: n as u32,
        raw_bytes: 9 << 20,
        schema_version: 1,
    }
}

fn add(env: &Env, n: u64) -> Operation {
    Operation::AddFile { file: Box::new(file(env, n)) }
}

/// A store whose newest checkpoint names so many files.
async fn store_of(env: &Env, files: u64) -> catalog::Result<InMemory> {
    let store = InMemory::new();
    let shared = Arc::new(store.fork());
    let catalog = Catalog::open(shared.clone(), env.clone(), CatalogConfig::default()).await?;
    for first in (0..files).step_by(1_000) {
        catalog.commit((first..files.min(first + 1_000)).map(|n| add(env, n)).collect()).await?;
    }
    catalog.checkpoint().await?;
    Ok(shared.fork())
}

fn main() {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut group = criterion.benchmark_group("commit of one file");
    let env = inputs::env();
    for files in [100_u64, 10_000] {
        let store = runtime.block_on(store_of(&env, files)).expect("a store in memory");
        group.bench_with_input(BenchmarkId::from_parameter(files), &files, |b, files| {
            // Each commit meets the same manifest, just loaded.
            let setup = || {
                let opened = Catalog::open(Arc::new(store.fork()), env.clone(), CatalogConfig::default());
                (runtime.block_on(opened).expect("a store in memory"), add(&env, *files))
            };
            let commit = |(catalog, operation): (Arc<Catalog>, Operation)| {
                runtime.block_on(catalog.commit(vec![operation])).expect("nobody else writes");
                catalog
            };
            b.iter_batched(setup, commit, BatchSize::PerIteration);
        });
    }
    group.finish();
    criterion.final_summary();
}
