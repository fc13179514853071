use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::time::Instant;
use uuid::Uuid;

use super::testing::{self, Fault, FaultStore, START, file, tenant};
use super::{Catalog, CatalogConfig, FileEntry, LogMark, Operation, OrphanRule, layout};
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::table::Table;
use crate::time::{TimeRange, Timestamp};

/// A shared store and the processes on it.
struct World {
    store: Arc<InMemory>,
    start: Instant,
    env: Env,
    config: CatalogConfig,
}

impl World {
    fn new() -> Self {
        let start = Instant::now();
        let config = CatalogConfig { checkpoint_entries: 4, attempts_max: 3, ..CatalogConfig::default() };
        Self { store: Arc::new(InMemory::new()), start, env: testing::env(1, start), config }
    }
    fn faulty(&self, seed: u64) -> FaultStore {
        FaultStore::new(Arc::clone(&self.store) as Arc<dyn ObjectStore>, seed)
    }
    async fn open(&self, store: &FaultStore, seed: u64) -> Result<Arc<Catalog>> {
        Catalog::open(Arc::new(store.clone()), testing::env(seed, self.start), self.config.clone()).await
    }
    async fn opened(&self) -> Arc<Catalog> {
        let seed = self.env.entropy.next_u64();
        self.open(&self.faulty(seed), seed).await.expect("opens")
    }
    fn file(&self, day: i64) -> FileEntry {
        file(self.env.new_uuid(), Table::Logs, day)
    }
    fn add(&self, day: i64) -> Operation {
        Operation::AddFile { file: Box::new(self.file(day)) }
    }
    async fn damage(&self, path: &Path) {
        let mut bytes = self.store.get(path).await.expect("exists").bytes().await.expect("readable").to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.store.put(path, bytes.into()).await.expect("written");
    }
    /// Asserts that a process that starts now sees what `catalog` sees.
    #[track_caller]
    fn same(&self, fresh: &Catalog, catalog: &Catalog) {
        let files = |catalog: &Catalog| -> Vec<FileEntry> {
            let snapshot = catalog.snapshot();
            snapshot.leaves().flat_map(|(_, _, _, leaf)| leaf.files().map(|file| file.as_ref().clone())).collect()
        };
        let (one, other) = (fresh.snapshot(), catalog.snapshot());
        assert_eq!(files(fresh), files(catalog));
        assert_eq!((one.id, one.commit, one.committed_at), (other.id, other.commit, other.committed_at));
        assert_eq!((one.file_count, one.bytes, one.schema_version), (other.file_count, other.bytes, other.schema_version));
        assert_eq!((&one.marks, &one.deletes), (&other.marks, &other.deletes));
        assert!(one.dead_files().eq(other.dead_files()), "dead files differ");
    }
}

fn wal(writer: Uuid, epoch: u64, from: u64, to: u64) -> Operation {
    Operation::WalCommit { writer, epoch, from, to }
}

fn replace(inputs: &[&FileEntry], outputs: Vec<FileEntry>) -> Operation {
    let first = inputs[0];
    let inputs = inputs.iter().map(|file| file.id).collect();
    let (table, day, applied) = (first.table, first.partition.day, Vec::new());
    Operation::ReplaceFiles { tenant: tenant(), table, day, inputs, outputs, cleaned: None, applied }
}

fn adding(file: &FileEntry) -> Operation {
    Operation::AddFile { file: Box::new(file.clone()) }
}

