//! Functions of ranges: what each makes of the samples of one window.
//!
//! ```text
//! rate       rate increase delta          first and last sample, extrapolated to the edges (extent)
//! extended   the same, anchored, smoothed values at the edges themselves
//! pair       irate idelta                 the last two samples
//! steps      resets changes               each sample and the one before
//! trend      deriv predict_linear ...     regression, smoothing
//! over_time  sum avg min max ...          all samples
//! ```
//! # Invariants
//! - A frame has at least one sample, none of them a stale marker, times ascend, no time is there twice.
//! - Histograms are never changed in place: they are shared.

mod extended;
mod extent;
mod over_time;
mod pair;
mod rate;
mod steps;
mod trend;

use crate::annotation::{Annotations, texts};
use crate::ast::{Extension, Function, Span};
use crate::eval::EvalError;
use crate::histogram::{Histogram, Incompatible, Notes};
use crate::value::HistogramSample;

pub use extended::interpolate_histograms;
pub(crate) use extent::{Extent, seconds};
pub(crate) use over_time::{average, sum};

/// What a function sees of one series at one step.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Times of the floats, milliseconds: those of the whole extended window.
    pub times_ms: &'a [i64],
    /// The floats.
    pub floats: &'a [f64],
    /// Start timestamp of each float, 0 for none; empty when no float has one.
    pub starts_ms: &'a [i64],
    /// The histograms.
    pub histograms: &'a [HistogramSample],
    /// Whether start timestamps count.
    pub starts: bool,
    /// The time of the step.
    pub time_ms: i64,
    /// The left edge of the window, which is outside.
    pub left_ms: i64,
    /// The right edge of the window, which is inside.
    pub right_ms: i64,
    /// Whether samples around the window are there.
    pub extension: Extension,
    /// The metric's name.
    pub metric: &'a str,
}

/// What annotations speak of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// The range.
    pub range: Span,
    /// The first argument.
    pub first: Span,
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram(Histogram),
}

impl Frame<'_> {
    /// The length of the window in seconds.
    fn range_seconds(&self) -> f64 {
        seconds(self.right_ms - self.left_ms)
    }

    fn float_start(&self, at: usize) -> i64 {
        self.starts_ms.get(at).copied().filter(|_| self.starts).unwrap_or(0)
    }

    fn histogram_start(&self, at: usize) -> i64 {
        self.histograms.get(at).map(|h| h.start_ms).filter(|_| self.starts).unwrap_or(0)
    }

    fn has_both(&self) -> bool {
        !self.floats.is_empty() && !self.histograms.is_empty()
    }
}

/// What is said about one window.
struct Said<'a> {
    metric: &'a str,
    place: Place,
    annotations: &'a mut Annotations,
}

impl Said<'_> {
    fn mixed_kinds(&mut self) {
        self.annotations.put(texts::mixed_kinds(self.place.range, self.metric));
    }

    fn mixed_layouts(&mut self) {
        self.annotations.put(texts::mixed_layouts(self.place.range, self.metric));
    }

    fn not_counter(&mut self) {
        self.annotations.put(texts::not_a_counter(self.place.range, self.metric));
    }

    fn not_gauge(&mut self) {
        self.annotations.put(texts::not_a_gauge(self.place.range, self.metric));
    }

    fn overlapping_starts(&mut self) {
        self.annotations.put(texts::start_overlap(self.place.range, self.metric));
    }

    /// Functions of floats say it when there are histograms too.
    fn ignored_histograms(&mut self, frame: &Frame<'_>, span: Span) {
        if !frame.histograms.is_empty() {
            self.annotations.put(texts::ignored_in_range(span, self.metric));
        }
    }

    /// The result of adding or subtracting histograms, unless they do not fit. Contradicting hints are not told: functions of counters
    /// look for resets themselves.
    fn combined<T>(&mut self, result: Result<(T, Notes), Incompatible>, word: &str) -> Option<T> {
        match result {
            Ok((value, notes)) => {
                if notes.bounds_reconciled {
                    self.annotations.put(texts::bounds_reconciled(self.place.range, word));
                }
                Some(value)
            }
            Err(Incompatible) => {
                self.mixed_layouts();
                None
            }
        }
    }
}

/// The sample that `function` makes of a window; `None` when it makes none. `scalars` are its other arguments. `absent_over_time` comes
/// as `present_over_time`.
///
/// # Errors
/// When a scalar makes no sense.
pub fn evaluate(
    function: Function,
    frame: &Frame<'_>,
    scalars: &[f64],
    place: Place,
    annotations: &mut Annotations,
) -> Result<Option<Output>, EvalError> {
    let said = &mut Said { metric: frame.metric, place, annotations };
    let scalar = |at: usize| scalars.get(at).copied().ok_or_else(|| EvalError::Invalid("a scalar is missing".into()));
    let float = |value: Option<f64>| value.map(Output::Float);
    Ok(match function {
        Function::Rate => rate::rate(frame, rate::Kind { counter: true, per_second: true }, said),
        Function::Increase => rate::rate(frame, rate::Kind { counter: true, per_second: false }, said),
        Function::Delta => rate::rate(frame, rate::Kind { counter: false, per_second: false }, said),
        Function::Irate => pair::pair(frame, true, said),
        Function::Idelta => pair::pair(frame, false, said),
        Function::Resets => float(steps::resets(frame)),
        Function::Changes => float(steps::changes(frame)),
        Function::Deriv => float(trend::derivative(frame, said)),
        Function::PredictLinear => float(trend::prediction(frame, scalar(0)?, said)),
        Function::DoubleExponentialSmoothing => float(trend::smoothing(frame, scalar(0)?, scalar(1)?, said)?),
        Function::QuantileOverTime => float(over_time::quantile_over_time(frame, scalar(0)?, said)),
        function => over_time::evaluate(function, frame, said)?,
    })
}

/// Whether a counter was started anew between two samples, by what they say of their start. A start at the sample before is that of a
/// delta, unless the start of that one is unknown: then it is a counter whose start nobody knows.
fn started_between((start_before, before): (i64, i64), (start, time): (i64, i64)) -> bool {
    if start == 0 || start >= time || start < before {
        return false;
    }
    start > before || (start_before != 0 && start_before < before)
}

#[cfg(test)]
mod tests;
