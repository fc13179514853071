//! What flows between operators: series with values on a grid of steps, and raw series as storage has them.

use std::sync::Arc;

use crate::labels::Labels;

/// The value that ends a series: a NaN that means "no longer there". Other NaNs are values.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether `value` is the stale marker.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// The evaluation times of a query: `start_ms`, `start_ms + step_ms`, ... up to and including `end_ms`.
/// An instant query has one (`end_ms == start_ms`, any `step_ms`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// First time, milliseconds since the epoch.
    pub start_ms: i64,
    /// No time is later than this.
    pub end_ms: i64,
    /// Distance of two times. At least 1.
    pub step_ms: i64,
}

impl Grid {
    /// One time.
    pub const fn instant(at_ms: i64) -> Self {
        Self { start_ms: at_ms, end_ms: at_ms, step_ms: 1 }
    }

    /// How many times there are.
    pub fn len(&self) -> usize {
        if self.end_ms < self.start_ms { 0 } else { (self.end_ms.abs_diff(self.start_ms) / self.step_ms as u64) as usize + 1 }
    }

    /// Whether there is no time.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The time of step `at`.
    pub const fn time_ms(&self, at: usize) -> i64 {
        self.start_ms + at as i64 * self.step_ms
    }

    /// The times.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + use<> {
        let grid = *self;
        (0..self.len()).map(move |at| grid.time_ms(at))
    }
}

/// One series as storage has it: samples ascending by time, floats and histograms apart, no time twice over both.
/// Stale markers are still there: floats of [`STALE_BITS`], histograms whose `sum` has these bits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawSeries {
    /// Its labels, the name among them.
    pub labels: Labels,
    /// Times of the floats, milliseconds.
    pub times_ms: Vec<i64>,
    /// The floats.
    pub floats: Vec<f64>,
    /// Start timestamp of each float, milliseconds, 0 for none. Empty when no float has one.
    pub starts_ms: Vec<i64>,
    /// Histograms with their time and start timestamp (0 for none).
    pub histograms: Vec<HistogramSample>,
    /// Whether name, type and unit go at the end of the query: of subqueries, never of what storage gives.
    pub drop_name: bool,
}

/// One histogram of a [`RawSeries`].
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSample {
    /// Time, milliseconds.
    pub time_ms: i64,
    /// Start timestamp, milliseconds, 0 for none.
    pub start_ms: i64,
    /// The histogram.
    pub histogram: Arc<crate::histogram::Histogram>,
}

/// What a series has at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample<'a> {
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram(&'a Arc<crate::histogram::Histogram>),
}

/// One series on a [`Grid`]: at each step a float, a histogram, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSeries {
    /// Its labels.
    pub labels: Labels,
    /// Whether name, type and unit go at the end of the query (delayed name removal).
    pub drop_name: bool,
    /// One float per step; where [`StepSeries::present`] is false it means nothing and is 0.
    pub floats: Vec<f64>,
    /// At which steps there is a float.
    pub present: Vec<bool>,
    /// Histograms by step; `None` when the series has none at all. A step never has both.
    pub histograms: Option<Vec<Option<Arc<crate::histogram::Histogram>>>>,
}

impl StepSeries {
    /// A series of `steps` steps with nothing at any of them.
    pub fn empty(labels: Labels, steps: usize) -> Self {
        Self { labels, drop_name: false, floats: vec![0.0; steps], present: vec![false; steps], histograms: None }
    }

    /// A series with a float at each step: what scalars are, then without labels.
    pub fn full(labels: Labels, floats: Vec<f64>) -> Self {
        let present = vec![true; floats.len()];
        Self { labels, drop_name: false, floats, present, histograms: None }
    }

    /// How many steps its grid has.
    pub fn steps(&self) -> usize {
        self.floats.len()
    }

    /// What is at step `at`.
    pub fn sample(&self, at: usize) -> Option<Sample<'_>> {
        if self.present[at] {
            return Some(Sample::Float(self.floats[at]));
        }
        self.histogram(at).map(Sample::Histogram)
    }

    /// The histogram at step `at`.
    pub fn histogram(&self, at: usize) -> Option<&Arc<crate::histogram::Histogram>> {
        self.histograms.as_ref()?[at].as_ref()
    }

    /// Puts a float at step `at`, where nothing is yet.
    pub fn set_float(&mut self, at: usize, value: f64) {
        debug_assert!(self.histogram(at).is_none(), "a step never has both");
        self.floats[at] = value;
        self.present[at] = true;
    }

    /// Puts a histogram at step `at`, where nothing is yet.
    pub fn set_histogram(&mut self, at: usize, histogram: Arc<crate::histogram::Histogram>) {
        debug_assert!(!self.present[at], "a step never has both");
        let steps = self.steps();
        self.histograms.get_or_insert_with(|| vec![None; steps])[at] = Some(histogram);
    }

    /// Whether there is nothing at any step.
    pub fn is_empty(&self) -> bool {
        !self.present.contains(&true) && self.histograms.iter().flatten().all(Option::is_none)
    }
}
