//! Group commit: callers that wait at the same time share one log entry.
//!
//! ```text
//! commit(a) ─┐                 ┌ b does not fit: refused alone
//! commit(b) ─┼─ queue ─ merge ─┤
//! commit(c) ─┘                 └ a + c ─► create slot N+1 ─► verify slot N ─► publish ─► answer a, c
//!                 ▲                            │ taken
//!                 └──── apply theirs, merge ◄──┘
//! ```
//!
//! Each caller hands its work to a task of its own that takes the writing lock; the first one through takes the whole queue.
//! So a caller that goes away does not interrupt a commit that others wait for.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::catalog::{Catalog, CaughtUp, Writing};
use super::codec::{self, Kind, LogEntryRef};
use super::entry::Operation;
use super::log::Filled;
use super::snapshot::{Snapshot, SnapshotId};
use crate::error::{Error, Result};

/// Most bytes of operations in one entry. A larger edit must be split.
pub(super) const ENTRY_BYTES_MAX: usize = 8 << 20;
/// Most callers that may wait.
pub(super) const WAITING_MAX: usize = 10_000;
/// Slots that a batch may lose before its callers get an error. Each loss is somebody else's progress.
const ROUNDS_MAX: usize = 1_000;

/// A caller of `commit`.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) operations: Vec<Operation>,
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Result<SnapshotId>>,
}

/// The callers that fit into one entry, and the snapshot it makes.
struct Merged {
    next: Snapshot,
    accepted: Vec<Waiter>,
    refused: Vec<(Waiter, Error)>,
}

impl Catalog {
    /// Commits what waits, if anything does.
    pub(super) async fn commit_waiting(&self) {
        let mut writing = self.writing.lock().await;
        let batch = self.take_batch();
        if !batch.is_empty() {
            self.commit_batch(&mut writing, batch).await;
        }
    }

    fn take_batch(&self) -> Vec<Waiter> {
        let mut queue = self.queue.lock();
        let mut bytes = 0;
        let fitting = queue.iter().take_while(|waiter| {
            bytes += waiter.bytes;
            bytes <= ENTRY_BYTES_MAX
        });
        let count = fitting.count().max(1).min(queue.len());
        queue.drain(..count).collect()
    }

    async fn commit_batch(&self, writing: &mut Writing, mut batch: Vec<Waiter>) {
        let mut fresh = false; // whether `head` was compared with the store since this batch began
        for _ in 0..ROUNDS_MAX {
            let head = self.snapshot();
            let merged = self.merge(&head, batch);
            if !merged.refused.is_empty() && !fresh {
                // Refused by what we know; judge again by what is true.
                fresh = true;
                let caught_up = self.catch_up(writing).await;
                batch = merged.accepted;
                batch.extend(merged.refused.into_iter().map(|(waiter, _)| waiter));
                if let Err(error) = caught_up {
                    return refuse_all(batch, || again(&error));
                }
                continue;
            }
            for (waiter, error) in merged.refused {
                metrics::counter!("telelake_catalog_commits_refused_total").increment(1);
                let _gone = waiter.answer.send(Err(error));
            }
            batch = merged.accepted;
            if batch.is_empty() {
                return;
            }
            match self.fill_next(&head, &merged.next, &batch).await {
                Ok(Filled::Ours) => return self.conclude(writing, &head, merged.next, batch).await,
                Ok(Filled::Unknown(reason)) => {
                    let slot = merged.next.id;
                    return refuse_all(batch, || Error::InDoubt { slot, reason: reason.clone() });
                }
                Ok(Filled::Taken) => metrics::counter!("telelake_catalog_slots_lost_total").increment(1),
                Err(error) => return refuse_all(batch, || again(&error)),
            }
            fresh = true;
            match self.catch_up(writing).await {
                // What became of our attempt lies in the part that was cleaned.
                Ok(CaughtUp::Reloaded) => return refuse_all(batch, cleaned),
                Ok(CaughtUp::Followed) => {}
                Err(error) => {
                    let slot = merged.next.id + 1;
                    tracing::warn!(%error, slot, "cannot read the entry that took our slot");
                    return refuse_all(batch, || again(&error));
                }
            }
        }
        refuse_all(batch, || Error::Busy { waiting: ROUNDS_MAX, limit: ROUNDS_MAX });
    }

