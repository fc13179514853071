//! The write-ahead log: a record's encoding alone, and an append up to its acknowledgement in a folder, sync included.
//!
//! The folder is the temporary one of the system: where that is memory, the sync costs nothing; set `TMPDIR` to a disk.

mod inputs;

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{Table, TenantId};
use criterion::{Criterion, Throughput};
use ingest::{Append, IngestConfig, Ingester, RowSink, wal};
use tokio::runtime::Runtime;

use crate::inputs::nowhere::Nowhere;
use crate::inputs::{ITEMS, Kind};

fn main() {
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = IngestConfig::default();
    config.wal.dir = Some(folder.path().to_owned());
    let opened = Ingester::open(config, Arc::<Nowhere>::default(), inputs::env());
    let ingester = runtime.block_on(opened).expect("an empty folder");

    let mut criterion = Criterion::default().sample_size(30).configure_from_args();
    for (kind, name) in Kind::ALL {
        let rows: Vec<(Table, RecordBatch)> = inputs::facts(kind, 1).into_iter().map(|batch| (kind.table(), batch)).collect();
        let mut group = criterion.benchmark_group(format!("log/{name}"));
        group.throughput(Throughput::Elements(ITEMS as u64));
        let tenant = TenantId::anonymous();
        group.bench_function("encode", |b| {
            b.iter(|| black_box(wal::encode_record(&tenant, None, inputs::NOW, &rows).expect("rows of the house")));
        });
        group.bench_function("append and sync", |b| {
            b.iter(|| {
                let append = Append { tenant: tenant.clone(), fingerprint: None, rows: rows.clone() };
                runtime.block_on(ingester.append(append)).expect("room for it")
            });
        });
        group.finish();
    }
    criterion.final_summary();
}
