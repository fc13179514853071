//! The newest matches.
//!
//! ```text
//! the last quarter of an hour ─► candidates, the newest first ─► some at a time, whole: do they match? ─► the newest matches
//!       │ older traces could still be among them                                                               ▲
//!       ▼                                                                                                      │
//! the hour before, the four hours before that ... ─────────────────────────────────────────────────────────────┘
//! ```
//!
//! # Invariants
//! - It ends when nothing that is left can have begun later than the oldest match that is kept.

use std::collections::VecDeque;

use catalog::TimeRange;
use hashbrown::HashSet;

use super::super::error::Result;
use super::super::evaluate::{Work, range};
use super::best::Best;
use super::candidates::{Candidate, Candidates, Match, Scout, scout, sweep};
use super::examine::{IDS_MAX, Question};
use super::{IDS_MIN, MISSES_MAX};

/// The newest stretch of time that is searched by itself; each older one is four times as long.
const STRETCH_NS: i64 = 900 * 1_000_000_000;

/// Finds the matches; spans lie in `extent`.
///
/// # Errors
/// The lake's; out of memory.
pub(super) async fn search(
    work: &Work,
    question: &Question,
    best: &Best,
    mut by_spans: Option<Scout>,
    extent: TimeRange,
) -> Result<()> {
    let (first, last) = (question.asked.start.as_nanos(), question.asked.end.as_nanos());
    // Spans of later times tell of traces that began before; what is in time is divided; earlier traces may reach into it.
    let later = extent.intersect(range(last.saturating_add(1), i64::MAX));
    let earlier = extent.intersect(range(i64::MIN, first.saturating_sub(1)));
    let mut todo: VecDeque<TimeRange> = VecDeque::new();
    todo.extend(Some(later).filter(|later| last < i64::MAX && !later.is_empty()));
    todo.extend(stretches(extent.intersect(question.asked)));
    todo.extend(Some(earlier).filter(|earlier| first > i64::MIN && !earlier.is_empty()));
    let mut hunt = Hunt { work, question, best, examined: HashSet::new() };
    while let Some(stretch) = todo.pop_front() {
        if best.is_past_start(stretch.end.as_nanos()) {
            break;
        }
        let found = match &by_spans {
            Some(by) => scout(work, question, by, stretch).await?,
            // No trace of the time asked for begins later.
            None if stretch.start.as_nanos() > last => continue,
            None => sweep(work, question, stretch, best.limit()).await?,
        };
        best.saw(found.seen);
        found.readings.iter().for_each(|reading| best.tally(reading));
        let may_miss = by_spans.as_ref().is_some_and(|by| by.says() == Match::Possible);
        let most = if may_miss { MISSES_MAX } else { usize::MAX };
        let (start, floor) = (stretch.start.as_nanos(), found.floor_ns);
        let rest = match hunt.look_up(found, most).await? {
            // What is left began there at the latest.
            Some(next_ns) => {
                by_spans = None;
                range(start, next_ns.max(floor.saturating_sub(1)).min(stretch.end.as_nanos()).min(last))
            }
            None => range(start, floor.saturating_sub(1)),
        };
        if !rest.is_empty() {
            todo.push_front(rest);
        }
        best.tell();
    }
    Ok(())
}

/// `time` in pieces that grow, the newest first.
fn stretches(time: TimeRange) -> Vec<TimeRange> {
    let (start, mut end, mut length) = (time.start.as_nanos(), time.end.as_nanos(), STRETCH_NS);
    let mut pieces = Vec::new();
    while end >= start {
        // What is left is not worth a piece of its own when it is short.
        let from = if end.saturating_sub(length.saturating_mul(2)) <= start { start } else { end.saturating_sub(length) };
        pieces.push(range(from, end));
        if from == start {
            break;
        }
        (end, length) = (from - 1, length.saturating_mul(4));
    }
    pieces
}

/// Traces that are looked up.
struct Hunt<'a> {
    work: &'a Work,
    question: &'a Question,
    best: &'a Best,
    /// What needs no second look.
    examined: HashSet<u128>,
}

impl Hunt<'_> {
    /// Examines the candidates that may be among the newest. When more than `misses_max` were looked up in vain, where the next one is.
    async fn look_up(&mut self, found: Candidates, misses_max: usize) -> Result<Option<i64>> {
        let mut left: &[Candidate] = &found.all;
        let (mut size, mut misses) = (self.best.lacking().clamp(IDS_MIN, IDS_MAX), 0);
        while let Some(next) = left.first() {
            if self.best.is_past_start(next.position_ns) {
                return Ok(None);
            }
            if misses > misses_max {
                return Ok(Some(next.position_ns));
            }
            let (now, then) = left.split_at(size.min(left.len()));
            left = then;
            let new: Vec<Candidate> = now.iter().filter(|candidate| self.examined.insert(candidate.trace)).copied().collect();
            let found = self.question.examine(self.work, &new, self.best).await?;
            misses += new.len() - found.len();
            for found in found {
                self.best.push(0, found)?;
            }
            self.best.tell();
            size = (size * 4).min(IDS_MAX);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_cover_the_time_once() {
        for (start, end) in [(0, 0), (0, STRETCH_NS), (5, 100 * STRETCH_NS), (-7, 3 * STRETCH_NS)] {
            let pieces = stretches(range(start, end));
            assert_eq!((pieces[0].end.as_nanos(), pieces[pieces.len() - 1].start.as_nanos()), (end, start));
            assert!(pieces.windows(2).all(|pair| pair[1].end.as_nanos() + 1 == pair[0].start.as_nanos()));
        }
        assert_eq!(stretches(range(0, 24 * 3_600 * 1_000_000_000)).len(), 4);
    }
}
