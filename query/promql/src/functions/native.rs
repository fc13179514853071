//! Quantiles and fractions of native histograms.
//!
//! Within an exponential bucket observations are taken to be spread evenly over the logarithm, in custom buckets and the zero bucket
//! over the value. The zero bucket ends at 0 if there are buckets on one side of it only.

use crate::annotation::{Annotations, texts};
use crate::ast::Span;
use crate::histogram::{Bucket, Histogram};

/// The quantile `q` of `histogram`. Observations of NaN are in no bucket and count as the largest ones, which is told.
///
/// NaN when `q` is, when there are no observations, or when the quantile lies among the NaNs; infinite for a `q` outside `[0, 1]`.
pub fn histogram_quantile(q: f64, histogram: &Histogram, metric: &str, span: Span, annotations: &mut Annotations) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if histogram.count == 0.0 || q.is_nan() {
        return f64::NAN;
    }
    let has_nan = histogram.sum.is_nan();
    let from_below = has_nan || q < 0.5;
    let mut buckets = histogram.buckets();
    if !from_below {
        buckets.reverse();
    }
    let rank = if from_below { q } else { 1.0 - q } * histogram.count;
    let (at, count) = reach(rank, &buckets);
    let mut bucket = buckets.get(at).or(buckets.last()).copied().unwrap_or(NO_BUCKET);
    if let Some(value) = bound_zero(&mut bucket, histogram) {
        return value;
    }
    let count = count.min(histogram.count);
    if count < rank {
        if has_nan {
            annotations.put(texts::quantile_is_nan(span, metric));
            return f64::NAN;
        }
        return bucket.upper; // no histogram that was observed is like this
    }
    let within = if from_below { rank - (count - bucket.count) } else { count - rank };
    if has_nan {
        let rest = buckets.get(at + 1..).unwrap_or_default();
        if rest.iter().fold(count, |sum, b| sum + b.count) < histogram.count {
            annotations.put(texts::quantile_is_skewed(span, metric));
        }
        // From here on Prometheus speaks of the last bucket.
        bucket = rest.last().copied().unwrap_or(bucket);
    }
    let part = within / bucket.count;
    if histogram.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * part;
    }
    let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        return (lower + (upper - lower) * part).exp2();
    }
    -(upper + (lower - upper) * (1.0 - part)).exp2()
}

/// What stands for a bucket where there is none at all.
const NO_BUCKET: Bucket = Bucket { lower: 0.0, upper: 0.0, lower_inclusive: false, upper_inclusive: false, count: 0.0, index: 0 };

/// The first bucket at which the counts add up to `rank`, or the number of buckets; and what they add up to there.
fn reach(rank: f64, buckets: &[Bucket]) -> (usize, f64) {
    let mut count = 0.0;
    for (at, bucket) in buckets.iter().enumerate().filter(|(_, bucket)| bucket.count != 0.0) {
        count += bucket.count;
        if count >= rank {
            return (at, count);
        }
    }
    (buckets.len(), count)
}

/// Lets the zero bucket, or the first custom bucket, end at 0 where it should; the quantile itself where it lies in a custom bucket that
/// has no end.
fn bound_zero(bucket: &mut Bucket, histogram: &Histogram) -> Option<f64> {
    if histogram.is_custom() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return Some(bucket.upper);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return Some(bucket.lower);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        one_sided(bucket, histogram);
    }
    None
}

/// Takes away the side of the zero bucket on which there are no others.
fn one_sided(zero: &mut Bucket, histogram: &Histogram) {
    match (histogram.negative_counts.is_empty(), histogram.positive_counts.is_empty()) {
        (true, false) => zero.lower = 0.0,
        (false, true) => zero.upper = 0.0,
        _ => {}
    }
}

/// The part of all observations that lies between `lower` and `upper`. Observations of NaN are in no such part, which is told.
///
/// NaN when a bound is or when there are no observations; 0 when `lower >= upper`.
pub fn histogram_fraction(
    lower: f64,
    upper: f64,
    histogram: &Histogram,
    metric: &str,
    span: Span,
    annotations: &mut Annotations,
) -> f64 {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let buckets = histogram.buckets();
    let all = if histogram.sum.is_nan() {
        let all = buckets.iter().map(|bucket| bucket.count).sum();
        if all < histogram.count {
            annotations.put(texts::fraction_without_nan(span, metric));
        }
        all
    } else {
        histogram.count
    };
    let at_most = |bound| count_below(bound, &buckets, histogram).filter(|count| *count <= all).unwrap_or(all);
    (at_most(upper) - at_most(lower)) / histogram.count
}

