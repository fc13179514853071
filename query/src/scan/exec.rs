//! The scan operator.
//!
//! Inputs: none. Outputs: one partition per [`Share`], rows of one SQL table in no promised order. Errors: the lake's, out of memory,
//! limits. Memory: one batch per partition, remembered ids (see [`super::dedup`]), label sets if they are asked for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use catalog::{SnapshotId, TimeRange};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use futures::stream::try_unfold;
use lake::{BatchStream, Predicate, Scalar, ScanMetrics, ScanSpec, Test};
use tokio::sync::OnceCell;

use super::dedup::Dedup;
use super::deletes::Deletes;
use super::layout::{Share, Unit};
use super::lookup::{Dictionary, KeySet, Labels};
use super::present::{Presenter, within};
use crate::error::Error;
use crate::tables::{Keep, Lookup, Source, SqlTable};
use crate::view::View;

/// What was decided at planning time.
#[derive(Debug)]
pub(crate) struct ScanPlan {
    pub(crate) table: &'static SqlTable,
    pub(crate) view: Arc<View>,
    /// Positions in the table's columns.
    pub(crate) columns: Vec<usize>,
    /// The output.
    pub(crate) schema: SchemaRef,
    pub(crate) time: TimeRange,
    pub(crate) predicate: Predicate,
    /// Rows whose ids are not in all of these are dropped here.
    pub(crate) key_sets: Vec<KeySet>,
    /// What was deleted by selector.
    pub(crate) deletes: Deletes,
    pub(crate) shares: Vec<Share>,
    pub(crate) fetch: Option<usize>,
    /// Whether the manifest's row counts are the number of rows that come out.
    pub(crate) exact_rows: bool,
    /// Files of the table.
    pub(crate) live: usize,
    /// Of these, in the time range.
    pub(crate) in_time: usize,
    /// Of these, those that statistics left.
    pub(crate) files: usize,
    /// Their bytes.
    pub(crate) bytes: u64,
    pub(crate) fresh_rows: u64,
}

/// The dictionaries of a scan, read once by whichever share needs them first.
type SharedLabels = Arc<OnceCell<Vec<(Lookup, Arc<Labels>)>>>;

/// Reads files and fresh rows of one SQL table.
#[derive(Debug)]
pub struct LakeScanExec {
    plan: Arc<ScanPlan>,
    labels: SharedLabels,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LakeScanExec {
    pub(crate) fn new(plan: ScanPlan) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&plan.schema)),
            Partitioning::UnknownPartitioning(plan.shares.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            plan: Arc::new(plan),
            labels: Arc::default(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// Rows of a partition, or of all, as storage counts them.
    fn stored_rows(&self, partition: Option<usize>) -> u64 {
        let shares = self.plan.shares.iter().enumerate().filter(|(i, _)| partition.is_none_or(|p| p == *i));
        shares.flat_map(|(_, share)| &share.units).map(Unit::rows).sum()
    }
}

impl ExecutionPlan for LakeScanExec {
    fn name(&self) -> &str {
        "LakeScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let run = Run::new(Arc::clone(&self.plan), Arc::clone(&self.labels), partition, &context, &self.metrics);
        let stream = try_unfold(run, |mut run| async move { Ok(run.next().await?.map(|batch| (batch, run))) });
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.plan.schema), stream))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _input_stats: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let rows = usize::try_from(self.stored_rows(args.partition())).unwrap_or(usize::MAX);
        // Of a part of a file it is known about how many.
        let exact = self.plan.exact_rows && args.partition().is_none();
        let rows = if exact { Precision::Exact(rows) } else { Precision::Inexact(rows) };
        let rows = match self.plan.fetch {
            Some(fetch) => rows.to_inexact().min(&Precision::Inexact(fetch)),
            None => rows,
        };
        Ok(Arc::new(Statistics { num_rows: rows, ..Statistics::new_unknown(&self.plan.schema) }))
    }
}

impl DisplayAs for LakeScanExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &*self.plan;
        write!(f, "LakeScanExec: table={}, snapshot={}", plan.table.name, plan.view.snapshot().id())?;
        write!(f, ", files={}/{}, bytes={}, fresh_rows={}", plan.files, plan.live, plan.bytes, plan.fresh_rows)?;
        write!(f, ", pruned_by_time={}, pruned_by_statistics={}", plan.live - plan.in_time, plan.in_time - plan.files)?;
        write!(f, ", partitions={}", plan.shares.len())?;
        let names: Vec<&str> = plan.columns.iter().map(|&i| plan.table.columns[i].name).collect();
        write!(f, ", columns=[{}]", names.join(", "))?;
        if plan.time != TimeRange::ALL {
            write!(f, ", time_ns=[{:?}, {:?}]", plan.time.start, plan.time.end)?;
        }
        if !plan.predicate.all.is_empty() {
            let tests = plan.predicate.all.iter().map(|test| format!("{} {}", test.column, test_text(&test.test)));
            write!(f, ", predicate=[{}]", tests.collect::<Vec<_>>().join(" and "))?;
        }
        for set in &plan.key_sets {
            write!(f, ", {} {} {} ids", set.key, if set.negated { "not in" } else { "in" }, set.ids.len())?;
        }
        match plan.fetch {
            Some(fetch) => write!(f, ", limit={fetch}"),
            None => Ok(()),
        }
    }
}

