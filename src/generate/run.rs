//! Runs the sources at their rate and adds up what was taken.

use std::sync::Arc;
use std::time::Duration;

use catalog::{Signal, Timestamp};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::logs::LogsSource;
use super::metrics::MetricsSource;
use super::send::{Sender, Target};
use super::traces::TracesSource;
use super::{Batch, Counts, Source};

/// What to generate.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) signals: Vec<Signal>,
    /// Items per second and signal; 0: as fast as the endpoint takes them.
    pub(crate) rate: u64,
    /// Items per signal; at least that many are sent.
    pub(crate) count: Option<u64>,
    pub(crate) duration: Option<Duration>,
    pub(crate) seed: u64,
    pub(crate) batch_items: usize,
    pub(crate) instances: usize,
    /// Requests in flight per signal.
    pub(crate) connections: usize,
    /// The time of the first item. Item `i` lies `i / rate` s later; without a rate `i * 10 us`, and with neither rate nor count as
    /// much later as it really is.
    pub(crate) start: Timestamp,
}

/// What was sent and taken.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    /// Taken by the endpoint, item by item.
    #[serde(flatten)]
    pub(crate) sent: Counts,
    /// Of those, refused in a partial success.
    pub(crate) rejected: u64,
    /// Requests that were sent again.
    pub(crate) retries: u64,
    pub(crate) elapsed_s: f64,
}

/// Generates and sends until every signal has its count, or the duration is over.
///
/// # Errors
/// The first batch that was refused for good, or that nobody took for `retry_max`. What was taken before it is not lost, but not reported.
pub(crate) async fn run(plan: Plan, progress: &ProgressBar) -> Result<Report, String> {
    let started = tokio::time::Instant::now();
    let sender = Sender::new(plan.target.clone())?;
    let report = Arc::new(Mutex::new(Report { seed: plan.seed, ..Report::default() }));
    if let Some(count) = plan.count {
        progress.set_length(count * plan.signals.len() as u64);
        progress.set_style(
            ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} items  {per_sec}  {eta}").expect("a valid template"),
        );
    } else {
        progress.set_style(
            ProgressStyle::with_template("{spinner} {human_pos} items  {per_sec}  {elapsed}").expect("a valid template"),
        );
    }
    let mut signals = tokio::task::JoinSet::new();
    for signal in plan.signals.clone() {
        signals.spawn(run_signal(signal, plan.clone(), sender.clone(), Arc::clone(&report), progress.clone()));
    }
    while let Some(done) = signals.join_next().await {
        done.map_err(|e| e.to_string())??;
    }
    let mut report = report.lock().clone();
    report.elapsed_s = started.elapsed().as_secs_f64();
    Ok(report)
}

async fn run_signal(
    signal: Signal,
    plan: Plan,
    sender: Sender,
    report: Arc<Mutex<Report>>,
    progress: ProgressBar,
) -> Result<(), String> {
    let (to_senders, batches) = mpsc::channel::<Batch>(plan.connections);
    let batches = Arc::new(tokio::sync::Mutex::new(batches));
    let mut workers: tokio::task::JoinSet<Result<(), String>> = tokio::task::JoinSet::new();
    for _ in 0..plan.connections.max(1) {
        let (batches, sender, report, progress) = (Arc::clone(&batches), sender.clone(), Arc::clone(&report), progress.clone());
        workers.spawn(async move {
            loop {
                let Some(batch) = batches.lock().await.recv().await else { return Ok(()) };
                let taken = sender.send(&batch).await?;
                let mut report = report.lock();
                report.sent.add(&batch.counts);
                report.rejected += taken.rejected;
                report.retries += taken.retries;
                progress.inc(batch.counts.items());
            }
        });
    }
    drop(batches);
    produce(signal, &plan, &to_senders).await;
    drop(to_senders);
    while let Some(done) = workers.join_next().await {
        done.map_err(|e| e.to_string())??;
    }
    Ok(())
}

/// Makes batches at the plan's rate until count or duration is reached, or every sender has given up.
async fn produce(signal: Signal, plan: &Plan, to: &mpsc::Sender<Batch>) {
    let start_ns = u64::try_from(plan.start.as_nanos()).unwrap_or(0);
    let mut source: Box<dyn Source> = match signal {
        Signal::Metrics => Box::new(MetricsSource::new(plan.seed, plan.instances, start_ns)),
        Signal::Logs => Box::new(LogsSource::new(plan.seed, plan.instances)),
        Signal::Traces => Box::new(TracesSource::new(plan.seed, plan.instances)),
    };
    let started = tokio::time::Instant::now();
    let mut made = 0;
    loop {
        let left = plan.count.map_or(u64::MAX, |count| count.saturating_sub(made));
        if left == 0 || plan.duration.is_some_and(|d| started.elapsed() >= d) {
            return;
        }
        let items_max = usize::try_from(left).unwrap_or(usize::MAX).min(plan.batch_items);
        let offset_ns = match (plan.rate, plan.count) {
            (0, None) => u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
            (rate, _) => item_offset_ns(made, rate),
        };
        let batch = source.next(start_ns + offset_ns, items_max);
        made += batch.counts.items();
        if to.send(batch).await.is_err() {
            return;
        }
        if plan.rate > 0 {
            tokio::time::sleep_until(started + Duration::from_nanos(item_offset_ns(made, plan.rate))).await;
        }
    }
}

/// How long after the first item the `item`th comes.
pub(crate) fn item_offset_ns(item: u64, rate: u64) -> u64 {
    let per_second = if rate == 0 { 100_000 } else { rate };
    u64::try_from(u128::from(item) * 1_000_000_000 / u128::from(per_second)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(signal: Signal, seed: u64) -> Vec<Batch> {
        let mut source: Box<dyn Source> = match signal {
            Signal::Metrics => Box::new(MetricsSource::new(seed, 2, 1)),
            Signal::Logs => Box::new(LogsSource::new(seed, 2)),
            Signal::Traces => Box::new(TracesSource::new(seed, 2)),
        };
        (0..5).map(|i| source.next(1_700_000_000_000_000_000 + i * 1_000_000_000, 100)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        for signal in [Signal::Metrics, Signal::Logs, Signal::Traces] {
            let (a, b, c) = (bytes(signal, 1), bytes(signal, 1), bytes(signal, 2));
            assert!(a.iter().zip(&b).all(|(a, b)| a.body == b.body && a.counts == b.counts), "{signal:?}");
            assert!(a.iter().zip(&c).any(|(a, c)| a.body != c.body), "{signal:?}");
        }
    }

    #[test]
    fn counts_are_exact() {
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
        use prost::Message;
        for batch in bytes(Signal::Traces, 7) {
            let request = ExportTraceServiceRequest::decode(batch.body).expect("valid");
            let spans: Vec<_> = request.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).collect();
            assert_eq!(batch.counts.spans, spans.len() as u64);
            assert_eq!(batch.counts.traces, spans.iter().filter(|s| s.parent_span_id.is_empty()).count() as u64);
            assert_eq!(batch.counts.span_events, spans.iter().map(|s| s.events.len() as u64).sum::<u64>());
        }
        assert!(bytes(Signal::Logs, 7).iter().all(|b| b.counts.log_records == 100));
    }
}
