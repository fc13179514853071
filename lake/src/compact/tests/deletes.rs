//! Deletes become physical: against a model of single samples, and case by case.

use std::collections::BTreeSet;

use super::passes::{MetricNames, World};
use super::*;
use crate::deletes::{Deletes, Dictionaries};
use crate::series::Scope;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY_MS: i64 = 86_400_000;

type Key = (u8, i64, i64);

/// A lake, and what of it must be visible. Series are introduced as the receiver does it: once a day until a delete makes it forget.
struct Model {
    world: World,
    visible: BTreeMap<Key, i32>,
    known: BTreeSet<(i64, i64)>,
    written: i32,
}

#[derive(Debug, Clone)]
enum Step {
    /// Samples (metric, series of the metric, ts) that are flushed together.
    Flush(Vec<(u8, i64, i64)>),
    /// Deletes metrics below the number from one time to another.
    Delete(u8, i64, i64),
    Pass,
    Force,
    Clean,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ts = || (0..2_i64, 0..6_i64).prop_map(|(day, slice)| day * DAY_MS + slice * 4 * 3_600_000);
    let step = prop_oneof![
        4 => prop::collection::vec((0..3_u8, 0..2_i64, ts()), 1..8).prop_map(Step::Flush),
        2 => (1..4_u8, ts(), ts()).prop_map(|(metrics, a, b)| Step::Delete(metrics, a.min(b), a.max(b))),
        1 => (1..4_u8).prop_map(|metrics| Step::Delete(metrics, 0, 2 * DAY_MS)),
        2 => Just(Step::Pass),
        1 => Just(Step::Force),
        1 => Just(Step::Clean),
    ];
    prop::collection::vec(step, 1..16)
}

fn series(rows: &BTreeSet<(u8, i64, i64)>) -> RecordBatch {
    let metrics: Vec<String> = rows.iter().map(|row| format!("metric_{}", row.0)).collect();
    let metrics: DictionaryArray<Int32Type> = metrics.iter().map(String::as_str).collect();
    let given: Vec<(&str, ArrayRef)> = vec![
        ("metric", Arc::new(metrics)),
        ("sid", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)))),
        ("ts", Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.2)).with_timezone("UTC"))),
    ];
    rows_of(Table::Series, given)
}

impl Model {
    async fn new(seed: u64) -> Self {
        Self { world: World::in_memory(seed).await, visible: BTreeMap::new(), known: BTreeSet::new(), written: 0 }
    }

    async fn flush(&mut self, rows: &[(u8, i64, i64)]) {
        self.world.clock.advance(Duration::from_secs(30));
        let mut introduced = BTreeSet::new();
        let mut samples_of = Vec::new();
        for (metric, nth, ts) in rows {
            let sid = i64::from(*metric) * 10 + nth;
            self.written += 1;
            self.visible.insert((*metric, sid, *ts), self.written);
            samples_of.push((*metric, sid, *ts, self.written));
            if self.known.insert((sid, ts.div_euclid(DAY_MS))) {
                introduced.insert((*metric, sid, *ts));
            }
        }
        let (lake, tenant) = (&self.world.lake, &self.world.tenant);
        let mut files = lake.write(tenant, Table::Samples, Level::L0, vec![samples(&samples_of)]).await.expect("write");
        if !introduced.is_empty() {
            files.extend(lake.write(tenant, Table::Series, Level::L0, vec![series(&introduced)]).await.expect("write"));
        }
        let add = |file| Operation::AddFile { file: Box::new(file) };
        lake.catalog().commit(files.into_iter().map(add).collect()).await.expect("commit");
    }

    async fn delete(&mut self, predicate: &str, start: i64, end: i64) {
        let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        let (id, tenant) = (self.world.lake.env().new_uuid(), self.world.tenant.clone());
        let (signal, predicate) = (catalog::Signal::Metrics, predicate.to_owned());
        let delete = Operation::DeletePredicate { id, tenant, signal, predicate, start, end };
        self.world.lake.catalog().commit(vec![delete]).await.expect("commit");
        self.known.clear();
    }

    async fn step(&mut self, step: &Step) {
        let compactor = self.world.compactor();
        match step {
            Step::Flush(rows) => self.flush(rows).await,
            Step::Delete(metrics, start, end) => {
                let names: Vec<String> = (0..*metrics).map(|metric| format!("metric_{metric}")).collect();
                self.visible.retain(|key, _| key.0 >= *metrics || key.2 < *start || *end < key.2);
                self.delete(&names.join("|"), *start, *end).await;
            }
            Step::Pass => {
                self.world.clock.advance(HOUR * 5);
                World::no_failures(&compactor.run_once(CompactBudget::UNLIMITED).await.expect("pass"));
            }
            Step::Force => World::no_failures(&compactor.force().await.expect("force")),
            Step::Clean => World::no_failures(&compactor.clean().await.expect("clean")),
        }
    }

