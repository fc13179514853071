//! A lake in memory with the manifest's rules, that fails, is slow, and loses answers by seed.

use std::collections::{BTreeMap, HashMap, HashSet};

use catalog::env::fixed::SeededEntropy;
use catalog::{Entropy, FileEntry, FileId, Level, Partition, SnapshotId, TimeRange};
use parking_lot::Mutex;

use super::*;

#[derive(Debug)]
pub(super) struct Shelf {
    state: Mutex<State>,
    random: Arc<SeededEntropy>,
}

#[derive(Debug, Default)]
struct State {
    written: HashMap<FileId, Arc<(TenantId, RecordBatch)>>,
    truth: Pinned,
    /// What this process has loaded.
    loaded: Pinned,
    faults_percent: u64,
    slow: bool,
    rejects: bool,
    condemns: bool,
    commits: u32,
}

/// One version of the manifest.
#[derive(Debug, Default, Clone)]
pub(super) struct Pinned {
    live: BTreeMap<FileId, Arc<(TenantId, RecordBatch)>>,
    marks: HashMap<WriterId, LogMark>,
}

impl Pinned {
    pub(super) fn mark(&self, writer: WriterId) -> Option<LogMark> {
        self.marks.get(&writer).copied()
    }

    pub(super) fn batches(&self, tenant: &TenantId) -> impl Iterator<Item = &RecordBatch> {
        self.live.values().filter(move |file| file.0 == *tenant).map(|file| &file.1)
    }
}

impl Shelf {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), random: SeededEntropy::new(seed ^ 0x5e1f) })
    }

    pub(super) fn set_faults(&self, percent: u64) {
        self.state.lock().faults_percent = percent;
    }

    pub(super) fn set_slow(&self, slow: bool) {
        self.state.lock().slow = slow;
    }

    /// From now on rows are refused as such, or taken again.
    pub(super) fn set_rejecting(&self, rejects: bool) {
        self.state.lock().rejects = rejects;
    }

    /// The files of the next commit count as deleted.
    pub(super) fn condemn_next(&self) {
        self.state.lock().condemns = true;
    }

    /// Commits of log ranges.
    pub(super) fn commits(&self) -> u32 {
        self.state.lock().commits
    }

    pub(super) fn pin(&self) -> Pinned {
        self.state.lock().loaded.clone()
    }

    fn fails(&self) -> bool {
        self.random.next_u64() % 100 < self.state.lock().faults_percent
    }

    async fn dawdle(&self) {
        let slow = self.state.lock().slow;
        if slow {
            tokio::time::sleep(Duration::from_millis(self.random.next_u64() % 100)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// Any error but `Fenced` and `AlreadyCommitted` is retried.
fn unavailable() -> catalog::Error {
    catalog::Error::Conflict { snapshot: 0, reason: "the shelf is full of faults".to_owned() }
}

impl Pinned {
    fn apply(
        &mut self,
        operations: &[Operation],
        written: &HashMap<FileId, Arc<(TenantId, RecordBatch)>>,
    ) -> catalog::Result<u32> {
        let mut ranges = 0;
        let mut new = HashSet::new();
        for operation in operations {
            match operation {
                Operation::AddFile { file } => assert!(new.insert(file.id), "a file twice in one commit"),
                Operation::WriterFence { writer, epoch } => {
                    let mark = self.marks.entry(*writer).or_insert(LogMark { epoch: 0, committed: 0 });
                    if *epoch <= mark.epoch {
                        return Err(catalog::Error::Fenced { reason: format!("epoch {} is known", mark.epoch) });
                    }
                    mark.epoch = *epoch;
                }
                Operation::WalCommit { writer, epoch, from, to } => {
                    let mark = self.marks.get_mut(writer).expect("fenced first");
                    if *epoch != mark.epoch {
                        return Err(catalog::Error::Fenced { reason: format!("epoch {} has begun", mark.epoch) });
                    }
                    if *to <= mark.committed {
                        return Err(catalog::Error::AlreadyCommitted { to: *to });
                    }
                    assert_eq!(*from, mark.committed + 1, "log ranges follow each other");
                    mark.committed = *to;
                    ranges += 1;
                }
                other => panic!("ingest does not commit {other:?}"),
            }
        }
        assert!(new.iter().all(|id| !self.live.contains_key(id)), "a file twice");
        self.live.extend(new.into_iter().map(|id| (id, Arc::clone(&written[&id]))));
        Ok(ranges)
    }
}

#[async_trait]
impl Destination for Shelf {
    async fn write(&self, tenant: &TenantId, table: Table, batches: Vec<RecordBatch>) -> Result<Vec<FileEntry>> {
        self.dawdle().await;
        if self.state.lock().rejects {
            return Err(Error::Flush { kind: catalog::ErrorKind::Internal, reason: "a column is crooked".to_owned() });
        }
        if self.fails() {
            return Err(Error::Flush { kind: catalog::ErrorKind::Unavailable, reason: "the shelf is full of faults".to_owned() });
        }
        let rows = arrow::compute::concat_batches(&schema::rows(table), &batches).expect("batches of one table");
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.random.next_u64().to_le_bytes());
        let id = FileId::from_bytes(id);
        let entry = FileEntry {
            id,
            tenant: tenant.clone(),
            table,
            partition: Partition::of(table, START),
            level: Level::L0,
            bytes: 1,
            rows: rows.num_rows() as u64,
            time: TimeRange::new(START, START),
            key_range: None,
            id_range: None,
            index: None,
            footer_bytes: 0,
            crc32: 0,
            raw_bytes: 0,
            schema_version: 1,
        };
        self.state.lock().written.insert(id, Arc::new((tenant.clone(), rows)));
        Ok(vec![entry])
    }

    async fn commit(&self, operations: Vec<Operation>) -> catalog::Result<SnapshotId> {
        self.dawdle().await;
        if self.fails() {
            return Err(unavailable());
        }
        let lost = self.fails();
        let mut state = self.state.lock();
        let state = &mut *state;
        if std::mem::take(&mut state.condemns) {
            let file = *state.written.keys().next().expect("a flush commits files");
            state.written.clear();
            return Err(catalog::Error::Condemned { file, floor: START });
        }
        let mut next = state.truth.clone();
        state.commits += next.apply(&operations, &state.written)?;
        state.truth = next;
        if lost {
            return Err(unavailable());
        }
        state.loaded = state.truth.clone();
        Ok(1)
    }

    async fn refresh(&self) -> catalog::Result<()> {
        self.dawdle().await;
        if self.fails() {
            return Err(unavailable());
        }
        let mut state = self.state.lock();
        state.loaded = state.truth.clone();
        Ok(())
    }

    fn mark(&self, writer: WriterId) -> Option<LogMark> {
        self.pin().mark(writer)
    }
}
