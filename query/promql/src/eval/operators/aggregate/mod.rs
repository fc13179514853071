//! Aggregations: many series become one per group, or the best few of each group. Steps, parameter ► steps.
//!
//! ```text
//! batch of series ─► key of each, once ─► group ─► column of states, one per step ┐
//! batch of series ─► ...                                                         ├ merge ─► finish ─► series
//!                                                                                ┘
//! ```
//! Partial states may be made in parallel over parts of the input and merged in the order of the parts; then the result is that of one
//! pass over everything, except for the last bits of sums of floats, which depend on how they are put together.
//!
//! # Invariants
//! - A group is found by the labels of a series, once per series; the inner loops know numbers of groups and steps only.
//! - Groups come out ascending by labels, whatever order their series came in.

mod count_values;
mod histogram_sum;
mod limit;
mod moments;
mod quantile;
mod simple;
mod sum;
mod top;

use std::collections::HashMap;

use super::labeling::is_label_name;
use crate::annotation::texts;
use crate::ast::{self, AggregateOp, Span};
use crate::eval::{EvalContext, EvalError, context};
use crate::labels::{Labels, NAME};
use crate::print;
use crate::value::{Grid, StepSeries};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Which.
    pub op: AggregateOp,
    /// Labels of `by` or `without`, ascending.
    pub grouping: Vec<String>,
    /// Whether it is `without`.
    pub without: bool,
    /// The label `count_values` sets.
    pub value_label: Option<String>,
    /// The whole aggregation.
    pub span: Span,
    /// What is aggregated.
    pub inner_span: Span,
    /// The parameter.
    pub param_span: Span,
}

/// The labels of groups and the numbers of them.
#[derive(Debug, Clone, Default)]
struct Groups {
    numbers: HashMap<Labels, usize>,
    labels: Vec<Labels>,
    /// Whether a series of the group has a name that goes.
    drop_name: Vec<bool>,
}

impl Groups {
    fn number(&mut self, labels: Labels, drop_name: bool) -> usize {
        let number = *self.numbers.entry(labels).or_insert_with_key(|labels| {
            self.labels.push(labels.clone());
            self.drop_name.push(false);
            self.labels.len() - 1
        });
        self.drop_name[number] |= drop_name;
        number
    }
}

/// What is known after some of the input.
#[derive(Debug, Clone)]
pub struct Partial {
    grid: Grid,
    groups: Groups,
    state: State,
    /// What the state has taken from the budget.
    held: usize,
}

#[derive(Debug, Clone)]
enum State {
    Simple(simple::Simple),
    Sum(sum::Sum),
    Moments(moments::Moments),
    Quantile(quantile::Quantile),
    CountValues(count_values::CountValues),
    Top(top::Top),
    Limit(limit::Limit),
    /// The parameter lets nothing through.
    Nothing,
}

impl Aggregate {
    /// Of a tree. `inner_span` and `param_span` are without parentheses.
    pub fn new(aggregate: &ast::Aggregate, span: Span, inner_span: Span, param_span: Option<Span>) -> Self {
        let mut grouping = aggregate.grouping.clone();
        grouping.sort();
        grouping.dedup();
        let param_span = param_span.unwrap_or_default();
        Self { op: aggregate.op, grouping, without: aggregate.without, value_label: None, span, inner_span, param_span }
    }

    /// Checks the label of `count_values`.
    ///
    /// # Errors
    /// When it is no label name.
    pub fn check(&self) -> Result<(), EvalError> {
        match &self.value_label {
            Some(label) if !is_label_name(label) => {
                Err(EvalError::failed(format!("invalid label name {}", crate::parse::quote(label))))
            }
            _ => Ok(()),
        }
    }

    /// The labels of a series' group.
    fn key(&self, labels: &Labels) -> Labels {
        if self.without {
            labels.without(|name| name == NAME || self.in_grouping(name))
        } else if self.grouping.is_empty() {
            Labels::default()
        } else {
            labels.without(|name| !self.in_grouping(name))
        }
    }

