//! Where buckets begin and end.

use super::{Histogram, SCHEMA_MAX, Side};

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

    /// Which part of its observations lies below `value`, which is between its bounds, if they are spread evenly over the value, or else
    /// over its logarithm.
    pub fn part_below(&self, value: f64, linear: bool) -> f64 {
        if linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let (lower, upper, value_log) = (self.lower.abs().log2(), self.upper.abs().log2(), value.abs().log2());
        if value > 0.0 { (value_log - lower) / (upper - lower) } else { 1.0 - (value_log - upper) / (lower - upper) }
    }
}

/// Finest schema that has a table.
const FINEST: usize = SCHEMA_MAX as usize;

/// The bounds between 0.5 and 1 of each schema, that of schema `s` from `2^s` on.
///
/// Instrumentation libraries sort observations by bounds that were computed in a certain way, so the same way is gone here, with its
/// rounding: every other bound is that of the coarser schema, and those between are the one before times the base.
static BETWEEN: [f64; 2 << FINEST] = {
    let mut all = [0.5; 2 << FINEST];
    let mut schema = 1;
    while schema <= FINEST {
        let (here, coarser) = (1 << schema, 1 << (schema - 1));
        let mut at = 1;
        while at < here {
            all[here + at] = if at % 2 == 0 { all[coarser + at / 2] } else { all[here + at - 1] * BASES[schema] };
            at += 1;
        }
        schema += 1;
    }
    all
};

/// `2^(2^-schema)`, as Go computes it: the root of 2 is one bit less than the nearest number.
const BASES: [f64; FINEST + 1] = [
    2.0,
    f64::from_bits(0x3ff6_a09e_667f_3bcc),
    f64::from_bits(0x3ff3_06fe_0a31_b715),
    f64::from_bits(0x3ff1_72b8_3c7d_517b),
    f64::from_bits(0x3ff0_b558_6cf9_890f),
    f64::from_bits(0x3ff0_59b0_d315_8574),
    f64::from_bits(0x3ff0_2c9a_3e77_8061),
    f64::from_bits(0x3ff0_163d_a9fb_3335),
    f64::from_bits(0x3ff0_0b1a_fa5a_bcbf),
];

/// The upper bound of the positive bucket `index` at an exponential `schema`: `2^(index * 2^-schema)`, and the largest number where
/// that is none any more, so that the last bucket of all ends there and the one behind it at +Inf.
pub fn exponential_bound(index: i32, schema: i32) -> f64 {
    let (between, exponent) = match u32::try_from(schema) {
        Ok(schema) => {
            let schema = schema.min(FINEST as u32);
            let at = index & ((1 << schema) - 1);
            (BETWEEN[(1 << schema) + at as usize], i64::from(index >> schema) + 1)
        }
        Err(_) => (0.5, (i64::from(index) << schema.unsigned_abs().min(16)) + 1),
    };
    if between == 0.5 && exponent == 1025 {
        return f64::MAX;
    }
    scaled(between, exponent.clamp(-2000, 2000) as i32)
}

/// `value * 2^exponent` for a value in `[0.5, 1)`, rounded once.
fn scaled(value: f64, exponent: i32) -> f64 {
    match exponent {
        1025.. => f64::INFINITY,
        -1021..=1024 => value * 2.0 * power_of_two(exponent - 1),
        _ => value * power_of_two(-1000) * power_of_two((exponent + 1000).max(-1022)),
    }
}

/// Of a normal number's exponent.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::from((exponent + 1023).unsigned_abs()) << 52)
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

    /// Every bucket, ascending: negative ones, the zero bucket if it counts something, positive ones. Buckets that reach into the zero
    /// bucket end at it; one that lies in it has bounds in the wrong order.
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut out = Vec::with_capacity(self.negative_counts.len() + self.positive_counts.len() + 1);
        let Side(negative) = self.negative();
        out.extend(negative.iter().rev().map(|(index, count)| self.negative_bucket(*index, *count)));
        if !self.is_custom() {
            for bucket in out.iter_mut().filter(|bucket| bucket.upper < 0.0) {
                bucket.upper = bucket.upper.min(-self.zero_threshold);
            }
            if self.zero_count > 0.0 {
                out.push(self.zero_bucket());
            }
        }
        let Side(positive) = self.positive();
        for (index, count) in positive {
            let mut bucket = self.positive_bucket(index, count);
            if bucket.lower > 0.0 {
                bucket.lower = bucket.lower.max(self.zero_threshold);
            }
            out.push(bucket);
        }
        out
    }
}
