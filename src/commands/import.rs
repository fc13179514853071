//! `import`: OpenMetrics text and blocks of a Prometheus TSDB, into a server or a folder.

use std::collections::BTreeSet;

use catalog::TenantId;
use indicatif::{ProgressBar, ProgressStyle};
use ingest::convert::prometheus::Written as Counts;
use tokio::sync::mpsc;

use crate::cli::{ImportArgs, ReportFormat};
use crate::failure::Failure;
use crate::import::{Piece, Source, Target, Written, read};
use crate::opened;

/// Where a node listens that was started without any flag.
const LOCAL_SERVER: &str = "http://127.0.0.1:7070";
/// Requests that wait for the target.
const WAITING_MAX: usize = 4;
/// Different reasons that are shown.
const REASONS_MAX: usize = 10;

/// What was imported.
#[derive(Debug, Default, serde::Serialize)]
struct Report {
    requests: u64,
    samples: u64,
    histograms: u64,
    exemplars: u64,
    /// Samples and histograms that were refused.
    refused: u64,
    /// Exemplars that were left out.
    exemplars_left_out: u64,
    /// Why.
    reasons: BTreeSet<String>,
    elapsed_s: f64,
}

impl Report {
    fn add(&mut self, sent: Counts, written: Written) {
        self.requests += 1;
        self.samples += written.samples;
        self.histograms += written.histograms;
        self.exemplars += written.exemplars;
        self.refused += (sent.samples + sent.histograms).saturating_sub(written.samples + written.histograms);
        self.exemplars_left_out += sent.exemplars.saturating_sub(written.exemplars);
        if self.reasons.len() < REASONS_MAX {
            self.reasons.extend(written.reason);
        }
    }
}

/// Reads every source and hands it over; prints the counts, also when it ends early.
///
/// # Errors
/// A source cannot be read, the target does not take it, or samples were refused.
pub(crate) fn run(args: ImportArgs) -> Result<(), Failure> {
    let format = args.format;
    super::block_on(async move {
        let mut sources = Vec::new();
        for path in &args.sources {
            sources.extend(Source::at(path)?);
        }
        let target = target(&args).await?;
        let progress = bar(&sources);
        let started = tokio::time::Instant::now();
        let mut report = Report::default();
        let imported = tokio::select! {
            imported = import(sources, &target, &progress, &mut report) => imported,
            _ = tokio::signal::ctrl_c() => Err(Failure::failed("interrupted")),
        };
        // What was taken before an error stays, and is to be found in files.
        let finished = target.finish().await;
        progress.finish_and_clear();
        report.elapsed_s = started.elapsed().as_secs_f64();
        print(&report, format);
        imported.and(finished)?;
        match report.refused {
            0 => Ok(()),
            refused => Err(Failure::failed(format!("{refused} samples were refused; the rest is stored"))),
        }
    })
}

async fn target(args: &ImportArgs) -> Result<Target, Failure> {
    let in_folder = args.config.data.is_some() || args.config.store.is_some() || args.config.config.is_some();
    if !in_folder || args.server.is_some() {
        let server = args.server.as_deref().unwrap_or(LOCAL_SERVER);
        return Target::server(server, args.tenant.as_deref(), args.token.as_deref(), args.retry_max);
    }
    let config = opened::configure(&args.config)?;
    config.validate().map_err(Failure::usage)?;
    let tenant = match &args.tenant {
        Some(id) => TenantId::parse(id).map_err(|e| Failure::usage(format!("--tenant: {e}")))?,
        None => TenantId::anonymous(),
    };
    Target::folder(&config, tenant).await
}

async fn import(sources: Vec<Source>, target: &Target, progress: &ProgressBar, report: &mut Report) -> Result<(), Failure> {
    let (to, mut pieces) = mpsc::channel(WAITING_MAX);
    let reading = tokio::task::spawn_blocking(move || read(&sources, &to));
    while let Some(Piece { request, bytes }) = pieces.recv().await {
        let sent = request.counts;
        report.add(sent, target.write(request).await?);
        progress.set_position(bytes);
        progress.set_message(format!("{} samples", report.samples + report.histograms));
    }
    reading.await.map_err(Failure::failed)?
}

fn bar(sources: &[Source]) -> ProgressBar {
    let progress = super::progress();
    progress.set_length(sources.iter().map(Source::bytes).sum());
    progress.set_style(ProgressStyle::with_template("{wide_bar} {percent}%  {msg}  {eta}").expect("a valid template"));
    progress
}

fn print(report: &Report, format: ReportFormat) {
    match format {
        ReportFormat::Json => println!("{}", serde_json::to_string(report).expect("a report is plain data")),
        ReportFormat::Text => {
            for (what, count) in [
                ("requests", report.requests),
                ("samples", report.samples),
                ("histograms", report.histograms),
                ("exemplars", report.exemplars),
                ("refused samples", report.refused),
                ("exemplars left out", report.exemplars_left_out),
            ] {
                println!("{what:<20} {count:>14}");
            }
            let samples = (report.samples + report.histograms) as f64;
            println!("{:<20} {:>14.0}", "samples per second", samples / report.elapsed_s.max(1e-9));
            report.reasons.iter().for_each(|reason| println!("{reason}"));
        }
    }
}
