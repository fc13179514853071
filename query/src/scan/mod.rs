//! Reading the lake for SQL.
//!
//! ```text
//! TableProvider::scan(projection, filters, limit)
//!   filters ──filter──► predicate, time range, dictionary filters ──lookup──► ids
//!   snapshot files ──prune (manifest only)──► files ──layout──► partitions ──► LakeScanExec
//! LakeScanExec::execute: lake scan | fresh rows ──► window, ids ──► dedup ──► present ──► SQL rows
//! ```
//!
//! # Which rows are one row
//! Samples and histograms with equal `(sid, ts)` are one; dictionary rows (`series`, `streams`, `resources`, `metadata`) with equal
//! id and day are one. Of samples the one written last counts: fresh rows over files, lower levels over higher, newer files
//! over older. Only where the times of units overlap, and their ids may, is anything remembered: see [`dedup`].
//! Logs, spans and exemplars are never merged.

pub(crate) mod dedup;
pub(crate) mod deletes;
mod exec;
pub(crate) mod filter;
pub(crate) mod layout;
pub(crate) mod lookup;
mod present;
mod provider;
mod texts;

pub use exec::LakeScanExec;
pub(crate) use provider::LakeTable;
