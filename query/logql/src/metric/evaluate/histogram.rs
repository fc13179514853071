//! `histogram_quantile`: an extension. Its rules are those of Prometheus for classic histograms (`promql/quantile.go`).

use std::collections::BTreeMap;

use crate::metric::labels::Labels;
use crate::metric::steps::{StepSeries, Steps};
use crate::units::parse_float;

/// The label that holds a bucket's upper bound.
const BOUND: &str = "le";

/// Counts that differ by no more than this part of their sum are the same count: sums in another order.
const SAME_COUNT: f64 = 1e-12;

/// An upper bound, and the observations up to there.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// The quantile of the buckets of each set of labels, `le` aside. Series without a number in `le` are left out, with a warning.
pub(super) fn histogram_quantile(
    quantile: f64,
    series: &[StepSeries],
    len: usize,
    mut warn: impl FnMut(&str),
) -> Vec<StepSeries> {
    let mut histograms: BTreeMap<Labels, Vec<(f64, &Steps)>> = BTreeMap::new();
    for one in series {
        match one.labels.get(BOUND).map(parse_float) {
            Some(Ok(upper)) => histograms.entry(one.labels.only(|name| name != BOUND)).or_default().push((upper, &one.steps)),
            _ => warn("histogram_quantile: series whose label le is missing or no number are left out"),
        }
    }
    let mut buckets = Vec::new();
    let results = histograms.into_iter().map(|(labels, mut series)| {
        series.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut steps = Steps::none(len);
        for at in 0..len {
            buckets.clear();
            buckets.extend(series.iter().filter_map(|(upper, steps)| steps.get(at).map(|count| Bucket { upper: *upper, count })));
            if !buckets.is_empty() {
                steps.set(at, bucket_quantile(quantile, &mut buckets));
            }
        }
        StepSeries { labels, steps }
    });
    results.collect()
}

/// The quantile of buckets in the order of their bounds.
///
/// NaN when the quantile is, when there are no two buckets, no observations, or no bucket that ends at +Inf; infinite outside `[0, 1]`.
fn bucket_quantile(quantile: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if quantile.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&quantile) {
        return if quantile < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return f64::NAN;
    }
    buckets.dedup_by(|bucket, before| {
        let same = bucket.upper == before.upper;
        before.count += if same { bucket.count } else { 0.0 };
        same
    });
    make_monotonic(buckets);
    let [below_last @ .., last] = buckets.as_slice() else { return f64::NAN };
    let (Some(highest), true) = (below_last.last(), last.count != 0.0) else { return f64::NAN };
    let rank = quantile * last.count;
    let at = below_last.partition_point(|bucket| bucket.count < rank);
    let Some(bucket) = below_last.get(at) else { return highest.upper };
    match at.checked_sub(1).map(|before| below_last[before]) {
        None if bucket.upper <= 0.0 => bucket.upper,
        None => bucket.upper * (rank / bucket.count),
        Some(before) => before.upper + (bucket.upper - before.upper) * ((rank - before.count) / (bucket.count - before.count)),
    }
}

/// Raises counts that fell, and makes those equal that differ by rounding.
fn make_monotonic(buckets: &mut [Bucket]) {
    let mut greatest = buckets.first().map_or(0.0, |first| first.count);
    for bucket in buckets {
        let same = (bucket.count - greatest).abs() <= SAME_COUNT * (bucket.count.abs() + greatest.abs());
        if same || bucket.count < greatest {
            bucket.count = greatest;
        }
        greatest = bucket.count;
    }
}
