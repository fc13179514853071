//! From the buffer to the store: a generation becomes files, one commit names them together with its log range, then it is dropped.
//!
//! ```text
//! frozen generation ─► files of every tenant and table ─► commit(AddFile ..., WalCommit from..=to)
//!      ▲   retry with backoff until it works ──────────────┘ │
//!      └── dropped once the snapshot has the commit ◄────────┘ ─► log trimmed
//! ```
//! # Invariants
//! - Generations are committed in order, each with exactly the log range behind the last one.
//! - A commit is repeated with the same files: if the first try took effect after all, the repetition is told so (`AlreadyCommitted`).
//! - Failures of the store never lose rows: they are in memory and in the log until the commit is seen.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use catalog::manifest::{LogMark, Operation, WriterId};
use catalog::{Env, FileEntry, Level, SnapshotId, Table, TenantId};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::buffer::{Buffer, Generation};
use crate::config::FlushConfig;
use crate::error::{Error, Result};
use crate::wal::driver::Command;

/// Tables that are encoded and uploaded at a time.
const WRITES_AT_ONCE: usize = 2;
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// What a flush needs of the lake: write files, commit them, know how far the log is committed. `lake::Lake` is one.
#[async_trait]
pub trait Destination: Send + Sync + fmt::Debug {
    /// Writes `batches` (schema [`catalog::schema::rows`], any order) as level 0 files, which nobody sees before they are committed.
    ///
    /// # Errors
    /// [`crate::Error::Flush`]; every kind is worth a retry, since the rows are safe in the log.
    async fn write(&self, tenant: &TenantId, table: Table, batches: Vec<RecordBatch>) -> Result<Vec<FileEntry>>;

    /// Commits `operations` as a whole.
    ///
    /// # Errors
    /// As `catalog::manifest`: `AlreadyCommitted` and `Fenced` matter here, the rest is retried.
    async fn commit(&self, operations: Vec<Operation>) -> catalog::Result<SnapshotId>;

    /// Loads what others committed.
    ///
    /// # Errors
    /// As `catalog::manifest`.
    async fn refresh(&self) -> catalog::Result<()>;

    /// How far the log of `writer` is committed in the snapshot that readers pin now.
    fn mark(&self, writer: WriterId) -> Option<LogMark>;
}

#[async_trait]
impl Destination for lake::Lake {
    async fn write(&self, tenant: &TenantId, table: Table, batches: Vec<RecordBatch>) -> Result<Vec<FileEntry>> {
        let written = Self::write(self, tenant, table, Level::L0, batches).await;
        written.map_err(|error| Error::Flush { kind: error.kind(), reason: error.to_string() })
    }

    async fn commit(&self, operations: Vec<Operation>) -> catalog::Result<SnapshotId> {
        self.catalog().commit(operations).await
    }

    async fn refresh(&self) -> catalog::Result<()> {
        self.catalog().refresh().await.map(drop)
    }

    fn mark(&self, writer: WriterId) -> Option<LogMark> {
        self.catalog().snapshot().mark(writer)
    }
}

/// The flushing side of one log.
#[derive(Debug)]
pub(crate) struct Flusher {
    destination: Arc<dyn Destination>,
    buffer: Arc<Buffer>,
    env: Env,
    config: FlushConfig,
    log: mpsc::UnboundedSender<Command>,
    writer: WriterId,
    epoch: u64,
    /// Records up to this one are in files.
    committed: watch::Sender<u64>,
}

impl Flusher {
    /// Flushes `buffer` as incarnation `epoch` of `writer`, whose records up to `committed` are in files.
    pub(crate) fn new(
        destination: Arc<dyn Destination>,
        buffer: Arc<Buffer>,
        env: Env,
        config: FlushConfig,
        log: mpsc::UnboundedSender<Command>,
        writer: WriterId,
        mark: LogMark,
    ) -> Self {
        let committed = watch::Sender::new(mark.committed);
        Self { destination, buffer, env, config, log, writer, epoch: mark.epoch, committed }
    }

    /// Follows how far the log is committed.
    pub(crate) fn committed(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    /// Cuts by age and flushes what is frozen, until it is fenced; answers why.
    pub(crate) async fn run(&self) -> Error {
        loop {
            let due = self.buffer.active_since().map(|since| since + self.config.age_max);
            if due.is_some_and(|due| due <= Instant::now()) {
                self.buffer.cut();
            }
            if let Some(generation) = self.buffer.oldest_frozen() {
                if let Err(error) = self.flush(&generation).await {
                    return error;
                }
                continue;
            }
            let aged = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.buffer.changed.notified() => {}
                () = aged => {}
            }
        }
    }

