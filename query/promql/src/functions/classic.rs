//! Quantiles and fractions of classic histograms: cumulative counts of buckets, each with its upper bound.
//!
//! Within a bucket observations are taken to be spread evenly; the first one begins at 0 if it ends above it.

use crate::annotation::{Annotations, texts};
use crate::ast::Span;

pub use crate::annotation::Fixed;

/// One bucket of a classic histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Its upper bound, the number in `le`.
    pub upper: f64,
    /// Observations up to there, those of lower buckets among them.
    pub count: f64,
}

/// A quantile, and what had to be done for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The quantile.
    pub value: f64,
    /// Set when counts fell although bounds rose. Its times are 0.
    pub fixed: Option<Fixed>,
}

/// Counts that differ by no more than this part of their sum are the same count: sums in another order.
const SAME_COUNT: f64 = 1e-12;

/// The quantile `q` of `buckets`, which may come in any order and are put in order, made distinct and monotonic.
///
/// NaN when `q` is, when there are no two buckets, no observations, or no bucket that ends at +Inf; infinite for a `q` outside `[0, 1]`.
pub fn bucket_quantile(q: f64, buckets: &mut [Bucket]) -> Quantile {
    let without_fix = |value| Quantile { value, fixed: None };
    if q.is_nan() {
        return without_fix(f64::NAN);
    }
    if q < 0.0 {
        return without_fix(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return without_fix(f64::INFINITY);
    }
    let Some(buckets) = in_order(buckets) else { return without_fix(f64::NAN) };
    let fixed = make_monotonic(buckets);
    Quantile { value: quantile_of_monotonic(q, buckets), fixed }
}

fn quantile_of_monotonic(q: f64, buckets: &[Bucket]) -> f64 {
    let [below_last @ .., last] = buckets else { return f64::NAN };
    let Some(highest) = below_last.last() else { return f64::NAN };
    if last.count == 0.0 {
        return f64::NAN;
    }
    let rank = q * last.count;
    // NaN counts are not in order; the search still ends somewhere, as that of Prometheus does.
    let at = search(below_last.len(), |at| below_last[at].count >= rank);
    let Some(bucket) = below_last.get(at) else { return highest.upper };
    let Some(before) = at.checked_sub(1).map(|before| below_last[before]) else {
        return if bucket.upper <= 0.0 { bucket.upper } else { bucket.upper * (rank / bucket.count) };
    };
    before.upper + (bucket.upper - before.upper) * ((rank - before.count) / (bucket.count - before.count))
}

/// The part of all observations that lies between `lower` and `upper`; `buckets` may come in any order.
///
/// NaN when a bound is, when there are no observations or no bucket that ends at +Inf; 0 when `lower >= upper`.
pub fn bucket_fraction(lower: f64, upper: f64, buckets: &mut [Bucket]) -> f64 {
    let Some(buckets) = in_order(buckets) else { return f64::NAN };
    let all = buckets[buckets.len() - 1].count;
    if all == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let at_most = |bound: f64| count_below(bound, buckets).filter(|count| *count <= all).unwrap_or(all);
    (at_most(upper) - at_most(lower)) / all
}

/// How many observations lie below `bound`; `None` when it is in no bucket.
fn count_below(bound: f64, buckets: &[Bucket]) -> Option<f64> {
    let mut from = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut below = 0.0;
    for bucket in buckets {
        if from >= bound {
            return Some(below);
        }
        if bucket.upper > bound {
            // A bucket without a beginning cannot be divided: all of it is below.
            let divided = below + (bucket.count - below) * (bound - from) / (bucket.upper - from);
            return Some(if from == f64::NEG_INFINITY { bucket.count } else { divided });
        }
        (from, below) = (bucket.upper, bucket.count);
    }
    None
}

/// Ascending by bound, counts of equal bounds added; `None` when the highest one is not +Inf.
fn in_order(buckets: &mut [Bucket]) -> Option<&mut [Bucket]> {
    buckets.sort_by(|a, b| a.upper.partial_cmp(&b.upper).unwrap_or(std::cmp::Ordering::Equal));
    if buckets.last()?.upper != f64::INFINITY {
        return None;
    }
    let mut last = 0;
    for at in 1..buckets.len() {
        if buckets[at].upper == buckets[last].upper {
            buckets[last].count += buckets[at].count;
        } else {
            last += 1;
            buckets[last] = buckets[at];
        }
    }
    Some(&mut buckets[..=last])
}

/// Raises counts that fell; those that fell or rose by no more than rounding does are made equal without a word.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Fixed> {
    let mut fixed: Option<Fixed> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if bucket.count == before {
            continue;
        }
        if is_same_count(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            let here = Fixed {
                least_bound: bucket.upper,
                greatest_bound: bucket.upper,
                greatest_fall: before - bucket.count,
                ..Fixed::ONCE
            };
            fixed = Some(fixed.map_or(here, |fixed| Fixed { samples: 1, ..fixed.and(here) }));
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    fixed
}

/// Equal up to rounding, as Prometheus' `util/almost` has it.
fn is_same_count(a: f64, b: f64) -> bool {
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let (sum, distance) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return distance < SAME_COUNT * f64::MIN_POSITIVE;
    }
    distance / sum.min(f64::MAX) < SAME_COUNT
}

/// The first of `len` places at which `holds`, if it holds at all later ones too; `len` when there is none.
fn search(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

impl Fixed {
    /// Tells that buckets of `metric` (`""`: not known any more) were not monotonic.
    pub fn annotate(&self, metric: &str, span: Span, annotations: &mut Annotations) {
        annotations.put(texts::forced_monotonicity(span, metric, *self));
    }
}
