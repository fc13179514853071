//! The parts of a histogram below and above a value: `</` and `>/`.
//!
//! A bucket that the value cuts keeps a part of its count: by logarithm in exponential buckets, by length in custom ones and the zero
//! bucket. The zero bucket lies on the side of zero where there are buckets, if they are on one side only; the first custom bucket begins
//! at 0 if it ends above it. Buckets without end are not cut: a trim takes all of them or nothing. If anything went, `count` is the sum of what is left
//! and `sum` takes every observation to be in the middle of its bucket.

use super::{Bucket, Histogram, Side};

/// What is kept of a bucket.
struct Kept {
    count: f64,
    /// Where its observations are taken to be.
    middle: f64,
}

/// The part that is kept, as half-open ends.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Below(f64),
    Above(f64),
}

#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
}

impl Histogram {
    /// What is at most `value`.
    #[must_use]
    pub fn trim_upper(&self, value: f64) -> Self {
        self.trimmed(Keep::Below(value))
    }

    /// What is above `value`.
    #[must_use]
    pub fn trim_lower(&self, value: f64) -> Self {
        self.trimmed(Keep::Above(value))
    }

    fn trimmed(&self, keep: Keep) -> Self {
        let mut result = self.clone();
        let (mut count, mut sum, mut trimmed) = (0.0, 0.0, false);
        let mut take = |bucket: Bucket, scale: Scale| {
            let kept = keep.part_of(&bucket, scale);
            trimmed |= kept.count != bucket.count;
            count += kept.count;
            if kept.count != 0.0 {
                sum += kept.count * kept.middle;
            }
            kept.count
        };
        let scale = if self.is_custom() { Scale::Linear } else { Scale::Logarithmic };
        let positive = self.positive().0.into_iter().map(|(index, count)| {
            let mut bucket = self.positive_bucket(index, count);
            if self.is_custom() && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 && bucket.upper.is_finite() {
                bucket.lower = 0.0;
            }
            (index, take(bucket, scale))
        });
        let positive = Side(positive.collect()).without_empty();
        let negative =
            self.negative().0.into_iter().map(|(index, count)| (index, take(self.negative_bucket(index, count), scale)));
        let negative = Side(negative.collect()).without_empty();
        if !self.is_custom() && self.zero_count != 0.0 {
            let mut zero = self.zero_bucket();
            match (self.negative_counts.is_empty(), self.positive_counts.is_empty()) {
                (true, false) => zero.lower = 0.0,
                (false, true) => zero.upper = 0.0,
                _ => {}
            }
            result.zero_count = take(zero, Scale::Linear);
        }
        if !trimmed {
            return result;
        }
        result.set_sides(&positive, &negative);
        (result.count, result.sum) = (count, sum);
        result
    }
}

impl Keep {
    fn part_of(self, bucket: &Bucket, scale: Scale) -> Kept {
        let Bucket { lower, upper, count, .. } = *bucket;
        let nothing = Kept { count: 0.0, middle: 0.0 };
        let (cut, all, none) = match self {
            Self::Below(cut) => (cut, upper <= cut, lower >= cut || cut.is_nan()),
            Self::Above(cut) => (cut, lower >= cut, upper <= cut || cut.is_nan()),
        };
        if all {
            return Kept { count, middle: middle(lower, upper, scale) };
        }
        if none {
            return nothing;
        }
        match (self, lower.is_finite(), upper.is_finite()) {
            // A bucket without an end on the side that stays is kept whole, with everything at the cut; one without an end on the other goes.
            (Self::Above(_), true, false) | (Self::Below(_), false, true) => Kept { count, middle: cut },
            (_, true, true) => {
                let below = share_below(lower, upper, cut, scale);
                match self {
                    Self::Below(_) => Kept { count: count * below, middle: middle(lower, cut, scale) },
                    Self::Above(_) => Kept { count: count * (1.0 - below), middle: middle(cut, upper, scale) },
                }
            }
            _ => nothing,
        }
    }
}

/// Which part of the bucket's observations is below `cut`, which lies within.
fn share_below(lower: f64, upper: f64, cut: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => (cut - lower) / (upper - lower),
        Scale::Logarithmic if lower < 0.0 => 1.0 - share_below(-upper, -lower, -cut, scale),
        Scale::Logarithmic => (cut.log2() - lower.log2()) / (upper.log2() - lower.log2()),
    }
}

fn middle(lower: f64, upper: f64, scale: Scale) -> f64 {
    match (lower.is_finite(), upper.is_finite(), scale) {
        (true, true, Scale::Linear) => (lower + upper) / 2.0,
        (true, true, Scale::Logarithmic) if lower < 0.0 => -(lower * upper).sqrt(),
        (true, true, Scale::Logarithmic) => (lower * upper).sqrt(),
        (true, false, _) => lower,
        (false, true, _) => upper,
        (false, false, _) => 0.0,
    }
}
