//! The settings of the manifest.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often the manifest is checkpointed and how long its past is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogConfig {
    /// Log entries after which a checkpoint is due. Bounds what a start replays.
    pub checkpoint_entries: u64,
    /// Age of the newest checkpoint after which the next one is due, if anything was committed since.
    #[serde(with = "humantime_serde")]
    pub checkpoint_age: Duration,
    /// How far back a snapshot can still be opened. Log entries, checkpoints and the files of that time are kept.
    #[serde(with = "humantime_serde")]
    pub time_travel: Duration,
    /// How long the object of a dead file stays at least. Longer than any query of any process on this store.
    #[serde(with = "humantime_serde")]
    pub delete_grace: Duration,
    /// Longest wait for one request to the store.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Tries of one request before the caller gets an error.
    pub attempts_max: u32,
    /// First pause between tries; doubles up to 5 s, each drawn at random between 0 and that.
    #[serde(with = "humantime_serde")]
    pub backoff: Duration,
}

impl Default for CatalogConfig {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            checkpoint_entries: 256,
            checkpoint_age: Duration::from_secs(60),
            time_travel: DAY,
            delete_grace: DAY,
            request_timeout: Duration::from_secs(30),
            attempts_max: 8,
            backoff: Duration::from_millis(50),
        }
    }
}

impl CatalogConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Names the key, its value and the bound.
    pub fn validate(&self) -> Result<(), String> {
        if self.checkpoint_entries == 0 {
            return Err("catalog.checkpoint_entries is 0, must be at least 1".to_owned());
        }
        if self.attempts_max == 0 || self.attempts_max > 100 {
            return Err(format!("catalog.attempts_max is {}, must be 1 to 100", self.attempts_max));
        }
        if self.request_timeout.is_zero() {
            return Err("catalog.request_timeout is 0s, must be longer".to_owned());
        }
        Ok(())
    }
}
