//! What the log costs: bytes per sample, records and syncs per second, replay speed.
//!
//! `cargo run --release -p telelake-benches --example wal_rate -- FOLDER`. Rows have the shape of one scrape of 10,000 series in batches of
//! 500 series, or of 20 samples of each of 500 series; the destination keeps nothing, so that only the log is measured.

#[path = "../benches/inputs/mod.rs"]
mod inputs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::Int32Type;
use catalog::{Clock, Entropy, Env, Table, TenantId, Timestamp, schema};
use ingest::{Append, IngestConfig, Ingester, RowSink};

use crate::inputs::mix;
use crate::inputs::nowhere::Nowhere;

const SERIES: i64 = 10_000;
const SERIES_PER_BATCH: i64 = 500;

#[derive(Debug)]
struct SystemEnv;

impl Clock for SystemEnv {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_nanos(since.as_nanos() as i64)
    }
}

impl Entropy for SystemEnv {
    fn next_u64(&self) -> u64 {
        mix(Clock::now(self).as_nanos() as u64)
    }
}

/// Samples of series `first..first + SERIES_PER_BATCH` at `times` consecutive scrapes.
fn samples(first: i64, scrape: i64, times: i64) -> RecordBatch {
    let mut keys = Vec::new();
    let mut sids = Vec::new();
    let mut stamps = Vec::new();
    let mut values = Vec::new();
    for series in first..first + SERIES_PER_BATCH {
        for at in scrape..scrape + times {
            let noise = mix((series * 1_000_003 + at) as u64);
            keys.push(((series - first) / 50) as i32);
            sids.push(mix(series as u64) as i64);
            stamps.push(1_790_000_000_000 + at * 15_000 + (noise % 5) as i64);
            values.push(match series % 3 {
                0 => (series * 1000 + at * 17 + (noise % 20) as i64) as f64,
                1 => (noise % 10_000) as f64 / 100.0,
                _ => 1.0,
            });
        }
    }
    let names = StringArray::from_iter_values((0..10).map(|n| format!("http_server_request_duration_{}_total", first + n)));
    let metric = DictionaryArray::<Int32Type>::new(keys.into(), Arc::new(names));
    let rows = sids.len();
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(metric),
        Arc::new(Int64Array::from(sids)),
        Arc::new(TimestampMillisecondArray::from(stamps).with_timezone("UTC")),
        Arc::new(Float64Array::from(values)),
        Arc::new(TimestampMillisecondArray::new_null(rows).with_timezone("UTC")),
    ];
    RecordBatch::try_new(schema::rows(Table::Samples), columns).expect("samples have this schema")
}

fn log_bytes(dir: &PathBuf) -> u64 {
    let written = |path: PathBuf| {
        let bytes = std::fs::read(path).expect("a readable segment");
        bytes.len() - bytes.iter().rev().take_while(|&&b| b == 0).count()
    };
    let entries = std::fs::read_dir(dir).expect("the log's folder").flatten();
    let segments = entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "seg"));
    segments.map(|path| written(path) as u64).sum()
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields.get(11..13).map_or(0.0, |times| times.iter().filter_map(|t| t.parse::<f64>().ok()).sum());
    ticks / 100.0
}

async fn measure(root: &std::path::Path, name: &str, times: i64, senders: i64, scrapes: i64) {
    let dir = root.join(name);
    let _ = std::fs::remove_dir_all(&dir);
    let mut config = IngestConfig::default();
    config.wal.dir = Some(dir.clone());
    config.flush.age_max = Duration::from_secs(3600);
    config.flush.bytes_max = 16 << 30;
    config.flush.buffered_bytes_max = 32 << 30;
    let env = Env { clock: Arc::new(SystemEnv), entropy: Arc::new(SystemEnv) };
    let nowhere: Arc<Nowhere> = Arc::default();
    let ingester = Ingester::open(config.clone(), nowhere.clone(), env.clone()).await.expect("an empty folder");
    let batches: Arc<Vec<RecordBatch>> = Arc::new(
        (0..scrapes)
            .flat_map(|scrape| (0..SERIES).step_by(SERIES_PER_BATCH as usize).map(move |s| samples(s, scrape * times, times)))
            .collect(),
    );
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let tasks: Vec<_> = (0..senders as usize)
        .map(|sender| {
            let (ingester, batches) = (Arc::clone(&ingester), Arc::clone(&batches));
            tokio::spawn(async move {
                for (at, batch) in batches.iter().enumerate().skip(sender).step_by(senders as usize) {
                    let rows = vec![(Table::Samples, batch.clone())];
                    let append = Append { tenant: TenantId::anonymous(), fingerprint: Some(at as u128), rows };
                    ingester.append(append).await.expect("room for it");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    drop(ingester);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let bytes = log_bytes(&dir);
    let start = Instant::now();
    let again = Ingester::open(config, nowhere, env).await.expect("the same folder");
    let replay = start.elapsed().as_secs_f64();
    println!(
        "{name}: {count} samples in {} requests by {senders} senders: {elapsed:.2} s, {:.2} M samples/s, {:.0} requests/s, {:.3} CPU-s per million; \
         {:.2} B/sample; replay {replay:.2} s, {:.0} MB/s of log, {:.1} M samples/s",
        batches.len(),
        count as f64 / elapsed / 1e6,
        batches.len() as f64 / elapsed,
        cpu / count as f64 * 1e6,
        bytes as f64 / count as f64,
        bytes as f64 / replay / 1e6,
        count as f64 / replay / 1e6,
    );
    drop(again);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _ = std::fs::remove_dir_all(&dir);
}

#[tokio::main]
async fn main() {
    let root = PathBuf::from(std::env::args().nth(1).expect("a folder as the argument"));
    measure(&root, "scrape-1", 1, 1, 50).await;
    measure(&root, "scrape-16", 1, 16, 200).await;
    measure(&root, "dense-16", 20, 16, 50).await;
}
