//! Counting lines that nobody looks at: run by run of one stream.
//!
//! ```text
//! row group ──► Times   [ stream 3        | stream 7           ]   times of every line, each line once     (kept)
//!               Marks   [ info info error | info info info info ]  metadata, where it is the level alone    (kept)
//!               Lengths [ 211  198  305   | 87   90   92   85   ]  of texts, where bytes are counted        (kept)
//!               Hits    [  1    0    0    | 0    1    1    0    ]  lines that pass the line filters         (kept, by the filters' text)
//!                              │ a run, its lines of one level, the labels of one of them
//!                              ▼
//!               LeafReader::read_run ──► panes, by bisection of times
//! ```
//! A metric query whose stages do nothing, but for line filters in front, counts lines by the labels of their streams, and maybe by their level. Of files that all windows see
//! alike the index says how many lines of each stream there are ([`lake::index::StreamLines`]). Of others it is enough to know which times a run has; texts are read once, of row groups where two lines of a stream have one time, to tell equal lines.
//!
//! # Invariants
//! - The counts are those that the lines would give one by one. What cannot be counted so goes back to whoever reads lines: rows in memory, rows
//!   that deletes may hide, times at which another unit may have the same line, row groups with more metadata than a level.
//! - What is kept depends on the file alone, and on the filters. Files never change.

mod cache;
mod hits;
mod marks;
mod times;

use std::sync::Arc;

use catalog::TimeRange;
use futures::{StreamExt, TryStreamExt, stream};
use logql::metric::{Leaf, LeafReader, SampleExtractor, StepGrid};
use roaring::RoaringBitmap;

pub(super) use cache::RunCache;
pub(super) use hits::Hits;

use crate::threads;

use super::error::{Error, Result};
use super::evaluate::{Ready, Work, died};
use super::lines::{Lines, Unit};
use super::numbers::{SERIES_MAX, too_many_series};
use super::rows::{Runner, Tally};
use cache::RowGroupId;
use marks::Marks;
use times::{Lengths, Run, Times};

/// Where runs of a query come from.
#[derive(Debug, Clone)]
struct Source {
    cache: Arc<RunCache>,
    lines: Arc<Lines>,
    /// Columns of metadata that somebody asks for.
    metadata: Arc<[&'static str]>,
    /// Whether bytes are counted, not lines.
    by_length: bool,
}

/// What is known of a row group.
#[derive(Debug)]
struct Known {
    times: Arc<Times>,
    marks: Arc<Marks>,
    lengths: Option<Arc<Lengths>>,
    /// Lines that pass the filters, where there are some.
    hits: Option<Arc<Hits>>,
}

/// Counts what can be counted without reading lines, and leaves the rest in `ready`.
///
/// # Errors
/// The lake's; too little time.
pub(super) async fn count(
    work: &Work,
    ready: &Ready,
    leaf: &Leaf,
    extractor: &SampleExtractor,
    grid: StepGrid,
) -> Result<(Vec<LeafReader>, Tally)> {
    debug_assert!(extractor.is_count(), "a line must count by being there");
    let source = Source {
        cache: Arc::clone(&work.runs),
        lines: Arc::clone(ready.lines()),
        metadata: ready.metadata().into(),
        by_length: extractor.takes_text(),
    };
    let (mut runner, mut reader) = (ready.runner(), LeafReader::new(leaf, extractor.clone(), grid));
    source.read_files(&mut runner, &mut reader).await?;
    let (mut readers, mut tally) = (vec![reader], runner.tally);
    if source.lines.is_done() {
        return Ok((readers, tally));
    }
    let mut tasks = Vec::with_capacity(ready.partitions());
    for _ in 0..ready.partitions() {
        let (source, ticket) = (source.clone(), work.ticket.clone());
        let (mut runner, mut reader) = (ready.runner(), LeafReader::new(leaf, extractor.clone(), grid));
        let memory = Arc::clone(work.context.memory_pool());
        tasks.push(threads::spawn_part(async move {
            let mut left = Vec::new();
            while let Some(unit) = source.lines.take() {
                ticket.check()?;
                match source.known(&unit, &runner, &memory).await? {
                    Some(known) => left.extend(source.read(&unit, &known, &mut runner, &mut reader)),
                    None => left.push(unit),
                }
                if reader.groups_len() > SERIES_MAX {
                    return Err(too_many_series());
                }
            }
            Ok::<_, Error>((reader, runner.tally, left))
        }));
    }
    let mut done = stream::iter(tasks).buffered(ready.partitions().max(1)).map_err(died);
    while let Some(made) = done.try_next().await? {
        let (reader, counted, left) = made?;
        readers.push(reader);
        tally += counted;
        source.lines.give_back(left);
    }
    Ok((readers, tally))
}

impl Source {
    /// Counts the lines of files that all windows see alike, or none does, by what their index says of streams.
    async fn read_files(&self, runner: &mut Runner, reader: &mut LeafReader) -> Result<()> {
        if !self.metadata.is_empty() || !self.lines.takes_every_line() {
            return Ok(());
        }
        for file in self.lines.whole_files() {
            let (first_ns, last_ns) = (file.time.start.as_nanos(), file.time.end.as_nanos());
            if !reader.state().is_one_pane(first_ns, last_ns) {
                continue;
            }
            let Some(index) = self.lines.view().lake().index(&file).await? else { continue };
            let Some(streams) = index.streams() else { continue };
            let wanted: Vec<_> = streams.iter().filter_map(|of| Some((runner.place(of.stream)?, of))).collect();
            if wanted.iter().any(|(_, of)| of.is_tied) {
                continue;
            }
            self.lines.leave_out(&file);
            for (place, of) in wanted {
                let total = if self.by_length { of.bytes } else { of.lines.into() };
                runner.alike(place, None, of.lines as usize, |line| {
                    reader.read_total(of.first_ns, of.last_ns, total, line.labels);
                });
                self.lines.count(of.lines as usize, 0);
            }
        }
        Ok(())
    }

