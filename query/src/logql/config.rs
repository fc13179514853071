//! Settings of LogQL.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// Limits of LogQL queries. What a query may read is in [`crate::QueryLimits`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogqlConfig {
    /// Longest time from a query's start to its answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Entries that a log query may ask for (Loki's `max_entries_limit_per_query`).
    pub entries_max: usize,
    /// Series that a metric query may give (Loki's `max_query_series`).
    pub series_max: usize,
    /// Streams that one query may select.
    pub streams_max: usize,
    /// Steps of a metric query.
    pub steps_max: u64,
    /// Longest range that a query may ask for (Loki's `max_query_length`); 0s: any.
    #[serde(with = "humantime_serde")]
    pub length_max: Duration,
    /// Queries of one tenant that run at the same time.
    pub queries_max: usize,
    /// Queries of one tenant that wait for their turn; more are refused at once.
    pub queue_max: usize,
    /// Tails of one tenant at the same time (Loki's `max_concurrent_tail_requests`).
    pub tails_max: usize,
    /// Bytes of times of lines that are kept decoded, and of which lines pass line filters, for metric queries that count lines.
    pub run_cache_bytes: u64,
    /// Whether lines can be deleted over `/loki/api/v1/delete`, by everybody who may query.
    pub delete_api: bool,
}

impl Default for LogqlConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            entries_max: 5_000,
            series_max: 10_000,
            streams_max: 1_000_000,
            steps_max: 11_000,
            length_max: Duration::ZERO,
            queries_max: 20,
            queue_max: 128,
            tails_max: 10,
            run_cache_bytes: 128 << 20,
            delete_api: false,
        }
    }
}

impl LogqlConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] names key, value and bound.
    pub fn validate(&self) -> Result<()> {
        let refuse = |key, value: String, reason| Err(Error::Config { key, value, reason });
        if self.timeout.is_zero() {
            return refuse("timeout", format!("{:?}", self.timeout), "must be longer than nothing");
        }
        for (key, value) in
            [("entries_max", self.entries_max), ("series_max", self.series_max), ("streams_max", self.streams_max)]
        {
            if value == 0 {
                return refuse(key, value.to_string(), "must be at least 1");
            }
        }
        if self.steps_max == 0 {
            return refuse("steps_max", self.steps_max.to_string(), "must be at least 1");
        }
        if self.queries_max == 0 || self.queries_max > 4_096 {
            return refuse("queries_max", self.queries_max.to_string(), "must be from 1 to 4096");
        }
        Ok(())
    }
}
