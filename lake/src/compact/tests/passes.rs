//! Whole passes over a lake on a store: compaction, retention, gc and check together.

use catalog::env::fixed::{ManualClock, SeededEntropy, env};
use catalog::manifest::{Catalog, CatalogConfig, DeletePredicate};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::*;
use crate::check::{CheckOptions, check};
use crate::config::LakeConfig;
use crate::deletes::Selection;
use crate::gc::{self, GcConfig};
use crate::retention::{self, Keep, RetentionConfig};
use crate::scan::ScanSpec;
use crate::series::{MatchOp, Matcher};
use crate::store::{FaultStore, Faults, LocalStore, RetryPolicy, RetryStore};

const MINUTE_MS: i64 = 60_000;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Predicates that are the pattern of a metric's name.
#[derive(Debug)]
pub(super) struct MetricNames;

impl SelectorLanguage for MetricNames {
    fn read(&self, delete: &DeletePredicate) -> Result<Selection> {
        if delete.predicate == "?" {
            return Err(Error::Selector { delete: delete.id, reason: "of the future".to_owned() });
        }
        Ok(Selection { matchers: vec![Matcher::new("__name__", MatchOp::Regex, delete.predicate.as_str())?], rows: None })
    }
}

pub(super) struct World {
    pub(super) lake: Arc<Lake>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) tenant: TenantId,
}

impl World {
    async fn open(store: Arc<dyn ObjectStore>, seed: u64) -> Self {
        let (env, clock) = env(Timestamp::from_secs(0), seed);
        let catalog = Catalog::open(Arc::clone(&store), env.clone(), CatalogConfig::default()).await.expect("catalog");
        let lake = Lake::open(store, catalog, env, LakeConfig::default());
        Self { lake, clock, tenant: TenantId::anonymous() }
    }

    pub(super) async fn in_memory(seed: u64) -> Self {
        Self::open(Arc::new(InMemory::new()), seed).await
    }

    /// Flushes rows as the ingester would: files of level 0 in one commit.
    pub(super) async fn flush(&self, table: Table, rows: RecordBatch) {
        let files = self.lake.write(&self.tenant, table, Level::L0, vec![rows]).await.expect("write");
        let add = |file| Operation::AddFile { file: Box::new(file) };
        self.lake.catalog().commit(files.into_iter().map(add).collect()).await.expect("commit");
    }

    /// A flush a minute for `hours`, four samples of each of eight series in each, the clock running along.
    async fn flush_samples(&self, hours: i64) {
        for minute in 0..hours * 60 {
            self.clock.set(Timestamp::from_millis((minute + 1) * MINUTE_MS));
            let rows = (0..8).flat_map(|series| {
                (0..4).map(move |n| ((series % 3) as u8, series, minute * MINUTE_MS + n * 15_000, (minute * 10 + n) as i32))
            });
            self.flush(Table::Samples, samples(&rows.collect::<Vec<_>>())).await;
        }
    }

    pub(super) fn files(&self, table: Table) -> Vec<Arc<FileEntry>> {
        let mut files = self.lake.catalog().snapshot().files(&self.tenant, table, TimeRange::ALL);
        files.sort_by_key(|file| recency(file));
        files
    }

    pub(super) async fn rows(&self, file: &Arc<FileEntry>) -> Vec<RecordBatch> {
        let schema = schema::rows(file.table);
        let all = ScanSpec::all(schema.fields().iter().map(|field| field.name().clone()));
        self.lake.scan(Arc::clone(file), all).expect("scan").try_collect().await.expect("rows")
    }

    /// What a reader answers: of equal samples the newest.
    async fn answer(&self) -> BTreeMap<(u8, i64, i64), i32> {
        let mut answer = BTreeMap::new();
        for file in self.files(Table::Samples) {
            let rows = read_samples(&self.rows(&file).await);
            assert!(rows.is_sorted_by_key(|row| (row.0, row.1, row.2)));
            answer.extend(rows.into_iter().map(|row| ((row.0, row.1, row.2), row.3)));
        }
        answer
    }