    /// What is known of the rows of `unit`; `None` if its lines must be read.
    async fn known(
        &self,
        unit: &Unit,
        runner: &Runner,
        memory: &Arc<dyn datafusion::execution::memory_pool::MemoryPool>,
    ) -> Result<Option<Known>> {
        let Some((file, row_group)) = self.lines.plain_file(unit) else { return Ok(None) };
        if !self.lines.takes_every_line() && self.lines.has_no_candidate(unit).await? {
            return Ok(Some(Known::nothing()));
        }
        let group = RowGroupId { view: self.lines.view(), file, row_group };
        let marks = self.cache.marks(&group, &self.metadata, memory).await?;
        if !marks.is_plain() {
            return Ok(None);
        }
        let times = self.cache.times(&group, memory).await?;
        if !times.is_sorted() {
            return Ok(None);
        }
        let lengths = if self.by_length { Some(self.cache.lengths(&group, memory).await?) } else { None };
        let hits = match self.lines.takes_every_line() {
            true => None,
            // Rows and lines have other numbers.
            false if !times.repeated().is_empty() => return Ok(None),
            false => match self.lines.hits(file, row_group, &self.rows_of(unit, &times, runner), u64::MAX).await? {
                Some(hits) => Some(hits),
                None => return Ok(None),
            },
        };
        Ok(Some(Known { times, marks, lengths, hits }))
    }

    /// The rows of `unit` that are wanted at times that are its own.
    fn rows_of(&self, unit: &Unit, times: &Times, runner: &Runner) -> RoaringBitmap {
        let (own, _) = self.lines.own_times(unit);
        let mut rows = RoaringBitmap::new();
        for run in times.runs().iter().filter(|run| runner.place(run.stream).is_some()) {
            for time in &own {
                let within = times.within(run, *time);
                rows.insert_range(within.start as u32..within.end as u32);
            }
        }
        rows
    }

    /// Counts the lines of `unit` at times that are its own; the parts of it that are not.
    fn read(&self, unit: &Unit, known: &Known, runner: &mut Runner, reader: &mut LeafReader) -> Vec<Unit> {
        let (own, contested) = self.lines.own_times(unit);
        let mut by_mark = vec![(Vec::new(), Vec::new()); known.marks.kinds()];
        let mut lines = 0;
        for run in known.times.runs() {
            let Some(place) = runner.place(run.stream) else { continue };
            for time in &own {
                let rows = known.times.within(run, *time);
                lines += if known.hits.is_none() { rows.len() } else { 0 };
                known.read_run(place, &Run { rows, ..run.clone() }, runner, reader, &mut by_mark);
            }
        }
        self.lines.count(lines, 0);
        contested.into_iter().map(|part| unit.at(part)).collect()
    }
}

/// Times and lengths of the lines of one kind, in a run of several kinds.
type Gathered = (Vec<i64>, Vec<u32>);

impl Known {
    /// That there is no line.
    fn nothing() -> Self {
        Self { times: Arc::default(), marks: Arc::new(Marks::none()), lengths: None, hits: None }
    }

