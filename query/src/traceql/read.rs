//! The spans that a query reads, trace by trace.
//!
//! ```text
//! files that may match ─► rows by trace id and start ─┐
//!                         rows by trace id and start ─┼─ merged by trace id ─► runs of whole traces of one source
//! rows in memory, sorted ─────────────────────────────┘                    └─► a trace that several sources have a part of
//! ```
//! Partitions share the traces out by the first bits of their ids, which are random. Who judges spans one by one reads files whose spans
//! can be nowhere else as they lie, without merging them; who counts them, without ids, and partitions share row groups out there.
//!
//! # Invariants
//! - Every span in the time asked for is there, once: of those with one trace, id and start the newest, as compaction keeps it.
//! - A trace's spans come together, by partition, whatever files and buffers they lie in, unless they are read as they lie.
//! - What is pruned by the predicate is pruned by facts about files and pages; other rows may come along.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave};
use arrow::datatypes::TimestampNanosecondType;
use catalog::{FileEntry, FileId, Level, Table, TimeRange, schema};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use futures::{StreamExt, stream};
use lake::{BatchStream, ColumnTest, Predicate, Scalar, ScanMetrics, ScanSpec, Test};

use super::error::{Error, Result};
use super::evaluate::Work;
use super::spans::{MAPS, Piece, Shape, SpanBatch, TraceSpans};
use crate::view::View;

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

/// How spans come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Trace by trace.
    ByTrace,
    /// As they lie where that is cheaper; still each once.
    AsTheyLie,
}

/// What becomes of a trace with more spans than may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    /// It is an error.
    IsRefused,
    /// Its first spans, by start within each file, are given.
    IsLeftOut,
}

/// A planned read.
#[derive(Debug)]
pub(super) struct Reading {
    view: Arc<View>,
    shape: Shape,
    columns: Vec<String>,
    time: TimeRange,
    predicate: Predicate,
    files: Vec<Arc<FileEntry>>,
    fresh: Vec<RecordBatch>,
    order: Order,
    /// Of files that are read loosely, how many row groups each has: partitions share these out.
    loose: HashMap<FileId, usize>,
    loose_columns: Vec<String>,
    /// Keys of attributes that are looked at, unless all are.
    keys: Option<Arc<[String]>>,
    /// What was read and skipped so far.
    pub(super) metrics: Arc<ScanMetrics>,
}

