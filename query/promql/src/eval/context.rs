//! What every operator is handed besides its input: where annotations go, how much may be held, and when to stop.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::EvalError;
use crate::annotation::Annotations;
use crate::histogram::Histogram;
use crate::value::{RawSeries, StepSeries};

/// Samples a query holds at the same time, over all its operators and threads.
#[derive(Debug)]
pub struct Budget {
    samples_max: usize,
    series_max: usize,
    now: AtomicUsize,
    peak: AtomicUsize,
    series_peak: AtomicUsize,
}

impl Budget {
    /// A budget of so many samples and, in each vector, so many series.
    pub fn new(samples_max: usize, series_max: usize) -> Self {
        let none = || AtomicUsize::new(0);
        Self { samples_max, series_max, now: none(), peak: none(), series_peak: none() }
    }

    /// Counts `samples` as held.
    ///
    /// # Errors
    /// [`EvalError::TooManySamples`]
    pub fn take(&self, samples: usize) -> Result<(), EvalError> {
        let now = self.now.fetch_add(samples, Ordering::Relaxed) + samples;
        self.peak.fetch_max(now, Ordering::Relaxed);
        if now > self.samples_max { Err(EvalError::TooManySamples) } else { Ok(()) }
    }

    /// Counts `samples` as no longer held.
    pub fn give(&self, samples: usize) {
        self.now.fetch_sub(samples, Ordering::Relaxed);
    }

    /// The most that was held at a time.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// The longest vector.
    pub fn series_peak(&self) -> usize {
        self.series_peak.load(Ordering::Relaxed)
    }

    /// Checks the length of a vector.
    ///
    /// # Errors
    /// [`EvalError::TooManySeries`]
    pub fn series(&self, count: usize) -> Result<(), EvalError> {
        self.series_peak.fetch_max(count, Ordering::Relaxed);
        if count > self.series_max { Err(EvalError::TooManySeries(self.series_max)) } else { Ok(()) }
    }
}

/// Says whether to go on: called often, so it must be cheap.
pub type Check<'a> = &'a (dyn Fn() -> Result<(), EvalError> + Sync);

/// Handed to each operator.
#[derive(Debug)]
pub struct EvalContext<'a> {
    /// What is said about the query so far.
    pub annotations: Annotations,
    /// What it holds.
    pub budget: &'a Budget,
    check: CheckHook<'a>,
}

struct CheckHook<'a>(Check<'a>);

impl std::fmt::Debug for CheckHook<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Check")
    }
}

impl<'a> EvalContext<'a> {
    /// A context. `check` is asked at least once per series and says when to stop.
    pub fn new(budget: &'a Budget, check: Check<'a>) -> Self {
        Self { annotations: Annotations::default(), budget, check: CheckHook(check) }
    }

    /// Goes on, unless time is up.
    ///
    /// # Errors
    /// What the hook says: [`EvalError::TimedOut`] or [`EvalError::Canceled`].
    pub fn tick(&self) -> Result<(), EvalError> {
        (self.check.0)()
    }
}

/// What a histogram counts as, in samples of 16 bytes: as Prometheus counts it.
pub fn weight_of_histogram(histogram: &Histogram) -> usize {
    const FIXED: usize = 136;
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    let numbers = histogram.positive_counts.len() + histogram.negative_counts.len() + histogram.custom_bounds.len();
    (FIXED + 8 * (spans + numbers) + 8) / 16
}

/// What working memory counts as that is no sample: places of steps without one, states of aggregations. So a budget of samples bounds
/// the bytes a query holds, whatever its steps, at 32 for each of them.
pub(crate) fn weight_of_bytes(bytes: usize) -> usize {
    bytes / 32
}

/// What the places of a series count as at least, be there samples or not.
pub(crate) fn weight_of_places(steps: usize) -> usize {
    weight_of_bytes(steps.saturating_mul(size_of::<f64>() + size_of::<bool>()))
}

/// What a series counts as: its samples, but no less than its places do.
pub fn weight_of_steps(series: &StepSeries) -> usize {
    let floats = series.present.iter().filter(|p| **p).count();
    let samples = floats + series.histograms.iter().flatten().flatten().map(|h| weight_of_histogram(h)).sum::<usize>();
    samples.max(weight_of_places(series.steps()))
}

/// What a series counts as.
pub fn weight_of_raw(series: &RawSeries) -> usize {
    series.floats.len() + series.histograms.iter().map(|h| weight_of_histogram(&h.histogram)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_what_is_held_at_a_time() {
        let budget = Budget::new(10, 2);
        assert_eq!(budget.take(6), Ok(()));
        budget.give(4);
        assert_eq!(budget.take(8), Ok(()));
        assert_eq!(budget.take(1), Err(EvalError::TooManySamples));
        assert_eq!(budget.peak(), 11);
        assert_eq!(budget.series(2), Ok(()));
        assert_eq!(budget.series(3), Err(EvalError::TooManySeries(2)));
    }
}
