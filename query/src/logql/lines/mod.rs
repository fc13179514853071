//! The lines that a query reads: from files and from memory, those that pass the line filters at the head of its stages.
//!
//! ```text
//! streams, time, literals ─► files by manifest ─► row groups by statistics ─► blocks by index ─► rows ─► line filters ─► once each
//!                            rows in memory ─────────────────────────────────────────────────────┘
//! ```
//! [`Lines`] is the plan, [`exec::LinesExec`] the operator.
//!
//! # Invariants
//! - A row of a wanted stream in the time asked for that passes the filters is there, once, unless it was deleted.
//! - What is pruned is pruned by facts about the file; pruning never changes what comes out.

mod cut;
mod exec;
mod seen;
mod slices;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arrow::array::RecordBatch;
use catalog::{FileEntry, SnapshotId, Table, TimeRange, Timestamp};
use datafusion::execution::memory_pool::MemoryPool;
use futures::{StreamExt, TryStreamExt, stream};
use lake::deletes::Deletes;
use lake::{ColumnTest, Predicate, Scalar, ScanMetrics, ScanSpec, Test};
use logql::pipeline::{LeadingFilters, Literal};
use parking_lot::Mutex;
use roaring::RoaringBitmap;

pub(super) use exec::{LinesExec, repeated_rows};
pub(super) use seen::has_ties;

use super::error::Result;
use super::request::Direction;
use super::runs::{Hits, RunCache, split_times};
use super::streams::Streams;
use crate::scan::deletes;
use crate::view::View;
use exec::Filtering;
use seen::{Seen, Span};

/// Streams up to which files are told apart by ids.
const STREAM_IDS_MAX: usize = 4_096;
/// Footers that are read at the same time.
const FOOTERS_AT_ONCE: usize = 8;
/// Rows up to which a file is read as one.
const WHOLE_ROWS_MAX: u64 = 128 << 10;

/// Streams up to which a read is narrow: times of all streams are more than it reads.
const NARROW_STREAMS_MAX: usize = 32;

/// The column of the lines.
pub(super) const TEXT: &str = "body";

/// What is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) streams: Arc<Streams>,
    /// Both ends included.
    pub(super) time: TimeRange,
    /// Columns of [`catalog::schema::rows`]; `stream_id` and `ts` are always among them. Without `body`, texts are read only by the filters, and
    /// where they have to tell equal lines from others.
    pub(super) columns: Vec<String>,
    /// What the index may know of wanted lines.
    pub(super) texts: Vec<ColumnTest>,
    /// Line filters that lines must pass.
    pub(super) filters: Option<Arc<LineFilters>>,
    /// Which units come first.
    pub(super) direction: Direction,
    /// Whether the read may end early, once there are enough of the first lines.
    pub(super) may_end: bool,
}

impl Wanted {
    /// The columns that were asked for, and those by which lines are told apart.
    fn identifying(&self) -> Vec<String> {
        let mut columns = self.columns.clone();
        for identifying in seen::METADATA.iter().chain([&TEXT]) {
            if !columns.iter().any(|column| column == identifying) {
                columns.push((*identifying).to_owned());
            }
        }
        columns
    }
}

/// Line filters at the head of a query's stages.
#[derive(Debug)]
pub(super) struct LineFilters {
    leading: LeadingFilters,
    /// What passes the same lines has the same text.
    text: Arc<str>,
    /// What the index may know of lines that pass.
    needs: Vec<ColumnTest>,
}

impl LineFilters {
    /// The filters `leading`, at which the texts of `literals` are for the index; none if every line passes.
    pub(super) fn of(leading: LeadingFilters, literals: &[Vec<Literal>]) -> Option<Arc<Self>> {
        let text = leading.text().into();
        let needs = literals.iter().map(|literals| has_one_of(literals)).collect();
        (!leading.is_empty()).then(|| Arc::new(Self { leading, text, needs }))
    }
}

/// What was deleted of a file's rows.
#[derive(Debug, Clone, Default)]
struct Hiding {
    deletes: Deletes,
    /// The snapshot that brought the file.
    added: SnapshotId,
}

/// Rows that are read together.
#[derive(Debug, Clone)]
pub(super) enum Unit {
    /// A file, or one row group of it.
    File(FileUnit),
    /// A batch in memory.
    Fresh { batch: RecordBatch, time: TimeRange },
}

