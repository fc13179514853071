//! The matches with the lowest ids, day by day, the newest day first.
//!
//! ```text
//! a partition of ids, ascending:  spans that filters select ─► their traces ─► some at a time, whole: do they match? ─► [Best]
//!                                          │ too many that do not
//!                                          ▼
//!                                 traces from there on, each evaluated ─► those that match ─────────────────────────────┘
//! ```
//! Partitions end where the limit is full of lower ids.
//!
//! # Invariants
//! - A trace counts on the day on which it begins.

use std::sync::Arc;

use catalog::TimeRange;
use traceql::spans::Spans;

use super::super::conditions;
use super::super::error::Result;
use super::super::evaluate::{REACH_NS, Work, days, range, widened};
use super::super::read::{Group, Order, Reading, each};
use super::super::spans::TraceSpans;
use super::best::Best;
use super::candidates::{Candidate, Scout};
use super::examine::{IDS_MAX, Question};
use super::{IDS_MIN, MISSES_MAX};

/// Finds the matches; spans lie in `extent`.
///
/// # Errors
/// The lake's; out of memory.
pub(super) async fn search(
    work: &Work,
    question: &Question,
    best: &Arc<Best>,
    scout: Option<&Scout>,
    extent: TimeRange,
) -> Result<()> {
    // A trace that began earlier may reach into the time asked for.
    let begins = extent.intersect(range(widened(question.asked).start.as_nanos(), question.asked.end.as_nanos()));
    for (day, stretch) in (0..).zip(days(begins)) {
        if best.lacking() == 0 {
            break;
        }
        let reading = match scout {
            Some(scout) => {
                let time = range(stretch.start.as_nanos(), stretch.end.as_nanos().saturating_add(REACH_NS));
                let predicate = conditions::predicate(scout.conditions(), &question.resources);
                let Some(predicate) = predicate else { break };
                Reading::plan(work, question.shape(scout.fields()), &[], time, predicate)?
            }
            None => swept(work, question, stretch)?,
        };
        let reading = Arc::new(reading);
        let part = |work: Work, reading: Arc<Reading>, at, of| {
            let (best, question) = (Arc::clone(best), question.clone());
            let part = Part { work, best, question, stretch, day, at, of, misses: 0 };
            let scout = scout.cloned();
            async move { part.run(scout, reading).await }
        };
        work.each(&reading, part).await?;
        best.tally(&reading);
        best.tell();
    }
    Ok(())
}

/// Whole traces that begin in `stretch`.
fn swept(work: &Work, question: &Question, stretch: TimeRange) -> Result<Reading> {
    let shape = question.shape(question.search.slots().fields());
    Ok(Reading::plan(work, shape, question.structure(), widened(stretch), Default::default())?.ordered(Order::ByTrace))
}

/// One partition of one day.
struct Part {
    work: Work,
    best: Arc<Best>,
    question: Question,
    stretch: TimeRange,
    day: u32,
    at: usize,
    of: usize,
    /// Traces that were looked up in vain.
    misses: usize,
}

impl Part {
    async fn run(mut self, scout: Option<Scout>, reading: Arc<Reading>) -> Result<()> {
        let rest = match scout {
            Some(scout) => self.by_spans(&scout, &reading).await?,
            None => return self.by_traces(&reading, 0).await,
        };
        match rest {
            Some(from) => {
                let reading = swept(&self.work, &self.question, self.stretch)?;
                self.by_traces(&reading, from).await?;
                self.best.tally(&reading);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Looks up the traces of spans that are selected; where it gave up, if it did.
    async fn by_spans(&mut self, scout: &Scout, reading: &Reading) -> Result<Option<u128>> {
        let mut traces = reading.traces(&self.work, self.at, self.of)?;
        let (mut waiting, mut size): (Vec<Candidate>, usize) = (Vec::new(), self.best.lacking().clamp(IDS_MIN, IDS_MAX));
        while let Some(group) = traces.next().await? {
            self.work.check()?;
            let spans = match group {
                Group::Trace(spans) => spans,
                Group::Run(batch, rows) => TraceSpans::of_rows(&batch, rows),
            };
            if self.best.is_past_id(self.day, spans.first_trace()) {
                break;
            }
            self.best.saw((spans.traces(), spans.len() as u64));
            // Of a query with stages between the spans come in another order.
            let mut selected = Vec::new();
            scout.select(&spans, |row| {
                let (batch, at) = spans.place(row);
                selected.push(Candidate { trace: batch.trace(at), position_ns: batch.start_ns(at) });
            })?;
            selected.sort_unstable_by_key(|candidate| (candidate.trace, candidate.position_ns));
            selected.retain(|candidate| candidate.position_ns >= self.stretch.start.as_nanos());
            selected.dedup_by_key(|candidate| candidate.trace);
            waiting.append(&mut selected);
            waiting.dedup_by_key(|candidate| candidate.trace);
            drop(spans);
            while waiting.len() >= size {
                let now: Vec<Candidate> = waiting.drain(..size).collect();
                if let Some(from) = self.look_up(&now).await? {
                    return Ok(Some(from));
                }
                size = (size * 4).min(IDS_MAX);
                if waiting.first().is_some_and(|next| self.best.is_past_id(self.day, next.trace)) {
                    return Ok(None);
                }
            }
        }
        self.look_up(&waiting).await
    }

    /// Evaluates the traces from `from` on.
    async fn by_traces(&mut self, reading: &Reading, from: u128) -> Result<()> {
        let mut traces = reading.traces_from(&self.work, self.at, self.of, from)?;
        let mut waiting: Vec<Candidate> = Vec::new();
        let mut size = self.best.lacking().clamp(IDS_MIN, IDS_MAX);
        while let Some(group) = traces.next().await? {
            self.work.check()?;
            let mut is_past = false;
            let mut take = |spans: TraceSpans| {
                is_past = is_past || self.best.is_past_id(self.day, spans.first_trace());
                if is_past {
                    return Ok(());
                }
                self.best.saw((1, spans.len() as u64));
                waiting.extend(self.question.begins_and_matches(&spans, self.stretch)?);
                Ok(())
            };
            match group {
                Group::Trace(spans) => take(spans)?,
                Group::Run(batch, rows) => each(&batch, rows, take)?,
            }
            while waiting.len() >= size {
                let now: Vec<Candidate> = waiting.drain(..size).collect();
                self.look_up(&now).await?;
                size = (size * 4).min(IDS_MAX);
            }
            if is_past {
                break;
            }
        }
        self.look_up(&waiting).await?;
        Ok(())
    }

    /// Examines candidates, ascending by id, and keeps those that match and begin on the day. When too many did not, the last one's id.
    async fn look_up(&mut self, candidates: &[Candidate]) -> Result<Option<u128>> {
        let mut left = candidates;
        while let Some(next) = left.first()
            && !self.best.is_past_id(self.day, next.trace)
        {
            let (now, then) = left.split_at(left.len().min(IDS_MAX));
            left = then;
            let found = self.question.examine(&self.work, now, &self.best).await?;
            self.misses += now.len() - found.len();
            let begins = |start_ns: i64| (self.stretch.start.as_nanos()..=self.stretch.end.as_nanos()).contains(&start_ns);
            for found in found {
                if begins(found.start_ns) {
                    self.best.push(self.day, found)?;
                }
            }
            self.best.tell();
            if self.misses > MISSES_MAX {
                return Ok(now.last().map(|last| last.trace));
            }
        }
        Ok(None)
    }
}
