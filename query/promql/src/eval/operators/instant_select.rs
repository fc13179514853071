//! Instant vector selectors: the newest sample of each series at each step.
//!
//! ```text
//! samples   a     b        stale    c
//! steps  |     |     |     |     |     |
//! gives     -  a     b     b     -  c      as long as it is younger than the lookback
//! ```
//! Raw ► steps, one series at a time, order kept, series without any value left out.

use std::sync::Arc;

use super::Names;
use super::select::Reference;
use crate::annotation::{Annotations, texts};
use crate::ast::Span;
use crate::eval::{EvalContext, EvalError, context};
use crate::functions::range::interpolate_histograms;
use crate::histogram::{Histogram, ResetHint};
use crate::value::{Grid, HistogramSample, RawSeries, StepSeries, is_stale};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct InstantSelect {
    /// The time a step speaks of.
    pub time: Reference,
    /// A sample as old as this is too old.
    pub lookback_ms: i64,
    /// What is taken of the sample.
    pub what: Instant,
    /// When names go, for what is no longer the metric's value.
    pub names: Names,
    /// The selector.
    pub span: Span,
}

/// What is taken of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instant {
    /// Its value.
    Value,
    /// Its value, or one between the samples around the step.
    Smoothed,
    /// Its time in seconds: `timestamp(x)`.
    Time,
    /// When its counter started, in seconds: `start_timestamp(x)`.
    Start,
    /// Its time in milliseconds. A histogram is an error: series of `info` have floats.
    InfoTime,
}

/// A sample of either kind.
#[derive(Clone, Copy)]
enum Newest<'a> {
    Float(usize),
    Histogram(&'a HistogramSample),
}

impl InstantSelect {
    /// The newest samples of `series` at the steps of `grid`.
    ///
    /// # Errors
    /// When the budget is used up, time is up, or a series of `info` has histograms.
    pub fn apply(&self, grid: Grid, series: &[RawSeries], cx: &mut EvalContext<'_>) -> Result<Vec<StepSeries>, EvalError> {
        let mut out = Vec::with_capacity(series.len());
        for raw in series {
            cx.tick()?;
            let steps = match self.what {
                Instant::Smoothed => self.smoothed(grid, raw, &mut cx.annotations),
                _ => self.newest(grid, raw)?,
            };
            if !steps.is_empty() {
                cx.budget.take(context::weight_of_steps(&steps))?;
                out.push(steps);
            }
        }
        cx.budget.series(out.len())?;
        Ok(out)
    }

    fn newest(&self, grid: Grid, raw: &RawSeries) -> Result<StepSeries, EvalError> {
        let mut out = StepSeries::empty(raw.labels.clone(), grid.len());
        let (mut floats, mut histograms) = (0, 0);
        for (at, time_ms) in grid.iter().enumerate() {
            let reference = self.time.of(time_ms);
            while raw.times_ms.get(floats).is_some_and(|t| *t <= reference) {
                floats += 1;
            }
            while raw.histograms.get(histograms).is_some_and(|h| h.time_ms <= reference) {
                histograms += 1;
            }
            let float = floats.checked_sub(1).map(|i| (raw.times_ms[i], Newest::Float(i)));
            let histogram = histograms.checked_sub(1).map(|i| (raw.histograms[i].time_ms, Newest::Histogram(&raw.histograms[i])));
            let newest = if histogram.as_ref().map(|h| h.0) > float.as_ref().map(|f| f.0) { histogram } else { float };
            match newest {
                Some((time, sample)) if time > reference.saturating_sub(self.lookback_ms) => {
                    self.put(&mut out, at, raw, time, sample)?
                }
                _ => {}
            }
        }
        if matches!(self.what, Instant::Time | Instant::Start) {
            self.names.drop(&mut out);
        }
        Ok(out)
    }

