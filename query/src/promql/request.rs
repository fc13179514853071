//! What can be asked. Times are milliseconds since the epoch and ranges are closed, as in Prometheus' API.

use std::time::Duration;

use catalog::{TimeRange, Timestamp};
use promql::ast::Matcher;

/// Whether an answer carries what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum StatsWanted {
    /// No.
    #[default]
    None,
    /// Totals.
    Totals,
    /// Totals and samples per step.
    PerStep,
}

/// Whether an answer may be made of what earlier ones left. It is the same answer either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Reuse {
    /// Yes.
    #[default]
    Allowed,
    /// No, and this one leaves nothing.
    Forbidden,
}

/// A query at one time.
#[derive(Debug, Clone, Default)]
pub struct InstantQuery {
    /// The expression.
    pub text: String,
    /// When.
    pub time_ms: i64,
    /// Another lookback than the configured one.
    pub lookback: Option<Duration>,
    /// Less time than the configuration gives.
    pub timeout: Option<Duration>,
    /// Most series of the answer; 0: all.
    pub limit: usize,
    /// Whether to say what it cost.
    pub stats: StatsWanted,
}

/// A query at `start_ms`, `start_ms + step_ms`, ... up to and including `end_ms`.
#[derive(Debug, Clone, Default)]
pub struct RangeQuery {
    /// The expression.
    pub text: String,
    /// First time.
    pub start_ms: i64,
    /// No time is later.
    pub end_ms: i64,
    /// Distance of two times, at least 1.
    pub step_ms: i64,
    /// Another lookback than the configured one.
    pub lookback: Option<Duration>,
    /// Less time than the configuration gives.
    pub timeout: Option<Duration>,
    /// Most series of the answer; 0: all.
    pub limit: usize,
    /// Whether to say what it cost.
    pub stats: StatsWanted,
    /// Whether kept answers are of use.
    pub reuse: Reuse,
}

/// Closed range of times in milliseconds. The default is everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeMs {
    /// First.
    pub start_ms: i64,
    /// Last.
    pub end_ms: i64,
}

impl Default for TimeMs {
    fn default() -> Self {
        Self { start_ms: i64::MIN, end_ms: i64::MAX }
    }
}

impl From<TimeMs> for TimeRange {
    fn from(time: TimeMs) -> Self {
        Self::new(Timestamp::from_millis(time.start_ms), Timestamp::from_millis(time.end_ms))
    }
}

/// Series that pass all matchers of one of the selectors: `match[]` of series, labels and label values.
#[derive(Debug, Clone, Default)]
pub struct SeriesRequest {
    /// Selectors; none selects every series.
    pub selectors: Vec<Vec<Matcher>>,
    /// When they existed, to the day; to the millisecond for series that were deleted from.
    pub time: TimeMs,
    /// Most items of the answer; 0: all.
    pub limit: usize,
}

/// Exemplars of the series that an expression selects.
#[derive(Debug, Clone, Default)]
pub struct ExemplarRequest {
    /// The expression.
    pub text: String,
    /// When.
    pub time: TimeMs,
}

/// What senders say of metrics.
#[derive(Debug, Clone, Default)]
pub struct MetadataRequest {
    /// Only this metric.
    pub metric: Option<String>,
    /// Most metrics; 0: all.
    pub limit: usize,
    /// Most entries of one metric; 0: all.
    pub limit_per_metric: usize,
}

/// Samples as they are stored: remote read.
#[derive(Debug, Clone, Default)]
pub struct RawRequest {
    /// The selector.
    pub matchers: Vec<Matcher>,
    /// When.
    pub time: TimeMs,
}

/// The newest sample of each series at a time: federation.
#[derive(Debug, Clone, Default)]
pub struct NewestRequest {
    /// Selectors.
    pub selectors: Vec<Vec<Matcher>>,
    /// No sample is later.
    pub time_ms: i64,
    /// Another lookback than the configured one.
    pub lookback: Option<Duration>,
}

/// Rows to delete.
#[derive(Debug, Clone, Default)]
pub struct DeleteRequest {
    /// Selectors.
    pub selectors: Vec<Vec<Matcher>>,
    /// When.
    pub time: TimeMs,
}
