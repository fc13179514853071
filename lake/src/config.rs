//! Settings of the lake.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How much memory the read path may keep. Everything in these caches can be read again from the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LakeConfig {
    /// Bytes of parsed Parquet footers with page indexes and of index sections. A file costs some 10-100 KB.
    pub metadata_cache_bytes: u64,
    /// Bytes of raw file ranges (small files are kept whole). On a local folder the page cache does the same job.
    pub data_cache_bytes: u64,
    /// Bytes of decoded dictionary rows: series, streams, resources. A series costs some 100 bytes.
    pub dictionary_cache_bytes: u64,
}

impl Default for LakeConfig {
    fn default() -> Self {
        Self { metadata_cache_bytes: 256 << 20, data_cache_bytes: 256 << 20, dictionary_cache_bytes: 256 << 20 }
    }
}

impl LakeConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] names key, value and bound.
    pub fn validate(&self) -> Result<()> {
        for (key, value) in [
            ("metadata_cache_bytes", self.metadata_cache_bytes),
            ("data_cache_bytes", self.data_cache_bytes),
            ("dictionary_cache_bytes", self.dictionary_cache_bytes),
        ] {
            if value < 1 << 20 {
                return Err(Error::Config { key, value: value.to_string(), reason: "must be at least 1 MiB" });
            }
        }
        Ok(())
    }
}
