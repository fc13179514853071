//! Where buckets begin and end.

use super::{Histogram, Side};

/// A bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether the lower bound belongs to it.
    pub lower_inclusive: bool,
    /// Whether the upper bound belongs to it.
    pub upper_inclusive: bool,
    /// Observations in it.
    pub count: f64,
    /// Its index; 0 for the zero bucket.
    pub index: i32,
}

impl Bucket {
    /// The number that the HTTP API writes for the kinds of bounds: 0 open left, 1 open right, 2 open both, 3 closed both.
    pub const fn rule(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }
}

/// The upper bound of the positive bucket `index` at an exponential `schema`: `2^(index * 2^-schema)`, and the largest number where
/// that is none any more, so that the last bucket of all ends there and the one behind it at +Inf.
pub fn exponential_bound(index: i32, schema: i32) -> f64 {
    let (whole, part) = if schema <= 0 {
        (i64::from(index) << (-schema).min(16), 0)
    } else {
        (i64::from(index >> schema), index & ((1 << schema) - 1))
    };
    if whole == 1024 && part == 0 {
        return f64::MAX;
    }
    let whole = whole.clamp(-2000, 2000) as i32;
    if part == 0 {
        return power_of_two(whole);
    }
    let fraction = f64::exp2(f64::from(part) / f64::from(1 << schema));
    fraction * power_of_two(whole)
}

/// Exact, and gradual below the smallest normal number.
fn power_of_two(exponent: i32) -> f64 {
    2.0_f64.powi(exponent)
}

impl Histogram {
    /// The upper bound of a positive (or custom) bucket.
    pub fn upper_bound(&self, index: i32) -> f64 {
        if !self.is_custom() {
            return exponential_bound(index, self.schema);
        }
        match usize::try_from(index) {
            Ok(at) => self.custom_bounds.get(at).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        }
    }

    /// A bucket of the positive side, or a custom one.
    pub fn positive_bucket(&self, index: i32, count: f64) -> Bucket {
        let (lower, upper) = (self.upper_bound(index - 1), self.upper_bound(index));
        let first_custom = self.is_custom() && index == 0;
        Bucket { lower, upper, lower_inclusive: first_custom, upper_inclusive: true, count, index }
    }

    /// A bucket of the negative side.
    pub fn negative_bucket(&self, index: i32, count: f64) -> Bucket {
        let (lower, upper) = (-self.upper_bound(index), -self.upper_bound(index - 1));
        Bucket { lower, upper, lower_inclusive: true, upper_inclusive: false, count, index }
    }

    /// The zero bucket.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        }
    }

    /// Every bucket, ascending: negative ones, the zero bucket if it counts anything, positive ones. Buckets that would reach into the
    /// zero bucket end at it.
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut out = Vec::with_capacity(self.negative_counts.len() + self.positive_counts.len() + 1);
        let Side(negative) = self.negative();
        out.extend(negative.iter().rev().map(|(index, count)| self.negative_bucket(*index, *count)));
        if !self.is_custom() {
            for bucket in &mut out {
                bucket.upper = bucket.upper.min(-self.zero_threshold).max(bucket.lower);
            }
            if self.zero_count != 0.0 {
                out.push(self.zero_bucket());
            }
        }
        let Side(positive) = self.positive();
        for (index, count) in positive {
            let mut bucket = self.positive_bucket(index, count);
            if !self.is_custom() {
                bucket.lower = bucket.lower.max(self.zero_threshold).min(bucket.upper);
            }
            out.push(bucket);
        }
        out
    }
}
