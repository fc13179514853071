//! `check`: reads everything and says what is wrong.

use lake::check::{CheckOptions, CheckReport, Progress, Severity, check};
use serde_json::json;

use crate::cli::{CheckArgs, ReportFormat};
use crate::failure::{Exit, Failure, chain};
use crate::{environment, opened};

/// Checks the newest snapshot. Reads only; a node may run meanwhile.
///
/// # Errors
/// [`Exit::Damaged`] when a row is lost or wrong; otherwise the lake cannot be opened.
pub(crate) fn run(args: CheckArgs) -> Result<(), Failure> {
    let config = opened::configure(&args.config)?;
    config.validate().map_err(Failure::usage)?;
    super::block_on(async {
        opened::must_exist(&config)?;
        let opened = opened::open(&config, environment::system()).await?;
        let bar = super::progress();
        let seen = |at: Progress| {
            bar.set_length(at.files_total);
            bar.set_position(at.files);
        };
        let options = CheckOptions { deep: args.deep, parallel: 0 };
        let report = check(&opened.lake, options, seen).await.map_err(|e| Failure::failed(chain(&e)))?;
        bar.finish_and_clear();
        print(&report, args.format);
        if report.is_healthy() {
            return Ok(());
        }
        let errors = report.findings.iter().filter(|f| f.severity == Severity::Error).count();
        Err(Failure { exit: Exit::Damaged, message: format!("{errors} objects are damaged or missing") })
    })
}

fn print(report: &CheckReport, format: ReportFormat) {
    match format {
        ReportFormat::Json => {
            let findings: Vec<_> = report
                .findings
                .iter()
                .map(|f| json!({ "error": f.severity == Severity::Error, "path": f.path.to_string(), "what": f.what }))
                .collect();
            let whole = json!({
                "healthy": report.is_healthy(), "snapshot": report.snapshot, "log_entries": report.log_entries, "files": report.files,
                "rows": report.rows, "bytes": report.bytes, "orphans": report.orphans, "orphan_bytes": report.orphan_bytes,
                "findings": findings,
            });
            println!("{whole}");
        }
        ReportFormat::Text => {
            for finding in &report.findings {
                println!("{finding}");
            }
            println!(
                "snapshot {}: {} files, {} rows, {}; {} log entries; {} orphans ({})",
                report.snapshot,
                report.files,
                report.rows,
                super::human_bytes(report.bytes),
                report.log_entries,
                report.orphans,
                super::human_bytes(report.orphan_bytes)
            );
        }
    }
}