#[tokio::test(start_paused = true)]
async fn operations_are_refused_when_they_do_not_fit() {
    let world = World::new();
    let catalog = world.opened().await;
    let writer = world.env.new_uuid();
    let (a, b, c) = (world.file(0), world.file(0), world.file(1));
    catalog.commit(vec![adding(&a), adding(&c), wal(writer, 1, 1, 5)]).await.expect("the first commit of a writer");

    let refused = async |operations: Vec<Operation>, expected: &str| {
        let before = catalog.snapshot();
        let error = catalog.commit(operations).await.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error:?} should contain {expected:?}");
        assert!(Arc::ptr_eq(&before, &catalog.snapshot()), "a refused edit leaves no trace");
    };
    refused(vec![adding(&a)], "is live already").await;
    refused(vec![adding(&b), wal(writer, 1, 4, 6)], "must start at 6").await;
    refused(vec![adding(&b), wal(writer, 1, 7, 8)], "must start at 6").await;
    refused(vec![adding(&a), wal(writer, 1, 3, 5)], "was committed before").await; // whatever else it says
    refused(vec![wal(writer, 2, 6, 6)], "was never announced").await;
    refused(vec![wal(writer, 1, 6, 5)], "is empty").await;
    refused(vec![Operation::WriterFence { writer, epoch: 1 }], "is not newer").await;
    refused(vec![replace(&[&a, &b], vec![])], "is not live").await;
    refused(vec![replace(&[&a, &a], vec![])], "named twice").await;
    refused(vec![replace(&[&a], vec![c.clone()])], "another tenant, table or day").await;

    catalog.commit(vec![Operation::WriterFence { writer, epoch: 2 }]).await.expect("a newer incarnation");
    refused(vec![wal(writer, 1, 6, 6)], "fenced").await;
    assert_eq!(catalog.snapshot().mark(writer), Some(LogMark { epoch: 2, committed: 5 }));
    catalog.commit(vec![wal(writer, 2, 6, 9), replace(&[&a], vec![b.clone()])]).await.expect("fits");
    refused(vec![adding(&a)], "has died already").await;
    assert_eq!(catalog.snapshot().mark(writer), Some(LogMark { epoch: 2, committed: 9 }));
    assert_eq!(catalog.snapshot().leaf(&tenant(), Table::Logs, b.partition.day).expect("live").added().collect::<Vec<_>>(), [1]);
    world.same(&*world.opened().await, &catalog);
}

#[tokio::test(start_paused = true)]
async fn snapshots_are_pruned_and_dropped_by_time() {
    let world = World::new();
    let catalog = world.opened().await;
    let dictionary = file(world.env.new_uuid(), Table::Streams, 1);
    let logs: Vec<FileEntry> = (0..3).map(|day| world.file(day)).collect();
    catalog.commit(logs.iter().chain([&dictionary]).map(adding).collect()).await.expect("committed");
    let count = |table, range| catalog.snapshot().files(&tenant(), table, range).len();
    let at = |hours: u64| START.saturating_add(Duration::from_secs(hours * 3_600));
    assert_eq!(count(Table::Logs, TimeRange::ALL), 3);
    assert_eq!(count(Table::Logs, TimeRange::new(at(24), at(30))), 1);
    assert_eq!(count(Table::Logs, TimeRange::new(at(30), at(40))), 0); // the day, but not the rows
    assert_eq!(count(Table::Streams, TimeRange::new(at(30), at(40))), 1); // a dictionary serves its day
    assert_eq!(count(Table::Streams, TimeRange::new(at(50), at(51))), 0);
    assert_eq!(count(Table::Spans, TimeRange::ALL), 0);
    assert_eq!((catalog.snapshot().file_count(), catalog.snapshot().bytes()), (4, 4_000));

    let before = at(25);
    let drop = |table| Operation::RetentionDrop { tenant: tenant(), table, before };
    catalog.commit(vec![drop(Table::Logs), drop(Table::Streams)]).await.expect("committed");
    assert_eq!(count(Table::Logs, TimeRange::ALL), 2); // day 1 has rows at 25 h and later
    assert_eq!(count(Table::Streams, TimeRange::ALL), 1);
    let dead: Vec<Uuid> = catalog.snapshot().dead_files().map(|file| file.id).collect();
    assert_eq!(dead, [logs[0].id]);
    assert_eq!(catalog.snapshot().dead_files().next().expect("one").path(), logs[0].path());
    world.same(&*world.opened().await, &catalog);
}

