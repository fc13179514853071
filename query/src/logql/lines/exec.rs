//! The operator that reads lines.
//!
//! Inputs: none. Outputs: the columns that were asked for, of the rows that [`super::Lines`] promises; partitions share the work, and rows
//! come in no promised order, but those of one file by stream and time. Errors: the lake's, out of memory. Memory: a batch per
//! partition, and keys of lines that may be there twice; without texts, a row group of the other columns.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, Schema, SchemaRef, TimestampNanosecondType};
use catalog::{Table, TimeRange, schema};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::try_unfold;
use futures::{StreamExt, TryStreamExt};
use lake::{BatchStream, ScanSpec};

use super::seen::{METADATA, Once, has_ties};
use super::{Hiding, Lines, TEXT, Unit};
use crate::error::Error;
use crate::scan::deletes;

/// Reads the lines of a plan.
#[derive(Debug)]
pub(in super::super) struct LinesExec {
    lines: Arc<Lines>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl LinesExec {
    /// The operator, in `partitions` partitions.
    pub(in super::super) fn new(lines: Arc<Lines>, partitions: usize) -> Result<Self> {
        let rows = schema::rows(Table::Logs);
        let fields = lines.wanted.columns.iter().map(|name| rows.field_with_name(name).cloned());
        let schema = Arc::new(Schema::new(fields.collect::<std::result::Result<Vec<_>, _>>()?));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self { lines, schema, properties: Arc::new(properties) })
    }
}

impl ExecutionPlan for LinesExec {
    fn name(&self) -> &str {
        "LinesExec"
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

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let run = Run {
            once: Once::new(Arc::clone(&self.lines.seen), context.memory_pool()),
            lines: Arc::clone(&self.lines),
            batch_rows: context.session_config().batch_size(),
            current: None,
        };
        let stream = try_unfold(run, |mut run| async move { Ok(run.next().await?.map(|batch| (batch, run))) });
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))))
    }
}

impl DisplayAs for LinesExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lines { view, wanted, predicate, planned, .. } = &*self.lines;
        write!(f, "LinesExec: snapshot={}, streams={}, units={planned}", view.snapshot().id(), wanted.streams.list.len())?;
        write!(f, ", columns=[{}], tests={}", wanted.columns.join(", "), predicate.all.len())?;
        write!(f, ", time_ns=[{:?}, {:?}]", wanted.time.start, wanted.time.end)
    }
}

/// The unit that a partition reads.
struct Current {
    stream: BatchStream,
    /// What is wanted of it.
    time: TimeRange,
    /// Whether rows of other streams or times can be among its rows.
    is_mixed: bool,
    /// Whether it is known that no line is there twice.
    is_untied: bool,
    hiding: Hiding,
}

/// One partition at work.
struct Run {
    lines: Arc<Lines>,
    once: Once,
    batch_rows: usize,
    current: Option<Current>,
}