    pub(super) fn compactor(&self) -> Compactor {
        Compactor::new(Arc::clone(&self.lake), CompactConfig::default(), Arc::new(MetricNames))
    }

    #[track_caller]
    pub(super) fn no_failures(report: &CompactReport) {
        assert_eq!(report.failures, [""; 0]);
    }
}

#[tokio::test]
async fn passes_over_a_day_never_change_an_answer() {
    let world = World::in_memory(1).await;
    world.flush_samples(5).await;
    let expected = world.answer().await;
    assert_eq!((expected.len(), world.files(Table::Samples).len()), (5 * 60 * 4 * 8, 300));
    let mut levels = Vec::new();
    for hours in [0, 1, 1, 24, 24] {
        world.clock.advance(HOUR * hours);
        let report = world.compactor().run_once(CompactBudget::UNLIMITED).await.expect("pass");
        World::no_failures(&report);
        assert_eq!(report.duplicates, 0);
        assert_eq!(world.answer().await, expected);
        let files = world.files(Table::Samples);
        levels.push(files.iter().map(|file| file.level).collect::<Vec<_>>());
    }
    assert_eq!(levels.last(), Some(&vec![Level::L2]));
    let rows: u64 = world.files(Table::Samples).iter().map(|file| file.rows).sum();
    assert_eq!(rows, expected.len() as u64);
}

#[tokio::test]
async fn late_and_repeated_rows_end_up_once_and_the_newest_wins() {
    let world = World::in_memory(2).await;
    world.flush_samples(3).await;
    world.compactor().force().await.expect("force");
    world.flush(Table::Samples, samples(&[(0, 0, 0, 777), (0, 0, 7, 5), (0, 0, 7, 6)])).await;
    world.flush(Table::Samples, samples(&[(0, 0, 15_000, 888)])).await;
    let expected = world.answer().await;
    assert_eq!((expected[&(0, 0, 0)], expected[&(0, 0, 7)], expected[&(0, 0, 15_000)]), (777, 6, 888));
    let report = world.compactor().force().await.expect("force");
    World::no_failures(&report);
    assert_eq!((report.duplicates, world.files(Table::Samples).len()), (3, 1));
    assert_eq!(world.answer().await, expected);
}

#[tokio::test]
async fn a_folder_is_a_lake_too() {
    let folder = tempfile::tempdir().expect("temp dir");
    let world = World::open(Arc::new(LocalStore::open(folder.path()).expect("open")), 3).await;
    world.flush_samples(1).await;
    let expected = world.answer().await;
    World::no_failures(&world.compactor().force().await.expect("force"));
    assert_eq!(world.answer().await, expected);
    world.clock.advance(DAY * 3);
    gc::run_once(&world.lake, &GcConfig::default()).await.expect("gc");
    assert_eq!(world.answer().await, expected);
    let report = check(&world.lake, CheckOptions { deep: true, parallel: 0 }, |_| {}).await.expect("check");
    assert_eq!((report.findings, report.files), (Vec::new(), 1));
}

/// F-08: what goes wrong before the commit leaves the inputs live, and the next pass does it again under other names.
#[tokio::test(start_paused = true)]
async fn a_failing_store_loses_nothing() {
    for seed in 0..10 {
        let entropy = SeededEntropy::new(seed);
        let faulty = FaultStore::new(Arc::new(InMemory::new()), Arc::clone(&entropy) as _, Faults::default());
        let policy = RetryPolicy { attempts_max: 2, ..RetryPolicy::default() };
        let world = World::open(Arc::new(RetryStore::new(Arc::new(faulty.clone()), entropy, policy)), seed).await;
        world.flush_samples(1).await;
        let expected = world.answer().await;
        faulty.set(Faults {
            fail_before: 0.1,
            fail_after: 0.1,
            torn_multipart: 0.2,
            only: "data/".to_owned(),
            ..Faults::default()
        });
        for _ in 0..5 {
            world.compactor().force().await.expect("the manifest answers");
        }
        faulty.set(Faults::default());
        assert_eq!(world.answer().await, expected, "seed {seed}");
        World::no_failures(&world.compactor().force().await.expect("force"));
        assert_eq!((world.answer().await, world.files(Table::Samples).len()), (expected, 1), "seed {seed}");
    }
}

