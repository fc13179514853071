//! Files that the log has killed and whose objects may still be on the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::file::{FileEntry, FileId, Level, data_path};
use super::snapshot::SnapshotId;
use crate::partition::Partition;
use crate::table::Table;
use crate::tenant::TenantId;
use crate::time::Timestamp;

/// Snapshots whose deaths share a bucket, as a shift: a commit copies one bucket, a checkpoint rewrites only touched ones.
const BUCKET_SHIFT: u32 = 8;

/// A file that is no longer live: enough to delete its object once nobody can need it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeadFile {
    /// Its id.
    pub id: FileId,
    /// Owner.
    pub tenant: TenantId,
    /// Table.
    pub table: Table,
    /// Day and slice.
    pub partition: Partition,
    /// Level.
    pub level: Level,
    /// Size of the object in bytes.
    pub bytes: u64,
    /// The first snapshot without it.
    pub died_in: SnapshotId,
    /// When that was committed.
    pub died_at: Timestamp,
}

impl DeadFile {
    pub(super) fn new(file: &FileEntry, died_in: SnapshotId, died_at: Timestamp) -> Self {
        Self {
            id: file.id,
            tenant: file.tenant.clone(),
            table: file.table,
            partition: file.partition,
            level: file.level,
            bytes: file.bytes,
            died_in,
            died_at,
        }
    }

    /// The object's path below the store's root, as [`FileEntry::path`].
    pub fn path(&self) -> object_store::path::Path {
        data_path(&self.tenant, self.table, self.partition, self.level, self.id)
    }
}

/// The dead files of 256 consecutive snapshots.
#[derive(Clone, Default, Debug)]
pub(super) struct DeadBucket {
    files: BTreeMap<FileId, DeadFile>,
    /// XOR over the files of hash(id): a file dies once, so equal fingerprints mean equal buckets.
    fingerprint: u128,
}

impl DeadBucket {
    pub(super) fn key(died_in: SnapshotId) -> u64 {
        died_in >> BUCKET_SHIFT
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &DeadFile> {
        self.files.values()
    }

    pub(super) fn contains(&self, id: FileId) -> bool {
        self.files.contains_key(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    pub(super) fn insert(&mut self, file: DeadFile) {
        let hash = xxhash_rust::xxh3::xxh3_128(file.id.as_bytes());
        if self.files.insert(file.id, file).is_none() {
            self.fingerprint ^= hash;
        }
    }

    pub(super) fn forget(&mut self, id: FileId) {
        if self.files.remove(&id).is_some() {
            self.fingerprint ^= xxhash_rust::xxh3::xxh3_128(id.as_bytes());
        }
    }
}