/// Rows of a file.
#[derive(Debug, Clone)]
pub(super) struct FileUnit {
    file: Arc<FileEntry>,
    row_group: Option<usize>,
    rows: u64,
    /// When its rows are.
    time: TimeRange,
    /// When the rows of the row group are, or of the file.
    whole: TimeRange,
    /// Only rows of this time are meant.
    part: TimeRange,
    /// Only these rows of the row group, or of the file, are meant; `None`: all of them.
    piece: Option<Arc<RoaringBitmap>>,
    /// Bounds of the services of its rows.
    services: Option<(String, String)>,
    hiding: Hiding,
}

impl Unit {
    fn time(&self) -> TimeRange {
        match self {
            Self::File(FileUnit { time, .. }) | Self::Fresh { time, .. } => *time,
        }
    }

    /// Whether other units may have rows of its row group, or of its file if that is read as one.
    fn is_piece(&self) -> bool {
        matches!(self, Self::File(file) if file.piece.is_some())
    }

    /// Its rows in `time`; all rows of a batch in memory.
    pub(super) fn at(&self, time: TimeRange) -> Self {
        match self {
            Self::File(unit) => Self::File(FileUnit { time, part: time, ..unit.clone() }),
            Self::Fresh { .. } => self.clone(),
        }
    }
}

impl FileUnit {
    /// Whether it is no slice of its time.
    fn is_whole(&self) -> bool {
        self.part == TimeRange::ALL
    }

    fn services(&self) -> Option<(&str, &str)> {
        self.services.as_ref().map(|(low, high)| (low.as_str(), high.as_str()))
    }
}

/// A planned read. Partitions take units from one queue, so that none is idle while another has work.
#[derive(Debug)]
pub(super) struct Lines {
    view: Arc<View>,
    runs: Arc<RunCache>,
    wanted: Wanted,
    predicate: Predicate,
    units: Mutex<VecDeque<Unit>>,
    planned: usize,
    seen: Arc<Seen>,
    bound: Bound,
    metrics: Arc<ScanMetrics>,
    looked_at: AtomicU64,
    bytes: AtomicU64,
}

/// Beyond which time lines are not wanted any more, because there are enough nearer ones. Tightens while a query runs.
#[derive(Debug)]
pub(super) struct Bound {
    direction: Direction,
    ns: AtomicI64,
}

impl Bound {
    fn new(direction: Direction) -> Self {
        let open = if direction == Direction::Backward { i64::MIN } else { i64::MAX };
        Self { direction, ns: AtomicI64::new(open) }
    }

    /// Lines before `ns` (backward), or after it (forward), are not wanted.
    pub(super) fn tighten(&self, ns: i64) {
        match self.direction {
            Direction::Backward => self.ns.fetch_max(ns, Ordering::Relaxed),
            Direction::Forward => self.ns.fetch_min(ns, Ordering::Relaxed),
        };
    }

    /// What is left of `time`.
    fn left(&self, time: TimeRange) -> TimeRange {
        let at = Timestamp::from_nanos(self.ns.load(Ordering::Relaxed));
        match self.direction {
            Direction::Backward => TimeRange::new(time.start.max(at), time.end),
            Direction::Forward => TimeRange::new(time.start, time.end.min(at)),
        }
    }
}

