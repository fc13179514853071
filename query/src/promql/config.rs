//! Settings of PromQL.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// Limits of PromQL queries. What a query may read is in [`crate::QueryLimits`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromqlConfig {
    /// How old the newest sample may be that stands for a series; a request may ask for another length.
    #[serde(with = "humantime_serde")]
    pub lookback: Duration,
    /// Longest time from a query's start to its answer; a request may ask for less.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Samples that a query may hold at once.
    pub samples_max: u64,
    /// Series that one selector, or one vector of a query, may have.
    pub series_max: u64,
    /// Steps of a range query.
    pub steps_max: u64,
    /// Queries of one tenant that run at the same time.
    pub queries_max: usize,
    /// Queries of one tenant that wait for their turn; more are refused at once.
    pub queue_max: usize,
    /// Experimental functions, aggregations and modifiers: what Prometheus has behind feature flags.
    pub experimental: bool,
    /// Bytes of decoded samples kept between queries.
    pub sample_cache_bytes: u64,
    /// Bytes of answers to range queries kept, of which later ones take the steps that are the same; 0: none.
    pub result_cache_bytes: u64,
}

impl Default for PromqlConfig {
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            timeout: Duration::from_secs(120),
            samples_max: 50_000_000,
            series_max: 1_000_000,
            steps_max: 11_000,
            queries_max: 20,
            queue_max: 128,
            experimental: true,
            sample_cache_bytes: 512 << 20,
            result_cache_bytes: 64 << 20,
        }
    }
}

impl PromqlConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] names key, value and bound.
    pub fn validate(&self) -> Result<()> {
        let refuse = |key, value: String, reason| Err(Error::Config { key, value, reason });
        if self.lookback < Duration::from_millis(1) {
            return refuse("lookback", format!("{:?}", self.lookback), "must be at least 1ms");
        }
        if self.timeout.is_zero() {
            return refuse("timeout", format!("{:?}", self.timeout), "must be longer than nothing");
        }
        for (key, value) in [("samples_max", self.samples_max), ("series_max", self.series_max), ("steps_max", self.steps_max)] {
            if value == 0 {
                return refuse(key, value.to_string(), "must be at least 1");
            }
        }
        if self.queries_max == 0 || self.queries_max > 4_096 {
            return refuse("queries_max", self.queries_max.to_string(), "must be from 1 to 4096");
        }
        Ok(())
    }
}