/// F-09: compaction and retention want the same files; whoever commits second notices.
#[tokio::test(start_paused = true)]
async fn compaction_races_retention() {
    let mut conflicts = 0;
    for seed in 0..60 {
        let faults = Faults { latency_max: Duration::from_millis(50), ..Faults::default() };
        let store = FaultStore::new(Arc::new(InMemory::new()), SeededEntropy::new(seed), Faults::default());
        let world = World::open(Arc::new(store.clone()), seed).await;
        for slice in 0..6i64 {
            for n in 0..3 {
                let ts = slice * 120 * MINUTE_MS + n;
                world.flush(Table::Samples, samples(&[(0, 1, ts, slice as i32), (1, 2, ts, slice as i32)])).await;
            }
        }
        let expected = world.answer().await;
        store.set(faults);
        // Half of the slices are too old; which pass comes first is up to the seed.
        world.clock.set(Timestamp::from_millis(48 * 60 * MINUTE_MS));
        let keep = Keep { metrics: Some(HOUR * 42), ..Keep::default() };
        let config = RetentionConfig { default: keep, tenants: BTreeMap::new() };
        let cutoff_ms = 6 * 60 * MINUTE_MS;
        let pause = Duration::from_millis(seed * 2);
        let dropping = async {
            tokio::time::sleep(pause).await;
            retention::run_once(&world.lake, &config).await.expect("retention")
        };
        let compactor = world.compactor();
        let (_, report) = tokio::join!(dropping, compactor.run_once(CompactBudget::UNLIMITED));
        let report = report.expect("pass");
        World::no_failures(&report);
        conflicts += report.conflicts;
        store.set(Faults::default());
        World::no_failures(&world.compactor().force().await.expect("force"));
        let answer = world.answer().await;
        assert!(answer.iter().all(|(key, value)| expected.get(key) == Some(value)), "seed {seed}: a row was invented");
        let kept = expected.keys().filter(|key| key.2 >= cutoff_ms).all(|key| answer.contains_key(key));
        assert!(kept, "seed {seed}: a row was lost");
        let rows: u64 = world.files(Table::Samples).iter().map(|file| file.rows).sum();
        assert_eq!(rows, answer.len() as u64, "seed {seed}: a row is there twice");
        // What the loser wrote is removed once it is old.
        world.clock.advance(DAY * 3);
        world.flush(Table::Samples, samples(&[(2, 9, 0, 0)])).await;
        gc::run_once(&world.lake, &GcConfig::default()).await.expect("gc");
        gc::delete_orphans(&world.lake, &GcConfig::default()).await.expect("gc");
        let report = check(&world.lake, CheckOptions { deep: true, parallel: 1 }, |_| {}).await.expect("check");
        assert_eq!(report.findings, [], "seed {seed}");
    }
    assert!(conflicts > 0, "no seed made them collide");
}

/// F-11: a file whose upload took longer than an orphan is old: gc deletes it only after the manifest has refused it for ever, so that
/// no snapshot names what is not there, whichever process wrote it.
#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_refused_before_it_is_deleted() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (world, other) = (World::open(Arc::clone(&store), 12).await, World::open(Arc::clone(&store), 13).await);
    let rows = || vec![samples(&[(0, 0, 9, 9)])];
    let slow = other.lake.write(&other.tenant, Table::Samples, Level::L0, rows()).await.expect("written").remove(0);
    let add = |file: &FileEntry| vec![Operation::AddFile { file: Box::new(file.clone()) }];
    for clock in [&world.clock, &other.clock] {
        clock.advance(DAY * 2);
    }
    world.flush(Table::Samples, samples(&[(0, 0, 0, 0)])).await;
    let fresh = other.lake.write(&other.tenant, Table::Samples, Level::L0, rows()).await.expect("written").remove(0);
    assert_eq!(gc::delete_orphans(&world.lake, &GcConfig::default()).await.expect("gc").orphans, 1);
    let refused = other.lake.catalog().commit(add(&slow)).await;
    assert!(matches!(refused, Err(catalog::Error::Condemned { .. })), "{refused:?}");
    other.lake.catalog().commit(add(&fresh)).await.expect("young enough");
    let report = check(&other.lake, CheckOptions { deep: true, parallel: 1 }, |_| {}).await.expect("check");
    assert_eq!((report.findings, report.files), (vec![], 2));
}

