//! A node's durable half on a simulated disk and a faulty store, with a model as the judge.

mod shelf;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use arrow::array::{Array, AsArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{Int32Type, Int64Type};
use catalog::env::fixed::{self, ManualClock};
use catalog::{Table, Timestamp, schema};
use futures::FutureExt;

use self::shelf::Shelf;
use super::*;
use crate::config::{DedupConfig, FlushConfig, Recover, WalConfig};
use crate::wal::{SimFs, Space};

const START: Timestamp = Timestamp::from_secs(1_790_000_000);
/// Rows of a request: their ids are `request * ROWS ..`.
const ROWS: i64 = 3;

fn config() -> IngestConfig {
    IngestConfig {
        wal: WalConfig {
            dir: Some(PathBuf::from("/wal")),
            segment_bytes: 64 << 10,
            frame_bytes_max: 1 << 20,
            ..WalConfig::default()
        },
        flush: FlushConfig { age_max: Duration::from_secs(30), bytes_max: 20_000, buffered_bytes_max: 400_000 },
        dedup: DedupConfig { window: Duration::from_secs(600), entries_max: 500 },
    }
}

fn samples(request: i64) -> RecordBatch {
    let metric: DictionaryArray<Int32Type> = (0..ROWS).map(|_| Some("up")).collect();
    let ids: Vec<i64> = (request * ROWS..(request + 1) * ROWS).collect();
    let times = TimestampMillisecondArray::from(vec![START.as_millis(); ROWS as usize]).with_timezone("UTC");
    let values = Float64Array::from(vec![1.5; ROWS as usize]);
    let starts = TimestampMillisecondArray::new_null(ROWS as usize).with_timezone("UTC");
    let columns: Vec<Arc<dyn Array>> =
        vec![Arc::new(metric), Arc::new(Int64Array::from(ids)), Arc::new(times), Arc::new(values), Arc::new(starts)];
    RecordBatch::try_new(schema::rows(Table::Samples), columns).expect("samples have this schema")
}

fn tenant(request: i64) -> TenantId {
    TenantId::parse(if request % 3 == 0 { "blue" } else { "red" }).expect("a valid id")
}

fn append(request: i64) -> Append {
    Append { tenant: tenant(request), fingerprint: Some(request as u128 + 1), rows: vec![(Table::Samples, samples(request))] }
}

/// How often each row is in a query's answer. Captures first, pins second, as every reader does.
fn visible(ingester: &Ingester, shelf: &Shelf) -> BTreeMap<i64, u32> {
    let mut seen = BTreeMap::new();
    let mut count = |batch: &RecordBatch| {
        for &id in batch.column(1).as_primitive::<Int64Type>().values() {
            *seen.entry(id).or_default() += 1;
        }
    };
    for tenant in ["blue", "red"].map(|id| TenantId::parse(id).expect("a valid id")) {
        let capture = ingester.capture(&tenant);
        let pinned = shelf.pin();
        for generation in &capture.generations {
            if pinned.mark(generation.writer).is_none_or(|mark| mark.committed < generation.first) {
                generation.tables.values().flatten().for_each(&mut count);
            }
        }
        pinned.batches(&tenant).for_each(&mut count);
    }
    seen
}

/// What was sent, and what was acknowledged.
#[derive(Default)]
struct Model {
    sent: BTreeSet<i64>,
    acknowledged: BTreeSet<i64>,
}

impl Model {
    #[track_caller]
    fn check(&self, seen: &BTreeMap<i64, u32>, context: &str) {
        for (row, times) in seen {
            assert_eq!(*times, 1, "{context}: row {row} is there {times} times");
            assert!(self.sent.contains(&(row / ROWS)), "{context}: row {row} was never sent");
            let siblings = (row / ROWS * ROWS..).take(ROWS as usize);
            assert!(siblings.into_iter().all(|row| seen.contains_key(&row)), "{context}: request {} is torn", row / ROWS);
        }
        for request in &self.acknowledged {
            assert!(seen.contains_key(&(request * ROWS)), "{context}: acknowledged request {request} is lost");
        }
    }
}

struct Node {
    fs: SimFs,
    shelf: Arc<Shelf>,
    env: Env,
    clock: Arc<ManualClock>,
}

impl Node {
    fn new(seed: u64) -> Self {
        let (env, clock) = fixed::env(START, seed);
        Self { fs: SimFs::new(seed), shelf: Shelf::new(seed), env, clock }
    }

    async fn open(&self) -> Result<Arc<Ingester>> {
        self.open_with(config()).await
    }

