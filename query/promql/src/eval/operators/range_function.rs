//! Functions of ranges: `rate`, `avg_over_time` and their like, of selectors and of subqueries.
//!
//! ```text
//! samples   | . . | . . . . | . .           stale markers are taken out first
//! step k         (-----------]              two ends that only move on: each sample enters and leaves once
//! step k+1          (-----------]
//! ```
//! Raw, scalars ► steps, one series at a time, order kept, series without any value left out.

use std::borrow::Cow;
use std::sync::Arc;

use super::Names;
use super::select::Window;
use crate::ast::{Function, Span};
use crate::eval::{EvalContext, EvalError, context};
use crate::functions::range::{self, Frame, Output, Place};
use crate::labels::TYPE;
use crate::value::{Grid, HistogramSample, RawSeries, StepSeries, is_stale};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeFunction {
    /// Which function.
    pub function: Function,
    /// What it sees at a step.
    pub window: Window,
    /// Whether start timestamps count.
    pub starts: bool,
    /// When names go.
    pub names: Names,
    /// Whether `__type__` says what a counter is.
    pub type_labels: bool,
    /// The range, of which annotations speak.
    pub range_span: Span,
    /// The first argument, of which some speak instead.
    pub first_span: Span,
}

/// A series without its stale markers.
struct Fresh<'a> {
    times_ms: Cow<'a, [i64]>,
    floats: Cow<'a, [f64]>,
    /// As long as `floats`, or empty.
    starts_ms: Cow<'a, [i64]>,
    histograms: Cow<'a, [HistogramSample]>,
}

impl<'a> Fresh<'a> {
    fn of(raw: &'a RawSeries) -> Self {
        let keeps: Vec<bool> = raw.floats.iter().map(|v| !is_stale(*v)).collect();
        let all = !keeps.contains(&false);
        fn kept<'a, T: Copy>(values: &'a [T], keeps: &[bool], all: bool) -> Cow<'a, [T]> {
            if all {
                return Cow::Borrowed(values);
            }
            Cow::Owned(values.iter().zip(keeps).filter(|(_, keep)| **keep).map(|(v, _)| *v).collect())
        }
        let stale = |h: &HistogramSample| is_stale(h.histogram.sum);
        let histograms = if raw.histograms.iter().any(stale) {
            Cow::Owned(raw.histograms.iter().filter(|h| !stale(h)).cloned().collect())
        } else {
            Cow::Borrowed(&raw.histograms[..])
        };
        Self {
            times_ms: kept(&raw.times_ms, &keeps, all),
            floats: kept(&raw.floats, &keeps, all),
            starts_ms: kept(&raw.starts_ms, &keeps, all),
            histograms,
        }
    }
}

/// Which samples of a list lie in a window that only moves on.
#[derive(Default)]
struct Sliding {
    first: usize,
    end: usize,
}

impl Sliding {
    /// Samples later than `after` and not later than `to`.
    fn slide<T>(&mut self, samples: &[T], time: impl Fn(&T) -> i64, (after, to): (i64, i64)) -> std::ops::Range<usize> {
        while samples.get(self.end).is_some_and(|s| time(s) <= to) {
            self.end += 1;
        }
        while self.first < self.end && time(&samples[self.first]) <= after {
            self.first += 1;
        }
        self.first..self.end
    }
}

impl RangeFunction {
    /// The function of the window of each step. `scalars` are its other arguments at each step.
    ///
    /// # Errors
    /// When time or the budget is used up.
    pub fn apply(
        &self,
        grid: Grid,
        series: &[RawSeries],
        scalars: &[&[f64]],
        cx: &mut EvalContext<'_>,
    ) -> Result<Vec<StepSeries>, EvalError> {
        if scalars.iter().any(|s| s.len() != grid.len()) {
            return Err(EvalError::Invalid("a scalar is missing".into()));
        }
        let mut out = Vec::with_capacity(series.len());
        for raw in series {
            cx.tick()?;
            let result = self.series(grid, raw, scalars, cx)?;
            if !result.is_empty() {
                cx.budget.take(context::weight_of_steps(&result))?;
                out.push(result);
            }
        }
        cx.budget.series(out.len())?;
        Ok(out)
    }

    fn series(&self, grid: Grid, raw: &RawSeries, scalars: &[&[f64]], cx: &mut EvalContext<'_>) -> Result<StepSeries, EvalError> {
        let fresh = Fresh::of(raw);
        let (mut floats, mut histograms) = (Sliding::default(), Sliding::default());
        let mut out = StepSeries { drop_name: raw.drop_name, ..StepSeries::empty(raw.labels.clone(), grid.len()) };
        let mut arguments = vec![0.0; scalars.len()];
        let mut widest = 0;
        for (at, time_ms) in grid.iter().enumerate() {
            let samples = self.window.samples(time_ms);
            let seen = floats.slide(&fresh.times_ms, |t| *t, samples);
            let histograms = &fresh.histograms[histograms.slide(&fresh.histograms, |h| h.time_ms, samples)];
            if seen.is_empty() && histograms.is_empty() {
                continue;
            }
            arguments.iter_mut().zip(scalars).for_each(|(argument, scalar)| *argument = scalar[at]);
            let weight = seen.len() + histograms.iter().map(|h| context::weight_of_histogram(&h.histogram)).sum::<usize>();
            if weight > widest {
                cx.budget.take(weight - widest)?;
                widest = weight;
            }
            let (left_ms, right_ms) = self.window.edges(time_ms);
            let frame = Frame {
                times_ms: &fresh.times_ms[seen.clone()],
                floats: &fresh.floats[seen.clone()],
                starts_ms: fresh.starts_ms.get(seen).unwrap_or_default(),
                histograms,
                starts: self.starts,
                time_ms,
                left_ms,
                right_ms,
                extension: self.window.extension,
                metric: raw.labels.metric(),
            };
            let place = Place { range: self.range_span, first: self.first_span };
            match range::evaluate(self.function, &frame, &arguments, place, &mut cx.annotations)? {
                None => {}
                Some(Output::Float(value)) => out.set_float(at, value),
                Some(Output::Histogram(histogram)) => out.set_histogram(at, Arc::new(histogram)),
            }
        }
        cx.budget.give(widest);
        self.doubt_counter(&out, cx);
        if !matches!(self.function, Function::LastOverTime | Function::FirstOverTime) {
            self.names.drop(&mut out);
        }
        Ok(out)
    }

    /// Says that a rate of what is not called a counter is probably none.
    fn doubt_counter(&self, out: &StepSeries, cx: &mut EvalContext<'_>) {
        let metric = out.labels.metric();
        if !matches!(self.function, Function::Rate | Function::Increase) || metric.is_empty() || !out.present.contains(&true) {
            return;
        }
        if self.type_labels {
            let kind = out.labels.get(TYPE);
            if !matches!(kind, "counter" | "histogram") {
                let text = format!(
                    "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {kind:?}: {metric:?}"
                );
                cx.annotations.info(self.range_span, text);
            }
        } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|end| metric.ends_with(end)) {
            let text = format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}");
            cx.annotations.info(self.range_span, text);
        }
    }
}
