//! The background passes by name, as the loops and the admin API run them.

use std::sync::Arc;

use catalog::{ErrorKind, Timestamp};
use ingest::Ingester;
use lake::compact::{CompactBudget, CompactReport, Compactor};
use lake::gc::GcConfig;
use lake::retention::RetentionConfig;
use parking_lot::Mutex;
use query::DeleteSelectors;
use serde_json::{Value, json};
use tracing::Instrument;

use crate::config::Config;
use crate::opened::Opened;

/// Between two searches for orphans.
const ORPHANS_EVERY: std::time::Duration = std::time::Duration::from_secs(86_400);

/// A pass over the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Turns everything acknowledged into files.
    Flush,
    /// Reads what other nodes committed.
    Refresh,
    /// Writes a checkpoint of the manifest if one is due.
    Checkpoint,
    /// Merges what is due.
    Compact,
    /// Merges everything, open slices and days too.
    CompactAll,
    /// Merges what is due and rewrites every file that holds deleted rows.
    Clean,
    /// Drops what retention has run out for.
    Retention,
    /// Deletes objects that no snapshot can need.
    Gc,
}

impl Pass {
    /// Those that the admin API runs.
    pub(crate) const ALL: [Self; 8] =
        [Self::Flush, Self::Refresh, Self::Checkpoint, Self::Compact, Self::CompactAll, Self::Clean, Self::Retention, Self::Gc];

    /// The name in paths, logs and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Refresh => "refresh",
            Self::Checkpoint => "checkpoint",
            Self::Compact => "compact-due",
            Self::CompactAll => "compact",
            Self::Clean => "clean",
            Self::Retention => "retention",
            Self::Gc => "gc",
        }
    }
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct PassError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

/// What the passes work on.
#[derive(Debug)]
pub(crate) struct Passes {
    opened: Opened,
    ingester: Arc<Ingester>,
    compactor: Compactor,
    retention: RetentionConfig,
    gc: GcConfig,
    /// When orphans were looked for last: that lists all data, so it is done rarely.
    orphans_at: Mutex<Timestamp>,
}

impl Passes {
    /// The passes of one node.
    pub(crate) fn new(opened: Opened, ingester: Arc<Ingester>, config: &Config) -> Self {
        let compactor = Compactor::new(Arc::clone(&opened.lake), config.compact.clone(), Arc::new(DeleteSelectors));
        let orphans_at = Mutex::new(opened.env.now());
        Self { opened, ingester, compactor, retention: config.retention.clone(), gc: config.gc.clone(), orphans_at }
    }

    /// Runs one pass and says what it did.
    ///
    /// # Errors
    /// Counted; what went wrong. Nothing needs to be undone.
    pub(crate) async fn run(&self, pass: Pass) -> Result<Value, PassError> {
        let started = tokio::time::Instant::now();
        let span = match pass {
            Pass::Refresh => tracing::Span::none(), // every few seconds, and next to nothing
            _ => tracing::info_span!("pass", otel.name = pass.name(), error = tracing::field::Empty),
        };
        let done = self.work(pass).instrument(span.clone()).await;
        if let Err(error) = &done {
            span.record("error", tracing::field::display(error));
        }
        metrics::histogram!("telelake_background_pass_seconds", "pass" => pass.name()).record(started.elapsed().as_secs_f64());
        if done.is_err() {
            metrics::counter!("telelake_background_failures_total", "pass" => pass.name()).increment(1);
        }
        done
    }

    async fn work(&self, pass: Pass) -> Result<Value, PassError> {
        match pass {
            Pass::Flush => self.flush().await,
            Pass::Refresh => self.refresh().await,
            Pass::Checkpoint => self.checkpoint().await,
            Pass::Compact => self.compact().await,
            Pass::CompactAll => self.compact_all().await,
            Pass::Clean => self.clean().await,
            Pass::Retention => self.retention().await,
            Pass::Gc => self.gc().await,
        }
    }

