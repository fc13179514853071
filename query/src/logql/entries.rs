//! The entries of a log query: the first or the last ones, as many as were asked for.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::answer::{Entry, Labels, Stream};
use super::error::{Error, Result};
use super::request::Direction;

/// Entries that a query with a least interval between entries may hold: it has to see all before it can choose.
const HELD_MAX: usize = 1_000_000;

/// An entry with what orders it.
#[derive(Debug)]
pub(super) struct Found {
    /// Labels of its stream.
    pub(super) stream: Labels,
    /// Orders entries of one time as they arrived.
    pub(super) seq: i64,
    pub(super) entry: Entry,
}

/// By nearness: the greatest is the one that goes first when there are too many.
#[derive(Debug)]
struct Ranked {
    direction: Direction,
    found: Found,
}

impl Ranked {
    fn key(&self) -> (i64, i64) {
        (self.found.entry.ts_ns, self.found.seq)
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
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
        match self.direction {
            Direction::Forward => self.key().cmp(&other.key()),
            Direction::Backward => other.key().cmp(&self.key()),
        }
    }
}

/// The nearest entries seen so far, at most `limit`.
#[derive(Debug)]
pub(super) struct Nearest {
    direction: Direction,
    limit: usize,
    heap: BinaryHeap<Ranked>,
}

impl Nearest {
    /// None yet. With an interval between entries, all are kept.
    pub(super) fn new(direction: Direction, limit: usize, interval_ns: i64) -> Self {
        Self { direction, limit: if interval_ns > 0 { usize::MAX } else { limit }, heap: BinaryHeap::new() }
    }

    /// Whether an entry at `ts_ns` may be among the nearest.
    pub(super) fn may_take(&self, ts_ns: i64) -> bool {
        self.bound_ns().is_none_or(|bound| match self.direction {
            Direction::Forward => ts_ns <= bound,
            Direction::Backward => ts_ns >= bound,
        })
    }

    /// The time of the farthest of them, once there are enough.
    pub(super) fn bound_ns(&self) -> Option<i64> {
        if self.heap.len() < self.limit { None } else { self.heap.peek().map(|farthest| farthest.found.entry.ts_ns) }
    }

    /// Takes an entry.
    ///
    /// # Errors
    /// More entries than can be held.
    pub(super) fn push(&mut self, found: Found) -> Result<()> {
        self.heap.push(Ranked { direction: self.direction, found });
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
        if self.heap.len() > HELD_MAX {
            let message =
                format!("a query with an interval may look at {HELD_MAX} entries at most; add filters or shorten the range");
            return Err(Error::Limit { name: "entries held", message });
        }
        Ok(())
    }

    /// Takes the entries of another.
    ///
    /// # Errors
    /// As [`Nearest::push`].
    pub(super) fn merge(&mut self, other: Self) -> Result<()> {
        other.heap.into_iter().try_for_each(|ranked| self.push(ranked.found))
    }

    /// The entries in the order of the request, by stream; of those nearer together than `interval_ns` the first.
    pub(super) fn finish(self, limit: usize, interval_ns: i64) -> Vec<Stream> {
        let sorted = self.heap.into_sorted_vec();
        let mut last_ns: Option<i64> = None;
        let spaced = sorted.into_iter().map(|ranked| ranked.found).filter(|found| {
            let ts_ns = found.entry.ts_ns;
            let wanted = interval_ns == 0 || last_ns.is_none_or(|last| ts_ns.abs_diff(last) >= interval_ns.unsigned_abs());
            if wanted {
                last_ns = Some(ts_ns);
            }
            wanted
        });
        by_stream(spaced.take(limit))
    }
}

/// Entries under their streams, in the order in which they come.
pub(super) fn by_stream(entries: impl Iterator<Item = Found>) -> Vec<Stream> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut streams: Vec<Stream> = Vec::new();
    for found in entries {
        let at = *places.entry(found.stream).or_insert_with_key(|labels| {
            streams.push(Stream { labels: Labels::clone(labels), entries: Vec::new() });
            streams.len() - 1
        });
        streams[at].entries.push(found.entry);
    }
    streams
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ts_ns: i64, seq: i64) -> Found {
        let none: Labels = [].into();
        let entry = Entry { ts_ns, line: format!("{ts_ns}/{seq}"), metadata: Labels::clone(&none), parsed: Labels::clone(&none) };
        Found { stream: none, seq, entry }
    }

    #[track_caller]
    fn check(direction: Direction, limit: usize, interval_ns: i64, expected: &[&str]) {
        let mut halves = [Nearest::new(direction, limit, interval_ns), Nearest::new(direction, limit, interval_ns)];
        for (at, (ts, seq)) in [(5, 1), (3, 2), (9, 3), (3, 1), (7, 4)].into_iter().enumerate() {
            halves[at % 2].push(found(ts, seq)).expect("few");
        }
        let [mut one, other] = halves;
        one.merge(other).expect("few");
        let lines: Vec<String> = one.finish(limit, interval_ns).into_iter().flat_map(|s| s.entries).map(|e| e.line).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_nearest_stay() {
        check(Direction::Forward, 3, 0, &["3/1", "3/2", "5/1"]);
        check(Direction::Backward, 2, 0, &["9/3", "7/4"]);
        check(Direction::Forward, 10, 4, &["3/1", "7/4"]);
        check(Direction::Backward, 1, 4, &["9/3"]);
    }

    #[test]
    fn the_bound_is_known_once_there_are_enough() {
        let mut nearest = Nearest::new(Direction::Backward, 2, 0);
        nearest.push(found(1, 0)).expect("few");
        assert!(nearest.may_take(0));
        nearest.push(found(5, 0)).expect("few");
        assert_eq!(nearest.bound_ns(), Some(1));
        assert!(nearest.may_take(1) && !nearest.may_take(0));
    }
}
