//! The live files of one tenant, table and day.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::file::{FileEntry, FileId};
use super::snapshot::{SnapshotId, served_range};
use crate::time::{TimeRange, Timestamp};

/// A chunk that has so many files is cut in two. A commit copies one chunk of the leaf it touches and shares the others, so what it
/// costs does not grow with the files of a day.
const CHUNK_FILES: usize = 64;

/// The live files of one tenant, table and day, ordered by id (so by the time they were minted), with their totals.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// Ascending, none empty.
    chunks: Vec<Arc<Chunk>>,
    count: usize,
    time: TimeRange,
    rows: u64,
    bytes: u64,
    /// XOR over the files of hash(id, added): equal fingerprints mean equal leaves, for files are immutable and ids never reused.
    fingerprint: u128,
}

/// Neighbours in the order of ids.
#[derive(Debug, Clone, Default)]
struct Chunk {
    files: Vec<Arc<FileEntry>>,
    /// For each of them, see [`Leaf::added`].
    added: Vec<SnapshotId>,
}

impl Chunk {
    fn position(&self, id: FileId) -> Result<usize, usize> {
        self.files.binary_search_by(|file| file.id.cmp(&id))
    }
}

impl Default for Leaf {
    fn default() -> Self {
        let time = TimeRange::new(Timestamp::MAX, Timestamp::MIN);
        Self { chunks: Vec::new(), count: 0, time, rows: 0, bytes: 0, fingerprint: 0 }
    }
}

impl Leaf {
    /// The files, ascending by id.
    pub fn files(&self) -> impl Iterator<Item = &Arc<FileEntry>> + Clone {
        self.chunks.iter().flat_map(|chunk| chunk.files.iter())
    }

    /// How many files there are.
    pub fn file_count(&self) -> usize {
        self.count
    }

    /// For each of [`Leaf::files`], the snapshot since which its oldest rows are in files. Delete predicates compare with it.
    /// A compaction's output inherits the smallest of its inputs, unless deletes were applied: then it is later than these.
    pub fn added(&self) -> impl Iterator<Item = SnapshotId> + Clone {
        self.chunks.iter().flat_map(|chunk| chunk.added.iter().copied())
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
        let (chunk, at) = self.position(id).ok()?;
        self.chunks[chunk].files.get(at)
    }

    pub(super) fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// The snapshot that brought the rows of that file: of a compacted file the oldest of its inputs'.
    pub fn added_of(&self, id: FileId) -> Option<SnapshotId> {
        let (chunk, at) = self.position(id).ok()?;
        self.chunks[chunk].added.get(at).copied()
    }

    /// The chunk and the place in it: of the file, or where it would go. Chunk 0 may not exist yet.
    fn position(&self, id: FileId) -> Result<(usize, usize), (usize, usize)> {
        let starts_before = |chunk: &Arc<Chunk>| chunk.files.first().is_some_and(|first| first.id <= id);
        let chunk = self.chunks.partition_point(starts_before).saturating_sub(1);
        let place = self.chunks.get(chunk).map_or(Err(0), |found| found.position(id));
        place.map(|at| (chunk, at)).map_err(|at| (chunk, at))
    }

    /// Adds `file`; false, and nothing done, when its id is here already.
    pub(super) fn insert(&mut self, file: Arc<FileEntry>, added: SnapshotId) -> bool {
        let Err((number, at)) = self.position(file.id) else { return false };
        let served = served_range(&file);
        self.time = TimeRange::new(self.time.start.min(served.start), self.time.end.max(served.end));
        self.rows = self.rows.saturating_add(file.rows);
        self.bytes = self.bytes.saturating_add(file.bytes);
        self.fingerprint ^= hash(file.id, added);
        self.count += 1;
        if self.chunks.is_empty() {
            self.chunks.push(Arc::default());
        }
        let chunk = Arc::make_mut(&mut self.chunks[number]);
        chunk.files.insert(at, file);
        chunk.added.insert(at, added);
        if chunk.files.len() >= CHUNK_FILES {
            let half = CHUNK_FILES / 2;
            let later = Chunk { files: chunk.files.split_off(half), added: chunk.added.split_off(half) };
            self.chunks.insert(number + 1, Arc::new(later));
        }
        true
    }

    /// The file of that id counts as brought by `added`, if it does not count as newer.
    pub(super) fn raise_added(&mut self, id: FileId, added: SnapshotId) {
        let Ok((number, at)) = self.position(id) else { return };
        let before = self.chunks[number].added[at];
        if before < added {
            self.fingerprint ^= hash(id, before) ^ hash(id, added);
            Arc::make_mut(&mut self.chunks[number]).added[at] = added;
        }
    }

    /// Takes the file of that id out.
    pub(super) fn remove(&mut self, id: FileId) -> Option<Arc<FileEntry>> {
        let (number, at) = self.position(id).ok()?;
        let chunk = Arc::make_mut(&mut self.chunks[number]);
        let file = chunk.files.remove(at);
        let added = chunk.added.remove(at);
        if chunk.files.is_empty() {
            self.chunks.remove(number);
        }
        self.count -= 1;
        self.rows = self.rows.saturating_sub(file.rows);
        self.bytes = self.bytes.saturating_sub(file.bytes);
        self.fingerprint ^= hash(file.id, added);
        self.time = self
            .files()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::manifest::testing::file;
    use crate::table::Table;

    proptest! {
        /// A leaf is an ordered map, whatever came and went; and a copy made before does not see what came later.
        #[test]
        fn files_come_and_go(changes in prop::collection::vec((0_u128..400, any::<bool>()), 1..1_500)) {
            let mut leaf = Leaf::default();
            let mut model: BTreeMap<u128, SnapshotId> = BTreeMap::new();
            let mut before = (leaf.clone(), model.clone());
            for (n, (id, goes)) in changes.iter().enumerate() {
                if n == changes.len() / 2 {
                    before = (leaf.clone(), model.clone());
                }
                if *goes {
                    prop_assert_eq!(leaf.remove(FileId::from_u128(*id)).is_some(), model.remove(id).is_some());
                } else {
                    let is_new = !model.contains_key(id);
                    model.entry(*id).or_insert(n as u64);
                    prop_assert_eq!(leaf.insert(Arc::new(file(FileId::from_u128(*id), Table::Logs, 0)), n as u64), is_new);
                }
            }
            for (leaf, model) in [(leaf, model), before] {
                let found: Vec<_> = leaf.files().map(|file| file.id.as_u128()).zip(leaf.added()).collect();
                prop_assert_eq!(&found, &model.iter().map(|(id, added)| (*id, *added)).collect::<Vec<_>>());
                prop_assert_eq!(leaf.file_count(), model.len());
                prop_assert!(leaf.chunks.iter().all(|chunk| (1..CHUNK_FILES).contains(&chunk.files.len())));
                for id in 0..400 {
                    prop_assert_eq!(leaf.added_of(FileId::from_u128(id)), model.get(&id).copied());
                    prop_assert_eq!(leaf.find(FileId::from_u128(id)).is_some(), model.contains_key(&id));
                }
            }
        }
    }
}
