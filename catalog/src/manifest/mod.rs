//! The manifest log: an ordered sequence of create-if-absent objects whose prefix sum is the truth.

mod apply;
mod catalog;
mod config;
mod dead;
mod entry;
mod file;
mod gc;
mod leaf;
mod pin;
mod snapshot;

pub use catalog::Catalog;
pub use config::CatalogConfig;
pub use dead::DeadFile;
pub use entry::{LogMark, Operation, WriterId};
pub use file::{FileEntry, FileId, IndexSection, Level};
pub use gc::{Expired, OrphanRule};
pub use leaf::Leaf;
pub use pin::PinnedSnapshot;
pub use snapshot::{DeletePredicate, Snapshot, SnapshotId};
