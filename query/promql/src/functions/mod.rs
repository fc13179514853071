//! The arithmetic of the functions: numbers in, numbers out; nothing here knows series, labels or steps.
//!
//! - [`instant`], [`date`]: one sample in, one out.
//! - [`classic`], [`native`]: quantiles and fractions of histograms.
//! - [`range`]: the samples of a window in, one sample out.
//! - [`fast`]: the floats of a series in, a number at each step out.
//! - [`kahan`], [`quantile`]: what aggregations and ranges share.
//!
//! Source: Prometheus `promql/functions.go`, `promql/quantile.go`, `util/kahansum`.

pub mod classic;
pub mod date;
pub mod fast;
pub mod instant;
pub mod native;
pub mod range;

/// `sum + term` with what rounding lost so far in `lost` (Kahan's sum as Neumaier improved it): the new sum and loss. The total is
/// `sum + lost`; of an infinite sum it is the sum alone.
pub fn kahan(term: f64, sum: f64, lost: f64) -> (f64, f64) {
    let total = sum + term;
    if total.is_infinite() {
        (total, 0.0)
    } else if sum.abs() >= term.abs() {
        (total, lost + ((sum - total) + term))
    } else {
        (total, lost + ((term - total) + sum))
    }
}

/// The `q`-quantile of `values`, which it sorts; between two values by their distance. NaNs are the smallest.
/// NaN of nothing or for a `q` that is none; infinite for a `q` outside 0 to 1.
pub fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor().max(0.0) as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

#[cfg(test)]
mod tests;
