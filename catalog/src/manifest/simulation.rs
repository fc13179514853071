//! Three writers on one faulty store, with stalls, crashes, zombies and gc, against a model in memory. One seed, one history.
//! A failure prints its seed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::testing::{self, FaultStore, Rates, file, tenant};
use super::{Catalog, CatalogConfig, FileEntry, FileId, Operation, Snapshot, SnapshotId};
use crate::env::fixed::SeededEntropy;
use crate::env::{Entropy, Env};
use crate::error::{Error, Result};
use crate::table::Table;

const SEEDS: u64 = 1_000;
const WRITERS: u64 = 3;
const STEPS: u64 = 30;

/// A row: record `.1` of writer `.0`'s log, or, with a writer of its own, a row that went by no log.
type Row = (u64, u64);

/// What the writer of a row was told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Committed,
    InDoubt,
    Refused,
}

#[derive(Debug, Default)]
struct Model {
    /// Rows of every file that was ever made.
    rows: HashMap<FileId, Vec<Row>>,
    /// Rows that go by no log, and records of logs that were acknowledged.
    told: BTreeMap<Row, Told>,
    /// Objects that gc deleted.
    deleted: HashSet<FileId>,
    /// Files of snapshots as somebody saw them.
    seen: BTreeMap<SnapshotId, Vec<FileId>>,
}

struct Actor {
    number: u64,
    writer: Uuid,
    store: Arc<InMemory>,
    start: Instant,
    dice: Arc<SeededEntropy>,
    model: Arc<Mutex<Model>>,
    rates: Rates,
    process: Process,
    others: u64,
}

/// One incarnation.
#[derive(Clone)]
struct Process {
    faults: FaultStore,
    env: Env,
    catalog: Arc<Catalog>,
    epoch: u64,
    /// Its edit in doubt, to be tried again before anything else goes by the log.
    pending: Option<(u64, u64, FileEntry)>,
}

fn config() -> CatalogConfig {
    CatalogConfig {
        checkpoint_entries: 4,
        checkpoint_age: Duration::from_secs(20),
        time_travel: Duration::from_secs(60),
        delete_grace: Duration::from_secs(60),
        request_timeout: Duration::from_secs(5),
        attempts_max: 4,
        ..CatalogConfig::default()
    }
}

fn files_of(snapshot: &Snapshot) -> Vec<FileId> {
    snapshot.leaves().flat_map(|(_, _, _, leaf)| leaf.files().map(|file| file.id)).collect()
}

