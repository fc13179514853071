//! The macro benchmark: replays a recorded corpus of requests into a server and says what that cost the server.
//!
//! ```text
//! telelake generate --record corpus.tlr ...        once, seeded
//! telelake-bench --corpus corpus.tlr --server ./telelake --data DIR [--pin 0]
//! ```
//!
//! The figure that counts is CPU-seconds per million items: it survives noisy neighbours. Items are data points, log records or
//! spans as the corpus declares them. `acknowledged` is what the server had used when the last request was answered, `settled`
//! after it was asked to flush and had become idle. A refused request fails the run: speed on wrong answers is not speed.

mod corpus;
mod replay;
mod server;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde::Serialize;

use crate::corpus::Corpus;
use crate::server::{Server, Usage};

/// Replays recorded OTLP requests and reports rates, CPU-seconds per million items, peak memory and bytes on disk.
#[derive(Debug, Parser)]
#[command(name = "telelake-bench", version)]
struct Options {
    /// Recorded requests (`telelake generate --record FILE`).
    #[arg(long)]
    corpus: PathBuf,
    /// The telelake binary to start and measure.
    #[arg(long)]
    server: PathBuf,
    /// Empty folder for the server's data; its size is reported.
    #[arg(long)]
    data: PathBuf,
    /// Pin the server to this core (Linux `taskset`); the replay runs on the others.
    #[arg(long)]
    pin: Option<usize>,
    /// Concurrent connections, each with one request in flight.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// More arguments for `telelake serve`.
    #[arg(last = true)]
    serve_args: Vec<String>,
}

/// One run, as printed (JSON, one line).
#[derive(Debug, Serialize)]
struct Report {
    corpus: String,
    items: u64,
    requests: usize,
    request_bytes: u64,
    seconds: f64,
    items_per_second: f64,
    cpu_seconds_per_million_acknowledged: f64,
    cpu_seconds_per_million_settled: f64,
    peak_rss_mib: f64,
    bytes_on_disk: u64,
    bytes_per_item: f64,
    bytes_per_item_compacted: f64,
    ready_seconds: f64,
    ack_ms_p50: f64,
    ack_ms_p99: f64,
    ack_ms_max: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let corpus = Corpus::read(&options.corpus)?;
    ensure!(corpus.items > 0, "{} holds no items", options.corpus.display());
    let server = Server::start(&options.server, &options.data, options.pin, &options.serve_args)?;
    let before = server.usage()?;

    let started = Instant::now();
    let mut ack_ms = replay::replay(&corpus, server.otlp_http, options.connections).await?;
    let seconds = started.elapsed().as_secs_f64();
    let acknowledged = server.usage()?;

    replay::post(server.gateway, "/api/v1/admin/flush").await.context("flush")?;
    let settled = server.usage()?;
    let flushed_bytes = server::folder_bytes(&server.lake_folder())?;
    replay::post(server.gateway, "/api/v1/admin/compact").await.context("compact")?;
    let compacted_bytes = replay::live_bytes(server.gateway).await.context("asking for the size of live files")?;

    ack_ms.sort_by(f64::total_cmp);
    let quantile = |q: f64| ack_ms[((ack_ms.len() - 1) as f64 * q) as usize];
    let millions = corpus.items as f64 / 1e6;
    let per_million = |after: &Usage| (after.cpu_seconds - before.cpu_seconds) / millions;
    let report = Report {
        corpus: options.corpus.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        items: corpus.items,
        requests: corpus.requests.len(),
        request_bytes: corpus.requests.iter().map(|r| r.body.len() as u64).sum(),
        seconds,
        items_per_second: corpus.items as f64 / seconds,
        cpu_seconds_per_million_acknowledged: per_million(&acknowledged),
        cpu_seconds_per_million_settled: per_million(&settled),
        peak_rss_mib: server.usage()?.peak_rss_bytes as f64 / f64::from(1 << 20),
        bytes_on_disk: flushed_bytes,
        bytes_per_item: flushed_bytes as f64 / corpus.items as f64,
        bytes_per_item_compacted: compacted_bytes as f64 / corpus.items as f64,
        ready_seconds: server.ready_seconds,
        ack_ms_p50: quantile(0.5),
        ack_ms_p99: quantile(0.99),
        ack_ms_max: quantile(1.0),
    };
    #[expect(clippy::print_stdout, reason = "the report is this program's output")]
    {
        println!("{}", serde_json::to_string(&report)?);
    }
    server.stop()
}