    fn in_grouping(&self, name: &str) -> bool {
        self.grouping.binary_search_by(|g| g.as_str().cmp(name)).is_ok()
    }

    /// The state before any input. `params` is the parameter at each step of `grid`.
    ///
    /// # Errors
    /// When the parameter makes no sense: NaN, beyond whole numbers.
    pub fn begin(&self, grid: Grid, params: Option<&[f64]>, cx: &mut EvalContext<'_>) -> Result<Partial, EvalError> {
        let params = params.unwrap_or_default();
        let enough = |needed: bool| {
            if needed && params.len() != grid.len() { Err(EvalError::Invalid("a parameter is missing".into())) } else { Ok(()) }
        };
        let state = match self.op {
            AggregateOp::Sum => State::Sum(sum::Sum::new(sum::Kind::Sum)),
            AggregateOp::Avg => State::Sum(sum::Sum::new(sum::Kind::Mean)),
            AggregateOp::Count => State::Simple(simple::Simple::new(simple::Kind::Count)),
            AggregateOp::Group => State::Simple(simple::Simple::new(simple::Kind::Group)),
            AggregateOp::Min => State::Simple(simple::Simple::new(simple::Kind::Min)),
            AggregateOp::Max => State::Simple(simple::Simple::new(simple::Kind::Max)),
            AggregateOp::Stddev => State::Moments(moments::Moments::new(moments::Kind::Deviation)),
            AggregateOp::Stdvar => State::Moments(moments::Moments::new(moments::Kind::Variance)),
            AggregateOp::CountValues => State::CountValues(count_values::CountValues::default()),
            AggregateOp::Quantile => {
                enough(true)?;
                self.check_quantiles(params, cx);
                State::Quantile(quantile::Quantile::new(params))
            }
            AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK => {
                enough(true)?;
                match (counts(params)?, self.op) {
                    (None, _) => State::Nothing,
                    (Some(counts), AggregateOp::LimitK) => State::Limit(limit::Limit::first(counts)),
                    (Some(counts), op) => State::Top(top::Top::new(counts, op == AggregateOp::TopK)),
                }
            }
            AggregateOp::LimitRatio => {
                enough(true)?;
                match self.ratios(params, cx)? {
                    None => State::Nothing,
                    Some(ratios) => State::Limit(limit::Limit::ratio(ratios)),
                }
            }
        };
        Ok(Partial { grid, groups: Groups::default(), state, held: 0 })
    }

    /// All at once.
    ///
    /// # Errors
    /// As [`Aggregate::begin`], [`Partial::add`] and [`Partial::finish`].
    pub fn apply(
        &self,
        grid: Grid,
        params: Option<&[f64]>,
        series: &[StepSeries],
        cx: &mut EvalContext<'_>,
    ) -> Result<Vec<StepSeries>, EvalError> {
        let mut partial = self.begin(grid, params, cx)?;
        partial.add(self, series, cx)?;
        partial.finish(self, cx)
    }

    fn check_quantiles(&self, params: &[f64], cx: &mut EvalContext<'_>) {
        let mut warn = |value: f64| {
            cx.annotations.put(texts::invalid_quantile(self.param_span, value));
        };
        if params.iter().any(|p| p.is_nan()) {
            warn(f64::NAN);
        }
        let (min, max) = extremes(params);
        if max > 1.0 {
            warn(max);
        }
        if min < 0.0 {
            warn(min);
        }
    }

