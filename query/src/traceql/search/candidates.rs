//! Which traces may match, and when each began at the latest.
//!
//! ```text
//!            ┌─ scout: spans that a filter of the query selects, one by one ─► their traces ─► not sure to overlap the time asked for?
//! stretch ───┤                                                                                 told by the extent of their spans
//!            └─ sweep: whole traces that begin in it, evaluated ─► those that match
//! ```
//! Scouting reads the columns of filters alone, and only where the filters' conditions let rows be. Sweeping is for what spans alone cannot
//! tell, and for filters that select so much that looking traces up one by one would be more work.
//!
//! # Invariants
//! - A trace that matches and is no candidate began before [`Candidates::floor_ns`].
//! - A candidate began at its position or before.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use catalog::TimeRange;
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use traceql::ast::{FieldName, Pipeline, Stage};
use traceql::eval::{Conditions, Leaves, Search};
use traceql::spans::Spans;

use super::super::conditions;
use super::super::error::Result;
use super::super::evaluate::{Work, of_language, widened};
use super::super::read::{Group, Order, Reading, each};
use super::super::spans::TraceSpans;
use super::examine::{Question, of_ids};

/// Traces that a partition keeps of a stretch; of more the newest, and the rest of the stretch comes later.
const KNOWN_MAX: usize = 65_536;
/// About what the table takes for a trace.
const KNOWN_BYTES: usize = 64;

/// A trace that may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) trace: u128,
    /// It began then or before.
    pub(super) position_ns: i64,
}

/// What a stretch of time gave.
#[derive(Debug)]
pub(super) struct Candidates {
    /// The newest first.
    pub(super) all: Vec<Candidate>,
    /// What matches and is not here began before.
    pub(super) floor_ns: i64,
    /// What was read.
    pub(super) readings: Vec<Arc<Reading>>,
    /// Traces and spans that were looked at.
    pub(super) seen: (u64, u64),
}

/// How traces are told by single spans.
#[derive(Debug, Clone)]
pub(super) enum Scout {
    /// The query, which judges spans one by one.
    Query(Arc<Search>),
    /// The filters of which one must select a span, and whether that is all that the query asks.
    Leaves(Arc<Leaves>, Match),
}

/// What it says of a trace that it has a selected span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// That it matches.
    Sure,
    /// That it may.
    Possible,
}

impl Scout {
    /// That of a query; `None` when single spans do not tell.
    ///
    /// # Errors
    /// The language's.
    pub(super) fn of(pipeline: &Pipeline, search: &Arc<Search>) -> Result<Option<Self>> {
        let leaves = Leaves::of(pipeline).map_err(of_language)?.map(Arc::new);
        if search.needs().whole_trace {
            return Ok(leaves.map(|leaves| Self::Leaves(leaves, Match::Possible)));
        }
        // What is selected of spans needs no column yet.
        let is_first_all = pipeline.stages.iter().skip(1).all(|stage| matches!(stage, Stage::Select(_)));
        Ok(Some(match leaves.filter(|_| is_first_all) {
            Some(leaves) => Self::Leaves(leaves, Match::Sure),
            None => Self::Query(Arc::clone(search)),
        }))
    }

    /// What a selected span says of its trace.
    pub(super) fn says(&self) -> Match {
        match self {
            Self::Query(_) => Match::Sure,
            Self::Leaves(_, says) => *says,
        }
    }

    /// The fields that it asks for.
    pub(super) fn fields(&self) -> &[FieldName] {
        match self {
            Self::Query(search) => search.slots().fields(),
            Self::Leaves(leaves, _) => leaves.slots().fields(),
        }
    }

    /// What spans that it selects satisfy.
    pub(super) fn conditions(&self) -> &[Conditions] {
        match self {
            Self::Query(search) => search.conditions(),
            Self::Leaves(leaves, _) => leaves.conditions(),
        }
    }

    /// The rows of `spans` that it selects, in no promised order, each at least once.
    ///
    /// # Errors
    /// The language's.
    pub(super) fn select(&self, spans: &TraceSpans, mut take: impl FnMut(usize)) -> Result<()> {
        match self {
            Self::Query(search) => {
                let spansets = search.evaluate(spans).map_err(of_language)?;
                spansets.iter().flat_map(|spanset| &spanset.rows).for_each(|row| take(*row));
            }
            Self::Leaves(leaves, _) => leaves.select(spans).into_iter().for_each(take),
        }
        Ok(())
    }
}

/// What the selected spans of a trace tell.
#[derive(Debug, Clone, Copy)]
struct Told {
    position_ns: i64,
    /// One of them began before the time asked for was over.
    begins: bool,
    /// One of them ended after it had begun.
    ends: bool,
}

/// The traces of a partition.
#[derive(Debug)]
struct Known {
    traces: HashMap<u128, Told>,
    floor_ns: i64,
}

