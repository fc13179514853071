//! Settings and limits of the query engine.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What all queries of the node share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryConfig {
    /// Bytes that all running queries may hold together; an eighth of them is kept for queries that need little.
    pub node_memory_bytes_max: u64,
    /// Partitions that one query works on at the same time; 0 means one per core.
    pub partitions: usize,
    /// Rows per batch between operators.
    pub batch_rows: usize,
    /// Bytes of decoded dictionary rows (label sets, resources) kept between queries.
    pub dictionary_cache_bytes: u64,
    /// Folder for rows that sorts and aggregations spill; unset means a query that outgrows its memory fails.
    pub spill_dir: Option<PathBuf>,
    /// Bytes that all spills together may take in [`QueryConfig::spill_dir`].
    pub spill_bytes_max: u64,
    /// Whether every query becomes a row of `usage.query_log`, which its tenant can read with SQL.
    pub log: bool,
    /// What one query may use when its request says nothing smaller.
    pub limits: QueryLimits,
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            node_memory_bytes_max: 1 << 30,
            partitions: 0,
            batch_rows: 8_192,
            dictionary_cache_bytes: 128 << 20,
            spill_dir: None,
            spill_bytes_max: 4 << 30,
            log: true,
            limits: QueryLimits::default(),
        }
    }
}

/// What one query may use. Each limit is an error with the limit's name when it is hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryLimits {
    /// Bytes that sorts, joins, aggregations and lookups of one query may hold.
    pub memory_bytes_max: u64,
    /// Files that one query may open, over all its tables.
    pub files_max: u64,
    /// Bytes of files that one query may open, counted whole, over all its tables.
    pub scan_bytes_max: u64,
    /// Label sets or resources that one table of a query may look up.
    pub series_max: u64,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { memory_bytes_max: 256 << 20, files_max: 100_000, scan_bytes_max: 1 << 40, series_max: 2_000_000 }
    }
}

impl QueryConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] names key, value and bound.
    pub fn validate(&self) -> Result<()> {
        let at_least = |key, value: u64, least: u64, reason| match value < least {
            true => Err(Error::Config { key, value: value.to_string(), reason }),
            false => Ok(()),
        };
        at_least("node_memory_bytes_max", self.node_memory_bytes_max, 16 << 20, "must be at least 16 MiB")?;
        at_least("limits.memory_bytes_max", self.limits.memory_bytes_max, 1 << 20, "must be at least 1 MiB")?;
        at_least("batch_rows", self.batch_rows as u64, 64, "must be at least 64")?;
        at_least("limits.files_max", self.limits.files_max, 1, "must be at least 1")?;
        at_least("limits.series_max", self.limits.series_max, 1, "must be at least 1")?;
        if self.batch_rows > 1 << 20 {
            return Err(Error::Config {
                key: "batch_rows",
                value: self.batch_rows.to_string(),
                reason: "must be at most 1048576",
            });
        }
        Ok(())
    }

    /// How many partitions a query works on.
    pub fn target_partitions(&self) -> usize {
        match self.partitions {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}
