//! What the commits of late did to the metrics of each tenant: kept in memory with the snapshot, so that who keeps an answer learns from
//! a newer snapshot at which times it may have become another one.
//!
//! ```text
//! AddFile in a commit of log W   times of the file, of writer W      (W's reader knows these rows from its buffer already,
//!                                                                    unless a file that was named later is here before it)
//! AddFile else                   times of the file
//! RemoveFile, RetentionDrop      times of the files that die
//! DeletePredicate, CancelDelete  times of the predicate
//! ReplaceFiles, CleanFiles       nothing: compaction changes no answer
//! ```
//! # Invariants
//! - It is made by `Snapshot::apply` alone, so every process that follows the log has it. A snapshot that was loaded from a checkpoint
//!   knows nothing of the time before, and says so.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::entry::{Operation, WriterId};
use super::file::{FileEntry, Level};
use super::snapshot::{Snapshot, SnapshotId, served_range};
use crate::changes::Changes;
use crate::table::{Signal, Table};
use crate::tenant::TenantId;
use crate::time::TimeRange;

/// Tenants and writers whose changes are told apart; beyond it everything is forgotten, which costs answers, not truth.
const KEYS_MAX: usize = 16_384;

/// Whose files, and out of whose log, if they come from one.
type Key = (TenantId, Option<WriterId>);

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// What happened up to this snapshot is not known.
    forgotten: SnapshotId,
    changes: Arc<BTreeMap<Key, Arc<Changes>>>,
}

impl History {
    /// Nothing is known of what led to snapshot `id`.
    pub(super) fn since(id: SnapshotId) -> Self {
        Self { forgotten: id, changes: Arc::default() }
    }

    fn record(&mut self, id: SnapshotId, tenant: &TenantId, writer: Option<WriterId>, time: TimeRange) {
        let changes = Arc::make_mut(&mut self.changes);
        let key = (tenant.clone(), writer);
        if changes.len() >= KEYS_MAX && !changes.contains_key(&key) {
            changes.clear();
            self.forgotten = id;
            return;
        }
        Arc::make_mut(changes.entry(key).or_default()).record(id, time);
    }

    /// The changes of `tenant` that did not come out of the log of `writer`.
    fn of<'a>(&'a self, tenant: &'a TenantId, writer: WriterId) -> impl Iterator<Item = &'a Changes> {
        let first = (tenant.clone(), None);
        let all = self.changes.range(first..).take_while(move |((owner, _), _)| owner == tenant);
        all.filter(move |((_, by), _)| *by != Some(writer)).map(|(_, changes)| &**changes)
    }
}

impl Snapshot {
    /// The snapshot that last changed the metrics of `tenant`, apart from what came out of the log of `writer`. An earlier one that
    /// is not known of any more may be told as newer.
    pub fn metrics_changed(&self, tenant: &TenantId, writer: WriterId) -> SnapshotId {
        self.history.of(tenant, writer).map(Changes::newest).fold(self.history.forgotten, SnapshotId::max)
    }

    /// The times at which metrics of `tenant` may have changed after snapshot `id`, apart from what came out of the log of `writer`.
    /// `None` when that is not known any more.
    pub fn metrics_changes(&self, tenant: &TenantId, writer: WriterId, id: SnapshotId) -> Option<Vec<TimeRange>> {
        if id < self.history.forgotten {
            return None;
        }
        Some(self.history.of(tenant, writer).flat_map(|changes| changes.since(id)).collect())
    }

