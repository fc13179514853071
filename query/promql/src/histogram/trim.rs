//! The parts of a histogram below and above a value: `</` and `>/`.
//!
//! A bucket that the value cuts keeps a part of its count: by logarithm in exponential buckets, by length in custom ones and in the zero
//! bucket, which lies on the side of zero where there are observations if they are on one side only. A first custom bucket that ends above 0 is
//! cut as if it began there; other buckets without end are kept or dropped as a whole. If anything went, `count` is the sum of what is left,
//! and `sum` takes every observation to be in the middle of what is left of its bucket.

use super::{Bucket, Histogram, Side};

/// The part that is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Keep {
    Below(f64),
    Above(f64),
}

/// What is kept of a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Kept {
    count: f64,
    /// Where its observations are taken to be.
    middle: f64,
}

const NOTHING: Kept = Kept { count: 0.0, middle: 0.0 };

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
        let (mut count, mut sum, mut trimmed) = (0.0, 0.0, false);
        let mut take = |before: f64, kept: Kept| {
            count += kept.count;
            sum += kept.middle * kept.count;
            trimmed |= kept.count != before;
            kept.count
        };
        let custom = self.is_custom();
        let mut side = |side: Side, bucket: &dyn Fn(i32, f64) -> Bucket| {
            let kept = side.0.into_iter().map(|(index, count)| match count {
                0.0 => (index, 0.0),
                _ => (index, take(count, keep.of_bucket(&bucket(index, count), custom))),
            });
            Side(kept.collect()).without_empty()
        };
        let positive = side(self.positive(), &|index, count| self.positive_bucket(index, count));
        let negative = side(self.negative(), &|index, count| self.negative_bucket(index, count));
        let zero = (self.zero_count > 0.0).then(|| take(self.zero_count, keep.of_zero(self)));
        if !trimmed {
            return self.clone();
        }
        let mut result = Self { count, sum, zero_count: zero.unwrap_or(self.zero_count), ..self.clone() };
        result.set_sides(&positive, &negative);
        result
    }
}

impl Keep {
    fn of_bucket(self, bucket: &Bucket, custom: bool) -> Kept {
        let Bucket { lower, upper, count, .. } = *bucket;
        let inside = match self {
            Self::Below(cut) if upper <= cut => return Kept { count, middle: middle(lower, upper, custom) },
            Self::Below(cut) => lower < cut,
            Self::Above(cut) if lower >= cut => return Kept { count, middle: middle(lower, upper, custom) },
            Self::Above(cut) => upper > cut,
        };
        if !inside {
            return NOTHING;
        }
        if lower.is_infinite() || upper.is_infinite() {
            return self.of_endless(bucket);
        }
        match self {
            Self::Below(cut) => Kept { count: below(bucket, cut, custom), middle: middle(lower, cut, custom) },
            Self::Above(cut) => Kept { count: count - below(bucket, cut, custom), middle: middle(cut, upper, custom) },
        }
    }

    /// Of a bucket that has no end on one side at least, and in which the cut lies.
    fn of_endless(self, bucket: &Bucket) -> Kept {
        let Bucket { lower, upper, count, .. } = *bucket;
        let ends_above_zero = upper > 0.0 && upper.is_finite();
        match self {
            Self::Below(cut) if lower == f64::NEG_INFINITY && cut > 0.0 && ends_above_zero => {
                Kept { count: count * cut / upper, middle: cut / 2.0 }
            }
            Self::Below(cut) if lower == f64::NEG_INFINITY && upper <= 0.0 => Kept { count, middle: cut },
            Self::Above(cut) if lower == f64::NEG_INFINITY && cut >= 0.0 && ends_above_zero => {
                Kept { count: count * (1.0 - cut / upper), middle: (cut + upper) / 2.0 }
            }
            Self::Above(cut) if lower.is_finite() && cut >= lower => Kept { count, middle: cut },
            // Where in it the observations lie is not known.
            Self::Below(_) | Self::Above(_) => NOTHING,
        }
    }

    fn of_zero(self, histogram: &Histogram) -> Kept {
        let Bucket { mut lower, mut upper, count, .. } = histogram.zero_bucket();
        let observed = |counts: &[f64]| counts.iter().any(|count| *count != 0.0);
        match (observed(&histogram.negative_counts), observed(&histogram.positive_counts)) {
            (true, false) => upper = 0.0,
            (false, true) => lower = 0.0,
            _ => {}
        }
        let all = Kept { count, middle: (lower + upper) / 2.0 };
        match self {
            Self::Below(cut) | Self::Above(cut) if cut <= lower => {
                if matches!(self, Self::Above(_)) {
                    all
                } else {
                    NOTHING
                }
            }
            Self::Below(cut) | Self::Above(cut) if cut >= upper => {
                if matches!(self, Self::Below(_)) {
                    all
                } else {
                    NOTHING
                }
            }
            Self::Below(cut) => Kept { count: count * ((cut - lower) / (upper - lower)), middle: (lower + cut) / 2.0 },
            Self::Above(cut) => Kept { count: count * ((upper - cut) / (upper - lower)), middle: (cut + upper) / 2.0 },
        }
    }
}

/// How many of the bucket's observations are below `cut`.
fn below(bucket: &Bucket, cut: f64, linear: bool) -> f64 {
    if cut <= bucket.lower {
        0.0
    } else if cut >= bucket.upper {
        bucket.count
    } else {
        bucket.count * bucket.part_below(cut, linear)
    }
}

/// Where the observations between two bounds are taken to be.
fn middle(lower: f64, upper: f64, linear: bool) -> f64 {
    match (lower.is_finite(), upper.is_finite()) {
        (true, true) if linear => (lower + upper) / 2.0,
        (true, true) => (lower * upper).abs().sqrt().copysign(lower + upper),
        (true, false) => lower,
        (false, true) if upper > 0.0 => upper / 2.0,
        (false, true) => upper,
        (false, false) => 0.0,
    }
}
