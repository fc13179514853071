//! `node`: starts a server on an empty folder, replays a corpus of OTLP into it, lets it settle, and says what that cost it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::corpus::Corpus;
use crate::replay::{self, Replayed};
use crate::server::{self, Server, Usage};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
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

/// One run, as printed.
#[derive(Debug, Serialize)]
struct Report {
    corpus: String,
    #[serde(flatten)]
    replayed: Replayed,
    cpu_seconds_per_million_acknowledged: f64,
    cpu_seconds_per_million_settled: f64,
    peak_rss_mib: f64,
    bytes_on_disk: u64,
    bytes_per_item: f64,
    bytes_per_item_compacted: f64,
    ready_seconds: f64,
}

/// One run; prints its report as one line of JSON.
pub(crate) async fn run(args: NodeArgs) -> Result<()> {
    let corpus = Corpus::open(&args.corpus)?;
    let server = Server::start(&args.server, &args.data, args.pin, &args.serve_args)?;
    let before = server.usage()?;
    let replayed = replay::replay(corpus, server.otlp_http, args.connections).await?;
    let acknowledged = server.usage()?;

    replay::post(server.gateway, "/api/v1/admin/flush").await.context("flush")?;
    let settled = server.usage()?;
    let flushed_bytes = server::folder_bytes(&server.lake_folder())?;
    replay::post(server.gateway, "/api/v1/admin/compact").await.context("compact")?;
    let compacted_bytes = replay::live_bytes(server.gateway).await.context("asking for the size of live files")?;

    let items = replayed.items as f64;
    let per_million = |after: &Usage| (after.cpu_seconds - before.cpu_seconds) / items * 1e6;
    let report = Report {
        corpus: args.corpus.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        replayed,
        cpu_seconds_per_million_acknowledged: per_million(&acknowledged),
        cpu_seconds_per_million_settled: per_million(&settled),
        peak_rss_mib: server.usage()?.peak_rss_bytes as f64 / f64::from(1 << 20),
        bytes_on_disk: flushed_bytes,
        bytes_per_item: flushed_bytes as f64 / items,
        bytes_per_item_compacted: compacted_bytes as f64 / items,
        ready_seconds: server.ready_seconds,
    };
    crate::print(&report)?;
    server.stop()
}
