//! The vocabulary of the house and the manifest: what exists, under which name, since which snapshot.
//!
//! ```text
//! tenant ─ signal ─ table ─ partition (day, slice) ─ file          names    [`tenant`] [`table`] [`partition`]
//! log entry 1, 2, 3 ...  ──apply──►  snapshot N  ──checkpoint──►   truth    [`manifest`]
//! ```
//!
//! Nothing here reads or writes telemetry bytes; that is the `lake` crate. Time and randomness are handed in
//! ([`env::Env`]), so that a whole node can run under a fake clock and a seed.
//!
//! # Invariants
//! - A file exists if, and only if, the manifest says so; files are immutable.
//! - The tenant is part of every key, path and cache entry; a path never holds a raw tenant id.
//! - A format version newer than this build knows is refused, never guessed at.

pub mod changes;
pub mod env;
pub mod error;
pub mod labels;
pub mod manifest;
pub mod partition;
pub mod schema;
pub mod table;
pub mod tenant;
pub mod time;
pub mod user_table;

pub use changes::Changes;
pub use env::{Clock, Entropy, Env};
pub use error::{Error, ErrorKind, Result};
pub use labels::{LabelSet, SeriesId, StreamId};
pub use manifest::{Catalog, CatalogConfig, FileEntry, FileId, Level, Operation, PinnedSnapshot, Snapshot, SnapshotId};
pub use partition::Partition;
pub use table::{Signal, Table};
pub use tenant::TenantId;
pub use time::{TimeRange, Timestamp};
pub use user_table::{InvalidTableName, UserTableName};