    /// What a reader sees: of equal samples the newest that is not hidden, of series that are known.
    async fn answer(&self) -> BTreeMap<Key, i32> {
        let World { lake, tenant, .. } = &self.world;
        let snapshot = lake.catalog().snapshot();
        let series = snapshot.files(tenant, Table::Series, TimeRange::ALL);
        let scope = Scope { table: Table::Series, files: series, fresh: Vec::new() };
        let scope =
            Dictionaries { series: scope, resources: Scope { table: Table::Resources, files: Vec::new(), fresh: Vec::new() } };
        let predicates: Vec<_> = snapshot.delete_predicates(tenant).cloned().collect();
        let deletes = Deletes::resolve(lake, &scope, &predicates, &MetricNames).await.expect("resolved");
        let listed = self.listed().await;
        let mut answer = BTreeMap::new();
        for file in self.world.files(Table::Samples) {
            let added = snapshot.leaf(tenant, Table::Samples, file.partition.day).and_then(|leaf| leaf.added_of(file.id));
            for batch in self.world.rows(&file).await {
                let shown = deletes.shown(&batch, added.expect("live")).expect("columns");
                let batch =
                    shown.map_or(batch.clone(), |shown| arrow::compute::filter_record_batch(&batch, &shown).expect("filters"));
                for (metric, sid, ts, value) in read_samples(&[batch]) {
                    assert!(listed.contains(&(sid, ts.div_euclid(DAY_MS))), "sample of series {sid} has lost its labels");
                    answer.insert((metric, sid, ts), value);
                }
            }
        }
        answer
    }

    /// Series and days of the series table.
    async fn listed(&self) -> BTreeSet<(i64, i64)> {
        let mut listed = BTreeSet::new();
        for file in self.world.files(Table::Series) {
            for batch in self.world.rows(&file).await {
                let sids = batch.column_by_name("sid").expect("sid").as_primitive::<Int64Type>();
                listed.extend(sids.values().iter().map(|sid| (*sid, i64::from(file.partition.day))));
            }
        }
        listed
    }

    fn deletes(&self) -> usize {
        self.world.lake.catalog().snapshot().delete_predicates(&self.world.tenant).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn deleted_rows_leave_the_files_and_no_others(steps in steps(), seed in 0..1_000_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut model = Model::new(seed).await;
            for step in &steps {
                model.step(step).await;
                assert_eq!(model.answer().await, model.visible, "after {step:?}");
            }
            model.step(&Step::Clean).await;
            assert_eq!(model.answer().await, model.visible);
            assert_eq!(model.deletes(), 0, "nothing is left to hide");
            let with_samples: BTreeSet<(i64, i64)> = model.visible.keys().map(|key| (key.1, key.2.div_euclid(DAY_MS))).collect();
            assert_eq!(model.listed().await, with_samples, "series without rows are gone");
            model.step(&Step::Force).await;
            assert_eq!(model.answer().await, model.visible);
            let rows: u64 = model.world.files(Table::Samples).iter().map(|file| file.rows).sum();
            assert_eq!(rows, model.visible.len() as u64);
        });
    }
}

/// The first file has no row in the deleted time, so nothing hides rows of it; the second one came after the delete.
#[tokio::test]
async fn a_younger_file_does_not_come_under_a_delete_with_an_older_one() {
    let mut model = Model::new(1).await;
    let steps = [
        Step::Flush(vec![(0, 0, DAY_MS + 20 * 3_600_000)]),
        Step::Delete(2, 0, DAY_MS + 12 * 3_600_000),
        Step::Flush(vec![(0, 0, DAY_MS)]),
        Step::Force,
    ];
    for step in &steps {
        model.step(step).await;
        assert_eq!(model.answer().await, model.visible, "after {step:?}");
    }
}

