//! Telelake's command line: one binary that is the node and every tool around it.
//!
//! ```text
//! main ─► cli ─► config ─► commands/serve ─► node: store ► catalog ► lake ► ingest, query ► listeners ► ready
//!                    └───► commands/{sql, check, inspect, compact, import}: the same store, without a node
//! ```
//! Here, and nowhere below, the environment, the wall clock and real randomness are read.

mod administration;
mod allocator;
mod background;
mod cli;
mod commands;
mod config;
mod crash;
mod dialect;
mod environment;
mod failure;
mod generate;
mod http_client;
mod import;
mod listen;
mod logging;
mod node;
mod opened;
mod passes;
mod query_log;
mod routes;
mod scheduling;
mod self_telemetry;
mod telemetry;
mod tenancy;
mod tls;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    allocator::configure();
    let done = match Cli::parse().command {
        Command::Serve(args) => commands::serve::run(*args),
        Command::Sql(args) => commands::sql::run(args),
        Command::Check(args) => commands::check::run(args),
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Compact(args) => commands::compact::run(args),
        Command::Generate(args) => commands::generate::run(args),
        Command::Import(args) => commands::import::run(args),
        Command::Token(args) => commands::token::run(&args),
        Command::Health(args) => commands::health::run(&args),
        Command::Version => commands::version(),
        Command::Completions { shell } => commands::completions(shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("telelake: {failure}");
            ExitCode::from(failure.exit as u8)
        }
    }
}
