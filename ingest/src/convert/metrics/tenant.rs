//! One tenant of this converter: what is remembered of its requests, and the running totals of its delta series.

use std::sync::Arc;

use parking_lot::Mutex;

use super::delta::DeltaState;
use super::reject::Reject;
use crate::convert::series::memory::{Memory, PointKey, SWEEP_STEP};
use crate::registry::TenantSeries;
use crate::registry::swept::SweptMap;

/// One tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) memory: Memory,
    deltas: Mutex<SweptMap<PointKey, Arc<DeltaState>>>,
    series_max: usize,
}

impl Tenant {
    pub(crate) fn new(series: Arc<TenantSeries>, series_max: usize) -> Self {
        Self { memory: Memory::new(series, series_max), deltas: Mutex::new(SweptMap::new()), series_max }
    }

    /// Forgets what is idle, a few entries at a time.
    pub(crate) fn sweep(&self, minute: u32) {
        self.memory.sweep(minute);
        let idle = self.memory.series.idle_minutes();
        self.deltas.lock().sweep(SWEEP_STEP, |_, state| !state.is_idle(minute, idle));
    }

    /// The running total of a delta series.
    ///
    /// # Errors
    /// [`Reject::SeriesLimit`].
    pub(crate) fn delta(&self, key: PointKey, minute: u32) -> Result<Arc<DeltaState>, Reject> {
        let mut deltas = self.deltas.lock();
        if let Some(state) = deltas.get(&key) {
            return Ok(Arc::clone(state));
        }
        if deltas.len() >= self.series_max {
            return Err(Reject::SeriesLimit(self.series_max));
        }
        let state = DeltaState::new(minute);
        deltas.insert(key, Arc::clone(&state));
        Ok(state)
    }
}
