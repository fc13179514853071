//! What one selector reads, decided before a sample is read.
//!
//! ```text
//! matchers ─► series, by metric and id ─┬─ chunk 0 ─► row groups that may hold it ─► blocks ─► pieces ─► RawSeries
//!                                       ├─ chunk 1 ─► ...
//! manifest, footers, fresh rows ─► units┘
//! ```
//! Chunks follow the order of files, so that each touches few row groups of each file, and partitions take neighbouring chunks.
//!
//! # Invariants
//! - Every sample of a wanted series in the time asked for is there, once; stale markers too.
//! - A chunk holds the blocks it reads, and no more than [`PIN_BYTES_MAX`] of whole ones; they are taken from the query's memory.

use std::cmp::Reverse;
use std::sync::Arc;

use catalog::{FileEntry, SnapshotId, Table, TimeRange, Timestamp};
use datafusion::execution::memory_pool::MemoryReservation;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lake::scan::RowGroup;
use lake::{ColumnTest, Predicate, Scalar, Test};
use promql::eval::Select;
use promql::histogram::tell_resets;
use promql::value::RawSeries;

use super::super::error::{Error, Result};
use super::block::Columns;
use super::cache::{Decoded, SampleCache, Wanted};
use super::merge::{self, Piece};
use super::{Deleted, Selected};
use crate::run::Ticket;
use crate::view::View;

/// Series that are read together.
pub(super) const CHUNK_SERIES: usize = 256;
/// Bytes of whole blocks that a chunk holds; what goes beyond is read narrowly.
const PIN_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a decoded row, about.
const ROW_BYTES: u64 = 12;
/// Row groups of a chunk that are fetched at the same time.
const LOADS_AT_ONCE: usize = 4;
/// How far before the time asked for histograms are read: the one before tells whether the first one was reset.
const HINT_MS: i64 = 10 * 60 * 1_000;
/// Most metrics by which files are told apart.
const METRICS_MAX: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Selection {
    view: Arc<View>,
    cache: Arc<SampleCache>,
    series: Arc<Vec<Selected>>,
    units: Vec<Unit>,
    from_ms: i64,
    to_ms: i64,
    starts: bool,
}

/// Rows that are decoded together.
#[derive(Debug)]
struct Unit {
    source: Source,
    rows: u64,
    /// Smallest and largest id.
    ids: (i64, i64),
    /// The snapshot that brought the file; `None` for fresh rows.
    added: Option<SnapshotId>,
}

#[derive(Debug)]
enum Source {
    /// A row group, by its place in the outline of the file.
    File(Arc<FileEntry>, Arc<[RowGroup]>, usize),
    Fresh(Decoded),
}

impl Unit {
    /// Smallest and largest metric, if known; a bound may have been cut, the lower one down and the upper one up.
    fn metrics(&self) -> Option<(&str, &str)> {
        match &self.source {
            Source::File(_, outline, at) => outline[*at].keys.as_ref().map(|(low, high)| (low.as_str(), high.as_str())),
            Source::Fresh(_) => None,
        }
    }
}

impl Selection {
    /// Decides what to read of `series`, which are ordered by metric and id.
    ///
    /// # Errors
    /// Limits on files; the lake's.
    pub(super) async fn new(
        view: Arc<View>,
        cache: Arc<SampleCache>,
        series: Arc<Vec<Selected>>,
        select: &Select,
    ) -> Result<Self> {
        let (from_ms, to_ms, starts) = (select.from_ms, select.to_ms, select.starts);
        let mut selection = Self { view, cache, series, units: Vec::new(), from_ms, to_ms, starts };
        if selection.series.is_empty() || from_ms > to_ms {
            selection.series = Arc::default();
            return Ok(selection);
        }
        let series = Arc::clone(&selection.series);
        let wanted = Metrics::of(&series);
        for table in [Table::Samples, Table::Histograms] {
            selection.plan(table, &wanted).await?;
        }
        Ok(selection)
    }

    /// How many chunks its series are read in.
    pub(crate) fn chunks(&self) -> usize {
        self.series.len().div_ceil(CHUNK_SERIES)
    }

    /// The time of rows of `table` that are needed.
    fn time(&self, table: Table) -> TimeRange {
        let from_ms = if table == Table::Histograms { self.hints_from_ms() } else { self.from_ms };
        TimeRange::new(Timestamp::from_millis(from_ms), Timestamp::from_millis(self.to_ms))
    }

    fn hints_from_ms(&self) -> i64 {
        self.from_ms.saturating_sub(HINT_MS)
    }

