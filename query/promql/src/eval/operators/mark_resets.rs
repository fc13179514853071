//! Histograms that are only counted or summed say whether their counter was reset, where storage leaves that open: so that sums of them
//! can tell counters that contradict each other. Raw ► raw, one series at a time. Source: Prometheus
//! `promql/histogram_stats_iterator.go`, which besides leaves the buckets out.

use std::sync::Arc;

use crate::eval::{EvalContext, EvalError};
use crate::histogram::{Histogram, ResetHint};
use crate::value::{RawSeries, is_stale};

/// Compares each histogram with the one before it.
///
/// # Errors
/// When time is up.
pub fn mark_resets(mut series: Vec<RawSeries>, cx: &mut EvalContext<'_>) -> Result<Vec<RawSeries>, EvalError> {
    for one in &mut series {
        cx.tick()?;
        let mut before: Option<Arc<Histogram>> = None;
        for sample in one.histograms.iter_mut().filter(|s| !is_stale(s.histogram.sum)) {
            let now = Arc::clone(&sample.histogram);
            if let Some(before) = before.filter(|_| now.reset_hint == ResetHint::Unknown) {
                let hint = if now.is_reset_after(&before) { ResetHint::Reset } else { ResetHint::NotReset };
                sample.histogram = Arc::new(Histogram { reset_hint: hint, ..(*now).clone() });
            }
            before = Some(now);
        }
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Budget;
    use crate::value::HistogramSample;

    #[test]
    fn what_is_unknown_is_compared() {
        use ResetHint::{Gauge, NotReset, Reset, Unknown};
        let of = |count: f64, reset_hint| {
            let histogram = Arc::new(Histogram { count, sum: count, reset_hint, ..Histogram::default() });
            HistogramSample { time_ms: 0, start_ms: 0, histogram }
        };
        let histograms = vec![of(3.0, Unknown), of(4.0, Unknown), of(1.0, Unknown), of(0.0, Gauge), of(2.0, NotReset)];
        let budget = Budget::new(0, 0);
        let series = vec![RawSeries { histograms, ..RawSeries::default() }];
        let marked = mark_resets(series, &mut EvalContext::new(&budget, &|| Ok(()))).unwrap();
        let hints: Vec<ResetHint> = marked[0].histograms.iter().map(|h| h.histogram.reset_hint).collect();
        assert_eq!(hints, [Unknown, NotReset, Reset, Gauge, NotReset]);
    }
}
