//! From a query that comes to a row that waits to be written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use catalog::{Env, TenantId};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::caller::Origin;
use super::note::Notes;
use super::row::{Language, Outcome, Row};

/// Rows that may wait to be written.
const QUEUE_MAX: usize = 8_192;
/// Bytes of their texts.
const QUEUE_BYTES_MAX: usize = 32 << 20;

/// Where rows of the log begin. One per process.
#[derive(Debug)]
pub struct QueryLog {
    queue: mpsc::Sender<Row>,
    /// Bytes of the texts that wait.
    bytes: Arc<AtomicUsize>,
    env: Env,
}

/// The end of the queue at which rows are taken to be written.
#[derive(Debug)]
pub struct QueuedRows {
    rows: mpsc::Receiver<Row>,
    bytes: Arc<AtomicUsize>,
}

/// A query that somebody waits for. Ended by whoever sees its end; dropped before that, it was cancelled.
#[derive(Debug)]
pub struct Asking {
    log: Arc<QueryLog>,
    notes: Arc<Notes>,
    begun: Instant,
    is_over: bool,
}

impl QueryLog {
    /// A log, and where its rows come out.
    pub fn new(env: Env) -> (Arc<Self>, QueuedRows) {
        let (queue, rows) = mpsc::channel(QUEUE_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        (Arc::new(Self { queue, bytes: Arc::clone(&bytes), env }), QueuedRows { rows, bytes })
    }

    /// Queues a row; drops and counts it when there is no room.
    fn queue(&self, row: Row) {
        let size = size(&row);
        let before = self.bytes.fetch_add(size, Ordering::Relaxed);
        if before + size > QUEUE_BYTES_MAX || self.queue.try_send(row).is_err() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            metrics::counter!("telelake_query_log_dropped_total").increment(1);
        }
    }

    /// A query of `tenant` that has just come.
    pub fn ask(self: &Arc<Self>, tenant: &TenantId, language: Language, origin: Origin) -> Asking {
        self.ask_as(self.env.new_uuid(), tenant, language, origin)
    }

    /// [`QueryLog::ask`] with the id that the query has elsewhere.
    pub fn ask_as(self: &Arc<Self>, id: Uuid, tenant: &TenantId, language: Language, origin: Origin) -> Asking {
        let row = Row::new(id, tenant.clone(), self.env.now(), language, origin);
        let notes = Arc::new(Notes { row: Mutex::new(row), meter: Arc::default() });
        Asking { log: Arc::clone(self), notes, begun: Instant::now(), is_over: false }
    }
}

impl Asking {
    /// The row so far, for the scope of the query.
    pub fn notes(&self) -> Arc<Notes> {
        Arc::clone(&self.notes)
    }

    /// Notes something.
    pub fn note(&self, write: impl FnOnce(&mut Row)) {
        write(&mut self.notes.row.lock());
    }

    /// It ended so, unless somebody who knew better has noted how.
    pub fn end(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    /// It ended without an answer.
    pub fn fail(self, outcome: Outcome, message: &str) {
        self.note(|row| row.set_error(message));
        self.end(outcome);
    }

    /// It was no query after all: no row.
    pub fn forget(mut self) {
        self.is_over = true;
    }

    fn finish(&mut self, outcome: Outcome) {
        self.is_over = true;
        let mut row = self.notes.row.lock().clone();
        row.outcome = row.outcome.or(Some(outcome));
        row.duration = self.begun.elapsed();
        (row.files, row.bytes) = self.notes.meter.total();
        self.log.queue(row);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.is_over {
            self.finish(Outcome::Cancelled);
        }
    }
}

impl QueuedRows {
    /// Waits for rows and takes up to `most`; none when the log is gone.
    pub async fn take(&mut self, most: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        self.rows.recv_many(&mut rows, most).await;
        self.left(&rows);
        rows
    }

    /// The rows that wait now.
    pub fn take_waiting(&mut self) -> Vec<Row> {
        let rows: Vec<Row> = std::iter::from_fn(|| self.rows.try_recv().ok()).collect();
        self.left(&rows);
        rows
    }

    fn left(&self, rows: &[Row]) {
        self.bytes.fetch_sub(rows.iter().map(size).sum(), Ordering::Relaxed);
    }
}

/// Bytes of the texts that a sender can make long.
fn size(row: &Row) -> usize {
    row.text.len() + row.error.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catalog::{Timestamp, env};

    use super::super::note::{current, meter, note, scope};
    use super::*;

    fn log() -> (Arc<QueryLog>, QueuedRows) {
        QueryLog::new(env::fixed::env(Timestamp::from_secs(5), 1).0)
    }

    fn ask(log: &Arc<QueryLog>) -> Asking {
        log.ask(&TenantId::anonymous(), Language::Promql, Origin::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_tells_what_was_noted_in_its_scope() {
        let (log, mut rows) = log();
        let asking = ask(&log);
        note(|_| unreachable!("out of scope"));
        let work = async {
            note(|row| {
                row.set_text("up");
                row.set_text("what the engine was asked in its place");
                row.rows = Some(3);
            });
            meter().expect("in scope").opened(2, 100);
            // The scope is taken along by who spawns.
            tokio::spawn(scope(current(), async { note(|row| row.set_time(1, 2)) })).await.expect("it runs");
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        scope(Some(asking.notes()), work).await;
        asking.end(Outcome::Ok);
        let row = rows.take(10).await.pop().expect("one row");
        assert_eq!((row.text.as_str(), row.text_bytes, row.rows), ("up", 2, Some(3)));
        assert_eq!((row.files, row.bytes, row.start_ns, row.end_ns), (2, 100, Some(1), Some(2)));
        assert_eq!((row.outcome, row.duration), (Some(Outcome::Ok), Duration::from_secs(2)));
    }

    #[tokio::test]
    async fn every_end_is_one_row() {
        let (log, mut rows) = log();
        drop(ask(&log));
        ask(&log).fail(Outcome::Refused, "no");
        let asking = ask(&log);
        asking.note(|row| row.outcome = Some(Outcome::Timeout));
        asking.end(Outcome::Error);
        ask(&log).forget();
        let ends: Vec<_> = rows.take_waiting().into_iter().map(|row| (row.outcome, row.error)).collect();
        let expected = [(Outcome::Cancelled, None), (Outcome::Refused, Some("no".to_owned())), (Outcome::Timeout, None)];
        assert_eq!(ends, expected.map(|(outcome, error)| (Some(outcome), error)));
    }

    #[tokio::test]
    async fn a_full_queue_drops() {
        let (log, mut rows) = log();
        for _ in 0..QUEUE_MAX + 3 {
            drop(ask(&log));
        }
        assert_eq!(rows.take_waiting().len(), QUEUE_MAX);
        // Long texts fill it sooner, and it empties again.
        for _ in 0..2 {
            for _ in 0..3_000 {
                let asking = ask(&log);
                asking.note(|row| row.set_text(&"x".repeat(20_000)));
                asking.end(Outcome::Ok);
            }
            assert_eq!(rows.take_waiting().len(), QUEUE_BYTES_MAX / (16 << 10));
        }
    }

    #[test]
    fn texts_are_bounded() {
        let (log, mut rows) = log();
        let asking = ask(&log);
        asking.note(|row| {
            row.set_text(&"ü".repeat(20_000));
            row.set_error(&"x".repeat(5_000));
        });
        asking.end(Outcome::Error);
        let row = rows.take_waiting().pop().expect("one row");
        assert_eq!((row.text.len(), row.text_bytes, row.error.map(|e| e.len())), (16 << 10, 40_000, Some(1 << 10)));
    }
}
