//! `limitk` and `limit_ratio`: some series of each group, whatever their values. The first k that have a sample at the step, or those
//! whose label hash lies in the wanted part of all hashes: so `limit_ratio(r)` and `limit_ratio(r - 1)` share all series out between them.

use super::grow;
use crate::labels::Labels;
use crate::value::{Sample, StepSeries};

#[derive(Debug, Clone)]
pub(super) struct Limit {
    rule: Rule,
    kept: Vec<StepSeries>,
    /// The group of each kept series.
    groups: Vec<usize>,
    /// How many each group and step has, of the first rule.
    taken: Vec<usize>,
    /// What the kept series take.
    kept_bytes: usize,
}

#[derive(Debug, Clone)]
enum Rule {
    First(Vec<usize>),
    Ratio(Vec<f64>),
}

impl Limit {
    pub(super) fn first(counts: Vec<usize>) -> Self {
        Self { rule: Rule::First(counts), kept: Vec::new(), groups: Vec::new(), taken: Vec::new(), kept_bytes: 0 }
    }

    pub(super) fn ratio(ratios: Vec<f64>) -> Self {
        Self { rule: Rule::Ratio(ratios), kept: Vec::new(), groups: Vec::new(), taken: Vec::new(), kept_bytes: 0 }
    }

    /// Working memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.taken.len() * size_of::<usize>() + self.kept_bytes
    }

    pub(super) fn add(&mut self, group: usize, steps: usize, series: &StepSeries) {
        grow(&mut self.taken, group, steps, 0);
        let mut kept = StepSeries { drop_name: series.drop_name, ..StepSeries::empty(series.labels.clone(), steps) };
        let place = place(&series.labels);
        for at in 0..steps {
            let Some(sample) = series.sample(at) else { continue };
            let keeps = match &self.rule {
                Rule::First(counts) => {
                    let taken = &mut self.taken[group * steps + at];
                    let keeps = *taken < counts[at];
                    *taken += usize::from(keeps);
                    keeps
                }
                Rule::Ratio(ratios) if ratios[at] >= 0.0 => place < ratios[at],
                Rule::Ratio(ratios) => place >= 1.0 + ratios[at],
            };
            match sample {
                _ if !keeps => {}
                Sample::Float(value) => kept.set_float(at, value),
                Sample::Histogram(histogram) => kept.set_histogram(at, histogram.clone()),
            }
        }
        if !kept.is_empty() {
            let of_histograms = if kept.histograms.is_some() { size_of::<usize>() } else { 0 };
            self.kept_bytes += steps * (size_of::<f64>() + size_of::<bool>() + of_histograms);
            self.kept.push(kept);
            self.groups.push(group);
        }
    }

    pub(super) fn merge(&mut self, other: Self, map: &[usize], steps: usize) {
        for (series, group) in other.kept.into_iter().zip(other.groups) {
            self.add(map[group], steps, &series);
        }
    }

    /// Group by group.
    pub(super) fn finish(self) -> Vec<StepSeries> {
        let mut out: Vec<(usize, StepSeries)> = self.groups.into_iter().zip(self.kept).collect();
        out.sort_by_key(|(group, _)| *group);
        out.into_iter().map(|(_, series)| series).collect()
    }
}

/// Where a series lies among all, in [0, 1]: its hash over the largest one.
fn place(labels: &Labels) -> f64 {
    labels.hash64() as f64 / u64::MAX as f64
}