impl Lines {
    /// Decides what to read.
    ///
    /// # Errors
    /// Limits on files; the lake's.
    pub(super) async fn plan(view: &Arc<View>, runs: Arc<RunCache>, wanted: Wanted) -> Result<Arc<Self>> {
        let mut all = Vec::new();
        if !wanted.streams.is_all && wanted.streams.list.len() <= STREAM_IDS_MAX {
            let ids = wanted.streams.list.iter().map(|stream| Scalar::Int(stream.id())).collect();
            all.push(ColumnTest { column: "stream_id".to_owned(), test: Test::In(ids) });
        }
        all.extend_from_slice(&wanted.texts);
        let predicate = Predicate { all };
        let (files, fresh) = match wanted.streams.list.is_empty() || wanted.time.is_empty() {
            true => (Vec::new(), Vec::new()),
            false => (view.lake().prune(&view.files(Table::Logs, wanted.time), &predicate, wanted.time), view.fresh(Table::Logs)),
        };
        view.open(&files)?;
        let fresh = fresh.into_iter().filter_map(|batch| Some((time_of(&batch)?, batch)));
        let fresh: Vec<_> = fresh.filter(|(time, _)| time.overlaps(wanted.time)).collect();
        let spans = files.iter().map(|file| Span { time: file.time, services: file.key_range.clone() });
        let seen = Arc::new(Seen::new(spans, fresh.iter().map(|(time, _)| *time)));
        let deletes = match files.is_empty() {
            true => Deletes::default(),
            false => deletes::of_facts(view, Table::Streams, wanted.time).await?,
        };
        let deletes = deletes.of_wanted(|id| wanted.streams.place(id).is_some());
        let split = files.into_iter().map(|file| split(view, file, &wanted, &deletes));
        let split: Vec<Vec<Unit>> = stream::iter(split.collect::<Vec<_>>()).buffered(FOOTERS_AT_ONCE).try_collect().await?;
        let mut units: Vec<Unit> = split.into_iter().flatten().collect();
        units.extend(fresh.into_iter().map(|(time, batch)| Unit::Fresh { batch, time }));
        match wanted.direction {
            Direction::Backward => units.sort_by_key(|unit| std::cmp::Reverse(unit.time().end)),
            Direction::Forward => units.sort_by_key(|unit| unit.time().start),
        }
        let (planned, bound) = (units.len(), Bound::new(wanted.direction));
        if wanted.may_end {
            units = slices::sliced(units, wanted.time, wanted.direction);
        }
        let (view, units, metrics) = (Arc::clone(view), Mutex::new(units.into()), Arc::default());
        Ok(Arc::new(Self {
            view,
            runs,
            wanted,
            predicate,
            units,
            planned,
            seen,
            bound,
            metrics,
            looked_at: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }))
    }

    /// See [`Bound`].
    pub(super) fn bound(&self) -> &Bound {
        &self.bound
    }

    /// What was read so far.
    pub(super) fn metrics(&self) -> &ScanMetrics {
        &self.metrics
    }