    /// Notes what `operations`, which are being applied, change.
    pub(super) fn note(&mut self, operations: &[Operation]) {
        let writer = operations.iter().find_map(|operation| match operation {
            Operation::WalCommit { writer, .. } => Some(*writer),
            _ => None,
        });
        let facts: HashSet<&TenantId> = operations.iter().filter_map(facts_of).map(|file| &file.tenant).collect();
        for operation in operations {
            match operation {
                Operation::AddFile { file } => {
                    if let Some(time) = added(file, &facts) {
                        let writer = writer.filter(|_| !self.is_outlived(file));
                        self.history.record(self.id, &file.tenant, writer, time);
                    }
                }
                Operation::RemoveFile { tenant, table, day, id } if is_read(*table) => {
                    if let Some(time) = self.find(tenant, *table, *day, *id).map(|file| served_range(file)) {
                        self.history.record(self.id, tenant, None, time);
                    }
                }
                Operation::RetentionDrop { tenant, table, before } if is_read(*table) => {
                    for time in self.expired(tenant, *table, *before) {
                        self.history.record(self.id, tenant, None, time);
                    }
                }
                Operation::DeletePredicate { tenant, signal: Signal::Metrics, start, end, .. } => {
                    self.history.record(self.id, tenant, None, TimeRange::new(*start, *end));
                }
                Operation::CancelDelete { id } => {
                    let metrics = self.delete_predicate(*id).filter(|delete| delete.signal == Signal::Metrics);
                    if let Some((tenant, time)) = metrics.map(|delete| (delete.tenant.clone(), delete.time)) {
                        self.history.record(self.id, &tenant, None, time);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a file of another log was named after `file` and committed before it. Of two samples of one time the one of the newer file
    /// counts, so that `file` may show less than the buffer that it comes from did.
    fn is_outlived(&self, file: &FileEntry) -> bool {
        let Some(leaf) = self.leaf(&file.tenant, file.table, file.partition.day) else { return false };
        let mut newer = leaf.files().filter(|other| other.id > file.id && other.level == Level::L0);
        newer.any(|other| other.time.overlaps(file.time))
    }

    /// The times that the files serve which `before` drops.
    fn expired(&self, tenant: &TenantId, table: Table, before: crate::time::Timestamp) -> Vec<TimeRange> {
        let files = self.files(tenant, table, TimeRange::new(crate::time::Timestamp::MIN, before));
        files.iter().map(|file| served_range(file)).filter(|time| time.end < before).collect()
    }
}

/// Whether answers about metrics come out of `table`.
const fn is_read(table: Table) -> bool {
    matches!(table, Table::Samples | Table::Histograms | Table::Series)
}

fn facts_of(operation: &Operation) -> Option<&FileEntry> {
    match operation {
        Operation::AddFile { file } if matches!(file.table, Table::Samples | Table::Histograms) => Some(file),
        _ => None,
    }
}

/// The times that a new file changes. The row of a series comes with its first sample of the day and changes nothing but what that
/// sample changes; one that comes alone may show samples that were there.
fn added(file: &FileEntry, facts: &HashSet<&TenantId>) -> Option<TimeRange> {
    match file.table {
        Table::Samples | Table::Histograms => Some(file.time),
        Table::Series if !facts.contains(&file.tenant) => Some(served_range(file)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::file::FileId;
    use super::super::testing::{START, file, tenant};
    use super::*;
    use crate::time::Timestamp;

    const OURS: WriterId = Uuid::from_u128(1);
    const THEIRS: WriterId = Uuid::from_u128(2);

    fn id(n: u128) -> FileId {
        Uuid::from_u128(n)
    }

    fn on(day: u64) -> Timestamp {
        START.saturating_add(std::time::Duration::from_secs(86_400 * day))
    }

    fn add(n: u128, table: Table, day: i64) -> Operation {
        Operation::AddFile { file: Box::new(file(id(n), table, day)) }
    }

    fn wal(writer: WriterId, from: u64) -> Operation {
        Operation::WalCommit { writer, epoch: 0, from, to: from }
    }

    fn next(head: &Snapshot, operations: &[Operation]) -> Snapshot {
        let mut next = head.successor(Uuid::nil(), Timestamp::MIN);
        next.apply(operations).expect("applies");
        next
    }

    /// The days on which metrics changed after snapshot `since`, for the reader of our log.
    #[track_caller]
    fn check(head: &Snapshot, since: SnapshotId, expected: Option<&[i64]>) {
        let day = |time: TimeRange| (time.end.as_secs() - START.as_secs()).div_euclid(86_400);
        let mut days: Option<Vec<i64>> =
            head.metrics_changes(&tenant(), OURS, since).map(|times| times.into_iter().map(day).collect());
        days.iter_mut().for_each(|days| days.sort_unstable());
        assert_eq!(days.as_deref(), expected, "since {since}");
    }

    #[test]
    fn what_others_commit_is_a_change_and_what_compaction_does_is_none() {
        let head = next(&Snapshot::default(), &[add(1, Table::Samples, 3), add(2, Table::Series, 3), wal(OURS, 1)]);
        check(&head, 0, Some(&[]));
        assert_eq!(head.metrics_changed(&tenant(), OURS), 0);
        assert_eq!(head.metrics_changed(&tenant(), THEIRS), 1, "another reader has not seen them in a buffer");
        let other = next(&head, &[add(9, Table::Samples, 4), wal(THEIRS, 1)]);
        let outlived = next(&other, &[add(8, Table::Samples, 4), add(10, Table::Samples, 4), wal(OURS, 2)]);
        check(&outlived, 2, Some(&[4]));
        let head = next(&head, &[add(3, Table::Samples, 4), wal(THEIRS, 1)]);
        check(&head, 1, Some(&[4]));
        let head = next(&head, &[add(4, Table::Samples, 9), add(5, Table::Logs, 1)]);
        check(&head, 1, Some(&[4, 9]));
        check(&head, 2, Some(&[9]));
        // Which row of a series is there only matters with its samples, unless it comes alone.
        let head = next(&head, &[add(6, Table::Series, 5)]);
        check(&head, 3, Some(&[5]));
        let replace = Operation::ReplaceFiles {
            tenant: tenant(),
            table: Table::Samples,
            day: file(id(7), Table::Samples, 9).partition.day,
            inputs: vec![id(4)],
            outputs: vec![file(id(7), Table::Samples, 9)],
            cleaned: None,
            applied: Vec::new(),
        };
        let head = next(&head, &[replace]);
        check(&head, 4, Some(&[]));
        assert_eq!(head.metrics_changed(&tenant(), OURS), 4);
        let day = file(id(7), Table::Samples, 9).partition.day;
        let head = next(&head, &[Operation::RemoveFile { tenant: tenant(), table: Table::Samples, day, id: id(7) }]);
        check(&head, 5, Some(&[9]));
        let drop = |before| Operation::RetentionDrop { tenant: tenant(), table: Table::Samples, before };
        let head = next(&head, &[drop(on(4))]);
        check(&head, 6, Some(&[3]));
        let head = next(&head, &[drop(on(4))]);
        check(&head, 7, Some(&[]));
        let delete = |signal| Operation::DeletePredicate {
            id: Uuid::from_u128(signal as u128 + 100),
            tenant: tenant(),
            signal,
            predicate: "{a=\"b\"}".to_owned(),
            start: on(1),
            end: on(1),
        };
        let head = next(&head, &[delete(Signal::Logs), delete(Signal::Metrics)]);
        check(&head, 8, Some(&[1]));
        let cancel = |signal| Operation::CancelDelete { id: Uuid::from_u128(signal as u128 + 100) };
        let head = next(&head, &[cancel(Signal::Logs), cancel(Signal::Metrics), cancel(Signal::Traces)]);
        check(&head, 9, Some(&[1]));
    }

    #[test]
    fn what_happened_before_a_checkpoint_is_not_known() {
        let loaded = Snapshot { id: 7, history: History::since(7), ..Snapshot::default() };
        check(&loaded, 6, None);
        check(&loaded, 7, Some(&[]));
        assert_eq!(loaded.metrics_changed(&tenant(), OURS), 7);
        let head = next(&loaded, &[add(1, Table::Histograms, 2)]);
        check(&head, 6, None);
        check(&head, 7, Some(&[2]));
    }
}