    /// Counts the lines of a run of one stream that pass the filters.
    fn read_hits(
        &self,
        passing: &RoaringBitmap,
        place: usize,
        run: &Run,
        runner: &mut Runner,
        reader: &mut LeafReader,
        by_mark: &mut [Gathered],
    ) {
        let rows = run.rows.start as u32..run.rows.end as u32;
        let times = self.times.of(run);
        let (Some(first_ns), Some(last_ns)) = (times.first(), times.last()) else { return };
        let only = self.marks.only(run);
        if let Some(mark) = only.filter(|_| reader.state().is_one_pane(*first_ns, *last_ns)) {
            let lines = passing.range_cardinality(rows);
            if lines > 0 {
                runner.alike(place, self.marks.labels(mark), lines as usize, |line| {
                    reader.read_total(*first_ns, *last_ns, lines, line.labels);
                });
            }
            return;
        }
        let marks = self.marks.of(run);
        for row in passing.range(rows) {
            let at = row as usize - run.rows.start;
            let mark = only.or_else(|| marks.get(at).copied()).unwrap_or(0);
            by_mark[usize::from(mark)].0.push(times[at]);
        }
        self.read_gathered(place, runner, reader, by_mark);
    }

    /// Counts the lines of a run of one stream.
    fn read_run(&self, place: usize, run: &Run, runner: &mut Runner, reader: &mut LeafReader, by_mark: &mut [Gathered]) {
        if run.rows.is_empty() {
            return;
        }
        if let Some(hits) = &self.hits {
            return self.read_hits(&hits.passing, place, run, runner, reader, by_mark);
        }
        let times = self.times.of(run);
        let lengths = self.lengths.as_ref().map(|lengths| lengths.of(run));
        if let Some(mark) = self.marks.only(run) {
            let labels = self.marks.labels(mark);
            runner.alike(place, labels, times.len(), |line| reader.read_run(times, lengths, line.labels));
            return;
        }
        for (at, mark) in self.marks.of(run).iter().enumerate() {
            let (marked, marked_lengths) = &mut by_mark[usize::from(*mark)];
            marked.push(times[at]);
            marked_lengths.extend(lengths.map(|lengths| lengths[at]));
        }
        self.read_gathered(place, runner, reader, by_mark);
    }

    /// Counts lines that were gathered by their marks, and forgets them.
    fn read_gathered(&self, place: usize, runner: &mut Runner, reader: &mut LeafReader, by_mark: &mut [Gathered]) {
        for (mark, (marked, marked_lengths)) in by_mark.iter_mut().enumerate().filter(|(_, (marked, _))| !marked.is_empty()) {
            let lengths = self.lengths.as_ref().map(|_| &marked_lengths[..]);
            let labels = self.marks.labels(mark as u8);
            runner.alike(place, labels, marked.len(), |line| reader.read_run(marked, lengths, line.labels));
            marked.clear();
            marked_lengths.clear();
        }
    }
}

/// What of `time` is in none of `others`, which ascend and are disjoint; and what is.
pub(super) fn split_times(time: TimeRange, others: impl Iterator<Item = TimeRange>) -> (Vec<TimeRange>, Vec<TimeRange>) {
    let (mut own, mut shared) = (Vec::new(), Vec::new());
    let mut from = time.start;
    for other in others {
        let (start, end) = (other.start.max(time.start), other.end.min(time.end));
        if start > end {
            continue;
        }
        if from < start {
            own.push(TimeRange::new(from, catalog::Timestamp::from_nanos(start.as_nanos() - 1)));
        }
        shared.push(TimeRange::new(start, end));
        if end.as_nanos() == i64::MAX {
            return (own, shared);
        }
        from = catalog::Timestamp::from_nanos(end.as_nanos() + 1);
    }
    if from <= time.end {
        own.push(TimeRange::new(from, time.end));
    }
    (own, shared)
}

#[cfg(test)]
mod tests {
    use catalog::Timestamp;

    use super::*;

    #[test]
    fn times_are_split_where_others_are() {
        #[track_caller]
        fn check(time: (i64, i64), others: &[(i64, i64)], own: &[(i64, i64)], shared: &[(i64, i64)]) {
            let range = |(start, end): (i64, i64)| TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end));
            let ranges = |of: &[(i64, i64)]| of.iter().copied().map(range).collect::<Vec<_>>();
            assert_eq!(split_times(range(time), ranges(others).into_iter()), (ranges(own), ranges(shared)));
        }
        check((10, 20), &[], &[(10, 20)], &[]);
        check((10, 20), &[(0, 9), (21, 30)], &[(10, 20)], &[]);
        check((10, 20), &[(5, 12), (14, 14)], &[(13, 13), (15, 20)], &[(10, 12), (14, 14)]);
        check((10, 20), &[(15, 40)], &[(10, 14)], &[(15, 20)]);
        check((10, i64::MAX), &[(5, i64::MAX)], &[], &[(10, i64::MAX)]);
    }
}
