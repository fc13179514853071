//! `count_values`: how often each value occurs. The value becomes a label, so a series is of many groups.

use std::collections::{BTreeMap, HashMap};

use super::{Aggregate, Blank};
use crate::eval::EvalError;
use crate::labels::Labels;
use crate::print::decimal;
use crate::value::{Sample, StepSeries};

#[derive(Debug, Clone, Default)]
pub(super) struct CountValues {
    /// Counts at each step by the labels of the result, in the order in which they came first.
    groups: HashMap<Labels, usize>,
    counts: Vec<(Labels, Counts)>,
    /// How many counts that are.
    kept: usize,
}

/// By step, those that are not 0: a value that changes occurs at few steps.
type Counts = BTreeMap<usize, u32>;

impl CountValues {
    /// Working memory, about.
    pub(super) fn bytes(&self) -> usize {
        const LABELS_AND_MAP: usize = 128;
        self.counts.len() * LABELS_AND_MAP + self.kept * 2 * size_of::<(usize, u32)>()
    }

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
                    let group = self.group(result_labels(op, &series.labels, label, &text));
                    by_value.insert(text, group);
                    group
                }
            };
            self.count(group, at, 1);
        }
    }

    fn count(&mut self, group: usize, step: usize, more: u32) {
        let kept = &mut self.kept;
        *self.counts[group].1.entry(step).or_insert_with(|| {
            *kept += 1;
            0
        }) += more;
    }

    fn group(&mut self, labels: Labels) -> usize {
        *self.groups.entry(labels).or_insert_with_key(|labels| {
            self.counts.push((labels.clone(), Counts::new()));
            self.counts.len() - 1
        })
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (labels, counts) in other.counts {
            let group = self.group(labels);
            counts.into_iter().for_each(|(step, count)| self.count(group, step, count));
        }
    }

    pub(super) fn finish(self, blank: &mut Blank<'_, '_>) -> Result<Vec<StepSeries>, EvalError> {
        let mut out = Vec::with_capacity(self.counts.len());
        for (labels, counts) in self.counts {
            let mut series = blank.series(labels, false)?;
            counts.into_iter().for_each(|(step, count)| series.set_float(step, f64::from(count)));
            out.push(series);
        }
        Ok(out)
    }
}

/// The value's label is one of those grouped by; `without` may take it out again.
fn result_labels(op: &Aggregate, labels: &Labels, label: &str, value: &str) -> Labels {
    let labelled = labels.with(label, value);
    if op.without { op.key(&labelled) } else { labelled.without(|name| name != label && !op.in_grouping(name)) }
}
