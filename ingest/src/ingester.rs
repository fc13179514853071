//! The durable half put together: log, buffer, flush, behind [`RowSink`] and [`FreshRows`].

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use catalog::manifest::{LogMark, Operation, WriterId};
use catalog::{Env, Table, TenantId, TimeRange};
use futures::future::BoxFuture;
use lake::{FreshCapture, FreshRows, FreshVersion, Settled};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::buffer::{Applied, Buffer};
use crate::config::{IngestConfig, WalKind};
use crate::dedup::{Claimed, Window};
use crate::error::{Error, Result};
use crate::flush::{Destination, Flusher, Rejected};
use crate::sink::{Append, Appended, RowSink, SinkError};
use crate::wal::disk::DiskLog;
use crate::wal::driver::{self, Command, Pending};
use crate::wal::folder::{self, Folder};
use crate::wal::frame::HEADER_BYTES;
use crate::wal::recover::{Piece, Replay};
use crate::wal::{DiskFs, WalFs, off_thread, record};

/// Requests with less memory than this are encoded on the caller's thread: it takes less than half a millisecond.
const INLINE_BYTES_MAX: u64 = 128 << 10;
/// Suggested to senders while the buffers are full.
const BUFFERS_FULL_RETRY_S: u64 = 5;
/// How often a start fences the previous incarnation before it gives up.
const FENCE_TRIES: u32 = 10;

/// Takes rows, keeps them durable and visible, and turns them into files.
///
/// Dropping it stops everything at once, as a crash would; nothing that was acknowledged is lost by that.
#[derive(Debug)]
pub struct Ingester {
    config: IngestConfig,
    env: Env,
    writer: WriterId,
    buffer: Arc<Buffer>,
    window: Arc<Window>,
    /// Bytes that may wait for the disk, in KiB.
    queue: Arc<Semaphore>,
    log: mpsc::UnboundedSender<Command>,
    blocks: bool,
    stopping: AtomicBool,
    committed: watch::Receiver<u64>,
    fenced: watch::Receiver<Option<String>>,
    rejected: watch::Receiver<Option<Rejected>>,
    driver: JoinHandle<()>,
    flusher: JoinHandle<()>,
}

impl Ingester {
    /// Opens the log, fences older incarnations of this writer, replays what is not in files yet, and starts.
    ///
    /// `destination` is an `Arc<lake::Lake>`. Returns when every acknowledged row is visible. Memory stays within
    /// `config.flush.buffered_bytes_max`: a longer log is flushed while it is replayed.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Locked`], [`Error::Io`], [`Error::Corrupt`], [`Error::Unsupported`], [`Error::Catalog`].
    pub async fn open(config: IngestConfig, destination: Arc<dyn Destination>, env: Env) -> Result<Arc<Self>> {
        let WalKind::Disk = config.wal.kind;
        Self::open_on(Arc::new(DiskFs), config, destination, env).await
    }

    /// As [`Ingester::open`], with the log on the given file system.
    ///
    /// # Errors
    /// As [`Ingester::open`].
    pub async fn open_on(
        fs: Arc<dyn WalFs>,
        config: IngestConfig,
        destination: Arc<dyn Destination>,
        env: Env,
    ) -> Result<Arc<Self>> {
        config.validate()?;
        let dir = config.wal.dir.clone().ok_or(Error::NoFolder)?;
        let blocks = fs.blocks();
        let (folder, contents) = {
            let (fs, env) = (Arc::clone(&fs), env.clone());
            off_thread(blocks, move || open_folder(fs, &dir, &env)).await??
        };
        let writer = folder.writer;
        let mark = fence(&*destination, writer).await?;

        let buffer = Buffer::new(writer, config.flush.clone());
        let window = Window::new(config.dedup.clone(), env.clone());
        let (log, commands) = mpsc::unbounded_channel();
        let flusher =
            Flusher::new(destination, Arc::clone(&buffer), env.clone(), config.flush.clone(), log.clone(), writer, mark);
        let replay = Replay::new(fs, writer, contents.segments.clone(), mark.committed, config.wal.recover);
        let replay = refill(replay, blocks, &config, &buffer, &window, &flusher).await?;
        let (sealed, next) = replay.finish();
        let disk = DiskLog::new(folder, config.wal.clone(), Arc::clone(&window), contents, sealed, next);

        let (fence_sender, fenced) = watch::channel(None);
        let (committed, rejected) = (flusher.committed(), flusher.rejected());
        let driver = tokio::spawn(driver::run(disk, Arc::clone(&buffer), commands));
        let flusher = tokio::spawn(async move {
            let error = flusher.run().await;
            tracing::error!(%error, "this node must stop");
            fence_sender.send_replace(Some(error.to_string()));
        });
        let queue = Arc::new(Semaphore::new(queue_kib(config.wal.queue_bytes_max) as usize));
        let stopping = AtomicBool::new(false);
        #[rustfmt::skip]
        let ingester = Self { config, env, writer, buffer, window, queue, log, blocks, stopping, committed, fenced, rejected, driver, flusher };
        Ok(Arc::new(ingester))
    }

