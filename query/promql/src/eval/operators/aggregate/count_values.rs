//! `count_values`: how often each value occurs. The value becomes a label, so a series is of many groups.

use std::collections::HashMap;

use super::Aggregate;
use crate::labels::Labels;
use crate::print::decimal;
use crate::value::{Sample, StepSeries};

#[derive(Debug, Clone, Default)]
pub(super) struct CountValues {
    /// Counts at each step by the labels of the result, in the order in which they came first.
    groups: HashMap<Labels, usize>,
    counts: Vec<(Labels, Vec<u32>)>,
}

impl CountValues {
    pub(super) fn add(&mut self, op: &Aggregate, series: &StepSeries) {
        let label = op.value_label.as_deref().unwrap_or_default();
        let mut by_value: HashMap<String, usize> = HashMap::new();
        for at in 0..series.steps() {
            let text = match series.sample(at) {
                None => continue,
                Some(Sample::Float(value)) => decimal(value),
                Some(Sample::Histogram(histogram)) => histogram.to_string(),
            };
            let group = match by_value.get(&text) {
                Some(group) => *group,
                None => {
                    let group = self.group(result_labels(op, &series.labels, label, &text), series.steps());
                    by_value.insert(text, group);
                    group
                }
            };
            self.counts[group].1[at] += 1;
        }
    }

    fn group(&mut self, labels: Labels, steps: usize) -> usize {
        *self.groups.entry(labels).or_insert_with_key(|labels| {
            self.counts.push((labels.clone(), vec![0; steps]));
            self.counts.len() - 1
        })
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (labels, counts) in other.counts {
            let group = self.group(labels, counts.len());
            self.counts[group].1.iter_mut().zip(counts).for_each(|(ours, theirs)| *ours += theirs);
        }
    }

    pub(super) fn finish(self, steps: usize) -> Vec<StepSeries> {
        let series = self.counts.into_iter().map(|(labels, counts)| {
            let mut series = StepSeries::empty(labels, steps);
            let there = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
            there.for_each(|(at, count)| series.set_float(at, f64::from(count)));
            series
        });
        series.collect()
    }
}

/// The value's label is one of those grouped by; `without` may take it out again.
fn result_labels(op: &Aggregate, labels: &Labels, label: &str, value: &str) -> Labels {
    let labelled = labels.with(label, value);
    if op.without { op.key(&labelled) } else { labelled.without(|name| name != label && !op.in_grouping(name)) }
}