#[tokio::test(start_paused = true)]
async fn callers_share_an_entry_and_fail_alone() {
    let world = World::new();
    let store = world.faulty(7);
    let catalog = world.open(&store, 7).await.expect("opens");
    let taken = world.file(0);
    catalog.commit(vec![adding(&taken)]).await.expect("committed");
    let mut seen = catalog.subscribe();
    store.take_requests();
    let commits = (0..20).map(|i| catalog.commit(vec![if i == 7 { adding(&taken) } else { world.add(0) }]));
    let answers = futures::future::join_all(commits).await;
    for (i, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), i != 7, "{i}: {answer:?}");
    }
    let puts = store.take_requests().iter().filter(|request| request.starts_with("PUT")).count();
    assert_eq!((puts, catalog.snapshot().file_count()), (1, 20));
    assert!(seen.has_changed().expect("open"));
    assert_eq!(*seen.borrow_and_update(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_is_too_large_is_refused() {
    let world = World::new();
    let catalog = world.opened().await;
    let huge = Operation::ForgetFiles { ids: vec![Uuid::nil(); 300_000] };
    let error = catalog.commit(vec![huge]).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn lost_answers_and_refusals_are_decided_by_reading_the_slot() {
    for fault in [Fault::LostAnswer, Fault::Before, Fault::Slow(Duration::from_secs(40)), Fault::Late(Duration::from_secs(1))] {
        let world = World::new();
        let store = world.faulty(3);
        let catalog = world.open(&store, 3).await.expect("opens");
        catalog.commit(vec![world.add(0)]).await.expect("committed");
        store.next("PUT catalog/0/log", fault);
        assert_eq!(catalog.commit(vec![world.add(0)]).await.expect("committed"), 2, "{fault:?}");
        tokio::time::sleep(Duration::from_secs(100)).await;
        let fresh = world.opened().await;
        assert_eq!((fresh.snapshot().id, fresh.snapshot().file_count), (2, 2), "{fault:?}");
        world.same(&fresh, &catalog);
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_in_doubt_says_so_when_it_is_tried_again() {
    let world = World::new();
    let store = world.faulty(3);
    let catalog = world.open(&store, 3).await.expect("opens");
    let writer = world.env.new_uuid();
    store.next("PUT catalog/0/log", Fault::LostAnswer);
    for _ in 0..3 {
        store.next("PUT catalog/0/log", Fault::Before);
        (0..3).for_each(|_| store.next("GET catalog/0/log", Fault::Before));
    }
    let edit = vec![world.add(0), wal(writer, 1, 1, 3)];
    let error = catalog.commit(edit.clone()).await.expect_err("in doubt");
    assert!(matches!(error, Error::InDoubt { slot: 1, .. }), "{error}");
    assert_eq!(catalog.snapshot().id(), 0);
    let error = catalog.commit(edit).await.expect_err("it took effect");
    assert!(matches!(error, Error::AlreadyCommitted { to: 3 }), "{error}");
    assert_eq!((catalog.snapshot().id(), catalog.snapshot().file_count()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_a_slot_applies_the_winner_and_goes_on() {
    let world = World::new();
    let (one, other) = (world.opened().await, world.opened().await);
    let (a, b) = (world.file(0), world.file(0));
    one.commit(vec![adding(&a), adding(&b)]).await.expect("committed");
    other.commit(vec![world.add(0)]).await.expect("committed");
    assert_eq!(other.snapshot().file_count(), 3);
    // Both compact the same inputs: one of them plans again.
    one.refresh().await.expect("refreshed");
    one.commit(vec![replace(&[&a, &b], vec![world.file(0)])]).await.expect("the first wins");
    let error = other.commit(vec![replace(&[&a, &b], vec![world.file(0)])]).await.expect_err("the second does not");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    // What the stale view refuses, the log may allow: it is looked up before anyone is told no.
    let c = world.file(0);
    one.commit(vec![adding(&c)]).await.expect("committed");
    other.commit(vec![replace(&[&c], vec![world.file(0)])]).await.expect("known after looking");
    assert_eq!(one.refresh().await.expect("refreshed"), 5);
    world.same(&one, &other);
    world.same(&*world.opened().await, &other);
}

/// F-24: eight processes want the next slot all the time, on a store that takes its time.
#[tokio::test(start_paused = true)]
async fn everybody_gets_a_slot_in_a_storm() {
    let world = World { config: CatalogConfig::default(), ..World::new() };
    let processes = futures::future::join_all((0..8).map(|seed| {
        let world = &world;
        async move {
            let store = world.faulty(seed);
            let catalog = world.open(&store, seed).await.expect("opens");
            store.set_rates(testing::Rates { slow: 30, ..testing::Rates::default() });
            catalog
        }
    }));
    let processes = processes.await;
    let storm = processes.iter().enumerate().map(|(at, catalog)| {
        let world = &world;
        async move {
            for _ in 0..10 {
                // Busy is an honest answer, and worth another try; anything else is not expected.
                while let Err(error) = catalog.commit(vec![world.add(at as i64)]).await {
                    assert!(matches!(error, Error::Busy { .. }), "{error}");
                }
            }
        }
    });
    futures::future::join_all(storm).await;
    let fresh = world.opened().await;
    assert_eq!((fresh.snapshot().file_count(), fresh.snapshot().id()), (80, 80));
}

#[tokio::test(start_paused = true)]
async fn the_store_is_probed() {
    let world = World::new();
    let store = world.faulty(1);
    store.forget_create();
    assert!(matches!(world.open(&store, 1).await, Err(Error::NoCreateIfAbsent)));
    let store = world.faulty(1);
    store.next("PUT catalog/0/probe", Fault::Denied);
    assert_eq!(world.open(&store, 1).await.expect_err("denied").kind(), ErrorKind::Denied);
    for fault in [Fault::Before, Fault::LostAnswer] {
        let store = world.faulty(1);
        (0..2).for_each(|_| store.next("PUT catalog/0/probe", fault));
        world.open(&store, 1).await.expect("opens after trying again");
    }
    assert_eq!(world.store.list_with_delimiter(Some(&Path::from("catalog/0/probe"))).await.expect("listed").objects.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn checkpoints_rewrite_what_was_touched() {
    let world = World::new();
    let store = world.faulty(1);
    let catalog = world.open(&store, 1).await.expect("opens");
    let writer = world.env.new_uuid();
    assert_eq!(catalog.checkpoint_if_due().await.expect("nothing to do"), None);
    let days: Vec<FileEntry> = (0..5).map(|day| world.file(day)).collect();
    let predicate = Operation::DeletePredicate {
        id: world.env.new_uuid(),
        tenant: tenant(),
        signal: crate::table::Signal::Logs,
        predicate: r#"{app="x"}"#.to_owned(),
        start: START,
        end: Timestamp::MAX,
    };
    for day in &days {
        catalog.commit(vec![adding(day)]).await.expect("committed");
    }
    catalog.commit(vec![wal(writer, 3, 9, 9), predicate, Operation::SchemaChange { version: 2 }]).await.expect("committed");
    assert_eq!(catalog.checkpoint_if_due().await.expect("written"), Some(6));
    assert_eq!(catalog.checkpoint_if_due().await.expect("written"), None);
    world.same(&*world.opened().await, &catalog);

    catalog.commit(vec![replace(&[&days[2]], vec![world.file(2)]), world.add(2)]).await.expect("committed");
    store.take_requests();
    assert_eq!(catalog.checkpoint_if_due().await.expect("not due"), None);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(catalog.checkpoint_if_due().await.expect("written"), Some(7));
    let puts: Vec<String> = store.take_requests().into_iter().filter(|request| request.starts_with("PUT")).collect();
    assert_eq!(puts.len(), 3, "one leaf, one dead list, the root: {puts:?}");
    // Another process shares the parts that this one wrote.
    let other_store = world.faulty(2);
    let other = world.open(&other_store, 2).await.expect("opens");
    world.same(&other, &catalog);
    other.commit(vec![world.add(9)]).await.expect("committed");
    other_store.take_requests();
    assert_eq!(other.checkpoint().await.expect("written"), Some(8));
    let puts = other_store.take_requests().into_iter().filter(|request| request.starts_with("PUT")).count();
    assert_eq!(puts, 2);
    world.same(&*world.opened().await, &other);
}

#[tokio::test(start_paused = true)]
async fn a_broken_checkpoint_is_made_up_for() {
    for which in ["root", "leaf", "both roots"] {
        let world = World::new();
        let catalog = world.opened().await;
        for day in 0..3 {
            catalog.commit(vec![world.add(day)]).await.expect("committed");
            catalog.checkpoint().await.expect("written");
        }
        catalog.commit(vec![world.add(3)]).await.expect("committed");
        match which {
            "root" => world.damage(&layout::checkpoint(3)).await,
            "leaf" => {
                let root = super::checkpoint::read_root(&catalog.log.access, 3).await.expect("readable");
                world.store.delete(&root.parts().last().expect("has parts")).await.expect("deleted");
            }
            _ => {
                world.damage(&layout::checkpoint(3)).await;
                world.damage(&layout::checkpoint(2)).await;
            }
        }
        let fresh = world.opened().await;
        world.same(&fresh, &catalog);
        fresh.checkpoint().await.expect("written");
        world.same(&*world.opened().await, &fresh);
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_format_is_refused_and_left_alone() {
    let world = World::new();
    let catalog = world.opened().await;
    catalog.commit(vec![world.add(0)]).await.expect("committed");
    let entry = world.store.get(&layout::log_entry(1)).await.expect("exists").bytes().await.expect("readable");
    let newer = super::codec::tests::with_version(&entry, 99);
    world.store.put(&layout::log_entry(1), newer.clone().into()).await.expect("written");
    let seed = 5;
    let error = world.open(&world.faulty(seed), seed).await.expect_err("newer");
    assert!(matches!(error, Error::Unsupported { found: 99, .. }), "{error}");
    let kept = world.store.get(&layout::log_entry(1)).await.expect("exists").bytes().await.expect("readable");
    assert_eq!(kept, newer);
}

const HOUR: Duration = Duration::from_secs(3_600);

async fn collect_garbage(catalog: &Arc<Catalog>) -> super::Expired {
    let expired = catalog.expired_objects().await.expect("planned");
    catalog.delete_expired_log(&expired).await.expect("deleted");
    expired
}

#[tokio::test(start_paused = true)]
async fn the_past_is_kept_for_its_time() {
    let world = World::new();
    let catalog = world.opened().await;
    let mut files = Vec::new();
    for hour in 0..72_usize {
        // Each hour a file comes and the one before dies.
        files.push(world.file(0));
        let mut edit = vec![adding(&files[hour])];
        edit.extend(hour.checked_sub(1).map(|last| replace(&[&files[last]], vec![])));
        catalog.commit(edit).await.expect("committed");
        catalog.checkpoint().await.expect("written");
        collect_garbage(&catalog).await;
        tokio::time::sleep(HOUR).await;
    }
    let expired = collect_garbage(&catalog).await;
    assert_eq!(expired.data.len(), 48); // those that died 24 h ago and earlier; nobody forgot any
    assert_eq!(expired.data[47].id, files[46 + 1].id);
    let log = world.store.list_with_delimiter(Some(&Path::from(layout::LOG))).await.expect("listed").objects;
    assert_eq!(log.first().and_then(|object| layout::sequence_of(&object.location)), Some(49));
    assert_eq!(log.len(), 24);
    for id in 49..=72 {
        let snapshot = catalog.snapshot_at(id).await.expect("kept");
        assert_eq!(snapshot.files(&tenant(), Table::Logs, TimeRange::ALL)[0].id, files[id as usize - 1].id);
    }
    for id in [1, 48, 73] {
        assert!(matches!(catalog.snapshot_at(id).await, Err(Error::NoSuchSnapshot(_))), "{id}");
    }
    world.same(&*world.opened().await, &catalog);
    let parts = world.store.list_with_delimiter(Some(&Path::from(layout::PARTS))).await.expect("listed").objects;
    assert!(parts.len() < 24 * 2 + 30, "{} parts", parts.len());

    let ids = expired.data.iter().map(|file| file.id).collect();
    catalog.commit(vec![Operation::ForgetFiles { ids }]).await.expect("committed");
    assert_eq!(catalog.expired_objects().await.expect("planned").data, []);
    assert_eq!(catalog.snapshot().dead_files().count(), 23);
    world.same(&*world.opened().await, &catalog);
}

#[tokio::test(start_paused = true)]
async fn pinned_snapshots_keep_their_files() {
    let world = World::new();
    let catalog = world.opened().await;
    let a = world.file(0);
    catalog.commit(vec![adding(&a)]).await.expect("committed");
    let pin = catalog.pin();
    let again = pin.clone();
    catalog.commit(vec![replace(&[&a], vec![])]).await.expect("committed");
    let after = catalog.pin();
    tokio::time::sleep(48 * HOUR).await;
    assert_eq!(catalog.expired_objects().await.expect("planned").data.len(), 0);
    drop(pin);
    assert_eq!(catalog.expired_objects().await.expect("planned").data.len(), 0);
    drop(again);
    assert_eq!(catalog.expired_objects().await.expect("planned").data.len(), 1); // `after` does not name it
    drop(after);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_writer_does_not_fill_a_cleaned_slot() {
    for base in [0_u64, 3] {
        let world = World::new();
        let catalog = world.opened().await;
        for _ in 0..base {
            catalog.commit(vec![world.add(0)]).await.expect("committed");
        }
        let (stalled, idle) = (world.opened().await, world.opened().await);
        assert_eq!(stalled.snapshot().id(), base);
        for _ in 0..3 {
            tokio::time::sleep(20 * HOUR).await;
            for _ in 0..3 {
                catalog.commit(vec![world.add(0)]).await.expect("committed");
            }
            catalog.checkpoint().await.expect("written");
        }
        tokio::time::sleep(25 * HOUR).await;
        collect_garbage(&catalog).await;
        assert!(world.store.head(&layout::log_entry(base + 1)).await.is_err(), "the slot was cleaned");

        let lost = world.file(5);
        let error = stalled.commit(vec![adding(&lost)]).await.expect_err("the slot has a past");
        assert_eq!(error.kind(), ErrorKind::Fenced);
        world.same(&stalled, &catalog); // it has reloaded, and may go on
        stalled.commit(vec![world.add(1)]).await.expect("committed");
        catalog.refresh().await.expect("refreshed");
        idle.refresh().await.expect("reloaded");
        world.same(&idle, &catalog);
        let fresh = world.opened().await;
        world.same(&fresh, &catalog);
        assert!(fresh.snapshot().find(&tenant(), Table::Logs, lost.partition.day, lost.id).is_none());
        // What it left behind is swept once the log is trimmed again.
        for _ in 0..2 {
            tokio::time::sleep(25 * HOUR).await;
            catalog.commit(vec![world.add(0)]).await.expect("committed");
            catalog.checkpoint().await.expect("written");
        }
        tokio::time::sleep(25 * HOUR).await;
        collect_garbage(&catalog).await;
        assert!(world.store.head(&layout::log_entry(base + 1)).await.is_err(), "swept");
    }
}

#[tokio::test(start_paused = true)]
async fn orphans_are_old_and_unknown_and_cannot_come_back() {
    let world = World::new();
    let catalog = world.opened().await;
    let mut minted = Vec::new();
    for _ in 0..6 {
        minted.push(world.file(0));
        tokio::time::sleep(HOUR).await;
    }
    catalog.commit(vec![adding(&minted[1]), adding(&minted[4])]).await.expect("committed");
    catalog.commit(vec![replace(&[&minted[1]], vec![])]).await.expect("committed");
    let now = world.env.now();
    let check = |min_age: Duration, expected: &[usize]| {
        let rule = OrphanRule::new(&catalog.snapshot()).raised(now, min_age);
        let orphans: Vec<usize> = (0..6).filter(|at| rule.is_orphan(minted[*at].id)).collect();
        assert_eq!(orphans, expected);
    };
    check(Duration::ZERO, &[0, 2, 3]); // 5 is newer than the newest committed file
    check(4 * HOUR + HOUR / 2, &[0]);
    check(24 * HOUR, &[]);
    let nothing = OrphanRule::new(&super::Snapshot::default()).raised(now, Duration::ZERO);
    assert!(!nothing.is_orphan(minted[0].id), "an empty lake proves nothing");
    let rule = OrphanRule::new(&catalog.snapshot()).raised(now, Duration::ZERO);
    assert!(!rule.is_orphan(Uuid::from_u128(7)), "an id that says no time");

    assert!(!OrphanRule::new(&catalog.snapshot()).is_orphan(minted[0].id), "nobody was told yet");
    catalog.commit(vec![Operation::RaiseFloor { minted_before: rule.floor() }]).await.expect("committed");
    catalog.commit(vec![Operation::RaiseFloor { minted_before: Timestamp::MIN }]).await.expect("no effect");
    catalog.checkpoint().await.expect("written");
    for catalog in [catalog, world.opened().await] {
        assert_eq!(catalog.snapshot().floor(), rule.floor());
        assert!(OrphanRule::new(&catalog.snapshot()).is_orphan(minted[0].id));
        for (at, refused) in [(0, true), (3, true), (5, false)] {
            let added = catalog.commit(vec![adding(&minted[at])]).await;
            assert_eq!(matches!(added, Err(Error::Condemned { .. })), refused, "{at}: {added:?}");
            if added.is_ok() {
                catalog.commit(vec![replace(&[&minted[at]], vec![])]).await.expect("committed");
                break;
            }
        }
    }
}

#[test]
fn futures_can_be_spawned() {
    fn sendable<T: Send>(_: impl FnOnce(Arc<Catalog>) -> T) {}
    sendable(|catalog| async move { catalog.commit(vec![]).await });
    sendable(|catalog| async move { catalog.refresh().await });
    sendable(|catalog| async move { catalog.snapshot_at(1).await });
    sendable(|catalog| async move { catalog.checkpoint_if_due().await });
    sendable(|catalog| async move {
        let expired = catalog.expired_objects().await?;
        catalog.delete_expired_log(&expired).await
    });
    sendable(|catalog| async move {
        Catalog::open(Arc::new(InMemory::new()), catalog.log.access.env.clone(), CatalogConfig::default()).await
    });
}