impl Known {
    fn add(&mut self, trace: u128, told: Told) {
        if let Some(known) = self.traces.get_mut(&trace) {
            known.position_ns = known.position_ns.min(told.position_ns);
            known.begins |= told.begins;
            known.ends |= told.ends;
        } else if told.position_ns >= self.floor_ns {
            self.traces.insert(trace, told);
        }
    }

    /// Leaves the older half out when there are too many. Equal positions stay together, so that the next stretch gets on.
    fn bound(&mut self) {
        if self.traces.len() <= KNOWN_MAX {
            return;
        }
        let mut positions: Vec<i64> = self.traces.values().map(|told| told.position_ns).collect();
        let middle = positions.len() / 2;
        let (_, cut, _) = positions.select_nth_unstable(middle);
        self.floor_ns = self.floor_ns.max(*cut);
        let floor_ns = self.floor_ns;
        self.traces.retain(|_, told| told.position_ns >= floor_ns);
    }
}

/// Looks for spans in `stretch` that the filters select.
///
/// # Errors
/// The lake's; out of memory.
pub(super) async fn scout(work: &Work, question: &Question, scout: &Scout, stretch: TimeRange) -> Result<Candidates> {
    let floor_ns = stretch.start.as_nanos();
    let mut found = Candidates { all: Vec::new(), floor_ns, readings: Vec::new(), seen: (0, 0) };
    let Some(predicate) = conditions::predicate(scout.conditions(), &question.resources) else { return Ok(found) };
    let shape = question.shape(scout.fields());
    let reading = Arc::new(Reading::plan(work, shape, &[], stretch, predicate)?.ordered(Order::AsTheyLie));
    let asked = question.asked;
    let part = |work: Work, reading: Arc<Reading>, at, of| {
        let scout = scout.clone();
        async move {
            let mut known = Known { traces: HashMap::new(), floor_ns };
            let (mut traces, mut seen) = (reading.traces(&work, at, of)?, (0, 0));
            while let Some(group) = traces.next().await? {
                work.check()?;
                let spans = match group {
                    Group::Trace(spans) => spans,
                    Group::Run(batch, rows) => TraceSpans::of_rows(&batch, rows),
                };
                seen = (seen.0 + spans.traces(), seen.1 + spans.len() as u64);
                scout.select(&spans, |row| {
                    let (batch, at) = spans.place(row);
                    let (start_ns, duration_ns) = (batch.start_ns(at), batch.duration_ns(at));
                    let told = Told {
                        position_ns: start_ns,
                        begins: start_ns <= asked.end.as_nanos(),
                        ends: start_ns.saturating_add(duration_ns) >= asked.start.as_nanos(),
                    };
                    known.add(batch.trace(at), told);
                })?;
                known.bound();
                traces.hold(known.traces.len() * KNOWN_BYTES)?;
            }
            Ok((known, seen))
        }
    };
    let mut unsure: HashSet<u128> = HashSet::new();
    for (known, (traces, spans)) in work.each(&reading, part).await? {
        found.floor_ns = found.floor_ns.max(known.floor_ns);
        found.seen = (found.seen.0 + traces, found.seen.1 + spans);
        for (trace, told) in known.traces {
            if !(told.begins && told.ends) {
                unsure.insert(trace);
            }
            found.all.push(Candidate { trace, position_ns: told.position_ns });
        }
    }
    found.readings.push(reading);
    if !unsure.is_empty() {
        let unsure = Arc::new(unsure);
        let (overlapping, reading) = overlapping(work, question, Arc::clone(&unsure)).await?;
        found.all.retain(|candidate| !unsure.contains(&candidate.trace) || overlapping.contains(&candidate.trace));
        found.readings.push(reading);
    }
    found.all.sort_unstable_by_key(|candidate| Reverse((candidate.position_ns, candidate.trace)));
    Ok(found)
}

/// Those of the traces `ids` that reach into the time asked for, by all of their spans.
async fn overlapping(work: &Work, question: &Question, ids: Arc<HashSet<u128>>) -> Result<(HashSet<u128>, Arc<Reading>)> {
    let predicate = of_ids(ids.iter().map(|id| id.to_be_bytes()));
    let reading = Reading::plan(work, question.shape(&[]), &[], widened(question.asked), predicate)?;
    let reading = Arc::new(reading.ordered(Order::AsTheyLie));
    let part = |work: Work, reading: Arc<Reading>, at, of| {
        let ids = Arc::clone(&ids);
        async move {
            let mut extents: HashMap<u128, (i64, i64)> = HashMap::new();
            let mut traces = reading.traces(&work, at, of)?;
            while let Some(group) = traces.next().await? {
                work.check()?;
                let spans = match group {
                    Group::Trace(spans) => spans,
                    Group::Run(batch, rows) => TraceSpans::of_rows(&batch, rows),
                };
                for row in 0..spans.len() {
                    let (batch, at) = spans.place(row);
                    if ids.contains(&batch.trace(at)) {
                        let (start, end) = (batch.start_ns(at), batch.start_ns(at).saturating_add(batch.duration_ns(at)));
                        let extent = extents.entry(batch.trace(at)).or_insert((start, end));
                        *extent = (extent.0.min(start), extent.1.max(end));
                    }
                }
                traces.hold(extents.len() * KNOWN_BYTES)?;
            }
            Ok(extents)
        }
    };
    let extents = work.each(&reading, part).await?.into_iter().flatten();
    let inside = extents.filter(|(_, (start, end))| question.overlaps(*start, *end)).map(|(id, _)| id).collect();
    Ok((inside, reading))
}

