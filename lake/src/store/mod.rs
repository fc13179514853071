//! Where the bytes lie: a folder, a bucket, or memory, all as [`object_store::ObjectStore`].
//!
//! ```text
//! url ──[open_store]──► s3 gs az (retrying client) │ [LocalStore] (synced files) │ memory
//!                                   ▲
//!        [CountingStore] outermost in production; [RetryStore] over [FaultStore] in simulations
//! ```
//!
//! # Invariants
//! - A put that returned `Ok` survives a power cut, on a folder too.
//! - `PutMode::Create` refuses an existing object on every store opened here; nothing needs `PutMode::Update`.
//! - What is half written is never listed and never read.

mod config;
mod counting;
mod fault;
mod local;
mod retry;

#[cfg(test)]
mod conformance;

pub use config::{StoreConfig, StoreError, open_store};
pub use counting::{CountingStore, OpCount, StoreCounts, StoreOp};
pub use fault::{FaultStore, Faults};
pub use local::{LocalStore, is_disk_full};
pub use retry::{RetryPolicy, RetryStore, is_transient};