/// F-25: listings that miss what is new. Only orphans are found by listing, and one that is missed is found later.
#[tokio::test(start_paused = true)]
async fn late_listings_change_no_answer() {
    let late = Faults { list_delay: DAY, ..Faults::default() };
    let store = FaultStore::new(Arc::new(InMemory::new()), SeededEntropy::new(8), late);
    let world = World::open(Arc::new(store.clone()), 8).await;
    world.flush_samples(1).await;
    let expected = world.answer().await;
    World::no_failures(&world.compactor().force().await.expect("force"));
    world.lake.catalog().checkpoint().await.expect("checkpoint");
    world.lake.write(&world.tenant, Table::Samples, Level::L0, vec![samples(&[(0, 0, 9, 9)])]).await.expect("an orphan");
    world.clock.advance(DAY * 3);
    world.flush(Table::Samples, samples(&[(0, 0, 0, 0)])).await;
    let config = GcConfig { orphan_age: HOUR, ..GcConfig::default() };
    let collect = || gc::delete_orphans(&world.lake, &config);
    assert_eq!(collect().await.expect("gc").orphans, 0, "not listed yet");
    let other = World::open(Arc::new(store.clone()), 9).await;
    assert_eq!((other.answer().await, world.answer().await), (expected.clone(), expected.clone()));
    tokio::time::advance(DAY * 2).await;
    assert_eq!(collect().await.expect("gc").orphans, 1);
    assert_eq!(world.answer().await, expected);
}

/// F-26, one half: an answer that breaks off is an error, not fewer rows, and the next try is a new one.
#[tokio::test(start_paused = true)]
async fn short_bodies_are_errors() {
    let store = FaultStore::new(Arc::new(InMemory::new()), SeededEntropy::new(10), Faults::default());
    let world = World::open(Arc::new(store.clone()), 10).await;
    world.flush_samples(1).await;
    let expected = world.answer().await;
    let reader = World::open(Arc::new(store.clone()), 11).await;
    store.set(Faults { short_body: 1.0, only: "data/".to_owned(), ..Faults::default() });
    for file in reader.files(Table::Samples) {
        let read: Result<Vec<_>> = reader.lake.scan(file, ScanSpec::all(["ts", "value"])).expect("scan").try_collect().await;
        assert!(read.is_err(), "{read:?}");
    }
    store.set(Faults::default());
    assert_eq!(reader.answer().await, expected);
}

/// F-10: deletes whose answers are lost are done again, and that is fine.
#[tokio::test(start_paused = true)]
async fn gc_is_idempotent() {
    let store = FaultStore::new(Arc::new(InMemory::new()), SeededEntropy::new(5), Faults::default());
    let world = World::open(Arc::new(store.clone()), 5).await;
    world.flush_samples(1).await;
    world.compactor().force().await.expect("force");
    let expected = world.answer().await;
    let dead = world.lake.catalog().snapshot().dead_files().count();
    assert!(dead >= 60);
    let early = gc::run_once(&world.lake, &GcConfig::default()).await.expect("gc");
    assert_eq!(early.dead_files, 0, "a reader may still need them");
    world.clock.advance(DAY * 3);
    // The newest snapshot must be young, so that time travel does not hold the dead back.
    world.flush(Table::Samples, samples(&[(0, 0, 1, 1)])).await;
    store.set(Faults { fail_after: 0.5, only: "data/".to_owned(), ..Faults::default() });
    let mut deleted = 0;
    for _ in 0..50 {
        deleted += gc::run_once(&world.lake, &GcConfig::default()).await.expect("gc").dead_files;
    }
    store.set(Faults::default());
    assert_eq!((deleted, world.lake.catalog().snapshot().dead_files().count()), (dead, 0));
    let answer = world.answer().await;
    assert!(expected.iter().all(|(key, value)| answer.get(key) == Some(value)));
}

