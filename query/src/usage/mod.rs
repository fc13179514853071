//! The query log: who asked what, and what it cost.
//!
//! ```text
//! request ─► Asking ─ scope of the request's task ─► engines, views: text, time, rows, files, bytes ─┐
//!              └ ended, or dropped: nobody waits any more                                            ▼
//!                                 queue, bounded; full: the row is dropped and counted ◄──────────  Row
//!                                   └─► the root package writes rows of `Table::QueryLog` like any others: log, buffer, files
//! ```
//! Whoever receives a query begins an [`Asking`] and ends it; what lies between notes what it knows with [`note()`], which finds the row in the
//! task's scope as `tracing` finds its span. [`crate::run`] takes the scope along to the threads of queries.
//!
//! # Invariants
//! - One query, one row, whatever comes of it; a query that nobody saw the end of is `cancelled`.
//! - Nothing here waits, does I/O or asks a query: the log costs a query some microseconds, and reading the log is one more query.
//! - Every text of a row is bounded, and so is the queue.

mod caller;
mod log;
mod note;
mod row;
mod table;

pub use caller::{Caller, Origin};
pub use log::{Asking, QueryLog, QueuedRows};
pub(crate) use note::{Meter, meter};
pub use note::{Notes, current, note, scope, scoped};
pub use row::{Cache, Language, Outcome, Row};
pub use table::batch;
