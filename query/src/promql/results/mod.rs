//! Answers to range queries that are kept: a later query takes the steps that are the same and evaluates the rest.
//!
//! ```text
//! kept       |--------- still the same ---------|~~~ rows came in ~~~|
//! asked for        [ head? ][ taken ............][ tail: evaluated ..........]
//!                            ▲ steps whose windows hold no row that changed since    [steps]
//! ```
//! # Invariants
//! - An answer never depends on what is kept. A step is taken only if nothing that it reads changed ([`crate::version`]), if it does not
//!   depend on other steps ([`promql::eval::Steady`]), and if its floats would be added up in the same order again
//!   ([`super::samples::Layout`]). Answers with annotations are given again as a whole or not at all, since nobody knows which step they
//!   speak of; those made of native histograms are not kept, since what is known of their resets depends on what was read before them.
//! - A query that would be refused is refused. Its series are looked up in any case; samples are added up over the parts an answer was
//!   made of, so that what is counted is never less than what the whole query would hold. Beyond the limit, and after any error of a
//!   part, the whole is evaluated and has the last word. Limits on time, memory, files and bytes are about the work that is done, and
//!   less of it is done here.
//! - Each tenant's answers are its own, bounded together by `promql.result_cache_bytes`.

mod extent;
mod steps;

use std::sync::Arc;

use catalog::TenantId;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use promql::value::Grid;

pub(super) use extent::{Cost, Extent, Piece, Series, join};
pub(super) use steps::{Run, aligned, unchanged};

/// No single answer takes more than this part of the cache.
const SHARE: u64 = 8;

/// What an answer is the answer to, but for its times.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tenant: TenantId,
    /// In the canonical form, which says everything that matters.
    pub(super) expr: String,
    pub(super) step_ms: i64,
    /// The start modulo the step: steps of other phases are other steps.
    pub(super) phase_ms: i64,
    pub(super) lookback_ms: i64,
}

impl Key {
    pub(super) fn new(tenant: &TenantId, expr: String, grid: Grid, lookback_ms: i64) -> Self {
        let phase_ms = grid.start_ms.rem_euclid(grid.step_ms);
        Self { tenant: tenant.clone(), expr, step_ms: grid.step_ms, phase_ms, lookback_ms }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct ResultCache {
    kept: Cache<Key, Arc<Extent>>,
    bytes: u64,
}

impl ResultCache {
    /// Keeps up to `bytes`; 0: nothing.
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |key: &Key, extent: &Arc<Extent>| u32::try_from(extent.bytes() + key.expr.len() + 256).unwrap_or(u32::MAX);
        // What nobody asks for any more has to go, however often it was asked for: dashboards are closed.
        let kept = Cache::builder().name("promql_results").max_capacity(bytes).weigher(weigh);
        Self { kept: kept.eviction_policy(EvictionPolicy::lru()).build(), bytes }
    }

    /// Whether anything is kept.
    pub(super) const fn is_on(&self) -> bool {
        self.bytes > 0
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Extent>> {
        self.kept.get(key)
    }

    /// Keeps `extent` in place of what was kept of the same query.
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
    pub(super) fn keep(&self, key: Key, extent: Extent) {
        if extent.bytes() as u64 > self.bytes / SHARE {
            return;
        }
        self.kept.insert(key, Arc::new(extent));
        self.kept.run_pending_tasks();
        metrics::gauge!("telelake_promql_result_cache_bytes").set(self.kept.weighted_size() as f64);
    }

    /// Counts a query that took steps, or found none to take.
    pub(super) fn count(hit: bool) {
        if hit {
            metrics::counter!("telelake_promql_result_cache_hits_total").increment(1);
        } else {
            metrics::counter!("telelake_promql_result_cache_misses_total").increment(1);
        }
    }
}
