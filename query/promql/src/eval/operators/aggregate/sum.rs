//! `sum` and `avg`: compensated sums of floats, and of histograms beside them. A step of a group that has both kinds has no result.
//!
//! A mean is sum over count as long as the sum is finite, else it is updated sample by sample: then it stays finite for inputs whose sum
//! does not.

use super::histogram_sum::Fold;
use super::{Aggregate, grow};
use crate::annotation::texts;
use crate::eval::EvalContext;
use crate::functions::kahan;
use crate::histogram::Histogram;
use crate::value::StepSeries;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sum,
    Mean,
}

/// A float was seen.
const FLOAT: u8 = 1;
/// A histogram was seen.
const HISTOGRAM: u8 = 2;
/// Histograms do not fit together: nothing more is looked at.
const INCOMPATIBLE: u8 = 4;
/// The sum would be infinite: `value` is a mean.
const INCREMENTAL: u8 = 8;

#[derive(Debug, Clone)]
pub(super) struct Sum {
    kind: Kind,
    value: Vec<f64>,
    compensation: Vec<f64>,
    flags: Vec<u8>,
    /// Samples of either kind; of means only.
    count: Vec<f64>,
    /// Empty until the first histogram comes.
    histograms: Vec<Option<Box<Fold>>>,
    /// Of those.
    fold_bytes: usize,
}

impl Sum {
    pub(super) fn new(kind: Kind) -> Self {
        let (value, compensation, count) = (Vec::new(), Vec::new(), Vec::new());
        Self { kind, value, compensation, flags: Vec::new(), count, histograms: Vec::new(), fold_bytes: 0 }
    }

    /// Working memory, about.
    pub(super) fn bytes(&self) -> usize {
        let floats = 2 * self.value.len() + self.count.len();
        floats * size_of::<f64>() + self.flags.len() + self.histograms.len() * size_of::<usize>() + self.fold_bytes
    }

    fn reserve(&mut self, group: usize, steps: usize) {
        grow(&mut self.value, group, steps, 0.0);
        grow(&mut self.compensation, group, steps, 0.0);
        grow(&mut self.flags, group, steps, 0);
        if self.kind == Kind::Mean {
            grow(&mut self.count, group, steps, 0.0);
        }
    }

    pub(super) fn add(&mut self, op: &Aggregate, group: usize, steps: usize, series: &StepSeries, cx: &mut EvalContext<'_>) {
        self.reserve(group, steps);
        let start = group * steps;
        match self.kind {
            Kind::Sum => {
                for at in (0..steps).filter(|at| series.present[*at]) {
                    self.add_float(start + at, series.floats[at]);
                }
            }
            Kind::Mean => {
                for at in (0..steps).filter(|at| series.present[*at]) {
                    self.mean_float(start + at, series.floats[at]);
                }
            }
        }
        for (at, histogram) in series.histograms.iter().flatten().enumerate() {
            if let Some(histogram) = histogram {
                grow(&mut self.histograms, group, steps, None);
                self.add_histogram(op, start + at, histogram, series.labels.metric(), cx);
            }
        }
    }

    fn add_float(&mut self, at: usize, sample: f64) {
        match self.flags[at] {
            0 => self.value[at] = sample,
            flags if flags & INCOMPATIBLE != 0 => return,
            _ => (self.value[at], self.compensation[at]) = kahan(sample, self.value[at], self.compensation[at]),
        }
        self.flags[at] |= FLOAT;
    }

    fn mean_float(&mut self, at: usize, sample: f64) {
        let flags = self.flags[at];
        if flags & INCOMPATIBLE != 0 {
            return;
        }
        self.flags[at] |= FLOAT;
        self.count[at] += 1.0;
        let count = self.count[at];
        if flags == 0 {
            self.value[at] = sample;
            return;
        }
        if flags & INCREMENTAL == 0 {
            let (sum, compensation) = kahan(sample, self.value[at], self.compensation[at]);
            if !sum.is_infinite() {
                (self.value[at], self.compensation[at]) = (sum, compensation);
                return;
            }
            self.become_mean(at, count - 1.0);
        }
        let q = (count - 1.0) / count;
        (self.value[at], self.compensation[at]) = kahan(sample / count, q * self.value[at], q * self.compensation[at]);
    }

    /// From a sum of `count` samples to their mean.
    fn become_mean(&mut self, at: usize, count: f64) {
        self.flags[at] |= INCREMENTAL;
        self.value[at] /= count;
        self.compensation[at] /= count;
    }

    fn add_histogram(&mut self, op: &Aggregate, at: usize, histogram: &Histogram, metric: &str, cx: &mut EvalContext<'_>) {
        let flags = self.flags[at];
        if flags & INCOMPATIBLE != 0 {
            return;
        }
        self.flags[at] |= HISTOGRAM;
        let count = self.count.get_mut(at).map_or(0.0, |count| {
            *count += 1.0;
            *count
        });
        match &mut self.histograms[at] {
            // Floats came first: there will be no result.
            None if flags != 0 => {}
            None => {
                let fold = Fold::new(histogram);
                self.fold_bytes += fold.bytes();
                self.histograms[at] = Some(Box::new(fold));
            }
            Some(sum) => {
                let before = sum.bytes();
                let fits = match self.kind {
                    Kind::Sum => sum.add(op, histogram, metric, cx),
                    Kind::Mean => sum.add_to_mean(op, histogram, count, metric, cx),
                };
                self.fold_bytes += sum.bytes().saturating_sub(before);
                if !fits {
                    self.flags[at] |= INCOMPATIBLE;
                }
            }
        }
    }

