//! One committed version of the manifest, in memory.
//!
//! ```text
//! Snapshot ─► tenant ─► table ─► day ─► Leaf [file, file, ...]      every arrow is an Arc:
//!          ├► marks (writer ─► epoch, committed)                     a commit copies the path to what it touches
//!          ├► delete predicates                                      and shares the rest with the version before
//!          └► dead files, in buckets of 256 snapshots
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::dead::{DeadBucket, DeadFile};
use super::deletes::DeletePredicate;
use super::entry::{LogMark, WriterId};
use super::file::{FileEntry, FileId};
use super::history::History;
use super::leaf::Leaf;
use crate::table::Table;
use crate::tenant::TenantId;
use crate::time::{TimeRange, Timestamp};

/// The sequence number of the newest log entry that a snapshot contains. 0 is the empty lake.
pub type SnapshotId = u64;

pub(super) type Days = BTreeMap<i32, Arc<Leaf>>;
pub(super) type Tables = BTreeMap<Table, Arc<Days>>;

/// What was live at one point of the log. Immutable and cheap to share; a commit makes the next one at a cost that follows the
/// change, not the number of files.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) id: SnapshotId,
    pub(super) commit: Uuid,
    pub(super) committed_at: Timestamp,
    pub(super) tenants: BTreeMap<TenantId, Arc<Tables>>,
    pub(super) marks: BTreeMap<WriterId, LogMark>,
    pub(super) deletes: Arc<Vec<DeletePredicate>>,
    pub(super) dead: BTreeMap<u64, Arc<DeadBucket>>,
    pub(super) floor: Timestamp,
    pub(super) schema_version: u32,
    pub(super) file_count: u64,
    pub(super) bytes: u64,
    pub(super) history: History,
}

impl Default for Snapshot {
    /// The empty lake.
    fn default() -> Self {
        Self {
            id: 0,
            commit: Uuid::nil(),
            committed_at: Timestamp::MIN,
            tenants: BTreeMap::new(),
            marks: BTreeMap::new(),
            deletes: Arc::default(),
            dead: BTreeMap::new(),
            floor: Timestamp::MIN,
            schema_version: 0,
            file_count: 0,
            bytes: 0,
            history: History::default(),
        }
    }
}

impl Snapshot {
    /// Its number: that of the newest log entry it contains.
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// When that entry was written, by the clock of its writer; never earlier than the one before. [`Timestamp::MIN`] for snapshot 0.
    pub fn committed_at(&self) -> Timestamp {
        self.committed_at
    }

    /// How far the log of `writer` is in files.
    pub fn mark(&self, writer: WriterId) -> Option<LogMark> {
        self.marks.get(&writer).copied()
    }

    /// The tenants that have live files, ascending.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.tenants.keys()
    }

    /// The live files of `table` that can hold rows of `range`, ordered by day and then by id.
    ///
    /// Facts are pruned by day and by the times of their rows. Dictionary tables are pruned by day only: their row is written once
    /// a day and serves all of it. Costs O(days of the table + files of the days hit).
    pub fn files(&self, tenant: &TenantId, table: Table, range: TimeRange) -> Vec<Arc<FileEntry>> {
        let mut found = Vec::new();
        let Some(days) = self.tenants.get(tenant).and_then(|tables| tables.get(&table)) else { return found };
        for leaf in days.values().filter(|leaf| leaf.time().overlaps(range)) {
            found.extend(leaf.files().filter(|file| served_range(file).overlaps(range)).cloned());
        }
        found
    }

    /// Every leaf with its tenant, table and day, in that order.
    pub fn leaves(&self) -> impl Iterator<Item = (&TenantId, Table, i32, &Leaf)> {
        self.shared_leaves().map(|(tenant, table, day, leaf)| (tenant, table, day, leaf.as_ref()))
    }

    pub(super) fn shared_leaves(&self) -> impl Iterator<Item = (&TenantId, Table, i32, &Arc<Leaf>)> {
        self.tenants.iter().flat_map(|(tenant, tables)| {
            let days = tables.iter().flat_map(|(table, days)| days.iter().map(move |(day, leaf)| (*table, *day, leaf)));
            days.map(move |(table, day, leaf)| (tenant, table, day, leaf))
        })
    }

    /// The files of one day of a table, if there are any.
    pub fn leaf(&self, tenant: &TenantId, table: Table, day: i32) -> Option<&Leaf> {
        self.tenants.get(tenant)?.get(&table)?.get(&day).map(Arc::as_ref)
    }

    /// The live file of that id. O(log files).
    pub fn find(&self, tenant: &TenantId, table: Table, day: i32, id: FileId) -> Option<&Arc<FileEntry>> {
        self.leaf(tenant, table, day)?.find(id)
    }

    /// Live files.
    pub fn file_count(&self) -> u64 {
        self.file_count
    }

    /// Bytes of the live files on the store.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Files that died and whose objects may still lie on the store, oldest death first (to 256 snapshots).
    pub fn dead_files(&self) -> impl Iterator<Item = &DeadFile> {
        self.dead.values().flat_map(|bucket| bucket.files())
    }

    /// Files minted before this can no longer be added; see [`super::Operation::RaiseFloor`].
    pub fn floor(&self) -> Timestamp {
        self.floor
    }

    /// The column layout of files written from now on.
    pub fn schema_version(&self) -> u32 {
        self.schema_version
    }
}

/// The instants for which a file's rows may be asked.
pub(super) fn served_range(file: &FileEntry) -> TimeRange {
    if file.table.is_dictionary() { file.partition.range() } else { file.time }
}
