//! Following what comes in.
//!
//! ```text
//! subscribe ──► what is there already ──► queue ──► Tail::next ──► the client
//! batches, as they are acknowledged ─stages─► ▲ full: dropped, and reported
//! ```
//!
//! # Invariants
//! - Every line that is acknowledged after the tail began, matches, and comes over this node, is given once or reported as dropped.
//! - Memory is bounded however slow the client is; it holds up nobody.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use catalog::{Table, TenantId, TimeRange};
use logql::ast::LogExpr;
use logql::pipeline::{Hints, Pipeline};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::task::AbortOnDropHandle;

use super::answer::{Labels, Tailed};
use super::entries::{self, Found};
use super::error::{Error, Result};
use super::evaluate::{self, Order, Work};
use super::lines::time_of;
use super::metadata::Need;
use super::request::{Direction, TailQuery, TimeNs};
use super::resources::Resources;
use super::rows::{Runner, Stages};
use super::streams::{self, Interner, Streams};
use crate::admission::Turn;
use crate::engine::Engine;
use crate::threads::Threads;

/// Entries that wait for the client.
const WAITING_MAX: usize = 10_000;
/// Their bytes.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Dropped entries that are reported at once; further ones are only counted.
const DROPPED_MAX: usize = 1_000;

/// A running tail. Dropping it ends it.
#[derive(Debug)]
pub struct Tail {
    queue: Arc<Queue>,
    delay: Duration,
    _turn: Turn,
    _task: AbortOnDropHandle<()>,
}

/// What waits for the client.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<Found>,
    bytes: usize,
    dropped: Vec<(Labels, i64)>,
    end: Option<Option<Error>>,
}

impl Queue {
    fn push(&self, found: Found) {
        let mut waiting = self.waiting.lock();
        let bytes = found.entry.line.len() + 200;
        if waiting.entries.len() >= WAITING_MAX || waiting.bytes + bytes > WAITING_BYTES_MAX {
            metrics::counter!("telelake_logql_tail_dropped_total").increment(1);
            if waiting.dropped.len() < DROPPED_MAX {
                waiting.dropped.push((found.stream, found.entry.ts_ns));
            }
        } else {
            waiting.bytes += bytes;
            waiting.entries.push(found);
        }
        self.changed.notify_one();
    }

    fn lost(&self, batches: u64, now_ns: i64) {
        metrics::counter!("telelake_logql_tail_batches_lost_total").increment(batches);
        self.waiting.lock().dropped.push(([].into(), now_ns));
        self.changed.notify_one();
    }

    fn end(&self, error: Option<Error>) {
        self.waiting.lock().end = Some(error);
        self.changed.notify_one();
    }
}

impl Tail {
    /// The next entries, oldest first; `None` when the node stops. Cancelling it loses nothing.
    ///
    /// # Errors
    /// Storage.
    pub async fn next(&mut self) -> Option<Result<Tailed>> {
        loop {
            let has_any = {
                let waiting = self.queue.waiting.lock();
                !waiting.entries.is_empty() || !waiting.dropped.is_empty() || waiting.end.is_some()
            };
            if has_any {
                break;
            }
            self.queue.changed.notified().await;
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let mut waiting = self.queue.waiting.lock();
        let mut found = std::mem::take(&mut waiting.entries);
        let dropped = std::mem::take(&mut waiting.dropped);
        waiting.bytes = 0;
        if found.is_empty() && dropped.is_empty() {
            return waiting.end.take().flatten().map(Err);
        }
        drop(waiting);
        found.sort_by_key(|found| (found.entry.ts_ns, found.seq));
        Some(Ok(Tailed { streams: entries::by_stream(found.into_iter()), dropped }))
    }
}

/// Begins a tail: what is there already is read before this returns, by tasks of the threads that it is called on.
///
/// # Errors
/// All kinds.
pub(super) async fn begin(
    engine: &Arc<Engine>,
    threads: &Threads,
    tenant: &TenantId,
    query: TailQuery,
    turn: Turn,
    work: impl Fn() -> Result<Work> + Send + Sync + 'static,
) -> Result<Tail> {
    let log = evaluate::parse_log(&query.text)?;
    let now_ns = engine.env().now().as_nanos();
    let pipeline = logql::interpret::pipeline(&log.stages, Hints::all(), now_ns).map_err(|e| Error::invalid(e.to_string()))?;
    let Some(batches) = engine.fresh().follow(tenant, Table::Logs) else {
        return Err(Error::invalid("this node takes no logs, so there is nothing to follow"));
    };
    let queue = Arc::new(Queue::default());
    let time = TimeNs { start_ns: query.start_ns, end_ns: i64::MAX };
    let order = Order { direction: Direction::Backward, limit: query.limit, interval_ns: 0 };
    let there = evaluate::entries(&work()?, &log, time, order).await?.0;
    let mut known = HashSet::new();
    for stream in there {
        for entry in stream.entries {
            known.insert((entry.ts_ns, entry.line.clone()));
            queue.push(Found { stream: Arc::clone(&stream.labels), seq: 0, entry });
        }
    }
    let follower = Follower { work: Box::new(work), log, pipeline, queue: Arc::clone(&queue), known, refused: HashSet::new() };
    let task = AbortOnDropHandle::new(threads.prompt().spawn(follower.follow(batches)));
    Ok(Tail { queue, delay: query.delay, _turn: turn, _task: task })
}

/// Takes batches through the stages into the queue.
struct Follower {
    work: Box<dyn Fn() -> Result<Work> + Send + Sync>,
    log: LogExpr,
    pipeline: Pipeline,
    queue: Arc<Queue>,
    /// What was given before the first batch, and may come again in one.
    known: HashSet<(i64, String)>,
    /// Streams that do not match.
    refused: HashSet<i64>,
}

/// Streams beyond which those that do not match are forgotten.
const REFUSED_MAX: usize = 100_000;

impl Follower {
    async fn follow(mut self, mut batches: Receiver<RecordBatch>) {
        let mut runner: Option<(Runner, Arc<Stages>)> = None;
        let mut interner = Interner::default();
        loop {
            let batch = match batches.recv().await {
                Ok(batch) => batch,
                Err(RecvError::Lagged(lost)) => {
                    let now_ns = (self.work)().map_or(0, |work| work.now_ns);
                    self.queue.lost(lost, now_ns);
                    continue;
                }
                Err(RecvError::Closed) => return self.queue.end(None),
            };
            if let Err(error) = self.take(&batch, &mut runner, &mut interner).await {
                return self.queue.end(Some(error));
            }
        }
    }