/// The starts of the newest matches, which partitions share: what began before all of them needs no evaluation.
struct Bar {
    limit: usize,
    starts: Mutex<BinaryHeap<Reverse<i64>>>,
}

impl Bar {
    fn admits(&self, start_ns: i64) -> bool {
        let starts = self.starts.lock();
        starts.len() < self.limit || starts.peek().is_some_and(|Reverse(oldest)| *oldest <= start_ns)
    }

    fn raise(&self, start_ns: i64) {
        let mut starts = self.starts.lock();
        starts.push(Reverse(start_ns));
        if starts.len() > self.limit {
            starts.pop();
        }
    }
}

/// Evaluates the traces that begin in `stretch`; of those that match at least the newest `limit` are there.
///
/// # Errors
/// The lake's; out of memory.
pub(super) async fn sweep(work: &Work, question: &Question, stretch: TimeRange, limit: usize) -> Result<Candidates> {
    let shape = question.shape(question.search.slots().fields());
    let reading = Arc::new(Reading::plan(work, shape, question.structure(), widened(stretch), Default::default())?);
    let bar = Arc::new(Bar { limit, starts: Mutex::default() });
    let part = |work: Work, reading: Arc<Reading>, at, of| {
        let (bar, question) = (Arc::clone(&bar), question.clone());
        async move {
            let (mut all, mut seen) = (Vec::new(), (0, 0));
            let mut traces = reading.traces(&work, at, of)?;
            while let Some(group) = traces.next().await? {
                work.check()?;
                let mut take = |spans: TraceSpans| {
                    seen = (seen.0 + 1, seen.1 + spans.len() as u64);
                    if bar.admits(spans.facts().start_ns)
                        && let Some(found) = question.begins_and_matches(&spans, stretch)?
                    {
                        bar.raise(found.position_ns);
                        all.push(found);
                    }
                    Ok(())
                };
                match group {
                    Group::Trace(spans) => take(spans)?,
                    Group::Run(batch, rows) => each(&batch, rows, take)?,
                }
                traces.hold(all.len() * std::mem::size_of::<Candidate>())?;
            }
            Ok((all, seen))
        }
    };
    let floor_ns = stretch.start.as_nanos();
    let mut found = Candidates { all: Vec::new(), floor_ns, readings: Vec::new(), seen: (0, 0) };
    for (all, (traces, spans)) in work.each(&reading, part).await? {
        found.seen = (found.seen.0 + traces, found.seen.1 + spans);
        found.all.extend(all);
    }
    found.all.retain(|candidate| bar.admits(candidate.position_ns));
    found.all.sort_unstable_by_key(|candidate| Reverse((candidate.position_ns, candidate.trace)));
    found.readings.push(reading);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(position_ns: i64) -> Told {
        Told { position_ns, begins: true, ends: true }
    }

    #[test]
    fn the_older_half_waits_for_its_turn() {
        let mut known = Known { traces: HashMap::new(), floor_ns: 0 };
        for trace in 0..=KNOWN_MAX as u128 {
            known.add(trace, told(trace as i64));
            known.bound();
        }
        assert_eq!(known.floor_ns, KNOWN_MAX as i64 / 2);
        assert_eq!(known.traces.len(), KNOWN_MAX / 2 + 1);
        known.add(1, told(5));
        assert!(!known.traces.contains_key(&1), "older than the floor");
        known.add(KNOWN_MAX as u128, told(3));
        assert_eq!(known.traces[&(KNOWN_MAX as u128)].position_ns, 3);
    }

    #[test]
    fn what_began_at_one_time_stays_together() {
        let mut known = Known { traces: HashMap::new(), floor_ns: 0 };
        (0..=KNOWN_MAX as u128).for_each(|trace| known.add(trace, told(7)));
        known.bound();
        assert_eq!((known.floor_ns, known.traces.len()), (7, KNOWN_MAX + 1));
    }

    #[test]
    fn a_bar_rises_with_the_newest() {
        let bar = Bar { limit: 2, starts: Mutex::default() };
        [5, 1, 9].into_iter().for_each(|start| bar.raise(start));
        assert_eq!([4, 5, 6].map(|start| bar.admits(start)), [false, true, true]);
    }
}
