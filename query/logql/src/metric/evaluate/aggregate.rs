//! Aggregations that make one series of a group: `sum`, `avg`, `min`, `max`, `count`, `stddev`, `stdvar`.

use std::collections::BTreeMap;

use crate::ast::{Grouping, VectorOp};
use crate::metric::labels::Labels;
use crate::metric::steps::{StepSeries, Steps};

/// What is kept of a group at a step.
#[derive(Debug, Clone, Copy)]
struct Group {
    /// Samples; 0: nothing at this step.
    count: f64,
    /// The sum, the extreme, or the squared distances to the mean.
    value: f64,
    mean: f64,
}

impl Group {
    const EMPTY: Group = Group { count: 0.0, value: 0.0, mean: 0.0 };

    fn add(&mut self, op: VectorOp, value: f64) {
        self.count += 1.0;
        match op {
            VectorOp::Sum => self.value += value,
            VectorOp::Avg => self.mean = mean_with(self.mean, value, self.count),
            VectorOp::Max if self.count == 1.0 || self.value < value || self.value.is_nan() => self.value = value,
            VectorOp::Min if self.count == 1.0 || self.value > value || self.value.is_nan() => self.value = value,
            // the first sample has no distance, not even one that is no number
            VectorOp::Stddev | VectorOp::Stdvar if self.count == 1.0 => self.mean = value,
            VectorOp::Stddev | VectorOp::Stdvar => {
                let distance = value - self.mean;
                self.mean += distance / self.count;
                self.value += distance * (value - self.mean);
            }
            _ => {}
        }
    }

    fn finish(self, op: VectorOp) -> f64 {
        match op {
            VectorOp::Avg => self.mean,
            VectorOp::Count => self.count,
            VectorOp::Stddev => (self.value / self.count).sqrt(),
            VectorOp::Stdvar => self.value / self.count,
            _ => self.value,
        }
    }
}

/// The mean of `count` numbers of which the last is `value`, and `mean` that of the others. An infinite mean stays, unless there is a
/// number that makes it none.
fn mean_with(mean: f64, value: f64, count: f64) -> f64 {
    if mean.is_infinite() && (value.is_finite() || value == mean) { mean } else { mean + (value / count - mean / count) }
}

/// One series per set of labels that the grouping leaves, ordered by them.
pub(super) fn aggregate(op: VectorOp, series: &[StepSeries], grouping: &Grouping, len: usize) -> Vec<StepSeries> {
    let mut groups: BTreeMap<Labels, Vec<Group>> = BTreeMap::new();
    for one in series {
        let group = groups.entry(one.labels.grouped(grouping)).or_insert_with(|| vec![Group::EMPTY; len]);
        for (at, value) in one.steps.iter() {
            group[at].add(op, value);
        }
    }
    let finished = groups.into_iter().map(|(labels, group)| {
        let mut steps = Steps::none(len);
        for (at, group) in group.into_iter().enumerate().filter(|(_, group)| group.count > 0.0) {
            steps.set(at, group.finish(op));
        }
        StepSeries { labels, steps }
    });
    finished.collect()
}
