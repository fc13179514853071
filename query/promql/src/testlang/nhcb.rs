//! Classic histograms as native ones with custom buckets: what `load_with_nhcb` adds to what it loads.
//!
//! ```text
//! x_bucket{le="1", a="v"}, x_bucket{le="+Inf", a="v"}, x_count{a="v"}, x_sum{a="v"}  ──►  x{a="v"} {{schema:-53 ...}}
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::histogram::{BucketSpan, CUSTOM_BUCKETS, Histogram};
use crate::labels::{Labels, NAME};
use crate::value::{HistogramSample, RawSeries, is_stale};

/// What one classic histogram has at one time.
#[derive(Debug, Default)]
struct Classic {
    /// Bound and cumulative count.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: Option<f64>,
}

/// `series`, and behind them a native histogram for each classic one among them.
pub(super) fn with_nhcb(mut series: Vec<RawSeries>) -> Result<Vec<RawSeries>, String> {
    let mut classic: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for one in &series {
        let name = one.labels.metric();
        let (base, part) = match () {
            () if name.ends_with("_bucket") => (name.strip_suffix("_bucket"), Part::Bucket),
            () if name.ends_with("_count") => (name.strip_suffix("_count"), Part::Count),
            () => (name.strip_suffix("_sum"), Part::Sum),
        };
        let Some(base) = base.filter(|b| !b.is_empty()) else { continue };
        let bound = one.labels.get("le").parse::<f64>().ok();
        if matches!(part, Part::Bucket) && bound.is_none() {
            continue;
        }
        let labels = one.labels.with("le", "").with(NAME, base);
        let times = classic.entry(labels).or_default();
        for (time_ms, value) in one.times_ms.iter().zip(&one.floats).filter(|(_, v)| !is_stale(**v)) {
            let at = times.entry(*time_ms).or_default();
            match part {
                Part::Bucket => at.buckets.extend(bound.map(|b| (b, *value))),
                Part::Count => at.count = Some(*value),
                Part::Sum => at.sum = Some(*value),
            }
        }
    }
    for (labels, times) in classic {
        let mut native = RawSeries { labels, ..RawSeries::default() };
        for (time_ms, at) in times.into_iter().filter(|(_, at)| !at.buckets.is_empty() || at.count.is_some()) {
            let histogram = convert(at).map_err(|e| format!("{} at {time_ms} ms: {e}", native.labels))?;
            native.histograms.push(HistogramSample { time_ms, start_ms: 0, histogram: Arc::new(histogram) });
        }
        if !native.histograms.is_empty() {
            series.push(native);
        }
    }
    Ok(series)
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Bucket,
    Count,
    Sum,
}

fn convert(classic: Classic) -> Result<Histogram, String> {
    let Classic { mut buckets, count, sum } = classic;
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Bounds that are written differently are one bound; its first bucket counts.
    buckets.dedup_by(|next, kept| next.0 == kept.0);
    let top = buckets.last().map_or(0.0, |b| b.1);
    let count = count.unwrap_or(top);
    match buckets.last() {
        Some((bound, top)) if *bound == f64::INFINITY && *top != count => {
            return Err(format!("count is {count}, the top bucket has {top}"));
        }
        Some((bound, _)) if *bound == f64::INFINITY => {}
        _ => buckets.push((f64::INFINITY, count)),
    }
    let mut before = 0.0;
    let mut counts = Vec::with_capacity(buckets.len());
    for (bound, cumulative) in &buckets {
        if *cumulative < before {
            return Err(format!("the count of le={bound} is below the one before"));
        }
        counts.push(cumulative - before);
        before = *cumulative;
    }
    let length = counts.len() as u32;
    Ok(Histogram {
        schema: CUSTOM_BUCKETS,
        count,
        sum: sum.unwrap_or(0.0),
        positive_spans: vec![BucketSpan { offset: 0, length }],
        positive_counts: counts,
        custom_bounds: buckets.iter().map(|b| b.0).filter(|b| b.is_finite()).collect(),
        ..Histogram::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(labels: &[(&str, &str)], values: &[f64]) -> RawSeries {
        let times_ms = (0..values.len() as i64).collect();
        RawSeries { labels: Labels::new(labels.to_vec()), times_ms, floats: values.to_vec(), ..RawSeries::default() }
    }

    #[test]
    fn buckets_are_differences_of_the_cumulative_ones() {
        let series = vec![
            float(&[(NAME, "x_bucket"), ("le", "+Inf"), ("a", "v")], &[5.0]),
            float(&[(NAME, "x_bucket"), ("le", "0.5"), ("a", "v")], &[2.0]),
            float(&[(NAME, "x_bucket"), ("le", "bad"), ("a", "v")], &[2.0]),
            float(&[(NAME, "x_sum"), ("a", "v")], &[7.5]),
            float(&[(NAME, "y"), ("a", "v")], &[1.0]),
        ];
        let native = with_nhcb(series).unwrap().pop().unwrap();
        assert_eq!(native.labels.to_string(), r#"{__name__="x", a="v"}"#);
        let histogram = &native.histograms[0].histogram;
        assert_eq!((histogram.count, histogram.sum), (5.0, 7.5));
        assert_eq!((&histogram.custom_bounds[..], &histogram.positive_counts[..]), (&[0.5][..], &[2.0, 3.0][..]));
    }

    #[test]
    fn counts_must_make_sense() {
        let bucket = |le: &str, count: f64| float(&[(NAME, "x_bucket"), ("le", le)], &[count]);
        assert!(with_nhcb(vec![bucket("1", 3.0), bucket("2", 2.0)]).is_err());
        assert!(with_nhcb(vec![bucket("1", 3.0), bucket("+Inf", 4.0), float(&[(NAME, "x_count")], &[5.0])]).is_err());
    }
}
