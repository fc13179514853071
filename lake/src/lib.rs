//! Bytes on the store: Parquet files of every table, their index sections, caches, compaction and gc. No DataFusion.
//!
//! ```text
//! rows (Arrow) ──write──► data/{tenant}/{table}/{day}/{slice}/L0-{id}.parquet ──FileEntry──► catalog commit
//!                                        │ compact: L0 ► L1 (2 h) ► L2 (24 h)
//! snapshot ──prune──► files ──scan──► rows (Arrow)                       gc removes what no snapshot can need
//! ```
//!
//! # Invariants
//! - A file is written once under a name of its own, synced, and then named by the manifest; it is never changed.
//! - Compaction never changes an answer: same rows, same order.
//! - [`fresh::FreshRows`] is how rows that are not in files yet reach a reader; this crate knows the trait, not the buffers.

mod blank;
pub mod cache;
pub mod check;
mod coding;
pub mod compact;
pub mod config;
pub mod deletes;
pub mod dictionary;
pub mod error;
#[cfg(test)]
mod format_tests;
pub mod fresh;
pub mod gc;
pub mod index;
mod lake;
mod pages;
pub mod predicate;
mod promoted;
pub mod retention;
pub mod scan;
pub mod series;
pub mod store;
mod write;

pub use config::LakeConfig;
pub use error::{Error, Result};
pub use fresh::{FreshCapture, FreshGeneration, FreshRows, FreshVersion, NoFreshRows, Settled};
pub use lake::{BatchStream, Lake, TEXT_BATCH_ROWS};
pub use predicate::{ColumnTest, Predicate, Scalar, Test, TextTest};
pub use promoted::AttributeNames;
pub use scan::{Part, ScanMetrics, ScanSpec, UserScan};
pub use write::UserWriter;