    /// Adds the units of `table`, those first whose rows stay when others are equal.
    async fn plan(&mut self, table: Table, wanted: &Metrics<'_>) -> Result<()> {
        let time = self.time(table);
        for decoded in self.cache.fresh(&self.view, table, self.starts)? {
            if let (Some(first), Some(last)) = (decoded.sids().first(), decoded.sids().last()) {
                let ids = (*first, *last);
                self.units.push(Unit { source: Source::Fresh(decoded), rows: 0, ids, added: None });
            }
        }
        let mut files = self.view.files(table, time);
        files = self.view.lake().prune(&files, &wanted.predicate(), time);
        self.view.open(&files)?;
        files.sort_by_key(|file| (file.level, Reverse(file.id)));
        for file in files {
            let added = Some(self.view.added(&file));
            let outline = self.cache.outline(&self.view, &file).await?;
            for (at, group) in outline.iter().enumerate().rev() {
                let in_time = group.time.is_none_or(|range| range.overlaps(time));
                let has_metric = group.keys.as_ref().is_none_or(|(low, high)| wanted.may_be_between(low, high));
                if in_time && has_metric {
                    let ids = group.ids.unwrap_or((i64::MIN, i64::MAX));
                    let source = Source::File(Arc::clone(&file), Arc::clone(&outline), at);
                    self.units.push(Unit { source, rows: group.rows, ids, added });
                }
            }
        }
        Ok(())
    }

    /// Reads what chunk `at` needs. Memory is taken from `reservation`, which is empty.
    ///
    /// # Errors
    /// The lake's; out of memory; the end of `ticket`.
    pub(crate) async fn chunk(self: &Arc<Self>, at: usize, reservation: &MemoryReservation, ticket: &Ticket) -> Result<Chunk> {
        let first = at * CHUNK_SERIES;
        let series = &self.series[first..(first + CHUNK_SERIES).min(self.series.len())];
        // Ids with their place in the chunk, ascending by id.
        let mut order: Vec<(i64, u32)> = series.iter().enumerate().map(|(at, one)| (one.sid, at as u32)).collect();
        order.sort_unstable();
        let loads: Vec<_> =
            self.loads(series).into_iter().map(|load| Arc::clone(self).load(load, ticket.clone()).boxed()).collect();
        let mut held: Vec<Held> = Vec::new();
        let mut hits = Vec::new();
        let mut loading = stream::iter(loads).buffered(LOADS_AT_ONCE);
        while let Some(block) = loading.try_next().await? {
            let before = hits.len();
            intersect(&order, block.decoded.sids(), |place, run| hits.push(Hit { place, block: held.len() as u32, run }));
            if hits.len() > before {
                if block.added.is_some() {
                    reservation.try_grow(block.decoded.memory_bytes()).map_err(Error::from)?;
                }
                held.push(block);
            }
        }
        drop(loading);
        hits.sort_unstable_by_key(|hit| hit.place);
        Ok(Chunk { selection: Arc::clone(self), first, hits, held, next: 0 })
    }

    /// The units that may hold one of `series`, which are ordered as files are.
    ///
    /// Ids are hashes: those of a few metrics reach over all ids, so it is the metric that tells row groups apart.
    fn loads(&self, series: &[Selected]) -> Vec<Load> {
        let mut pinned = 0;
        let mut loads = Vec::new();
        for (at, unit) in self.units.iter().enumerate() {
            let inside = match unit.metrics() {
                Some((low, high)) => {
                    let from = series.partition_point(|one| one.labels.metric() < low);
                    let until = series.partition_point(|one| one.labels.metric() <= high);
                    &series[from..until.max(from)]
                }
                None => series,
            };
            let ids = unit.ids.0..=unit.ids.1;
            let mut sids: Vec<i64> = inside.iter().map(|one| one.sid).filter(|sid| ids.contains(sid)).collect();
            if !sids.is_empty() {
                sids.sort_unstable();
                pinned += unit.rows * ROW_BYTES;
                loads.push(Load { unit: at, sids, is_tight: pinned > PIN_BYTES_MAX });
            }
        }
        loads
    }

    async fn load(self: Arc<Self>, load: Load, ticket: Ticket) -> Result<Held> {
        ticket.check()?;
        let unit = &self.units[load.unit];
        let decoded = match &unit.source {
            Source::Fresh(decoded) => decoded.clone(),
            Source::File(file, _, row_group) => {
                let (row_group, rows, starts, is_tight) = (*row_group, unit.rows, self.starts, load.is_tight);
                self.cache.load(&self.view, Wanted { file, row_group, rows, starts, sids: &load.sids, is_tight }).await?
            }
        };
        Ok(Held { decoded, precedence: load.unit as u32, added: unit.added })
    }
}

/// A unit to read, and the series that are looked for in it, ascending.
#[derive(Debug)]
struct Load {
    unit: usize,
    sids: Vec<i64>,
    is_tight: bool,
}

/// The metrics of the wanted series, and their ids.
struct Metrics<'a> {
    /// Ascending.
    names: Vec<&'a str>,
    /// Smallest and largest.
    ids: (i64, i64),
    few_ids: Option<Vec<i64>>,
}

impl<'a> Metrics<'a> {
    fn of(series: &'a [Selected]) -> Self {
        let mut names: Vec<&str> = series.iter().map(|one| one.labels.metric()).collect();
        names.dedup(); // by metric first
        let ids = series.iter().fold((i64::MAX, i64::MIN), |(low, high), one| (low.min(one.sid), high.max(one.sid)));
        let few_ids = (series.len() <= METRICS_MAX).then(|| series.iter().map(|one| one.sid).collect());
        Self { names, ids, few_ids }
    }

