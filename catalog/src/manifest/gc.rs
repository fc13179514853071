//! What may be deleted from the store, and when.
//!
//! ```text
//! checkpoints   c100      c200 ... c900   c1000        kept: the last two, the base, one an hour between
//!                ▲ base: the newest that is older than the time-travel window
//! log       ░░░░│e100 e101 ...               e1042     kept: the base's entry and everything after
//! ```
//!
//! # Invariants
//! - The boundary is raised before the first log entry is deleted, and entries are deleted in ascending order, without asking a
//!   listing which exist: while an entry exists, no later one was ever deleted. Writers and readers rely on that.
//! - The base could be loaded when the plan was made: its root was read and its parts were listed.
//! - The object of a dead file goes only after the grace and the time-travel window, and when no pinned snapshot here names it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path;

use super::catalog::Catalog;
use super::checkpoint;
use super::dead::DeadFile;
use super::file::{FileId, minted_at};
use super::layout;
use super::log::Boundary;
use super::snapshot::{Snapshot, SnapshotId};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Most log entries of one plan; the next plan goes on.
const LOG_ENTRIES_MAX: u64 = 20_000;
/// Most data files of one plan.
const DATA_FILES_MAX: usize = 10_000;
/// Checkpoint objects deleted at the same time.
const DELETES_IN_FLIGHT: usize = 16;
const HOUR_NS: i64 = 3_600_000_000_000;

/// Objects that nobody can need any more.
#[derive(Debug, Clone, Default)]
pub struct Expired {
    /// Log entries, in the order in which [`Catalog::delete_expired_log`] deletes them.
    pub log: Vec<Path>,
    /// Roots, leaves and dead lists of checkpoints, in the order in which [`Catalog::delete_expired_log`] deletes them.
    pub checkpoints: Vec<Path>,
    /// Data files, for the caller to delete. Commit [`super::Operation::ForgetFiles`] of those whose object is gone (`NotFound`
    /// counts as gone).
    pub data: Vec<DeadFile>,
    /// Every log entry before this one is gone once `log` is deleted.
    log_below: SnapshotId,
}

/// What gc remembers of the roots it has read, so that each is read once.
#[derive(Debug, Default)]
pub(super) struct KnownRoots(BTreeMap<SnapshotId, KnownRoot>);

#[derive(Debug, Clone)]
struct KnownRoot {
    seq: SnapshotId,
    committed_at: Timestamp,
    parts: Arc<[Path]>,
}

/// Which checkpoints stay.
struct Kept {
    /// The oldest; the log begins at its entry.
    base: SnapshotId,
    seqs: HashSet<SnapshotId>,
}

impl Catalog {
    /// What may be deleted now. Refreshes first. One process should do gc; if two do, nothing breaks.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be listed or the boundary not be written.
    pub async fn expired_objects(&self) -> Result<Expired> {
        let mut checkpoints = self.checkpoints.lock().await;
        self.refresh().await?;
        let now = self.log.access.env.now();
        let mut expired = Expired { data: self.expired_data(now), ..Expired::default() };
        let roots = self.read_roots(&mut checkpoints.known).await?;
        let Some(kept) = keep(&roots, now.saturating_sub(self.log.access.config.time_travel)) else { return Ok(expired) };
        let parts: HashSet<Path> =
            roots.iter().filter(|root| kept.seqs.contains(&root.seq)).flat_map(|root| root.parts.iter().cloned()).collect();
        let listed = self.log.access.list(layout::PARTS).await?;
        let present: HashSet<&Path> = listed.iter().map(|object| &object.location).collect();
        let base_is_whole = roots.iter().filter(|r| r.seq == kept.base).all(|r| r.parts.iter().all(|p| present.contains(p)));
        if !base_is_whole {
            tracing::warn!(checkpoint = kept.base, "a part of the checkpoint is not listed, the log is not trimmed");
            return Ok(expired);
        }
        let newest = roots.last().map_or(0, |root| root.seq);
        self.expire_log(&mut expired, kept.base, newest).await?;
        let gone = roots.iter().filter(|root| !kept.seqs.contains(&root.seq));
        expired.checkpoints.extend(gone.map(|root| layout::checkpoint(root.seq)));
        let minted_before = now.saturating_sub(self.log.access.config.delete_grace);
        let orphans = listed.into_iter().map(|object| object.location).filter(|path| {
            !parts.contains(path) && layout::part_of(path).is_some_and(|object| minted_at(object) < minted_before)
        });
        expired.checkpoints.extend(orphans);
        Ok(expired)
    }

    /// Deletes what `expired` names of the log and of checkpoints, in the order that keeps the manifest sound. Returns how many
    /// objects that were.
    ///
    /// # Errors
    /// [`Error::Store`]: what was not deleted is in the next plan.
    pub async fn delete_expired_log(&self, expired: &Expired) -> Result<usize> {
        let access = &self.log.access;
        for entry in &expired.log {
            access.delete(entry).await?;
        }
        if expired.log_below > 0 {
            self.log.raise_boundary(Boundary { deleted_below: expired.log_below, ..Boundary::default() }).await?;
        }
        let (roots, parts): (Vec<&Path>, Vec<&Path>) =
            expired.checkpoints.iter().partition(|path| layout::sequence_of(path).is_some());
        for paths in [roots, parts] {
            let deletes: Vec<_> = paths.into_iter().map(|path| access.delete(path).boxed()).collect();
            stream::iter(deletes).buffer_unordered(DELETES_IN_FLIGHT).try_for_each(|()| async { Ok(()) }).await?;
        }
        Ok(expired.log.len() + expired.checkpoints.len())
    }