    async fn take(
        &mut self,
        batch: &RecordBatch,
        runner: &mut Option<(Runner, Arc<Stages>)>,
        interner: &mut Interner,
    ) -> Result<()> {
        let Some(time) = time_of(batch) else { return Ok(()) };
        let known = runner.as_ref().map(|(_, stages)| &**stages);
        if has_unknown(batch, known, &self.refused) {
            let stages = Arc::new(self.stages(time, known.map(|stages| &*stages.streams)).await?);
            self.refuse(batch, &stages.streams);
            *runner = Some((Runner::new(Arc::clone(&stages)), stages));
        }
        let Some((runner, _)) = runner else { return Ok(()) };
        let (queue, known) = (&self.queue, &mut self.known);
        runner.run(
            batch,
            interner,
            |_, _| true,
            |interner, row, line| {
                let is_known = !known.is_empty() && known.remove(&(row.ts_ns, line.text.to_owned()));
                if !is_known {
                    queue.push(evaluate::found(interner, row, &line));
                }
                Ok(())
            },
        )
    }

    /// What is known now of the streams of `time`, and of those before.
    async fn stages(&self, time: TimeRange, before: Option<&Streams>) -> Result<Stages> {
        let work = (self.work)()?;
        let found = streams::resolve(&work.view, &self.log.selector.matchers, time, work.config.streams_max).await?;
        let streams = Arc::new(found.with(before));
        let resources = Resources::load(&work.view, &work.resources, &Need::all(), time).await?;
        Ok(Stages { pipeline: self.pipeline.clone(), streams, resources })
    }

    fn refuse(&mut self, batch: &RecordBatch, streams: &Streams) {
        if self.refused.len() > REFUSED_MAX {
            self.refused.clear();
        }
        let ids = ids(batch, "stream_id").into_iter().flat_map(|ids| ids.values().iter().copied().collect::<Vec<_>>());
        self.refused.extend(ids.filter(|id| streams.place(*id).is_none()));
    }
}

fn ids<'a>(batch: &'a RecordBatch, column: &str) -> Option<&'a arrow::array::Int64Array> {
    batch.column_by_name(column)?.as_primitive_opt::<Int64Type>()
}

/// Whether `batch` has streams or resources of which nothing is known.
fn has_unknown(batch: &RecordBatch, known: Option<&Stages>, refused: &HashSet<i64>) -> bool {
    let is_known = |id: i64| refused.contains(&id) || known.is_some_and(|stages| stages.streams.place(id).is_some());
    let has_resource = |id: i64| known.is_some_and(|stages| stages.resources.has(id));
    ids(batch, "stream_id").is_some_and(|ids| ids.values().iter().any(|id| !is_known(*id)))
        || ids(batch, "resource_id").is_some_and(|ids| ids.iter().flatten().any(|id| !has_resource(id)))
}