#[tokio::test]
async fn check_finds_what_is_broken_and_goes_on() {
    let world = World::in_memory(6).await;
    world.flush_samples(1).await;
    let files = world.files(Table::Samples);
    let store = world.lake.store();
    store.delete(&files[3].path()).await.expect("delete");
    let mut body = store.get(&files[7].path()).await.expect("get").bytes().await.expect("bytes").to_vec();
    let middle = body.len() / 2;
    body[middle] ^= 1;
    store.put(&files[7].path(), body.into()).await.expect("put");
    world.lake.catalog().checkpoint().await.expect("checkpoint");
    let entry = Path::from("catalog/0/log/00000000000000000009");
    store.put(&entry, "nonsense".into()).await.expect("put");
    store.put(&Path::from("data/stranger"), "x".into()).await.expect("put");
    let last = std::sync::Mutex::new(crate::check::Progress::default());
    let progress = |at| *last.lock().expect("one thread") = at;
    let report = check(&world.lake, CheckOptions { deep: true, parallel: 0 }, progress).await.expect("check");
    assert!(!report.is_healthy());
    let mut errors: Vec<_> = report.findings.iter().filter(|f| f.severity == crate::check::Severity::Error).collect();
    errors.sort_by_key(|finding| finding.what.clone());
    let paths: Vec<_> = errors.iter().map(|finding| &finding.path).collect();
    assert_eq!(paths, [&entry, &files[7].path(), &files[3].path()]);
    assert!(errors[1].what.contains("crc32") && errors[2].what == "is missing");
    assert_eq!((report.log_entries, report.checkpoints), (59, 1));
    let last = *last.lock().expect("one thread");
    assert_eq!((last.files, last.files_total, report.files), (60, 60, 60));
}

#[tokio::test]
async fn spans_are_numbered_at_level_1() {
    let world = World::in_memory(7).await;
    let span = |ts: i64, id: u8, parent: u8| {
        let fixed =
            |byte: u8, width| Arc::new(FixedSizeBinaryArray::try_from_iter([vec![byte; width]].into_iter()).expect("fixed"));
        let given: Vec<(&str, ArrayRef)> = vec![
            ("trace_id", fixed(1, 16)),
            ("ts", Arc::new(TimestampNanosecondArray::from_iter_values([ts]).with_timezone("UTC"))),
            ("span_id", fixed(id, 8)),
            ("parent_span_id", fixed(parent, 8)),
            ("service", Arc::new(vec![format!("service_{id}").as_str()].into_iter().collect::<DictionaryArray<Int32Type>>())),
        ];
        rows_of(Table::Spans, given)
    };
    for (ts, id, parent) in [(3, 3, 2), (2, 2, 1), (1, 1, 0)] {
        world.flush(Table::Spans, span(ts, id, parent)).await;
    }
    World::no_failures(&world.compactor().force().await.expect("force"));
    let files = world.files(Table::Spans);
    assert_eq!(files.len(), 1);
    let batches = world.rows(&files[0]).await;
    let numbers = |name: &str| {
        let column = batches[0].column_by_name(name).expect("column");
        cast(column, &DataType::Int64).expect("cast").as_primitive::<Int64Type>().values().to_vec()
    };
    assert_eq!((numbers("nested_left"), numbers("nested_right")), (vec![1, 2, 3], vec![6, 5, 4]));
    let roots = cast(batches[0].column_by_name("root_service").expect("column"), &DataType::Utf8).expect("cast");
    assert!(roots.as_string::<i32>().iter().all(|root| root == Some("service_1")));
}
