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
use crate::annotation::texts;
use crate::ast::{Extension, Function, Span};
use crate::eval::{EvalContext, EvalError, context};
use crate::functions::fast::{self, Floats, Steps, Sweep, Windows};
use crate::functions::range::{self, Frame, Output, Place};
use crate::labels::TYPE;
use crate::value::{Grid, HistogramSample, RawSeries, StepSeries, is_stale};

/// After how many samples in windows it is asked again whether to go on: long windows at many steps are work even of a single series.
const SAMPLES_BETWEEN_TICKS: usize = 1 << 20;

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
        // Nearly always there is none, which is found out without a branch per sample.
        let all = !raw.floats.iter().fold(false, |any, value| any | is_stale(*value));
        fn kept<'a, T: Copy>(values: &'a [T], floats: &[f64], all: bool) -> Cow<'a, [T]> {
            if all {
                return Cow::Borrowed(values);
            }
            Cow::Owned(values.iter().zip(floats).filter(|(_, float)| !is_stale(**float)).map(|(v, _)| *v).collect())
        }
        let stale = |h: &HistogramSample| is_stale(h.histogram.sum);
        let histograms = if raw.histograms.iter().any(stale) {
            Cow::Owned(raw.histograms.iter().filter(|h| !stale(h)).cloned().collect())
        } else {
            Cow::Borrowed(&raw.histograms[..])
        };
        Self {
            times_ms: kept(&raw.times_ms, &raw.floats, all),
            floats: kept(&raw.floats, &raw.floats, all),
            starts_ms: kept(&raw.starts_ms, &raw.floats, all),
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
        let mut sweep = Sweep::default();
        for raw in series {
            cx.tick()?;
            let fresh = Fresh::of(raw);
            let mut result = StepSeries { drop_name: raw.drop_name, ..StepSeries::empty(raw.labels.clone(), grid.len()) };
            match self.windows(grid, &fresh) {
                Some(windows) => self.sweep(&mut sweep, &fresh, windows, &mut result, cx)?,
                None => self.window_by_window(grid, &fresh, scalars, &mut result, cx)?,
            }
            self.doubt_counter(&result, cx);
            if !matches!(self.function, Function::LastOverTime | Function::FirstOverTime) {
                self.names.drop(&mut result);
            }
            if !result.is_empty() {
                cx.budget.take(context::weight_of_steps(&result))?;
                out.push(result);
            }
        }
        cx.budget.series(out.len())?;
        Ok(out)
    }

    /// Where the windows lie, if floats are all there is to see in them and the function can be done for all of them at once.
    fn windows(&self, grid: Grid, fresh: &Fresh<'_>) -> Option<Windows> {
        let plain = self.window.extension == Extension::None && self.window.time.at_ms.is_none();
        let floats_only = fresh.histograms.is_empty() && (fresh.starts_ms.is_empty() || !self.starts);
        (plain && floats_only && fast::covers(self.function)).then_some(Windows {
            grid,
            range_ms: self.window.range_ms,
            offset_ms: self.window.time.offset_ms,
        })
    }

    fn sweep(
        &self,
        sweep: &mut Sweep,
        fresh: &Fresh<'_>,
        windows: Windows,
        out: &mut StepSeries,
        cx: &mut EvalContext<'_>,
    ) -> Result<(), EvalError> {
        let floats = Floats { times_ms: &fresh.times_ms, values: &fresh.floats };
        let widest =
            sweep.evaluate(self.function, floats, windows, &mut Steps { values: &mut out.floats, present: &mut out.present });
        // Counted as if the window had been there by itself.
        cx.budget.take(widest)?;
        cx.budget.give(widest);
        Ok(())
    }

    fn window_by_window(
        &self,
        grid: Grid,
        fresh: &Fresh<'_>,
        scalars: &[&[f64]],
        out: &mut StepSeries,
        cx: &mut EvalContext<'_>,
    ) -> Result<(), EvalError> {
        let (mut floats, mut histograms) = (Sliding::default(), Sliding::default());
        let mut arguments = vec![0.0; scalars.len()];
        let (mut widest, mut looked_at) = (0, 0);
        let metric = out.labels.metric().to_owned();
        for (at, time_ms) in grid.iter().enumerate() {
            let samples = self.window.samples(time_ms);
            let seen = floats.slide(&fresh.times_ms, |t| *t, samples);
            let histograms = &fresh.histograms[histograms.slide(&fresh.histograms, |h| h.time_ms, samples)];
            if seen.is_empty() && histograms.is_empty() {
                continue;
            }
            looked_at += seen.len() + histograms.len();
            if looked_at > SAMPLES_BETWEEN_TICKS {
                cx.tick()?;
                looked_at = 0;
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
                metric: &metric,
            };
            let place = Place { range: self.range_span, first: self.first_span };
            match range::evaluate(self.function, &frame, &arguments, place, &mut cx.annotations)? {
                None => {}
                Some(Output::Float(value)) => out.set_float(at, value),
                Some(Output::Histogram(histogram)) => out.set_histogram(at, Arc::new(histogram)),
            }
        }
        cx.budget.give(widest);
        Ok(())
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
                cx.annotations.put(texts::possibly_no_counter_type(self.range_span, metric, kind));
            }
        } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|end| metric.ends_with(end)) {
            cx.annotations.put(texts::possibly_no_counter(self.range_span, metric));
        }
    }
}
