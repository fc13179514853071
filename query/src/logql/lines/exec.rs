//! The operator that reads lines.
//!
//! Inputs: none. Outputs: the columns that were asked for, of the rows that [`super::Lines`] promises; partitions share the work, and rows
//! come in no promised order, but those of one file by stream and time. Errors: the lake's, out of memory. Memory: a batch per
//! partition, and keys of lines that may be there twice; without texts, a row group of the other columns.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, Schema, SchemaRef, TimestampNanosecondType};
use catalog::{FileEntry, Table, TimeRange, schema};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::try_unfold;
use futures::{StreamExt, TryStreamExt};
use lake::{BatchStream, ScanSpec, TextTest};
use roaring::RoaringBitmap;

use super::super::error::Error as LogqlError;
use super::seen::{Ends, Once, Seen, has_ties};
use super::{FileUnit, Hiding, LineFilters, Lines, NARROW_STREAMS_MAX, TEXT, Unit};
use crate::error::Error;
use crate::scan::deletes;
use crate::view::View;

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

/// Texts that are looked at first, to read of the other columns and once more of texts only what rows that pass have. With more of them, texts
/// that pass are kept while the other columns are read.
const SIFTED_ROWS_MAX: u64 = 16 << 10;

/// Rows of a row group that are kept with their texts, for whoever asks for the same ones.
const FOUND_ROWS_MAX: u64 = 64;

/// The unit that a partition reads.
struct Current {
    stream: BatchStream,
    /// What is wanted of it.
    time: TimeRange,
    /// Whether rows of other streams or times can be among its rows.
    is_mixed: bool,
    /// Whether it is known that no line is there twice.
    is_untied: bool,
    /// Whether its rows have passed the filters.
    is_filtered: bool,
    /// What the filters look at while it is read.
    filtering: Option<Arc<Filtering>>,
    hiding: Hiding,
}

