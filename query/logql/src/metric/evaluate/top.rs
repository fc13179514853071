//! Aggregations that keep series as they are: `topk`, `bottomk`, `sort`, `sort_desc`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::ast::Grouping;
use crate::metric::labels::Labels;
use crate::metric::steps::{StepSeries, Steps};

/// Which values come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Greatest,
    Least,
}

impl Order {
    /// NaN comes last in both orders.
    fn compare(self, a: f64, b: f64) -> Ordering {
        match (a.is_nan(), b.is_nan()) {
            (false, false) if self == Order::Greatest => b.total_cmp(&a),
            (false, false) => a.total_cmp(&b),
            (a, b) => a.cmp(&b),
        }
    }
}

/// At every step the first `k` samples of each group, in `order`; of equals those whose labels come first.
pub(super) fn top(series: &[StepSeries], k: u64, grouping: &Grouping, order: Order, len: usize) -> Vec<StepSeries> {
    let mut groups: BTreeMap<Labels, Vec<usize>> = BTreeMap::new();
    for (at, one) in series.iter().enumerate() {
        groups.entry(one.labels.grouped(grouping)).or_default().push(at);
    }
    let k = usize::try_from(k).unwrap_or(usize::MAX);
    // only what is kept has steps: there may be far more series than k
    let mut kept: BTreeMap<usize, Steps> = BTreeMap::new();
    let mut samples = Vec::new();
    for members in groups.values() {
        for step in 0..len {
            samples.clear();
            samples.extend(members.iter().filter_map(|at| series[*at].steps.get(step).map(|value| (value, *at))));
            let compare = |a: &(f64, usize), b: &(f64, usize)| {
                order.compare(a.0, b.0).then_with(|| series[a.1].labels.cmp(&series[b.1].labels))
            };
            if samples.len() > k {
                samples.select_nth_unstable_by(k, compare);
                samples.truncate(k);
            }
            for (value, at) in &samples {
                kept.entry(*at).or_insert_with(|| Steps::none(len)).set(step, *value);
            }
        }
    }
    kept.into_iter().map(|(at, steps)| StepSeries { labels: series[at].labels.clone(), steps }).collect()
}

/// By the value at the first step, which is the only one of an instant query; range queries are ordered by labels in the end.
pub(super) fn sort(mut series: Vec<StepSeries>, order: Order) -> Vec<StepSeries> {
    let value = |one: &StepSeries| one.steps.get(0).unwrap_or(f64::NAN);
    series.sort_by(|a, b| order.compare(value(a), value(b)).then_with(|| a.labels.cmp(&b.labels)));
    series
}