    fn put(&self, out: &mut StepSeries, at: usize, raw: &RawSeries, time_ms: i64, sample: Newest<'_>) -> Result<(), EvalError> {
        let stale = match sample {
            Newest::Float(i) => is_stale(raw.floats[i]),
            Newest::Histogram(h) => is_stale(h.histogram.sum),
        };
        if stale {
            return Ok(());
        }
        match (self.what, sample) {
            (Instant::Time, _) => out.set_float(at, time_ms as f64 / 1000.0),
            (Instant::Start, Newest::Float(i)) => out.set_float(at, raw.starts_ms.get(i).copied().unwrap_or(0) as f64 / 1000.0),
            (Instant::Start, Newest::Histogram(h)) => out.set_float(at, h.start_ms as f64 / 1000.0),
            (Instant::InfoTime, Newest::Float(_)) => out.set_float(at, time_ms as f64),
            (Instant::InfoTime, Newest::Histogram(_)) => {
                return Err(EvalError::failed(format!("this should be an info metric, with float samples: {}", raw.labels)));
            }
            (Instant::Value | Instant::Smoothed, Newest::Float(i)) => out.set_float(at, raw.floats[i]),
            (Instant::Value | Instant::Smoothed, Newest::Histogram(h)) => out.set_histogram(at, Arc::clone(&h.histogram)),
        }
        Ok(())
    }

    /// Values between the samples around each step. Stale markers are not there; a step sees samples as far as the lookback, on both
    /// sides. Without a later sample the earlier one goes on, without an earlier one there is nothing.
    fn smoothed(&self, grid: Grid, raw: &RawSeries, annotations: &mut Annotations) -> StepSeries {
        let mut out = StepSeries::empty(raw.labels.clone(), grid.len());
        let floats: Vec<(i64, f64)> =
            raw.times_ms.iter().copied().zip(raw.floats.iter().copied()).filter(|f| !is_stale(f.1)).collect();
        let histograms: Vec<&HistogramSample> = raw.histograms.iter().filter(|h| !is_stale(h.histogram.sum)).collect();
        for (at, time_ms) in grid.iter().enumerate() {
            let time = self.time.of(time_ms);
            let (from, to) = (time.saturating_sub(self.lookback_ms), time.saturating_add(self.lookback_ms));
            let seen_floats = &floats[floats.partition_point(|f| f.0 <= from)..floats.partition_point(|f| f.0 <= to)];
            let seen_histograms =
                &histograms[histograms.partition_point(|h| h.time_ms <= from)..histograms.partition_point(|h| h.time_ms <= to)];
            match (seen_floats.is_empty(), seen_histograms.is_empty()) {
                (true, true) => {}
                (false, true) => {
                    if let Some(value) = between_floats(seen_floats, time) {
                        out.set_float(at, value);
                    }
                }
                (true, false) => {
                    if let Some(value) = self.between_histograms(raw, seen_histograms, time, annotations) {
                        out.set_histogram(at, value);
                    }
                }
                (false, false) => annotations.put(texts::mixed_kinds(self.span, raw.labels.metric())),
            }
        }
        out
    }

    fn between_histograms(
        &self,
        raw: &RawSeries,
        seen: &[&HistogramSample],
        time: i64,
        annotations: &mut Annotations,
    ) -> Option<Arc<Histogram>> {
        let next = seen.partition_point(|h| h.time_ms < time);
        let exact = seen.get(next).filter(|h| h.time_ms == time);
        if let Some(exact) = exact {
            return Some(Arc::clone(&exact.histogram));
        }
        let before = seen[next.checked_sub(1)?];
        let Some(after) = seen.get(next) else {
            let unknown = Histogram { reset_hint: ResetHint::Unknown, ..(*before.histogram).clone() };
            return Some(Arc::new(unknown));
        };
        if before.histogram.is_custom() != after.histogram.is_custom() {
            annotations.put(texts::mixed_layouts(self.span, raw.labels.metric()));
            return None;
        }
        let gauge = |h: &HistogramSample| h.histogram.reset_hint == ResetHint::Gauge;
        let counter = !gauge(before) || !gauge(after);
        interpolate_histograms(before, after, time, counter, raw.labels.metric(), self.span, annotations).map(Arc::new)
    }
}

fn between_floats(seen: &[(i64, f64)], time: i64) -> Option<f64> {
    let next = seen.partition_point(|f| f.0 < time);
    match (next.checked_sub(1).map(|i| seen[i]), seen.get(next)) {
        (_, Some((at, value))) if *at == time => Some(*value),
        (Some((t0, v0)), Some((t1, v1))) => Some(v0 + (v1 - v0) * (time - t0) as f64 / (t1 - t0) as f64),
        (Some((_, value)), None) => Some(value),
        (None, _) => None,
    }
}
