//! The live files of one tenant, table and day.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::file::{FileEntry, FileId};
use super::snapshot::{SnapshotId, served_range};
use crate::time::{TimeRange, Timestamp};

/// The live files of one tenant, table and day, ordered by id (so by the time they were minted), with their totals.
#[derive(Debug, Clone)]
pub struct Leaf {
    files: Vec<Arc<FileEntry>>,
    added: Vec<SnapshotId>,
    time: TimeRange,
    rows: u64,
    bytes: u64,
    /// XOR over the files of hash(id, added): equal fingerprints mean equal leaves, for files are immutable and ids never reused.
    fingerprint: u128,
}

impl Default for Leaf {
    fn default() -> Self {
        let time = TimeRange::new(Timestamp::MAX, Timestamp::MIN);
        Self { files: Vec::new(), added: Vec::new(), time, rows: 0, bytes: 0, fingerprint: 0 }
    }
}

impl Leaf {
    /// The files, ascending by id.
    pub fn files(&self) -> &[Arc<FileEntry>] {
        &self.files
    }

    /// For each of [`Leaf::files`], the snapshot since which its oldest rows are in files. Delete predicates compare with it.
    /// A compaction's output inherits the smallest of its inputs.
    pub fn added(&self) -> &[SnapshotId] {
        &self.added
    }

    /// The instants that the files serve together; empty when there are none.
    pub fn time(&self) -> TimeRange {
        self.time
    }

    /// Rows in all files.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of all files on the store.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file of that id.
    pub fn find(&self, id: FileId) -> Option<&Arc<FileEntry>> {
        self.position(id).ok().map(|at| &self.files[at])
    }

    pub(super) fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// The snapshot that brought the rows of that file: of a compacted file the oldest of its inputs'.
    pub fn added_of(&self, id: FileId) -> Option<SnapshotId> {
        self.position(id).ok().map(|at| self.added[at])
    }

    fn position(&self, id: FileId) -> Result<usize, usize> {
        self.files.binary_search_by(|file| file.id.cmp(&id))
    }

    /// Adds `file`; false, and nothing done, when its id is here already.
    pub(super) fn insert(&mut self, file: Arc<FileEntry>, added: SnapshotId) -> bool {
        let Err(at) = self.position(file.id) else { return false };
        let served = served_range(&file);
        self.time = TimeRange::new(self.time.start.min(served.start), self.time.end.max(served.end));
        self.rows = self.rows.saturating_add(file.rows);
        self.bytes = self.bytes.saturating_add(file.bytes);
        self.fingerprint ^= hash(file.id, added);
        self.files.insert(at, file);
        self.added.insert(at, added);
        true
    }

    /// Takes the file of that id out.
    pub(super) fn remove(&mut self, id: FileId) -> Option<Arc<FileEntry>> {
        let at = self.position(id).ok()?;
        let file = self.files.remove(at);
        let added = self.added.remove(at);
        self.rows = self.rows.saturating_sub(file.rows);
        self.bytes = self.bytes.saturating_sub(file.bytes);
        self.fingerprint ^= hash(file.id, added);
        self.time = self
            .files
            .iter()
            .map(|file| served_range(file))
            .fold(Self::default().time, |all, one| TimeRange::new(all.start.min(one.start), all.end.max(one.end)));
        Some(file)
    }
}

fn hash(id: FileId, added: SnapshotId) -> u128 {
    let mut bytes = [0u8; 24];
    bytes[..16].copy_from_slice(id.as_bytes());
    bytes[16..].copy_from_slice(&added.to_le_bytes());
    xxh3_128(&bytes)
}