fn test_text(test: &Test) -> String {
    let bound = |scalar: &Option<Scalar>| scalar.as_ref().map_or_else(String::new, scalar_text);
    match test {
        Test::In(values) if values.len() > 4 => format!("in {} values", values.len()),
        Test::In(values) => format!("in ({})", values.iter().map(scalar_text).collect::<Vec<_>>().join(", ")),
        Test::Between(low, high) => format!("in [{}, {}]", bound(low), bound(high)),
        Test::Contains(text) => format!("contains {text:?}"),
        Test::KeyIs(key, value) => format!("[{key:?}] = {}", scalar_text(value)),
        Test::HasAttributes => "has attributes".to_owned(),
        Test::AnyOf(tests) => {
            let tests = tests.iter().map(|test| format!("{} {}", test.column, test_text(&test.test)));
            format!("any of ({})", tests.collect::<Vec<_>>().join(", "))
        }
    }
}

fn scalar_text(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Int(v) | Scalar::TimeNs(v) => v.to_string(),
        Scalar::Float(v) => v.to_string(),
        Scalar::Text(v) => format!("{v:?}"),
        Scalar::Bytes(v) => v.iter().map(|b| format!("{b:02x}")).collect(),
    }
}

/// One partition at work.
struct Run {
    plan: Arc<ScanPlan>,
    shared_labels: SharedLabels,
    presenter: Option<Presenter>,
    units: VecDeque<Unit>,
    window: Option<TimeRange>,
    stored: Vec<String>,
    batch_rows: usize,
    dedup: Option<Dedup>,
    current: Option<BatchStream>,
    /// The snapshot that brought the current file; `None` for rows in memory.
    added: Option<SnapshotId>,
    fetch: usize,
    pool: Arc<dyn datafusion::execution::memory_pool::MemoryPool>,
    baseline: BaselineMetrics,
    lake_metrics: Arc<ScanMetrics>,
    counters: Vec<(&'static str, Count)>,
    duplicates: Count,
}

impl Run {
    fn new(
        plan: Arc<ScanPlan>,
        shared_labels: SharedLabels,
        partition: usize,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Self {
        let share = plan.shares.get(partition).cloned().unwrap_or_default();
        let stored = stored_columns(&plan, &share);
        let reservation = || MemoryConsumer::new("LakeScanExec[duplicates]").register(context.memory_pool());
        let dedup =
            plan.table.identity.filter(|_| share.repeats).map(|identity| Dedup::new(&share.units, identity, reservation()));
        let lake_metrics: Arc<ScanMetrics> = Arc::default();
        let counter = |name| (name, MetricBuilder::new(metrics).counter(name, partition));
        Self {
            shared_labels,
            presenter: None,
            units: share.units.into(),
            window: share.window,
            stored,
            batch_rows: context.session_config().batch_size(),
            dedup,
            current: None,
            added: None,
            fetch: plan.fetch.unwrap_or(usize::MAX),
            pool: Arc::clone(context.memory_pool()),
            baseline: BaselineMetrics::new(metrics, partition),
            counters: lake_metrics.totals().named().map(|(name, _)| counter(name)).collect(),
            duplicates: counter("duplicates").1,
            lake_metrics,
            plan,
        }
    }

    /// The next batch that has rows.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.fetch > 0 {
            let Some(batch) = self.next_stored().await? else { break };
            let shown = self.presenter().await?.present(&batch)?;
            if shown.num_rows() == 0 {
                continue;
            }
            let shown = if shown.num_rows() > self.fetch { shown.slice(0, self.fetch) } else { shown };
            self.fetch -= shown.num_rows();
            self.baseline.output_rows().add(shown.num_rows());
            return Ok(Some(shown));
        }
        self.baseline.done();
        Ok(None)
    }