impl Reading {
    /// Plans to read the spans that start in `time` and may pass `predicate`, with the columns of `shape` and `more`.
    ///
    /// # Errors
    /// Limits of files and bytes.
    pub(super) fn plan(work: &Work, shape: Shape, more: &[&str], time: TimeRange, predicate: Predicate) -> Result<Self> {
        let view = Arc::clone(&work.view);
        let mut files = match time.is_empty() {
            true => Vec::new(),
            false => view.lake().prune(&view.files(Table::Spans, time), &predicate, time),
        };
        view.open(&files)?;
        // Of equal spans the newest counts: sources are in the order in which they came.
        files.sort_by_key(|file| view.added(file));
        let mut fresh = view.fresh(Table::Spans);
        fresh.retain(|batch| crate::logql::time_of(batch).is_some_and(|range| range.overlaps(time)));
        let with = |columns: Vec<&'static str>, more: &[&str]| {
            let mut columns: Vec<String> = columns.into_iter().map(str::to_owned).collect();
            for name in more {
                if !columns.iter().any(|known| known == name) {
                    columns.push((*name).to_owned());
                }
            }
            columns
        };
        let repeats = may_repeat(&files, !fresh.is_empty()).then_some("span_id");
        let columns = with(shape.columns(), &more.iter().copied().chain(repeats).collect::<Vec<_>>());
        let loose_columns = with(shape.loose_columns(), more);
        let keys = if more.iter().any(|column| MAPS.contains(column)) { None } else { shape.keys() };
        let (order, loose, metrics) = (Order::ByTrace, HashMap::new(), Arc::default());
        Ok(Self { view, shape, columns, time, predicate, files, fresh, order, loose, loose_columns, keys, metrics })
    }

    /// The same in another order.
    pub(super) fn ordered(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// Without the files that are not `wanted`, and without the rows in memory unless `has_fresh`.
    pub(super) fn of(mut self, wanted: impl Fn(&FileEntry) -> bool, has_fresh: bool) -> Self {
        self.files.retain(|file| wanted(file));
        self.fresh.truncate(if has_fresh { self.fresh.len() } else { 0 });
        self
    }

    /// The files all of whose spans start in the time asked for.
    pub(super) fn whole_entries(&self) -> impl Iterator<Item = &Arc<FileEntry>> {
        self.files.iter().filter(|file| self.time.start <= file.time.start && file.time.end <= self.time.end)
    }

    /// The same as they lie, and there with nothing but the start and the columns that are asked for: who counts spans needs no ids.
    ///
    /// # Errors
    /// The lake's.
    pub(super) async fn loosely(mut self) -> Result<Self> {
        self.order = Order::AsTheyLie;
        let alone = self.alone();
        for file in self.files.iter().filter(|file| alone.contains(&file.id)) {
            self.loose.insert(file.id, self.view.lake().row_groups(file).await?.len());
        }
        Ok(self)
    }

    /// How many partitions are worth their task.
    pub(super) fn partitions(&self, most: usize) -> usize {
        const ROWS_MIN: u64 = 20_000;
        let rows: u64 =
            self.files.iter().map(|f| f.rows).sum::<u64>() + self.fresh.iter().map(|b| b.num_rows() as u64).sum::<u64>();
        usize::try_from(rows / ROWS_MIN + 1).unwrap_or(usize::MAX).clamp(1, most.max(1))
    }

    /// Files that may matter.
    pub(super) fn entries(&self) -> &[Arc<FileEntry>] {
        &self.files
    }

    /// The traces of partition `at` of `of`.
    ///
    /// # Errors
    /// The lake's.
    pub(super) fn traces(&self, work: &Work, at: usize, of: usize) -> Result<Traces> {
        self.traces_from(work, at, of, 0)
    }

    /// Of those the ones from id `from` on.
    ///
    /// # Errors
    /// The lake's.
    pub(super) fn traces_from(&self, work: &Work, at: usize, of: usize, from: u128) -> Result<Traces> {
        let (least, most) = share(at, of);
        let ids = (least.max(from), most);
        let mut predicate = self.predicate.clone();
        if of > 1 || from > 0 {
            let bound = |id: u128| Some(Scalar::Bytes(id.to_be_bytes().to_vec()));
            predicate.all.push(ColumnTest { column: "trace_id".to_owned(), test: Test::Between(bound(ids.0), bound(ids.1)) });
        }
        let (mut sources, mut lying) = (Vec::with_capacity(self.files.len() + 1), Vec::new());
        let alone = self.alone();
        let (loose, others): (Vec<_>, Vec<_>) = self.files.iter().cloned().partition(|file| self.loose.contains_key(&file.id));
        for file in loose.into_iter().chain(self.view.lake().prune(&others, &predicate, self.time)) {
            let scan = |columns: &[String], predicate: &Predicate, ids, row_group| {
                let spec = ScanSpec {
                    columns: columns.to_vec(),
                    time: self.time,
                    predicate: predicate.clone(),
                    row_group,
                    part: lake::Part::WHOLE,
                    rows: None,
                    batch_rows: BATCH_ROWS,
                    metrics: Arc::clone(&self.metrics),
                    texts: Default::default(),
                    keys: self.keys.clone(),
                };
                // Compaction leaves nothing that is there twice.
                let is_once = file.level != Level::L0;
                Ok::<_, Error>(Source { stream: self.view.lake().scan(Arc::clone(&file), spec)?, current: None, ids, is_once })
            };
            match self.loose.get(&file.id) {
                Some(groups) => {
                    // Row groups are shared out, not ids.
                    let any = (0, u128::MAX);
                    for group in (at..*groups).step_by(of) {
                        lying.push(scan(&self.loose_columns, &self.predicate, any, Some(group))?);
                    }
                }
                None if alone.contains(&file.id) => lying.push(scan(&self.columns, &predicate, ids, None)?),
                None => sources.push(scan(&self.columns, &predicate, ids, None)?),
            }
        }
        if !self.fresh.is_empty() {
            let sorted = self.sorted(ids)?;
            let stream = stream::iter(sorted.into_iter().map(Ok)).boxed();
            sources.push(Source { stream, current: None, ids, is_once: false });
        }
        let reservation = MemoryConsumer::new("SpansRead").register(work.context.memory_pool());
        Ok(Traces {
            sources,
            lying,
            shape: self.shape.clone(),
            time: self.time,
            spans_max: work.config.trace_spans_max,
            beyond: Beyond::IsRefused,
            left_out: 0,
            held: reservation,
            beside: 0,
        })
    }

    /// The files that are read as they lie: merged ones whose time no other file or buffer has a part of, so that no span of theirs can be
    /// anywhere else.
    fn alone(&self) -> HashSet<FileId> {
        if self.order == Order::ByTrace {
            return HashSet::new();
        }
        let files = self.files.iter().map(|file| (file.time, (file.level != Level::L0).then_some(file.id)));
        let fresh = self.fresh.iter().filter_map(|batch| Some((crate::logql::time_of(batch)?, None)));
        let mut units: Vec<(TimeRange, Option<FileId>)> = files.chain(fresh).collect();
        units.sort_by_key(|(time, _)| time.start);
        let (mut alone, mut end) = (HashSet::new(), None);
        for (at, (time, id)) in units.iter().enumerate() {
            let is_after = end.is_none_or(|end| time.start > end);
            let is_before = units.get(at + 1).is_none_or(|(next, _)| next.start > time.end);
            alone.extend(id.filter(|_| is_after && is_before));
            end = end.max(Some(time.end));
        }
        alone
    }

    /// The rows in memory whose traces are in `ids`, by trace and start; of equal ones the newest comes last.
    fn sorted(&self, ids: (u128, u128)) -> Result<Vec<RecordBatch>> {
        let mut keys: Vec<(u128, i64, usize, usize)> = Vec::new();
        let mut batches = Vec::with_capacity(self.fresh.len());
        for (at, batch) in self.fresh.iter().enumerate() {
            let positions = self.columns.iter().map(|name| batch.schema_ref().index_of(name));
            batches.push(batch.project(&positions.collect::<Result<Vec<_>, _>>().map_err(of_arrow)?).map_err(of_arrow)?);
            let traces = batch.column_by_name("trace_id").and_then(|column| column.as_fixed_size_binary_opt());
            let times = batch.column_by_name("ts").and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
            let (Some(traces), Some(times)) = (traces, times) else { continue };
            for row in 0..batch.num_rows() {
                let trace = traces.value(row).try_into().map_or(0, u128::from_be_bytes);
                if (ids.0..=ids.1).contains(&trace) {
                    keys.push((trace, times.value(row), at, row));
                }
            }
        }
        keys.sort_unstable();
        let rows = schema::rows(Table::Spans);
        let positions = self.columns.iter().map(|name| rows.index_of(name)).collect::<Result<Vec<_>, _>>().map_err(of_arrow)?;
        let rows = Arc::new(rows.project(&positions).map_err(of_arrow)?);
        let gather = |keys: &[(u128, i64, usize, usize)]| {
            let places: Vec<(usize, usize)> = keys.iter().map(|(_, _, batch, row)| (*batch, *row)).collect();
            let column = |at: usize| -> Result<ArrayRef, arrow::error::ArrowError> {
                let sources: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(at).as_ref()).collect();
                interleave(&sources, &places)
            };
            let columns = (0..self.columns.len()).map(column).collect::<Result<Vec<_>, _>>()?;
            RecordBatch::try_new(Arc::clone(&rows), columns)
        };
        keys.chunks(BATCH_ROWS).map(gather).collect::<Result<Vec<_>, _>>().map_err(of_arrow)
    }
}