/// How many observations lie below `bound`; `None` when it is in no bucket.
fn count_below(bound: f64, buckets: &[Bucket], histogram: &Histogram) -> Option<f64> {
    let mut below = 0.0;
    for bucket in buckets {
        let mut bucket = *bucket;
        let is_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if is_zero {
            one_sided(&mut bucket, histogram);
        }
        if bucket.lower >= bound {
            return Some(below);
        }
        if bucket.upper > bound {
            let linear = histogram.is_custom() || is_zero;
            // A bucket without a beginning cannot be divided: all of it is below.
            let whole = linear && bucket.lower == f64::NEG_INFINITY;
            return Some(if whole { bucket.count } else { below + bucket.count * bucket.part_below(bound, linear) });
        }
        below += bucket.count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotation::Severity;
    use crate::histogram::{CUSTOM_BUCKETS, Side};

    fn exponential(zero: (f64, f64), positive: &[(i32, f64)], negative: &[(i32, f64)]) -> Histogram {
        let mut h = Histogram { zero_threshold: zero.0, zero_count: zero.1, ..Histogram::default() };
        h.set_sides(&Side(positive.to_vec()), &Side(negative.to_vec()));
        h.count = zero.1 + positive.iter().chain(negative).map(|(_, count)| count).sum::<f64>();
        h
    }

    fn custom(bounds: &[f64], counts: &[(i32, f64)]) -> Histogram {
        let mut h = exponential((0.0, 0.0), counts, &[]);
        (h.schema, h.custom_bounds) = (CUSTOM_BUCKETS, bounds.to_vec());
        h
    }

    #[track_caller]
    fn check_quantile(histogram: &Histogram, q: f64, expected: f64, told: &str) {
        let mut annotations = Annotations::default();
        let found = histogram_quantile(q, histogram, "", Span::default(), &mut annotations);
        let same = (found - expected).abs() < 1e-9 || found == expected || found.is_nan() && expected.is_nan();
        assert!(same, "{q} of {histogram}: {found}");
        let texts = annotations.texts(Severity::Info, "", 0).concat();
        assert!(texts.contains(told) && texts.is_empty() == told.is_empty(), "{texts}");
    }

    #[test]
    fn quantiles_lie_where_observations_are() {
        let h = exponential((0.001, 0.0), &[(1, 4.0), (2, 4.0)], &[]);
        check_quantile(&h, 0.25, 2f64.sqrt(), ""); // the logarithmic middle of (1, 2]
        check_quantile(&h, 0.5, 2.0, "");
        check_quantile(&h, 1.0, 4.0, "");
        check_quantile(&h, -0.1, f64::NEG_INFINITY, "");
        check_quantile(&h, 1.1, f64::INFINITY, "");
        check_quantile(&h, f64::NAN, f64::NAN, "");
        check_quantile(&exponential((0.5, 4.0), &[(1, 4.0)], &[]), 0.25, 0.25, ""); // a zero bucket of positive numbers
        check_quantile(&exponential((0.5, 4.0), &[(1, 2.0)], &[(1, 2.0)]), 0.5, 0.0, "");
        check_quantile(&exponential((0.0, 0.0), &[], &[(1, 4.0)]), 0.5, -(2f64.sqrt()), "");
        check_quantile(&exponential((0.0, 0.0), &[], &[]), 0.5, f64::NAN, "");
        let h = custom(&[5.0, 10.0], &[(0, 2.0), (1, 2.0), (2, 4.0)]);
        check_quantile(&h, 0.125, 2.5, "");
        check_quantile(&h, 0.375, 7.5, "");
        check_quantile(&h, 0.9, 10.0, "");
        check_quantile(&custom(&[-5.0, 10.0], &[(0, 2.0)]), 0.5, -5.0, "");
    }

    #[test]
    fn nan_observations_are_the_largest() {
        let mut h = exponential((0.0, 0.0), &[(1, 4.0)], &[]);
        (h.count, h.sum) = (8.0, f64::NAN);
        check_quantile(&h, 0.25, 2f64.sqrt(), "result is skewed higher");
        check_quantile(&h, 0.75, f64::NAN, "result is NaN");
        h.count = 4.0; // both infinities were observed
        check_quantile(&h, 0.5, 2f64.sqrt(), "");
    }

    #[test]
    fn fractions_undo_quantiles() {
        #[track_caller]
        fn check(histogram: &Histogram, lower: f64, upper: f64, expected: f64) {
            let found = histogram_fraction(lower, upper, histogram, "", Span::default(), &mut Annotations::default());
            assert!((found - expected).abs() < 1e-9, "({lower}, {upper}] of {histogram}: {found}");
        }
        let h = exponential((0.001, 0.0), &[(1, 4.0), (2, 4.0)], &[]);
        check(&h, f64::NEG_INFINITY, 2f64.sqrt(), 0.25);
        check(&h, 2f64.sqrt(), f64::INFINITY, 0.75);
        check(&h, 1.0, 4.0, 1.0);
        check(&h, 3.0, 2.0, 0.0);
        check(&exponential((0.0, 0.0), &[], &[(1, 4.0)]), f64::NEG_INFINITY, -(2f64.sqrt()), 0.5);
        check(&custom(&[5.0, 10.0], &[(0, 2.0), (1, 2.0), (2, 4.0)]), 7.5, 20.0, 0.125);
        check(&custom(&[5.0], &[(0, 2.0), (1, 2.0)]), f64::NEG_INFINITY, 1.0, 0.1); // from 0 on
        check(&custom(&[-5.0], &[(0, 2.0), (1, 2.0)]), f64::NEG_INFINITY, -7.0, 0.5);
    }
}
