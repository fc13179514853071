//! `quantile`: all floats of a group and step, until it is finished.

use super::{Aggregate, grow};
use crate::eval::EvalContext;
use crate::functions::quantile;
use crate::value::StepSeries;

#[derive(Debug, Clone)]
pub(super) struct Quantile {
    params: Vec<f64>,
    values: Vec<Vec<f64>>,
    /// How many, over all groups and steps.
    count: usize,
}

impl Quantile {
    pub(super) fn new(params: &[f64]) -> Self {
        Self { params: params.to_vec(), values: Vec::new(), count: 0 }
    }

    /// Working memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.values.len() * size_of::<Vec<f64>>() + self.count * size_of::<f64>()
    }

    pub(super) fn add(&mut self, op: &Aggregate, group: usize, steps: usize, series: &StepSeries, cx: &mut EvalContext<'_>) {
        grow(&mut self.values, group, steps, Vec::new());
        for at in (0..steps).filter(|at| series.present[*at]) {
            self.values[group * steps + at].push(series.floats[at]);
            self.count += 1;
        }
        if series.histograms.iter().flatten().any(Option::is_some) {
            op.ignored_histogram(op.inner_span, cx);
        }
    }

    pub(super) fn merge(&mut self, mut other: Self, map: &[usize], steps: usize) {
        self.count += other.count;
        for (theirs, group) in map.iter().enumerate() {
            grow(&mut self.values, *group, steps, Vec::new());
            for at in 0..steps {
                if let Some(values) = other.values.get_mut(theirs * steps + at) {
                    self.values[group * steps + at].append(values);
                }
            }
        }
    }

    pub(super) fn finish(mut self, out: &mut [StepSeries]) {
        for (group, series) in out.iter_mut().enumerate() {
            let steps = series.steps();
            for at in 0..steps {
                if let Some(values) = self.values.get_mut(group * steps + at).filter(|v| !v.is_empty()) {
                    series.set_float(at, quantile(self.params[at], values));
                }
            }
        }
    }
}