fn of_arrow(error: arrow::error::ArrowError) -> Error {
    Error::Query(crate::Error::from(datafusion::common::DataFusionError::from(error)))
}

/// Whether a span can be there twice.
fn may_repeat(files: &[Arc<FileEntry>], has_fresh: bool) -> bool {
    let mut times: Vec<TimeRange> = files.iter().map(|file| file.time).collect();
    times.sort_by_key(|time| time.start);
    has_fresh || files.iter().any(|file| file.level == Level::L0) || times.windows(2).any(|pair| pair[0].end >= pair[1].start)
}

/// The ids of partition `at` of `of`, both ends included.
fn share(at: usize, of: usize) -> (u128, u128) {
    let width = u128::MAX / of as u128;
    let end = if at + 1 == of { u128::MAX } else { width * (at as u128 + 1) - 1 };
    (width * at as u128, end)
}

/// What comes next.
pub(super) enum Group {
    /// Whole traces of one source, in a row.
    Run(Arc<SpanBatch>, Range<usize>),
    /// One trace.
    Trace(TraceSpans),
}

/// Traces by id.
pub(super) struct Traces {
    /// Merged by trace.
    sources: Vec<Source>,
    /// Read one after the other, before the others.
    lying: Vec<Source>,
    shape: Shape,
    time: TimeRange,
    spans_max: usize,
    beyond: Beyond,
    /// Spans that were left out because their trace has too many.
    left_out: usize,
    held: MemoryReservation,
    /// Bytes that the reader holds beside the rows.
    beside: usize,
}

