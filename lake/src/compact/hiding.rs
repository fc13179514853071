//! What deletes mean for the files of one day: which of them may be merged, and which are rewritten for their deletes alone.
//!
//! ```text
//! samples, histograms, exemplars, logs   any files merge: what a predicate hides of an input is left out
//! series, streams                        while a file of the day still holds rows that a predicate hides, the predicate needs the labels:
//!                                        only files with the same predicates merge, and nothing is left out
//! ```
//! A file that no other plan takes up is rewritten alone at level 2, whose files hold no equal rows; at the levels below together with
//! those that are newer, so that of equal rows the newer one stays the newer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use catalog::manifest::{DeletePredicate, Leaf};
use catalog::{FileEntry, FileId, Level, Partition, Snapshot, SnapshotId, Table, TenantId, Timestamp};

use super::pick::{Picker, Plan, minted_at, recency};
use super::{CompactConfig, Mode};
use crate::deletes::facts_of;

/// The predicates that can hide rows of one leaf.
pub(super) struct Hiding<'a> {
    leaf: &'a Leaf,
    deletes: Vec<&'a DeletePredicate>,
    /// Whether they wait for other tables.
    is_deferred: bool,
}

impl<'a> Hiding<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, tenant: &TenantId, table: Table, day: i32, leaf: &'a Leaf) -> Self {
        let range = Partition { day, slice: None }.range();
        let concerns = |delete: &&DeletePredicate| delete.concerns(table) && delete.time.overlaps(range);
        let deletes: Vec<_> = snapshot.delete_predicates(tenant).filter(concerns).collect();
        let needed = |delete: &&DeletePredicate| facts_of(table).iter().any(|fact| snapshot.needs_delete(delete, *fact, day));
        let is_deferred = deletes.iter().any(needed);
        Self { leaf, deletes, is_deferred }
    }

    /// The files in groups that may be merged, those with the oldest rows first.
    pub(super) fn groups(&self) -> Vec<Vec<Arc<FileEntry>>> {
        if !self.is_deferred {
            return vec![self.leaf.files().cloned().collect()];
        }
        let mut groups: BTreeMap<Reverse<usize>, Vec<Arc<FileEntry>>> = BTreeMap::new();
        for (file, added) in self.leaf.files().zip(self.leaf.added()) {
            let hiding = self.deletes.iter().filter(|delete| delete.since >= added).count();
            groups.entry(Reverse(hiding)).or_default().push(Arc::clone(file));
        }
        groups.into_values().collect()
    }

    /// What the inputs of a plan must be freed from, and since when their rows are in files.
    pub(super) fn of_inputs(&self, inputs: &[Arc<FileEntry>]) -> (Vec<DeletePredicate>, Vec<SnapshotId>) {
        let added: Vec<SnapshotId> = inputs.iter().map(|file| self.added(file.id)).collect();
        if self.is_deferred {
            return (Vec::new(), added);
        }
        // Those that may hide rows of the outputs, which are as old as the oldest input and span the times of all: an input that a
        // predicate is older than must not come under it with the others.
        let oldest = added.iter().copied().min().unwrap_or(SnapshotId::MAX);
        let hides = |delete: &&&DeletePredicate| inputs.iter().any(|file| delete.may_hide(file, oldest));
        (self.deletes.iter().filter(hides).map(|delete| (*delete).clone()).collect(), added)
    }

    /// Plans for files with hidden rows that none of `plans`, those of this leaf, takes up.
    pub(super) fn cover(&self, picker: &Picker<'_>, plans: &mut Vec<Plan>) {
        if self.is_deferred || self.deletes.is_empty() {
            return;
        }
        let taken: HashSet<FileId> = plans.iter().flat_map(|plan| plan.inputs.iter().map(|file| file.id)).collect();
        let mut below: BTreeMap<Partition, Vec<Arc<FileEntry>>> = BTreeMap::new();
        for file in self.leaf.files() {
            if file.level != Level::L2 {
                below.entry(file.partition).or_default().push(Arc::clone(file));
            } else if self.is_touched(file) && !taken.contains(&file.id) && is_due(file, picker.now, picker.config, picker.mode) {
                plans.push(picker.plan(file.partition, Level::L2, vec![Arc::clone(file)], self));
            }
        }
        // Below level 2 files are rewritten soon anyway.
        if picker.mode == Mode::Due {
            return;
        }
        for (partition, files) in below {
            if files.iter().all(|file| !taken.contains(&file.id)) {
                let inputs = self.touched_and_newer(files);
                if !inputs.is_empty() {
                    plans.push(picker.plan(partition, Level::L1, inputs, self));
                }
            }
        }
    }

    /// Of level 1 the first touched file and all newer ones, of level 0 the last touched one and all older ones.
    fn touched_and_newer(&self, mut files: Vec<Arc<FileEntry>>) -> Vec<Arc<FileEntry>> {
        files.sort_by_key(|file| recency(file));
        let fresh = files.split_off(files.partition_point(|file| file.level == Level::L1));
        let first = files.iter().position(|file| self.is_touched(file)).unwrap_or(files.len());
        let last = fresh.iter().rposition(|file| self.is_touched(file)).map_or(0, |at| at + 1);
        files.into_iter().skip(first).chain(fresh.into_iter().take(last)).collect()
    }

    fn is_touched(&self, file: &FileEntry) -> bool {
        let added = self.added(file.id);
        self.deletes.iter().any(|delete| delete.may_hide(file, added))
    }

    fn added(&self, id: FileId) -> SnapshotId {
        self.leaf.added_of(id).unwrap_or(SnapshotId::MAX)
    }
}

/// A day is rewritten for deletes at most once in the time in which late rows rewrite it once.
fn is_due(file: &FileEntry, now: Timestamp, config: &CompactConfig, mode: Mode) -> bool {
    mode != Mode::Due || now > minted_at(file.id).saturating_add(config.day_delay)
}
