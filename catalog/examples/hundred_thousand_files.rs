//! What the manifest costs with many live files: `cargo run --release -p telelake-catalog --example hundred_thousand_files`.
//!
//! 100,000 files of 4 tables and 90 days in a temporary folder: time to open from the checkpoint, to prune, to commit one file
//! (against the same with 100 files) and to write the next checkpoint. Medians, in milliseconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::env::fixed::SeededEntropy;
use catalog::manifest::IndexSection;
use catalog::{
    Catalog, CatalogConfig, Clock, Env, FileEntry, Level, Operation, Partition, Snapshot, Table, TenantId, TimeRange, Timestamp,
};
use object_store::local::LocalFileSystem;

/// Any error will do.
type AnyResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const DAYS: u64 = 90;
const TABLES: [Table; 4] = [Table::Samples, Table::Logs, Table::Spans, Table::Histograms];
const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// The clock of this machine: an example may look at it, the library may not.
#[derive(Debug)]
struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_nanos(0).saturating_add(elapsed)
    }
}

fn file(env: &Env, n: u64) -> FileEntry {
    let table = TABLES[(n % 4) as usize];
    let start = START.saturating_add(Duration::from_secs(n / 4 % DAYS * 86_400 + n / 360 % 24 * 3_600));
    FileEntry {
        id: env.new_uuid(),
        tenant: TenantId::anonymous(),
        table,
        partition: Partition::of(table, start),
        level: Level::L0,
        bytes: 1 << 20,
        rows: 100_000,
        time: TimeRange::new(start, start.saturating_add(Duration::from_secs(3_599))),
        key_range: Some((format!("http_requests_{n}"), format!("process_cpu_{n}"))),
        id_range: Some((n as i64, i64::MAX - n as i64)),
        index: Some(IndexSection { offset: 1_000_000 + n, length: 40_000 }),
        footer_bytes: 8_000,
        crc32: n as u32,
        raw_bytes: 9 << 20,
        schema_version: 1,
    }
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

async fn filled(env: &Env, folder: &std::path::Path, files: u64) -> AnyResult<Arc<Catalog>> {
    let store = Arc::new(LocalFileSystem::new_with_prefix(folder)?);
    let catalog = Catalog::open(store, env.clone(), CatalogConfig::default()).await?;
    let mut n = 0;
    while n < files {
        let upto = (n + 1_000).min(files);
        let adds = (n..upto).map(|n| Operation::AddFile { file: Box::new(file(env, n)) }).collect();
        catalog.commit(adds).await?;
        n = upto;
    }
    catalog.checkpoint().await?;
    Ok(catalog)
}

async fn commit_ms(env: &Env, catalog: &Arc<Catalog>) -> AnyResult<f64> {
    let mut times = Vec::new();
    for n in 0..200 {
        let add = Operation::AddFile { file: Box::new(file(env, n)) };
        let begin = Instant::now();
        catalog.commit(vec![add]).await?;
        times.push(begin.elapsed());
    }
    Ok(median_ms(times))
}

fn prune(snapshot: &Snapshot, range: TimeRange) -> usize {
    TABLES.iter().map(|table| snapshot.files(&TenantId::anonymous(), *table, range).len()).sum()
}

#[tokio::main]
async fn main() -> AnyResult<()> {
    let env = Env { clock: Arc::new(Wall), entropy: SeededEntropy::new(1) };
    let (small_folder, large_folder) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let small = filled(&env, small_folder.path(), 100).await?;
    let large = filled(&env, large_folder.path(), 100_000).await?;

    let mut opens = Vec::new();
    for _ in 0..7 {
        let begin = Instant::now();
        let store = Arc::new(LocalFileSystem::new_with_prefix(large_folder.path())?);
        let opened = Catalog::open(store, env.clone(), CatalogConfig::default()).await?;
        opens.push(begin.elapsed());
        assert_eq!(opened.snapshot().file_count(), 100_000);
    }
    println!("open 100,000 files            {:9.3} ms", median_ms(opens));

    let snapshot = large.snapshot();
    for (name, hours) in [("1 hour", 1_u64), ("1 day", 24), ("90 days", 24 * DAYS)] {
        let start = START.saturating_add(Duration::from_secs(if hours > 24 { 0 } else { 45 * 86_400 }));
        let range = TimeRange::new(start, start.saturating_add(Duration::from_secs(hours * 3_600 - 1)));
        let mut found = 0;
        let times = (0..21)
            .map(|_| {
                let begin = Instant::now();
                found = prune(&snapshot, range);
                begin.elapsed()
            })
            .collect();
        println!("prune {name:7} -> {found:6} files {:9.3} ms", median_ms(times));
    }
    for round in 1..=3 {
        println!("commit 1 file, 100 files      {:9.3} ms (round {round})", commit_ms(&env, &small).await?);
        println!("commit 1 file, 100,000 files  {:9.3} ms (round {round})", commit_ms(&env, &large).await?);
    }
    let begin = Instant::now();
    large.checkpoint().await?;
    println!("next checkpoint               {:9.3} ms", begin.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