struct Source {
    stream: BatchStream,
    current: Option<(Arc<SpanBatch>, usize)>,
    /// Traces that are wanted, both ends included.
    ids: (u128, u128),
    is_once: bool,
}

impl Source {
    fn at(&self) -> Option<u128> {
        self.current.as_ref().map(|(batch, row)| batch.trace(*row))
    }

    /// Gets the next batch when the last one is used up; whether there is a new one.
    async fn fill(&mut self, shape: &Shape, time: TimeRange) -> Result<bool> {
        let mut has_new = false;
        while self.current.as_ref().is_none_or(|(batch, row)| *row >= batch.len()) {
            self.current = None;
            let Some(batch) = self.stream.next().await.transpose()? else { break };
            let batch = wanted(batch, time, self.ids)?;
            let batch = if self.is_once { batch } else { once(batch)? };
            if batch.num_rows() > 0 {
                self.current = Some((Arc::new(SpanBatch::new(batch, shape)?), 0));
                has_new = true;
            }
        }
        Ok(has_new)
    }
}

impl Traces {
    /// The same, with traces that are too large treated so.
    pub(super) fn beyond(self, beyond: Beyond) -> Self {
        Self { beyond, ..self }
    }

    /// How many spans were left out so far.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    /// Counts what the reader holds beside the rows.
    ///
    /// # Errors
    /// Out of memory.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<()> {
        self.beside = bytes;
        self.resize()
    }

    fn resize(&mut self) -> Result<()> {
        let bytes = |source: &Source| source.current.as_ref().map_or(0, |(batch, _)| batch.rows().get_array_memory_size());
        let held: usize = self.sources.iter().map(bytes).sum();
        Ok(self.held.try_resize(held + self.beside)?)
    }

    /// The next run or trace.
    ///
    /// # Errors
    /// The lake's; out of memory.
    pub(super) async fn next(&mut self) -> Result<Option<Group>> {
        while let Some(source) = self.lying.last_mut() {
            source.fill(&self.shape, self.time).await?;
            match source.current.take() {
                Some((batch, row)) => {
                    self.held.try_resize(batch.rows().get_array_memory_size() + self.beside)?;
                    let rows = row..batch.len();
                    return Ok(Some(Group::Run(batch, rows)));
                }
                None => drop(self.lying.pop()),
            }
        }
        for at in 0..self.sources.len() {
            self.fill(at).await?;
        }
        self.sources.retain(|source| source.current.is_some());
        let Some((first, least)) = self.least() else { return Ok(None) };
        let others = self.sources.iter().enumerate().filter(|(at, _)| *at != first).filter_map(|(_, source)| source.at()).min();
        if others.is_none_or(|other| other > least)
            && let Some((batch, row)) = &mut self.sources[first].current
        {
            // The last trace of a batch may go on in the next one.
            let last = batch.trace(batch.len() - 1);
            let bound = others.map_or(last, |other| other.min(last));
            let end = *row + partition_point(batch.len() - *row, |at| batch.trace(*row + at) < bound);
            if end > *row {
                let run = Group::Run(Arc::clone(batch), *row..end);
                *row = end;
                return Ok(Some(run));
            }
        }
        let mut pieces = Vec::new();
        for at in 0..self.sources.len() {
            self.gather(at, least, &mut pieces).await?;
        }
        Ok(Some(Group::Trace(TraceSpans::of_pieces(pieces))))
    }

    fn least(&self) -> Option<(usize, u128)> {
        let ids = self.sources.iter().enumerate().filter_map(|(at, source)| Some((at, source.at()?)));
        ids.min_by_key(|(_, id)| *id)
    }

    /// Takes the rows of `trace` out of a source.
    async fn gather(&mut self, at: usize, trace: u128, pieces: &mut Vec<Piece>) -> Result<()> {
        while let Some((batch, row)) = &mut self.sources[at].current
            && batch.trace(*row) == trace
        {
            let end = *row + partition_point(batch.len() - *row, |next| batch.trace(*row + next) <= trace);
            let room = self.spans_max.saturating_sub(pieces.iter().map(|piece: &Piece| piece.rows.len()).sum());
            let kept = room.min(end - *row);
            let beyond = end - *row - kept;
            if beyond > 0 && self.beyond == Beyond::IsRefused {
                let limit = self.spans_max;
                return Err(Error::TraceTooLarge { id: format!("{trace:032x}"), limit });
            }
            self.left_out += beyond;
            if kept > 0 {
                pieces.push(Piece { batch: Arc::clone(batch), rows: *row..*row + kept });
            }
            *row = end;
            self.fill(at).await?;
        }
        Ok(())
    }

    async fn fill(&mut self, at: usize) -> Result<()> {
        if self.sources[at].fill(&self.shape, self.time).await? {
            self.resize()?;
        }
        Ok(())
    }
}

