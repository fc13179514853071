//! Has a counter been reset between two histograms?

use super::sides::merged;
use super::sum::{common_bounds, rebound};
use super::{Histogram, ResetHint, Side, exponential_bound};

impl Histogram {
    /// Whether the counter was reset between `previous` and this one: any count fell, or the layout changed in a way that a running
    /// counter never does. The hint decides where it says something.
    pub fn is_reset_after(&self, previous: &Self) -> bool {
        match self.reset_hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count || self.is_custom() != previous.is_custom() {
            return true;
        }
        if self.is_custom() {
            return self.custom_fell(previous);
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (zero_before, threshold) = previous.zero_count_at(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_before {
            return true;
        }
        let by = (previous.schema - self.schema).unsigned_abs();
        let outside = |side: Side| {
            let kept = side.0.into_iter().filter(|(index, _)| exponential_bound(*index, self.schema) > self.zero_threshold);
            Side(kept.collect())
        };
        fell(&self.positive(), &outside(previous.positive().reduced(by)))
            || fell(&self.negative(), &outside(previous.negative().reduced(by)))
    }

    fn custom_fell(&self, previous: &Self) -> bool {
        if self.custom_bounds == previous.custom_bounds {
            return fell(&self.positive(), &previous.positive());
        }
        let common = common_bounds(&self.custom_bounds, &previous.custom_bounds);
        let at_common = |h: &Self| Side(merged(rebound(&h.positive().0, &h.custom_bounds, &common), |a: &mut f64, b| *a += b));
        fell(&at_common(self), &at_common(previous))
    }
}

/// Whether any bucket counts less than before.
fn fell(now: &Side, before: &Side) -> bool {
    before.0.iter().any(|(index, count)| now.count(*index) < *count)
}