    /// The next stored rows that belong to the answer.
    async fn next_stored(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let Some(stream) = &mut self.current else {
                let Some(unit) = self.units.pop_front() else { return Ok(None) };
                if let Some(dedup) = &mut self.dedup {
                    dedup.start_unit(&unit)?;
                }
                self.added = match &unit {
                    Unit::File(file, _) => Some(self.plan.view.added(file)),
                    Unit::Fresh(_) => None,
                };
                self.current = Some(self.open(unit)?);
                continue;
            };
            let next = stream.next().await.transpose().map_err(Error::from)?;
            self.count();
            let ready = match (next, &mut self.dedup) {
                (Some(batch), dedup) => {
                    let batch = self.plan.admit(batch, self.window, self.added)?;
                    match dedup {
                        Some(dedup) => dedup.push(batch)?,
                        None => Some(batch),
                    }
                }
                (None, dedup) => {
                    self.current = None;
                    dedup.as_mut().and_then(Dedup::finish_unit)
                }
            };
            if let Some(batch) = ready.filter(|batch| batch.num_rows() > 0) {
                return Ok(Some(batch));
            }
        }
    }

    fn open(&self, unit: Unit) -> Result<BatchStream> {
        match unit {
            Unit::File(file, part) => {
                let time = self.window.map_or(self.plan.time, |window| window.intersect(self.plan.time));
                let spec = ScanSpec {
                    columns: self.stored.clone(),
                    time,
                    predicate: self.plan.predicate.clone(),
                    texts: None,
                    keys: None,
                    row_group: None,
                    part,
                    rows: None,
                    batch_rows: self.batch_rows,
                    metrics: Arc::clone(&self.lake_metrics),
                };
                Ok(self.plan.view.lake().scan(file, spec).map_err(Error::from)?)
            }
            Unit::Fresh(fresh) => {
                let columns = self.stored.clone();
                let time = self.plan.time;
                // Rows are cut to batches of the usual size; newest first where of equal rows the last one written counts.
                let mut batches: Vec<RecordBatch> = fresh.batches.iter().flat_map(|b| slices(b, self.batch_rows)).collect();
                if self.plan.table.identity.is_some_and(|identity| identity.keep == Keep::Newest) {
                    batches.reverse();
                }
                let project = move |batch: RecordBatch| -> lake::Result<RecordBatch> {
                    let positions = columns.iter().map(|name| batch.schema_ref().index_of(name));
                    let internal = |e: arrow::error::ArrowError| lake::Error::Internal(e.to_string());
                    let positions = positions.collect::<std::result::Result<Vec<_>, _>>().map_err(internal)?;
                    let batch = if time == TimeRange::ALL {
                        batch
                    } else {
                        within(batch, time).map_err(|e| lake::Error::Internal(e.to_string()))?
                    };
                    batch.project(&positions).map_err(internal)
                };
                Ok(futures::stream::iter(batches).map(project).boxed())
            }
        }
    }

    async fn presenter(&mut self) -> Result<&Presenter> {
        if self.presenter.is_none() {
            let plan = &*self.plan;
            let labels = self.shared_labels.get_or_try_init(|| load_labels(plan, &self.pool)).await?.clone();
            self.presenter = Some(Presenter::new(plan.table, &plan.columns, Arc::clone(&plan.schema), labels));
        }
        Ok(self.presenter.as_ref().expect("it was just made"))
    }

    /// Brings the operator's metrics up to the lake's.
    fn count(&mut self) {
        for ((_, counter), (_, value)) in self.counters.iter().zip(self.lake_metrics.totals().named()) {
            let value = usize::try_from(value).unwrap_or(usize::MAX);
            counter.add(value.saturating_sub(counter.value()));
        }
        if let Some(dedup) = &self.dedup {
            self.duplicates.add((dedup.dropped as usize).saturating_sub(self.duplicates.value()));
        }
    }
}

impl ScanPlan {
    /// The rows of `batch` that are not deleted, inside the window and with ids that the dictionary filters left.
    fn admit(&self, batch: RecordBatch, window: Option<TimeRange>, added: Option<SnapshotId>) -> Result<RecordBatch> {
        let batch = match added {
            Some(added) => self.deletes.apply(batch, added)?,
            None => batch,
        };
        let mut batch = match window {
            Some(window) => within(batch, window)?,
            None => batch,
        };
        for set in &self.key_sets {
            let mask = set.mask(&batch)?;
            if mask.true_count() < batch.num_rows() {
                batch = filter_record_batch(&batch, &mask)?;
            }
        }
        Ok(batch)
    }
}

/// The stored columns that a scan needs: those of its output, of identity, window and ids.
fn stored_columns(plan: &ScanPlan, share: &Share) -> Vec<String> {
    let mut columns: Vec<&str> = plan.columns.iter().flat_map(|&i| SqlTable::stored_columns(&plan.table.columns[i])).collect();
    if let Some(identity) = plan.table.identity.filter(|_| share.repeats) {
        columns.extend([identity.id, "ts"]);
    }
    if share.window.is_some() {
        columns.push("ts");
    }
    if plan.table.shape == crate::tables::Shape::Events {
        columns.push("events");
    }
    columns.extend(plan.key_sets.iter().map(|set| set.key));
    columns.extend(plan.deletes.columns());
    columns.sort_unstable();
    columns.dedup();
    columns.into_iter().map(str::to_owned).collect()
}

async fn load_labels(
    plan: &ScanPlan,
    pool: &Arc<dyn datafusion::execution::memory_pool::MemoryPool>,
) -> Result<Vec<(Lookup, Arc<Labels>)>> {
    let mut labels = Vec::new();
    for &column in &plan.columns {
        if let Source::Lookup(lookup) = plan.table.columns[column].source {
            let dictionary = Dictionary::load(&plan.view, lookup, plan.time, pool).await?;
            labels.push((lookup, Arc::new(dictionary.into_labels(plan.view.limits().series_max)?)));
        }
    }
    Ok(labels)
}

/// `batch` in pieces of at most `rows` rows.
fn slices(batch: &RecordBatch, rows: usize) -> impl Iterator<Item = RecordBatch> + '_ {
    let starts = (0..batch.num_rows()).step_by(rows.max(1));
    starts.map(move |at| batch.slice(at, rows.min(batch.num_rows() - at)))
}