/// The line filters, where the lake applies them; counts the lines that they looked at, and their bytes.
#[derive(Debug)]
pub(super) struct Filtering {
    filters: Arc<LineFilters>,
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl Filtering {
    pub(super) fn new(filters: Arc<LineFilters>) -> Self {
        Self { filters, lines: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// Lines so far, and bytes.
    pub(super) fn looked_at(&self) -> (usize, usize) {
        (self.lines.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl TextTest for Filtering {
    fn column(&self) -> &str {
        TEXT
    }

    fn retain(&self, buffer: &[u8], offsets: &[i32], rows: &mut [bool]) {
        let (mut lines, mut bytes) = (0, 0);
        for (row, _) in rows.iter().enumerate().filter(|(_, wanted)| **wanted) {
            lines += 1;
            bytes += (offsets[row + 1] - offsets[row]).unsigned_abs() as usize;
        }
        self.lines.fetch_add(lines, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.filters.leading.filter_rows(buffer, offsets, rows);
    }
}

fn bytes_of(texts: &StringArray) -> usize {
    let offsets = texts.value_offsets();
    offsets.last().zip(offsets.first()).map_or(0, |(last, first)| (last - first) as usize)
}

/// Of each text, whether it passes.
fn passing(filters: &LineFilters, texts: &StringArray) -> BooleanBuffer {
    let mut kept = vec![true; texts.len()];
    filters.leading.filter_rows(texts.value_data(), texts.value_offsets(), &mut kept);
    BooleanBuffer::collect_bool(kept.len(), |row| kept[row])
}

/// A unit, and what is known of its rows.
struct Sifted {
    unit: Unit,
    rows: Rows,
}

/// The rows of a unit that are read.
#[derive(Debug, Clone)]
enum Rows {
    /// Those that statistics and index do not rule out; the scan tells which are wanted.
    Any,
    /// At most these; their times are wanted.
    Among(Arc<RoaringBitmap>),
    /// At most these; the scan tells which are wanted.
    Piece(Arc<RoaringBitmap>),
    /// These, which pass the filters.
    Passing(Arc<RoaringBitmap>),
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
                let ends = match unit.is_piece() {
                    true => Ends::Shared,
                    false => Ends::Own,
                };
                self.once.start_unit(ends);
                let Sifted { unit, rows } = match sifted(&self.lines, self.once.memory(), unit).await.map_err(of_engine)? {
                    Some(sifted) => sifted,
                    None => continue,
                };
                self.current = Some(match self.known(&unit, &rows).await.map_err(of_engine)? {
                    Some(current) => current,
                    None => match self.untied(&unit, &rows).await? {
                        Some(current) => current,
                        None => self.open(unit, rows)?,
                    },
                });
                continue;
            };
            let Some(batch) = current.stream.next().await.transpose().map_err(Error::from)? else {
                if let Some(filtering) = current.filtering.take() {
                    let (lines, bytes) = filtering.looked_at();
                    self.lines.count(lines, bytes);
                }
                self.current = None;
                continue;
            };
            let &mut Current { time, is_mixed, is_untied, is_filtered, .. } = current;
            let batch = if is_mixed { self.wanted(batch, time)? } else { batch };
            let mut batch = if is_filtered { batch } else { self.matching(batch)? };
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

    /// The rows of a file if no two of them can be equal lines: `None` when texts must tell.
    async fn untied(&mut self, unit: &Unit, rows: &Rows) -> Result<Option<Current>> {
        let Unit::File(file) = unit else { return Ok(None) };
        if !self.lines.seen.overlaps_in(file.time, file.services()).is_empty() {
            return Ok(None);
        }
        let columns = self.lines.wanted.columns.clone();
        if self.lines.wanted.filters.is_none() {
            let Lines { view, wanted, runs, .. } = &*self.lines;
            let is_narrow = !wanted.streams.is_all && wanted.streams.list.len() <= NARROW_STREAMS_MAX;
            let is_untied = match is_narrow {
                // Times of all streams are more than it reads: they help if they are there.
                true => runs.is_known_untied(view, &file.file, file.row_group).await,
                false => runs.is_untied(view, &file.file, file.row_group, self.once.memory()).await.map_err(of_engine)?,
            };
            return match is_untied {
                true => Ok(Some(Current { is_untied: true, ..self.scan(unit.clone(), rows.clone(), columns)? })),
                false => Ok(None),
            };
        }
        if file.hiding.deletes.columns(Table::Logs).contains(&TEXT) || self.lines.wants_text() {
            return Ok(None);
        }
        let current = self.scan(unit.clone(), rows.clone(), columns)?;
        let Current { stream, time, is_mixed, hiding, is_filtered, filtering, .. } = current;
        let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(Error::from)?;
        if has_ties(&batches) {
            return Ok(None);
        }
        let stream = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
        Ok(Some(Current { stream, time, is_mixed, is_untied: true, is_filtered, filtering, hiding }))
    }

    /// The rows of a file with their texts, from those that are kept, if they are few that pass the filters.
    async fn known(&mut self, unit: &Unit, rows: &Rows) -> super::super::error::Result<Option<Current>> {
        let lines = Arc::clone(&self.lines);
        let Lines { view, wanted, metrics, bound, runs, .. } = &*lines;
        let (Unit::File(file), Rows::Passing(rows), Some(filters)) = (unit, rows, &wanted.filters) else { return Ok(None) };
        if rows.len() > FOUND_ROWS_MAX || !lines.wants_text() || !file.hiding.deletes.is_empty() {
            return Ok(None);
        }
        let (place, columns) = ((&**view, &file.file, file.row_group), lines.wanted.identifying().into());
        let found = runs.rows(place, &filters.text, &columns, (rows, metrics)).await?;
        let stream = futures::stream::iter(found.batches.clone().into_iter().map(Ok)).boxed();
        let (time, hiding) = (bound.left(wanted.time).intersect(file.part), file.hiding.clone());
        // Nobody has looked at their streams and times.
        Ok(Some(Current { stream, time, is_mixed: true, is_untied: false, is_filtered: true, filtering: None, hiding }))
    }

    fn open(&self, unit: Unit, rows: Rows) -> Result<Current> {
        self.scan(unit, rows, self.lines.wanted.identifying())
    }

    /// Reads those of `rows` of `unit` that are wanted.
    fn scan(&self, unit: Unit, rows: Rows, mut columns: Vec<String>) -> Result<Current> {
        let Lines { view, wanted, predicate, metrics, bound, .. } = &*self.lines;
        let time = bound.left(wanted.time);
        match unit {
            Unit::File(FileUnit { file, row_group, hiding, part, .. }) => {
                let time = time.intersect(part);
                let telling = hiding.deletes.columns(Table::Logs);
                let missing: Vec<&str> = telling.into_iter().filter(|name| columns.iter().all(|known| known != name)).collect();
                columns.extend(missing.into_iter().map(str::to_owned));
                let filters = wanted.filters.as_ref().filter(|_| !matches!(rows, Rows::Passing(_)));
                let filtering = filters.map(|filters| Arc::new(Filtering::new(Arc::clone(filters))));
                let is_filtered = wanted.filters.is_some();
                let texts = filtering.as_ref().map(|filtering| Arc::clone(filtering) as Arc<dyn TextTest>);
                let (time_to_test, rows) = match rows {
                    Rows::Any => (time, None),
                    Rows::Among(rows) => (TimeRange::ALL, Some(rows)),
                    Rows::Piece(rows) | Rows::Passing(rows) => (time, Some(rows)),
                };
                let batch_rows = match columns.iter().any(|column| column == TEXT) {
                    true => self.batch_rows.min(lake::TEXT_BATCH_ROWS),
                    false => self.batch_rows,
                };
                let spec = ScanSpec {
                    columns,
                    time: time_to_test,
                    predicate: predicate.clone(),
                    texts,
                    keys: None,
                    row_group,
                    part: lake::Part::WHOLE,
                    rows,
                    batch_rows,
                    metrics: Arc::clone(metrics),
                };
                let stream = view.lake().scan(file, spec).map_err(Error::from)?;
                // Ids in a set and times are tested row by row by the scan, unless there are too many ids for a set.
                let is_mixed = !wanted.streams.is_all && wanted.streams.list.len() > super::STREAM_IDS_MAX;
                Ok(Current { stream, time, is_mixed, is_untied: false, is_filtered, filtering, hiding })
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
                let hiding = Hiding::default();
                Ok(Current { stream, time, is_mixed: true, is_untied: false, is_filtered: false, filtering: None, hiding })
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

    /// The rows whose lines pass the filters, of rows in memory or when there are none.
    fn matching(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let Some(bodies) = batch.column_by_name(TEXT).map(|bodies| bodies.as_string::<i32>()) else {
            self.lines.count(batch.num_rows(), 0);
            return Ok(batch);
        };
        self.lines.count(batch.num_rows(), bytes_of(bodies));
        let Some(filters) = &self.lines.wanted.filters else { return Ok(batch) };
        let kept = passing(filters, bodies);
        filtered(batch, kept)
    }
}

/// The unit, with what is known of its rows before they are read; `None` if none can be wanted.
async fn sifted(lines: &Lines, memory: &Arc<dyn MemoryPool>, unit: Unit) -> super::super::error::Result<Option<Sifted>> {
    let file = match unit {
        Unit::File(file) if lines.wanted.filters.is_some() => file,
        Unit::File(file) => {
            let rows = file.piece.clone().map_or(Rows::Any, Rows::Piece);
            return Ok(Some(Sifted { unit: Unit::File(file), rows }));
        }
        unit => return Ok(Some(Sifted { unit, rows: Rows::Any })),
    };
    let mut candidates = lines.candidates(&file).await?;
    let file = match candidates.len() <= SIFTED_ROWS_MAX && !file.is_whole() {
        true => {
            let joined = lines.joined(file);
            candidates = lines.candidates(&joined).await?;
            joined
        }
        false => file,
    };
    let is_few = candidates.len() <= SIFTED_ROWS_MAX;
    let mut rows = Rows::Any;
    if !is_few && let Some(inside) = lines.rows_in_time(&file, memory).await? {
        candidates &= inside;
        rows = Rows::Among(Arc::new(candidates.clone()));
    }
    if candidates.is_empty() {
        return Ok(None);
    }
    // Where the index leaves much over, many lines pass: their texts are kept while the other columns are read.
    let rows_max = if is_few { SIFTED_ROWS_MAX } else { 0 };
    if let Some(hits) = lines.hits(&file.file, file.row_group, &candidates, rows_max).await? {
        candidates &= &hits.passing;
        if candidates.is_empty() {
            return Ok(None);
        }
        rows = Rows::Passing(Arc::new(candidates));
    }
    Ok(Some(Sifted { unit: Unit::File(file), rows }))
}

/// The rows of a row group, or of a whole file, whose line is there already, ascending.
///
/// # Errors
/// The lake's; out of memory.
pub(in super::super) async fn repeated_rows(
    view: &View,
    file: &Arc<FileEntry>,
    row_group: Option<usize>,
    memory: &Arc<dyn MemoryPool>,
) -> super::Result<Vec<u32>> {
    let mut spec = ScanSpec::all(["stream_id", "ts", TEXT].into_iter().chain(super::seen::METADATA));
    spec.row_group = row_group;
    let mut once = Once::new(Arc::new(Seen::new(std::iter::empty(), std::iter::empty())), memory);
    let (mut first, mut repeated) = (0, Vec::new());
    let mut batches = view.lake().scan(Arc::clone(file), spec)?;
    while let Some(batch) = batches.try_next().await? {
        repeated.extend(once.repeated(&batch)?.into_iter().map(|row| first + row as u32));
        first += batch.num_rows() as u32;
    }
    Ok(repeated)
}

fn of_engine(error: LogqlError) -> DataFusionError {
    match error {
        LogqlError::Query(error) => error.into(),
        other => DataFusionError::Internal(other.to_string()),
    }
}

fn filtered(batch: RecordBatch, kept: BooleanBuffer) -> Result<RecordBatch> {
    if kept.count_set_bits() == batch.num_rows() {
        return Ok(batch);
    }
    Ok(filter_record_batch(&batch, &BooleanArray::new(kept, None))?)
}
