//! `stddev` and `stdvar`: mean and squared distances, updated sample by sample (Welford), put together by Chan's rule.

use super::{Aggregate, grow};
use crate::eval::EvalContext;
use crate::value::StepSeries;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deviation,
    Variance,
}

#[derive(Debug, Clone)]
pub(super) struct Moments {
    kind: Kind,
    count: Vec<f64>,
    mean: Vec<f64>,
    /// Sum of squared distances to the mean.
    squares: Vec<f64>,
}

impl Moments {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, count: Vec::new(), mean: Vec::new(), squares: Vec::new() }
    }

    /// Working memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.count.len() * 3 * size_of::<f64>()
    }

    fn reserve(&mut self, group: usize, steps: usize) {
        grow(&mut self.count, group, steps, 0.0);
        grow(&mut self.mean, group, steps, 0.0);
        grow(&mut self.squares, group, steps, 0.0);
    }

    pub(super) fn add(&mut self, op: &Aggregate, group: usize, steps: usize, series: &StepSeries, cx: &mut EvalContext<'_>) {
        self.reserve(group, steps);
        for at in (0..steps).filter(|at| series.present[*at]) {
            let (to, sample) = (group * steps + at, series.floats[at]);
            self.count[to] += 1.0;
            if self.count[to] == 1.0 {
                self.mean[to] = sample;
                self.squares[to] = if sample.is_finite() { 0.0 } else { f64::NAN };
            } else {
                let delta = sample - self.mean[to];
                self.mean[to] += delta / self.count[to];
                self.squares[to] += delta * (sample - self.mean[to]);
            }
        }
        if series.histograms.iter().flatten().any(Option::is_some) {
            op.ignored_histogram(op.inner_span, cx);
        }
    }

    pub(super) fn merge(&mut self, other: Self, map: &[usize], steps: usize) {
        for (theirs, group) in map.iter().enumerate() {
            self.reserve(*group, steps);
            for at in 0..steps {
                let (to, from) = (group * steps + at, theirs * steps + at);
                let more = other.count.get(from).copied().unwrap_or(0.0);
                if more == 0.0 {
                    continue;
                }
                let (ours, all) = (self.count[to], self.count[to] + more);
                if ours == 0.0 {
                    (self.mean[to], self.squares[to]) = (other.mean[from], other.squares[from]);
                } else {
                    let delta = other.mean[from] - self.mean[to];
                    self.mean[to] += delta * (more / all);
                    self.squares[to] += other.squares[from] + delta * delta * (ours * (more / all));
                }
                self.count[to] = all;
            }
        }
    }

    pub(super) fn finish(self, out: &mut [StepSeries]) {
        for (group, series) in out.iter_mut().enumerate() {
            let steps = series.steps();
            for at in 0..steps {
                let from = group * steps + at;
                if let Some(count) = self.count.get(from).filter(|c| **c > 0.0) {
                    let variance = self.squares[from] / count;
                    series.set_float(at, if self.kind == Kind::Variance { variance } else { variance.sqrt() });
                }
            }
        }
    }
}
