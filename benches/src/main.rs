//! The macro benchmark: replays recorded requests into servers and says what that cost.
//!
//! ```text
//! telelake generate --record shop.tlr ...                              OTLP, once, seeded
//! telelake-bench node --corpus shop.tlr --server ./telelake --data DIR [--pin 0]
//!
//! telelake-bench fleet --size s --record fleet.tlr                     remote write, once, seeded
//! telelake-bench replay --corpus fleet.tlr --to 127.0.0.1:9090         into any server; `benches/peers/run` does the rest
//! ```
//!
//! The figure that counts is CPU-seconds per million items: it survives noisy neighbours. Items are samples, data points, log records
//! or spans as the corpus declares them. `acknowledged` is what the server had used when the last request was answered, `settled`
//! after it was asked to flush and had become idle. A refused request fails the run: speed on wrong answers is not speed.

mod corpus;
mod fleet;
mod node;
mod replay;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use serde::Serialize;

use crate::corpus::Corpus;

/// Records and replays requests, and reports rates, CPU-seconds per million items, peak memory and bytes on disk.
#[derive(Debug, Parser)]
#[command(name = "telelake-bench", version)]
enum Command {
    /// Start a telelake on an empty folder, replay OTLP into it, report what it used.
    Node(node::NodeArgs),
    /// Replay a corpus into a server that runs already; report rates and answer times.
    Replay(ReplayArgs),
    /// Record a fleet's metrics as remote-write requests; report what was recorded.
    Fleet(fleet::FleetArgs),
}

#[derive(Debug, clap::Args)]
struct ReplayArgs {
    /// Recorded requests.
    #[arg(long)]
    corpus: PathBuf,
    /// Where the server takes them.
    #[arg(long, value_name = "HOST:PORT")]
    to: SocketAddr,
    /// Concurrent connections, each with one request in flight.
    #[arg(long, default_value_t = 4)]
    connections: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Node(args) => node::run(args).await,
        Command::Replay(args) => print(&replay::replay(Corpus::open(&args.corpus)?, args.to, args.connections).await?),
        Command::Fleet(args) => print(&fleet::record(&args)?),
    }
}

/// One line of JSON.
#[expect(clippy::print_stdout, reason = "the report is this program's output")]
fn print(report: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}
