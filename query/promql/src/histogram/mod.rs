//! Native histograms: float counts in exponential or custom buckets, and their algebra.
//!
//! ```text
//! schema 0      [-2,-1) [-1,-0.5)  [-t, t]  (0.5, 1] (1, 2]      index 0 ends at 1; base 2^(2^-schema)
//! negative index   1       0        zero       0       1
//! schema -53    (-Inf, b0] (b0, b1] ... (bn, +Inf]               custom bounds
//! ```
//! Two histograms are brought to one layout before anything is done with both: the lower schema, the wider zero bucket, the bounds
//! that both have. Source of the rules: Prometheus `model/histogram/float_histogram.go`, docs `specs/native_histograms.md`.
//!
//! # Invariants
//! - Inside, a side is a list of (index, count), ascending; spans are made again at the end.
//! - No operation derives `count` from buckets, but for trims, which recompute it.

mod bounds;
mod hints;
mod json;
mod reset;
mod sides;
mod sum;
mod text;
mod trim;
mod valid;

pub use bounds::{Bucket, exponential_bound};
pub use hints::tell_resets;
pub use json::write_json;
pub use sides::Side;
pub use sum::{HistogramSum, Incompatible, Notes};
pub use valid::Invalid;

/// Schema number of histograms with custom bounds.
pub const CUSTOM_BUCKETS: i32 = -53;
/// Coarsest exponential schema.
pub const SCHEMA_MIN: i32 = -4;
/// Finest exponential schema.
pub const SCHEMA_MAX: i32 = 8;

/// Whether a counter was reset before this histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum ResetHint {
    /// Compare with the one before.
    #[default]
    Unknown,
    /// It was.
    Reset,
    /// It was not.
    NotReset,
    /// A gauge: there is no such thing.
    Gauge,
}

/// A run of neighbouring buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BucketSpan {
    /// Of the first span: the index of its first bucket. Else: how many buckets lie between this span and the one before.
    pub offset: i32,
    /// How many buckets it has.
    pub length: u32,
}

/// One histogram. Counts are absolute per bucket: neither cumulative nor differenced.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// -4 to 8: base 2^(2^-schema). [`CUSTOM_BUCKETS`]: bounds are in [`Histogram::custom_bounds`].
    pub schema: i32,
    /// Counter reset before it.
    pub reset_hint: ResetHint,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations. With [`crate::value::STALE_BITS`] the histogram is a stale marker.
    pub sum: f64,
    /// Where the positive buckets are.
    pub positive_spans: Vec<BucketSpan>,
    /// Their counts.
    pub positive_counts: Vec<f64>,
    /// Where the negative buckets are.
    pub negative_spans: Vec<BucketSpan>,
    /// Their counts.
    pub negative_counts: Vec<f64>,
    /// Ascending upper bounds of custom buckets, +Inf not among them.
    pub custom_bounds: Vec<f64>,
}

impl Histogram {
    /// Whether it has custom bounds.
    pub const fn is_custom(&self) -> bool {
        self.schema == CUSTOM_BUCKETS
    }

    /// The positive side: (index, count), ascending.
    pub fn positive(&self) -> Side {
        Side::of(&self.positive_spans, &self.positive_counts)
    }

    /// The negative side: (index, count), ascending by index, so away from zero.
    pub fn negative(&self) -> Side {
        Side::of(&self.negative_spans, &self.negative_counts)
    }

    /// Puts both sides in.
    pub fn set_sides(&mut self, positive: &Side, negative: &Side) {
        (self.positive_spans, self.positive_counts) = positive.spans();
        (self.negative_spans, self.negative_counts) = negative.spans();
    }

    /// Every count, the sum and the zero bucket times `factor`. A negative factor makes a gauge of it.
    #[must_use]
    pub fn mul(&self, factor: f64) -> Self {
        let mut result = self.scaled(|count| count * factor);
        if factor < 0.0 {
            result.reset_hint = ResetHint::Gauge;
        }
        result
    }

    /// As [`Histogram::mul`] with the reciprocal; by zero no bucket is left.
    #[must_use]
    pub fn div(&self, divisor: f64) -> Self {
        let mut result = self.scaled(|count| count / divisor);
        if divisor == 0.0 {
            result.set_sides(&Side::default(), &Side::default());
        }
        if divisor < 0.0 {
            result.reset_hint = ResetHint::Gauge;
        }
        result
    }

    fn scaled(&self, scale: impl Fn(f64) -> f64) -> Self {
        let mut result = self.clone();
        for count in result.positive_counts.iter_mut().chain(&mut result.negative_counts) {
            *count = scale(*count);
        }
        result.zero_count = scale(result.zero_count);
        result.count = scale(result.count);
        result.sum = scale(result.sum);
        result
    }

    /// Without empty buckets at either end of a side or inside; the same observations.
    #[must_use]
    pub fn compact(&self) -> Self {
        let full = |counts: &[f64]| counts.iter().all(|count| *count != 0.0);
        let tight = |spans: &[BucketSpan]| spans.iter().enumerate().all(|(at, s)| s.length > 0 && (at == 0 || s.offset > 0));
        let done = full(&self.positive_counts) && full(&self.negative_counts);
        if done && tight(&self.positive_spans) && tight(&self.negative_spans) {
            return self.clone();
        }
        let mut result = self.clone();
        result.set_sides(&self.positive().without_empty(), &self.negative().without_empty());
        result
    }

    /// At a coarser exponential schema; itself when it is that coarse already, or has custom bounds.
    #[must_use]
    pub fn reduced(&self, schema: i32) -> Self {
        if self.is_custom() || schema >= self.schema {
            return self.clone();
        }
        let by = (self.schema - schema).unsigned_abs();
        let mut result = self.clone();
        result.schema = schema;
        result.set_sides(&self.positive().reduced(by), &self.negative().reduced(by));
        result
    }

    /// `self + other`.
    ///
    /// # Errors
    /// [`Incompatible`] when one has exponential and the other custom buckets.
    pub fn add(&self, other: &Self) -> Result<(Self, Notes), Incompatible> {
        let mut sum = HistogramSum::new(self);
        let notes = sum.add(other)?;
        Ok((sum.value(), notes))
    }

    /// `self - other`, a gauge.
    ///
    /// # Errors
    /// As [`Histogram::add`].
    pub fn sub(&self, other: &Self) -> Result<(Self, Notes), Incompatible> {
        let mut sum = HistogramSum::new(self);
        let notes = sum.sub(other)?;
        let mut result = sum.value();
        result.reset_hint = ResetHint::Gauge;
        Ok((result, notes))
    }

    /// Whether both are the same, bit for bit, but for the reset hint and for spans of no length.
    pub fn equals(&self, other: &Self) -> bool {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let all = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(*a, *b));
        let places = |a: &[BucketSpan], b: &[BucketSpan]| sides::indexes(a).eq(sides::indexes(b));
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && same(self.zero_threshold, other.zero_threshold)
            && same(self.zero_count, other.zero_count)
            && all(&self.custom_bounds, &other.custom_bounds)
            && all(&self.positive_counts, &other.positive_counts)
            && all(&self.negative_counts, &other.negative_counts)
            && places(&self.positive_spans, &other.positive_spans)
            && places(&self.negative_spans, &other.negative_spans)
    }
}

#[cfg(test)]
mod tests;