    fn expired_data(&self, now: Timestamp) -> Vec<DeadFile> {
        let config = &self.log.access.config;
        let died_before = now.saturating_sub(config.delete_grace.max(config.time_travel));
        let oldest_pin = self.pins.oldest().unwrap_or(SnapshotId::MAX);
        let snapshot = self.snapshot();
        let expired = snapshot.dead_files().filter(|file| file.died_at < died_before && file.died_in <= oldest_pin);
        expired.take(DATA_FILES_MAX).cloned().collect()
    }

    /// The checkpoints on the store that can be read, ascending.
    async fn read_roots(&self, known: &mut KnownRoots) -> Result<Vec<KnownRoot>> {
        let access = &self.log.access;
        let listed = checkpoint::list(access).await?;
        known.0.retain(|seq, _| listed.binary_search(seq).is_ok());
        for seq in listed {
            if known.0.contains_key(&seq) {
                continue;
            }
            match checkpoint::read_root(access, seq).await {
                Ok(root) => {
                    let parts = root.parts().collect();
                    known.0.insert(seq, KnownRoot { seq, committed_at: root.committed_at, parts });
                }
                Err(error @ (Error::NoSuchSnapshot(_) | Error::Corrupt { .. })) => {
                    tracing::warn!(checkpoint = seq, %error, "checkpoint cannot be read, gc leaves it alone");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(known.0.values().cloned().collect())
    }

    async fn expire_log(&self, expired: &mut Expired, base: SnapshotId, checkpoint: SnapshotId) -> Result<()> {
        let known = self.log.boundary().await?.unwrap_or_default();
        if base <= known.deleted_below.max(1) {
            return Ok(());
        }
        let boundary = self.log.raise_boundary(Boundary { oldest: base, checkpoint, ..known }).await?;
        let from = boundary.deleted_below.max(1);
        let to = boundary.oldest.min(from.saturating_add(LOG_ENTRIES_MAX));
        // Below `from` everything was deleted once: what is there now was left by writers that stalled.
        let listed = self.log.access.list(layout::LOG).await?;
        let left = listed.into_iter().map(|object| object.location);
        expired.log.extend(left.filter(|path| layout::sequence_of(path).is_some_and(|seq| seq < from)));
        expired.log.extend((from..to).map(layout::log_entry));
        expired.log_below = to;
        Ok(())
    }
}

/// The checkpoints to keep out of `roots` (ascending) when snapshots since `since` must stay readable. `None`: all of them.
fn keep(roots: &[KnownRoot], since: Timestamp) -> Option<Kept> {
    let second_newest = roots.len().checked_sub(2)?;
    let base = roots.iter().rposition(|root| root.committed_at <= since)?.min(second_newest);
    let mut hour = None;
    let kept = roots.iter().enumerate().skip(base).filter(|(at, root)| {
        let this_hour = root.committed_at.as_nanos().div_euclid(HOUR_NS);
        let first_of_hour = hour.replace(this_hour) != Some(this_hour);
        first_of_hour || *at >= second_newest
    });
    Some(Kept { seqs: kept.map(|(_, root)| root.seq).collect(), base: roots[base].seq })
}

/// Tells objects that no snapshot will ever name from those that are about to be named.
///
/// ```text
/// list the store ─► commit RaiseFloor(floor_of ...) ─► judge by the snapshot that has it ─► delete
/// ```
/// In this order: a file that was listed and committed before the floor is known to the snapshot, and one that was not can never be
/// committed behind it, however long its upload took and whoever writes it. Age only decides how soon.
#[derive(Debug)]
pub struct OrphanRule {
    known: HashSet<FileId>,
    floor: Timestamp,
}

impl OrphanRule {
    /// The rule of `snapshot`: an orphan was minted before its floor and has no place in it.
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut known: HashSet<FileId> = snapshot.dead_files().map(|file| file.id).collect();
        known.extend(snapshot.leaves().flat_map(|(_, _, _, leaf)| leaf.files().map(|file| file.id)));
        Self { known, floor: snapshot.floor() }
    }

    /// The rule once the floor is raised to where gc may raise it at `now`: `min_age` back, which spares uploads under way the work
    /// of a second try, and not beyond the newest committed file, since an empty manifest proves nothing.
    pub fn raised(mut self, now: Timestamp, min_age: Duration) -> Self {
        let newest = self.known.iter().map(|id| minted_at(*id)).max().unwrap_or(Timestamp::MIN);
        self.floor = self.floor.max(now.saturating_sub(min_age).min(newest));
        self
    }

    /// The floor it goes by.
    pub fn floor(&self) -> Timestamp {
        self.floor
    }

    /// Whether the object of `id` may be deleted.
    pub fn is_orphan(&self, id: FileId) -> bool {
        !self.known.contains(&id) && minted_at(id) < self.floor
    }
}
