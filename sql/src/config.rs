//! Settings of SQL.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Longest statement in bytes.
pub const TEXT_BYTES_MAX: usize = 256 << 10;

/// Limits of SQL queries. What a query may read and hold is in [`query::QueryLimits`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqlConfig {
    /// Longest time from a query's start to its last byte; a request may ask for less.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Rows that an answer may have.
    pub rows_max: u64,
    /// Bytes that an answer may have, as Arrow columns.
    pub result_bytes_max: u64,
    /// Queries of one tenant that run at the same time.
    pub queries_max: usize,
    /// Queries of one tenant that wait for their turn; more are refused at once.
    pub queue_max: usize,
    /// Longest wait for a turn.
    #[serde(with = "humantime_serde")]
    pub queue_wait: Duration,
    /// Tables that a tenant may make by ingestion over Flight; 0: none.
    pub user_tables_max: usize,
    /// Rows of one ingestion.
    pub ingest_rows_max: u64,
    /// Bytes of one ingestion, as Arrow columns.
    pub ingest_bytes_max: u64,
}

impl Default for SqlConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            rows_max: 5_000_000,
            result_bytes_max: 512 << 20,
            queries_max: 16,
            queue_max: 128,
            queue_wait: Duration::from_secs(30),
            user_tables_max: 100,
            ingest_rows_max: 100_000_000,
            ingest_bytes_max: 8 << 30,
        }
    }
}

impl SqlConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] names key, value and bound.
    pub fn validate(&self) -> Result<()> {
        let refuse = |key, value: String, reason| Err(Error::Config { key, value, reason });
        if self.timeout.is_zero() {
            return refuse("timeout", format!("{:?}", self.timeout), "must be longer than nothing");
        }
        if self.queries_max == 0 || self.queries_max > 4_096 {
            return refuse("queries_max", self.queries_max.to_string(), "must be from 1 to 4096");
        }
        if self.rows_max == 0 {
            return refuse("rows_max", "0".to_owned(), "must be at least 1");
        }
        if self.result_bytes_max < 1 << 16 {
            return refuse("result_bytes_max", self.result_bytes_max.to_string(), "must be at least 64 KiB");
        }
        Ok(())
    }
}
