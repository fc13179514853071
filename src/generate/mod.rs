//! Seeded telemetry that looks like a small shop's: services, instances, counters that reset, log lines in four formats,
//! traces that cross services and fail now and then.
//!
//! ```text
//! [Source] per signal ─ pull a batch ─► [Batch] protobuf bytes + exact counts ─► [send] gRPC or HTTP, retried ─► [Report]
//! ```
//! The same seed, counts and start time give the same bytes.

pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod run;
mod send;
mod shop;
pub(crate) mod traces;

pub(crate) use send::{Protocol, Target};

use catalog::Signal;

/// One request, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// What it holds.
    pub(crate) signal: Signal,
    /// `Export...ServiceRequest` in protobuf.
    pub(crate) body: bytes::Bytes,
    /// What is in it.
    pub(crate) counts: Counts,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Counts {
    /// Requests.
    pub(crate) requests: u64,
    /// Data points of gauges.
    pub(crate) gauge_points: u64,
    /// Data points of sums.
    pub(crate) sum_points: u64,
    /// Data points of histograms.
    pub(crate) histogram_points: u64,
    /// Buckets of those, the last (`+Inf`) included.
    pub(crate) histogram_buckets: u64,
    /// Data points of exponential histograms.
    pub(crate) exponential_histogram_points: u64,
    /// Exemplars on them.
    pub(crate) exemplars: u64,
    /// Log records.
    pub(crate) log_records: u64,
    /// Spans.
    pub(crate) spans: u64,
    /// Events on them.
    pub(crate) span_events: u64,
    /// Traces that began.
    pub(crate) traces: u64,
}

impl Counts {
    /// Adds `other` to `self`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.gauge_points += other.gauge_points;
        self.sum_points += other.sum_points;
        self.histogram_points += other.histogram_points;
        self.histogram_buckets += other.histogram_buckets;
        self.exponential_histogram_points += other.exponential_histogram_points;
        self.exemplars += other.exemplars;
        self.log_records += other.log_records;
        self.spans += other.spans;
        self.span_events += other.span_events;
        self.traces += other.traces;
    }

    /// Rows of the tables `samples`, `histograms`, `logs` and `spans` that this becomes: what a benchmark counts. A histogram is a
    /// sample per bucket, its sum and its count.
    pub(crate) fn stored(&self) -> u64 {
        self.gauge_points
            + self.sum_points
            + self.histogram_buckets
            + 2 * self.histogram_points
            + self.exponential_histogram_points
            + self.log_records
            + self.spans
    }

    /// Data points, log records and spans: what `--rate` and `--count` count.
    pub(crate) fn items(&self) -> u64 {
        self.gauge_points
            + self.sum_points
            + self.histogram_points
            + self.exponential_histogram_points
            + self.log_records
            + self.spans
    }
}

/// Where batches of one signal come from.
pub(crate) trait Source: Send {
    /// The next batch: at most `items_max` items (a trace is not cut, so spans may go over by one trace), none of them older than
    /// the ones before. `now_ns` is the time of its first item in nanoseconds since the epoch.
    fn next(&mut self, now_ns: u64, items_max: usize) -> Batch;
}
