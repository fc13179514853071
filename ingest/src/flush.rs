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
//!
//! # Rows that are refused as such
//! Rows that the lake cannot encode will not become a file by trying again; that is a bug, here or there, and not a matter of the
//! sender. They stay where they are, in memory for queries and in the log, and so do those behind them, since generations are committed
//! in order. The node says so: it is not ready, [`Ingester::rejected`](crate::Ingester::rejected) and a gauge name the table, the
//! flush is tried once a minute, and once the buffers are full senders are told to go elsewhere. A build that can write the rows
//! finds all of them in the log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use catalog::manifest::{LogMark, Operation, WriterId};
use catalog::{Env, ErrorKind, FileEntry, Level, SnapshotId, Table, TenantId};
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

/// Tries after which rows that the lake refuses as such count as [`Rejected`].
const REJECTIONS_MAX: u32 = 5;
/// Between tries from then on.
const REJECTED_PAUSE: Duration = Duration::from_secs(60);

/// Rows that cannot become a file, whatever the store does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Owner.
    pub tenant: TenantId,
    /// Their table.
    pub table: Table,
    /// How many.
    pub rows: u64,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, table, rows, reason } = self;
        write!(f, "{rows} rows of {table} of tenant {tenant} cannot be written and wait in the log: {reason}")
    }
}

/// What a flush needs of the lake: write files, commit them, know how far the log is committed. `lake::Lake` is one.
#[async_trait]
pub trait Destination: Send + Sync + fmt::Debug {
    /// Writes `batches` (schema [`catalog::schema::rows`], any order) as level 0 files, which nobody sees before they are committed.
    ///
    /// # Errors
    /// [`crate::Error::Flush`]. The rows are safe in the log whatever its kind is. Of kind `Internal`, `Invalid`, `TooLarge` and
    /// `Unsupported` it says that these rows cannot be written, not that the store failed.
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
    rejected: watch::Sender<Option<Rejected>>,
}

/// What became of a commit.
enum Committed {
    /// It is in the manifest.
    Yes,
    /// Its files are so old that gc may have deleted them.
    FilesAreGone,
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
        let rejected = watch::Sender::new(None);
        Self { destination, buffer, env, config, log, writer, epoch: mark.epoch, committed, rejected }
    }

    /// Follows how far the log is committed.
    pub(crate) fn committed(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    /// Follows what cannot be written.
    pub(crate) fn rejected(&self) -> watch::Receiver<Option<Rejected>> {
        self.rejected.subscribe()
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
        let from = *self.committed.borrow() + 1;
        let count = loop {
            let files = self.write_files(generation).await?;
            fail::fail_point!("flush::after_upload");
            let count = files.len() as u64;
            let mut operations: Vec<_> = files.into_iter().map(|file| Operation::AddFile { file: Box::new(file) }).collect();
            operations.push(Operation::WalCommit { writer: self.writer, epoch: self.epoch, from, to: generation.last });
            match self.commit(operations).await? {
                Committed::Yes => break count,
                Committed::FilesAreGone => tracing::warn!(rows = generation.rows, "a flush took so long that it begins anew"),
            }
        };
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
        let mut rejections = 0;
        loop {
            let error = match self.destination.write(&tenant, table, batches.clone()).await {
                Ok(files) => {
                    if rejections >= REJECTIONS_MAX {
                        self.reject(None);
                    }
                    return Ok(files);
                }
                Err(error @ Error::Fenced { .. }) => return Err(error),
                Err(error) => error,
            };
            rejections = if is_rejection(&error) { rejections + 1 } else { 0 };
            if rejections < REJECTIONS_MAX {
                self.pause("write", &error, &mut backoff).await;
                continue;
            }
            let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
            let rejected = Rejected { tenant: tenant.clone(), table, rows, reason: error.to_string() };
            tracing::error!(%rejected, "this node needs another build");
            self.reject(Some(rejected));
            tokio::time::sleep(REJECTED_PAUSE).await;
        }
    }

    fn reject(&self, rejected: Option<Rejected>) {
        metrics::gauge!("telelake_flush_rejected_rows").set(rejected.as_ref().map_or(0.0, |rejected| rejected.rows as f64));
        self.rejected.send_replace(rejected);
    }

    async fn commit(&self, operations: Vec<Operation>) -> Result<Committed> {
        let mut backoff = BACKOFF_MIN;
        loop {
            match self.destination.commit(operations.clone()).await {
                // Our own commit whose answer was lost: the range was committed by this epoch, and with these files.
                Ok(_) | Err(catalog::Error::AlreadyCommitted { .. }) => return Ok(Committed::Yes),
                Err(catalog::Error::Condemned { .. }) => return Ok(Committed::FilesAreGone),
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

/// Whether `error` is about the rows, and not about the store.
fn is_rejection(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Internal | ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Unsupported)
}