    /// Ratios within [-1, 1]; `None` when all are 0.
    fn ratios(&self, params: &[f64], cx: &mut EvalContext<'_>) -> Result<Option<Vec<f64>>, EvalError> {
        if params.iter().all(|p| *p == 0.0) {
            return Ok(None);
        }
        if params.iter().any(|p| p.is_nan()) {
            return Err(EvalError::failed("Ratio value is NaN"));
        }
        let (min, max) = extremes(params);
        for (value, to) in [(max, 1.0), (min, -1.0)] {
            if value.abs() > 1.0 && value.signum() == to {
                cx.annotations.put(texts::invalid_ratio(self.param_span, value, to));
            }
        }
        Ok(Some(params.iter().map(|p| p.clamp(-1.0, 1.0)).collect()))
    }

    /// Says that histograms were left out.
    fn ignored_histogram(&self, span: Span, cx: &mut EvalContext<'_>) {
        cx.annotations.put(texts::ignored_in_aggregation(span, word(self.op)));
    }
}

/// Smallest and largest, NaN aside.
fn extremes(params: &[f64]) -> (f64, f64) {
    params.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), p| (min.min(*p), max.max(*p)))
}

/// How many are kept at each step; `None` when it is none at all steps.
fn counts(params: &[f64]) -> Result<Option<Vec<usize>>, EvalError> {
    // The largest float below 2^63.
    const LIMIT: f64 = 9_223_372_036_854_774_784.0;
    let (min, max) = extremes(params);
    if params.iter().any(|p| p.is_nan()) {
        return Err(EvalError::failed("Parameter value is NaN"));
    }
    if max < 1.0 {
        return Ok(None);
    }
    if min <= i64::MIN as f64 {
        return Err(EvalError::failed(format!("Scalar value {} underflows int64", print::float(min))));
    }
    if max >= LIMIT {
        return Err(EvalError::failed(format!("Scalar value {} overflows int64", print::float(max))));
    }
    Ok(Some(params.iter().map(|p| p.max(0.0) as usize).collect()))
}

fn word(op: AggregateOp) -> &'static str {
    match op {
        AggregateOp::Sum => "sum",
        AggregateOp::Avg => "avg",
        AggregateOp::Count => "count",
        AggregateOp::Min => "min",
        AggregateOp::Max => "max",
        AggregateOp::Group => "group",
        AggregateOp::Stddev => "stddev",
        AggregateOp::Stdvar => "stdvar",
        AggregateOp::TopK => "topk",
        AggregateOp::BottomK => "bottomk",
        AggregateOp::CountValues => "count_values",
        AggregateOp::Quantile => "quantile",
        AggregateOp::LimitK => "limitk",
        AggregateOp::LimitRatio => "limit_ratio",
    }
}

impl Partial {
    /// Takes more of the input.
    ///
    /// # Errors
    /// When time or the budget is used up.
    pub fn add(&mut self, op: &Aggregate, series: &[StepSeries], cx: &mut EvalContext<'_>) -> Result<(), EvalError> {
        let steps = self.grid.len();
        for one in series {
            cx.tick()?;
            let group = match &self.state {
                State::CountValues(_) => 0,
                _ => self.groups.number(op.key(&one.labels), one.drop_name),
            };
            match &mut self.state {
                State::Simple(state) => state.add(op, group, steps, one, cx),
                State::Sum(state) => state.add(op, group, steps, one, cx),
                State::Moments(state) => state.add(op, group, steps, one, cx),
                State::Quantile(state) => state.add(op, group, steps, one, cx),
                State::Top(state) => state.add(op, group, steps, one, cx),
                State::Limit(state) => state.add(group, steps, one),
                State::CountValues(state) => state.add(op, one),
                State::Nothing => {}
            }
            let grown = self.weight().saturating_sub(self.held);
            self.held += grown;
            cx.budget.take(grown)?;
        }
        Ok(())
    }

    /// What the state counts as.
    fn weight(&self) -> usize {
        context::weight_of_bytes(match &self.state {
            State::Simple(state) => state.bytes(),
            State::Sum(state) => state.bytes(),
            State::Moments(state) => state.bytes(),
            State::Quantile(state) => state.bytes(),
            State::Top(state) => state.bytes(),
            State::Limit(state) => state.bytes(),
            State::CountValues(state) => state.bytes(),
            State::Nothing => 0,
        })
    }

