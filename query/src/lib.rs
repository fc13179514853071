//! The languages and operators of the lake, on DataFusion.
//!
//! ```text
//! SQL text ──► Session (one view, one tenant, one memory pool) ──► plan ──► LakeScanExec ... ──► record batches
//!                 └ snapshot pinned after fresh rows were captured
//! ```
//!
//! # Invariants
//! - A query sees one snapshot and the fresh rows that are not in it; a row is never seen twice, an acknowledged one never missed.
//! - A session knows its tenant's tables and nothing else: no files, no URLs, no other catalog, no way to write.
//! - Filters that a scan uses to skip are tested again on the rows, but for filters on a dictionary alone, which are exact.
//! - Every limit that is hit is an error with the limit's name.

pub mod admission;
mod arguments;
mod bounds;
mod budget;
mod busy;
pub mod config;
mod deletes;
pub mod engine;
pub mod error;
mod functions;
pub mod interrupt;
pub mod logql;
mod memory;
pub mod namespace;
pub mod promql;
mod run;
pub mod scan;
mod stores;
mod system;
mod tables;
pub mod threads;
pub mod traceql;
pub mod usage;
mod users;
mod version;
pub mod view;

pub use bounds::bound_batches;
pub use config::{QueryConfig, QueryLimits};
pub use deletes::DeleteSelectors;
pub use engine::{Engine, Session};
pub use error::{Error, Result};
pub use functions::json_as_text;
pub use interrupt::StopFlag;
pub use namespace::SessionExtras;
pub use threads::{Threads, WorkClock};
pub use view::View;
