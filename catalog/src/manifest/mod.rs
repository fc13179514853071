//! The manifest: a log of create-if-absent objects whose prefix sum is the truth about which files exist.
//!
//! ```text
//! catalog/0/log/{seq}         one object per commit ── apply ──► Snapshot N ── apply ──► Snapshot N+1 ...
//!                             id, prev, time, operations            │ checkpoint
//! catalog/0/checkpoint/{seq}  root: marks, predicates, parts  ◄─────┘
//! catalog/0/leaf/{uuid}       parts: the files of one tenant, table and day (Parquet); dead files
//! catalog/0/boundary          a hint where the log begins
//! ```
//!
//! Where to read on: what a commit may say is [`Operation`], what it does to a snapshot and when it is refused `apply`, how it gets
//! its slot `committer` and `log`, how a start finds the newest state `catalog` and `checkpoint`, what may be deleted `gc`.
//!
//! # Invariants
//! - **One winner per slot.** Entry `n` is created only if absent. Whether we won is decided by the commit id in the slot, never by
//!   the answer to the request: an answer can be lost, and a store reports our own repeated request as "exists already".
//! - **One history.** Each entry names the commit before it. Entries are deleted in ascending order, behind the boundary, and never
//!   the newest; so an entry is genuine if its predecessor was still there after it was read or created. Whoever
//!   slept through a cleaning finds its predecessor gone, gets [`crate::Error::Fenced`] and loads the state anew.
//! - **Same code for all.** The committer and every reader run the same `Snapshot::apply`, so they cannot disagree.
//! - **Refused means refused.** [`Catalog::commit`] fails with a refusal only after looking at the newest log; with
//!   [`crate::Error::InDoubt`] the edit may take effect, at most once.
//! - **Only gets and creates count.** A listing that is late or partial costs time, never truth.
//! - **Checkpoints are a cache.** A broken one is made up for by the one before and the log; the last two always stay.
//! - **A commit costs what it changes**: snapshots share everything that an entry did not touch.

mod access;
mod apply;
mod audit;
mod catalog;
mod checkpoint;
mod codec;
mod committer;
mod config;
mod dead;
mod deletes;
mod entry;
mod file;
mod gc;
mod history;
mod layout;
mod leaf;
mod leaf_file;
mod log;
mod pin;
mod probe;
mod snapshot;
mod users;

#[cfg(test)]
mod delete_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use audit::Audit;
pub use catalog::Catalog;
pub use codec::{LogEntry, decode_log_entry, encode_log_entry};
pub use config::CatalogConfig;
pub use dead::DeadFile;
pub use deletes::DeletePredicate;
pub use entry::{LogMark, Operation, WriterId};
pub use file::{FileEntry, FileId, IndexSection, Level};
pub use gc::{Expired, OrphanRule};
pub use leaf::Leaf;
pub use pin::PinnedSnapshot;
pub use snapshot::{Snapshot, SnapshotId};
pub use users::TableChange;