#[tokio::test]
async fn a_file_at_its_final_level_is_rewritten_once_it_is_old_enough() {
    let mut model = Model::new(1).await;
    model.flush(&[(0, 0, 1), (0, 1, 2), (1, 0, 3)]).await;
    World::no_failures(&model.world.compactor().force().await.expect("force"));
    let whole = model.world.files(Table::Samples);
    assert_eq!((whole.len(), whole[0].level, whole[0].rows), (1, Level::L2, 3));
    model.delete("metric_0", 0, DAY_MS).await;
    let compactor = model.world.compactor();
    let early = compactor.run_once(CompactBudget::UNLIMITED).await.expect("pass");
    assert_eq!((early.jobs, early.deleted, model.deletes()), (0, 0, 1));
    model.world.clock.advance(HOUR * 7);
    let samples = compactor.run_once(CompactBudget::UNLIMITED).await.expect("pass");
    World::no_failures(&samples);
    assert_eq!((samples.jobs, samples.rows_in, samples.deleted, samples.deletes_forgotten), (1, 3, 2, 0));
    assert_eq!(model.listed().await.len(), 3, "the labels go after the samples");
    let labels = compactor.run_once(CompactBudget::UNLIMITED).await.expect("pass");
    World::no_failures(&labels);
    assert_eq!((labels.jobs, labels.deleted, labels.deletes_forgotten), (1, 2, 1));
    let listed: Vec<_> = model.listed().await.into_iter().collect();
    assert_eq!((listed, model.world.files(Table::Samples)[0].rows), (vec![(10, 0)], 1));
}

#[tokio::test]
async fn a_file_without_any_row_left_dies_without_a_successor() {
    let mut model = Model::new(2).await;
    model.flush(&[(0, 0, 1), (0, 1, 2)]).await;
    model.delete("metric_0", 0, 10).await;
    let report = model.world.compactor().clean().await.expect("clean");
    World::no_failures(&report);
    assert_eq!((report.deleted, report.files_out, model.deletes()), (4, 0, 0));
    assert_eq!(model.world.lake.catalog().snapshot().file_count(), 0);
}

#[tokio::test]
async fn the_same_sample_written_again_is_not_meant() {
    let mut model = Model::new(3).await;
    model.flush(&[(0, 0, 1), (0, 1, 1)]).await;
    model.delete("metric_0", 0, 10).await;
    model.flush(&[(0, 0, 1)]).await;
    let report = model.world.compactor().force().await.expect("force");
    World::no_failures(&report);
    assert_eq!(model.answer().await, BTreeMap::from([((0, 0, 1), 3)]));
    assert_eq!(model.listed().await, BTreeSet::from([(0, 0)]));
    // Both samples and the other series' row. The series' second row is a duplicate of its first, its sample is none.
    assert_eq!((report.deleted, report.duplicates), (3, 1));
}

#[tokio::test]
async fn what_cannot_be_read_is_left_alone() {
    let mut model = Model::new(4).await;
    model.flush(&[(0, 0, 1)]).await;
    model.delete("?", 0, 10).await;
    let report = model.world.compactor().clean().await.expect("clean");
    assert_eq!((report.jobs, report.deleted, model.deletes()), (0, 0, 1));
    assert!(report.failures.iter().all(|failure| failure.contains("cannot be read: of the future")), "{report:?}");
    assert_eq!(report.failures.len(), 1);
}

#[tokio::test]
async fn a_snapshot_from_before_shows_what_was_deleted() {
    let mut model = Model::new(5).await;
    model.flush(&[(0, 0, 1)]).await;
    let before = model.world.lake.catalog().snapshot().id();
    model.delete("metric_0", 0, 10).await;
    let hidden = model.world.lake.catalog().snapshot().id();
    World::no_failures(&model.world.compactor().clean().await.expect("clean"));
    let catalog = model.world.lake.catalog();
    for (id, deletes) in [(before, 0), (hidden, 1)] {
        let snapshot = catalog.snapshot_at(id).await.expect("kept");
        assert_eq!((snapshot.file_count(), snapshot.delete_predicates(&model.world.tenant).count()), (2, deletes));
    }
}

#[tokio::test]
async fn a_file_without_deleted_rows_is_not_written_again() {
    let mut model = Model::new(6).await;
    model.flush(&[(0, 0, 1), (2, 0, 9)]).await;
    model.flush(&[(0, 0, DAY_MS), (2, 0, 2 * DAY_MS)]).await;
    World::no_failures(&model.world.compactor().force().await.expect("force"));
    let before = model.world.files(Table::Samples);
    assert_eq!(before.len(), 3);
    // The manifest cannot tell that no file of the second and third day has the metric at these times.
    model.delete("metric_0", 0, 10).await;
    model.delete("metric_1", 0, 5 * DAY_MS).await;
    let report = model.world.compactor().clean().await.expect("clean");
    World::no_failures(&report);
    assert_eq!((report.deleted, report.spared, model.deletes()), (2, 4, 0));
    let after = model.world.files(Table::Samples);
    let kept = before.iter().filter(|file| after.iter().any(|other| other.id == file.id)).count();
    assert_eq!((after.len(), kept), (3, 2));
}
