//! The log on the store: read a slot, follow the tail, fill the next slot.
//!
//! ```text
//! slot        1    2    3 ...  40 │ 41   42   43        44
//! object      gone gone gone  gone│ e41  e42  e43       absent ◄── create-if-absent: one writer wins
//!                        boundary ┘      prev=id(e41)
//! ```
//!
//! # Invariants
//! - Entries are deleted in ascending order, and never the newest one. So while entry `k` exists no later entry was ever deleted,
//!   and an entry `k + 1` that was read, or created, while `k` existed is genuine. [`Log::verify`] asks exactly that, afterwards.
//! - A slot whose creation was not answered is read: the commit id says whose it is.

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::access::{Access, is_definite};
use super::codec::{self, Kind, LogEntry, decode_log_entry};
use super::layout;
use super::snapshot::{Snapshot, SnapshotId};
use crate::error::{Error, Result};

/// Most slots read at once while catching up.
const READ_AHEAD_MAX: u64 = 32;
/// Reads of a corrupt object before it is believed to be corrupt on the store, not on the way.
const CORRUPT_READS: u32 = 3;

/// Where the log begins. A hint that only grows, but for a stalled cleaner, whose late write may set it back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Boundary {
    /// The oldest entry that is kept; older ones are being deleted. Its checkpoint exists.
    pub(super) oldest: SnapshotId,
    /// Every entry before this one was deleted.
    pub(super) deleted_below: SnapshotId,
    /// A checkpoint, the newest when this was written.
    pub(super) checkpoint: SnapshotId,
}

/// How an attempt to fill a slot ended.
pub(super) enum Filled {
    /// The slot holds our entry.
    Ours,
    /// The slot holds another writer's entry.
    Taken,
    /// Nobody knows.
    Unknown(String),
}

/// What following the tail found.
pub(super) enum Tail {
    /// The newest snapshot; the base itself when nothing is new.
    At(Snapshot),
    /// The base lies in the part of the log that was cleaned: start over from a checkpoint.
    Cleaned,
}

#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) access: Access,
}

impl Log {
    /// The entry in slot `seq`, if it is filled. A body that arrives damaged is read again.
    pub(super) async fn read(&self, seq: SnapshotId) -> Result<Option<LogEntry>> {
        let path = layout::log_entry(seq);
        let mut reads = 0;
        loop {
            let Some(bytes) = self.access.get(&path).await? else { return Ok(None) };
            reads += 1;
            match decode_log_entry(seq, &bytes) {
                Ok(entry) => return Ok(Some(entry)),
                Err(Error::Corrupt { .. }) if reads < CORRUPT_READS => self.access.pause(reads).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Applies the entries after `base`, up to `last`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when an entry that is genuine cannot be applied.
    pub(super) async fn follow(&self, base: &Snapshot, last: SnapshotId) -> Result<Tail> {
        let mut head = base.clone();
        let mut ahead = 1;
        let mut broken = None;
        'slots: while head.id < last {
            let slots = head.id + 1..=head.id.saturating_add(ahead).min(last);
            let mut entries = stream::iter(slots).map(|seq| self.read(seq).boxed()).buffered(READ_AHEAD_MAX as usize);
            while let Some(entry) = entries.try_next().await? {
                let Some(entry) = entry else { break 'slots };
                match replay(&head, &entry) {
                    Ok(next) => head = next,
                    Err(error) => {
                        broken = Some(error);
                        break 'slots;
                    }
                }
            }
            ahead = (ahead * 2).min(READ_AHEAD_MAX);
        }
        if (head.id > base.id || broken.is_some()) && !self.verify(base.id, base.commit).await? {
            return Ok(Tail::Cleaned);
        }
        broken.map_or(Ok(Tail::At(head)), Err)
    }

    /// Whether slot `seq` holds `commit` still, so that nothing after it was cleaned so far. Slot 0, the empty lake, holds until
    /// the first cleaning.
    pub(super) async fn verify(&self, seq: SnapshotId, commit: Uuid) -> Result<bool> {
        let chained = async {
            let entry = if seq == 0 { None } else { self.read(seq).await? };
            Ok(seq == 0 || entry.is_some_and(|entry| entry.commit == commit))
        };
        let (chained, boundary): (Result<bool>, _) = futures::join!(chained, self.boundary());
        Ok(chained? && boundary?.is_none_or(|boundary| boundary.oldest <= seq))
    }

    /// Fills slot `seq` with `bytes`, the frame of an entry with id `commit`.
    ///
    /// # Errors
    /// [`Error::Store`] when the store said no: not written. [`Error::Corrupt`], [`Error::Unsupported`]: the slot is taken by
    /// something unreadable.
    pub(super) async fn fill(&self, seq: SnapshotId, commit: Uuid, bytes: &Bytes) -> Result<Filled> {
        let path = layout::log_entry(seq);
        let mut reason = String::new();
        for attempt in 0..self.access.config.attempts_max {
            self.access.pause(attempt).await;
            fail::fail_point!("commit::before_put");
            match self.access.create_once(&path, bytes.clone()).await {
                Ok(()) => return Ok(Filled::Ours),
                Err(source @ (object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })) => {
                    reason = source.to_string();
                }
                Err(source) if is_definite(&source) && reason.is_empty() => return Err(Error::Store { path, source }),
                Err(source) => reason = source.to_string(),
            }
            match self.read(seq).await {
                Ok(Some(entry)) if entry.commit == commit => return Ok(Filled::Ours),
                Ok(Some(_)) => return Ok(Filled::Taken),
                Ok(None) => {}
                Err(Error::Store { source, .. }) => reason = source.to_string(),
                Err(unreadable) => return Err(unreadable),
            }
        }
        Ok(Filled::Unknown(reason))
    }

    /// The boundary, if the log was ever cleaned.
    pub(super) async fn boundary(&self) -> Result<Option<Boundary>> {
        let path = layout::boundary();
        let mut reads = 0;
        loop {
            let Some(bytes) = self.access.get(&path).await? else { return Ok(None) };
            reads += 1;
            match codec::decode(Kind::Boundary, &path, &bytes) {
                Ok(boundary) => return Ok(Some(boundary)),
                Err(Error::Corrupt { .. }) if reads < CORRUPT_READS => self.access.pause(reads).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves the boundary up to `wanted`; never back. Returns where it is now.
    pub(super) async fn raise_boundary(&self, wanted: Boundary) -> Result<Boundary> {
        let known = self.boundary().await?;
        let old = known.unwrap_or_default();
        let new = Boundary {
            oldest: old.oldest.max(wanted.oldest),
            deleted_below: old.deleted_below.max(wanted.deleted_below),
            checkpoint: old.checkpoint.max(wanted.checkpoint),
        };
        if known != Some(new) {
            self.access.put(&layout::boundary(), codec::encode(Kind::Boundary, &new)?.into()).await?;
        }
        Ok(new)
    }
}

/// The snapshot after `entry`.
fn replay(head: &Snapshot, entry: &LogEntry) -> Result<Snapshot> {
    let corrupt = |reason: String| Error::Corrupt { path: layout::log_entry(entry.seq), reason };
    if entry.prev != head.commit {
        return Err(corrupt(format!("it follows commit {}, the entry before is {}", entry.prev, head.commit)));
    }
    let mut next = head.successor(entry.commit, entry.at);
    next.apply(&entry.operations).map_err(|error| corrupt(error.to_string()))?;
    Ok(next)
}