    /// Takes what another part of the input gave, which comes behind this one's.
    pub fn merge(&mut self, op: &Aggregate, other: Self, cx: &mut EvalContext<'_>) {
        let steps = self.grid.len();
        let theirs = other.groups.labels.into_iter().zip(other.groups.drop_name);
        let map: Vec<usize> = theirs.map(|(labels, drop_name)| self.groups.number(labels, drop_name)).collect();
        match (&mut self.state, other.state) {
            (State::Simple(a), State::Simple(b)) => a.merge(b, &map, steps),
            (State::Sum(a), State::Sum(b)) => a.merge(op, b, &map, steps, cx),
            (State::Moments(a), State::Moments(b)) => a.merge(b, &map, steps),
            (State::Quantile(a), State::Quantile(b)) => a.merge(b, &map, steps),
            (State::CountValues(a), State::CountValues(b)) => a.merge(b),
            (State::Top(a), State::Top(b)) => a.merge(b, &map, steps),
            (State::Limit(a), State::Limit(b)) => a.merge(b, &map, steps),
            _ => debug_assert!(matches!(self.state, State::Nothing), "parts of one aggregation have states of one kind"),
        }
        // Together they are never larger than they were apart.
        let held = self.held + other.held;
        self.held = self.weight().min(held);
        cx.budget.give(held - self.held);
    }

    /// The result: one series per group, or the kept ones of each group.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn finish(self, op: &Aggregate, cx: &mut EvalContext<'_>) -> Result<Vec<StepSeries>, EvalError> {
        let steps = self.grid.len();
        let mut blank = Blank { steps, held: self.held, cx };
        let mut out = match self.state {
            State::Top(state) => state.finish(&mut blank)?,
            State::Limit(state) => state.finish(),
            State::CountValues(state) => state.finish(&mut blank)?,
            State::Nothing => Vec::new(),
            state => {
                let groups = self.groups.labels.into_iter().zip(self.groups.drop_name);
                let mut out = groups.map(|(labels, drop_name)| blank.series(labels, drop_name)).collect::<Result<Vec<_>, _>>()?;
                match state {
                    State::Simple(state) => state.finish(&mut out),
                    State::Sum(state) => state.finish(op, &mut out, blank.cx),
                    State::Moments(state) => state.finish(&mut out),
                    State::Quantile(state) => state.finish(&mut out),
                    State::Top(_) | State::Limit(_) | State::CountValues(_) | State::Nothing => {}
                }
                // The order of what is built on top of it must not follow from which steps were asked for.
                out.sort_by(|a, b| a.labels.cmp(&b.labels));
                out
            }
        };
        let held = blank.held;
        cx.budget.give(held);
        out.retain(|s| !s.is_empty());
        cx.budget.series(out.len())?;
        cx.budget.take(out.iter().map(context::weight_of_steps).sum())?;
        Ok(out)
    }
}

/// Makes the series of a result, whose places are taken from the budget before they are there.
struct Blank<'a, 'b> {
    steps: usize,
    held: usize,
    cx: &'a mut EvalContext<'b>,
}

impl Blank<'_, '_> {
    fn series(&mut self, labels: Labels, drop_name: bool) -> Result<StepSeries, EvalError> {
        let places = context::weight_of_places(self.steps);
        self.held += places;
        self.cx.budget.take(places)?;
        Ok(StepSeries { drop_name, ..StepSeries::empty(labels, self.steps) })
    }
}

/// Makes `column` long enough for group number `group`.
fn grow<T: Clone>(column: &mut Vec<T>, group: usize, steps: usize, value: T) {
    let needed = (group + 1) * steps;
    if column.len() < needed {
        column.resize(needed, value);
    }
}
