//! The manifest log: an ordered sequence of create-if-absent objects whose prefix sum is the truth.

mod access;
mod apply;
mod catalog;
mod checkpoint;
mod codec;
mod committer;
mod config;
mod dead;
mod entry;
mod file;
mod gc;
mod layout;
mod leaf;
mod leaf_file;
mod log;
mod pin;
mod probe;
mod snapshot;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use catalog::Catalog;
pub use codec::{LogEntry, decode_log_entry, encode_log_entry};
pub use config::CatalogConfig;
pub use dead::DeadFile;
pub use entry::{LogMark, Operation, WriterId};
pub use file::{FileEntry, FileId, IndexSection, Level};
pub use gc::{Expired, OrphanRule};
pub use leaf::Leaf;
pub use pin::PinnedSnapshot;
pub use snapshot::{DeletePredicate, Snapshot, SnapshotId};