/// How many of the first `len` rows `holds` says yes to, which says no ever after.
fn partition_point(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = usize::midpoint(low, high);
        if holds(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// The rows that start in `time` and belong to a trace in `ids`, where ids were read.
fn wanted(batch: RecordBatch, time: TimeRange, ids: (u128, u128)) -> Result<RecordBatch> {
    if batch.num_rows() == 0 {
        return Ok(batch);
    }
    let traces = batch.column_by_name("trace_id").and_then(|column| column.as_fixed_size_binary_opt());
    let times = batch.column_by_name("ts").and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
    let Some(times) = times else { return Ok(batch) };
    let trace = |row: usize, none: u128| traces.map_or(none, |ids| ids.value(row).try_into().map_or(0, u128::from_be_bytes));
    let from = partition_point(batch.num_rows(), |row| trace(row, ids.0) < ids.0);
    let to = partition_point(batch.num_rows(), |row| trace(row, ids.0) <= ids.1);
    let (start, end) = (time.start.as_nanos(), time.end.as_nanos());
    let is_inside = |row: &usize| (start..=end).contains(&times.value(*row));
    if (from..to).all(|row| is_inside(&row)) {
        return Ok(if to - from == batch.num_rows() { batch } else { batch.slice(from, to.saturating_sub(from)) });
    }
    let kept: BooleanArray = (0..batch.num_rows()).map(|row| Some((from..to).contains(&row) && is_inside(&row))).collect();
    filter_record_batch(&batch, &kept).map_err(of_arrow)
}

/// Without the rows that a later one with the same trace, start and span id replaces. Such rows are neighbours but for others with that start.
fn once(batch: RecordBatch) -> Result<RecordBatch> {
    let id = |name: &str| batch.column_by_name(name).and_then(|column| column.as_fixed_size_binary_opt());
    let times = batch.column_by_name("ts").and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
    let (Some(traces), Some(spans), Some(times)) = (id("trace_id"), id("span_id"), times) else { return Ok(batch) };
    let mut kept: Option<Vec<bool>> = None;
    let mut start = 0;
    for row in 1..=batch.num_rows() {
        let goes_on =
            row < batch.num_rows() && times.value(row) == times.value(start) && traces.value(row) == traces.value(start);
        if goes_on {
            continue;
        }
        if row - start > 1 {
            let mut known = HashSet::with_capacity(row - start);
            for at in (start..row).rev() {
                if !known.insert(spans.value(at)) {
                    kept.get_or_insert_with(|| vec![true; batch.num_rows()])[at] = false;
                }
            }
        }
        start = row;
    }
    match kept {
        Some(kept) => filter_record_batch(&batch, &BooleanArray::from(kept)).map_err(of_arrow),
        None => Ok(batch),
    }
}

/// The whole traces of a run, one after the other.
pub(super) fn each(batch: &Arc<SpanBatch>, rows: Range<usize>, mut take: impl FnMut(TraceSpans) -> Result<()>) -> Result<()> {
    let mut start = rows.start;
    while start < rows.end {
        let trace = batch.trace(start);
        let mut end = start + 1;
        while end < rows.end && batch.trace(end) == trace {
            end += 1;
        }
        take(TraceSpans::of_rows(batch, start..end))?;
        start = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_one_share() {
        for of in [1, 2, 3, 7] {
            let shares: Vec<_> = (0..of).map(|at| share(at, of)).collect();
            assert_eq!((shares[0].0, shares[of - 1].1), (0, u128::MAX));
            assert!(shares.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{of}");
        }
    }
}
