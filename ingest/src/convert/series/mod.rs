//! What every protocol of metrics becomes: rows of series, and what is remembered of a tenant to make them by lookups.
//!
//! ```text
//! a converter ── known by hash? [memory] ──► Arc<Series> ──► [rows] columns of one request ──► batches
//!                                                        └─► [introduced] dictionary rows that wait for the append
//! ```

pub(crate) mod exemplars;
pub(crate) mod histograms;
pub(crate) mod introduced;
pub(crate) mod memory;
pub(crate) mod rows;