    fn may_be_between(&self, low: &str, high: &str) -> bool {
        // A bound may have been cut: the lower one is then a prefix, the upper one was raised.
        let at = self.names.partition_point(|name| *name < low);
        self.names.get(at).is_some_and(|name| *name <= high)
    }

    fn predicate(&self) -> Predicate {
        let int = |sid: i64| Some(Scalar::Int(sid));
        let ids = match &self.few_ids {
            Some(few) => Test::In(few.iter().map(|sid| Scalar::Int(*sid)).collect()),
            None => Test::Between(int(self.ids.0), int(self.ids.1)),
        };
        let mut all = vec![ColumnTest { column: "sid".to_owned(), test: ids }];
        if self.names.len() <= METRICS_MAX {
            let names = self.names.iter().map(|name| Scalar::Text((*name).to_owned())).collect();
            all.push(ColumnTest { column: "metric".to_owned(), test: Test::In(names) });
        }
        Predicate { all }
    }
}

/// Calls `hit` with the place and the position of every id that both have. Both ascend; `theirs` may have an id twice.
fn intersect(ours: &[(i64, u32)], theirs: &[i64], mut hit: impl FnMut(u32, u32)) {
    let mut at = 0;
    for (sid, place) in ours {
        at += gallop(&theirs[at..], *sid);
        let mut run = at;
        while theirs.get(run) == Some(sid) {
            hit(*place, run as u32);
            run += 1;
        }
    }
}

/// How many of `ids`, which ascend, are below `sid`.
fn gallop(ids: &[i64], sid: i64) -> usize {
    let mut step = 1;
    while step < ids.len() && ids[step] < sid {
        step *= 2;
    }
    let from = step / 2;
    from + ids[from..(step + 1).min(ids.len())].partition_point(|id| *id < sid)
}

/// A block that a chunk holds.
#[derive(Debug)]
struct Held {
    decoded: Decoded,
    precedence: u32,
    added: Option<SnapshotId>,
}

/// Rows of a series of the chunk in a block.
#[derive(Debug, Clone, Copy)]
struct Hit {
    place: u32,
    block: u32,
    run: u32,
}

/// Series whose blocks are at hand.
#[derive(Debug)]
pub(crate) struct Chunk {
    selection: Arc<Selection>,
    /// The first of its series.
    first: usize,
    /// By place.
    hits: Vec<Hit>,
    held: Vec<Held>,
    next: usize,
}

impl Chunk {
    /// The next series that have samples, until they have `samples` together; empty at the end.
    pub(crate) fn next(&mut self, samples: usize) -> Vec<RawSeries> {
        let mut out = Vec::new();
        let mut taken = 0;
        while taken < samples && self.next < self.hits.len() {
            let place = self.hits[self.next].place;
            let count = self.hits[self.next..].iter().take_while(|hit| hit.place == place).count();
            let hits = &self.hits[self.next..self.next + count];
            self.next += count;
            let one = self.read(&self.selection.series[self.first + place as usize], hits);
            taken += one.floats.len() + one.histograms.len();
            if !one.times_ms.is_empty() || !one.histograms.is_empty() {
                out.push(one);
            }
        }
        out
    }

    fn read(&self, one: &Selected, hits: &[Hit]) -> RawSeries {
        let (from_ms, to_ms) = (self.selection.from_ms, self.selection.to_ms);
        let mut columns = Columns::default();
        let mut floats: Vec<Piece<'_>> = Vec::with_capacity(hits.len());
        let mut native = Vec::new();
        for hit in hits {
            let held = &self.held[hit.block as usize];
            match &held.decoded {
                Decoded::Floats(block) => {
                    let run = block.run(hit.run as usize);
                    floats.push(Piece { block, run, precedence: held.precedence, hidden: one.hidden_in(held.added) });
                }
                Decoded::Histograms(block) => {
                    native.push((held.precedence, block.run(hit.run as usize), one.hidden_in(held.added)));
                }
            }
        }
        merge::floats(&mut floats, from_ms, to_ms, &mut columns);
        let mut histograms = Vec::new();
        if !native.is_empty() {
            histograms = merge::histograms(&native, self.selection.hints_from_ms(), to_ms);
            merge::without_times_of(&histograms, &mut columns);
            tell_resets(&columns.times_ms, &mut histograms);
            histograms.retain(|sample| sample.time_ms >= from_ms);
        }
        let Columns { times_ms, floats, starts_ms } = columns;
        RawSeries { labels: one.labels.clone(), times_ms, floats, starts_ms, histograms, drop_name: false }
    }
}

impl Selected {
    /// The deleted stretches of time of rows that snapshot `added` brought. Fresh rows came after every delete.
    fn hidden_in(&self, added: Option<SnapshotId>) -> &[Deleted] {
        match added {
            // Ascending by snapshot: the deletes that came with the rows or later.
            Some(added) => &self.deleted[self.deleted.partition_point(|deleted| deleted.since < added)..],
            None => &[],
        }
    }
}
