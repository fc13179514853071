//! One committed version of the manifest, in memory.

use super::entry::{LogMark, WriterId};

/// The sequence number of the newest log entry that a snapshot contains. 0 is the empty lake.
pub type SnapshotId = u64;

/// What was live at one point of the log.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {}

impl Snapshot {
    /// How far the log of `writer` is in files.
    pub fn mark(&self, _writer: WriterId) -> Option<LogMark> {
        None
    }
}