    async fn open_with(&self, config: IngestConfig) -> Result<Arc<Ingester>> {
        let fs: Arc<dyn WalFs> = Arc::new(self.fs.clone());
        Ingester::open_on(fs, config, Arc::clone(&self.shelf) as Arc<dyn Destination>, self.env.clone()).await
    }
}

async fn store(ingester: &Ingester, requests: std::ops::Range<i64>) {
    for request in requests {
        assert_eq!(ingester.append(append(request)).await.expect("a healthy log"), Appended::Stored);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_doubled_by_any_crash() {
    let seeds = std::env::var("SIMULATION_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    for seed in 0..seeds {
        life_and_death(seed).await;
    }
}

/// Several lives of one node: appends, retries, flushes, faults, and a crash at any call in the midst of them.
async fn life_and_death(seed: u64) {
    let mut node = Node::new(seed);
    let mut model = Model::default();
    let mut next = 0;
    let dice = fixed::SeededEntropy::new(seed ^ 0xd1ce);
    let roll = |n: u64| catalog::Entropy::next_u64(&*dice) % n;
    for life in 0..8 {
        let context = format!("seed {seed}, life {life}");
        node.shelf.set_faults(roll(3) * 15);
        if roll(3) == 0 {
            node.fs.die_at_call(roll(60)); // Dies while it recovers, perhaps.
        }
        let ingester = match node.open().await {
            Ok(ingester) => ingester,
            Err(error) => {
                assert!(!matches!(error, Error::Corrupt { .. } | Error::Unsupported { .. }), "{context}: {error}");
                node.fs = node.fs.crash();
                continue;
            }
        };
        model.check(&visible(&ingester, &node.shelf), &context);
        for step in 0..roll(25) {
            match roll(12) {
                0 => node.fs.fail_syncs(1),
                1 => node.fs.fail_writes(1),
                2 => drop(tokio::time::timeout(Duration::from_secs(3), ingester.flush_now()).await),
                3 => tokio::time::sleep(Duration::from_secs(20)).await,
                4 => node.clock.advance(Duration::from_secs(30)),
                5 => node.fs.die_at_call(roll(20)),
                _ => {}
            }
            // New requests, and retries of any that was not acknowledged, all at once.
            let unanswered: Vec<i64> = model.sent.difference(&model.acknowledged).copied().filter(|_| roll(2) == 0).collect();
            let fresh = next..next + 1 + roll(12) as i64;
            next = fresh.end;
            let requests: Vec<i64> = unanswered.into_iter().chain(fresh).collect();
            let answers = futures::future::join_all(requests.iter().map(|&request| ingester.append(append(request)))).await;
            for (request, answer) in requests.into_iter().zip(answers) {
                model.sent.insert(request);
                if answer.is_ok() {
                    model.acknowledged.insert(request);
                }
            }
            model.check(&visible(&ingester, &node.shelf), &format!("{context}, step {step}"));
        }
        drop(ingester);
        node.fs = if roll(3) == 0 { node.fs.kill() } else { node.fs.crash() };
    }
    node.shelf.set_faults(0);
    let ingester = node.open().await.expect("a healthy disk and store");
    let retries: Vec<i64> = model.sent.iter().copied().collect();
    model.check(&visible(&ingester, &node.shelf), &format!("seed {seed}, end"));
    for request in retries.iter().rev().take(100).filter(|request| !model.acknowledged.contains(request)) {
        ingester.append(append(*request)).await.expect("a healthy log");
    }
    model.acknowledged.extend(retries.iter().rev().take(100));
    ingester.shutdown().await.expect("a healthy store");
    model.check(&visible(&ingester, &node.shelf), &format!("seed {seed}, shut down"));
    assert!(ingester.capture(&tenant(0)).generations.is_empty() && ingester.capture(&tenant(1)).generations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn rows_are_visible_at_the_ack_and_all_along_the_flush() {
    let node = Node::new(1);
    node.shelf.set_slow(true);
    let mut roomy = config();
    roomy.flush.buffered_bytes_max = 1 << 30;
    let ingester = node.open_with(roomy).await.expect("a healthy node");
    let mut model = Model::default();
    let mut flushing = None;
    for request in 0..400 {
        model.sent.insert(request);
        ingester.append(append(request)).await.expect("a healthy log");
        model.acknowledged.insert(request);
        model.check(&visible(&ingester, &node.shelf), "after the ack");
        if request % 50 == 7 {
            let other = Arc::clone(&ingester);
            flushing = Some(tokio::spawn(async move { other.flush_now().await }));
        }
        tokio::time::sleep(Duration::from_millis(7)).await;
        model.check(&visible(&ingester, &node.shelf), "later");
    }
    flushing.expect("it was asked to").await.expect("no panic").expect("a healthy store");
    assert!(node.shelf.commits() > 4);
}

#[tokio::test(start_paused = true)]
async fn batches_merge_and_stay_whole() {
    let node = Node::new(2);
    let mut config = config();
    config.flush.bytes_max = 1 << 30;
    config.flush.buffered_bytes_max = 1 << 30;
    let ingester = node.open_with(config).await.expect("a healthy node");
    store(&ingester, 0..1000).await;
    let batches: usize = ingester.capture(&tenant(1)).generations.iter().map(|g| g.tables[&Table::Samples].len()).sum();
    assert!(batches < 100, "{batches} batches");
    let seen = visible(&ingester, &node.shelf);
    assert_eq!((seen.len(), seen.values().max()), (3000, Some(&1)));
}

#[tokio::test(start_paused = true)]
async fn committed_records_are_skipped_and_their_retries_known() {
    let mut node = Node::new(3);
    let ingester = node.open().await.expect("a healthy node");
    store(&ingester, 0..40).await;
    ingester.flush_now().await.expect("a healthy store");
    store(&ingester, 40..50).await;
    drop(ingester);
    node.fs = node.fs.crash();
    let ingester = node.open().await.expect("a healthy node");
    for request in 0..50 {
        assert_eq!(ingester.append(append(request)).await.expect("a healthy log"), Appended::Duplicate);
    }
    assert_eq!(visible(&ingester, &node.shelf).len(), 150);
}

#[tokio::test(start_paused = true)]
async fn fingerprints_outlive_their_segments() {
    let mut node = Node::new(4);
    let ingester = node.open().await.expect("a healthy node");
    store(&ingester, 0..450).await; // Several segments' worth.
    ingester.flush_now().await.expect("a healthy store");
    store(&ingester, 450..451).await;
    let segments = node.fs.list(&PathBuf::from("/wal")).expect("a folder");
    assert!(segments.iter().any(|name| name.starts_with("free-")), "{segments:?}");
    drop(ingester);
    node.fs = node.fs.crash();
    let ingester = node.open().await.expect("a healthy node");
    for request in 0..451 {
        assert_eq!(ingester.append(append(request)).await.expect("a healthy log"), Appended::Duplicate, "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_request_at_once_is_stored_once() {
    let node = Node::new(5);
    let ingester = node.open().await.expect("a healthy node");
    let answers = futures::future::join_all((0..20).map(|_| ingester.append(append(1)))).await;
    let stored = answers.iter().filter(|answer| matches!(answer, Ok(Appended::Stored))).count();
    assert_eq!((stored, visible(&ingester, &node.shelf).len()), (1, 3));
    assert!(answers.iter().all(std::result::Result::is_ok));

    node.fs.fail_syncs(1);
    let answers = futures::future::join_all((0..20).map(|_| ingester.append(append(2)))).await;
    let failed = answers.iter().filter(|answer| matches!(answer, Err(SinkError::Log { .. }))).count();
    let stored = answers.iter().filter(|answer| matches!(answer, Ok(Appended::Stored))).count();
    assert_eq!((failed, stored, visible(&ingester, &node.shelf).len()), (1, 1, 6));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_and_recovers() {
    let node = Node::new(6);
    let ingester = node.open().await.expect("a healthy node");
    store(&ingester, 0..5).await;
    node.fs.set_space(Space { used: 95 << 20, free: 5 << 20 });
    let refused = ingester.append(append(5)).await;
    assert!(matches!(refused, Err(SinkError::Overloaded { .. })), "{refused:?}");
    assert_eq!(visible(&ingester, &node.shelf).len(), 15);
    ingester.flush_now().await.expect("a healthy store");
    node.fs.set_space(Space { used: 50 << 20, free: 50 << 20 });
    let refused = ingester.append(append(5)).await; // Less than wal.disk_free_min.
    assert!(matches!(refused, Err(SinkError::Overloaded { .. })), "{refused:?}");
    node.fs.set_space(Space { used: 5 << 30, free: 5 << 30 });
    store(&ingester, 5..10).await;
    assert_eq!(visible(&ingester, &node.shelf).len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_fills_the_buffer_and_no_more() {
    let node = Node::new(7);
    let ingester = node.open().await.expect("a healthy node");
    node.shelf.set_faults(100);
    let mut stored = 0;
    loop {
        match ingester.append(append(stored)).await {
            Ok(Appended::Stored) => stored += 1,
            Err(SinkError::Overloaded { .. }) => break,
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(stored < 10_000, "the buffer has no bound");
    }
    assert!(ingester.buffer.bytes() <= 400_000);
    assert_eq!(visible(&ingester, &node.shelf).len(), stored as usize * 3);
    node.shelf.set_faults(0);
    ingester.flush_now().await.expect("the store is back");
    store(&ingester, stored..stored + 1).await;
}

/// Rows that no file can hold are not retried in silence: they stay visible and in the log, the node says so, and goes on once they
/// can be written.
#[tokio::test(start_paused = true)]
async fn rows_that_are_refused_as_such_are_named() {
    let mut node = Node::new(14);
    let ingester = node.open().await.expect("a healthy node");
    node.shelf.set_rejecting(true);
    store(&ingester, 1..3).await; // Of one tenant.
    let flushed = tokio::time::timeout(Duration::from_secs(300), ingester.flush_now()).await;
    assert!(flushed.is_err(), "nothing can be flushed");
    let rejected = ingester.rejected().expect("it was tried often enough").to_string();
    assert_eq!(
        rejected,
        "6 rows of samples of tenant red cannot be written and wait in the log: flush failed: a column is crooked"
    );
    store(&ingester, 3..4).await;
    assert_eq!((visible(&ingester, &node.shelf).len(), node.shelf.commits()), (9, 0));
    drop(ingester);

    node.fs = node.fs.crash();
    let ingester = node.open().await.expect("the log is healthy");
    assert_eq!(visible(&ingester, &node.shelf).len(), 9);
    drop(tokio::time::timeout(Duration::from_secs(300), ingester.flush_now()).await);
    assert!(ingester.rejected().is_some());
    node.shelf.set_rejecting(false);
    ingester.flush_now().await.expect("a better build");
    assert_eq!((ingester.rejected(), visible(&ingester, &node.shelf).len()), (None, 9));
}

/// F-11: files that gc may have deleted before they were committed are written again.
#[tokio::test(start_paused = true)]
async fn a_flush_that_took_too_long_begins_anew() {
    let node = Node::new(15);
    let ingester = node.open().await.expect("a healthy node");
    for round in 0..3 {
        store(&ingester, round * 10..round * 10 + 10).await;
        node.shelf.condemn_next();
        ingester.flush_now().await.expect("the second try is young");
    }
    let seen = visible(&ingester, &node.shelf);
    assert_eq!((seen.len(), seen.values().max()), (90, Some(&1)));
}

#[tokio::test(start_paused = true)]
async fn a_long_log_is_flushed_while_it_is_replayed() {
    let mut node = Node::new(8);
    let mut large = config();
    large.flush.bytes_max = 1 << 30;
    large.flush.buffered_bytes_max = 1 << 30;
    let ingester = node.open_with(large).await.expect("a healthy node");
    store(&ingester, 0..1500).await;
    drop(ingester);
    node.fs = node.fs.kill();
    for _ in 0..10 {
        node.fs.die_at_call(6);
        let _ = node.open().await;
        node.fs = node.fs.crash();
    }
    let ingester = node.open().await.expect("a healthy node");
    assert!(ingester.buffer.bytes() <= 400_000);
    assert!(node.shelf.commits() > 1);
    let seen = visible(&ingester, &node.shelf);
    assert_eq!((seen.len(), seen.values().max()), (4500, Some(&1)));
}

/// F-31: the time of day may jump either way; order, numbering and incarnations do not depend on it.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_loses_nothing() {
    let mut node = Node::new(13);
    let mut next = 0;
    for jump_s in [0, 3_600, -3_600, 86_400, -86_400, 0] {
        node.clock.set(Timestamp::from_secs(1_790_000_000 + jump_s));
        let ingester = node.open().await.expect("a healthy node");
        store(&ingester, next..next + 20).await;
        node.clock.set(Timestamp::from_secs(1_790_000_000 - jump_s));
        store(&ingester, next + 20..next + 30).await;
        ingester.flush_now().await.expect("a healthy store");
        store(&ingester, next + 30..next + 40).await;
        next += 40;
        drop(ingester);
        node.fs = node.fs.crash();
    }
    let ingester = node.open().await.expect("a healthy node");
    let seen = visible(&ingester, &node.shelf);
    assert_eq!((seen.len() as i64, seen.values().max()), (next * ROWS, Some(&1)));
}

#[tokio::test(start_paused = true)]
async fn the_older_of_two_incarnations_stops() {
    let mut node = Node::new(9);
    let old = node.open().await.expect("a healthy node");
    store(&old, 0..5).await;
    node.fs = node.fs.clone_disk();
    let new = node.open().await.expect("a healthy node");
    assert!(matches!(old.flush_now().await, Err(Error::Fenced { .. })));
    assert!(matches!(old.failed().await, Error::Fenced { .. }));
    assert!(matches!(old.append(append(9)).await, Err(SinkError::ShuttingDown)));
    assert!(new.failed().now_or_never().is_none());
    new.flush_now().await.expect("a healthy store");
    assert_eq!(visible(&new, &node.shelf).len(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_second_process_is_told_who_has_the_folder() {
    let node = Node::new(10);
    let _first = node.open().await.expect("a healthy node");
    let error = node.open().await.expect_err("the folder is taken").to_string();
    assert_eq!(error, "folder /wal is in use by another telelake process (pid 1); stop it or choose another --data");
}

#[tokio::test(start_paused = true)]
async fn damage_is_said_and_a_torn_tail_is_not_damage() {
    let mut node = Node::new(11);
    let mut patient = config();
    patient.flush.bytes_max = 400_000;
    let ingester = node.open_with(patient.clone()).await.expect("a healthy node");
    store(&ingester, 0..10).await;
    drop(ingester);
    node.fs = node.fs.kill();
    let segment = PathBuf::from("/wal/00000000000000000001.seg");
    node.fs.flip_bit(&segment, 64 + 48 + 48 + 20).expect("the first record is there");
    let error = node.open().await.expect_err("a record is missing").to_string();
    assert!(error.contains("records 1 to 1 are missing"), "{error}");

    let mut skip = patient;
    skip.wal.recover = Recover::Skip;
    let ingester = node.open_with(skip).await.expect("told to go on");
    assert_eq!(visible(&ingester, &node.shelf).len(), 27);
    ingester.flush_now().await.expect("a healthy store");
    ingester.shutdown().await.expect("a healthy store");
    node.fs = node.fs.kill();
    node.open().await.expect("what is missing is in no commit, and behind the mark");
}

#[tokio::test(start_paused = true)]
async fn after_shutdown_nothing_is_taken_and_the_folder_is_free() {
    let node = Node::new(12);
    let ingester = node.open().await.expect("a healthy node");
    store(&ingester, 0..5).await;
    ingester.shutdown().await.expect("a healthy store");
    assert!(matches!(ingester.append(append(6)).await, Err(SinkError::ShuttingDown)));
    assert!(ingester.failed().now_or_never().is_none());
    assert_eq!(node.shelf.commits(), 1);
    node.open().await.expect("the folder is free");
}

#[tokio::test]
async fn a_real_folder_keeps_rows_for_the_next_start_and_for_a_reader() {
    let dir = tempfile::tempdir().expect("a folder");
    let (env, _clock) = fixed::env(START, 1);
    let shelf = Shelf::new(1);
    let mut config = config();
    config.wal.dir = Some(dir.path().join("wal"));
    let open = || Ingester::open(config.clone(), Arc::clone(&shelf) as Arc<dyn Destination>, env.clone());
    let ingester = open().await.expect("a fresh folder");
    store(&ingester, 0..30).await;
    let running = crate::wal::replay_readonly(&dir.path().join("wal"), |_| 0);
    assert!(matches!(running, Err(Error::Locked { .. })));
    let writer = ingester.writer();
    ingester.driver.abort();
    ingester.log.closed().await;
    drop(ingester);

    let stopped = crate::wal::replay_readonly(&dir.path().join("wal"), |_| 10).expect("a good log").expect("a log");
    let rows = |capture: FreshCapture| -> usize {
        let tables: Vec<HashMap<Table, Vec<RecordBatch>>> = capture.generations.into_iter().map(|g| g.tables).collect();
        tables.iter().flat_map(HashMap::values).flatten().map(RecordBatch::num_rows).sum()
    };
    assert_eq!(rows(stopped.capture(&tenant(0))) + rows(stopped.capture(&tenant(1))), 60);

    let ingester = open().await.expect("the same folder");
    assert_eq!(ingester.writer(), writer);
    assert_eq!(visible(&ingester, &shelf).len(), 90);
    assert_eq!(ingester.append(append(3)).await.expect("a healthy log"), Appended::Duplicate);
    ingester.shutdown().await.expect("a healthy store");
    assert_eq!(shelf.pin().mark(writer).map(|mark| mark.committed), Some(30));
}
