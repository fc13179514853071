//! Operators between series, and between series and numbers.
//!
//! Loki: `pkg/logql/evaluator.go`, `vectorBinop`, `vectorAnd`, `resultMetric`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Error, Operand};
use crate::ast::{BinaryOp, Cardinality, Grouping, Matching};
use crate::metric::arithmetic::{Computed, compare_or_compute, of_literals};
use crate::metric::labels::Labels;
use crate::metric::steps::{StepSeries, Steps};

const DUPLICATE_RIGHT: &str = "found duplicate series on the right hand-side;many-to-many matching not allowed: matching labels must be \
                               unique on one side";
const DUPLICATE_LEFT: &str = "found duplicate series on the left hand-side;many-to-many matching not allowed: matching labels must be \
                              unique on one side";
const MUST_BE_EXPLICIT: &str = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
const MUST_BE_UNIQUE: &str = "multiple matches for labels: grouping labels must ensure unique matches";

/// An operator and how it was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) op: BinaryOp,
    pub(super) returns_bool: bool,
    pub(super) matching: Option<&'a Matching>,
    /// Steps of the grid.
    pub(super) len: usize,
}

impl Operation<'_> {
    pub(super) fn apply<'a>(self, lhs: Operand<'a>, rhs: Operand<'a>) -> Result<Operand<'a>, Error> {
        let series = match (lhs, rhs) {
            (Operand::Scalar(l), Operand::Scalar(r)) => return Ok(Operand::Scalar(of_literals(self.op, l, r))),
            (Operand::Series(series), Operand::Scalar(r)) => {
                self.with_number(series.into_owned(), |value| self.merge(value, r, value))
            }
            (Operand::Scalar(l), Operand::Series(series)) => {
                self.with_number(series.into_owned(), |value| self.merge(l, value, value))
            }
            (Operand::Series(lhs), Operand::Series(rhs)) if self.op.is_set() => self.set(lhs.into_owned(), rhs.into_owned()),
            (Operand::Series(lhs), Operand::Series(rhs)) => self.matched(&lhs, &rhs)?,
        };
        Ok(Operand::Series(Cow::Owned(series)))
    }

    /// The result of two numbers, if the comparison does not leave it out; `kept` is what a comparison that holds keeps.
    fn merge(self, l: f64, r: f64, kept: f64) -> Option<f64> {
        match compare_or_compute(self.op, l, r) {
            Computed::Value(value) => Some(value),
            Computed::Holds(holds) if self.returns_bool => Some(f64::from(u8::from(holds))),
            Computed::Holds(holds) => holds.then_some(kept),
        }
    }

    fn with_number(self, mut series: Vec<StepSeries>, result: impl Fn(f64) -> Option<f64>) -> Vec<StepSeries> {
        for one in &mut series {
            for at in 0..one.steps.len() {
                if let Some(value) = one.steps.get(at) {
                    match result(value) {
                        Some(value) => one.steps.set(at, value),
                        None => one.steps.clear(at),
                    }
                }
            }
        }
        series
    }

    /// The labels by which samples of both sides find each other.
    fn signature(self, labels: &Labels) -> Labels {
        match self.matching {
            None => labels.clone(),
            Some(matching) => labels.grouped(&Grouping { without: !matching.on, labels: matching.labels.clone() }),
        }
    }

    /// At which steps there is a sample of a signature.
    fn presence(self, series: &[StepSeries]) -> BTreeMap<Labels, Steps> {
        let mut presence = BTreeMap::new();
        for one in series {
            let steps = presence.entry(self.signature(&one.labels)).or_insert_with(|| Steps::none(self.len));
            one.steps.iter().for_each(|(at, _)| steps.set(at, 1.0));
        }
        presence
    }

    fn set(self, mut lhs: Vec<StepSeries>, mut rhs: Vec<StepSeries>) -> Vec<StepSeries> {
        // what is kept of a side: samples whose signature the other side has, or has not
        let keep = |side: &mut Vec<StepSeries>, other: BTreeMap<Labels, Steps>, has: bool| {
            for one in side {
                let other = other.get(&self.signature(&one.labels));
                for at in 0..self.len {
                    if other.is_some_and(|steps| steps.has(at)) != has {
                        one.steps.clear(at);
                    }
                }
            }
        };
        match self.op {
            BinaryOp::And => keep(&mut lhs, self.presence(&rhs), true),
            BinaryOp::Unless => keep(&mut lhs, self.presence(&rhs), false),
            _ => {
                keep(&mut rhs, self.presence(&lhs), false);
                return united(lhs, rhs);
            }
        }
        lhs
    }

    /// Arithmetic and comparisons of samples that find each other.
    fn matched(self, lhs: &[StepSeries], rhs: &[StepSeries]) -> Result<Vec<StepSeries>, Error> {
        let cardinality = self.matching.map_or(Cardinality::OneToOne, |m| m.cardinality);
        let swapped = cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        let duplicate = if swapped { DUPLICATE_LEFT } else { DUPLICATE_RIGHT };
        let ones = self.ones(one).ok_or(Error::Matching(duplicate))?;
        let mut results: BTreeMap<Labels, Steps> = BTreeMap::new();
        // of a signature, at which steps it has found its match
        let mut found: BTreeMap<Labels, Steps> = BTreeMap::new();
        for sample in many {
            let signature = self.signature(&sample.labels);
            for other in ones.get(&signature).into_iter().flatten() {
                let labels = self.result_labels(&sample.labels, &other.labels);
                let key = if cardinality == Cardinality::OneToOne { &signature } else { &labels };
                if !found.contains_key(key) {
                    found.insert(key.clone(), Steps::none(self.len));
                }
                let taken = found.get_mut(key).expect("it was just put there");
                let steps = results.entry(labels.clone()).or_insert_with(|| Steps::none(self.len));
                for (at, value) in sample.steps.iter() {
                    let Some(other) = other.steps.get(at) else { continue };
                    if taken.has(at) {
                        let explicit = cardinality == Cardinality::OneToOne;
                        return Err(Error::Matching(if explicit { MUST_BE_EXPLICIT } else { MUST_BE_UNIQUE }));
                    }
                    taken.set(at, 1.0);
                    let (l, r) = if swapped { (other, value) } else { (value, other) };
                    if let Some(result) = self.merge(l, r, l) {
                        steps.set(at, result);
                    }
                }
            }
        }
        let results = results.into_iter().filter(|(_, steps)| !steps.is_empty());
        Ok(results.map(|(labels, steps)| StepSeries { labels, steps }).collect())
    }

    /// The series of the "one" side by signature; `None` when two have a sample at the same step.
    fn ones(self, series: &[StepSeries]) -> Option<BTreeMap<Labels, Vec<&StepSeries>>> {
        let mut ones: BTreeMap<Labels, Vec<&StepSeries>> = BTreeMap::new();
        for one in series {
            let others = ones.entry(self.signature(&one.labels)).or_default();
            if others.iter().any(|other| one.steps.iter().any(|(at, _)| other.steps.has(at))) {
                return None;
            }
            others.push(one);
        }
        Some(ones)
    }

    fn result_labels(self, many: &Labels, one: &Labels) -> Labels {
        let Some(matching) = self.matching else { return many.clone() };
        let kept = if matching.cardinality == Cardinality::OneToOne { self.signature(many) } else { many.clone() };
        matching.include.iter().fold(kept, |labels, name| labels.with(name, one.get(name).unwrap_or("")))
    }
}

/// Both sides; series of the same labels become one.
fn united(mut lhs: Vec<StepSeries>, rhs: Vec<StepSeries>) -> Vec<StepSeries> {
    let at: BTreeMap<Labels, usize> = lhs.iter().enumerate().map(|(at, one)| (one.labels.clone(), at)).collect();
    for one in rhs {
        match at.get(&one.labels) {
            Some(at) => one.steps.iter().for_each(|(step, value)| lhs[*at].steps.set(step, value)),
            None => lhs.push(one),
        }
    }
    lhs
}
