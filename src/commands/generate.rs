//! `generate`: realistic telemetry into any OTLP endpoint, and what exactly was sent.

use std::time::Duration;

use catalog::Timestamp;

use crate::cli::{GenerateArgs, ReportFormat};
use crate::environment;
use crate::failure::Failure;
use crate::generate::run::{Plan, Report, item_offset_ns, run as generate};
use crate::generate::{Protocol, Target};

/// Sends until the count or the duration is reached, then prints the counts.
///
/// # Errors
/// The endpoint refuses, or does not answer for as long as `--retry-max`.
pub(crate) fn run(args: GenerateArgs) -> Result<(), Failure> {
    let format = args.format;
    let plan = plan(args);
    super::block_on(async {
        let progress = super::progress();
        let report = tokio::select! {
            report = generate(plan, &progress) => report.map_err(Failure::failed)?,
            _ = tokio::signal::ctrl_c() => return Err(Failure::failed("interrupted")),
        };
        progress.finish_and_clear();
        print(&report, format);
        Ok(())
    })
}

fn plan(args: GenerateArgs) -> Plan {
    let endpoint = args.endpoint.unwrap_or_else(|| match args.protocol {
        Protocol::Grpc => "http://127.0.0.1:4317".to_owned(),
        Protocol::Http => "http://127.0.0.1:4318".to_owned(),
    });
    let start = match (args.start, args.count, args.rate) {
        (Some(start), ..) => {
            let since = start.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
        }
        (None, Some(count), 0) => environment::system().now().saturating_sub(Duration::from_nanos(item_offset_ns(count, 0))),
        _ => environment::system().now(),
    };
    let mut signals: Vec<_> = args.signals.into_iter().map(Into::into).collect();
    signals.sort();
    signals.dedup();
    Plan {
        target: Target {
            endpoint,
            protocol: args.protocol,
            gzip: args.gzip,
            tenant: args.tenant,
            token: args.token,
            retry_max: args.retry_max,
            record: args.record,
        },
        signals,
        rate: args.rate,
        count: args.count,
        duration: args.duration,
        seed: args.seed,
        batch_items: args.batch as usize,
        instances: args.instances as usize,
        connections: args.connections as usize,
        start,
    }
}

fn print(report: &Report, format: ReportFormat) {
    let sent = &report.sent;
    match format {
        ReportFormat::Json => println!("{}", serde_json::to_string(report).expect("a report is plain data")),
        ReportFormat::Text => {
            for (what, count) in [
                ("requests", sent.requests),
                ("gauge points", sent.gauge_points),
                ("sum points", sent.sum_points),
                ("histogram points", sent.histogram_points),
                ("exponential histogram points", sent.exponential_histogram_points),
                ("exemplars", sent.exemplars),
                ("log records", sent.log_records),
                ("spans", sent.spans),
                ("span events", sent.span_events),
                ("traces", sent.traces),
                ("rejected items", report.rejected),
                ("retries", report.retries),
            ] {
                println!("{what:<30} {count:>12}");
            }
            println!("{:<30} {:>12.0}", "items per second", sent.items() as f64 / report.elapsed_s.max(1e-9));
        }
    }
}
