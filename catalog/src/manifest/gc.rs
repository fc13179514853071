//! What may be deleted from the store, and when. Deleting itself is the `lake` crate's.

use std::collections::HashSet;
use std::time::Duration;

use object_store::path::Path;

use super::dead::DeadFile;
use super::file::FileId;
use super::snapshot::Snapshot;
use crate::time::Timestamp;

/// Objects that nobody can need any more.
#[derive(Debug, Clone, Default)]
pub struct Expired {
    /// Log entries, ascending. Delete them one after the other in this order: that an entry exists must prove that all later ones
    /// were never deleted.
    pub log: Vec<Path>,
    /// Checkpoint roots, leaves and dead lists, in any order but after `log`.
    pub checkpoints: Vec<Path>,
    /// Data files. Commit [`super::Operation::ForgetFiles`] of those whose object is gone (`NotFound` counts as gone).
    pub data: Vec<DeadFile>,
}

/// Tells objects that no snapshot will ever name from those that are about to be named.
///
/// List the store FIRST, refresh the catalog SECOND, and judge with the snapshot got third: so a file that was listed and
/// committed meanwhile is known.
#[derive(Debug)]
pub struct OrphanRule {
    known: HashSet<FileId>,
    minted_before: Timestamp,
}

impl OrphanRule {
    /// The rule for `snapshot` at `now`. `oldest_upload` is the id of the oldest file of this process that is not committed yet.
    ///
    /// An orphan was minted before `now - min_age`, before the oldest upload in flight and before the newest committed file.
    pub fn new(snapshot: &Snapshot, now: Timestamp, min_age: Duration, oldest_upload: Option<FileId>) -> Self {
        let mut known: HashSet<FileId> = snapshot.dead_files().map(|file| file.id).collect();
        known.extend(snapshot.leaves().flat_map(|(_, _, _, leaf)| leaf.files().iter().map(|file| file.id)));
        let newest = known.iter().map(|id| minted_at(*id)).max().unwrap_or(Timestamp::MIN);
        let oldest_upload = oldest_upload.map_or(Timestamp::MAX, minted_at);
        Self { known, minted_before: now.saturating_sub(min_age).min(newest).min(oldest_upload) }
    }

    /// Whether the object of `id` may be deleted.
    pub fn is_orphan(&self, id: FileId) -> bool {
        !self.known.contains(&id) && minted_at(id) < self.minted_before
    }
}

/// When `id` was minted, to the millisecond; the end of time for an id that does not say.
fn minted_at(id: FileId) -> Timestamp {
    match id.get_timestamp() {
        Some(at) => {
            let (seconds, nanos) = at.to_unix();
            Timestamp::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)).saturating_add(Duration::from_nanos(nanos.into()))
        }
        None => Timestamp::MAX,
    }
}