    fn merge(&self, head: &Snapshot, batch: Vec<Waiter>) -> Merged {
        let mut next = head.successor(self.log.access.env.new_uuid(), self.log.access.env.now());
        let (mut accepted, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
        for waiter in batch {
            let mut trial = next.clone();
            match trial.apply(&waiter.operations) {
                Ok(()) => {
                    next = trial;
                    accepted.push(waiter);
                }
                Err(error) => refused.push((waiter, error)),
            }
        }
        Merged { next, accepted, refused }
    }

    async fn fill_next(&self, head: &Snapshot, next: &Snapshot, batch: &[Waiter]) -> Result<Filled> {
        let entry = LogEntryRef {
            seq: next.id,
            commit: next.commit,
            prev: head.commit,
            at: next.committed_at,
            operations: batch.iter().flat_map(|waiter| &waiter.operations).collect(),
        };
        let bytes = Bytes::from(codec::encode(Kind::Log, &entry)?);
        metrics::counter!("telelake_catalog_log_bytes_total").increment(bytes.len() as u64);
        self.log.fill(next.id, next.commit, &bytes).await
    }

    /// Our entry is in its slot. It counts only if the slot before is still there: else we were asleep while the log was
    /// cleaned, and have filled a slot that had a past. Nothing is deleted here: if we slept AFTER filling, the entry is genuine.
    async fn conclude(&self, writing: &mut Writing, head: &Snapshot, next: Snapshot, batch: Vec<Waiter>) {
        fail::fail_point!("commit::after_put");
        match self.log.verify(head.id, head.commit).await {
            Ok(true) => {
                let id = next.id;
                metrics::counter!("telelake_catalog_commits_total").increment(1);
                self.publish(writing, next);
                for waiter in batch {
                    let _gone = waiter.answer.send(Ok(id));
                }
            }
            Ok(false) => {
                tracing::error!(slot = next.id, "the log was cleaned past us while we stalled");
                if let Err(error) = self.reload(writing).await {
                    tracing::warn!(%error, "cannot reload the manifest");
                }
                refuse_all(batch, cleaned);
            }
            Err(error) => {
                let slot = next.id;
                refuse_all(batch, || Error::InDoubt { slot, reason: error.to_string() });
            }
        }
    }
}

fn cleaned() -> Error {
    Error::Fenced { reason: "the log was cleaned past our slot while we stalled".to_owned() }
}

fn refuse_all(batch: Vec<Waiter>, error: impl Fn() -> Error) {
    metrics::counter!("telelake_catalog_commits_failed_total").increment(batch.len() as u64);
    for waiter in batch {
        let _gone = waiter.answer.send(Err(error()));
    }
}

/// The same error for one more caller: what it wraps is told, not kept.
fn again(error: &Error) -> Error {
    match error {
        Error::Store { path, source } => Error::Store { path: path.clone(), source: tell(source) },
        Error::Corrupt { path, reason } => Error::Corrupt { path: path.clone(), reason: reason.clone() },
        Error::Unsupported { path, found, supported } => {
            Error::Unsupported { path: path.clone(), found: *found, supported: *supported }
        }
        other => Error::InvalidEdit { reason: other.to_string() },
    }
}

fn tell(source: &object_store::Error) -> object_store::Error {
    use object_store::Error as E;
    let text = source.to_string();
    match source {
        E::PermissionDenied { path, .. } => E::PermissionDenied { path: path.clone(), source: text.into() },
        E::Unauthenticated { path, .. } => E::Unauthenticated { path: path.clone(), source: text.into() },
        E::NotFound { path, .. } => E::NotFound { path: path.clone(), source: text.into() },
        _ => E::Generic { store: "catalog", source: text.into() },
    }
}

/// Counts bytes instead of keeping them.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Encoded size of `operations`, checked against the limit of an entry.
fn encoded_bytes(operations: &[Operation]) -> Result<usize> {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, operations).map_err(|e| Error::InvalidEdit { reason: e.to_string() })?;
    match counter.0 {
        bytes if bytes > ENTRY_BYTES_MAX => Err(Error::EditTooLarge { bytes, limit: ENTRY_BYTES_MAX }),
        bytes => Ok(bytes),
    }
}

impl Catalog {
    /// Commits `operations`: all of them or, with an error, none. Callers that wait at the same time share one log entry; a
    /// refused caller does not disturb the others. Returns the snapshot that contains them. A caller that stops waiting leaves
    /// the outcome open, not the commit half done.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::Fenced`], [`Error::AlreadyCommitted`], [`Error::InvalidEdit`], [`Error::EditTooLarge`]: refused.
    /// [`Error::InDoubt`]: may or may not take effect. Other errors: not written, as far as the store can be believed.
    pub async fn commit(self: &Arc<Self>, operations: Vec<Operation>) -> Result<SnapshotId> {
        let bytes = encoded_bytes(&operations)?;
        let (answer, outcome) = oneshot::channel();
        {
            let mut queue = self.queue.lock();
            if queue.len() >= WAITING_MAX {
                return Err(Error::Busy { waiting: queue.len(), limit: WAITING_MAX });
            }
            queue.push_back(Waiter { operations, bytes, answer });
        }
        let catalog = Arc::clone(self);
        tokio::spawn(async move { catalog.commit_waiting().await });
        outcome.await.unwrap_or_else(|_| {
            let slot = self.snapshot().id + 1;
            Err(Error::InDoubt { slot, reason: "the process is stopping".to_owned() })
        })
    }
}
