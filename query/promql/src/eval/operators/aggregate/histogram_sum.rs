//! Sums and means of the histograms of one group and step.

use super::Aggregate;
use crate::annotation::texts;
use crate::eval::EvalContext;
use crate::histogram::{Histogram, HistogramSum, Incompatible, Notes, ResetHint};

/// What is known after some histograms.
#[derive(Debug, Clone)]
pub(super) struct Fold {
    sum: HistogramSum,
    /// Whether `sum` is a mean, since the sum would have been infinite.
    is_mean: bool,
    reset_seen: bool,
    not_reset_seen: bool,
}

impl Fold {
    pub(super) fn new(first: &Histogram) -> Self {
        let mut fold = Self { sum: HistogramSum::new(first), is_mean: false, reset_seen: false, not_reset_seen: false };
        fold.see(first);
        fold
    }

    /// Memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() - size_of::<HistogramSum>() + self.sum.bytes()
    }

    fn see(&mut self, histogram: &Histogram) {
        self.reset_seen |= histogram.reset_hint == ResetHint::Reset;
        self.not_reset_seen |= histogram.reset_hint == ResetHint::NotReset;
    }

    /// Takes one more. Says whether it fits; if not, that is said to the user too.
    pub(super) fn add(&mut self, op: &Aggregate, histogram: &Histogram, metric: &str, cx: &mut EvalContext<'_>) -> bool {
        self.see(histogram);
        noted(self.sum.add(histogram), op, metric, cx)
    }

    /// As [`Fold::add`], for a mean of which this is sample number `count`.
    pub(super) fn add_to_mean(
        &mut self,
        op: &Aggregate,
        histogram: &Histogram,
        count: f64,
        metric: &str,
        cx: &mut EvalContext<'_>,
    ) -> bool {
        self.see(histogram);
        if !self.is_mean {
            let before = self.sum.clone();
            if !noted(self.sum.add(histogram), op, metric, cx) {
                return false;
            }
            if !self.sum.is_infinite() {
                return true;
            }
            self.sum = before;
            self.become_mean(count - 1.0);
        }
        let q = (count - 1.0) / count;
        self.sum.scale(|number| number * q);
        noted(self.sum.add(&histogram.div(count)), op, metric, cx)
    }

    fn become_mean(&mut self, count: f64) {
        self.is_mean = true;
        self.sum.scale(|number| number / count);
    }

    /// Takes what another part of the input gave.
    pub(super) fn merge(&mut self, op: &Aggregate, other: Self, cx: &mut EvalContext<'_>) -> bool {
        self.reset_seen |= other.reset_seen;
        self.not_reset_seen |= other.not_reset_seen;
        noted(self.sum.add(&other.sum.value()), op, "", cx)
    }

    /// As [`Fold::merge`], for means of so many samples.
    pub(super) fn merge_means(
        &mut self,
        op: &Aggregate,
        mut other: Self,
        (ours, theirs): (f64, f64),
        cx: &mut EvalContext<'_>,
    ) -> bool {
        if !self.is_mean && !other.is_mean {
            let before = self.clone();
            let fits = self.merge(op, other.clone(), cx);
            if !fits || !self.sum.is_infinite() {
                return fits;
            }
            *self = before;
        }
        if !self.is_mean {
            self.become_mean(ours);
        }
        if !other.is_mean {
            other.become_mean(theirs);
        }
        let all = ours + theirs;
        self.sum.scale(|number| number * (ours / all));
        other.sum.scale(|number| number * (theirs / all));
        self.merge(op, other, cx)
    }

    /// The sum, or the mean of `count` samples.
    pub(super) fn finish(mut self, op: &Aggregate, count: Option<f64>, cx: &mut EvalContext<'_>) -> Histogram {
        if self.reset_seen && self.not_reset_seen {
            cx.annotations.put(texts::reset_collision(op.inner_span, texts::AGGREGATION));
        }
        if let Some(count) = count.filter(|_| !self.is_mean) {
            self.sum.scale(|number| number / count);
        }
        self.sum.value().compact()
    }
}

/// Says what there is to say of a sum, and whether there is one.
fn noted(result: Result<Notes, Incompatible>, op: &Aggregate, metric: &str, cx: &mut EvalContext<'_>) -> bool {
    match result {
        Ok(notes) => {
            if notes.bounds_reconciled {
                cx.annotations.put(texts::bounds_reconciled(op.inner_span, texts::AGGREGATION));
            }
            true
        }
        Err(Incompatible) => {
            cx.annotations.put(texts::mixed_layouts(op.inner_span, metric));
            false
        }
    }
}
