//! What can be asked. Times are nanoseconds since the epoch.

use std::time::Duration;

use catalog::{TimeRange, Timestamp};

/// Which entries come first, and which stay when a limit cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// The oldest.
    Forward,
    /// The newest.
    #[default]
    Backward,
}

/// A query over a range of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeQuery {
    /// LogQL.
    pub text: String,
    /// The first step of a metric query; entries of a log query are at it or later.
    pub start_ns: i64,
    /// The last step of a metric query; entries of a log query are before it.
    pub end_ns: i64,
    /// From step to step; at least 1. Log queries do not look at it.
    pub step_ns: i64,
    /// Least time between two entries of a stream; 0: all of them. Metric queries do not look at it.
    pub interval_ns: i64,
    /// Most entries of a log query.
    pub limit: usize,
    /// The order of entries.
    pub direction: Direction,
    /// Less time than the configuration gives.
    pub timeout: Option<Duration>,
}

/// A query at one time: metric queries only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstantQuery {
    /// LogQL.
    pub text: String,
    /// When.
    pub time_ns: i64,
    /// Less time than the configuration gives.
    pub timeout: Option<Duration>,
}

/// Streams, their labels, and what is known of them without reading lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsRequest {
    /// Selectors such as `{app="x"}`, one of which a stream must pass; empty: every stream.
    pub selectors: Vec<String>,
    /// When.
    pub time: TimeNs,
}

/// From `start_ns` until before `end_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeNs {
    /// The first instant.
    pub start_ns: i64,
    /// The first instant that is too late.
    pub end_ns: i64,
}

impl From<TimeNs> for TimeRange {
    fn from(time: TimeNs) -> Self {
        Self::new(Timestamp::from_nanos(time.start_ns), Timestamp::from_nanos(time.end_ns.saturating_sub(1)))
    }
}

/// How volumes are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VolumeBy {
    /// By the values of the labels that the selector or `target_labels` name.
    #[default]
    Series,
    /// By the names of labels.
    Labels,
}

/// Bytes of lines over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeRequest {
    /// A selector; `{}` and the empty text take every stream.
    pub selector: String,
    /// When.
    pub time: TimeNs,
    /// One number per step; `None`: one number.
    pub step_ns: Option<i64>,
    /// Most series, those with most bytes.
    pub limit: usize,
    /// The labels to add up by; empty: those that the selector names.
    pub target_labels: Vec<String>,
    /// By values or by names.
    pub by: VolumeBy,
}

/// Which fields lines have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldsRequest {
    /// A log query.
    pub text: String,
    /// When.
    pub time: TimeNs,
    /// How many lines are looked at, the newest.
    pub line_limit: usize,
    /// Most fields, or values.
    pub limit: usize,
}

/// The patterns of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternsRequest {
    /// A selector, or a log query.
    pub text: String,
    /// When.
    pub time: TimeNs,
    /// Counts are given per step.
    pub step_ns: i64,
}

/// Following what comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailQuery {
    /// A log query.
    pub text: String,
    /// Entries that are there already, from this time on, come first.
    pub start_ns: i64,
    /// Most of these, the newest.
    pub limit: usize,
    /// How long entries are held back, so that late ones come in order.
    pub delay: Duration,
}

/// What is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRequest {
    /// A selector, with line filters and other stages or without.
    pub text: String,
    /// When, both ends included.
    pub start_ns: i64,
    /// See `start_ns`.
    pub end_ns: i64,
}
