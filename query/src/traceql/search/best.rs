//! The matches that are wanted most, shared by the partitions of a search, and what became of it so far.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use catalog::{FileId, Table, TimeRange};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use hashbrown::HashSet;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::super::answer::{SearchAnswer, SearchStats, TraceMatch};
use super::super::error::Result;
use super::super::evaluate::Work;
use super::super::read::Reading;
use super::examine::bytes_of;

/// Which matches are wanted when there are more than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those that began last.
    Newest,
    /// Those with the lowest ids, of the newest day first.
    LowestIds,
}

/// How wanted a match is, the least first: by day, the newest wanted most, when ids decide; by start, when it decides; by id.
type Rank = (Reverse<u32>, i64, Reverse<[u8; 16]>);

/// A match with its rank.
#[derive(Debug)]
struct Ranked(Rank, TraceMatch);

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[derive(Debug)]
struct State {
    /// The least wanted on top.
    heap: BinaryHeap<Reverse<Ranked>>,
    /// Who is in the heap: a long trace can be found twice.
    ids: HashSet<[u8; 16]>,
    held: MemoryReservation,
    files: HashSet<FileId>,
    stats: SearchStats,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Best {
    limit: usize,
    wanted: Wanted,
    state: Mutex<State>,
    progress: Option<mpsc::Sender<SearchAnswer>>,
}

impl Best {
    /// Nothing yet.
    /// `within` is when spans may matter: the files of that time are what progress is measured by.
    pub(super) fn new(
        work: &Work,
        limit: usize,
        wanted: Wanted,
        within: TimeRange,
        progress: Option<mpsc::Sender<SearchAnswer>>,
    ) -> Self {
        let held = MemoryConsumer::new("TracesFound").register(work.context.memory_pool());
        let all = work.view.files(Table::Spans, within);
        let files_bytes = all.iter().map(|file| file.bytes).sum();
        let stats = SearchStats { files: all.len() as u64, files_bytes, ..SearchStats::default() };
        let state = State { heap: BinaryHeap::new(), ids: HashSet::new(), held, files: HashSet::new(), stats };
        Self { limit, wanted, state: Mutex::new(state), progress }
    }

    /// How many may be in the answer.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many more are asked for.
    pub(super) fn lacking(&self) -> usize {
        self.limit.saturating_sub(self.state.lock().heap.len())
    }

    /// Whether a trace that began at `start_ns` or before cannot be wanted, when the newest are.
    pub(super) fn is_past_start(&self, start_ns: i64) -> bool {
        let state = self.state.lock();
        state.heap.len() >= self.limit && state.heap.peek().is_none_or(|Reverse(Ranked(_, least))| least.start_ns > start_ns)
    }

    /// Whether no trace of day `day` from `trace` on can be wanted, when the lowest ids are.
    pub(super) fn is_past_id(&self, day: u32, trace: u128) -> bool {
        let state = self.state.lock();
        let rank = (Reverse(day), 0, Reverse(trace.to_be_bytes()));
        state.heap.len() >= self.limit && state.heap.peek().is_none_or(|Reverse(Ranked(least, _))| *least >= rank)
    }

    /// Takes a match in if it is wanted; `day` counts from the newest.
    ///
    /// # Errors
    /// Out of memory.
    pub(super) fn push(&self, day: u32, found: TraceMatch) -> Result<()> {
        let rank = match self.wanted {
            Wanted::Newest => (Reverse(0), found.start_ns, Reverse(found.id)),
            Wanted::LowestIds => (Reverse(day), 0, Reverse(found.id)),
        };
        let state = &mut *self.state.lock();
        if !state.ids.insert(found.id) {
            return Ok(());
        }
        state.held.try_grow(bytes_of(&found))?;
        state.heap.push(Reverse(Ranked(rank, found)));
        if state.heap.len() > self.limit
            && let Some(Reverse(Ranked(_, gone))) = state.heap.pop()
        {
            state.ids.remove(&gone.id);
            state.held.shrink(bytes_of(&gone));
        }
        Ok(())
    }

    /// Counts what was read, files once.
    pub(super) fn tally(&self, reading: &Reading) {
        let state = &mut *self.state.lock();
        for file in reading.entries() {
            if state.files.insert(file.id) {
                state.stats.files_done += 1;
            }
        }
        // Traces that were found at the ends of the time go on beyond it.
        state.stats.files = state.stats.files.max(state.stats.files_done);
        state.stats.bytes += reading.metrics.totals().bytes_read;
    }

    /// Counts traces and spans that were looked at.
    pub(super) fn saw(&self, (traces, spans): (u64, u64)) {
        let stats = &mut self.state.lock().stats;
        (stats.traces, stats.spans) = (stats.traces + traces, stats.spans + spans);
    }

    /// Says what is known so far; who is slow misses it.
    pub(super) fn tell(&self) {
        if let Some(progress) = &self.progress
            && progress.capacity() > 0
        {
            let _is_slow = progress.try_send(self.answer());
        }
    }

    /// Files that were not read need not be.
    pub(super) fn end(&self) {
        let stats = &mut self.state.lock().stats;
        stats.files_done = stats.files;
    }

    /// The newest first.
    pub(super) fn answer(&self) -> SearchAnswer {
        let state = self.state.lock();
        let mut traces: Vec<TraceMatch> = state.heap.iter().map(|Reverse(Ranked(_, found))| found.clone()).collect();
        traces.sort_by_key(|found| Reverse((found.start_ns, found.id)));
        SearchAnswer { traces, stats: state.stats }
    }
}
