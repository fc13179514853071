//! Settings of TraceQL.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// Limits of TraceQL queries. What a query may read is in [`crate::QueryLimits`]. Defaults are Tempo's where it has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceqlConfig {
    /// Longest time from a query's start to its answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Traces that a search may ask for (Tempo's `max_result_limit`).
    pub traces_max: usize,
    /// Spans per spanset that a search may ask for (Tempo's `max_spans_per_span_set`).
    pub spans_per_spanset_max: usize,
    /// Longest range of a search (Tempo's `max_duration` of search); 0s: any.
    #[serde(with = "humantime_serde")]
    pub search_length_max: Duration,
    /// Longest range of metrics (Tempo's `max_duration` of metrics); 0s: any.
    #[serde(with = "humantime_serde")]
    pub metrics_length_max: Duration,
    /// Steps of a metrics query (Tempo's `max_intervals`).
    pub steps_max: u64,
    /// Series that a metrics query may give (Tempo's `max_response_series`).
    pub series_max: usize,
    /// Exemplars of a metrics query (Tempo's `max_exemplars`).
    pub exemplars_max: usize,
    /// Spans of a trace that are returned by its id, and that one evaluation of a trace holds.
    pub trace_spans_max: usize,
    /// Queries of one tenant that run at the same time.
    pub queries_max: usize,
    /// Queries of one tenant that wait for their turn; more are refused at once.
    pub queue_max: usize,
}

impl Default for TraceqlConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            traces_max: 262_144,
            spans_per_spanset_max: 1_000,
            search_length_max: Duration::ZERO,
            metrics_length_max: Duration::ZERO,
            steps_max: 10_000,
            series_max: 10_000,
            exemplars_max: 100,
            trace_spans_max: 1_000_000,
            queries_max: 20,
            queue_max: 128,
        }
    }
}

impl TraceqlConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] names key, value and bound.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("traces_max", self.traces_max as u64),
            ("spans_per_spanset_max", self.spans_per_spanset_max as u64),
            ("steps_max", self.steps_max),
            ("series_max", self.series_max as u64),
            ("trace_spans_max", self.trace_spans_max as u64),
            ("queries_max", self.queries_max as u64),
            ("timeout", self.timeout.as_millis() as u64),
        ];
        match positive.into_iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(Error::Config { key, value: "0".to_owned(), reason: "must be more than 0" }),
            None => Ok(()),
        }
    }
}
