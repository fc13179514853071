//! What all requests share: the text, the times, and work on partitions side by side.

use std::sync::Arc;

use catalog::{Table, TimeRange, Timestamp};
use datafusion::execution::TaskContext;
use futures::{StreamExt, TryStreamExt, stream};
use traceql::ast::{FieldName, Query};

use super::answer::SearchStats;
use super::config::TraceqlConfig;
use super::error::{Error, Result};
use super::read::Reading;
use super::request::Window;
use super::spans::{Resources, Shape};
use crate::run::Ticket;
use crate::threads;
use crate::view::View;

/// How far from the time asked for the other spans of a trace are looked for.
pub(super) const REACH_NS: i64 = 3_600 * 1_000_000_000;

const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// What an evaluation works with.
#[derive(Debug, Clone)]
pub(super) struct Work {
    /// What the query sees.
    pub(super) view: Arc<View>,
    /// Whose memory it takes.
    pub(super) context: Arc<TaskContext>,
    pub(super) config: TraceqlConfig,
    pub(super) partitions: usize,
    pub(super) ticket: Ticket,
}

/// Reads a text.
///
/// # Errors
/// Tempo's.
pub(super) fn parse(text: &str) -> Result<Query> {
    traceql::parse::parse(text).map_err(|e| Error::invalid(e.to_string()))
}

/// An error of the language.
pub(super) fn of_language(error: traceql::eval::Error) -> Error {
    match error {
        traceql::eval::Error::TooManySeries { .. } | traceql::eval::Error::TooManySamples { .. } => {
            Error::Limit { name: "traceql.series_max", message: error.to_string() }
        }
        other => Error::invalid(other.to_string()),
    }
}

/// Both ends included.
pub(super) fn range(start_ns: i64, end_ns: i64) -> TimeRange {
    TimeRange::new(Timestamp::from_nanos(start_ns), Timestamp::from_nanos(end_ns))
}

/// The time of a window, all of it for none.
pub(super) fn range_of(window: Option<Window>) -> TimeRange {
    window.map_or(TimeRange::ALL, |window| range(window.start_ns, window.end_ns))
}

/// `time` with what is near.
pub(super) fn widened(time: TimeRange) -> TimeRange {
    range(time.start.as_nanos().saturating_sub(REACH_NS), time.end.as_nanos().saturating_add(REACH_NS))
}

/// The days of `time`, the newest first.
pub(super) fn days(time: TimeRange) -> Vec<TimeRange> {
    let (start, mut end) = (time.start.as_nanos(), time.end.as_nanos());
    let mut pieces = Vec::new();
    while end >= start {
        let from = end.div_euclid(DAY_NS).saturating_mul(DAY_NS).max(start);
        pieces.push(range(from, end));
        if from == start || from == i64::MIN {
            break;
        }
        end = from - 1;
    }
    pieces
}

/// Refuses a range that is longer than `most`.
///
/// # Errors
/// [`Error::Limit`] with `name`.
pub(super) fn check_length(time: Option<Window>, most: std::time::Duration, name: &'static str) -> Result<()> {
    let Some(window) = time else { return Ok(()) };
    let length_ns = window.end_ns.saturating_sub(window.start_ns);
    if !most.is_zero() && u128::try_from(length_ns).unwrap_or(0) > most.as_nanos() {
        let length = std::time::Duration::from_nanos(u64::try_from(length_ns).unwrap_or(0));
        return Err(Error::Limit { name, message: format!("range of {length:?} exceeds the limit of {most:?} ({name})") });
    }
    Ok(())
}

impl Work {
    /// Whether to go on.
    ///
    /// # Errors
    /// Which end came.
    pub(super) fn check(&self) -> Result<()> {
        Ok(self.ticket.check()?)
    }

    /// What a read of these fields wants; resources of `time` are loaded when a field needs them.
    ///
    /// # Errors
    /// The lake's.
    pub(super) async fn shape(&self, fields: &[FieldName], wants_all: bool, time: TimeRange) -> Result<Shape> {
        let mut shape = Shape { fields: fields.to_vec(), wants_all, resources: Arc::default() };
        if shape.columns().contains(&"resource_id") {
            shape.resources = Arc::new(Resources::load(&self.view, time).await?);
        }
        Ok(shape)
    }

    /// The time that rows can lie in: that of files and buffers within `time`.
    pub(super) fn extent(&self, time: TimeRange) -> TimeRange {
        let files = self.view.files(Table::Spans, time).into_iter().map(|file| file.time);
        let fresh = self.view.fresh(Table::Spans).into_iter().filter_map(|batch| crate::logql::time_of(&batch));
        let all = files.chain(fresh).reduce(|a, b| TimeRange::new(a.start.min(b.start), a.end.max(b.end)));
        all.map_or(TimeRange::new(time.end, time.end), |all| all.intersect(time))
    }

    /// Runs `part` for every partition of `reading`, side by side, and gives what they made.
    ///
    /// # Errors
    /// The first one's.
    pub(super) async fn each<T, F, W>(&self, reading: &Arc<Reading>, part: F) -> Result<Vec<T>>
    where
        T: Send + 'static,
        F: Fn(Work, Arc<Reading>, usize, usize) -> W,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let of = reading.partitions(self.partitions);
        let tasks: Vec<_> = (0..of).map(|at| threads::spawn_part(part(self.clone(), Arc::clone(reading), at, of))).collect();
        let died = |e| Error::Query(crate::Error::Internal { message: format!("a partition of a query died: {e}") });
        stream::iter(tasks).map(Ok).and_then(|task| async move { task.await.map_err(died)? }).try_collect().await
    }
}

impl SearchStats {
    /// Adds what `reading` has read.
    pub(super) fn add(&mut self, reading: &Reading) {
        let files = reading.entries();
        self.files += files.len() as u64;
        self.files_done += files.len() as u64;
        self.files_bytes += files.iter().map(|file| file.bytes).sum::<u64>();
        self.bytes += reading.metrics.totals().bytes_read;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_cover_the_time_once() {
        let day = |n: i64| n * DAY_NS;
        assert_eq!(
            days(range(day(1) + 5, day(3))),
            [range(day(3), day(3)), range(day(2), day(3) - 1), range(day(1) + 5, day(2) - 1)]
        );
        assert_eq!(days(range(5, 4)), []);
    }
}
