//! Quantiles and fractions of native histograms.
//!
//! Within exponential buckets observations are spread evenly over the logarithm, in custom ones and the zero bucket evenly over the value. The
//! zero bucket lies on the side of zero where there are buckets, if they are on one side only; the first custom bucket begins at 0 if it ends
//! above it.

use crate::annotation::Annotations;
use crate::ast::Span;
use crate::histogram::{Bucket, Histogram};

/// Where the observations of a bucket are taken to be: its geometric middle, or the arithmetic one where there is no such thing.
pub(super) fn middle(histogram: &Histogram, bucket: &Bucket) -> f64 {
    let (lower, upper) = (bucket.lower, bucket.upper);
    if histogram.is_custom() {
        return match (lower.is_finite(), upper.is_finite()) {
            (true, true) => (lower + upper) / 2.0,
            (false, true) if upper > 0.0 => upper / 2.0,
            (false, true) => upper,
            _ => lower,
        };
    }
    if lower <= 0.0 && upper >= 0.0 {
        return 0.0;
    }
    let middle = (upper * lower).sqrt();
    if upper <= 0.0 { -middle } else { middle }
}

/// The `q`-quantile. NaN of no observations, and where the observations that decide it are NaN.
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
    let buckets = histogram.buckets();
    let inside: f64 = buckets.iter().map(|b| b.count).sum();
    // A sum that is NaN tells of observations that are NaN: they are in `count` but in no bucket, above everything.
    let has_nan = histogram.sum.is_nan() && !histogram.is_custom() && inside < histogram.count;
    let rank = q * histogram.count;
    // From the nearer end, so that less is lost by adding up; not where NaNs are on that end.
    let found = if has_nan || q < 0.5 { find(&buckets, rank) } else { find_from_above(&buckets, (1.0 - q) * histogram.count) };
    let name = if metric.is_empty() { String::new() } else { format!(" for metric name {metric:?}") };
    if has_nan {
        let beyond = rank > inside;
        let result = if beyond { "result is NaN" } else { "result is skewed higher" };
        annotations.info(span, format!("input to histogram_quantile has NaN observations, {result}{name}"));
        if beyond {
            return f64::NAN;
        }
    }
    let Some((bucket, rank)) = found else { return f64::NAN };
    let bucket = placed(histogram, bucket);
    if histogram.is_custom() {
        if bucket.lower == f64::NEG_INFINITY {
            return bucket.upper;
        }
        if bucket.upper == f64::INFINITY {
            return bucket.lower;
        }
    }
    let part = rank / bucket.count;
    between(histogram, &bucket, part)
}

/// The value below which `part` of the bucket's observations are.
fn between(histogram: &Histogram, bucket: &Bucket, part: f64) -> f64 {
    let (lower, upper) = (bucket.lower, bucket.upper);
    if is_linear(histogram, bucket) {
        return lower + (upper - lower) * part;
    }
    if lower > 0.0 {
        let (low, high) = (lower.log2(), upper.log2());
        return f64::exp2(low + (high - low) * part);
    }
    let (low, high) = ((-upper).log2(), (-lower).log2());
    -f64::exp2(low + (high - low) * (1.0 - part))
}

fn is_linear(histogram: &Histogram, bucket: &Bucket) -> bool {
    histogram.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0)
}

/// The first bucket up to whose end there are at least `rank` observations, and how many of those are in it.
fn find(buckets: &[Bucket], rank: f64) -> Option<(Bucket, f64)> {
    let mut below = 0.0;
    let mut last = None;
    for bucket in buckets.iter().filter(|b| b.count != 0.0) {
        last = Some((*bucket, bucket.count));
        if below + bucket.count >= rank {
            return Some((*bucket, rank - below));
        }
        below += bucket.count;
    }
    last
}

/// As [`find`], with `above` observations above the value looked for.
fn find_from_above(buckets: &[Bucket], above: f64) -> Option<(Bucket, f64)> {
    let mut seen = 0.0;
    let mut last = None;
    for bucket in buckets.iter().rev().filter(|b| b.count != 0.0) {
        last = Some((*bucket, 0.0));
        if seen + bucket.count >= above {
            return Some((*bucket, bucket.count - (above - seen)));
        }
        seen += bucket.count;
    }
    last
}

/// The bucket with the bounds that its observations can have.
fn placed(histogram: &Histogram, mut bucket: Bucket) -> Bucket {
    if histogram.is_custom() {
        if bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 && bucket.upper.is_finite() {
            bucket.lower = 0.0;
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        match (histogram.negative_counts.is_empty(), histogram.positive_counts.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            _ => {}
        }
    }
    bucket
}

/// The part of the observations between `lower` and `upper`; observations that are NaN are in no such part.
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
    let buckets = histogram.buckets();
    if histogram.sum.is_nan() && !histogram.is_custom() && buckets.iter().map(|b| b.count).sum::<f64>() < histogram.count {
        let name = if metric.is_empty() { String::new() } else { format!(" for metric name {metric:?}") };
        annotations
            .info(span, format!("input to histogram_fraction has NaN observations, which are excluded from all fractions{name}"));
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, histogram, &buckets) - rank_of(lower, histogram, &buckets)) / histogram.count
}

/// How many observations are taken to be below `value`.
fn rank_of(value: f64, histogram: &Histogram, buckets: &[Bucket]) -> f64 {
    let mut below = 0.0;
    for bucket in buckets.iter().filter(|b| b.count != 0.0) {
        let placed = placed(histogram, *bucket);
        if value >= placed.upper {
            below += bucket.count;
            continue;
        }
        if value <= placed.lower {
            break;
        }
        let part = match (placed.lower.is_finite(), placed.upper.is_finite()) {
            (true, true) if is_linear(histogram, &placed) => (value - placed.lower) / (placed.upper - placed.lower),
            (true, true) if placed.lower > 0.0 => (value / placed.lower).log2() / (placed.upper / placed.lower).log2(),
            (true, true) => 1.0 - (value / placed.upper).log2() / (placed.lower / placed.upper).log2(),
            // Everything in a bucket without end lies beyond.
            (true, false) => 0.0,
            _ => 1.0,
        };
        below += bucket.count * part;
        break;
    }
    below
}