impl Run {
    /// The next batch that has rows.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(unit) = self.lines.take() else { return Ok(None) };
                self.once.start_unit();
                self.current = Some(match self.untied(&unit).await? {
                    Some(current) => current,
                    None => self.open(unit)?,
                });
                continue;
            };
            let Some(batch) = current.stream.next().await.transpose().map_err(Error::from)? else {
                self.current = None;
                continue;
            };
            let (time, is_mixed, is_untied) = (current.time, current.is_mixed, current.is_untied);
            let batch = if is_mixed { self.wanted(batch, time)? } else { batch };
            let mut batch = self.matching(batch)?;
            // Before lines are told to be there already: a deleted one does not hide its like that came later.
            if let Some(Current { hiding, .. }) = &self.current {
                batch = deletes::shown(batch, &hiding.deletes, hiding.added)?;
            }
            if batch.num_rows() == 0 {
                continue;
            }
            if !is_untied {
                batch = self.once.pass(batch)?;
            }
            let batch = self.project(batch)?;
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
    }

    /// The columns that were asked for.
    fn project(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if batch.num_columns() == self.lines.wanted.columns.len() {
            return Ok(batch);
        }
        let positions = self.lines.wanted.columns.iter().map(|name| batch.schema_ref().index_of(name));
        Ok(batch.project(&positions.collect::<std::result::Result<Vec<_>, _>>()?)?)
    }

    /// The rows of a file whose texts nobody wants, if no two of them can be equal lines: `None` when texts must tell.
    async fn untied(&mut self, unit: &Unit) -> Result<Option<Current>> {
        let Unit::File { time, hiding, .. } = unit else { return Ok(None) };
        if hiding.deletes.columns(Table::Logs).contains(&TEXT) || self.lines.wants_text() || self.lines.seen.overlaps(*time) {
            return Ok(None);
        }
        let current = self.scan(unit.clone(), self.lines.wanted.columns.clone())?;
        let Current { stream, time, is_mixed, hiding, .. } = current;
        let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(Error::from)?;
        if has_ties(&batches) {
            return Ok(None);
        }
        let stream = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
        Ok(Some(Current { stream, time, is_mixed, is_untied: true, hiding }))
    }

    fn open(&self, unit: Unit) -> Result<Current> {
        let mut columns = self.lines.wanted.columns.clone();
        for identifying in METADATA.iter().chain([&TEXT]) {
            if !columns.iter().any(|column| column == identifying) {
                columns.push((*identifying).to_owned());
            }
        }
        self.scan(unit, columns)
    }

    fn scan(&self, unit: Unit, mut columns: Vec<String>) -> Result<Current> {
        let Lines { view, wanted, predicate, metrics, bound, .. } = &*self.lines;
        let time = bound.left(wanted.time);
        match unit {
            Unit::File { file, row_group, hiding, .. } => {
                let telling = hiding.deletes.columns(Table::Logs);
                let missing: Vec<&str> = telling.into_iter().filter(|name| columns.iter().all(|known| known != name)).collect();
                columns.extend(missing.into_iter().map(str::to_owned));
                let spec = ScanSpec {
                    columns,
                    time,
                    predicate: predicate.clone(),
                    row_group,
                    batch_rows: self.batch_rows,
                    metrics: Arc::clone(metrics),
                };
                let stream = view.lake().scan(file, spec).map_err(Error::from)?;
                // Ids in a set and times are tested row by row by the scan, unless there are too many ids for a set.
                let is_mixed = !wanted.streams.is_all && wanted.streams.list.len() > super::STREAM_IDS_MAX;
                Ok(Current { stream, time, is_mixed, is_untied: false, hiding })
            }
            Unit::Fresh { batch, .. } => {
                let positions = columns.iter().map(|name| batch.schema_ref().index_of(name));
                let positions = positions.collect::<std::result::Result<Vec<_>, _>>()?;
                let batch = batch.project(&positions)?;
                let slices: Vec<lake::Result<RecordBatch>> = (0..batch.num_rows())
                    .step_by(self.batch_rows.max(1))
                    .map(|from| Ok(batch.slice(from, self.batch_rows.min(batch.num_rows() - from))))
                    .collect();
                let stream = futures::stream::iter(slices).boxed();
                // No predicate hides rows in memory.
                Ok(Current { stream, time, is_mixed: true, is_untied: false, hiding: Hiding::default() })
            }
        }
    }

    /// The rows of wanted streams in `time`.
    fn wanted(&self, batch: RecordBatch, time: TimeRange) -> Result<RecordBatch> {
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| DataFusionError::Internal(format!("lines have no column {name}")))
        };
        let streams = &self.lines.wanted.streams;
        let ids = column("stream_id")?.as_primitive::<Int64Type>().values();
        let times = column("ts")?.as_primitive::<TimestampNanosecondType>().values();
        let inside = time.start.as_nanos()..=time.end.as_nanos();
        let mut last: Option<(i64, bool)> = None;
        let mut is_wanted = |id: i64| match last {
            Some((seen, answer)) if seen == id => answer,
            _ => {
                let answer = streams.place(id).is_some();
                last = Some((id, answer));
                answer
            }
        };
        let kept = BooleanBuffer::collect_bool(batch.num_rows(), |row| inside.contains(&times[row]) && is_wanted(ids[row]));
        filtered(batch, kept)
    }

    /// The rows whose lines pass the filters.
    fn matching(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let Some(bodies) = batch.column_by_name(TEXT).map(|bodies| bodies.as_string::<i32>()) else {
            self.lines.count(batch.num_rows(), 0);
            return Ok(batch);
        };
        let offsets = bodies.value_offsets();
        let bytes = offsets.last().zip(offsets.first()).map_or(0, |(last, first)| (last - first) as usize);
        self.lines.count(batch.num_rows(), bytes);
        let Some(filters) = &self.lines.wanted.filters else { return Ok(batch) };
        let mut kept = vec![true; batch.num_rows()];
        filters.filter_rows(bodies.value_data(), offsets, &mut kept);
        filtered(batch, BooleanBuffer::collect_bool(kept.len(), |row| kept[row]))
    }
}

fn filtered(batch: RecordBatch, kept: BooleanBuffer) -> Result<RecordBatch> {
    if kept.count_set_bits() == batch.num_rows() {
        return Ok(batch);
    }
    Ok(filter_record_batch(&batch, &BooleanArray::new(kept, None))?)
}
