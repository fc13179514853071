//! One committed version of the manifest, in memory.

/// The sequence number of the newest log entry that a snapshot contains. 0 is the empty lake.
pub type SnapshotId = u64;

/// What was live at one point of the log.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {}