    /// The identity of this log in the manifest.
    pub fn writer(&self) -> WriterId {
        self.writer
    }

    /// Turns everything acknowledged so far into files and commits them; returns after the commit. Waits as long as the store is
    /// down: put a timeout around it.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::Stopped`].
    pub async fn flush_now(&self) -> Result<()> {
        let last = self.buffer.cut();
        let mut committed = self.committed.clone();
        match committed.wait_for(|&committed| committed >= last).await {
            Ok(_) => Ok(()),
            // The flusher is gone. It says why before it goes; one that was aborted has nothing to say.
            Err(_) => Err(self.fenced.borrow().clone().map_or(Error::Stopped, |reason| Error::Fenced { reason })),
        }
    }

    /// Refuses new rows, flushes everything, stops. Rows that could not be flushed in time are still in the log: a timeout around
    /// this call loses nothing.
    ///
    /// # Errors
    /// [`Error::Fenced`].
    pub async fn shutdown(&self) -> Result<()> {
        self.stopping.store(true, Ordering::SeqCst);
        self.barrier().await;
        let flushed = self.flush_now().await;
        self.flusher.abort();
        let _ = self.log.send(Command::Stop);
        self.log.closed().await;
        flushed
    }

    /// Returns when everything that waits for the log now is in it and visible, or lost with the log's task.
    async fn barrier(&self) {
        let (done, barrier) = oneshot::channel();
        if self.log.send(Command::Barrier(done)).is_ok() {
            let _ = barrier.await; // An error means that the driver is gone, and with it whatever waited.
        }
    }

    /// Resolves when this ingester can never commit again (it was fenced, or its tasks are gone); the process should stop.
    /// Pending otherwise, and after [`Ingester::shutdown`].
    pub async fn failed(&self) -> Error {
        let mut fenced = self.fenced.clone();
        let error = tokio::select! {
            biased; // A node that was fenced may have closed its log as well: the reason is what counts.
            reason = fenced.wait_for(Option::is_some) => match reason {
                Ok(reason) => Error::Fenced { reason: reason.clone().unwrap_or_default() },
                Err(_) => Error::Stopped,
            },
            () = self.log.closed() => Error::Stopped,
        };
        if self.stopping.load(Ordering::SeqCst) && matches!(error, Error::Stopped) {
            return std::future::pending().await;
        }
        error
    }

    /// The rows that keep everything behind them from becoming files, if there are such; see [`crate::flush`].
    pub fn rejected(&self) -> Option<Rejected> {
        self.rejected.borrow().clone()
    }

    /// Everything that happens to a request before it queues for the disk.
    async fn prepare(&self, append: Append, ack: oneshot::Sender<Result<(), SinkError>>) -> Result<Option<Pending>, SinkError> {
        let Append { tenant, fingerprint, rows } = append;
        let claim = match fingerprint {
            None => None,
            Some(fingerprint) => match self.window.claim(fingerprint).await {
                Claimed::New(claim) => Some(claim),
                Claimed::Duplicate => return Ok(None),
            },
        };
        let bytes: u64 = rows.iter().map(|(_, batch)| batch.get_array_memory_size() as u64).sum();
        let memory = self.buffer.reserve(bytes).ok_or_else(|| self.buffers_full())?;
        let at = self.env.now();
        let owner = tenant.clone();
        let encode = move || {
            let record = record::encode(&owner, fingerprint, at, &rows);
            (record, rows)
        };
        let encoded = off_thread(self.blocks && bytes > INLINE_BYTES_MAX, encode).await;
        let (record, rows) = encoded.map_err(|_| SinkError::ShuttingDown)?;
        let record = record.map_err(|error| SinkError::Log { reason: format!("rows do not fit the log: {error}") })?;
        let frame_bytes = (record.frame.len() - HEADER_BYTES) as u64;
        if frame_bytes > self.config.wal.frame_bytes_max {
            return Err(SinkError::TooLarge { bytes: frame_bytes, bytes_max: self.config.wal.frame_bytes_max });
        }
        let room = queue_kib(frame_bytes).min(queue_kib(self.config.wal.queue_bytes_max));
        let queued = Arc::clone(&self.queue).acquire_many_owned(room).await.map_err(|_| SinkError::ShuttingDown)?;
        Ok(Some(Pending { record, tenant, at, rows, memory, claim, ack, queued }))
    }

    fn buffers_full(&self) -> SinkError {
        metrics::counter!("telelake_ingest_refused_total", "reason" => "buffers_full").increment(1);
        let reason = format!(
            "{} MiB of rows wait for the store, limit is {} MiB",
            self.buffer.bytes() >> 20,
            self.config.flush.buffered_bytes_max >> 20
        );
        SinkError::Overloaded { reason, retry_after_s: BUFFERS_FULL_RETRY_S }
    }
}

