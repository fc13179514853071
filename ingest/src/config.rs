//! Settings of the durable half of ingest: the log, the buffer, the flush.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, Result};

const MIB: u64 = 1 << 20;

/// How acknowledged rows are kept until they are in files.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestConfig {
    /// The write-ahead log.
    pub wal: WalConfig,
    /// When buffered rows become files.
    pub flush: FlushConfig,
    /// What is remembered of acknowledged requests.
    pub dedup: DedupConfig,
}

/// Which log makes rows durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WalKind {
    /// Segments on a local disk, synced before the acknowledgement.
    #[default]
    Disk,
}

/// The write-ahead log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WalConfig {
    /// Which log.
    pub kind: WalKind,
    /// Folder of the disk log. The binary puts it below `--data` when it is not set.
    pub dir: Option<PathBuf>,
    /// Bytes of one segment, allocated at once and written again after its rows are in files. Smaller on a small disk.
    pub segment_bytes: u64,
    /// Largest frame: the encoded rows of one request. Larger requests are refused.
    pub frame_bytes_max: u64,
    /// Encoded frames that wait for the disk; a request beyond waits until there is room.
    pub queue_bytes_max: u64,
    /// Nothing is accepted while less than this is free on the log's disk.
    pub disk_free_min: u64,
    /// Nothing is accepted while this share of the disk is used and less than 4 GiB are free.
    pub disk_used_percent_max: u8,
    /// What to do about damage in the middle of the log.
    pub recover: Recover,
}

/// What to do about a damaged log: bytes that were synced, and acknowledged, and cannot be read any more.
///
/// A torn tail is not damage: what was never synced was never acknowledged, and is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recover {
    /// Do not start; name the segment and the records that are missing.
    #[default]
    Refuse,
    /// Go on without the records that cannot be read; each run of them is logged and counted.
    Skip,
}

/// When buffered rows become files: at whichever limit is met first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlushConfig {
    /// Age of the oldest buffered row, e.g. `"45s"`. Bounds the log replay after a crash.
    #[serde(with = "humantime_serde")]
    pub age_max: Duration,
    /// Arrow bytes of all tenants that one flush takes. More: fewer, denser files, more memory.
    pub bytes_max: u64,
    /// Arrow bytes that may wait in memory altogether, while the store is down say. Beyond it nothing is accepted.
    pub buffered_bytes_max: u64,
}

/// What is remembered of acknowledged requests, to recognise a sender's retry.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DedupConfig {
    /// How long, e.g. `"10m"`.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// How many; the oldest are forgotten first. 24 bytes each at the head of every segment.
    pub entries_max: usize,
}

impl Default for WalConfig {
    fn default() -> Self {
        Self {
            kind: WalKind::Disk,
            dir: None,
            segment_bytes: 64 * MIB,
            frame_bytes_max: 64 * MIB,
            queue_bytes_max: 64 * MIB,
            disk_free_min: 64 * MIB,
            disk_used_percent_max: 90,
            recover: Recover::Refuse,
        }
    }
}

impl Default for FlushConfig {
    fn default() -> Self {
        Self { age_max: Duration::from_secs(45), bytes_max: 64 * MIB, buffered_bytes_max: 512 * MIB }
    }
}

impl Default for DedupConfig {
    fn default() -> Self {
        Self { window: Duration::from_secs(600), entries_max: 131_072 }
    }
}

impl IngestConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// [`Error::Config`] names the first key that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<()> {
        within("wal.segment_bytes", self.wal.segment_bytes, 64 << 10, 4096 * MIB)?;
        within("wal.frame_bytes_max", self.wal.frame_bytes_max, 64 << 10, 1024 * MIB)?;
        within("wal.queue_bytes_max", self.wal.queue_bytes_max, 64 << 10, 4096 * MIB)?;
        within("wal.disk_used_percent_max", u64::from(self.wal.disk_used_percent_max), 1, 100)?;
        within("flush.age_max (ms)", u64::try_from(self.flush.age_max.as_millis()).unwrap_or(u64::MAX), 10, 3_600_000)?;
        within("flush.bytes_max", self.flush.bytes_max, 1024, 16_384 * MIB)?;
        within("flush.buffered_bytes_max", self.flush.buffered_bytes_max, self.flush.bytes_max, u64::MAX)?;
        within("dedup.entries_max", self.dedup.entries_max as u64, 1, 4 * MIB)
    }
}

fn within(key: &'static str, value: u64, min: u64, max: u64) -> Result<()> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(Error::Config { key, value, min, max }) }
}
