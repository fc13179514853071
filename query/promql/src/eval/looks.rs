//! How many samples a query looks at, step by step: Prometheus' `totalQueryableSamplesPerStep`.
//!
//! ```text
//! x, rate(x[5m])                   what is there at the step; what lies in the window of the step
//! max_over_time(rate(x[1m])[1h:])  what lies in the window of the subquery; what its own steps look at does not count
//! x @ 10                           looked at once, counted at each step
//! ```
//! A histogram counts as so many samples as it is worth ([`super::weight_of_histogram`]). Source: `IncrementSamplesAtStep` in Prometheus
//! `promql/engine.go`, `util/stats/query_stats.go`.

use std::collections::HashMap;

use super::context::weight_of_histogram;
use super::plan::{Node, Operator, Plan};
use crate::ast::Span;
use crate::value::{RawSeries, Sample, StepSeries, is_stale};

/// When what an operator looks at counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// At its own steps, which are the query's.
    EachStep,
    /// All of it at each step of the query.
    Repeated,
}

/// Which operators of a query look at samples that count.
#[derive(Debug, Clone)]
pub struct Looks {
    steps: usize,
    of: HashMap<Span, When>,
}

impl Looks {
    /// Of the operators of a query.
    pub fn new(plan: &Plan) -> Self {
        let mut looks = Self { steps: plan.grid.len(), of: HashMap::new() };
        looks.walk(&plan.root, When::EachStep);
        looks
    }

    /// A count of nothing at each step.
    pub fn none(&self) -> Vec<u64> {
        vec![0; self.steps]
    }

    fn walk(&mut self, node: &Node, when: When) {
        let when = match &node.op {
            Operator::Subquery(_) => return,
            Operator::Repeat => When::Repeated,
            _ => when,
        };
        if matches!(node.op, Operator::InstantSelect(_) | Operator::RangeFunction(_) | Operator::Window(_)) {
            self.of.insert(node.span, when);
        }
        node.inputs.iter().for_each(|input| self.walk(input, when));
    }

    /// Adds what `node`, a function of ranges, looks at in `series` to `counts`. Nothing for another operator.
    pub fn at_windows(&self, node: &Node, series: &[RawSeries], counts: &mut [u64]) {
        let window = match &node.op {
            Operator::RangeFunction(op) => op.window,
            Operator::Window(window) => *window,
            _ => return,
        };
        let mut count = |at: usize, samples: u64| self.add(node, at, samples, counts);
        for one in series {
            let floats: Vec<i64> = live(one.times_ms.iter().zip(&one.floats).map(|(time, value)| (*time, *value)));
            let histograms: Vec<(i64, u64)> = one
                .histograms
                .iter()
                .filter(|sample| !is_stale(sample.histogram.sum))
                .map(|sample| (sample.time_ms, weight_of_histogram(&sample.histogram) as u64))
                .collect();
            for (at, time_ms) in node.grid.iter().enumerate() {
                let (after, to) = window.samples(time_ms);
                let (first_float, end_float) = (floats.partition_point(|t| *t <= after), floats.partition_point(|t| *t <= to));
                let floats = end_float.saturating_sub(first_float);
                let first = histograms.partition_point(|(t, _)| *t <= after);
                let end = histograms.partition_point(|(t, _)| *t <= to).max(first);
                count(at, floats as u64 + histograms[first..end].iter().map(|(_, weight)| weight).sum::<u64>());
            }
        }
    }

    /// Adds what `node`, a selector, found to `counts`: its own output. Nothing for another operator.
    pub fn at_newest(&self, node: &Node, found: &[StepSeries], counts: &mut [u64]) {
        if !matches!(node.op, Operator::InstantSelect(_)) {
            return;
        }
        for one in found {
            for at in 0..one.steps() {
                match one.sample(at) {
                    Some(Sample::Float(_)) => self.add(node, at, 1, counts),
                    Some(Sample::Histogram(histogram)) => self.add(node, at, weight_of_histogram(histogram) as u64, counts),
                    None => {}
                }
            }
        }
    }

    fn add(&self, node: &Node, at: usize, samples: u64, counts: &mut [u64]) {
        match self.of.get(&node.span) {
            Some(When::EachStep) => {
                if let Some(count) = counts.get_mut(at) {
                    *count += samples;
                }
            }
            Some(When::Repeated) => counts.iter_mut().for_each(|count| *count += samples),
            None => {}
        }
    }
}

fn live(samples: impl Iterator<Item = (i64, f64)>) -> Vec<i64> {
    samples.filter(|(_, value)| !is_stale(*value)).map(|(time, _)| time).collect()
}
