//! The manifest log: an ordered sequence of create-if-absent objects whose prefix sum is the truth.

mod entry;
mod file;
mod snapshot;

pub use entry::{LogMark, Operation, WriterId};
pub use file::{FileEntry, FileId, IndexSection, Level};
pub use snapshot::{Snapshot, SnapshotId};
