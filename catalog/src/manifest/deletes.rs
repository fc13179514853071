//! Delete predicates: which rows they hide, and until when they are needed.
//!
//! ```text
//! file added in 5 ──┐                       ┌─ hides rows of it (5 <= 9) ── compacted: its rows are left out, `cleaned` 11 ──► added in 12
//!                   ├─ predicate since 9 ───┤                                                                                 │
//! file added in 10 ─┘                       └─ hides nothing of it        no live file is left that it hides rows of: forgotten ◄┘
//! ```
//! Rows that come later, with whatever times, are in files with a larger number and are not meant. A predicate may be taken back: what it
//! hides is seen again, as far as no compaction has left it out. One that is under way then commits nothing.

use std::sync::Arc;

use uuid::Uuid;

use super::file::{FileEntry, minted_at};
use super::leaf::Leaf;
use super::snapshot::{Snapshot, SnapshotId, served_range};
use crate::partition::Partition;
use crate::table::{Signal, Table};
use crate::tenant::TenantId;
use crate::time::{TimeRange, Timestamp};

/// Rows that were deleted by a selector: they are hidden at once and leave the files at their next rewrite.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct DeletePredicate {
    /// Its id.
    pub id: Uuid,
    /// Owner.
    pub tenant: TenantId,
    /// Signal.
    pub signal: Signal,
    /// Text in the language of `signal`: a selector, for logs with or without stages.
    pub predicate: String,
    /// Deleted instants, both ends included.
    pub time: TimeRange,
    /// The snapshot that brought it. It hides rows of files with [`Leaf::added`] up to this one.
    pub since: SnapshotId,
}

impl DeletePredicate {
    /// Whether rows of `table` can be meant: facts, and the dictionary of what they are selected by.
    pub fn concerns(&self, table: Table) -> bool {
        table.signal() == Some(self.signal) && !matches!(table, Table::Metadata | Table::Resources)
    }

    /// Whether it can hide rows of `file`, which came with snapshot `added`. Manifest statistics decide: it need not.
    pub fn may_hide(&self, file: &FileEntry, added: SnapshotId) -> bool {
        self.since >= added && self.concerns(file.table) && served_range(file).overlaps(self.time)
    }

    /// When it was made, as its id tells; the end of time if that does not.
    pub fn created(&self) -> Timestamp {
        minted_at(self.id)
    }

    fn may_hide_any(&self, leaf: &Leaf) -> bool {
        let mut files = leaf.files().zip(leaf.added());
        leaf.time().overlaps(self.time) && files.any(|(file, added)| self.may_hide(file, added))
    }
}

impl Snapshot {
    /// The delete predicates of `tenant`, oldest first.
    pub fn delete_predicates(&self, tenant: &TenantId) -> impl Iterator<Item = &DeletePredicate> {
        self.deletes.iter().filter(move |delete| delete.tenant == *tenant)
    }

    /// The delete predicate `id`, if it is there.
    pub fn delete_predicate(&self, id: Uuid) -> Option<&DeletePredicate> {
        self.deletes.iter().find(|delete| delete.id == id)
    }

    /// The delete predicates of all tenants that came after snapshot `id`.
    pub fn deletes_after(&self, id: SnapshotId) -> impl Iterator<Item = &DeletePredicate> {
        self.deletes.iter().filter(move |delete| delete.since > id)
    }

    /// The delete predicates that no live file needs any longer: [`super::Operation::ForgetDeletes`] takes them away.
    ///
    /// Costs O(predicates) times the files of the days they touch, until one that needs it is found.
    pub fn spent_deletes(&self) -> Vec<Uuid> {
        self.deletes.iter().filter(|delete| !self.is_needed(delete)).map(|delete| delete.id).collect()
    }

    /// Whether `delete` can hide rows of a live file of `table` on that day.
    pub fn needs_delete(&self, delete: &DeletePredicate, table: Table, day: i32) -> bool {
        self.leaf(&delete.tenant, table, day).is_some_and(|leaf| delete.may_hide_any(leaf))
    }

    /// Whether a live file can hold rows that `delete` hides.
    ///
    /// Costs O(files of the days that it touches), until one is found.
    pub fn is_needed(&self, delete: &DeletePredicate) -> bool {
        let Some(tables) = self.tenants.get(&delete.tenant) else { return false };
        let first = Partition::of(Table::Series, delete.time.start).day;
        let last = Partition::of(Table::Series, delete.time.end).day;
        let concerned = tables.iter().filter(|(table, _)| first <= last && delete.concerns(**table));
        concerned.flat_map(|(_, days)| days.range(first..=last)).any(|(_, leaf)| delete.may_hide_any(leaf))
    }

    pub(super) fn delete(&mut self, delete: DeletePredicate) {
        if self.deletes.iter().all(|known| known.id != delete.id) {
            Arc::make_mut(&mut self.deletes).push(delete);
        }
    }

    pub(super) fn cancel_delete(&mut self, id: Uuid) {
        if self.delete_predicate(id).is_some() {
            Arc::make_mut(&mut self.deletes).retain(|delete| delete.id != id);
        }
    }

    pub(super) fn forget_deletes(&mut self, ids: &[Uuid]) {
        // Judged again: a file that needs it may have come to life since the caller looked.
        let keeps = |delete: &DeletePredicate| !ids.contains(&delete.id) || self.is_needed(delete);
        let kept: Vec<DeletePredicate> = self.deletes.iter().filter(|delete| keeps(delete)).cloned().collect();
        if kept.len() < self.deletes.len() {
            self.deletes = Arc::new(kept);
        }
    }
}