/// Opens the catalog, however often it takes, and announces a new epoch.
async fn start(store: &Arc<InMemory>, start: Instant, dice: &SeededEntropy, rates: Rates, writer: Uuid) -> Process {
    loop {
        let faults = FaultStore::new(Arc::clone(store) as Arc<dyn ObjectStore>, dice.next_u64());
        faults.set_rates(rates);
        let env = testing::env(dice.next_u64(), start);
        let catalog = match Catalog::open(Arc::new(faults.clone()), env.clone(), config()).await {
            Ok(catalog) => catalog,
            Err(error @ (Error::Store { .. } | Error::Corrupt { .. })) => {
                tracing::debug!(%error, "cannot open");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            Err(error) => panic!("open: {error}"),
        };
        for _ in 0..20 {
            let epoch = catalog.snapshot().mark(writer).map_or(0, |mark| mark.epoch) + 1;
            match catalog.commit(vec![Operation::WriterFence { writer, epoch }]).await {
                Ok(_) => return Process { faults, env, catalog, epoch, pending: None },
                Err(error) => tracing::debug!(%error, "cannot fence"),
            }
        }
        faults.crash();
    }
}

impl Actor {
    fn roll(&self, sides: u64) -> u64 {
        self.dice.next_u64() % sides
    }

    async fn step(&mut self) {
        match self.roll(16) {
            0..=4 => {
                let mut process = self.process.clone();
                if !self.flush(&mut process).await {
                    self.restart().await;
                } else {
                    self.process = process;
                }
            }
            5 => self.add_plain().await,
            6..=8 => self.compact().await,
            9 => drop(self.process.catalog.refresh().await),
            10 | 11 => drop(self.process.catalog.checkpoint_if_due().await),
            12 | 13 => self.collect().await,
            14 => self.restart().await,
            _ => tokio::time::sleep(Duration::from_secs(self.roll(200))).await,
        }
        let snapshot = self.process.catalog.snapshot();
        self.note(&snapshot);
        tokio::time::sleep(Duration::from_millis(self.roll(5_000))).await;
    }

    /// Two processes never see one snapshot differently.
    fn note(&self, snapshot: &Snapshot) {
        let files = files_of(snapshot);
        let mut model = self.model.lock();
        let known = model.seen.entry(snapshot.id()).or_insert_with(|| files.clone());
        assert_eq!(*known, files, "snapshot {} is seen in two ways", snapshot.id());
    }

    fn new_file(&self, env: &Env, rows: Vec<Row>) -> FileEntry {
        let file = file(env.new_uuid(), Table::Logs, self.roll(2) as i64);
        self.model.lock().rows.insert(file.id, rows);
        file
    }

    /// Commits the next records of the log. False when the incarnation must stop.
    async fn flush(&self, process: &mut Process) -> bool {
        let (from, to, file) = match process.pending.take() {
            Some(pending) => pending,
            None => {
                let from = process.catalog.snapshot().mark(self.writer).map_or(0, |mark| mark.committed) + 1;
                let to = from + self.roll(3);
                (from, to, self.new_file(&process.env, (from..=to).map(|record| (self.number, record)).collect()))
            }
        };
        let add = Operation::AddFile { file: Box::new(file.clone()) };
        let commit = Operation::WalCommit { writer: self.writer, epoch: process.epoch, from, to };
        match process.catalog.commit(vec![add, commit]).await {
            Ok(_) | Err(Error::AlreadyCommitted { .. }) => {
                let mut model = self.model.lock();
                model.told.extend((from..=to).map(|record| ((self.number, record), Told::Committed)));
                true
            }
            Err(Error::Fenced { .. }) => false,
            Err(Error::InDoubt { .. } | Error::Store { .. } | Error::Corrupt { .. } | Error::Busy { .. }) => {
                process.pending = Some((from, to, file));
                true
            }
            Err(error) => panic!("flush {from}..={to} of writer {}: {error}", self.number),
        }
    }

    async fn add_plain(&mut self) {
        self.others += 1;
        let row = (100 + self.number, self.others);
        let file = self.new_file(&self.process.env, vec![row]);
        let told = match self.process.catalog.commit(vec![Operation::AddFile { file: Box::new(file) }]).await {
            Ok(_) => Told::Committed,
            Err(Error::InDoubt { .. } | Error::Fenced { .. }) => Told::InDoubt,
            Err(_) => Told::Refused,
        };
        self.model.lock().told.insert(row, told);
    }

    async fn compact(&self) {
        let snapshot = self.process.catalog.pin();
        let leaves: Vec<_> = snapshot.leaves().collect();
        if leaves.is_empty() {
            return;
        }
        let (_, table, day, leaf) = leaves[self.roll(leaves.len() as u64) as usize];
        let wanted = 1 + self.roll(3) as usize;
        let skip = self.roll(leaf.file_count() as u64) as usize;
        let inputs: Vec<FileId> = leaf.files().skip(skip).take(wanted).map(|file| file.id).collect();
        let rows = {
            let model = self.model.lock();
            inputs.iter().flat_map(|id| model.rows[id].clone()).collect()
        };
        let mut output = self.new_file(&self.process.env, rows);
        output.partition.day = day;
        let (outputs, applied) = (vec![output], Vec::new());
        let edit = Operation::ReplaceFiles { tenant: tenant(), table, day, inputs, outputs, cleaned: None, applied };
        let outcome = self.process.catalog.commit(vec![edit]).await;
        assert!(!matches!(outcome, Err(Error::InvalidEdit { .. })), "{outcome:?}");
    }

    async fn collect(&self) {
        let catalog = &self.process.catalog;
        let Ok(expired) = catalog.expired_objects().await else { return };
        let _tried = catalog.delete_expired_log(&expired).await;
        let ids: Vec<FileId> = expired.data.iter().map(|file| file.id).collect();
        self.model.lock().deleted.extend(&ids);
        let _tried = catalog.commit(vec![Operation::ForgetFiles { ids }]).await;
    }

    /// The process dies, or lives on as a zombie that does not know of its successor.
    async fn restart(&mut self) {
        let mut old = self.process.clone();
        let zombie = async {
            match self.roll(3) {
                0 => {
                    tokio::time::sleep(Duration::from_secs(self.roll(30))).await;
                    while self.flush(&mut old).await && self.roll(4) > 0 {
                        tokio::time::sleep(Duration::from_secs(self.roll(100))).await;
                    }
                }
                _ => old.faults.crash(),
            }
        };
        let next = start(&self.store, self.start, &self.dice, self.rates, self.writer);
        let ((), next) = futures::join!(zombie, next);
        self.process = next;
    }
}

async fn history(seed: u64) -> Result<()> {
    let dice = SeededEntropy::new(seed);
    let store = Arc::new(InMemory::new());
    let begin = Instant::now();
    let model = Arc::new(Mutex::new(Model::default()));
    let mut actors = Vec::new();
    for number in 0..WRITERS {
        let dice = SeededEntropy::new(dice.next_u64());
        let level = dice.next_u64() % 4; // a quarter of the writers sees no faults
        let rates = Rates { before: 4 * level, lost_answer: 3 * level, late: 2 * level, slow: 2 * level, damaged: level };
        let writer = Uuid::from_u128(u128::from(number) + 1);
        let process = start(&store, begin, &dice, rates, writer).await;
        let (store, model) = (Arc::clone(&store), Arc::clone(&model));
        actors.push(Actor { number, writer, store, start: begin, dice, model, rates, process, others: 0 });
    }
    let runs = actors.into_iter().map(|mut actor| async move {
        for _ in 0..STEPS {
            actor.step().await;
        }
        actor
    });
    let actors = futures::future::join_all(runs).await;
    tokio::time::sleep(Duration::from_secs(1_000)).await; // whatever was on its way has landed
    let judge = Catalog::open(store, testing::env(seed, begin), config()).await?;
    for actor in &actors {
        actor.process.faults.set_rates(Rates::default());
        actor.process.catalog.refresh().await?;
        assert_eq!(actor.process.catalog.snapshot().id(), judge.snapshot().id());
        actor.note(&actor.process.catalog.snapshot());
        actor.note(&judge.snapshot());
    }
    assess(&judge.snapshot(), &model.lock());
    Ok(())
}

/// Acknowledged rows are there once, rows in doubt at most once, refused ones not at all.
fn assess(snapshot: &Snapshot, model: &Model) {
    let live = files_of(snapshot);
    let mut counts: BTreeMap<Row, u32> = BTreeMap::new();
    for id in &live {
        assert!(!model.deleted.contains(id), "the object of live file {id} was deleted");
        for row in &model.rows[id] {
            *counts.entry(*row).or_default() += 1;
        }
    }
    for (row, told) in &model.told {
        let count = counts.get(row).copied().unwrap_or(0);
        let right = match told {
            Told::Committed => count == 1,
            Told::InDoubt => count <= 1,
            Told::Refused => count == 0,
        };
        assert!(right, "row {row:?} was told {told:?} and is there {count} times");
    }
    for number in 0..WRITERS {
        let committed = snapshot.mark(Uuid::from_u128(u128::from(number) + 1)).map_or(0, |mark| mark.committed);
        let records: Vec<(u64, u32)> =
            counts.iter().filter(|((writer, _), _)| *writer == number).map(|((_, record), count)| (*record, *count)).collect();
        assert_eq!(records, (1..=committed).map(|record| (record, 1)).collect::<Vec<_>>(), "records of writer {number}");
    }
}

fn check(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime starts");
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(history(seed)));
        match std::panic::catch_unwind(run) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("seed {seed}: {error}"),
            Err(panic) => {
                eprintln!("seed {seed} failed");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

// Acknowledged rows are there exactly once, whatever fails. In quarters, so that the cores share them.
#[test]
fn histories_with_faults_first_quarter() {
    check(0..SEEDS / 4);
}
#[test]
fn histories_with_faults_second_quarter() {
    check(SEEDS / 4..SEEDS / 2);
}
#[test]
fn histories_with_faults_third_quarter() {
    check(SEEDS / 2..SEEDS * 3 / 4);
}
#[test]
fn histories_with_faults_last_quarter() {
    check(SEEDS * 3 / 4..SEEDS);
}