    pub(super) fn merge(&mut self, op: &Aggregate, mut other: Self, map: &[usize], steps: usize, cx: &mut EvalContext<'_>) {
        for (theirs, group) in map.iter().enumerate() {
            self.reserve(*group, steps);
            for at in 0..steps {
                let (to, from) = (group * steps + at, theirs * steps + at);
                if other.flags.get(from).is_none_or(|f| *f == 0) {
                    continue;
                }
                let flags = self.flags[to];
                if (flags | other.flags[from]) & INCOMPATIBLE != 0 {
                    self.flags[to] |= other.flags[from];
                    continue;
                }
                let (ours, more) = (self.count.get(to).copied().unwrap_or(0.0), other.count.get(from).copied().unwrap_or(0.0));
                if other.flags[from] & FLOAT != 0 {
                    self.merge_floats(to, ours, &mut other, from, more);
                }
                let histogram = other.histograms.get_mut(from).and_then(Option::take);
                if let Some(count) = self.count.get_mut(to) {
                    *count = ours + more;
                }
                self.flags[to] |= other.flags[from];
                if let Some(histogram) = histogram {
                    self.merge_histogram(op, *group, steps, to, flags, *histogram, (ours, more), cx);
                }
            }
        }
    }

    fn merge_floats(&mut self, to: usize, ours: f64, other: &mut Self, from: usize, more: f64) {
        if self.flags[to] & FLOAT == 0 {
            (self.value[to], self.compensation[to]) = (other.value[from], other.compensation[from]);
            return;
        }
        let incremental = |flags: u8| flags & INCREMENTAL != 0;
        if !incremental(self.flags[to]) && !incremental(other.flags[from]) {
            let (sum, compensation) = kahan(other.value[from], self.value[to], self.compensation[to]);
            let (sum, compensation) = kahan(other.compensation[from], sum, compensation);
            if self.kind == Kind::Sum || !sum.is_infinite() {
                (self.value[to], self.compensation[to]) = (sum, compensation);
                return;
            }
        }
        if !incremental(self.flags[to]) {
            self.become_mean(to, ours);
        }
        if !incremental(other.flags[from]) {
            other.become_mean(from, more);
        }
        let (q, p) = (ours / (ours + more), more / (ours + more));
        let compensation = q * self.compensation[to] + p * other.compensation[from];
        (self.value[to], self.compensation[to]) = kahan(p * other.value[from], q * self.value[to], compensation);
    }

    #[allow(clippy::too_many_arguments)]
    fn merge_histogram(
        &mut self,
        op: &Aggregate,
        group: usize,
        steps: usize,
        to: usize,
        flags: u8,
        other: Fold,
        counts: (f64, f64),
        cx: &mut EvalContext<'_>,
    ) {
        grow(&mut self.histograms, group, steps, None);
        match &mut self.histograms[to] {
            None if flags != 0 => {}
            None => {
                self.fold_bytes += other.bytes();
                self.histograms[to] = Some(Box::new(other));
            }
            Some(sum) => {
                let before = sum.bytes();
                let fits = match self.kind {
                    Kind::Sum => sum.merge(op, other, cx),
                    Kind::Mean => sum.merge_means(op, other, counts, cx),
                };
                self.fold_bytes += sum.bytes().saturating_sub(before);
                if !fits {
                    self.flags[to] |= INCOMPATIBLE;
                }
            }
        }
    }

    pub(super) fn finish(mut self, op: &Aggregate, out: &mut [StepSeries], cx: &mut EvalContext<'_>) {
        for (group, series) in out.iter_mut().enumerate() {
            let steps = series.steps();
            for at in 0..steps {
                let from = group * steps + at;
                match self.flags.get(from).copied().unwrap_or(0) {
                    0 => {}
                    flags if flags & FLOAT != 0 && flags & HISTOGRAM != 0 => {
                        cx.annotations.put(texts::mixed_kinds_in_group(op.inner_span));
                    }
                    flags if flags & INCOMPATIBLE != 0 => {}
                    flags if flags & HISTOGRAM != 0 => {
                        let Some(sum) = self.histograms.get_mut(from).and_then(Option::take) else { continue };
                        let count = self.count.get(from).copied();
                        series.set_histogram(at, std::sync::Arc::new(sum.finish(op, count, cx)));
                    }
                    flags => series.set_float(at, self.float(from, flags)),
                }
            }
        }
    }

    fn float(&self, at: usize, flags: u8) -> f64 {
        let (value, compensation) = (self.value[at], self.compensation[at]);
        match self.kind {
            Kind::Mean if flags & INCREMENTAL == 0 => value / self.count[at] + compensation / self.count[at],
            Kind::Mean | Kind::Sum => value + compensation,
        }
    }
}
