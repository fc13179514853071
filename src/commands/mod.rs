//! One file per subcommand.

pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod generate;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod serve;
pub(crate) mod sql;
pub(crate) mod token;

use std::future::Future;
use std::io::IsTerminal;

use clap::CommandFactory;
use indicatif::ProgressBar;

use crate::cli::Cli;
use crate::failure::Failure;

/// `version`.
pub(crate) fn version() -> Result<(), Failure> {
    println!("telelake {}", env!("CARGO_PKG_VERSION"));
    Ok(())
}

/// `completions`.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    clap_complete::generate(shell, &mut Cli::command(), "telelake", &mut std::io::stdout());
    Ok(())
}

/// Runs a command that is over soon on a runtime of its own.
fn block_on<F: Future<Output = Result<(), Failure>>>(work: F) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}

/// A bar on standard error when somebody looks at it; silent otherwise.
fn progress() -> ProgressBar {
    if std::io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() }
}

/// `1.4 MiB`.
fn human_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
