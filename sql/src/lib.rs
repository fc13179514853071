//! SQL for people and programs: one read-only statement at a time, over HTTP and for the command line.
//!
//! ```text
//! text ──statement──► one allowed statement ──plan──► verified plan ──► stream of batches ──edge──► plain types ──format──► bytes
//!          │ admission (permits per tenant, queue)      │ limits: time, rows, bytes, memory, files
//! ```
//! Queries run on a tokio runtime of their own, so that their CPU work does not starve the rest of the node.
//!
//! # Invariants
//! - No plan can write: only queries, EXPLAIN, SHOW and DESCRIBE are planned, and every plan is verified before it runs. What can be changed are
//!   tables that users made (`user_tables`): by ingestion over Flight, and by exactly `DROP TABLE user.name`.
//! - A query ends when its client goes away, its deadline passes or somebody cancels it; permits and memory go with it.
//! - Answers hold no Arrow views or dictionaries: clients get the plain types.
//! - Errors name the statement or the limit, never an object path or the inside of a bug.

pub mod config;
pub mod edge;
pub mod engine;
pub mod error;
pub mod flight;
pub mod format;
pub mod http;
mod nested;
pub mod params;
mod plan;
pub mod postgres;
mod running;
pub mod statement;
mod user_tables;

pub use config::SqlConfig;
pub use edge::Times;
pub use engine::{Access, QueryStats, QueryStream, SqlEngine, SqlRequest};
pub use error::{Error, Result};
pub use plan::Described;
pub use user_tables::DropTable;