#[async_trait]
impl RowSink for Ingester {
    async fn append(&self, append: Append) -> Result<Appended, SinkError> {
        if self.stopping.load(Ordering::SeqCst) || self.fenced.borrow().is_some() {
            return Err(SinkError::ShuttingDown);
        }
        if append.rows.iter().all(|(_, batch)| batch.num_rows() == 0) {
            return Ok(Appended::Stored);
        }
        let (ack, done) = oneshot::channel();
        let Some(pending) = self.prepare(append, ack).await? else {
            metrics::counter!("telelake_ingest_duplicates_total").increment(1);
            return Ok(Appended::Duplicate);
        };
        // From here on the rows may become durable even if the caller goes away.
        self.log.send(Command::Append(Box::new(pending))).map_err(|_| SinkError::ShuttingDown)?;
        match done.await {
            Ok(result) => result.map(|()| Appended::Stored),
            Err(_) => Err(SinkError::Log { reason: "the log stopped before it answered".to_owned() }),
        }
    }
}

impl FreshRows for Ingester {
    fn capture(&self, tenant: &TenantId) -> FreshCapture {
        self.buffer.capture(tenant)
    }

    /// Flushes. What receivers remember is not known here: see [`crate::settle`].
    fn settle<'a>(&'a self, _tenant: &'a TenantId) -> BoxFuture<'a, Result<Settled, String>> {
        Box::pin(async {
            // Rows whose sender went away may still wait for the log: they count as acknowledged here.
            self.barrier().await;
            self.flush_now().await.map_err(|error| error.to_string())?;
            Ok(Settled::default())
        })
    }

    fn newest(&self, tenant: &TenantId) -> Option<FreshVersion> {
        Some(self.buffer.newest(tenant))
    }

    fn follow(&self, tenant: &TenantId, table: Table) -> Option<broadcast::Receiver<RecordBatch>> {
        Some(self.buffer.follow(tenant, table))
    }

    fn changes(&self, tenant: &TenantId, record: u64) -> Option<Vec<TimeRange>> {
        self.buffer.changes(tenant, record)
    }
}

impl Drop for Ingester {
    fn drop(&mut self) {
        self.driver.abort();
        self.flusher.abort();
    }
}

fn open_folder(fs: Arc<dyn WalFs>, dir: &Path, env: &Env) -> Result<(Folder, folder::Contents)> {
    let folder = Folder::open(fs, dir, env)?;
    let contents = folder::contents(&*folder.fs, dir, folder.writer)?;
    Ok((folder, contents))
}

/// Begins a new incarnation of `writer` and returns its mark: nothing that an older one commits can land behind it.
async fn fence(destination: &dyn Destination, writer: WriterId) -> Result<LogMark> {
    let mut tries = 0;
    loop {
        let epoch = destination.mark(writer).map_or(0, |mark| mark.epoch) + 1;
        let fenced = destination.commit(vec![Operation::WriterFence { writer, epoch }]).await;
        // What counts is what the newest snapshot says: a fence whose answer was lost stands, and the next try goes beyond it.
        let refreshed = destination.refresh().await;
        let mark = destination.mark(writer).filter(|mark| mark.epoch == epoch);
        let error: Error = match (fenced, refreshed, mark) {
            (Ok(_), Ok(()), Some(mark)) => return Ok(mark),
            (Err(error), _, _) | (Ok(_), Err(error), _) => error.into(),
            (Ok(_), Ok(()), None) => Error::Fenced { reason: format!("another process started as writer {writer} meanwhile") },
        };
        if tries == FENCE_TRIES {
            return Err(error);
        }
        tracing::info!(%error, epoch, "fencing again");
        tries += 1;
        tokio::time::sleep(Duration::from_millis(20) * tries).await;
    }
}

/// Replays the log into the buffer, flushing whenever half of the allowed memory is in use.
async fn refill(
    mut replay: Replay,
    blocks: bool,
    config: &IngestConfig,
    buffer: &Arc<Buffer>,
    window: &Window,
    flusher: &Flusher,
) -> Result<Replay> {
    let start = tokio::time::Instant::now();
    let (mut records, mut rows) = (0_u64, 0_u64);
    loop {
        let (returned, piece) = off_thread(blocks, move || {
            let piece = replay.step();
            (replay, piece)
        })
        .await?;
        replay = returned;
        let Some(Piece { records: found, fingerprints }) = piece? else { break };
        window.restore(fingerprints);
        records += found.len() as u64;
        let applied = found.into_iter().map(|(sequence, record)| {
            rows += record.rows.iter().map(|(_, batch)| batch.num_rows() as u64).sum::<u64>();
            let bytes = record.rows.iter().map(|(_, batch)| batch.get_array_memory_size() as u64).sum();
            buffer.account(bytes);
            Applied { sequence, tenant: record.tenant, rows: record.rows, bytes }
        });
        let crowded = buffer.apply(applied.collect());
        let merging = Arc::clone(buffer);
        off_thread(blocks, move || crowded.iter().for_each(|place| merging.coalesce(place))).await?;
        while buffer.bytes() > config.flush.buffered_bytes_max / 2 {
            buffer.cut();
            let Some(generation) = buffer.oldest_frozen() else { break };
            flusher.flush(&generation).await?;
        }
    }
    metrics::counter!("telelake_wal_replayed_rows_total").increment(rows);
    if records > 0 {
        tracing::info!(records, rows, elapsed = ?start.elapsed(), "write-ahead log replayed");
    }
    Ok(replay)
}

fn queue_kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests;
