//! `compact`: merges until nothing is left to merge, without a node.

use std::sync::Arc;

use lake::compact::{CompactBudget, CompactReport, Compactor};
use query::DeleteSelectors;

use crate::cli::{CompactArgs, ReportFormat};
use crate::environment;
use crate::failure::{Failure, chain};
use crate::opened::{self, FolderLock};

/// Merges what is due, or with `--all` everything, and prints what was done.
///
/// # Errors
/// The folder is in use, the lake cannot be opened, or a merge failed.
pub(crate) fn run(args: CompactArgs) -> Result<(), Failure> {
    let config = opened::configure(&args.config)?;
    config.validate().map_err(Failure::usage)?;
    super::block_on(async {
        opened::must_exist(&config)?;
        // A local lake belongs to one process. A bucket does not: a lost commit race is found out and counted.
        let _lock = opened::is_local(&config.store.url).then(|| FolderLock::take(&config.data)).transpose()?;
        let opened = opened::open(&config, environment::system()).await?;
        let compactor = Compactor::new(opened.lake, config.compact.clone(), Arc::new(DeleteSelectors));
        let progress = super::progress();
        progress.set_message("merging");
        progress.enable_steady_tick(std::time::Duration::from_millis(100));
        let report = if args.all { compactor.force().await.map_err(failed)? } else { all_due(&compactor, &progress).await? };
        progress.finish_and_clear();
        print(&report, args.format);
        match report.failures.first() {
            Some(first) => Err(Failure::failed(format!("{} merges failed, the first: {first}", report.failures.len()))),
            None => Ok(()),
        }
    })
}

async fn all_due(compactor: &Compactor, progress: &indicatif::ProgressBar) -> Result<CompactReport, Failure> {
    let mut total = CompactReport::default();
    loop {
        let pass = compactor.run_once(CompactBudget { jobs_max: 1, ..CompactBudget::UNLIMITED }).await.map_err(failed)?;
        let (jobs, remaining) = (pass.jobs, pass.remaining);
        total.add(pass);
        progress.set_length((total.jobs + remaining) as u64);
        progress.set_position(total.jobs as u64);
        if jobs == 0 || remaining == 0 {
            return Ok(total);
        }
    }
}

fn failed(error: lake::Error) -> Failure {
    Failure::failed(chain(&error))
}

fn print(report: &CompactReport, format: ReportFormat) {
    match format {
        ReportFormat::Json => println!("{}", crate::passes::describe_compaction(report)),
        ReportFormat::Text => println!(
            "{} merges: {} files ({}) became {} ({}); {} rows, {} duplicates and {} deleted rows left out",
            report.jobs,
            report.files_in,
            super::human_bytes(report.bytes_in),
            report.files_out,
            super::human_bytes(report.bytes_out),
            report.rows_in,
            report.duplicates,
            report.deleted
        ),
    }
}
