//! The way in: wire bytes become record batches, batches go to the write-ahead log, and from the buffer into files.
//!
//! ```text
//! receive/  bytes ─limits─► decode ─► convert/  Arrow rows ─► [sink] ─► wal/ append, group commit, sync ─► ack
//!                                                                     └► buffer/ ─ 30-60 s or full ─► flush ─► lake + commit
//! ```
//!
//! # Invariants
//! - Nothing is acknowledged before its log record is synced.
//! - A generation of the buffer is committed as a whole together with its log range: never lost, never doubled.
//! - After conversion there is only Arrow; wire formats are known in [`receive`] alone.

pub mod config;
pub mod convert;
pub mod error;
pub mod receive;
pub mod registry;
pub mod sink;
pub mod wire;

mod buffer;
mod dedup;
pub mod flush;
pub mod generator;
pub mod ingester;
pub mod settle;
pub mod wal;

pub use config::IngestConfig;
pub use error::{Error, Result};
pub use generator::{GeneratingSink, Generator};
pub use ingester::Ingester;
pub use settle::{NodeRows, follow_deletes};
pub use sink::{Append, Appended, RowSink};
