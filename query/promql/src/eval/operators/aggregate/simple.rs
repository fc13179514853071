//! `count`, `group`, `min`, `max`: one number per group and step.

use super::{Aggregate, grow};
use crate::eval::EvalContext;
use crate::value::StepSeries;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Count,
    Group,
    Min,
    Max,
}

#[derive(Debug, Clone)]
pub(super) struct Simple {
    kind: Kind,
    values: Vec<f64>,
    seen: Vec<bool>,
}

impl Simple {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, values: Vec::new(), seen: Vec::new() }
    }

    pub(super) fn add(&mut self, op: &Aggregate, group: usize, steps: usize, series: &StepSeries, cx: &mut EvalContext<'_>) {
        let kind = self.kind;
        let (values, seen) = self.group(group, steps);
        let column = values.iter_mut().zip(seen).zip(series.floats.iter().zip(&series.present)).filter(|(_, (_, p))| **p);
        for ((value, seen), (sample, _)) in column {
            put(kind, value, seen, *sample);
        }
        let Some(histograms) = &series.histograms else { return };
        match kind {
            Kind::Min | Kind::Max if histograms.iter().any(Option::is_some) => op.ignored_histogram(op.inner_span, cx),
            Kind::Min | Kind::Max => {}
            kind => {
                let (values, seen) = self.group(group, steps);
                let there = histograms.iter().enumerate().filter(|(_, h)| h.is_some());
                there.for_each(|(at, _)| put(kind, &mut values[at], &mut seen[at], 0.0));
            }
        }
    }

    /// Working memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.values.len() * (size_of::<f64>() + size_of::<bool>())
    }

    fn group(&mut self, group: usize, steps: usize) -> (&mut [f64], &mut [bool]) {
        grow(&mut self.values, group, steps, 0.0);
        grow(&mut self.seen, group, steps, false);
        let range = group * steps..(group + 1) * steps;
        (&mut self.values[range.clone()], &mut self.seen[range])
    }

    pub(super) fn merge(&mut self, other: Self, map: &[usize], steps: usize) {
        let kind = self.kind;
        for (theirs, group) in map.iter().enumerate() {
            let (values, seen) = self.group(*group, steps);
            for at in 0..steps {
                let from = theirs * steps + at;
                if !other.seen.get(from).copied().unwrap_or(false) {
                    continue;
                }
                match kind {
                    Kind::Count => {
                        values[at] += other.values[from];
                        seen[at] = true;
                    }
                    _ => put(kind, &mut values[at], &mut seen[at], other.values[from]),
                }
            }
        }
    }

    pub(super) fn finish(self, out: &mut [StepSeries]) {
        for (at, series) in out.iter_mut().enumerate() {
            let steps = series.steps();
            let range = at * steps..(at + 1) * steps;
            if range.end <= self.values.len() {
                series.floats.copy_from_slice(&self.values[range.clone()]);
                series.present.copy_from_slice(&self.seen[range]);
            }
        }
    }
}

/// One more sample. NaN gives way to any number.
fn put(kind: Kind, value: &mut f64, seen: &mut bool, sample: f64) {
    match kind {
        Kind::Count => *value += 1.0,
        Kind::Group => *value = 1.0,
        _ if !*seen => *value = sample,
        Kind::Min if *value > sample || value.is_nan() => *value = sample,
        Kind::Max if *value < sample || value.is_nan() => *value = sample,
        Kind::Min | Kind::Max => {}
    }
    *seen = true;
}