    /// The newest snapshot.
    pub(crate) fn snapshot_id(&self) -> u64 {
        self.opened.catalog.snapshot().id()
    }

    async fn flush(&self) -> Result<Value, PassError> {
        self.ingester.flush_now().await.map_err(|e| PassError { kind: e.kind(), message: e.to_string() })?;
        Ok(json!({ "snapshot": self.opened.catalog.snapshot().id() }))
    }

    async fn refresh(&self) -> Result<Value, PassError> {
        let snapshot = self.opened.catalog.refresh().await.map_err(of_catalog)?;
        Ok(json!({ "snapshot": snapshot }))
    }

    async fn checkpoint(&self) -> Result<Value, PassError> {
        let snapshot = self.opened.catalog.checkpoint_if_due().await.map_err(of_catalog)?;
        Ok(json!({ "snapshot": snapshot }))
    }

    /// One round of what is due; the loop comes again.
    async fn compact(&self) -> Result<Value, PassError> {
        let report = self.compactor.run_once(CompactBudget::default()).await.map_err(of_lake)?;
        describe(&report)
    }

    async fn compact_all(&self) -> Result<Value, PassError> {
        let report = self.compactor.force().await.map_err(of_lake)?;
        describe(&report)
    }

    async fn clean(&self) -> Result<Value, PassError> {
        let report = self.compactor.clean().await.map_err(of_lake)?;
        describe(&report)
    }

    async fn retention(&self) -> Result<Value, PassError> {
        let dropped = lake::retention::run_once(&self.opened.lake, &self.retention).await.map_err(of_lake)?;
        Ok(json!({ "dropped": dropped }))
    }

    async fn gc(&self) -> Result<Value, PassError> {
        let mut report = lake::gc::run_once(&self.opened.lake, &self.gc).await.map_err(of_lake)?;
        let now = self.opened.env.now();
        if now.since(*self.orphans_at.lock()) >= ORPHANS_EVERY {
            *self.orphans_at.lock() = now;
            let orphans = lake::gc::delete_orphans(&self.opened.lake, &self.gc).await.map_err(of_lake)?;
            (report.orphans, report.orphan_bytes, report.strangers) = (orphans.orphans, orphans.orphan_bytes, orphans.strangers);
        }
        Ok(json!({
            "log_entries": report.log_entries, "checkpoints": report.checkpoints, "dead_files": report.dead_files,
            "dead_bytes": report.dead_bytes, "orphans": report.orphans, "orphan_bytes": report.orphan_bytes, "failures": report.failures,
        }))
    }
}

/// A compaction in JSON. Merges that failed make it a failure, though the others were committed.
fn describe(report: &CompactReport) -> Result<Value, PassError> {
    match report.failures.first() {
        Some(first) => Err(PassError {
            kind: ErrorKind::Internal,
            message: format!(
                "{} of {} merges failed, the first: {first}",
                report.failures.len(),
                report.failures.len() + report.jobs
            ),
        }),
        None => Ok(describe_compaction(report)),
    }
}

/// What a compaction did, in JSON.
pub(crate) fn describe_compaction(report: &CompactReport) -> Value {
    json!({
        "merges": report.jobs, "conflicts": report.conflicts, "failures": report.failures, "files_in": report.files_in,
        "files_out": report.files_out, "rows": report.rows_in, "duplicates": report.duplicates, "deleted": report.deleted,
        "spared": report.spared, "deletes_forgotten": report.deletes_forgotten, "bytes_in": report.bytes_in, "bytes_out": report.bytes_out,
    })
}

fn of_lake(error: lake::Error) -> PassError {
    PassError { kind: error.kind(), message: crate::failure::chain(&error) }
}

fn of_catalog(error: catalog::Error) -> PassError {
    PassError { kind: error.kind(), message: crate::failure::chain(&error) }
}