    /// Lines that the filters looked at so far, and their bytes.
    pub(super) fn looked_at(&self) -> (u64, u64) {
        (self.looked_at.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    fn wants_text(&self) -> bool {
        self.wanted.columns.iter().any(|column| column == TEXT)
    }

    /// What the query sees.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// File and row group of a unit whose rows are all there as they are written, if they are: nothing is deleted of them.
    pub(super) fn plain_file<'a>(&self, unit: &'a Unit) -> Option<(&'a Arc<FileEntry>, Option<usize>)> {
        match unit {
            Unit::File(unit) if unit.hiding.deletes.is_empty() => Some((&unit.file, unit.row_group)),
            _ => None,
        }
    }

    /// The files all of whose rows are wanted but for their streams, of which nothing is deleted, and with which no other unit shares lines.
    pub(super) fn whole_files(&self) -> Vec<Arc<FileEntry>> {
        let mut found: Vec<Arc<FileEntry>> = Vec::new();
        for unit in self.units.lock().iter() {
            let Some((file, _)) = self.plain_file(unit) else { continue };
            let is_inside = self.wanted.time.start <= file.time.start && file.time.end <= self.wanted.time.end;
            let services = file.key_range.as_ref().map(|(low, high)| (low.as_str(), high.as_str()));
            if is_inside
                && found.last().is_none_or(|last| last.id != file.id)
                && self.seen.overlaps_in(file.time, services).is_empty()
            {
                found.push(Arc::clone(file));
            }
        }
        found.sort_by_key(|file| file.id);
        found.dedup_by_key(|file| file.id);
        found
    }

    /// Leaves out what is to be read of `file`.
    pub(super) fn leave_out(&self, file: &FileEntry) {
        self.units.lock().retain(|unit| !matches!(unit, Unit::File(of) if of.file.id == file.id));
    }

    /// The times that are wanted of a unit and that no other unit has lines of its streams at; and the others that are wanted.
    pub(super) fn own_times(&self, unit: &Unit) -> (Vec<TimeRange>, Vec<TimeRange>) {
        let wanted = self.wanted.time.intersect(unit.time());
        match unit {
            Unit::File(file) => {
                split_times(wanted.intersect(file.part), self.seen.overlaps_in(wanted, file.services()).into_iter())
            }
            Unit::Fresh { .. } => (Vec::new(), vec![wanted]),
        }
    }

    /// Of the rows `asked` of a row group, or of a file, those that pass the filters, as far as they are not known: `None` when only reading the rows can
    /// tell, or when more than `rows_max` texts would have to be looked at.
    ///
    /// # Errors
    /// The lake's.
    pub(super) async fn hits(
        &self,
        file: &Arc<FileEntry>,
        row_group: Option<usize>,
        asked: &RoaringBitmap,
        rows_max: u64,
    ) -> Result<Option<Arc<Hits>>> {
        let Some(filters) = &self.wanted.filters else { return Ok(None) };
        let lake = self.view.lake();
        let known = self.runs.hits(&self.view, file, row_group, &filters.text).await;
        let new = asked - &known.tested;
        if new.is_empty() {
            self.count(asked.len() as usize, 0);
            return Ok(Some(known));
        }
        let mut spec = ScanSpec { row_group, metrics: Arc::clone(&self.metrics), ..ScanSpec::all([TEXT]) };
        spec.rows = Some(Arc::new(new.clone()));
        spec.predicate = Predicate { all: filters.needs.clone() };
        let candidates = lake.candidates(file, &spec).await?;
        if candidates.len() > rows_max {
            return Ok(None);
        }
        spec.rows = Some(Arc::new(candidates));
        let test = Arc::new(Filtering::new(Arc::clone(filters)));
        spec.texts = Some(Arc::clone(&test) as _);
        let Some(passing) = lake.passing(file, &spec).await? else { return Ok(None) };
        let (lines, bytes) = test.looked_at();
        self.count(lines.max(asked.len() as usize), bytes);
        let hits = Arc::new(Hits::new(&known.tested | new, &known.passing | passing));
        self.runs.keep_hits(&self.view, file, row_group, &filters.text, Arc::clone(&hits)).await;
        Ok(Some(hits))
    }

    /// The rows of a unit that have the time wanted of it, where that is a part of its time and times are worth keeping; `None` where the scan has to
    /// tell.
    ///
    /// # Errors
    /// The lake's; out of memory.
    pub(super) async fn rows_in_time(&self, unit: &FileUnit, memory: &Arc<dyn MemoryPool>) -> Result<Option<RoaringBitmap>> {
        let time = self.bound.left(self.wanted.time).intersect(unit.part);
        let is_narrow = !self.wanted.streams.is_all && self.wanted.streams.list.len() <= NARROW_STREAMS_MAX;
        let is_whole = unit.is_whole() && time.start <= unit.time.start && unit.time.end <= time.end;
        if is_narrow || is_whole {
            return Ok(None);
        }
        self.runs.rows_in(&self.view, &unit.file, unit.row_group, time, memory).await
    }

    /// `unit`, a slice of a row group's time, with the slices that adjoin it and wait: where few rows are to be looked at, their pages should be read once.
    pub(super) fn joined(&self, unit: FileUnit) -> FileUnit {
        let mut part = unit.part;
        let adjoins = |a: TimeRange, b: TimeRange| {
            a.end.as_nanos().checked_add(1) == Some(b.start.as_nanos())
                || b.end.as_nanos().checked_add(1) == Some(a.start.as_nanos())
        };
        // Slices wait in the order of nearness, so each adjoins the ones before it, unless another partition has it.
        self.units.lock().retain(|other| match other {
            Unit::File(other)
                if other.file.id == unit.file.id && other.row_group == unit.row_group && adjoins(part, other.part) =>
            {
                part = TimeRange::new(part.start.min(other.part.start), part.end.max(other.part.end));
                false
            }
            _ => true,
        });
        let is_whole = part.start <= unit.whole.start && unit.whole.end <= part.end;
        FileUnit { time: part, part: if is_whole { TimeRange::ALL } else { part }, ..unit }
    }

    /// Whether statistics and index rule out all rows of `unit`.
    ///
    /// # Errors
    /// The lake's.
    pub(super) async fn has_no_candidate(&self, unit: &Unit) -> Result<bool> {
        match unit {
            Unit::File(unit) => Ok(self.candidates(unit).await?.is_empty()),
            Unit::Fresh { .. } => Ok(false),
        }
    }

    /// The rows of a unit of a file that statistics and index do not rule out.
    ///
    /// # Errors
    /// The lake's.
    pub(super) async fn candidates(&self, unit: &FileUnit) -> Result<RoaringBitmap> {
        let spec = ScanSpec {
            time: self.bound.left(self.wanted.time).intersect(unit.part),
            predicate: self.predicate.clone(),
            row_group: unit.row_group,
            part: lake::Part::WHOLE,
            metrics: Arc::clone(&self.metrics),
            ..ScanSpec::all([TEXT])
        };
        Ok(self.view.lake().candidates(&unit.file, &spec).await?)
    }

    /// Counts lines that were looked at, and their bytes.
    pub(super) fn count(&self, lines: usize, bytes: usize) {
        self.looked_at.fetch_add(lines as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many partitions are worth their task.
    pub(super) fn partitions(&self, most: usize) -> usize {
        self.planned.clamp(1, most.max(1))
    }

    /// Whether no line filter drops lines.
    pub(super) fn takes_every_line(&self) -> bool {
        self.wanted.filters.is_none()
    }

    /// Whether no unit is left.
    pub(super) fn is_done(&self) -> bool {
        self.units.lock().is_empty()
    }

    /// Puts units that were taken behind the others.
    pub(super) fn give_back(&self, units: Vec<Unit>) {
        self.units.lock().extend(units);
    }

    /// The next unit that can hold a wanted line.
    pub(super) fn take(&self) -> Option<Unit> {
        let mut units = self.units.lock();
        while let Some(unit) = units.pop_front() {
            if unit.time().overlaps(self.bound.left(self.wanted.time)) {
                return Some(unit);
            }
        }
        None
    }
}

/// That the text of a line has one of `literals`, in whatever case, as far as the index knows.
pub(super) fn has_one_of(literals: &[Literal]) -> ColumnTest {
    let mut tests: Vec<ColumnTest> = literals
        .iter()
        .map(|literal| ColumnTest { column: TEXT.to_owned(), test: Test::Contains(literal.text.clone()) })
        .collect();
    if tests.len() == 1 { tests.remove(0) } else { ColumnTest::any_of(tests) }
}

/// The row groups of a large file that may have wanted rows, or the file.
async fn split(view: &Arc<View>, file: Arc<FileEntry>, wanted: &Wanted, deletes: &Deletes) -> Result<Vec<Unit>> {
    let added = view.added(&file);
    let hiding = Hiding { deletes: deletes.of_file(&file, added), added };
    if file.rows <= WHOLE_ROWS_MAX {
        let (rows, time, services) = (file.rows, file.time, file.key_range.clone());
        return Ok(vec![Unit::File(FileUnit {
            file,
            row_group: None,
            rows,
            time,
            whole: time,
            part: TimeRange::ALL,
            piece: None,
            services,
            hiding,
        })]);
    }
    let groups = view.lake().row_groups(&file).await?;
    let of = |(at, group): (usize, &lake::scan::RowGroup)| {
        let group_time = group.time.unwrap_or(file.time);
        let has_streams = group.ids.is_none_or(|(low, high)| wanted.streams.any_within(low, high));
        (group_time.overlaps(wanted.time) && has_streams).then(|| {
            let (file, hiding) = (Arc::clone(&file), hiding.clone());
            let services = group.keys.clone().or_else(|| file.key_range.clone());
            Unit::File(FileUnit {
                file,
                row_group: Some(at),
                rows: group.rows,
                time: group_time,
                whole: group_time,
                part: TimeRange::ALL,
                piece: None,
                services,
                hiding,
            })
        })
    };
    Ok(groups.iter().enumerate().filter_map(of).collect())
}

/// Times of the first and the last row; `None` of a batch without rows.
pub(crate) fn time_of(batch: &RecordBatch) -> Option<TimeRange> {
    use arrow::array::AsArray;
    use arrow::datatypes::TimestampNanosecondType;
    let times = batch.column_by_name("ts")?.as_primitive_opt::<TimestampNanosecondType>()?.values();
    let (low, high) = (times.iter().min()?, times.iter().max()?);
    Some(TimeRange::new(Timestamp::from_nanos(*low), Timestamp::from_nanos(*high)))
}
