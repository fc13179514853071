//! Reading one file of samples and one of log lines from a store in memory: all of it, and what pruning leaves of it.

mod inputs;

use std::sync::Arc;

use catalog::manifest::{Catalog, CatalogConfig};
use catalog::{FileEntry, Level, TenantId, schema};
use criterion::{Criterion, Throughput};
use futures::TryStreamExt;
use lake::{ColumnTest, Lake, LakeConfig, Predicate, Scalar, ScanSpec, Test};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::runtime::Runtime;

use crate::inputs::{Kind, NEEDLE};

/// 120,000 rows: four blocks of the index section.
const ROUNDS: u64 = 120;

async fn written(kind: Kind) -> lake::Result<(Arc<Lake>, Arc<FileEntry>)> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let catalog = Catalog::open(Arc::clone(&store), inputs::env(), CatalogConfig::default()).await?;
    let lake = Lake::open(store, catalog, inputs::env(), LakeConfig::default());
    let files = lake.write(&TenantId::anonymous(), kind.table(), Level::L2, inputs::facts(kind, ROUNDS)).await?;
    let file = files.into_iter().max_by_key(|file| file.rows).expect("a file");
    Ok((lake, Arc::new(file)))
}

async fn rows(lake: &Lake, file: &Arc<FileEntry>, predicate: Predicate) -> lake::Result<usize> {
    let columns = schema::rows(file.table).fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let spec = ScanSpec { predicate, ..ScanSpec::all(columns) };
    let batches = lake.scan(Arc::clone(file), spec)?;
    batches.try_fold(0, |sum, batch| async move { Ok(sum + batch.num_rows()) }).await
}

fn main() {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let one = |column: &str, test| Predicate { all: vec![ColumnTest { column: column.to_owned(), test }] };
    let metric = Scalar::Text("http_server_requests_3_total".to_owned());
    let cases = [
        (Kind::Metrics, "samples", one("metric", Test::In(vec![metric]))),
        (Kind::Logs, "logs", one("body", Test::Contains(NEEDLE.to_owned()))),
    ];
    for (kind, name, predicate) in cases {
        let (lake, file) = runtime.block_on(written(kind)).expect("a store in memory");
        let mut group = criterion.benchmark_group(format!("scan/{name}"));
        group.throughput(Throughput::Elements(file.rows));
        for (what, predicate) in [("all", Predicate::default()), ("pruned", predicate)] {
            let found = runtime.block_on(rows(&lake, &file, predicate.clone())).expect("a readable file");
            assert!(
                if what == "all" { found as u64 == file.rows } else { found > 0 && (found as u64) < file.rows / 2 },
                "{found}"
            );
            group.bench_function(what, |b| {
                b.iter(|| runtime.block_on(rows(&lake, &file, predicate.clone())).expect("a readable file"));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