    /// Writes, commits and drops one generation, the oldest. Retries as long as it takes.
    ///
    /// # Errors
    /// [`Error::Fenced`] only.
    pub(crate) async fn flush(&self, generation: &Generation) -> Result<()> {
        let start = Instant::now();
        let files = self.write_files(generation).await?;
        fail::fail_point!("flush::after_upload");
        let from = *self.committed.borrow() + 1;
        let commit = Operation::WalCommit { writer: self.writer, epoch: self.epoch, from, to: generation.last };
        let count = files.len() as u64;
        let mut operations: Vec<_> = files.into_iter().map(|file| Operation::AddFile { file: Box::new(file) }).collect();
        operations.push(commit);
        self.commit(operations).await?;
        self.await_mark(generation.last).await?;
        self.buffer.release(generation);
        self.committed.send_replace(generation.last);
        let _ = self.log.send(Command::Trim(generation.last)); // No log, nothing to trim.
        metrics::counter!("telelake_flush_total").increment(1);
        metrics::counter!("telelake_flush_files_total").increment(count);
        metrics::counter!("telelake_flush_rows_total").increment(generation.rows);
        metrics::histogram!("telelake_flush_seconds").record(start.elapsed().as_secs_f64());
        tracing::debug!(rows = generation.rows, files = count, from, to = generation.last, "flushed");
        Ok(())
    }

    async fn write_files(&self, generation: &Generation) -> Result<Vec<FileEntry>> {
        let tables = generation.tenants.iter().flat_map(|(tenant, tables)| {
            let filled = tables.iter().filter(|(_, batches)| batches.iter().any(|batch| batch.num_rows() > 0));
            filled.map(move |(table, batches)| (tenant.clone(), *table, batches.clone()))
        });
        let writes: Vec<_> = tables.map(|(tenant, table, batches)| self.write_table(tenant, table, batches)).collect();
        let files: Vec<Vec<FileEntry>> = stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).try_collect().await?;
        Ok(files.into_iter().flatten().collect())
    }

    async fn write_table(&self, tenant: TenantId, table: Table, batches: Vec<RecordBatch>) -> Result<Vec<FileEntry>> {
        let mut backoff = BACKOFF_MIN;
        loop {
            match self.destination.write(&tenant, table, batches.clone()).await {
                Ok(files) => return Ok(files),
                Err(error @ Error::Fenced { .. }) => return Err(error),
                Err(error) => self.pause("write", &error, &mut backoff).await,
            }
        }
    }

    async fn commit(&self, operations: Vec<Operation>) -> Result<()> {
        let mut backoff = BACKOFF_MIN;
        loop {
            match self.destination.commit(operations.clone()).await {
                // Our own commit whose answer was lost: the range was committed by this epoch, and with these files.
                Ok(_) | Err(catalog::Error::AlreadyCommitted { .. }) => return Ok(()),
                Err(catalog::Error::Fenced { reason }) => return Err(Error::Fenced { reason }),
                Err(error) => self.pause("commit", &error, &mut backoff).await,
            }
        }
    }

    /// Waits until the snapshot that readers pin has the records up to `last`.
    async fn await_mark(&self, last: u64) -> Result<()> {
        let mut backoff = BACKOFF_MIN;
        loop {
            let mark = self.destination.mark(self.writer);
            if mark.is_some_and(|mark| mark.committed >= last) {
                return Ok(());
            }
            if let Some(mark) = mark.filter(|mark| mark.epoch > self.epoch) {
                return Err(Error::Fenced { reason: format!("epoch {} of writer {} has begun", mark.epoch, self.writer) });
            }
            match self.destination.refresh().await {
                Ok(()) if self.destination.mark(self.writer).is_some_and(|mark| mark.committed >= last) => return Ok(()),
                Ok(()) => self.pause("see the commit in", &"the snapshot is older", &mut backoff).await,
                Err(error) => self.pause("refresh", &error, &mut backoff).await,
            }
        }
    }

    async fn pause(&self, action: &'static str, error: &(dyn fmt::Display + Sync), backoff: &mut Duration) {
        metrics::counter!("telelake_flush_retries_total", "action" => action).increment(1);
        tracing::warn!(%error, retry_in = ?*backoff, "flush could not {action} the store; rows stay in the log");
        // Half to all of it, so that nodes which failed together do not come back together.
        let jitter = self.env.entropy.next_u64() % (backoff.as_millis() as u64 / 2 + 1);
        tokio::time::sleep(*backoff / 2 + Duration::from_millis(jitter)).await;
        *backoff = (*backoff * 2).min(BACKOFF_MAX);
    }
}
